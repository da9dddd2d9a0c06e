//! Rectified Adam.

use jaxnet_tensor::{DType, Tensor};

use crate::moments::{ByDType, Moments, bias_correction, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Rectified Adam: with Adam's corrected averages `m̂` and `v̂`, `ρ∞ = 2 / (1 - b2) - 1` and
/// `ρ = ρ∞ - 2·t·b2ᵗ / (1 - b2ᵗ)`, `x ← x - lr · r · m̂ / (√v̂ + eps)` with
/// `r = √((ρ - 4)(ρ - 2)ρ∞ / ((ρ∞ - 4)(ρ∞ - 2)ρ))` where `ρ ≥ threshold`, else `x ← x - lr · m̂`; as `radam` of
/// optax.
///
/// Liu et al., [On the Variance of the Adaptive Learning Rate and Beyond](https://arxiv.org/abs/1908.03265), 2019.
/// The defaults are [`Adam`](crate::Adam)'s, and a `threshold` of 5.
///
/// ```
/// use jaxnet_optim::{Optimizer, RAdam};
/// use jaxnet_tensor::tensor;
///
/// let opt = RAdam::new(0.1);
/// let state = opt.update_from_gradients(tensor![2.0], opt.init(tensor![1.0]));
/// // At first as if with momentum alone.
/// assert!(opt.params(&state).allclose(0.8, 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct RAdam {
    learning_rate: Schedule,
    moments: Moments,
    threshold: f64,
}

impl RAdam {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        RAdam { learning_rate: learning_rate.into(), moments: Moments::default(), threshold: 5.0 }
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

    /// From which length of the averages on the variance is trusted.
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }
}

impl UpdateRule for RAdam {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        Moments::init(params, slots);
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let pairs = self.moments.corrected(&gradients, step, slots);
        // In f64, since two numbers of thousands differ by a few.
        let t = (step + 1).astype(DType::F64);
        let limit = 2.0 / (1.0 - self.moments.b2) - 1.0;
        let corrected = bias_correction(self.moments.b2, &t, DType::F64);
        let length = limit - &t * 2.0 * (1.0 - &corrected) / corrected;
        let trusted = length.ge(self.threshold);
        let scale = limit / ((limit - 4.0) * (limit - 2.0));
        // Not of a negative number where it is not used either, so that no NaN comes up.
        let product = ((&length - 4.0) * (&length - 2.0) / &length * scale).maximum(0.0).sqrt();
        let factor = ByDType::new(&gradients, |dtype| product.astype(dtype));
        let directions = pairs.into_iter().map(|(mean, square)| {
            let adapted = factor.of(&mean) * &mean / (square.sqrt() + self.moments.eps);
            trusted.select(adapted, mean)
        });
        descend(&self.learning_rate.at(step), &directions.collect::<Vec<_>>())
    }
}
