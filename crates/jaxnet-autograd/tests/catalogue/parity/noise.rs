//! How far a program's results move when its operations are a little off.
//!
//! Engines round differently, and what a program makes of that depends on the program: a difference may
//! cancel everything but the rounding, a comparison may turn round. So the CPU engine runs the program a
//! few times with small random errors in every operation that rounds, and another engine's results must be
//! about as near to the right ones as these.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jaxnet_tensor::primitive::{BinaryOp, Control, Elementwise, Linalg, UnaryOp};
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
        let one_alone = std::env::var_os("JAXNET_ONLY").is_some();
        let enough = one_alone || compared >= skipped;
        assert!(enough, "only {compared} elements were compared, {skipped} may be anything");
    }
}

impl Expected {
    pub fn of(program: &Program, inputs: &[Tensor], seed: u64) -> Self {
        let run = |i: u64| {
            let mut numbers = Numbers::new(seed ^ i);
            let mut spoiled = false;
            // In one run, subnormal numbers are 0, too, and sines of huge numbers are not known.
            let flush = |of: Vec<Tensor>| if i == 0 { flushed(&of) } else { of };
            let angles = |of: &[Tensor]| of.iter().map(|x| map(x, |v| known_angle(v, x.dtype()))).collect();
            reference::eval_by(program, &flush(inputs.to_vec()), &mut |primitive, side, values| match side {
                Side::Operands => {
                    // An engine that multiplies the zeros of padding has NaN there: then all may be NaN.
                    spoiled = i == 1 && multiplies_padding(primitive, &values);
                    if sums(primitive) {
                        // What is left when summands cancel out is no measure of what was lost.
                        disturbed(&values, scale(primitive), &mut numbers)
                    } else if i == 0 && turns(primitive) {
                        angles(&values)
                    } else if bits(primitive) {
                        // Which NaN an operation gives is its own affair, until somebody looks at the bits.
                        let nan = f64::NAN.copysign(if i.is_multiple_of(2) { 1.0 } else { -1.0 });
                        values.iter().map(|x| map(x, |v| if v.is_nan() { nan } else { v })).collect()
                    } else {
                        values
                    }
                }
                Side::Results if std::mem::take(&mut spoiled) => values.iter().map(|x| map(x, |_| f64::NAN)).collect(),
                Side::Results if i == 1 && matches!(primitive, Primitive::Linalg(_)) => {
                    without_arbitrary(primitive, values)
                }
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

/// Results of a decomposition with NaN for what may be any completion of the rest to a basis.
fn without_arbitrary(primitive: &Primitive, results: Vec<Tensor>) -> Vec<Tensor> {
    let arbitrary = match primitive {
        Primitive::Linalg(Linalg::Svd { full_matrices: true, compute_uv: true }) => {
            let count = results[0].dim(-1);
            vec![false, results[1].dim(-1) != count, results[2].dim(-1) != count]
        }
        Primitive::Linalg(Linalg::Qr { full_matrices: true }) => {
            vec![results[1].dim(-2) > results[1].dim(-1), false]
        }
        _ => return results,
    };
    let one = |(x, arbitrary)| if arbitrary { map(&x, |_| f64::NAN) } else { x };
    results.into_iter().zip(arbitrary).map(one).collect()
}

/// Whether an operation takes floats as their bits.
fn bits(primitive: &Primitive) -> bool {
    matches!(primitive, Primitive::Elementwise(Elementwise::BitcastConvert(_)))
}

/// Whether an operation may multiply zeros that are nowhere with numbers that are not finite.
fn multiplies_padding(primitive: &Primitive, operands: &[Tensor]) -> bool {
    let Primitive::Conv(op) = primitive else { return false };
    let padded = op.padding.iter().any(|edges| *edges != (0, 0)) || op.lhs_dilation.iter().any(|by| *by != 1);
    padded && operands[1].dtype().is_float() && floats(&operands[1]).iter().any(|x| !x.is_finite())
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
        Primitive::Elementwise(Elementwise::Unary(UnaryOp::Lgamma | UnaryOp::Digamma))
        | Primitive::Elementwise(Elementwise::Binary(BinaryOp::Polygamma)) => 1.0,
        // Decompositions are exact of matrices nearby, whose small elements differ by as much as the others; how
        // near, depends on the algorithm.
        Primitive::Linalg(_) => 16.0,
        _ => 0.0,
    }
}

/// Whether an operation adds up many numbers.
fn sums(primitive: &Primitive) -> bool {
    match primitive {
        Primitive::Dot(_) | Primitive::Conv(_) | Primitive::Linalg(_) => true,
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
