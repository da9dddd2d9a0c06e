//! Attention of sequences to themselves and others.

mod block;
mod cache;
mod position;

pub use block::{TransformerBlock, TransformerBlockWithCache, TransformerBlockWithMask};
pub use cache::{AttentionWithCache, KvCache};
pub use position::PositionEmbedding;

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Error, Shape, Tensor, raise};

use super::{Dense, Dropout, Tag};
use crate::functions::{attention_with, causal_mask, rotary_positions};
use crate::init::{Init, Initializer, glorot_normal, zeros};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Multi-head attention (Vaswani et al. 2017) of sequences of shape [batch.., sequence, channels] to themselves, or,
/// as a module of `(x, memory)`, of `x` to another sequence, of shape [batch.., other sequence, other channels].
///
/// Parameters: `kernel` (inputs, outputs), drawn by [`glorot_normal`], and `bias` (outputs), zeros, of `query`, `key`,
/// `value` and `out`. Heads lie side by side along the outputs of the first three.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = MultiHeadAttention::new(4).causal().rotary(10000.0);
/// let x = Key::new(1).normal([2, 7, 32]);
/// let params = layer.init_params(Key::new(0), &x);
/// assert_eq!(params["query.kernel"].shape().dims(), [32, 32]);
/// let y = layer.apply(&params, &x);
/// assert_eq!(y.shape().dims(), [2, 7, 32]);
/// // What comes later changes nothing.
/// assert!(layer.apply(&params, &x.i((.., ..3))).allclose(y.i((.., ..3)), 1e-5, 1e-5));
///
/// // To another sequence.
/// let layer = MultiHeadAttention::new(4);
/// let memory = Key::new(2).normal([2, 11, 48]);
/// let params = layer.init_params(Key::new(0), &(x.clone(), memory.clone()));
/// assert_eq!(params["key.kernel"].shape().dims(), [48, 32]);
/// assert_eq!(layer.apply(&params, &(x, memory)).shape().dims(), [2, 7, 32]);
/// ```
#[derive(Clone)]
pub struct MultiHeadAttention {
    tag: Tag,
    heads: usize,
    /// As many as there are heads, if not said.
    key_value_heads: Option<usize>,
    /// The channels divided by the heads, if not said.
    head_size: Option<usize>,
    /// As many as there are inputs, if not said.
    out_channels: Option<usize>,
    causal: bool,
    /// The base of rotary positions, if there are any.
    rotary: Option<f64>,
    dropout: Dropout,
    kernel_init: Init,
    bias_init: Option<Init>,
}

impl MultiHeadAttention {
    /// With so many heads.
    ///
    /// # Panics
    ///
    /// If there are none.
    #[track_caller]
    pub fn new(heads: usize) -> Self {
        if heads == 0 {
            raise(Error::invalid("MultiHeadAttention", "needs at least one head"));
        }
        MultiHeadAttention {
            tag: Tag::new("multi_head_attention"),
            heads,
            key_value_heads: None,
            head_size: None,
            out_channels: None,
            causal: false,
            rotary: None,
            dropout: Dropout::new(0.0),
            kernel_init: Init::new(glorot_normal()),
            bias_init: Some(Init::new(zeros())),
        }
    }

    /// Fewer heads of keys and values than of queries, each of which serves several (Ainslie et al. 2023); with 1, all
    /// (Shazeer 2019).
    ///
    /// # Panics
    ///
    /// If the heads cannot be shared out evenly.
    #[track_caller]
    pub fn key_value_heads(self, key_value_heads: usize) -> Self {
        if key_value_heads == 0 || !self.heads.is_multiple_of(key_value_heads) {
            raise(Error::invalid(
                "MultiHeadAttention",
                format!("{} heads cannot share {key_value_heads} heads of keys and values evenly", self.heads),
            ));
        }
        MultiHeadAttention { key_value_heads: Some(key_value_heads), ..self }
    }

    /// The features of each head; the input's channels divided by the heads otherwise.
    pub fn head_size(self, size: usize) -> Self {
        MultiHeadAttention { head_size: Some(size), ..self }
    }

