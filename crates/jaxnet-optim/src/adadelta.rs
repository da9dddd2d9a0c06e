//! Adadelta.

use jaxnet_tensor::Tensor;

use crate::decay::WeightDecay;
use crate::moments::{SQUARE, averages, descend, squares};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Adadelta, whose steps have the size of those before: `s ← decay·s + (1 - decay)·g²`,
/// `d = √(u + eps) / √(s + eps) · g`, `u ← decay·u + (1 - decay)·d²`, `x ← x - lr·d`, as `adadelta` of optax.
///
/// Zeiler, [Adadelta: An Adaptive Learning Rate Method](https://arxiv.org/abs/1212.5701), 2012 (with a learning rate
/// of 1). The defaults are `decay` 0.9, `eps` 1e-6 and no weight decay.
///
/// ```
/// use jaxnet_optim::{Adadelta, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Adadelta::new(1.0).decay(0.75).eps(1.0);
/// let state = opt.update_from_gradients(tensor![4.0], opt.init(tensor![0.0]));
/// // s is 0.25 · 16 and u was 0.
/// assert!(opt.params(&state).allclose(-4.0 / 5_f32.sqrt(), 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Adadelta {
    learning_rate: Schedule,
    decay: f64,
    eps: f64,
    weight_decay: WeightDecay,
}

impl Adadelta {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adadelta { learning_rate: learning_rate.into(), decay: 0.9, eps: 1e-6, weight_decay: WeightDecay::new(0.0) }
    }

    /// How much of the means of squares stays at each update.
    #[must_use]
    pub fn decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// What is added under the roots, without which nothing would ever move.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// How much of each parameter is added to its gradient, a number or a schedule.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: impl Into<Schedule>) -> Self {
        self.weight_decay = self.weight_decay.strength(weight_decay);
        self
    }

    /// To which parameters' gradients, by their path.
    #[must_use]
    pub fn mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.weight_decay = self.weight_decay.mask(mask);
        self
    }
}

const UPDATES: &str = "mean_square_update";

impl UpdateRule for Adadelta {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(SQUARE, params.zeros());
        slots.put(UPDATES, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let gradients = self.weight_decay.added(gradients, params, step);
        let means = averages(self.decay, SQUARE, &squares(&gradients), slots);
        let old = slots.take(UPDATES);
        let directions = gradients.iter().zip(&means).zip(&old).map(|((g, mean), update)| {
            // Two roots, since the quotient of squares loses small numbers.
            (update + self.eps).sqrt() / (mean + self.eps).sqrt() * g
        });
        let directions: Vec<Tensor> = directions.collect();
        slots.put(UPDATES, old);
        averages(self.decay, UPDATES, &squares(&directions), slots);
        descend(&self.learning_rate.at(step), &directions)
    }
}
