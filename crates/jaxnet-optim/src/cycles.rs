//! Schedules that are put together from pieces.

use std::f64::consts::PI;

use jaxnet_tensor::{Error, Tensor, raise};

use crate::schedule::{Schedule, cosine_decay, count, exponential_decay, float, linear};

/// One schedule after another: each starts at its boundary, and counts from there. `join_schedules` of optax.
///
/// ```
/// use jaxnet_optim::{constant, join_schedules, linear};
///
/// let schedule = join_schedules(vec![constant(0.5), linear(0.5, 0.0, 4)], &[10]);
/// assert_eq!([0, 9, 10, 12, 20].map(|step| schedule.at(step).item::<f32>()), [0.5, 0.5, 0.5, 0.25, 0.0]);
/// ```
///
/// # Panics
///
/// Unless the boundaries ascend, and there is one schedule more than boundaries.
#[track_caller]
pub fn join_schedules(schedules: Vec<Schedule>, boundaries: &[usize]) -> Schedule {
    let name = "join_schedules";
    if schedules.len() != boundaries.len() + 1 {
        let (schedules, boundaries) = (schedules.len(), boundaries.len());
        raise(Error::invalid(name, format!("{boundaries} boundaries need one schedule more, got {schedules}")));
    }
    let boundaries = ascending(name, boundaries);
    Schedule::from(move |step: &Tensor| {
        let first = float_rate(schedules[0].at(step));
        boundaries.iter().zip(&schedules[1..]).fold(first, |rate, (boundary, schedule)| {
            // Only used from its start on, so that it is not asked for earlier steps.
            let from_here = float_rate(schedule.at((step - *boundary).maximum(0)));
            step.lt(*boundary).select(rate, from_here)
        })
    })
}

/// Of one dtype, which schedules of one's own need not have in common.
fn float_rate(rate: Tensor) -> Tensor {
    float(&rate)
}

#[track_caller]
fn ascending(name: &str, boundaries: &[usize]) -> Vec<i32> {
    if !boundaries.is_sorted_by(|a, b| a < b) {
        raise(Error::invalid(name, format!("the boundaries must ascend, got {boundaries:?}")));
    }
    boundaries.iter().map(|&boundary| if boundary == 0 { 0 } else { count(name, boundary) }).collect()
}

/// A rise from `init` to `peak` in a straight line of `warmup_steps` steps, then a fall to `end` along a cosine;
/// `decay_steps` steps in all. `warmup_cosine_decay_schedule` of optax.
///
/// ```
/// let schedule = jaxnet_optim::warmup_cosine_decay(0.0, 1.0, 10, 110, 0.2);
/// assert_eq!([5, 10].map(|step| schedule.at(step).item::<f32>()), [0.5, 1.0]);
/// assert!(schedule.at(60).allclose(0.6, 1e-6, 0.0) && schedule.at(500).allclose(0.2, 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If `warmup_steps` is 0, or `decay_steps` is not more.
#[track_caller]
pub fn warmup_cosine_decay(init: f64, peak: f64, warmup_steps: usize, decay_steps: usize, end: f64) -> Schedule {
    if decay_steps <= warmup_steps {
        let message = format!("{decay_steps} steps in all must be more than the {warmup_steps} of the warmup");
        raise(Error::invalid("warmup_cosine_decay", message));
    }
    let alpha = if peak == 0.0 { 0.0 } else { end / peak };
    let parts = vec![linear(init, peak, warmup_steps), cosine_decay(peak, decay_steps - warmup_steps, alpha)];
    join_schedules(parts, &[warmup_steps])
}

/// A rise from `init` to `peak` in a straight line of `warmup_steps` steps, then
/// [`exponential_decay`]`(peak, transition_steps, decay_rate)`. `warmup_exponential_decay_schedule` of optax.
///
/// ```
/// let schedule = jaxnet_optim::warmup_exponential_decay(0.0, 1.0, 10, 20, 0.5);
/// assert_eq!([5, 10, 30].map(|step| schedule.at(step).item::<f32>()), [0.5, 1.0, 0.5]);
/// ```
///
/// # Panics
///
/// If `warmup_steps` or `transition_steps` is 0.
#[track_caller]
pub fn warmup_exponential_decay(
    init: f64,
    peak: f64,
    warmup_steps: usize,
    transition_steps: usize,
    decay_rate: f64,
) -> Schedule {
    let parts = vec![linear(init, peak, warmup_steps), exponential_decay(peak, transition_steps, decay_rate)];
    join_schedules(parts, &[warmup_steps])
}

/// A cycle of [`sgdr`]; see [`warmup_cosine_decay`].
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    /// Where it starts.
    pub init: f64,
    /// Where the warmup leads to.
    pub peak: f64,
    /// The steps of the warmup.
    pub warmup_steps: usize,
    /// The steps of the whole cycle.
    pub decay_steps: usize,
    /// Where it ends.
    pub end: f64,
}

