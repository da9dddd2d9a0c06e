//! Lion.

use jaxnet_tensor::Tensor;

use crate::decay::WeightDecay;
use crate::moments::{MEAN, average, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Lion, which moves each parameter as far, by the sign of an average: `x ← x - lr·(sign(b1·m + (1 - b1)·g) +
/// weight_decay·x)`, `m ← b2·m + (1 - b2)·g`, as `lion` of optax.
///
/// Chen et al., [Symbolic Discovery of Optimization Algorithms](https://arxiv.org/abs/2302.06675), 2023. The
/// defaults are `b1` 0.9, `b2` 0.99 and a `weight_decay` of 1e-3. Its learning rate is a third to a tenth of
/// Adam's.
///
/// ```
/// use jaxnet_optim::{Lion, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Lion::new(0.25).weight_decay(0.0);
/// let state = opt.update_from_gradients(tensor![3.0, -1e-3, 0.0], opt.init(tensor![1.0, 1.0, 1.0]));
/// assert_eq!(opt.params(&state).to_vec::<f32>(), [0.75, 1.25, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Lion {
    learning_rate: Schedule,
    b1: f64,
    b2: f64,
    decay: WeightDecay,
}

impl Lion {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Lion { learning_rate: learning_rate.into(), b1: 0.9, b2: 0.99, decay: WeightDecay::new(1e-3) }
    }

    /// How much the mean of the gradients counts beside the newest one.
    #[must_use]
    pub fn b1(mut self, b1: f64) -> Self {
        self.b1 = b1;
        self
    }

    /// How much of the mean of the gradients stays at each update.
    #[must_use]
    pub fn b2(mut self, b2: f64) -> Self {
        self.b2 = b2;
        self
    }

    /// How much the parameters are pulled towards 0, a number or a schedule; multiplied by the learning rate.
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

impl UpdateRule for Lion {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(MEAN, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let old = slots.take(MEAN);
        let signs = old.iter().zip(&gradients).map(|(mean, g)| average(self.b1, mean, g).sign()).collect();
        slots.put(MEAN, old.iter().zip(&gradients).map(|(mean, g)| average(self.b2, mean, g)).collect());
        descend(&self.learning_rate.at(step), &self.decay.added(signs, params, step))
    }
}
