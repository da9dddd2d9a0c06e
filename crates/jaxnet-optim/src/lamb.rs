//! LAMB.

use jaxnet_tensor::Tensor;

use crate::decay::WeightDecay;
use crate::moments::{Moments, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::scale::ScaleByTrustRatio;
use crate::schedule::Schedule;
use crate::slots::Slots;

/// LAMB, for large batches: with [`Adam`](crate::Adam)'s direction `d` and `u = d + weight_decay·x`,
/// `x ← x - lr · ‖x‖/‖u‖ · u` for each parameter, as `lamb` of optax.
///
/// You et al., [Large Batch Optimization for Deep Learning: Training BERT in 76
/// minutes](https://arxiv.org/abs/1904.00962), 2019. The defaults are `b1` 0.9, `b2` 0.999, `eps` 1e-6 and no weight
/// decay.
///
/// ```
/// use jaxnet_optim::{Lamb, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Lamb::new(0.1);
/// let state = opt.update_from_gradients(tensor![7.0, 0.0], opt.init(tensor![3.0, 4.0]));
/// // A tenth of the norm of the parameters.
/// assert!(opt.params(&state).allclose(tensor![2.5, 4.0], 1e-5, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Lamb {
    learning_rate: Schedule,
    moments: Moments,
    decay: WeightDecay,
}

impl Lamb {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        let moments = Moments { eps: 1e-6, ..Moments::default() };
        Lamb { learning_rate: learning_rate.into(), moments, decay: WeightDecay::new(0.0) }
    }

    /// How much of the mean of the gradients stays at each update.
    #[must_use]
    pub fn b1(mut self, b1: f64) -> Self {
        self.moments.b1 = b1;
        self
    }

    /// How much of the mean of the squared gradients stays at each update.
    #[must_use]
    pub fn b2(mut self, b2: f64) -> Self {
        self.moments.b2 = b2;
        self
    }

    /// What is added to the root, against division by zero.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.moments.eps = eps;
        self
    }

    /// How much the parameters are pulled towards 0, a number or a schedule.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: impl Into<Schedule>) -> Self {
        self.decay = self.decay.strength(weight_decay);
        self
    }

    /// Which parameters are pulled, by their path.
    #[must_use]
    pub fn mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.decay = self.decay.mask(mask);
        self
    }
}

impl UpdateRule for Lamb {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        Moments::init(params, slots);
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let directions = self.moments.directions(&gradients, step, slots);
        let directions = self.decay.added(directions, params, step);
        let directions = ScaleByTrustRatio::new().updates(directions, params, step, slots);
        descend(&self.learning_rate.at(step), &directions)
    }
}
