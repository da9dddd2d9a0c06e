//! Learned positions.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::Tensor;

use super::super::{Embedding, Tag};
use crate::init::{Init, Initializer, normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Adds a learned vector for each place to sequences of shape [batch.., sequence, channels], or, as a module of
/// `(x, positions)`, those of these places, integers that broadcast against [batch.., sequence].
///
/// Parameter: `embedding` (length at most, channels), drawn by [`normal(0.02)`](normal).
///
/// [`sinusoidal_positions`](crate::sinusoidal_positions) are fixed ones; [`rotary_positions`](crate::rotary_positions)
/// are for attention.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = PositionEmbedding::new(100);
/// let x = Tensor::zeros([2, 7, 4]);
/// let params = layer.init_params(Key::new(0), &x);
/// let y = layer.apply(&params, &x);
/// assert!(y.i(1).array_equal(params["embedding"].i(..7)));
/// assert!(layer.apply(&params, &(x.i((.., 3..4)), tensor![3])).array_equal(y.i((.., 3..4))));
/// ```
#[derive(Clone)]
pub struct PositionEmbedding {
    tag: Tag,
    max_length: usize,
    init: Init,
}

impl PositionEmbedding {
    /// For sequences of at most this length.
    pub fn new(max_length: usize) -> Self {
        PositionEmbedding { tag: Tag::new("position_embedding"), max_length, init: Init::new(normal(0.02)) }
    }

    /// The layer with another initializer.
    pub fn with_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        PositionEmbedding { init: Init::new(init), ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        PositionEmbedding { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        PositionEmbedding { tag: self.tag.fresh(), ..self.clone() }
    }

    #[track_caller]
    fn check(&self, cx: &Scope<'_>, x: &Tensor) {
        if x.rank() < 2 {
            let shape = x.shape();
            cx.fail("PositionEmbedding", format!("needs inputs of shape [batch.., sequence, channels], got {shape}"))
        }
    }
}

impl Module<Tensor> for PositionEmbedding {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.check(cx, x);
        let (length, most) = (x.dim(-2), self.max_length);
        if length > most {
            cx.fail("PositionEmbedding", format!("there are vectors for {most} places, got {} of {}", length, x.aval()))
        }
        let vectors = cx.param("embedding", [most, x.dim(-1)], self.init.clone());
        x + vectors.i(..length as isize)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

impl Module<(Tensor, Tensor)> for PositionEmbedding {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, (x, positions): &(Tensor, Tensor)) -> Tensor {
        self.check(cx, x);
        let channels = x.shape().rank() - 1;
        if positions.shape().broadcast(&x.shape().without_axis(channels)) != Some(x.shape().without_axis(channels)) {
            cx.fail(
                "PositionEmbedding",
                format!(
                    "positions of {} do not broadcast against [batch.., sequence] of {}",
                    positions.aval(),
                    x.aval()
                ),
            )
        }
        // As an embedding of its own name, it has this layer's place and refuses what is out of range.
        let embedding = Embedding::new(self.max_length, x.dim(-1)).with_init(self.init.clone());
        x + embedding.forward(cx, positions)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
