//! Transformer blocks.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::Tensor;

use super::super::{Dense, Dropout, LayerNorm, RmsNorm, Tag};
use super::{KvCache, MultiHeadAttention};
use crate::functions::gelu;
use crate::init::zeros;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A block of a transformer (Vaswani et al. 2017): attention, and two dense layers at each place, each of both added
/// to what goes in, for sequences of shape [batch.., sequence, channels].
///
/// As a module of `(x, memory)` it is a decoder's block, which in between attends to the other sequence.
///
/// Layers are normalized before each part, as in GPT-2, PyTorch's `norm_first` and Flax's examples, or after each
/// sum: see [`post_norm`](Self::post_norm). A stack of blocks with normalization before wants one more at its end.
///
/// Parameters: those of the attention, a [`MultiHeadAttention`], below `attention`; of a [`LayerNorm`] below
/// `attention_norm` and `hidden_norm`; of a [`Dense`] below `hidden` and `out`; if there is a memory, `memory_attention`
/// and `memory_norm`; if it is gated, `gate`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let block = |heads| TransformerBlock::new(MultiHeadAttention::new(heads).causal(), 64).dropout(0.1);
/// let words = Embedding::new(100, 16);
/// let net = sequential![words.clone(), PositionEmbedding::new(32), block(4), block(4), LayerNorm::new(), words.attend()];
/// let text = tensor![[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]];
/// let params = net.init_params(Key::new(0), &text);
/// assert_eq!(params["transformer_block1.hidden.kernel"].shape().dims(), [16, 64]);
/// assert_eq!(net.apply(&params, &text).shape().dims(), [2, 5, 100]);
/// ```
#[derive(Clone)]
pub struct TransformerBlock {
    tag: Tag,
    attention: MultiHeadAttention,
    memory_attention: MultiHeadAttention,
    hidden: usize,
    activation: fn(&Tensor) -> Tensor,
    gated: bool,
    post_norm: bool,
    rms_norm: bool,
    epsilon: Option<f64>,
    dropout: Dropout,
    bias: bool,
}

impl TransformerBlock {
    /// With this attention and so many hidden units at each place.
    pub fn new(attention: MultiHeadAttention, hidden: usize) -> Self {
        TransformerBlock {
            tag: Tag::new("transformer_block"),
            memory_attention: attention.fresh(),
            attention,
            hidden,
            activation: gelu,
            gated: false,
            post_norm: false,
            rms_norm: false,
            epsilon: None,
            dropout: Dropout::new(0.0),
            bias: true,
        }
    }

    /// The function of hidden units; [`gelu`] otherwise.
    pub fn with_activation(self, activation: fn(&Tensor) -> Tensor) -> Self {
        TransformerBlock { activation, ..self }
    }

    /// Hidden units `activation(gate) * hidden`, which have a third dense layer (Shazeer 2020), as in LLaMA with
    /// [`silu`](crate::silu).
    pub fn gated(self) -> Self {
        TransformerBlock { gated: true, ..self }
    }

    /// Normalizes after each sum, as the original and PyTorch's default, not before each part.
    pub fn post_norm(self) -> Self {
        TransformerBlock { post_norm: true, ..self }
    }

    /// Normalizes with [`RmsNorm`], as in LLaMA.
    pub fn rms_norm(self) -> Self {
        TransformerBlock { rms_norm: true, ..self }
    }

    /// What is added to variances in normalization; that of [`LayerNorm`] or [`RmsNorm`] otherwise.
    pub fn epsilon(self, epsilon: f64) -> Self {
        TransformerBlock { epsilon: Some(epsilon), ..self }
    }

    /// In training, drops this share of hidden units and of what parts give. Attention has a rate of its own, for
    /// its weights.
    ///
    /// # Panics
    ///
    /// If the rate is not in `0..=1`.
    #[track_caller]
    pub fn dropout(self, rate: f64) -> Self {
        TransformerBlock { dropout: Dropout::new(rate), ..self }
    }

    /// Without biases of the dense layers. Attention has a switch of its own.
    pub fn without_bias(self) -> Self {
        TransformerBlock { bias: false, ..self }
    }

