//! What optimizers of Adam's kind have in common.

use jaxnet_tensor::{DType, Tensor};

use crate::rule::Leaves;
use crate::slots::Slots;

/// The learning rate in the dtype of what it is multiplied with, so that it does not promote it.
pub(crate) fn times_rate(rate: &Tensor, x: &Tensor) -> Tensor {
    x * rate.astype(x.dtype())
}

/// What is added to the parameters to go down in these directions.
pub(crate) fn descend(rate: &Tensor, directions: &[Tensor]) -> Vec<Tensor> {
    directions.iter().map(|direction| -times_rate(rate, direction)).collect()
}

/// The moving average `decay·average + (1 - decay)·x`.
pub(crate) fn average(decay: f64, average: &Tensor, x: &Tensor) -> Tensor {
    average * decay + x * (1.0 - decay)
}

/// Moves the list of averages under this name on, and gives it.
pub(crate) fn averages(decay: f64, name: &str, xs: &[Tensor], slots: &mut Slots) -> Vec<Tensor> {
    let new: Vec<Tensor> = slots.take(name).iter().zip(xs).map(|(old, x)| average(decay, old, x)).collect();
    slots.put(name, new.clone());
    new
}

pub(crate) fn squares(xs: &[Tensor]) -> Vec<Tensor> {
    xs.iter().map(Tensor::square).collect()
}

/// `1 - decayᵗ`, without the cancellation that it has in f32 where the decay is close to 1.
pub(crate) fn bias_correction(decay: f64, t: &Tensor, dtype: DType) -> Tensor {
    -(t.astype(dtype) * decay.ln()).expm1()
}

/// The root of the mean of the squares; 0 where there is nothing.
pub(crate) fn root_mean_square(x: &Tensor) -> Tensor {
    (x.square().sum() / x.size().max(1) as f64).sqrt()
}

/// The root of the sum of the squares.
pub(crate) fn norm(x: &Tensor) -> Tensor {
    x.square().sum().sqrt()
}

/// Something that depends on the dtype alone, made once for all tensors.
pub(crate) struct ByDType<T> {
    single: Option<T>,
    double: Option<T>,
}

impl<T> ByDType<T> {
    pub(crate) fn new(tensors: &[Tensor], make: impl Fn(DType) -> T) -> Self {
        let uses = |dtype: DType| tensors.iter().any(|x| x.dtype() == dtype).then(|| make(dtype));
        ByDType { single: uses(DType::F32), double: uses(DType::F64) }
    }

    /// That for a tensor of the list.
    pub(crate) fn of(&self, x: &Tensor) -> &T {
        if x.dtype() == DType::F64 { &self.double } else { &self.single }.as_ref().expect("made for all dtypes in use")
    }
}

pub(crate) const MEAN: &str = "mean";
pub(crate) const SQUARE: &str = "mean_square";

/// Moving averages of the gradients and of their squares.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) b1: f64,
    pub(crate) b2: f64,
    pub(crate) eps: f64,
    pub(crate) nesterov: bool,
}

impl Default for Moments {
    fn default() -> Self {
        Moments { b1: 0.9, b2: 0.999, eps: 1e-8, nesterov: false }
    }
}

impl Moments {
    pub(crate) fn init(params: &Leaves, slots: &mut Slots) {
        slots.put(MEAN, params.zeros());
        slots.put(SQUARE, params.zeros());
    }

    /// The averages with their bias corrected, each pair as `(mean, mean square)`.
    pub(crate) fn corrected(&self, gradients: &[Tensor], step: &Tensor, slots: &mut Slots) -> Vec<(Tensor, Tensor)> {
        let means = averages(self.b1, MEAN, gradients, slots);
        let squares = averages(self.b2, SQUARE, &squares(gradients), slots);
        let means = corrected_means(self.b1, self.nesterov, gradients, &means, step);
        let t = step + 1;
        let c2 = ByDType::new(gradients, |dtype| bias_correction(self.b2, &t, dtype));
        let squares = squares.iter().map(|square| square / c2.of(square));
        means.into_iter().zip(squares).collect()
    }

    /// Adam's directions.
    pub(crate) fn directions(&self, gradients: &[Tensor], step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let pairs = self.corrected(gradients, step, slots);
        pairs.into_iter().map(|(mean, square)| mean / (square.sqrt() + self.eps)).collect()
    }
}

/// `m / (1 - bᵗ)`; as Nesterov, `b·m / (1 - bᵗ⁺¹) + (1 - b)·g / (1 - bᵗ)`.
pub(crate) fn corrected_means(
    decay: f64,
    nesterov: bool,
    gradients: &[Tensor],
    means: &[Tensor],
    step: &Tensor,
) -> Vec<Tensor> {
    let t = step + 1;
    let now = ByDType::new(gradients, |dtype| bias_correction(decay, &t, dtype));
    if !nesterov {
        return means.iter().map(|mean| mean / now.of(mean)).collect();
    }
    let t = t + 1;
    let next = ByDType::new(gradients, |dtype| bias_correction(decay, &t, dtype));
    let ahead = means.iter().zip(gradients).map(|(mean, g)| average(decay, &(mean / next.of(mean)), &(g / now.of(g))));
    ahead.collect()
}
