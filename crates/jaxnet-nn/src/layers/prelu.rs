//! Activations that learn.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Shape, Tensor};

use super::Tag;
use crate::init::{Init, Initializer, constant};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// `x` where that is at least 0, and a learned `slope` times `x` elsewhere (He et al. 2015).
///
/// Parameter: `slope`, one number, or one for each channel along the last axis; 0.01 at first, as in Flax. (PyTorch
/// has 0.25.)
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = PRelu::new().with_init(constant(0.5));
/// let x = tensor![-2.0, 0.0, 3.0];
/// let params = layer.init_params(Key::new(0), &x);
/// assert_eq!(layer.apply(&params, &x).to_vec::<f32>(), [-1.0, 0.0, 3.0]);
/// ```
#[derive(Clone)]
pub struct PRelu {
    tag: Tag,
    per_channel: bool,
    init: Init,
}

impl Default for PRelu {
    fn default() -> Self {
        PRelu::new()
    }
}

impl PRelu {
    /// With one slope for all.
    pub fn new() -> Self {
        PRelu { tag: Tag::new("prelu"), per_channel: false, init: Init::new(constant(0.01)) }
    }

    /// With a slope for each channel along the last axis.
    pub fn per_channel(self) -> Self {
        PRelu { per_channel: true, ..self }
    }

    /// The layer with another initializer.
    pub fn with_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        PRelu { init: Init::new(init), ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        PRelu { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        PRelu { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl Module<Tensor> for PRelu {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if self.per_channel && x.rank() == 0 {
            cx.fail("PRelu", "needs an input with an axis of channels, got a scalar")
        }
        let shape = if self.per_channel { Shape::from([x.dim(-1)]) } else { Shape::scalar() };
        let slope = cx.param("slope", shape, self.init.clone());
        x.ge(0).select(x, x * slope)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
