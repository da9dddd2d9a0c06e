//! Adam.

use jaxnet_tensor::{DType, Tensor};

use crate::rule::{Slots, UpdateRule};
use crate::schedule::Schedule;
use crate::sgd::times_rate;

/// Adam, with bias correction: `m ← b1·m + (1 - b1)·g`, `v ← b2·v + (1 - b2)·g²`,
/// `x ← x - lr · (m / (1 - b1ᵗ)) / (√(v / (1 - b2ᵗ)) + eps)` at the update number `t = 1, 2, …`.
///
/// Kingma and Ba, [Adam: A method for stochastic optimization](https://arxiv.org/abs/1412.6980), 2014.
/// The defaults are those of the paper and of optax: `b1` 0.9, `b2` 0.999, `eps` 1e-8.
///
/// ```
/// use jaxnet_optim::{Adam, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = Adam::new(0.1).b1(0.95);
/// let state = opt.update(opt.init(tensor![3.0, -50.0]), |x| x.square().sum());
/// // The first update is the learning rate in the direction of the sign.
/// assert!(opt.params(&state).allclose(tensor![2.9, -49.9], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    learning_rate: Schedule,
    b1: f64,
    b2: f64,
    eps: f64,
}

impl Adam {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adam { learning_rate: learning_rate.into(), b1: 0.9, b2: 0.999, eps: 1e-8 }
    }

    /// How much of the mean of the gradients stays at each update.
    #[must_use]
    pub fn b1(mut self, b1: f64) -> Self {
        self.b1 = b1;
        self
    }

    /// How much of the mean of the squared gradients stays at each update.
    #[must_use]
    pub fn b2(mut self, b2: f64) -> Self {
        self.b2 = b2;
        self
    }

    /// What is added to the root, against division by zero.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

/// The moving average `decay·average + (1 - decay)·x`.
pub(crate) fn average(decay: f64, average: &Tensor, x: &Tensor) -> Tensor {
    average * decay + x * (1.0 - decay)
}

/// `1 - decayᵗ`, without the cancellation that it has in f32 where the decay is close to 1.
fn bias_correction(decay: f64, t: &Tensor, dtype: DType) -> Tensor {
    -(t.astype(dtype) * decay.ln()).expm1()
}

const MEAN: &str = "mean";
const SQUARE: &str = "mean_square";

impl UpdateRule for Adam {
    fn rate(&self, step: &Tensor) -> Tensor {
        self.learning_rate.at(step)
    }

    fn init_slots(&self, params: &[Tensor], slots: &mut Slots) {
        slots.put(MEAN, params.iter().map(Tensor::zeros_like).collect());
        slots.put(SQUARE, params.iter().map(Tensor::zeros_like).collect());
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &[Tensor], step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let (rate, t) = (self.rate(step), step + 1);
        // For each dtype in use, once for all parameters.
        let factors = |dtype: DType| (bias_correction(self.b1, &t, dtype), bias_correction(self.b2, &t, dtype));
        let uses = |dtype: DType| gradients.iter().any(|g| g.dtype() == dtype).then(|| factors(dtype));
        let (single, double) = (uses(DType::F32), uses(DType::F64));
        let (old_means, old_squares) = (slots.take(MEAN), slots.take(SQUARE));
        let (mut means, mut squares, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        for ((g, mean), square) in gradients.iter().zip(&old_means).zip(&old_squares) {
            let mean = average(self.b1, mean, g);
            let square = average(self.b2, square, &g.square());
            let (c1, c2) = if g.dtype() == DType::F64 { &double } else { &single }.as_ref().expect("made above");
            let direction = (&mean / c1) / ((&square / c2).sqrt() + self.eps);
            updates.push(-times_rate(&rate, &direction));
            means.push(mean);
            squares.push(square);
        }
        slots.put(MEAN, means);
        slots.put(SQUARE, squares);
        updates
    }
}
