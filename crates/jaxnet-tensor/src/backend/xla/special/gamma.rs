//! The gamma function's relatives, in f64.

use std::f64::consts::PI;

use super::super::hlo::{Builder, Value, braces};
use super::{abs, log1p};
use crate::backend::cpu::math::special;
use crate::dtype::DType;
use crate::shape::Shape;

/// Lanczos' approximation with g = 7 and nine terms, as XLA's own libraries have it.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// In f64.
pub(in super::super) fn lgamma(b: &mut Builder<'_>, x: &Value) -> Value {
    let reflected = b.compare_number("LT", x, 0.5);
    let (minus, less) = (b.neg(x), b.add_number(x, -1.0));
    let z = b.select(&reflected, &minus, &less);
    let mut sum = b.number(x, LANCZOS[0]);
    for (i, &c) in LANCZOS.iter().enumerate().skip(1) {
        let below = b.add_number(&z, i as f64);
        let term = b.number_div(c, &below);
        sum = b.add(&sum, &term);
    }
    // log(sqrt(2 pi)) + (z + 1/2) log(t) - t + log(sum) of t = z + 15/2, without overflow
    let t = b.add_number(&z, 7.5);
    let ratio = b.mul_number(&z, 1.0 / 7.5);
    let log_ratio = log1p(b, &ratio);
    let log_t = b.add_number(&log_ratio, 7.5_f64.ln());
    let log_sum = b.unary("log", &sum);
    let quotient = b.div(&t, &log_t);
    let power = b.add_number(&z, 0.5);
    let power = b.sub(&power, &quotient);
    let product = b.mul(&power, &log_t);
    let product = b.add_number(&product, 0.5 * (2.0 * PI).ln());
    let log_gamma = b.add(&product, &log_sum);
    // log(pi / sin(pi x)) - log gamma(1 - x)
    let magnitude = abs(b, x);
    let floor = b.unary("floor", &magnitude);
    let fraction = b.sub(&magnitude, &floor);
    let rest = b.number_sub(1.0, &fraction);
    let fraction = b.binary("minimum", &fraction, &rest);
    let angle = b.mul_number(&fraction, PI);
    let sine = b.unary("sine", &angle);
    let log_sine = b.unary("log", &sine);
    let reflection = b.number_sub(PI.ln(), &log_sine);
    let reflection = b.sub(&reflection, &log_gamma);
    // At a pole the sine is 0.
    let pole = b.compare_number("EQ", &sine, 0.0);
    let infinity = b.number(x, f64::INFINITY);
    let reflection = b.select(&pole, &infinity, &reflection);
    let result = b.select(&reflected, &reflection, &log_gamma);
    let infinite = b.compare_number("EQ", &magnitude, f64::INFINITY);
    b.select(&infinite, &infinity, &result)
}

