//! Adamax.

use jaxnet_tensor::Tensor;

use crate::moments::{MEAN, averages, corrected_means, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Adamax, Adam with the largest gradient in place of the mean of squares: `m ← b1·m + (1 - b1)·g`,
/// `u ← max(b2·u, |g| + eps)`, `x ← x - lr · (m / (1 - b1ᵗ)) / u`, as `adamax` of optax.
///
/// Kingma and Ba, [Adam: A method for stochastic optimization](https://arxiv.org/abs/1412.6980), 2014. The defaults
/// are [`Adam`](crate::Adam)'s.
///
/// ```
/// use jaxnet_optim::{Adamax, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Adamax::new(0.1).b1(0.5).b2(0.5);
/// let mut state = opt.init(tensor![0.0]);
/// for gradient in [4.0, 1.0] {
///     state = opt.update_from_gradients(tensor![gradient], state);
/// }
/// // m is 2, then 1.5; u is 4, then 2.
/// assert!(opt.params(&state).allclose(-0.1 * (2.0 / 0.5 / 4.0 + 1.5 / 0.75 / 2.0), 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Adamax {
    learning_rate: Schedule,
    b1: f64,
    b2: f64,
    eps: f64,
}

impl Adamax {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adamax { learning_rate: learning_rate.into(), b1: 0.9, b2: 0.999, eps: 1e-8 }
    }

    /// How much of the mean of the gradients stays at each update.
    #[must_use]
    pub fn b1(mut self, b1: f64) -> Self {
        self.b1 = b1;
        self
    }

    /// How much of the largest gradient stays at each update.
    #[must_use]
    pub fn b2(mut self, b2: f64) -> Self {
        self.b2 = b2;
        self
    }

    /// What is added to the sizes of gradients, against division by zero.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

const LARGEST: &str = "largest";

impl UpdateRule for Adamax {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(MEAN, params.zeros());
        slots.put(LARGEST, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let means = averages(self.b1, MEAN, &gradients, slots);
        let old = slots.take(LARGEST);
        let largest: Vec<Tensor> =
            old.iter().zip(&gradients).map(|(old, g)| (old * self.b2).maximum(g.abs() + self.eps)).collect();
        let means = corrected_means(self.b1, false, &gradients, &means, step);
        let directions: Vec<Tensor> = means.iter().zip(&largest).map(|(mean, largest)| mean / largest).collect();
        slots.put(LARGEST, largest);
        descend(&self.learning_rate.at(step), &directions)
    }
}
