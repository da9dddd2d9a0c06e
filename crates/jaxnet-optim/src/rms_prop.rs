//! RMSProp.

use jaxnet_tensor::Tensor;

use crate::moments::{MEAN, SQUARE, averages, squares, times_rate};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// RMSProp: `v ← decay·v + (1 - decay)·g²`, `x ← x - lr·g / √(v + eps)`, as `rmsprop` of
/// `jax.example_libraries.optimizers` and of optax; and with momentum, `m ← momentum·m + lr·g / √(v + eps)`,
/// `x ← x - m`, as their `rmsprop_momentum` (JAXnet's `RmsPropMomentum`) and `rmsprop(momentum=…)`.
///
/// Tieleman and Hinton, [Lecture 6.5 of Neural Networks for Machine
/// Learning](https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf), 2012. The
/// defaults are `decay` 0.9 and `eps` 1e-8.
///
/// ```
/// use jaxnet_optim::{Optimizer, RmsProp};
/// use jaxnet_tensor::tensor;
///
/// let opt = RmsProp::new(0.1).decay(0.75);
/// let state = opt.update_from_gradients(tensor![8.0], opt.init(tensor![1.0]));
/// // The mean square is 0.25 · 64, its root 4.
/// assert!(opt.params(&state).allclose(tensor![1.0 - 0.1 * 8.0 / 4.0], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp {
    learning_rate: Schedule,
    decay: f64,
    eps: f64,
    momentum: f64,
    centered: bool,
}

impl RmsProp {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        RmsProp { learning_rate: learning_rate.into(), decay: 0.9, eps: 1e-8, momentum: 0.0, centered: false }
    }

    /// How much of the mean of the squared gradients stays at each update.
    #[must_use]
    pub fn decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// What is added under the root, against division by zero.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// How much of the update before is made again at each update; 0 unless told otherwise.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Divides by the deviation of gradients from their moving average, `√(v - m² + eps)`, instead of their size, as
    /// `rmsprop(centered=True)` of optax (Graves, [Generating Sequences With Recurrent Neural
    /// Networks](https://arxiv.org/abs/1308.0850), 2013).
    #[must_use]
    pub fn centered(mut self) -> Self {
        self.centered = true;
        self
    }
}

const VELOCITY: &str = "velocity";

impl UpdateRule for RmsProp {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(SQUARE, params.zeros());
        if self.centered {
            slots.put(MEAN, params.zeros());
        }
        if self.momentum != 0.0 {
            slots.put(VELOCITY, params.zeros());
        }
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let rate = self.learning_rate.at(step);
        let mut squares = averages(self.decay, SQUARE, &squares(&gradients), slots);
        if self.centered {
            let means = averages(self.decay, MEAN, &gradients, slots);
            squares = squares.iter().zip(&means).map(|(square, mean)| square - mean.square()).collect();
        }
        let steps = gradients.iter().zip(&squares);
        let mut steps: Vec<Tensor> =
            steps.map(|(g, square)| times_rate(&rate, &(g / (square + self.eps).sqrt()))).collect();
        if self.momentum != 0.0 {
            let old = slots.take(VELOCITY);
            steps = old.iter().zip(&steps).map(|(velocity, step)| velocity * self.momentum + step).collect();
            slots.put(VELOCITY, steps.clone());
        }
        steps.iter().map(|step| -step).collect()
    }
}