/// Cycles of [`warmup_cosine_decay`], one after another: stochastic gradient descent with warm restarts.
/// `sgdr_schedule` of optax.
///
/// Loshchilov and Hutter, [SGDR](https://arxiv.org/abs/1608.03983), 2016.
///
/// ```
/// use jaxnet_optim::{Cycle, sgdr};
///
/// let cycle = |peak, decay_steps| Cycle { init: 0.0, peak, warmup_steps: 2, decay_steps, end: 0.0 };
/// let schedule = sgdr(&[cycle(1.0, 10), cycle(0.5, 20)]);
/// assert_eq!([1, 2, 10, 11, 12].map(|step| schedule.at(step).item::<f32>()), [0.5, 1.0, 0.0, 0.25, 0.5]);
/// ```
///
/// # Panics
///
/// If there is no cycle, or one has a warmup of 0 steps or no more steps than its warmup.
#[track_caller]
pub fn sgdr(cycles: &[Cycle]) -> Schedule {
    if cycles.is_empty() {
        raise(Error::invalid("sgdr", "needs at least one cycle"));
    }
    let mut parts = Vec::new();
    for cycle in cycles {
        let Cycle { init, peak, warmup_steps, decay_steps, end } = *cycle;
        parts.push(warmup_cosine_decay(init, peak, warmup_steps, decay_steps, end));
    }
    let ends = cycles.iter().scan(0_usize, |end, cycle| {
        *end = end.saturating_add(cycle.decay_steps);
        Some(*end)
    });
    let boundaries: Vec<usize> = ends.take(cycles.len() - 1).collect();
    join_schedules(parts, &boundaries)
}

/// How a schedule gets from one value to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// In a straight line.
    Linear,
    /// Along half a wave of a cosine, which is level at both ends.
    Cosine,
}

/// From `init` on to values that are given as a boundary, and by what the value before is multiplied there.
/// `piecewise_interpolate_schedule` of optax.
///
/// ```
/// use jaxnet_optim::{Interpolation, piecewise_interpolate};
///
/// let schedule = piecewise_interpolate(Interpolation::Linear, 1.0, &[(4, 0.5), (8, 4.0)]);
/// assert_eq!([0, 2, 4, 6, 8, 9].map(|step| schedule.at(step).item::<f32>()), [1.0, 0.75, 0.5, 1.25, 2.0, 2.0]);
/// ```
///
/// # Panics
///
/// Unless the boundaries ascend from 1 on, and the factors are at least 0.
#[track_caller]
pub fn piecewise_interpolate(
    interpolation: Interpolation,
    init: f64,
    boundaries_and_scales: &[(usize, f64)],
) -> Schedule {
    let name = "piecewise_interpolate";
    let (boundaries, mut values) = products(name, init, boundaries_and_scales);
    if boundaries.first() == Some(&0) {
        raise(Error::invalid(name, "the boundaries start from 1, the first value is `init`"));
    }
    let last = values.pop().expect("there is the first one");
    Schedule::from(move |step: &Tensor| {
        let mut rate = Tensor::scalar(last as f32);
        // From the last piece to the first: the first whose end has not been reached counts.
        for (i, &value) in values.iter().enumerate().rev() {
            let next = values.get(i + 1).copied().unwrap_or(last);
            let (start, end) = (if i == 0 { 0 } else { boundaries[i - 1] }, boundaries[i]);
            let part = float(&(step - start)) / f64::from(end - start);
            let here = match interpolation {
                Interpolation::Linear => part * (next - value) + value,
                Interpolation::Cosine => ((part * PI).cos() + 1.0) * ((value - next) / 2.0) + next,
            };
            rate = step.lt(end).select(here, rate);
        }
        rate
    })
}

/// Boundaries, and the products of scales up to each.
#[track_caller]
fn products(name: &str, init: f64, boundaries_and_scales: &[(usize, f64)]) -> (Vec<i32>, Vec<f64>) {
    if let Some((boundary, scale)) = boundaries_and_scales.iter().find(|(_, scale)| scale.is_nan() || *scale < 0.0) {
        raise(Error::invalid(name, format!("the factors must be at least 0, got {scale} at {boundary}")));
    }
    let boundaries: Vec<usize> = boundaries_and_scales.iter().map(|(boundary, _)| *boundary).collect();
    let mut values = vec![init];
    for (_, scale) in boundaries_and_scales {
        values.push(values[values.len() - 1] * scale);
    }
    (ascending(name, &boundaries), values)
}