    /// The block with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        TransformerBlock { tag: self.tag.named(name), ..self }
    }

    /// Another block of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        TransformerBlock {
            tag: self.tag.fresh(),
            attention: self.attention.fresh(),
            memory_attention: self.memory_attention.fresh(),
            ..self.clone()
        }
    }

    /// The same block as a module of `(x, mask)`, or of `((x, memory), (mask, memory_mask))`: see
    /// [`MultiHeadAttention::with_mask`].
    pub fn with_mask(&self) -> TransformerBlockWithMask {
        TransformerBlockWithMask(self.clone())
    }

    /// A cache for [`with_cache`](Self::with_cache): see [`MultiHeadAttention::cache`].
    #[track_caller]
    pub fn cache(&self, x: &Tensor, max_length: usize) -> KvCache {
        self.attention.cache(x, max_length)
    }

    /// The same block as a module of `(cache, x)`, or of `(cache, (x, memory))`, that gives `(cache, y)`: see
    /// [`MultiHeadAttention::with_cache`].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let blocks: Vec<_> = (0..3)
    ///     .map(|_| TransformerBlock::new(MultiHeadAttention::new(2).causal().rotary(1e4), 16))
    ///     .collect();
    /// let net = Sequential::from_iter(blocks.clone());
    /// let x = Key::new(1).normal([2, 5, 8]);
    /// let params = net.init_params(Key::new(0), &x);
    ///
    /// // The same net, one place at a time.
    /// let step = parametrized("step", move |cx, (caches, x): &(Vec<KvCache>, Tensor)| {
    ///     let (mut next, mut x) = (Vec::new(), x.clone());
    ///     for (block, cache) in blocks.iter().zip(caches) {
    ///         let (cache, y) = cx.call(&block.with_cache(), &(cache.clone(), x));
    ///         next.push(cache);
    ///         x = y;
    ///     }
    ///     (next, x)
    /// });
    /// let block = TransformerBlock::new(MultiHeadAttention::new(2).causal(), 16);
    /// let mut caches = vec![block.cache(&x, 5), block.cache(&x, 5), block.cache(&x, 5)];
    /// let example = (caches.clone(), x.i((.., ..1)));
    /// let params_of_step = step.params_from(&[net.shaped(&x).reuse(&params)], &example);
    /// let y = net.apply(&params, &x);
    /// for i in 0..5 {
    ///     let (next, here) = step.apply(&params_of_step, &(caches, x.i((.., i..i + 1))));
    ///     assert!(here.allclose(y.i((.., i..i + 1)), 1e-4, 1e-5));
    ///     caches = next;
    /// }
    /// ```
    pub fn with_cache(&self) -> TransformerBlockWithCache {
        TransformerBlockWithCache(self.clone())
    }

    #[track_caller]
    fn norm(&self, cx: &mut Scope<'_>, name: &str, x: &Tensor) -> Tensor {
        if self.rms_norm {
            let norm = self.epsilon.map_or(RmsNorm::new(), |epsilon| RmsNorm::new().epsilon(epsilon));
            return cx.call_named(name, &norm, x);
        }
        let norm = self.epsilon.map_or(LayerNorm::new(), |epsilon| LayerNorm::new().epsilon(epsilon));
        cx.call_named(name, &norm, x)
    }

    /// `x` and what a part gives for it.
    #[track_caller]
    fn add(
        &self,
        cx: &mut Scope<'_>,
        norm: &str,
        x: &Tensor,
        part: impl FnOnce(&mut Scope<'_>, &Tensor) -> Tensor,
    ) -> Tensor {
        if self.post_norm {
            let y = part(cx, x);
            let y = x + cx.call(&self.dropout, &y);
            return self.norm(cx, norm, &y);
        }
        let y = self.norm(cx, norm, x);
        let y = part(cx, &y);
        x + cx.call(&self.dropout, &y)
    }

    #[track_caller]
    fn run(
        &self,
        cx: &mut Scope<'_>,
        x: &Tensor,
        attention: impl FnOnce(&mut Scope<'_>, &Tensor) -> Tensor,
        memory: Option<(&Tensor, Option<&Tensor>)>,
    ) -> Tensor {
        if x.rank() < 2 {
            cx.fail(
                "TransformerBlock",
                format!("needs inputs of shape [batch.., sequence, channels], got {}", x.shape()),
            )
        }
        let mut x = self.add(cx, "attention_norm", x, attention);
        if let Some((memory, mask)) = memory {
            let part = |cx: &mut Scope<'_>, x: &Tensor| {
                let inputs = (x.clone(), memory.clone());
                match mask {
                    None => cx.call_named("memory_attention", &self.memory_attention, &inputs),
                    Some(mask) => {
                        let attention = self.memory_attention.with_mask();
                        cx.call_named("memory_attention", &attention, &(inputs, mask.clone()))
                    }
                }
            };
            x = self.add(cx, "memory_norm", &x, part);
        }
        self.add(cx, "hidden_norm", &x, |cx, x| {
            let dense = |outputs| {
                let layer = Dense::new(outputs).with_bias_init(zeros());
                if self.bias { layer } else { layer.without_bias() }
            };
            let hidden = cx.call_named("hidden", &dense(self.hidden), x);
            let hidden = if self.gated {
                (self.activation)(&cx.call_named("gate", &dense(self.hidden), x)) * hidden
            } else {
                (self.activation)(&hidden)
            };
            let hidden = cx.call(&self.dropout, &hidden);
            cx.call_named("out", &dense(x.dim(-1)), &hidden)
        })
    }

    #[track_caller]
    fn run_cached(
        &self,
        cx: &mut Scope<'_>,
        cache: &KvCache,
        x: &Tensor,
        memory: Option<(&Tensor, Option<&Tensor>)>,
    ) -> (KvCache, Tensor) {
        let mut next = None;
        let attention = |cx: &mut Scope<'_>, x: &Tensor| {
            let inputs = (cache.clone(), x.clone());
            let (cache, y) = cx.call_named("attention", &self.attention.with_cache(), &inputs);
            next = Some(cache);
            y
        };
        let y = self.run(cx, x, attention, memory);
        (next.expect("attention has run"), y)
    }
}