/// In f64.
pub(in super::super) fn digamma(b: &mut Builder<'_>, x: &Value) -> Value {
    use special::{DIGAMMA_ASYMPTOTIC, DIGAMMA_P, DIGAMMA_Q, DIGAMMA_ROOT_1, DIGAMMA_ROOT_2, DIGAMMA_ROOT_3};
    // psi(1 - x) - psi(x) = pi cot(pi x), of which the period is 1
    let negative = b.compare_number("LT", x, 0.0);
    let nearest = b.unary("round-nearest-even", x);
    let fraction = b.sub(x, &nearest);
    let angle = b.mul_number(&fraction, PI);
    let tangent = b.unary("tan", &angle);
    let cotangent = b.number_div(-PI, &tangent);
    let mut y = b.select_or_number(&negative, &cotangent, 0.0);
    let reflected = b.number_sub(1.0, x);
    let mut z = b.select(&negative, &reflected, x);
    // Steps to numbers from 1 to 2; large ones stay.
    let below = b.compare_number("LT", &z, 1.0);
    let inverse = b.number_div(1.0, &z);
    let less = b.sub(&y, &inverse);
    y = b.select(&below, &less, &y);
    let next = b.add_number(&z, 1.0);
    z = b.select(&below, &next, &z);
    let large = b.compare_number("GE", &z, 10.0);
    let small = b.not(&large);
    for _ in 0..8 {
        let above = b.compare_number("GT", &z, 2.0);
        let moves = b.and(&above, &small);
        let previous = b.add_number(&z, -1.0);
        z = b.select(&moves, &previous, &z);
        let inverse = b.number_div(1.0, &z);
        let more = b.add(&y, &inverse);
        y = b.select(&moves, &more, &y);
    }
    let mut g = b.add_number(&z, -DIGAMMA_ROOT_1);
    g = b.add_number(&g, -DIGAMMA_ROOT_2);
    g = b.add_number(&g, -DIGAMMA_ROOT_3);
    let t = b.add_number(&z, -1.0);
    let (above, below) = (b.polynomial(&t, &DIGAMMA_P), b.polynomial(&t, &DIGAMMA_Q));
    let ratio = b.div(&above, &below);
    let (main, rest) = (b.mul_number(&g, special::DIGAMMA_Y), b.mul(&g, &ratio));
    let near = b.add(&main, &rest);
    let near = b.add(&near, &y);

    let square = b.mul(&z, &z);
    let w = b.number_div(1.0, &square);
    let polynomial = b.polynomial(&w, &DIGAMMA_ASYMPTOTIC);
    let series = b.mul(&w, &polynomial);
    let log = b.unary("log", &z);
    let half_inverse = b.number_div(0.5, &z);
    let far = b.sub(&log, &half_inverse);
    let far = b.sub(&far, &series);
    let far = b.add(&far, &y);

    let result = b.select(&large, &far, &near);
    let zero = b.compare_number("EQ", x, 0.0);
    let pole = b.number_div(-1.0, x);
    let result = b.select(&zero, &pole, &result);
    // Negative integers, and minus infinity.
    let floor = b.unary("floor", x);
    let whole = b.compare("EQ", x, &floor);
    let undefined = b.and(&negative, &whole);
    let defined = b.not(&undefined);
    b.select_or_number(&defined, &result, f64::NAN)
}

/// `(-1)^(n + 1) n! zeta(n + 1, x)`, in f64.
pub(in super::super) fn polygamma(b: &mut Builder<'_>, n: &Value, x: &Value) -> Value {
    let shape = if n.rank() == 0 { x.shape.clone() } else { n.shape.clone() };
    let (n, x) = (b.fill(n, &shape), b.fill(x, &shape));
    let s = b.add_number(&n, 1.0);
    // Whether n is even.
    let half = b.mul_number(&n, 0.5);
    let floor = b.unary("floor", &half);
    let even = b.compare("EQ", &half, &floor);
    let sum = zeta_of_any(b, &s, &even, &x);
    let factorial = factorial(b, &n);
    let magnitude = b.mul(&factorial, &sum);
    let opposite = b.neg(&magnitude);
    let result = b.select(&even, &opposite, &magnitude);
    let (positive, whole) = (b.compare_number("GT", &n, 0.0), b.unary("floor", &n));
    let whole = b.compare("EQ", &n, &whole);
    let valid = b.and(&positive, &whole);
    let result = b.select_or_number(&valid, &result, f64::NAN);
    let zero = b.compare_number("EQ", &n, 0.0);
    let digamma = digamma(b, &x);
    b.select(&zero, &digamma, &result)
}

/// `n!` of whole numbers, by a loop.
fn factorial(b: &mut Builder<'_>, n: &Value) -> Value {
    let one = b.number(n, 1.0);
    let start = b.fill(&one, &n.shape);
    // Later ones are infinite.
    let end = b.number(n, 171.0);
    let end = b.fill(&end, &n.shape);
    let n = b.binary("minimum", n, &end);
    let state = [one, start, n];
    let types: Vec<(DType, Shape)> = state.iter().map(|x| (x.dtype, x.shape.clone())).collect();
    let any = b.reducer("or", DType::Bool);
    let axes = braces(0..state[2].rank());
    let condition: Result<_, std::convert::Infallible> = b.tuple_computation("factors_left", &types, true, |b, x| {
        let left = b.compare("LE", &x[0], &x[2]);
        let none = b.scalar(DType::Bool, false);
        let attributes = format!("dimensions={axes}, to_apply={any}");
        Ok(vec![b.op("reduce", DType::Bool, &Shape::scalar(), &[&left, &none], &attributes)])
    });
    let step: Result<_, std::convert::Infallible> = b.tuple_computation("factor", &types, false, |b, x| {
        let counts = b.compare("LE", &x[0], &x[2]);
        let product = b.mul(&x[0], &x[1]);
        Ok(vec![b.add_number(&x[0], 1.0), b.select(&counts, &product, &x[1]), x[2].clone()])
    });
    let (Ok(condition), Ok(step)) = (condition, step);
    let attributes = format!("condition={condition}, body={step}");
    b.on_tuples("while", &types, None, &[&state], &attributes).swap_remove(1)
}

