//! Learning rates that change while training.

use std::fmt;
use std::sync::Arc;

use jaxnet_tensor::{DType, Error, Operand, Tensor, raise};

/// A learning rate as a function of the number of updates made before.
///
/// Numbers are constant schedules. The functions of this crate make others: [`linear`],
/// [`exponential_decay`], [`inverse_time_decay`], [`polynomial_decay`], [`cosine_decay`], [`piecewise_constant`],
/// and, put together, [`warmup`] and [`join_schedules`](crate::join_schedules); and any `Fn(&Tensor) -> Tensor` is
/// one, which gets the step, an i32 scalar that may be traced. They compute in f32.
///
/// ```
/// use jaxnet_optim::{Adam, Schedule, Sgd};
/// use jaxnet_tensor::{DType, Tensor};
///
/// let opt = Adam::new(1e-3);
/// let opt = Sgd::new(|step: &Tensor| 0.1 / (step.astype(DType::F32) + 1.0));
/// ```
#[derive(Clone)]
pub struct Schedule(Kind);

#[derive(Clone)]
enum Kind {
    Constant(f64),
    Function(Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>),
}

impl Schedule {
    /// The rate when so many updates have been made.
    ///
    /// ```
    /// use jaxnet_optim::exponential_decay;
    /// assert_eq!(exponential_decay(0.8, 10, 0.5).at(20).item::<f32>(), 0.2);
    /// ```
    ///
    /// # Panics
    ///
    /// If the step is not an integer scalar, or the schedule does not give a floating-point scalar.
    #[track_caller]
    pub fn at(&self, step: impl Operand) -> Tensor {
        let step = step.into_tensor();
        if step.rank() != 0 || !step.dtype().is_integer() {
            raise(Error::invalid("schedule", format!("the step must be an integer scalar, got {}", step.aval())));
        }
        let rate = match &self.0 {
            // Weakly typed, so that parameters in f64 get all its digits.
            Kind::Constant(rate) => return Tensor::from(*rate),
            Kind::Function(f) => f(&step),
        };
        if rate.rank() != 0 || !rate.dtype().is_float() {
            let message = format!("the learning rate must be a floating-point scalar, got {}", rate.aval());
            raise(Error::invalid("schedule", message));
        }
        rate
    }

    pub(crate) fn is_zero(&self) -> bool {
        matches!(self.0, Kind::Constant(0.0))
    }

    /// The schedule in steps: as at the last multiple of `steps`.
    ///
    /// ```
    /// use jaxnet_optim::exponential_decay;
    /// let schedule = exponential_decay(0.8, 10, 0.5).staircase(10);
    /// assert_eq!(schedule.at(19).item::<f32>(), 0.4);
    /// ```
    ///
    /// # Panics
    ///
    /// If `steps` is 0.
    #[must_use]
    #[track_caller]
    pub fn staircase(self, steps: usize) -> Schedule {
        let steps = count("staircase", steps);
        Schedule::from(move |step: &Tensor| self.at(step.floor_divide(steps) * steps))
    }

    /// The schedule, started later: until then it is what it starts with.
    ///
    /// ```
    /// use jaxnet_optim::linear;
    /// let schedule = linear(1.0, 0.0, 4).delayed(10);
    /// assert_eq!([0, 10, 12, 14].map(|step| schedule.at(step).item::<f32>()), [1.0, 1.0, 0.5, 0.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the steps are more than fit into i32.
    #[must_use]
    #[track_caller]
    pub fn delayed(self, steps: usize) -> Schedule {
        let steps = if steps == 0 { 0 } else { count("delayed", steps) };
        Schedule::from(move |step: &Tensor| self.at((step - steps).maximum(0)))
    }

    /// The schedule, but nowhere less than this (`end_value` of optax's `exponential_decay`).
    ///
    /// ```
    /// use jaxnet_optim::exponential_decay;
    /// assert_eq!(exponential_decay(0.8, 10, 0.5).at_least(0.25).at(50).item::<f32>(), 0.25);
    /// ```
    #[must_use]
    pub fn at_least(self, least: f64) -> Schedule {
        Schedule::from(move |step: &Tensor| self.at(step).maximum(least))
    }

