//! Fully connected layers.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::Tensor;

use super::Tag;
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
}

impl Dense {
    /// A layer with so many outputs.
    pub fn new(out_dim: usize) -> Self {
        Dense {
            tag: Tag::new("dense"),
            out_dim,
            kernel_init: Init::new(glorot_normal()),
            bias_init: Some(Init::new(normal(1e-2))),
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
