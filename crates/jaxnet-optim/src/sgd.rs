//! Gradient descent, without and with momentum.

use jaxnet_tensor::Tensor;

use crate::moments::descend;
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Stochastic gradient descent: `x ← x - lr·g`.
///
/// ```
/// use jaxnet_optim::{Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = Sgd::new(0.25);
/// let state = opt.update(opt.init(tensor![4.0]), |x| x.square().sum());
/// assert_eq!(opt.params(&state).item::<f32>(), 2.0);
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    learning_rate: Schedule,
}

impl Sgd {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Sgd { learning_rate: learning_rate.into() }
    }
}

impl UpdateRule for Sgd {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        descend(&self.learning_rate.at(step), &gradients)
    }
}

/// Gradient descent with momentum: `v ← mass·v + g`, `x ← x - lr·v`, as `momentum` of
/// `jax.example_libraries.optimizers` and `sgd(lr, momentum)` of optax; and Nesterov's variant,
/// `x ← x - lr·(mass·v + g)`.
///
/// Sutskever et al., [On the importance of initialization and momentum in deep
/// learning](https://proceedings.mlr.press/v28/sutskever13.html), 2013.
///
/// ```
/// use jaxnet_optim::{Momentum, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Momentum::new(0.5, 0.5);
/// let mut state = opt.init(tensor![0.0]);
/// for _ in 0..2 {
///     state = opt.update_from_gradients(tensor![1.0], state);
/// }
/// // -0.5 · 1, then -0.5 · (0.5 · 1 + 1).
/// assert_eq!(opt.params(&state).item::<f32>(), -1.25);
/// ```
#[derive(Clone, Debug)]
pub struct Momentum {
    learning_rate: Schedule,
    mass: f64,
    nesterov: bool,
}

impl Momentum {
    /// With a learning rate, which is a number or a schedule, and how much of the velocity stays.
    pub fn new(learning_rate: impl Into<Schedule>, mass: f64) -> Self {
        Momentum { learning_rate: learning_rate.into(), mass, nesterov: false }
    }

    /// Nesterov's variant, or not.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

const VELOCITY: &str = "velocity";

impl UpdateRule for Momentum {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(VELOCITY, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let ahead = |velocity: &[Tensor]| -> Vec<Tensor> {
            velocity.iter().zip(&gradients).map(|(v, g)| v * self.mass + g).collect()
        };
        let velocity = ahead(&slots.take(VELOCITY));
        slots.put(VELOCITY, velocity.clone());
        descend(&self.learning_rate.at(step), &if self.nesterov { ahead(&velocity) } else { velocity })
    }
}