impl Module<Tensor> for TransformerBlock {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.run(cx, x, |cx, x| cx.call_named("attention", &self.attention, x), None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// With another sequence to attend to.
impl Module<(Tensor, Tensor)> for TransformerBlock {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, (x, memory): &(Tensor, Tensor)) -> Tensor {
        self.run(cx, x, |cx, x| cx.call_named("attention", &self.attention, x), Some((memory, None)))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// A block with masks: see [`TransformerBlock::with_mask`].
#[derive(Clone)]
pub struct TransformerBlockWithMask(TransformerBlock);

impl TransformerBlockWithMask {
    #[track_caller]
    fn attention(&self, cx: &mut Scope<'_>, x: &Tensor, mask: &Tensor) -> Tensor {
        cx.call_named("attention", &self.0.attention.with_mask(), &(x.clone(), mask.clone()))
    }
}

impl Module<(Tensor, Tensor)> for TransformerBlockWithMask {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, (x, mask): &(Tensor, Tensor)) -> Tensor {
        self.0.run(cx, x, |cx, x| self.attention(cx, x, mask), None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

impl Module<((Tensor, Tensor), (Tensor, Tensor))> for TransformerBlockWithMask {
    type Output = Tensor;

    fn forward(
        &self,
        cx: &mut Scope<'_>,
        ((x, memory), (mask, memory_mask)): &((Tensor, Tensor), (Tensor, Tensor)),
    ) -> Tensor {
        self.0.run(cx, x, |cx, x| self.attention(cx, x, mask), Some((memory, Some(memory_mask))))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

/// A block with a cache: see [`TransformerBlock::with_cache`].
#[derive(Clone)]
pub struct TransformerBlockWithCache(TransformerBlock);

impl Module<(KvCache, Tensor)> for TransformerBlockWithCache {
    type Output = (KvCache, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (cache, x): &(KvCache, Tensor)) -> (KvCache, Tensor) {
        self.0.run_cached(cx, cache, x, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

impl Module<(KvCache, (Tensor, Tensor))> for TransformerBlockWithCache {
    type Output = (KvCache, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (cache, (x, memory)): &(KvCache, (Tensor, Tensor))) -> (KvCache, Tensor) {
        self.0.run_cached(cx, cache, x, Some((memory, None)))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}
