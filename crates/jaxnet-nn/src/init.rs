//! Initializers.
//!
//! Names, distributions and numbers are those of `jax.nn.initializers`, so that the same key gives the same
//! parameters. In particular [`glorot_normal`], [`he_normal`] and [`lecun_normal`] draw from a normal
//! distribution that is cut off at two standard deviations, and corrected so that the variance is as stated.
//! (JAXnet's own `glorot_normal` was not cut off.)

use std::fmt;
use std::sync::Arc;

use jaxnet_autograd::fori_loop;
use jaxnet_tensor::{DType, Error, Key, Scalar, Shape, Tensor, raise};

/// Makes a parameter of a shape from a key.
///
/// Functions `Fn(Key, &Shape) -> Tensor` are initializers.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let diagonal = |_: Key, shape: &Shape| Tensor::eye_rect(shape[0], shape[1], 0);
/// let layer = Dense::new(3).with_kernel_init(diagonal).without_bias();
/// let x = tensor![[1.0, 2.0]];
/// let params = layer.init_params(Key::new(0), &x);
/// assert_eq!(layer.apply(&params, &x).to_vec::<f32>(), [1.0, 2.0, 0.0]);
/// ```
pub trait Initializer {
    /// The parameter.
    fn initialize(&self, key: Key, shape: &Shape) -> Tensor;
}

impl<F: Fn(Key, &Shape) -> Tensor> Initializer for F {
    #[track_caller]
    fn initialize(&self, key: Key, shape: &Shape) -> Tensor {
        self(key, shape)
    }
}

/// An initializer of any kind, as layers hold it.
#[derive(Clone)]
pub(crate) struct Init(Arc<dyn Initializer + Send + Sync>);

impl Init {
    pub(crate) fn new(init: impl Initializer + Send + Sync + 'static) -> Self {
        Init(Arc::new(init))
    }
}

impl Initializer for Init {
    fn initialize(&self, key: Key, shape: &Shape) -> Tensor {
        self.0.initialize(key, shape)
    }
}

/// Zeros.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let layer = Dense::new(2).with_bias_init(zeros());
/// let params = layer.init_params(Key::new(0), &Tensor::ones([1, 3]));
/// assert_eq!(params["bias"].to_vec::<f32>(), [0.0, 0.0]);
/// ```
pub fn zeros() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    |_: Key, shape: &Shape| Tensor::zeros(shape)
}

/// Ones.
pub fn ones() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    |_: Key, shape: &Shape| Tensor::ones(shape)
}

/// The same value everywhere.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let layer = Dense::new(2).with_bias_init(constant(0.1));
/// let params = layer.init_params(Key::new(0), &Tensor::ones([1, 3]));
/// assert_eq!(params["bias"].to_vec::<f32>(), [0.1, 0.1]);
/// ```
pub fn constant(value: impl Into<Scalar>) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    let value = value.into();
    move |_: Key, shape: &Shape| Tensor::full(shape, value, DType::F32)
}

/// Normally distributed with this standard deviation.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let x = normal(0.01)(Key::new(0), &Shape::from([1000]));
/// assert!((x.std().item::<f32>() - 0.01).abs() < 1e-3);
/// ```
pub fn normal(std: f64) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    move |key: Key, shape: &Shape| key.normal(shape) * std
}

/// Uniformly distributed in `0..scale`.
pub fn uniform(scale: f64) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    move |key: Key, shape: &Shape| key.uniform(shape) * scale
}

/// Normally distributed with this standard deviation, before it is cut off at twice that on both sides.
pub fn truncated_normal(std: f64) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    move |key: Key, shape: &Shape| key.truncated_normal(-2.0, 2.0, shape) * std
}

/// By which of a kernel's numbers of connections [`variance_scaling`] divides.
///
/// The last axis of a kernel is the output's, the one before the input's; the others are the receptive field,
/// whose size multiplies both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// How many inputs an output is made of.
    In,
    /// How many outputs an input goes into.
    Out,
    /// The mean of both.
    Average,
}

/// What [`variance_scaling`] draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The normal distribution cut off at two standard deviations, corrected to have the variance.
    TruncatedNormal,
    /// The normal distribution.
    Normal,
    /// The uniform distribution around 0.
    Uniform,
}

impl fmt::Display for Fan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fan::In => "fan_in",
            Fan::Out => "fan_out",
            Fan::Average => "fan_avg",
        })
    }
}

/// With mean 0 and variance `scale / fan`.
///
/// # Panics
///
/// When it makes a parameter of less than two axes, whose inputs and outputs it cannot tell.
pub fn variance_scaling(
    scale: f64,
    fan: Fan,
    distribution: Distribution,
) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    move |key: Key, shape: &Shape| {
        let [field @ .., inputs, outputs] = shape.dims() else {
            raise(Error::invalid(
                "initializer",
                format!(
                    "the variance depends on the {fan} of a kernel, whose last two axes are input and output; shape \
                     {shape} has too few. Use `normal(std)` or `zeros()` for biases and the like"
                ),
            ))
        };
        let field: usize = field.iter().product();
        let (fan_in, fan_out) = ((inputs * field) as f64, (outputs * field) as f64);
        let fan = match fan {
            Fan::In => fan_in,
            Fan::Out => fan_out,
            Fan::Average => (fan_in + fan_out) / 2.0,
        };
        let variance = scale / fan;
        match distribution {
            // The standard deviation of the standard normal distribution cut off at -2 and 2.
            Distribution::TruncatedNormal => {
                key.truncated_normal(-2.0, 2.0, shape) * (variance.sqrt() / 0.879_625_661_034_239_8)
            }
            Distribution::Normal => key.normal(shape) * variance.sqrt(),
            Distribution::Uniform => key.uniform_range(shape, -1.0, 1.0, DType::F32) * (3.0 * variance).sqrt(),
        }
    }
}