/// The Hurwitz zeta function of a whole `s` of at least 2.
///
/// The terms of a negative `q` are those of all `q + k`, which is periodic in `q`, but for those before it;
/// which gives three sums of positive terms.
fn zeta_of_any(b: &mut Builder<'_>, s: &Value, odd: &Value, q: &Value) -> Value {
    let negative = b.compare_number("LT", q, 0.0);
    let (floor, ceil) = (b.unary("floor", q), b.unary("ceil", q));
    let (fraction, rest, before) = (b.sub(q, &floor), b.sub(&ceil, q), b.number_sub(1.0, q));
    let whole = b.compare("EQ", q, &floor);
    let rows = |b: &mut Builder<'_>, parts: [&Value; 3]| {
        let parts: Vec<Value> = parts.iter().map(|part| b.reshape(part, &part.shape.with_axis(0, 1))).collect();
        let operands: Vec<&Value> = parts.iter().collect();
        b.op("concatenate", DType::F64, &q.shape.with_axis(0, 3), &operands, "dimensions={0}")
    };
    let first = b.select(&negative, &fraction, q);
    let (all_q, all_s) = (rows(b, [&first, &rest, &before]), rows(b, [s, s, s]));
    let sums = zeta(b, &all_s, &all_q);
    let row = |b: &mut Builder<'_>, i: usize| {
        let (mut starts, mut limits) = (vec![0; sums.rank()], sums.shape.to_vec());
        (starts[0], limits[0]) = (i, i + 1);
        let row = b.slice(&sums, &starts, &limits, &vec![1; sums.rank()]);
        b.reshape(&row, &q.shape)
    };
    let (direct, below, before) = (row(b, 0), row(b, 1), row(b, 2));
    let difference = b.sub(&below, &before);
    let (with, without) = (b.add(&direct, &difference), b.sub(&direct, &difference));
    // s is odd where n is even.
    let periodic = b.select(odd, &without, &with);
    let result = b.select(&negative, &periodic, &direct);
    // Poles, and what lies so far out that all numbers are whole.
    let nonpositive = b.compare_number("LE", q, 0.0);
    let pole = b.and(&nonpositive, &whole);
    let infinity = b.number(q, f64::INFINITY);
    b.select(&pole, &infinity, &result)
}

/// The Hurwitz zeta function of a positive `q`, by Euler-Maclaurin summation.
fn zeta(b: &mut Builder<'_>, s: &Value, q: &Value) -> Value {
    let exponent = b.neg(s);
    let power = |b: &mut Builder<'_>, x: &Value| b.binary("power", x, &exponent);
    let mut sum = power(b, q);
    let (mut a, mut term) = (q.clone(), sum.clone());
    for _ in 0..9 {
        a = b.add_number(&a, 1.0);
        term = power(b, &a);
        sum = b.add(&sum, &term);
    }
    // The rest of the sum as an integral, and its corrections.
    let scaled = b.mul(&term, &a);
    let less = b.add_number(s, -1.0);
    let integral = b.div(&scaled, &less);
    sum = b.add(&sum, &integral);
    let half = b.mul_number(&term, 0.5);
    sum = b.sub(&sum, &half);
    let mut factor = b.number(s, 1.0);
    for (k, &coefficient) in special::ZETA_A.iter().enumerate() {
        let next = b.add_number(s, 2.0 * k as f64);
        factor = b.mul(&factor, &next);
        term = b.div(&term, &a);
        let product = b.mul(&factor, &term);
        let correction = b.mul_number(&product, 1.0 / coefficient);
        sum = b.add(&sum, &correction);
        let next = b.add_number(s, 2.0 * k as f64 + 1.0);
        factor = b.mul(&factor, &next);
        term = b.div(&term, &a);
    }
    // The asymptotic expansion far out.
    let inverse = b.number_div(0.5, q);
    let first = b.number_div(1.0, &less);
    let both = b.add(&first, &inverse);
    let up = b.number_sub(1.0, s);
    let scale = b.binary("power", q, &up);
    let far = b.mul(&both, &scale);
    let is_far = b.compare_number("GT", q, 1e8);
    b.select(&is_far, &far, &sum)
}
