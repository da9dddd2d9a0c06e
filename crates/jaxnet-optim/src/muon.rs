//! Muon.

use jaxnet_tensor::Tensor;

use crate::decay::WeightDecay;
use crate::moments::{MEAN, Moments, averages, corrected_means, descend, norm};
use crate::partition::{init_part, update_part};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Muon, which moves matrices by the nearest orthogonal matrix: with `m ← beta·m + (1 - beta)·g`, corrected and as
/// Nesterov's (see [`NAdam`](crate::NAdam)), `x ← x - lr · (√max(1, columns/rows) · orthogonal(m) + weight_decay·x)`.
/// `orthogonal` divides by the Frobenius norm and iterates `X ← a·X + (b·A + c·A²)·X`, `A = X·Xᵀ`, by which the
/// singular values come close to 1. Parameters that are no matrices follow [`NAdam`](crate::NAdam) (with weight
/// decay); as `optax.contrib.muon`.
///
/// Jordan et al., [Muon: An optimizer for hidden layers in neural
/// networks](https://kellerjordan.github.io/posts/muon/), 2024. The defaults are optax's: `beta` 0.95, 5 iterations
/// with (3.4445, -4.775, 2.0315), `eps` 1e-8, no weight decay.
///
/// Embeddings and output layers are better left to Adam, see [`Partition`](crate::Partition).
///
/// ```
/// use jaxnet_optim::{Muon, Optimizer};
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let opt = Muon::new(0.1);
/// let state = opt.init((Tensor::zeros([2, 2]), Tensor::zeros([2])));
/// let gradients = (tensor![[5.0, 0.0], [0.0, -3.0]], tensor![5.0, -3.0]);
/// let (matrix, vector) = opt.params(&opt.update_from_gradients(gradients, state)).clone();
/// // Singular values of about 1, whatever the gradients' are.
/// assert!(matrix.allclose(tensor![[-0.1, 0.0], [0.0, 0.1]], 0.3, 1e-3));
/// assert!(vector.allclose(tensor![-0.1, 0.1], 0.5, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Muon {
    learning_rate: Schedule,
    adam_learning_rate: Option<Schedule>,
    beta: f64,
    iterations: usize,
    coefficients: [f64; 3],
    nesterov: bool,
    consistent_rms: Option<f64>,
    moments: Moments,
    decay: WeightDecay,
    adam_decay: WeightDecay,
}

impl Muon {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Muon {
            learning_rate: learning_rate.into(),
            adam_learning_rate: None,
            beta: 0.95,
            iterations: 5,
            coefficients: [3.4445, -4.7750, 2.0315],
            nesterov: true,
            consistent_rms: None,
            moments: Moments { nesterov: true, ..Moments::default() },
            decay: WeightDecay::new(0.0),
            adam_decay: WeightDecay::new(0.0),
        }
    }

    /// How much of the mean of a matrix's gradients stays at each update.
    #[must_use]
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// How often the iteration is done that makes a matrix orthogonal.
    #[must_use]
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// The numbers `a`, `b` and `c` of the iteration.
    #[must_use]
    pub fn coefficients(mut self, coefficients: [f64; 3]) -> Self {
        self.coefficients = coefficients;
        self
    }

    /// Nesterov's variant of momentum, for all parameters, or not.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        (self.nesterov, self.moments.nesterov) = (nesterov, nesterov);
        self
    }

    /// Multiplies the orthogonal matrix by `rms·√max(rows, columns)` instead, so that a learning rate of Adam's (with
    /// `rms` 0.2) can be used, as Liu et al., [Muon is Scalable for LLM Training](https://arxiv.org/abs/2502.16982),
    /// 2025, propose.
    #[must_use]
    pub fn consistent_rms(mut self, rms: f64) -> Self {
        self.consistent_rms = Some(rms);
        self
    }

    /// What is added to norms and roots, against division by zero.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.moments.eps = eps;
        self
    }

    /// How much matrices are pulled towards 0, a number or a schedule; multiplied by the learning rate.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: impl Into<Schedule>) -> Self {
        self.decay = self.decay.strength(weight_decay);
        self
    }

    /// Which matrices are pulled, by their path.
    #[must_use]
    pub fn mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.decay = self.decay.mask(mask);
        self
    }

    /// Another learning rate for parameters that are no matrices.
    #[must_use]
    pub fn adam_learning_rate(mut self, learning_rate: impl Into<Schedule>) -> Self {
        self.adam_learning_rate = Some(learning_rate.into());
        self
    }

    /// `b1` of parameters that are no matrices.
    #[must_use]
    pub fn adam_b1(mut self, b1: f64) -> Self {
        self.moments.b1 = b1;
        self
    }

    /// `b2` of parameters that are no matrices.
    #[must_use]
    pub fn adam_b2(mut self, b2: f64) -> Self {
        self.moments.b2 = b2;
        self
    }

    /// How much parameters that are no matrices are pulled towards 0, a number or a schedule; multiplied by their
    /// learning rate.
    #[must_use]
    pub fn adam_weight_decay(mut self, weight_decay: impl Into<Schedule>) -> Self {
        self.adam_decay = self.adam_decay.strength(weight_decay);
        self
    }

    fn orthogonal(&self, x: &Tensor) -> Tensor {
        let [a, b, c] = self.coefficients;
        // The smaller of the two products.
        let tall = x.shape()[0] > x.shape()[1];
        let x = if tall { x.t() } else { x.clone() };
        let mut x = &x / (norm(&x) + self.moments.eps);
        for _ in 0..self.iterations {
            let gram = x.matmul(x.t());
            let polynomial = &gram * b + (&gram * c).matmul(&gram);
            x = &x * a + polynomial.matmul(&x);
        }
        if tall { x.t() } else { x }
    }

    fn size(&self, x: &Tensor) -> f64 {
        let (rows, columns) = (x.shape()[0].max(1) as f64, x.shape()[1] as f64);
        self.consistent_rms.map_or_else(|| (columns / rows).max(1.0).sqrt(), |rms| rms * rows.max(columns).sqrt())
    }
}

fn matrices(params: &Leaves, yes: bool) -> Vec<usize> {
    (0..params.len()).filter(|&i| (params[i].rank() == 2) == yes).collect()
}

/// The directions of matrices, and of all else.
const MATRICES: &str = "muon";
const OTHERS: &str = "adam";

impl UpdateRule for Muon {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        init_part(&matrices(params, true), params, slots.inner(MATRICES), |own, slots| slots.put(MEAN, own.zeros()));
        init_part(&matrices(params, false), params, slots.inner(OTHERS), Moments::init);
    }

    fn updates(&self, mut gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let muon = |gradients: Vec<Tensor>, own: &Leaves, slots: &mut Slots| {
            let means = averages(self.beta, MEAN, &gradients, slots);
            let means = corrected_means(self.beta, self.nesterov, &gradients, &means, step);
            let directions = means.iter().map(|mean| self.orthogonal(mean) * self.size(mean)).collect();
            descend(&self.learning_rate.at(step), &self.decay.added(directions, own, step))
        };
        let adam = |gradients: Vec<Tensor>, own: &Leaves, slots: &mut Slots| {
            let directions = self.moments.directions(&gradients, step, slots);
            let rate = self.adam_learning_rate.as_ref().unwrap_or(&self.learning_rate).at(step);
            descend(&rate, &self.adam_decay.added(directions, own, step))
        };
        update_part(&matrices(params, true), &mut gradients, params, slots.inner(MATRICES), muon);
        update_part(&matrices(params, false), &mut gradients, params, slots.inner(OTHERS), adam);
        gradients
    }
}
