//! SM3.

use jaxnet_tensor::{Dims, Tensor};

use crate::adagrad::scaled;
use crate::moments::{MEAN, averages, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// SM3: Adagrad that remembers a number for each index of each axis instead of for each element, as `sm3` of
/// `jax.example_libraries.optimizers`. With `vₖ` for axis `k`, `s ← minₖ vₖ + g²` and `vₖ ← max of s over all
/// other axes`; the mean of `g / √s`, of which `momentum` stays at each update, is followed.
///
/// Anil et al., [Memory-Efficient Adaptive Optimization](https://arxiv.org/abs/1901.11150), 2019. The default of
/// `momentum` is 0.9.
///
/// ```
/// use jaxnet_optim::{Optimizer, Sm3};
/// use jaxnet_tensor::{Tensor, tensor, tree};
///
/// let opt = Sm3::new(0.1).momentum(0.0);
/// let state = opt.init(Tensor::ones([2, 3]));
/// assert_eq!(tree::paths(&state), ["step", "params", "slots.cover0", "slots.cover1", "slots.mean"]);
/// let state = opt.update_from_gradients(Tensor::ones([2, 3]) * 5.0, state);
/// assert!(opt.params(&state).allclose(Tensor::ones([2, 3]) * 0.9, 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Sm3 {
    learning_rate: Schedule,
    momentum: f64,
}

impl Sm3 {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Sm3 { learning_rate: learning_rate.into(), momentum: 0.9 }
    }

    /// How much of the mean of the scaled gradients stays at each update.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }
}

/// The list with the numbers for this axis. A parameter without the axis has a scalar there; a scalar
/// parameter has its one number under axis 0.
fn cover(axis: usize) -> String {
    format!("cover{axis}")
}

fn covers(params: &[Tensor]) -> usize {
    params.iter().map(Tensor::rank).max().unwrap_or(0).max(1)
}

impl UpdateRule for Sm3 {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        for axis in 0..covers(params) {
            let zeros = |param: &Tensor| {
                let size: Dims = param.shape().get(axis).copied().into_iter().collect();
                Tensor::zeros(size).astype(param.dtype())
            };
            slots.put(&cover(axis), params.iter().map(zeros).collect());
        }
        slots.put(MEAN, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let count = covers(params);
        let old: Vec<Vec<Tensor>> = (0..count).map(|axis| slots.take(&cover(axis))).collect();
        let bounds = gradients.iter().enumerate().map(|(i, g)| {
            let along = |axis: usize| {
                // As many axes as the gradient has, of size 1 but for this one.
                let mut sizes = Dims::from_elem(1, g.rank());
                if let Some(size) = sizes.get_mut(axis) {
                    *size = g.shape()[axis];
                }
                old[axis][i].reshape(&sizes[..])
            };
            let least = (1..g.rank()).fold(along(0), |least, axis| least.minimum(along(axis)));
            least + g.square()
        });
        let bounds: Vec<Tensor> = bounds.collect();
        for axis in 0..count {
            let next = |(bound, old): (&Tensor, &Tensor)| {
                let others: Vec<isize> = (0..bound.rank()).filter(|&a| a != axis).map(|a| a as isize).collect();
                match bound.rank() {
                    0 if axis == 0 => bound.clone(),
                    rank if axis < rank => bound.max_axis(others),
                    _ => old.clone(),
                }
            };
            slots.put(&cover(axis), bounds.iter().zip(&old[axis]).map(next).collect());
        }
        let directions: Vec<Tensor> = gradients.iter().zip(&bounds).map(|(g, bound)| scaled(g, bound, 0.0)).collect();
        descend(&self.learning_rate.at(step), &averages(self.momentum, MEAN, &directions, slots))
    }
}