/// Glorot and Bengio 2010, also called Xavier: variance `2 / (fan_in + fan_out)`, normally distributed, cut
/// off at two standard deviations.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let kernel = glorot_normal()(Key::new(0), &Shape::from([100, 300]));
/// assert!((kernel.var().item::<f32>() - 2.0 / 400.0).abs() < 5e-4);
/// ```
///
/// # Panics
///
/// As [`variance_scaling`].
#[doc(alias = "xavier_normal")]
pub fn glorot_normal() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    variance_scaling(1.0, Fan::Average, Distribution::TruncatedNormal)
}

/// Glorot and Bengio 2010, also called Xavier: variance `2 / (fan_in + fan_out)`, uniformly distributed.
///
/// # Panics
///
/// As [`variance_scaling`].
#[doc(alias = "xavier_uniform")]
pub fn glorot_uniform() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    variance_scaling(1.0, Fan::Average, Distribution::Uniform)
}

/// He et al. 2015, also called Kaiming: variance `2 / fan_in`, normally distributed, cut off at two standard
/// deviations.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let kernel = he_normal()(Key::new(0), &Shape::from([200, 100]));
/// assert!((kernel.var().item::<f32>() - 2.0 / 200.0).abs() < 1e-3);
/// ```
///
/// # Panics
///
/// As [`variance_scaling`].
#[doc(alias = "kaiming_normal")]
pub fn he_normal() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    variance_scaling(2.0, Fan::In, Distribution::TruncatedNormal)
}

/// He et al. 2015, also called Kaiming: variance `2 / fan_in`, uniformly distributed.
///
/// # Panics
///
/// As [`variance_scaling`].
#[doc(alias = "kaiming_uniform")]
pub fn he_uniform() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    variance_scaling(2.0, Fan::In, Distribution::Uniform)
}

/// LeCun et al. 1998: variance `1 / fan_in`, normally distributed, cut off at two standard deviations.
///
/// # Panics
///
/// As [`variance_scaling`].
pub fn lecun_normal() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    variance_scaling(1.0, Fan::In, Distribution::TruncatedNormal)
}

/// LeCun et al. 1998: variance `1 / fan_in`, uniformly distributed.
///
/// # Panics
///
/// As [`variance_scaling`].
pub fn lecun_uniform() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    variance_scaling(1.0, Fan::In, Distribution::Uniform)
}

/// A random orthogonal matrix times `scale` (Saxe et al. 2014): with the axes but the last taken as one, the
/// columns are orthogonal, or the rows where there are more columns than rows.
///
/// As that of JAX, it is the orthogonal factor of a normally distributed matrix, with the signs that make the
/// diagonal of the other factor positive.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let kernel = orthogonal(1.0)(Key::new(0), &Shape::from([3, 3]));
/// assert!(kernel.matmul(kernel.t()).allclose(Tensor::eye(3), 1e-4, 1e-5));
/// ```
///
/// # Panics
///
/// When it makes a parameter of less than two axes.
pub fn orthogonal(scale: f64) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    move |key: Key, shape: &Shape| {
        let [others @ .., columns] = shape.dims() else { raise(Error::invalid("orthogonal", "a scalar is no matrix")) };
        if others.is_empty() {
            raise(Error::invalid("orthogonal", format!("makes matrices; shape {shape} has one axis")));
        }
        let (columns, rows) = (*columns, others.iter().product::<usize>());
        // JAX draws the matrix with more rows than columns.
        let matrix = key.normal([rows.max(columns), rows.min(columns)]);
        let vectors = orthonormal_rows(&matrix.mt());
        let matrix = if columns >= rows { vectors } else { vectors.mt() };
        matrix.reshape(shape.dims()) * scale
    }
}

/// The rows made orthonormal, each with those before.
///
/// By Gram and Schmidt's method, twice, without which what is lost to rounding grows with the matrix; block by
/// block, so that most of it is products of matrices.
fn orthonormal_rows(rows: &Tensor) -> Tensor {
    const BLOCK: usize = 64;
    let (count, length) = (rows.dim(0), rows.dim(1));
    let mut done: Option<Tensor> = None;
    for start in (0..count).step_by(BLOCK) {
        let size = BLOCK.min(count - start);
        let mut block = rows.i(start as isize..(start + size) as isize);
        for _ in 0..2 {
            if let Some(done) = &done {
                block = &block - block.matmul(done.mt()).matmul(done);
            }
            block = orthonormal_block(&block, size, length);
        }
        done = Some(match done {
            Some(done) => Tensor::concatenate(&[done, block], 0),
            None => block,
        });
    }
    done.unwrap_or_else(|| rows.clone())
}

fn orthonormal_block(block: &Tensor, size: usize, length: usize) -> Tensor {
    let step = |i: Tensor, (block, done): (Tensor, Tensor)| {
        let starts = [i, Tensor::scalar(0_i32)];
        let row = block.dynamic_slice(starts.clone(), [1, length]);
        // Rows that are not done yet are still 0, and take nothing away.
        let row = &row - row.matmul(done.mt()).matmul(&done);
        let row = &row / row.square().sum().sqrt();
        (block, done.dynamic_update_slice(&row, starts))
    };
    fori_loop(0, size as i32, step, (block.clone(), block.zeros_like())).1
}
