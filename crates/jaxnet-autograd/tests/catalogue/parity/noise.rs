//! How far a program's results move when its operations are a little off.
//!
//! Engines round differently, and what a program makes of that depends on the program: a difference may
//! cancel everything but the rounding, a comparison may turn round. So the CPU engine runs the program a
//! few times with small random errors in every operation that rounds, and another engine's results must be
//! about as near to the right ones as these.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jaxnet_tensor::primitive::{BinaryOp, Control, Elementwise, UnaryOp};
use jaxnet_tensor::{DType, Primitive, Program, Tensor};

use super::tolerance::{Tolerance, flushed, map};
use crate::compare::{Elements, Outcome, elements, epsilon, floats};
use crate::reference::{self, Side};
use crate::rows::Numbers;

/// The error of an operation, relative to its result.
fn error(dtype: DType) -> f64 {
    let units = if is_half(dtype) { 1.0 } else { 4.0 };
    units * epsilon(dtype)
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// How many times a program is run with errors.
const RUNS: u64 = 4;
/// How many times as far as with these errors results may be.
const MARGIN: f64 = 16.0;

/// What a program gives, and how far its results may be from that.
pub struct Expected {
    results: Vec<Tensor>,
    noisy: Vec<Vec<Tensor>>,
}

/// How many elements were compared, and how many were not because they may be anything.
#[derive(Default)]
pub struct Counts {
    compared: AtomicUsize,
    skipped: AtomicUsize,
}

impl Counts {
    /// Fails if too few elements were compared for a test to mean anything.
    pub fn assert_most(&self) {
        let (compared, skipped) = (self.compared.load(Relaxed), self.skipped.load(Relaxed));
        assert!(compared >= 6 * skipped, "only {compared} elements were compared, {skipped} may be anything");
    }
}

impl Expected {
    pub fn of(program: &Program, inputs: &[Tensor], seed: u64) -> Self {
        let run = |i: u64| {
            let mut numbers = Numbers::new(seed ^ i);
            // In one run, subnormal numbers are 0, too, and sines of huge numbers are not known.
            let flush = |of: Vec<Tensor>| if i == 0 { flushed(&of) } else { of };
            let angles = |of: &[Tensor]| of.iter().map(|x| map(x, |v| known_angle(v, x.dtype()))).collect();
            reference::eval_by(program, &flush(inputs.to_vec()), &mut |primitive, side, values| match side {
                // What is left when summands cancel out is no measure of what was lost.
                Side::Operands if sums(primitive) => disturbed(&values, 0.0, &mut numbers),
                Side::Operands if i == 0 && turns(primitive) => angles(&values),
                Side::Operands => values,
                Side::Results if rounds(primitive) => flush(disturbed(&values, scale(primitive), &mut numbers)),
                Side::Results => flush(values),
            })
        };
        Expected { results: reference::eval(program, inputs), noisy: (0..RUNS).map(run).collect() }
    }

    pub fn compare(&self, what: &str, got: &[Tensor], counts: &Counts) -> Outcome {
        if got.len() != self.results.len() {
            return Err(format!("{what}: {} results rather than {}", got.len(), self.results.len()));
        }
        for (i, (got, expected)) in got.iter().zip(&self.results).enumerate() {
            if !got.aval().matches(expected.aval()) {
                return Err(format!("{what}: result {i} is {} rather than {}", got.aval(), expected.aval()));
            }
            let noisy: Vec<&Tensor> = self.noisy.iter().map(|results| &results[i]).collect();
            if let Some(problem) = difference(got, expected, &noisy, counts) {
                return Err(format!(
                    "{what}: result {i} ({}) has {problem}\n   got {got}\nrather {expected}",
                    got.aval()
                ));
            }
        }
        Ok(())
    }
}

fn difference(got: &Tensor, expected: &Tensor, noisy: &[&Tensor], counts: &Counts) -> Option<String> {
    if let (Elements::Integers(got), Elements::Integers(expected)) = (elements(got), elements(expected)) {
        let noisy: Vec<Elements> = noisy.iter().map(|x| elements(x)).collect();
        let sure = |i: usize| {
            noisy.iter().all(|x| matches!(x, Elements::Integers(x) if x[i] == expected[i])) || {
                counts.skipped.fetch_add(1, Relaxed);
                false
            }
        };
        counts.compared.fetch_add(got.len(), Relaxed);
        let wrong = (0..got.len()).find(|&i| sure(i) && got[i] != expected[i]);
        return wrong.map(|i| format!("{} rather than {} at place {i}", got[i], expected[i]));
    }
    let (dtype, got, expected) = (got.dtype(), floats(got), floats(expected));
    let noisy: Vec<Vec<f64>> = noisy.iter().map(|x| floats(x)).collect();
    let exact = Tolerance { units: MARGIN, scale: 0.0, signs: false };
    for (i, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
        let class = |x: f64| (x.is_nan(), x == f64::INFINITY, x == f64::NEG_INFINITY);
        let near = |x: f64| class(x) == class(expected);
        if !noisy.iter().all(|x| near(x[i])) {
            counts.skipped.fetch_add(1, Relaxed);
            continue;
        }
        let moved = noisy.iter().map(|x| (x[i] - expected).abs()).fold(0.0, f64::max);
        // Where nothing of the size of the result is left, nothing can be said.
        if moved > if is_half(dtype) { 0.25 } else { 0.01 } * expected.abs().max(1.0) {
            counts.skipped.fetch_add(1, Relaxed);
            continue;
        }
        counts.compared.fetch_add(1, Relaxed);
        let near = exact.close(dtype, got, expected) || (got - expected).abs() <= MARGIN * moved;
        if !near {
            return Some(format!("{got:?} rather than {expected:?} (± {:e}) at place {i}", MARGIN * moved));
        }
    }
    None
}

/// Values that are a little off; those below `scale` as much as those of that size. Each is off by so much at
/// least that it is another number, even in half precision.
fn disturbed(values: &[Tensor], scale: f64, numbers: &mut Numbers) -> Vec<Tensor> {
    let mut one = |x: &Tensor| {
        let error = error(x.dtype());
        map(x, |v| {
            let change = error * v.abs().max(scale) * (0.5 + 0.5 * numbers.unit());
            let change = if numbers.coin() { change } else { -change };
            if v.is_finite() { v + change } else { v }
        })
    };
    values.iter().map(&mut one).collect()
}

/// Whether an operation looks at numbers modulo something.
fn turns(primitive: &Primitive) -> bool {
    matches!(primitive, Primitive::Elementwise(Elementwise::Unary(UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan)))
}

/// NaN for a number that is so large that with an error it may be any angle.
fn known_angle(x: f64, dtype: DType) -> f64 {
    if x.abs() * error(dtype) > 0.1 { f64::NAN } else { x }
}

/// The size of results below which an operation's error is absolute.
fn scale(primitive: &Primitive) -> f64 {
    match primitive {
        Primitive::Elementwise(Elementwise::Unary(UnaryOp::Lgamma | UnaryOp::Digamma)) => 1.0,
        // Relative to the matrix, and multiplied by its condition.
        Primitive::Linalg(_) => 16.0,
        _ => 0.0,
    }
}

/// Whether an operation adds up many numbers.
fn sums(primitive: &Primitive) -> bool {
    match primitive {
        Primitive::Dot(_) | Primitive::Conv(_) => true,
        _ => ["reduce_sum", "cumsum", "cumlogsumexp", "reduce_window_sum", "scatter_add", "select_and_scatter_add"]
            .contains(&primitive.name()),
    }
}

/// Whether an operation on floats rounds, so that engines may differ.
fn rounds(primitive: &Primitive) -> bool {
    use UnaryOp::*;
    match primitive {
        Primitive::Elementwise(op) => match op {
            Elementwise::Unary(op) => {
                !matches!(op, Abs | Neg | Sign | Floor | Ceil | RoundHalfEven | RoundHalfAway | Not | IsFinite)
            }
            Elementwise::Binary(op) => !matches!(op, BinaryOp::Max | BinaryOp::Min),
            Elementwise::IntegerPow(_) => true,
            // Half precision may be kept wider for a while.
            Elementwise::Convert(dtype) => matches!(dtype, DType::F16 | DType::BF16),
            Elementwise::Compare(_) | Elementwise::Select | Elementwise::Clamp | Elementwise::BitcastConvert(_) => {
                false
            }
        },
        Primitive::Control(Control::StopGradient | Control::OptimizationBarrier | Control::Debug(_)) => false,
        // Those within were disturbed already.
        Primitive::Control(_) => false,
        Primitive::Reduce(_) | Primitive::Window(_) | Primitive::Dot(_) | Primitive::Conv(_) => true,
        Primitive::Linalg(_) => true,
        Primitive::Index(_) => primitive.name().starts_with("scatter_"),
        Primitive::Shape(_) | Primitive::Sort(_) | Primitive::Random(_) => false,
    }
}