    /// The channels of the result; those of the input otherwise.
    pub fn out_channels(self, channels: usize) -> Self {
        MultiHeadAttention { out_channels: Some(channels), ..self }
    }

    /// Attending to itself, each place sees those until itself only.
    pub fn causal(self) -> Self {
        MultiHeadAttention { causal: true, ..self }
    }

    /// Attending to itself, queries and keys are turned by their positions, with this base, 10000 usually: see
    /// [`rotary_positions`].
    pub fn rotary(self, base: f64) -> Self {
        MultiHeadAttention { rotary: Some(base), ..self }
    }

    /// In training, drops this share of weights of places to attend to.
    ///
    /// # Panics
    ///
    /// If the rate is not in `0..=1`.
    #[track_caller]
    pub fn dropout(self, rate: f64) -> Self {
        MultiHeadAttention { dropout: Dropout::new(rate), ..self }
    }

    /// The layer with another initializer of its kernels.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        MultiHeadAttention { kernel_init: Init::new(init), ..self }
    }

    /// The layer with another initializer of its biases.
    pub fn with_bias_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        MultiHeadAttention { bias_init: Some(Init::new(init)), ..self }
    }

    /// The layer without biases.
    pub fn without_bias(self) -> Self {
        MultiHeadAttention { bias_init: None, ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        MultiHeadAttention { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        MultiHeadAttention { tag: self.tag.fresh(), ..self.clone() }
    }

    /// The same layer as a module of `(x, mask)`, or of `((x, memory), mask)`, with masks as those of
    /// [`dot_product_attention`](crate::dot_product_attention), which broadcast against
    /// [batch.., heads, queries, keys].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = MultiHeadAttention::new(2);
    /// let x = Key::new(1).normal([2, 7, 8]);
    /// let params = layer.init_params(Key::new(0), &x);
    /// // The second sequence is shorter.
    /// let mask = padding_mask(&tensor![7, 4], 7).expand_dims(-2).expand_dims(-2);
    /// let y = layer.with_mask().apply(&params, &(x.clone(), mask));
    /// assert!(layer.apply(&params, &x.i((1, ..4))).allclose(y.i((1, ..4)), 1e-5, 1e-6));
    /// ```
    pub fn with_mask(&self) -> AttentionWithMask {
        AttentionWithMask(self.clone())
    }

    fn key_value(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    /// The features of a head for inputs like this, or what is wrong with them.
    fn size_for(&self, x: &Tensor) -> Result<usize, String> {
        if x.rank() < 2 {
            return Err(format!("needs inputs of shape [batch.., sequence, channels], got {}", x.shape()));
        }
        match self.head_size {
            Some(size) => Ok(size),
            None if x.dim(-1).is_multiple_of(self.heads) => Ok(x.dim(-1) / self.heads),
            None => Err(format!(
                "{} heads cannot share the {} channels of {} evenly; see `head_size`",
                self.heads,
                x.dim(-1),
                x.aval()
            )),
        }
    }

    #[track_caller]
    fn checked_size(&self, cx: &Scope<'_>, x: &Tensor) -> usize {
        match self.size_for(x) {
            Ok(size) => size,
            Err(message) => cx.fail("MultiHeadAttention", message),
        }
    }

    fn dense(&self, outputs: usize) -> Dense {
        let layer = Dense::new(outputs).with_kernel_init(self.kernel_init.clone());
        match &self.bias_init {
            Some(init) => layer.with_bias_init(init.clone()),
            None => layer.without_bias(),
        }
    }

    /// Channels as features of heads, of shape [batch.., sequence, heads, features].
    #[track_caller]
    fn project(&self, cx: &mut Scope<'_>, name: &str, heads: usize, size: usize, x: &Tensor) -> Tensor {
        let y = cx.call_named(name, &self.dense(heads * size), x);
        let shape: Shape = x.shape()[..x.rank() - 1].iter().copied().chain([heads, size]).collect();
        y.reshape(shape.dims())
    }

    /// Queries, keys and values of a sequence that attends to itself, from its positions on.
    #[track_caller]
    fn project_self(&self, cx: &mut Scope<'_>, x: &Tensor, positions: &Tensor) -> [Tensor; 3] {
        let size = self.checked_size(cx, x);
        let key_value = self.key_value();
        let query = self.project(cx, "query", self.heads, size, x);
        let key = self.project(cx, "key", key_value, size, x);
        let value = self.project(cx, "value", key_value, size, x);
        match self.rotary {
            Some(base) => {
                if !size.is_multiple_of(2) {
                    cx.fail("MultiHeadAttention", format!("rotary positions need heads of even size, got {size}"))
                }
                [rotary_positions(&query, positions, base), rotary_positions(&key, positions, base), value]
            }
            None => [query, key, value],
        }
    }

    /// What is attended to, as channels.
    #[track_caller]
    fn attend(
        &self,
        cx: &mut Scope<'_>,
        x: &Tensor,
        [query, key, value]: [Tensor; 3],
        mask: Option<&Tensor>,
    ) -> Tensor {
        let result = attention_with(&query, &key, &value, mask, |weights| cx.call(&self.dropout, &weights));
        let y = match result {
            Ok(y) => y,
            Err(Error::Invalid { message, .. }) => cx.fail("MultiHeadAttention", message),
            Err(error) => raise(error),
        };
        let flat: Shape = x.shape()[..x.rank() - 1].iter().copied().chain([y.dim(-2) * y.dim(-1)]).collect();
        let out = self.dense(self.out_channels.unwrap_or(x.dim(-1)));
        cx.call_named("out", &out, &y.reshape(flat.dims()))
    }

    #[track_caller]
    fn to_self(&self, cx: &mut Scope<'_>, x: &Tensor, mask: Option<&Tensor>) -> Tensor {
        self.checked_size(cx, x);
        let length = x.dim(-2);
        let all = self.project_self(cx, x, &Tensor::range(length));
        let causal = self.causal.then(|| causal_mask(length, length));
        let mask = both(causal, mask);
        self.attend(cx, x, all, mask.as_ref())
    }

    #[track_caller]
    fn to_other(&self, cx: &mut Scope<'_>, x: &Tensor, memory: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let size = self.checked_size(cx, x);
        if memory.rank() != x.rank() || memory.shape()[..x.rank() - 2] != x.shape()[..x.rank() - 2] {
            cx.fail(
                "MultiHeadAttention",
                format!(
                    "needs a memory of shape [batch.., sequence, channels] with the batch of {}, got {}",
                    x.shape(),
                    memory.shape()
                ),
            )
        }
        let query = self.project(cx, "query", self.heads, size, x);
        let key = self.project(cx, "key", self.key_value(), size, memory);
        let value = self.project(cx, "value", self.key_value(), size, memory);
        self.attend(cx, x, [query, key, value], mask)
    }
}

/// A mask of booleans and another one, which may be of numbers, as one.
#[track_caller]
fn both(causal: Option<Tensor>, mask: Option<&Tensor>) -> Option<Tensor> {
    match (causal, mask) {
        (Some(causal), Some(mask)) if mask.dtype() == jaxnet_tensor::DType::Bool => Some(causal & mask),
        (Some(causal), Some(mask)) => Some(causal.select(mask, f64::NEG_INFINITY)),
        (Some(causal), None) => Some(causal),
        (None, mask) => mask.cloned(),
    }
}

impl Module<Tensor> for MultiHeadAttention {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.to_self(cx, x, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// To another sequence.
impl Module<(Tensor, Tensor)> for MultiHeadAttention {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, (x, memory): &(Tensor, Tensor)) -> Tensor {
        self.to_other(cx, x, memory, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// Attention with a mask: see [`MultiHeadAttention::with_mask`].
#[derive(Clone)]
pub struct AttentionWithMask(MultiHeadAttention);

impl Module<(Tensor, Tensor)> for AttentionWithMask {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, (x, mask): &(Tensor, Tensor)) -> Tensor {
        self.0.to_self(cx, x, Some(mask))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

/// To another sequence.
impl Module<((Tensor, Tensor), Tensor)> for AttentionWithMask {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, ((x, memory), mask): &((Tensor, Tensor), Tensor)) -> Tensor {
        self.0.to_other(cx, x, memory, Some(mask))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}