    /// The schedule, but nowhere more than this.
    ///
    /// ```
    /// use jaxnet_optim::exponential_decay;
    /// assert_eq!(exponential_decay(0.1, 10, 2.0).at_most(0.25).at(50).item::<f32>(), 0.25);
    /// ```
    #[must_use]
    pub fn at_most(self, most: f64) -> Schedule {
        Schedule::from(move |step: &Tensor| self.at(step).minimum(most))
    }
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Schedule(Kind::Constant(rate))
    }
}

impl From<f32> for Schedule {
    fn from(rate: f32) -> Self {
        Schedule(Kind::Constant(rate.into()))
    }
}

impl<F: Fn(&Tensor) -> Tensor + Send + Sync + 'static> From<F> for Schedule {
    fn from(f: F) -> Self {
        Schedule(Kind::Function(Arc::new(f)))
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Constant(rate) => rate.fmt(f),
            Kind::Function(_) => f.write_str("schedule"),
        }
    }
}

/// A number of steps, which are counted in i32.
#[track_caller]
pub(crate) fn count(name: &str, steps: usize) -> i32 {
    match i32::try_from(steps) {
        Ok(0) => raise(Error::invalid(name, "the number of steps must not be 0")),
        Ok(steps) => steps,
        Err(_) => raise(Error::invalid(name, format!("{steps} steps are more than fit into i32"))),
    }
}

pub(crate) fn float(step: &Tensor) -> Tensor {
    step.astype(DType::F32)
}

/// Always the same.
///
/// ```
/// assert_eq!(jaxnet_optim::constant(0.5).at(7).item::<f32>(), 0.5);
/// ```
pub fn constant(rate: f64) -> Schedule {
    Schedule::from(rate)
}

/// `rate · decay_rate^(step / decay_steps)`.
///
/// See [`Schedule::staircase`] for whole powers only.
///
/// ```
/// use jaxnet_optim::exponential_decay;
/// let rate = exponential_decay(0.1, 100, 0.5);
/// assert!((rate.at(200).item::<f32>() - 0.025).abs() < 1e-6);
/// ```
///
/// # Panics
///
/// If `decay_steps` is 0.
#[track_caller]
pub fn exponential_decay(rate: f64, decay_steps: usize, decay_rate: f64) -> Schedule {
    let steps = count("exponential_decay", decay_steps) as f64;
    Schedule::from(move |step: &Tensor| Tensor::scalar(decay_rate as f32).pow(float(step) / steps) * rate)
}

/// `rate / (1 + decay_rate · step / decay_steps)`.
///
/// ```
/// assert_eq!(jaxnet_optim::inverse_time_decay(0.6, 10, 0.5).at(20).item::<f32>(), 0.3);
/// ```
///
/// # Panics
///
/// If `decay_steps` is 0.
#[track_caller]
pub fn inverse_time_decay(rate: f64, decay_steps: usize, decay_rate: f64) -> Schedule {
    let steps = count("inverse_time_decay", decay_steps) as f64;
    Schedule::from(move |step: &Tensor| rate / (float(step) * (decay_rate / steps) + 1.0))
}

/// `(rate - final_rate) · (1 - step / decay_steps)^power + final_rate`, and `final_rate` from
/// `decay_steps` on.
///
/// ```
/// let schedule = jaxnet_optim::polynomial_decay(1.0, 4, 0.5, 2.0);
/// assert_eq!(schedule.at(2).item::<f32>(), 0.625);
/// assert_eq!(schedule.at(9).item::<f32>(), 0.5);
/// ```
///
/// # Panics
///
/// If `decay_steps` is 0.
#[track_caller]
pub fn polynomial_decay(rate: f64, decay_steps: usize, final_rate: f64, power: f64) -> Schedule {
    let steps = count("polynomial_decay", decay_steps);
    Schedule::from(move |step: &Tensor| {
        let left = 1.0 - float(&step.minimum(steps)) / steps as f64;
        left.pow(power) * (rate - final_rate) + final_rate
    })
}

