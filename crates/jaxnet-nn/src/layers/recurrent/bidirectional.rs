//! Both directions at once.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Tensor, Tree};

use super::super::Tag;
use super::Rnn;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Runs one [`Rnn`] from the first step to the last and another one from the last to the first, and gives the outputs
/// of both, one after the other along the last axis.
///
/// Their parameters are found under `forward` and `backward`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Bidirectional::new(Rnn::new(LstmCell::new(4)), Rnn::new(LstmCell::new(4)));
/// let sequences = Tensor::ones([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// assert_eq!(params["backward.lstm_cell.bias"].shape().dims(), [16]);
/// assert_eq!(net.apply(&params, &sequences).shape().dims(), [2, 7, 8]);
/// ```
pub struct Bidirectional<M, C = Tensor> {
    tag: Tag,
    forward: Rnn<M, C>,
    backward: Rnn<M, C>,
}

impl<M: Clone, C> Clone for Bidirectional<M, C> {
    fn clone(&self) -> Self {
        Bidirectional { tag: self.tag.clone(), forward: self.forward.clone(), backward: self.backward.clone() }
    }
}

impl<C: Tree + 'static, M: Module<(C, Tensor), Output = (C, Tensor)>> Bidirectional<M, C> {
    /// Runs the first as it is, and the second in reverse.
    pub fn new(forward: Rnn<M, C>, backward: Rnn<M, C>) -> Self {
        Bidirectional { tag: Tag::new("bidirectional"), forward, backward: backward.reverse() }
    }

    /// The same layer, from inputs and the lengths of sequences (batch..), integers, to the outputs: see
    /// [`Rnn::with_lengths`].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = Bidirectional::new(Rnn::new(GruCell::new(4)), Rnn::new(GruCell::new(4)));
    /// let x = Key::new(1).normal([2, 7, 3]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let masked = net.with_lengths().apply(&params, &(x.clone(), tensor![7, 5]));
    /// let alone = net.apply(&params, &x.i((1..2, ..5)));
    /// assert!(masked.i((1..2, ..5)).allclose(alone, 1e-5, 1e-6));
    /// ```
    pub fn with_lengths(&self) -> impl Module<(Tensor, Tensor), Output = Tensor> + use<M, C> {
        BidirectionalWithLengths(self.clone())
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Bidirectional { tag: self.tag.named(name), ..self }
    }

    /// Another layer that runs the same two, whose parameters they share.
    pub fn fresh(&self) -> Self {
        Bidirectional { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl<C: Tree + 'static, M: Module<(C, Tensor), Output = (C, Tensor)>> Module<Tensor> for Bidirectional<M, C> {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let forward = cx.call_named("forward", &self.forward, x);
        let backward = cx.call_named("backward", &self.backward, x);
        Tensor::concatenate(&[forward, backward], -1)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

struct BidirectionalWithLengths<M, C>(Bidirectional<M, C>);

impl<M: Clone, C> Clone for BidirectionalWithLengths<M, C> {
    fn clone(&self) -> Self {
        BidirectionalWithLengths(self.0.clone())
    }
}

impl<C, M> Module<(Tensor, Tensor)> for BidirectionalWithLengths<M, C>
where
    C: Tree + 'static,
    M: Module<(C, Tensor), Output = (C, Tensor)>,
{
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &(Tensor, Tensor)) -> Tensor {
        let (_, forward) = cx.call_named("forward", &self.0.forward.with_lengths(), x);
        let (_, backward) = cx.call_named("backward", &self.0.backward.with_lengths(), x);
        Tensor::concatenate(&[forward, backward], -1)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}
