//! LARS.

use jaxnet_tensor::Tensor;

use crate::decay::{Mask, WeightDecay};
use crate::moments::times_rate;
use crate::rule::{Leaves, UpdateRule};
use crate::scale::ScaleByTrustRatio;
use crate::schedule::Schedule;
use crate::slots::Slots;

/// LARS, for large batches: with `u = g + weight_decay·x`, `v ← momentum·v + lr · trust·‖x‖/‖u‖ · u` for each
/// parameter, `x ← x - v`, as `lars` of optax.
///
/// You, Gitman and Ginsburg, [Large Batch Training of Convolutional Networks](https://arxiv.org/abs/1708.03888),
/// 2017. The defaults are no weight decay, a `trust` of 1e-3 and a `momentum` of 0.9.
///
/// ```
/// use jaxnet_optim::{Lars, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Lars::new(10.0).trust(0.01);
/// let state = opt.update_from_gradients(tensor![7.0, 0.0], opt.init(tensor![3.0, 4.0]));
/// // A tenth of the norm of the parameters.
/// assert!(opt.params(&state).allclose(tensor![2.5, 4.0], 1e-5, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Lars {
    learning_rate: Schedule,
    decay: WeightDecay,
    trust: ScaleByTrustRatio,
    trust_mask: Option<Mask>,
    momentum: f64,
    nesterov: bool,
}

impl Lars {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Lars {
            learning_rate: learning_rate.into(),
            decay: WeightDecay::new(0.0),
            trust: ScaleByTrustRatio::new().coefficient(1e-3),
            trust_mask: None,
            momentum: 0.9,
            nesterov: false,
        }
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

    /// How long the update is at a learning rate of 1, where the parameter's length is 1.
    #[must_use]
    pub fn trust(mut self, coefficient: f64) -> Self {
        self.trust = self.trust.coefficient(coefficient);
        self
    }

    /// What is added to the length of what a parameter's length is divided by.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.trust = self.trust.eps(eps);
        self
    }

    /// Which parameters' updates are scaled to the parameters' lengths, by their path. (Biases and the parameters of
    /// normalization are often left out.)
    #[must_use]
    pub fn trust_mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.trust_mask = Some(Mask::new(mask));
        self
    }

    /// How much of the update before is made again at each update.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Nesterov's variant of momentum, or not.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

const VELOCITY: &str = "velocity";

impl UpdateRule for Lars {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(VELOCITY, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let rate = self.learning_rate.at(step);
        let gradients = self.decay.added(gradients, params, step);
        let each = gradients.iter().zip(params.iter()).zip(params.paths());
        let steps = each.map(|((g, param), path)| match &self.trust_mask {
            Some(mask) if !mask.has(path) => times_rate(&rate, g),
            _ => times_rate(&rate, &self.trust.scaled(g, param)),
        });
        let steps: Vec<Tensor> = steps.collect();
        let velocity: Vec<Tensor> =
            slots.take(VELOCITY).iter().zip(&steps).map(|(v, step)| v * self.momentum + step).collect();
        let updates =
            velocity.iter().zip(&steps).map(|(v, step)| if self.nesterov { -(v * self.momentum + step) } else { -v });
        let updates = updates.collect();
        slots.put(VELOCITY, velocity);
        updates
    }
}