/// From `rate` to `final_rate` in a straight line of `steps` steps, and `final_rate` from there on;
/// `linear_schedule` of optax.
///
/// ```
/// let schedule = jaxnet_optim::linear(1.0, 0.5, 4);
/// assert_eq!([0, 1, 4, 9].map(|step| schedule.at(step).item::<f32>()), [1.0, 0.875, 0.5, 0.5]);
/// ```
///
/// # Panics
///
/// If `steps` is 0.
#[track_caller]
pub fn linear(rate: f64, final_rate: f64, steps: usize) -> Schedule {
    let steps = count("linear", steps);
    Schedule::from(move |step: &Tensor| {
        let left = 1.0 - float(&step.minimum(steps)) / steps as f64;
        left * (rate - final_rate) + final_rate
    })
}

/// `values[i]`, where `i` is the number of boundaries that are less than the step: a boundary is the
/// last step of the value before it.
///
/// ```
/// let schedule = jaxnet_optim::piecewise_constant(&[10, 20], &[0.5, 0.25, 0.125]);
/// let rates = [0, 10, 11, 20, 21].map(|step| schedule.at(step).item::<f32>());
/// assert_eq!(rates, [0.5, 0.5, 0.25, 0.25, 0.125]);
/// ```
///
/// # Panics
///
/// Unless the boundaries ascend, and there is one value more than boundaries.
#[track_caller]
pub fn piecewise_constant(boundaries: &[usize], values: &[f64]) -> Schedule {
    let name = "piecewise_constant";
    if values.len() != boundaries.len() + 1 {
        let message = format!("{} boundaries need one value more, got {} values", boundaries.len(), values.len());
        raise(Error::invalid(name, message));
    }
    if !boundaries.is_sorted_by(|a, b| a < b) {
        raise(Error::invalid(name, format!("the boundaries must ascend, got {boundaries:?}")));
    }
    let boundaries: Vec<i32> =
        boundaries.iter().map(|&boundary| if boundary == 0 { 0 } else { count(name, boundary) }).collect();
    let values = values.to_vec();
    Schedule::from(move |step: &Tensor| {
        let first = Tensor::scalar(values[0] as f32);
        boundaries
            .iter()
            .zip(&values[1..])
            .fold(first, |rate, (boundary, value)| step.gt(*boundary).select(Tensor::scalar(*value as f32), rate))
    })
}

/// `rate · ((1 - alpha) · ½(1 + cos(π · step / decay_steps)) + alpha)`, and `rate · alpha` from
/// `decay_steps` on.
///
/// Loshchilov and Hutter, [SGDR](https://arxiv.org/abs/1608.03983), 2016; `cosine_decay_schedule` of
/// optax.
///
/// ```
/// let schedule = jaxnet_optim::cosine_decay(1.0, 100, 0.5);
/// assert_eq!(schedule.at(0).item::<f32>(), 1.0);
/// assert_eq!(schedule.at(50).item::<f32>(), 0.75);
/// assert_eq!(schedule.at(100).item::<f32>(), 0.5);
/// ```
///
/// # Panics
///
/// If `decay_steps` is 0.
#[track_caller]
pub fn cosine_decay(rate: f64, decay_steps: usize, alpha: f64) -> Schedule {
    let steps = count("cosine_decay", decay_steps);
    Schedule::from(move |step: &Tensor| {
        let angle = float(&step.minimum(steps)) * (std::f64::consts::PI / steps as f64);
        let cosine = (angle.cos() + 1.0) * 0.5;
        (cosine * (1.0 - alpha) + alpha) * rate
    })
}

/// In `steps` steps linearly from 0 to what `then` starts with, then `then`, counting from its own
/// start.
///
/// ```
/// use jaxnet_optim::{cosine_decay, warmup};
///
/// let schedule = warmup(10, cosine_decay(1.0, 90, 0.0));
/// assert_eq!(schedule.at(0).item::<f32>(), 0.0);
/// assert_eq!(schedule.at(5).item::<f32>(), 0.5);
/// assert_eq!(schedule.at(10).item::<f32>(), 1.0);
/// assert!(schedule.at(100).item::<f32>().abs() < 1e-6);
/// ```
///
/// # Panics
///
/// If `steps` is 0.
#[track_caller]
pub fn warmup(steps: usize, then: impl Into<Schedule>) -> Schedule {
    let (steps, then) = (count("warmup", steps), then.into());
    Schedule::from(move |step: &Tensor| {
        let rising = float(step) / steps as f64 * then.at(0);
        // Only used from its start on, so that it is not asked for earlier steps.
        let after = then.at((step - steps).maximum(0));
        step.lt(steps).select(rising, after)
    })
}
