//! Fully connected layers.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::Tensor;

use super::Tag;
use super::norm::WeightNorm;
use crate::init::{Init, Initializer, glorot_normal, normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// `x @ kernel + bias` along the last axis, with any other axes before it.
///
/// Parameters: `kernel` (inputs, outputs), drawn by [`glorot_normal`], and `bias` (outputs), drawn by
/// [`normal(1e-2)`](normal).
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = Dense::new(4).with_bias_init(zeros());
/// let x = Tensor::ones([2, 3]);
/// let params = layer.init_params(Key::new(0), &x);
/// assert_eq!(params["kernel"].shape().dims(), [3, 4]);
/// assert_eq!(layer.apply(&params, &x).shape().dims(), [2, 4]);
/// ```
#[derive(Clone)]
pub struct Dense {
    tag: Tag,
    out_dim: usize,
    kernel_init: Init,
    bias_init: Option<Init>,
    weight_norm: Option<WeightNorm>,
}

impl Dense {
    /// A layer with so many outputs.
    pub fn new(out_dim: usize) -> Self {
        Dense {
            tag: Tag::new("dense"),
            out_dim,
            kernel_init: Init::new(glorot_normal()),
            bias_init: Some(Init::new(normal(1e-2))),
            weight_norm: None,
        }
    }

    /// The layer with another initializer of its kernel.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Dense { kernel_init: Init::new(init), ..self }
    }

    /// The layer with another initializer of its bias.
    pub fn with_bias_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Dense { bias_init: Some(Init::new(init)), ..self }
    }

    /// The layer without a bias.
    pub fn without_bias(self) -> Self {
        Dense { bias_init: None, ..self }
    }

    /// The layer with its kernel split into directions, `kernel`, and lengths, `scale`: weight normalization
    /// (Salimans and Kingma 2016). For the inputs that the parameters are made with, each output channel has mean 0
    /// (unless the layer has no bias) and this standard deviation, usually 1; after that, `scale` and `bias` are
    /// parameters like others.
    ///
    /// The initializer of the bias does not count then.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = Dense::new(4).weight_norm(1.0);
    /// let x = Key::new(1).normal([16, 3]) * 5.0 + 3.0;
    /// let params = layer.init_params(Key::new(0), &x);
    /// assert_eq!(params.paths(), ["kernel", "scale", "bias"]);
    /// let y = layer.apply(&params, &x);
    /// assert!(y.mean_axis(0).allclose(Tensor::zeros([4]), 0.0, 1e-4));
    /// assert!(y.std_axis(0).allclose(Tensor::ones([4]), 1e-3, 0.0));
    /// ```
    pub fn weight_norm(self, init_scale: f64) -> Self {
        Dense { weight_norm: Some(WeightNorm { init_scale }), ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Dense { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        Dense { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl Module<Tensor> for Dense {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if x.rank() == 0 {
            cx.fail("Dense", "needs an input with an axis of features, got a scalar; reshape it to [1]")
        }
        let kernel = cx.param("kernel", [x.dim(-1), self.out_dim], self.kernel_init.clone());
        if let Some(norm) = self.weight_norm {
            return norm.run(cx, &kernel, 1, x.rank() - 1, self.bias_init.is_some(), |kernel| x.matmul(kernel));
        }
        let y = x.matmul(&kernel);
        match &self.bias_init {
            Some(init) => y + cx.param("bias", [self.out_dim], init.clone()),
            None => y,
        }
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