/// `init`, multiplied by a factor from each boundary on. `piecewise_constant_schedule` of optax. (In
/// [`piecewise_constant`](crate::piecewise_constant), which is JAXnet's, the values themselves are given, and a
/// boundary belongs to the value before it.)
///
/// ```
/// let schedule = jaxnet_optim::piecewise_scale(1.0, &[(10, 0.5), (20, 0.5)]);
/// assert_eq!([0, 9, 10, 20].map(|step| schedule.at(step).item::<f32>()), [1.0, 1.0, 0.5, 0.25]);
/// ```
///
/// # Panics
///
/// Unless the boundaries ascend, and the factors are at least 0.
#[track_caller]
pub fn piecewise_scale(init: f64, boundaries_and_scales: &[(usize, f64)]) -> Schedule {
    let (boundaries, values) = products("piecewise_scale", init, boundaries_and_scales);
    Schedule::from(move |step: &Tensor| {
        let first = Tensor::scalar(values[0] as f32);
        let later = boundaries.iter().zip(&values[1..]);
        later.fold(first, |rate, (boundary, value)| step.ge(*boundary).select(Tensor::scalar(*value as f32), rate))
    })
}

/// The shape of [`linear_onecycle`] and [`cosine_onecycle`].
#[derive(Clone, Copy, Debug)]
pub struct OneCycle {
    /// At which part of the steps the peak is reached; 0.3 by default.
    pub start: f64,
    /// At which part of the steps the linear cycle is back where it started from; 0.85 by default.
    pub finish: f64,
    /// How many times the start the peak is; 25 by default.
    pub div_factor: f64,
    /// How many times the end the start is; 10 000 by default.
    pub final_div_factor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        OneCycle { start: 0.3, finish: 0.85, div_factor: 25.0, final_div_factor: 1e4 }
    }
}

impl OneCycle {
    /// The step at this part of all.
    #[track_caller]
    fn boundary(self, name: &str, part: f64, steps: usize) -> usize {
        if !(0.0..=1.0).contains(&part) {
            raise(Error::invalid(name, format!("parts of the steps are from 0 to 1, got {part}")));
        }
        (part * count(name, steps) as f64) as usize
    }
}

/// In straight lines up to `peak`, back down, and further down: the one-cycle policy. `linear_onecycle_schedule` of
/// optax.
///
/// Smith and Topin, [Super-Convergence](https://arxiv.org/abs/1708.07120), 2017.
///
/// ```
/// use jaxnet_optim::{OneCycle, linear_onecycle};
///
/// let schedule = linear_onecycle(100, 0.5, OneCycle { div_factor: 10.0, ..OneCycle::default() });
/// assert!(schedule.at(0).allclose(0.05, 1e-6, 0.0) && schedule.at(30).allclose(0.5, 1e-6, 0.0));
/// assert!(schedule.at(85).allclose(0.05, 1e-6, 0.0) && schedule.at(100).allclose(5e-6, 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If `steps` is 0, or so few that pieces have no step, or the parts are not from 0 to 1 and ascending.
#[track_caller]
pub fn linear_onecycle(steps: usize, peak: f64, shape: OneCycle) -> Schedule {
    let name = "linear_onecycle";
    let (start, finish) = (shape.boundary(name, shape.start, steps), shape.boundary(name, shape.finish, steps));
    piecewise_interpolate(
        Interpolation::Linear,
        peak / shape.div_factor,
        &[(start, shape.div_factor), (finish, 1.0 / shape.div_factor), (steps, 1.0 / shape.final_div_factor)],
    )
}

/// Along cosines up to `peak`, and down to the end: the one-cycle policy (without [`OneCycle::finish`]).
/// `cosine_onecycle_schedule` of optax, PyTorch's `OneCycleLR`.
///
/// Smith and Topin, [Super-Convergence](https://arxiv.org/abs/1708.07120), 2017.
///
/// ```
/// use jaxnet_optim::{OneCycle, cosine_onecycle};
///
/// let schedule = cosine_onecycle(100, 0.5, OneCycle::default());
/// assert!(schedule.at(0).allclose(0.02, 1e-6, 0.0) && schedule.at(15).allclose(0.26, 1e-6, 0.0));
/// assert!(schedule.at(30).allclose(0.5, 1e-6, 0.0) && schedule.at(100).allclose(2e-6, 1e-5, 0.0));
/// ```
///
/// # Panics
///
/// If `steps` is 0, or so few that a piece has no step, or the part is not from 0 to 1.
#[track_caller]
pub fn cosine_onecycle(steps: usize, peak: f64, shape: OneCycle) -> Schedule {
    let start = shape.boundary("cosine_onecycle", shape.start, steps);
    let scales = [(start, shape.div_factor), (steps, 1.0 / (shape.div_factor * shape.final_div_factor))];
    piecewise_interpolate(Interpolation::Cosine, peak / shape.div_factor, &scales)
}
