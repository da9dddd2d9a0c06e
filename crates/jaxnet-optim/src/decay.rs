//! Weight decay, and the choice of parameters by path.

use std::fmt;
use std::sync::Arc;

use jaxnet_tensor::Tensor;

use crate::moments::times_rate;
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// A choice of parameters by their path.
#[derive(Clone)]
pub(crate) struct Mask(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Mask {
    pub(crate) fn new(f: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Mask(Arc::new(f))
    }

    /// Whether the parameter with this path is chosen.
    pub(crate) fn has(&self, path: &str) -> bool {
        (self.0)(path)
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mask")
    }
}

/// Adds `strength·x` for each parameter `x`, or for those that a mask chooses, as `add_decayed_weights` of optax.
///
/// Before an optimizer this is L2 regularization with the loss `strength/2·‖x‖²`; decoupled weight decay (see
/// [`AdamW`](crate::AdamW)) is `(`[`Direction`](crate::Direction)`::of(rule), WeightDecay::new(strength),
/// `[`ScaleByLearningRate`](crate::ScaleByLearningRate)`::new(rate))`.
///
/// Krogh and Hertz, [A Simple Weight Decay Can Improve
/// Generalization](https://papers.nips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html), 1991.
///
/// ```
/// use jaxnet_optim::{Optimizer, Sgd, WeightDecay};
/// use jaxnet_tensor::tensor;
///
/// // By path: here "0" and "1" of a pair.
/// let opt = (WeightDecay::new(0.5).mask(|path| path == "0"), Sgd::new(1.0));
/// let state = opt.update_from_gradients((tensor![0.0], tensor![0.0]), opt.init((tensor![4.0], tensor![4.0])));
/// let (a, b) = opt.params(&state);
/// assert_eq!((a.item::<f32>(), b.item::<f32>()), (2.0, 4.0));
/// ```
#[derive(Clone, Debug)]
pub struct WeightDecay {
    strength: Schedule,
    mask: Option<Mask>,
}

impl WeightDecay {
    /// With a strength, which is a number or a schedule.
    pub fn new(strength: impl Into<Schedule>) -> Self {
        WeightDecay { strength: strength.into(), mask: None }
    }

    /// Which parameters are pulled, by their path.
    #[must_use]
    pub fn mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.mask = Some(Mask::new(mask));
        self
    }

    pub(crate) fn strength(mut self, strength: impl Into<Schedule>) -> Self {
        self.strength = strength.into();
        self
    }

    pub(crate) fn added(&self, updates: Vec<Tensor>, params: &Leaves, step: &Tensor) -> Vec<Tensor> {
        if self.strength.is_zero() {
            return updates;
        }
        let strength = self.strength.at(step);
        let each = updates.into_iter().zip(params.iter()).zip(params.paths());
        let each = each.map(|((update, param), path)| match &self.mask {
            Some(mask) if !mask.has(path) => update,
            _ => update + times_rate(&strength, param),
        });
        each.collect()
    }
}

impl UpdateRule for WeightDecay {
    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        self.added(gradients, params, step)
    }
}
