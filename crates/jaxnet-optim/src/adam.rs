//! Adam, with weight decay and with Nesterov's momentum.

use jaxnet_tensor::Tensor;

use crate::decay::WeightDecay;
use crate::moments::{Moments, descend};
use crate::rule::{Leaves, UpdateRule};
use crate::schedule::Schedule;
use crate::slots::Slots;

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
    moments: Moments,
}

impl Adam {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adam { learning_rate: learning_rate.into(), moments: Moments::default() }
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
}

impl UpdateRule for Adam {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        Moments::init(params, slots);
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        descend(&self.learning_rate.at(step), &self.moments.directions(&gradients, step, slots))
    }
}

/// Adam with decoupled weight decay: with Adam's direction `d`, `x ← x - lr·(d + weight_decay·x)`, as `adamw` of
/// optax.
///
/// Loshchilov and Hutter, [Decoupled Weight Decay Regularization](https://arxiv.org/abs/1711.05101), 2017. The
/// defaults are [`Adam`]'s, and a `weight_decay` of 1e-4.
///
/// ```
/// use jaxnet_optim::{AdamW, Optimizer};
/// use jaxnet_tensor::{Tensor, tensor};
/// use std::collections::BTreeMap;
///
/// let params: BTreeMap<String, Tensor> =
///     [("kernel".to_string(), tensor![2.0]), ("bias".to_string(), tensor![2.0])].into();
/// let opt = AdamW::new(0.1).weight_decay(0.5).mask(|path| path.ends_with("kernel"));
/// let zeros = params.iter().map(|(name, x)| (name.clone(), x.zeros_like())).collect();
/// let state = opt.update_from_gradients(zeros, opt.init(params));
/// assert!(opt.params(&state)["kernel"].allclose(1.9, 1e-6, 0.0));
/// assert!(opt.params(&state)["bias"].allclose(2.0, 0.0, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    learning_rate: Schedule,
    moments: Moments,
    decay: WeightDecay,
}

impl AdamW {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        let decay = WeightDecay::new(1e-4);
        AdamW { learning_rate: learning_rate.into(), moments: Moments::default(), decay }
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

    /// Nesterov's variant (optax's `nadamw`), or not.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.moments.nesterov = nesterov;
        self
    }

    /// How much the parameters are pulled towards 0, a number or a schedule; multiplied by the learning rate.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: impl Into<Schedule>) -> Self {
        self.decay = self.decay.strength(weight_decay);
        self
    }

    /// Which parameters are pulled, by their path.
    #[must_use]
    pub fn mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.decay = self.decay.mask(mask);
        self
    }
}

impl UpdateRule for AdamW {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        Moments::init(params, slots);
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let directions = self.moments.directions(&gradients, step, slots);
        descend(&self.learning_rate.at(step), &self.decay.added(directions, params, step))
    }
}

/// Adam with Nesterov's momentum: with Adam's `m` and `v`, `x ← x - lr · (b1·m / (1 - b1ᵗ⁺¹) +
/// (1 - b1)·g / (1 - b1ᵗ)) / (√(v / (1 - b2ᵗ)) + eps)`, as `nadam` of optax.
///
/// Dozat, [Incorporating Nesterov Momentum into Adam](https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ), 2016.
/// The defaults are [`Adam`]'s. (PyTorch's `NAdam` lets the momentum grow with a schedule of its own.)
///
/// ```
/// use jaxnet_optim::{NAdam, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = NAdam::new(0.1);
/// let state = opt.update_from_gradients(tensor![2.0], opt.init(tensor![1.0]));
/// // m is 0.2, and the root of the corrected v is 2.
/// let ahead = 0.9 * 0.2 / (1.0 - 0.81) + 0.1 * 2.0 / (1.0 - 0.9);
/// assert!(opt.params(&state).allclose(1.0 - 0.1 * ahead / 2.0, 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct NAdam {
    learning_rate: Schedule,
    moments: Moments,
}

impl NAdam {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        NAdam { learning_rate: learning_rate.into(), moments: Moments { nesterov: true, ..Moments::default() } }
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
}

impl UpdateRule for NAdam {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        Moments::init(params, slots);
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        descend(&self.learning_rate.at(step), &self.moments.directions(&gradients, step, slots))
    }
}
