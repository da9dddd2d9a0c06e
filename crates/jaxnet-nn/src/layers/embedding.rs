//! Embeddings.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{DType, Element, Shape, Tensor, with_dtype};

use super::Tag;
use crate::init::{Init, Initializer, normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A learned vector for each of the numbers `0..count`: integers of any shape become vectors along a new last
/// axis.
///
/// Parameter: `embedding` (count, features), drawn by [`normal(1 / sqrt(features))`](normal), as in Flax.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let words = Embedding::new(1000, 8);
/// let sentences = tensor![[3, 999, 0], [5, 5, 1]];
/// let params = words.init_params(Key::new(0), &sentences);
/// assert_eq!(params["embedding"].shape().dims(), [1000, 8]);
/// assert_eq!(words.apply(&params, &sentences).shape().dims(), [2, 3, 8]);
/// ```
///
/// # Panics
///
/// If inputs are not integers, or one of them is none of `0..count`. Where their values are not known yet, as in
/// compiled functions, the vector of a number that is none of them is NaN instead.
#[derive(Clone)]
pub struct Embedding {
    tag: Tag,
    count: usize,
    features: usize,
    init: Init,
}

impl Embedding {
    /// So many vectors with so many features.
    pub fn new(count: usize, features: usize) -> Self {
        let init = Init::new(normal(1.0 / (features.max(1) as f64).sqrt()));
        Embedding { tag: Tag::new("embedding"), count, features, init }
    }

    /// The layer with another initializer.
    pub fn with_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Embedding { init: Init::new(init), ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Embedding { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        Embedding { tag: self.tag.fresh(), ..self.clone() }
    }

    /// The same parameters the other way round: from vectors (along the last axis) to their products with each
    /// of the embedding's, which may be the logits of a model that predicts what it embeds (weight tying).
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let words = Embedding::new(100, 8);
    /// let net = sequential![words.clone(), Dense::new(8), tanh, words.attend()];
    /// let sentence = tensor![3, 99, 0];
    /// let params = net.init_params(Key::new(0), &sentence);
    /// assert_eq!(params.paths(), ["embedding.embedding", "dense.kernel", "dense.bias"]);
    /// assert_eq!(net.apply(&params, &sentence).shape().dims(), [3, 100]);
    /// ```
    pub fn attend(&self) -> Attend {
        Attend { embedding: self.clone() }
    }

    #[track_caller]
    fn vectors(&self, cx: &mut Scope<'_>) -> Tensor {
        cx.param("embedding", [self.count, self.features], self.init.clone())
    }
}

impl Module<Tensor> for Embedding {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if !x.dtype().is_integer() {
            cx.fail("Embedding", format!("needs integers, got {}; convert them with `.astype(DType::I32)`", x.aval()))
        }
        let known = !x.is_traced();
        if known {
            let found: Vec<i64> = with_dtype!(x.dtype(), T => {
                x.to_vec::<T>().into_iter().map(Element::to_i64).collect()
            });
            if let Some(wrong) = found.into_iter().find(|&number| number < 0 || number >= self.count as i64) {
                cx.fail("Embedding", format!("{wrong} is none of the {} numbers, which count from 0", self.count))
            }
        }
        let vectors = self.vectors(cx);
        if self.count == 0 {
            let shape: Shape = x.shape().iter().copied().chain([self.features]).collect();
            return vectors.sum_keepdims(0).broadcast_to(shape) + f64::NAN;
        }
        let y = vectors.take(x, 0);
        if known {
            return y;
        }
        // Without this a wrong number would have its neighbour's vector.
        let numbers = x.astype(DType::I64);
        let inside = numbers.ge(0) & numbers.lt(self.count as i64);
        inside.expand_dims(-1).select(y, f64::NAN)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// The products of vectors with those of an embedding: see [`Embedding::attend`].
#[derive(Clone)]
pub struct Attend {
    embedding: Embedding,
}

impl Module<Tensor> for Attend {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if x.rank() == 0 || x.dim(-1) != self.embedding.features {
            cx.fail("Attend", format!("needs vectors of {} features, got shape {}", self.embedding.features, x.shape()))
        }
        x.matmul(self.embedding.vectors(cx).t())
    }

    /// That of the embedding, whose place in parameter trees it shares.
    fn id(&self) -> Option<ModuleId> {
        self.embedding.id()
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.embedding.tag.name)
    }
}
