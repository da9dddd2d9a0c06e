//! Rules that multiply updates.

use jaxnet_tensor::Tensor;

use crate::moments::{descend, norm, root_mean_square, times_rate};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Multiplies by a number or a schedule, as `scale` and `scale_by_schedule` of optax.
///
/// ```
/// use jaxnet_optim::{Adam, Optimizer, Scale, linear};
/// use jaxnet_tensor::tensor;
///
/// // A second schedule on top of the optimizer's own.
/// let opt = (Adam::new(0.5), Scale::new(linear(1.0, 0.0, 10)));
/// let state = opt.update_from_gradients(tensor![1.0], opt.init(tensor![0.0]));
/// assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.45);
/// ```
#[derive(Clone, Debug)]
pub struct Scale {
    factor: Schedule,
}

impl Scale {
    /// By a number or a schedule.
    pub fn new(factor: impl Into<Schedule>) -> Self {
        Scale { factor: factor.into() }
    }
}

impl UpdateRule for Scale {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.factor.at(step))
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        let factor = self.factor.at(step);
        gradients.iter().map(|g| times_rate(&factor, g)).collect()
    }
}

/// Multiplies by `-lr`, as `scale_by_learning_rate` of optax: the end of a tuple of rules that make directions.
///
/// ```
/// use jaxnet_optim::{Direction, Momentum, Optimizer, ScaleByLearningRate};
/// use jaxnet_tensor::tensor;
///
/// let opt = (Direction::of(Momentum::new(1.0, 0.9)), ScaleByLearningRate::new(0.5));
/// let state = opt.update_from_gradients(tensor![1.0], opt.init(tensor![0.0]));
/// assert_eq!(opt.params(&state).item::<f32>(), -0.5);
/// ```
#[derive(Clone, Debug)]
pub struct ScaleByLearningRate {
    learning_rate: Schedule,
}

impl ScaleByLearningRate {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        ScaleByLearningRate { learning_rate: learning_rate.into() }
    }
}

impl UpdateRule for ScaleByLearningRate {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        descend(&self.learning_rate.at(step), &gradients)
    }
}

/// Where an optimizer goes down, as a direction that goes up: its updates, negated. With an optimizer of learning
/// rate 1, what optax calls `scale_by_adam`, `scale_by_rms` and so on, for tuples that end with
/// [`ScaleByLearningRate`].
///
/// ```
/// use jaxnet_optim::{Adam, Direction, Optimizer, ScaleByLearningRate, ScaleByTrustRatio, WeightDecay};
/// use jaxnet_tensor::tensor;
///
/// // LAMB from its parts.
/// let opt = (
///     Direction::of(Adam::new(1.0).eps(1e-6)),
///     WeightDecay::new(0.01),
///     ScaleByTrustRatio::new(),
///     ScaleByLearningRate::new(0.1),
/// );
/// let state = opt.update(opt.init(tensor![3.0, 4.0]), |x| x.square().sum());
/// // The update is a tenth as long as the parameters.
/// assert!((opt.params(&state) - tensor![3.0, 4.0]).square().sum().allclose(0.25, 1e-5, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Direction<R> {
    rule: R,
}

impl<R: UpdateRule> Direction<R> {
    /// Of an optimizer.
    pub fn of(rule: R) -> Self {
        Direction { rule }
    }
}

impl<R: UpdateRule> UpdateRule for Direction<R> {
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        self.rule.rate(step, slots)
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        self.rule.init_slots(params, slots);
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        self.rule.updates(gradients, params, step, slots).iter().map(|update| -update).collect()
    }
}

/// Makes each parameter's update as long as the parameter: multiplies by `coefficient·‖x‖ / (‖u‖ + eps)`, and by 1
/// where `x` or `u` is 0; as `scale_by_trust_ratio` of optax.
///
/// You, Gitman and Ginsburg, [Large Batch Training of Convolutional Networks](https://arxiv.org/abs/1708.03888),
/// 2017. The defaults are a `coefficient` of 1 and an `eps` of 0.
///
/// ```
/// use jaxnet_optim::{Optimizer, ScaleByTrustRatio, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (ScaleByTrustRatio::new(), Sgd::new(0.5));
/// let state = opt.update_from_gradients(tensor![0.0, 1e-3], opt.init(tensor![3.0, 4.0]));
/// assert!(opt.params(&state).allclose(tensor![3.0, 1.5], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct ScaleByTrustRatio {
    coefficient: f64,
    eps: f64,
}

impl Default for ScaleByTrustRatio {
    fn default() -> Self {
        Self::new()
    }
}

impl ScaleByTrustRatio {
    /// With a coefficient of 1.
    pub fn new() -> Self {
        ScaleByTrustRatio { coefficient: 1.0, eps: 0.0 }
    }

    /// How long the update is, where the parameter's length is 1.
    #[must_use]
    pub fn coefficient(mut self, coefficient: f64) -> Self {
        self.coefficient = coefficient;
        self
    }

    /// What is added to the update's length, against division by small numbers.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    pub(crate) fn scaled(&self, update: &Tensor, param: &Tensor) -> Tensor {
        let (length, goal) = (norm(update), norm(param));
        let nonzero = length.gt(0.0) & goal.gt(0.0);
        // Not divided where it is not used either, so that no NaN comes up.
        let ratio = goal * self.coefficient / nonzero.select(length + self.eps, 1.0);
        update * nonzero.select(ratio, 1.0)
    }
}

impl UpdateRule for ScaleByTrustRatio {
    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        gradients.iter().zip(params.iter()).map(|(g, param)| self.scaled(g, param)).collect()
    }
}

/// Multiplies each parameter's update by the root of the mean of the parameter's squares, and at least by `min`, as
/// `scale_by_param_block_rms` of optax.
///
/// ```
/// use jaxnet_optim::{Optimizer, ScaleByParamRms, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (ScaleByParamRms::new(), Sgd::new(0.5));
/// let state = opt.update_from_gradients(tensor![1.0, 0.0], opt.init(tensor![2.0, -2.0]));
/// assert!(opt.params(&state).allclose(tensor![1.0, -2.0], 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct ScaleByParamRms {
    min: f64,
}

impl Default for ScaleByParamRms {
    fn default() -> Self {
        Self::new()
    }
}

impl ScaleByParamRms {
    /// With a least factor of 1e-3.
    pub fn new() -> Self {
        ScaleByParamRms { min: 1e-3 }
    }

    /// The least factor.
    #[must_use]
    pub fn min(mut self, min: f64) -> Self {
        self.min = min;
        self
    }
}

impl UpdateRule for ScaleByParamRms {
    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        let factor = |param: &Tensor| root_mean_square(param).maximum(self.min);
        gradients.iter().zip(params.iter()).map(|(g, param)| g * factor(param)).collect()
    }
}
