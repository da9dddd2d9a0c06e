//! Adagrad.

use jaxnet_tensor::Tensor;

use crate::moments::{MEAN, averages, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Adagrad: `s ← s + g²`, `x ← x - lr·g / √(s + eps)` (and no update where `s` is 0), as `adagrad` of optax.
///
/// Duchi, Hazan and Singer, [Adaptive Subgradient Methods for Online Learning and Stochastic
/// Optimization](https://jmlr.org/papers/v12/duchi11a.html), 2011. `s` starts at 0.1 and `eps` is 1e-7, as in
/// optax; with [`initial_accumulator(0.0)`](Self::initial_accumulator), [`eps(0.0)`](Self::eps) and
/// [`momentum(0.9)`](Self::momentum) it is JAXnet's, that is `jax.example_libraries.optimizers`'.
///
/// ```
/// use jaxnet_optim::{Adagrad, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Adagrad::new(1.0).initial_accumulator(9.0).eps(0.0);
/// let state = opt.update_from_gradients(tensor![4.0], opt.init(tensor![0.0]));
/// // The sum of squares is 9 + 16, its root 5.
/// assert!(opt.params(&state).allclose(tensor![-0.8], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Adagrad {
    learning_rate: Schedule,
    initial_accumulator: f64,
    eps: f64,
    momentum: f64,
}

impl Adagrad {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adagrad { learning_rate: learning_rate.into(), initial_accumulator: 0.1, eps: 1e-7, momentum: 0.0 }
    }

    /// Where the sum of the squared gradients starts.
    #[must_use]
    pub fn initial_accumulator(mut self, initial_accumulator: f64) -> Self {
        self.initial_accumulator = initial_accumulator;
        self
    }

    /// What is added under the root, against division by zero.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// How much of the mean of the scaled gradients stays at each update; it is that mean which is followed.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }
}

const SQUARES: &str = "sum_of_squares";

/// `g / √(sum + eps)`, and 0 where there has been no gradient at all.
pub(crate) fn scaled(g: &Tensor, sum: &Tensor, eps: f64) -> Tensor {
    // Not divided where it is not used either, so that no NaN comes up.
    let nonzero = sum.gt(0.0);
    let root = nonzero.select(sum + eps, sum.ones_like()).sqrt();
    nonzero.select(g / root, g.zeros_like())
}

impl UpdateRule for Adagrad {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(SQUARES, params.iter().map(|param| param.full_like(self.initial_accumulator)).collect());
        if self.momentum != 0.0 {
            slots.put(MEAN, params.zeros());
        }
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let sums: Vec<Tensor> = slots.take(SQUARES).iter().zip(&gradients).map(|(sum, g)| sum + g.square()).collect();
        let mut directions: Vec<Tensor> =
            gradients.iter().zip(&sums).map(|(g, sum)| scaled(g, sum, self.eps)).collect();
        slots.put(SQUARES, sums);
        if self.momentum != 0.0 {
            directions = averages(self.momentum, MEAN, &directions, slots);
        }
        descend(&self.learning_rate.at(step), &directions)
    }
}
