//! Norms of gradients, and gradients that are cut down to one.

use jaxnet_tensor::{DType, Error, OrRaise, Tensor, Tree, raise, tree};

use crate::moments::{norm, root_mean_square};
use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;

/// The root of the sum of the squares of all elements of all leaves; 0 for a tree without leaves. In
/// f64 if a leaf is, else in f32.
///
/// ```
/// use jaxnet_optim::global_norm;
/// use jaxnet_tensor::tensor;
/// assert_eq!(global_norm(&(tensor![3.0], tensor![[0.0], [4.0]])).item::<f32>(), 5.0);
/// ```
#[track_caller]
pub fn global_norm<T: Tree>(tree: &T) -> Tensor {
    let leaves = tree.leaves();
    let dtype = if leaves.iter().any(|leaf| leaf.dtype() == DType::F64) { DType::F64 } else { DType::F32 };
    let squares = leaves.iter().map(|leaf| leaf.astype(dtype).square().sum());
    squares.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::scalar(0_f32)).sqrt()
}

/// The same tree, scaled down so that its [`global_norm`] is `max_norm` where it would be more.
///
/// Pascanu et al., [On the difficulty of training recurrent neural
/// networks](https://arxiv.org/abs/1211.5063), 2012.
///
/// ```
/// use jaxnet_optim::{Optimizer, Sgd, clip_by_global_norm};
/// use jaxnet_autograd::grad;
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let opt = Sgd::new(1.0);
/// let state = opt.init(tensor![3.0, 4.0]);
/// let gradients = grad(|x: Tensor| x.square().sum())(opt.params(&state).clone());
/// let state = opt.update_from_gradients(clip_by_global_norm(gradients, 2.5), state);
/// assert!(opt.params(&state).allclose(tensor![1.5, 2.0], 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If `max_norm` is negative or NaN, or a leaf is not of floating-point numbers.
#[track_caller]
pub fn clip_by_global_norm<T: Tree>(tree: T, max_norm: f64) -> T {
    let op = "clip_by_global_norm";
    let max_norm = limit(op, "norm", max_norm);
    if let Some((path, leaf)) = tree::paths(&tree).iter().zip(tree.leaves()).find(|(_, leaf)| !leaf.dtype().is_float())
    {
        let here = if path.is_empty() { String::new() } else { format!("`{path}` is ") };
        raise(Error::invalid(op, format!("gradients are of floating-point numbers, but {here}{}", leaf.aval())));
    }
    let norm = global_norm(&tree);
    let fits = norm.le(max_norm);
    // Where it fits the divisor is not used, but must not be 0.
    let scale = fits.select(1.0, max_norm / fits.select(1.0, &norm));
    let (leaves, structure) = tree::flatten(&tree);
    drop(tree);
    let scaled = leaves.into_iter().map(|leaf| {
        // In the norm's dtype, so that what overflows half precision only as a sum is scaled right.
        (leaf.astype(norm.dtype()) * &scale).astype(leaf.dtype())
    });
    tree::unflatten(&structure, scaled.collect()).or_raise()
}

#[track_caller]
fn limit(op: &str, what: &str, max: f64) -> f64 {
    if max.is_nan() || max < 0.0 {
        raise(Error::invalid(op, format!("the greatest {what} must be at least 0, got {max}")));
    }
    max
}

/// `x` times `max / size` where that is less than 1.
fn shrunk(x: &Tensor, size: Tensor, max: impl jaxnet_tensor::Operand) -> Tensor {
    let max = max.into_tensor();
    let fits = size.le(&max);
    // Where it fits the divisor is not used, but must not be 0.
    x * fits.select(1.0, max / fits.select(1.0, size))
}

/// Moves each element of the gradients into the range from `-max` to `max`, as `clip` of optax.
///
/// ```
/// use jaxnet_optim::{ClipByValue, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (ClipByValue::new(1.0), Sgd::new(1.0));
/// let state = opt.update_from_gradients(tensor![0.5, -7.0], opt.init(tensor![0.0, 0.0]));
/// assert_eq!(opt.params(&state).to_vec::<f32>(), [-0.5, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct ClipByValue {
    max: f64,
}

impl ClipByValue {
    /// With the greatest absolute value.
    ///
    /// # Panics
    ///
    /// If it is negative or NaN.
    #[track_caller]
    pub fn new(max: f64) -> Self {
        ClipByValue { max: limit("ClipByValue", "value", max) }
    }
}

impl UpdateRule for ClipByValue {
    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        gradients.iter().map(|g| g.clip(-self.max, self.max)).collect()
    }
}

/// Scales the gradient of each parameter down, so that its norm is `max` where it would be more.
///
/// ```
/// use jaxnet_optim::{ClipByNorm, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (ClipByNorm::new(1.0), Sgd::new(1.0));
/// let gradients = (tensor![3.0, 4.0], tensor![0.5]);
/// let state = opt.update_from_gradients(gradients, opt.init((tensor![0.0, 0.0], tensor![0.0])));
/// let (a, b) = opt.params(&state);
/// assert!(a.allclose(tensor![-0.6, -0.8], 1e-6, 0.0) && b.allclose(-0.5, 0.0, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct ClipByNorm {
    max: f64,
}

impl ClipByNorm {
    /// With the greatest norm of a parameter's gradient.
    ///
    /// # Panics
    ///
    /// If it is negative or NaN.
    #[track_caller]
    pub fn new(max: f64) -> Self {
        ClipByNorm { max: limit("ClipByNorm", "norm", max) }
    }
}

impl UpdateRule for ClipByNorm {
    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        gradients.iter().map(|g| shrunk(g, norm(g), self.max)).collect()
    }
}

/// [`clip_by_global_norm`] as a rule, to put before an optimizer.
///
/// ```
/// use jaxnet_optim::{ClipByGlobalNorm, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (ClipByGlobalNorm::new(1.0), Sgd::new(1.0));
/// let state = opt.update_from_gradients((tensor![3.0], tensor![4.0]), opt.init((tensor![0.0], tensor![0.0])));
/// let (a, b) = opt.params(&state);
/// assert!(a.allclose(-0.6, 1e-6, 0.0) && b.allclose(-0.8, 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct ClipByGlobalNorm {
    max: f64,
}

impl ClipByGlobalNorm {
    /// With the greatest norm of all gradients together.
    ///
    /// # Panics
    ///
    /// If it is negative or NaN.
    #[track_caller]
    pub fn new(max: f64) -> Self {
        ClipByGlobalNorm { max: limit("ClipByGlobalNorm", "norm", max) }
    }
}

impl UpdateRule for ClipByGlobalNorm {
    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        clip_by_global_norm(gradients, self.max)
    }
}

/// Scales the gradient of each parameter down, so that the root of the mean of its squares is `max` where it would
/// be more, as `clip_by_block_rms` of optax.
///
/// Shazeer and Stern, [Adafactor](https://arxiv.org/abs/1804.04235), 2018.
///
/// ```
/// use jaxnet_optim::{ClipByRms, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (ClipByRms::new(1.0), Sgd::new(1.0));
/// let state = opt.update_from_gradients(tensor![8.0, -8.0], opt.init(tensor![0.0, 0.0]));
/// assert!(opt.params(&state).allclose(tensor![-1.0, 1.0], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct ClipByRms {
    max: f64,
}

impl ClipByRms {
    /// With the greatest root of a mean of squares.
    ///
    /// # Panics
    ///
    /// If it is negative or NaN.
    #[track_caller]
    pub fn new(max: f64) -> Self {
        ClipByRms { max: limit("ClipByRms", "root of the mean of squares", max) }
    }
}

impl UpdateRule for ClipByRms {
    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        gradients.iter().map(|g| shrunk(g, root_mean_square(g), self.max)).collect()
    }
}

/// Scales the gradient of each unit down, so that its norm is at most `max` times that of the unit's parameters, as
/// `adaptive_grad_clip` of optax. A unit is what one output is made of: all but the last axis of a kernel (for three
/// axes the first alone), the whole of a vector.
///
/// Brock et al., [High-Performance Large-Scale Image Recognition Without
/// Normalization](https://arxiv.org/abs/2102.06171), 2021. `eps` is 1e-3.
///
/// ```
/// use jaxnet_optim::{AdaptiveClip, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (AdaptiveClip::new(0.5), Sgd::new(1.0));
/// // Two units, of norms 2 and 10, whose gradients have the norm 4.
/// let state = opt.init(tensor![[2.0, 0.0], [0.0, 10.0]]);
/// let state = opt.update_from_gradients(tensor![[4.0, 0.0], [0.0, 4.0]], state);
/// assert!(opt.params(&state).allclose(tensor![[1.0, 0.0], [0.0, 6.0]], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveClip {
    max: f64,
    eps: f64,
}

impl AdaptiveClip {
    /// With the greatest ratio of norms.
    ///
    /// # Panics
    ///
    /// If it is negative or NaN.
    #[track_caller]
    pub fn new(max: f64) -> Self {
        AdaptiveClip { max: limit("AdaptiveClip", "ratio", max), eps: 1e-3 }
    }

    /// The least norm that a unit counts as having, so that those that are 0 move.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

/// The norms of units, with as many axes.
fn unit_norms(x: &Tensor) -> Tensor {
    let vector = x.shape().iter().filter(|&&size| size != 1).count() <= 1;
    let axes = match x.rank() {
        rank if vector => 0..rank as isize,
        2 | 3 => 0..1,
        rank => 0..rank as isize - 1,
    };
    x.square().sum_keepdims(axes.collect::<Vec<isize>>()).sqrt()
}

impl UpdateRule for AdaptiveClip {
    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        let each = gradients.iter().zip(params.iter());
        each.map(|(g, param)| shrunk(g, unit_norms(g), unit_norms(param).maximum(self.eps) * self.max)).collect()
    }
}
