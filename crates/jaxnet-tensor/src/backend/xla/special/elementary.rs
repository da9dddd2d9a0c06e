//! Powers, logarithms, and functions of circles and hyperbolas.

use std::f64::consts::LN_2;

use super::super::hlo::{Builder, Value};
use super::abs;
use crate::backend::cpu::math::log;
use crate::dtype::DType;

/// `log(1 + x)`. XLA's own instruction is good for single precision only; and making good what `1 + x`
/// loses is not possible, since XLA takes `(1 + x) - 1` for `x`.
pub(in super::super) fn log1p(b: &mut Builder<'_>, x: &Value) -> Value {
    if x.dtype != DType::F64 {
        return b.unary("log-plus-one", x);
    }
    let sum = b.add_number(x, 1.0);
    let far = b.unary("log", &sum);
    // Near 0 by a series in s = x / (2 + x), in fdlibm's order: x - (h - s (h + s² P(s²))) of h = x² / 2.
    let double = b.add_number(x, 2.0);
    let s = b.div(x, &double);
    let square = b.mul(&s, &s);
    let polynomial = b.polynomial(&square, &log::LOG_F64);
    let rest = b.mul(&square, &polynomial);
    let half = b.mul_number(x, 0.5);
    let half_square = b.mul(&half, x);
    let more = b.add(&half_square, &rest);
    let more = b.mul(&s, &more);
    let less = b.sub(&half_square, &more);
    let near = b.sub(x, &less);
    let (above, below) = (b.compare_number("GT", x, -0.29), b.compare_number("LT", x, 0.41));
    let is_near = b.and(&above, &below);
    let result = b.select(&is_near, &near, &far);
    // A zero keeps its sign.
    let zero = b.compare_number("EQ", x, 0.0);
    b.select(&zero, x, &result)
}

/// An odd function from what it is for numbers of at least 0.
fn odd(b: &mut Builder<'_>, x: &Value, f: impl FnOnce(&mut Builder<'_>, &Value) -> Value) -> Value {
    let magnitude = abs(b, x);
    let y = f(b, &magnitude);
    // A zero keeps its sign.
    let sign = b.unary("sign", x);
    let product = b.mul(&y, &sign);
    let zero = b.compare_number("EQ", x, 0.0);
    b.select(&zero, x, &product)
}

/// XLA's own instruction is a power of almost 1/3, which is off for numbers far from 1; a step of Newton's
/// method mends it.
pub(in super::super) fn cbrt(b: &mut Builder<'_>, x: &Value) -> Value {
    let y = b.unary("cbrt", x);
    let square = b.mul(&y, &y);
    let other = b.div(x, &square);
    let difference = b.sub(&other, &y);
    let step = b.mul_number(&difference, 1.0 / 3.0);
    let better = b.add(&y, &step);
    // Not from zeros and infinities, which are right.
    let finite = b.op("is-finite", DType::Bool, &x.shape, &[&better], "");
    b.select(&finite, &better, &y)
}

/// `sqrt((1 - x) (1 + x))`
fn circle(b: &mut Builder<'_>, x: &Value) -> Value {
    let (less, more) = (b.number_sub(1.0, x), b.add_number(x, 1.0));
    let product = b.mul(&less, &more);
    b.unary("sqrt", &product)
}

pub(in super::super) fn asin(b: &mut Builder<'_>, x: &Value) -> Value {
    let other = circle(b, x);
    b.binary("atan2", x, &other)
}

pub(in super::super) fn acos(b: &mut Builder<'_>, x: &Value) -> Value {
    let other = circle(b, x);
    b.binary("atan2", &other, x)
}

pub(in super::super) fn atan(b: &mut Builder<'_>, x: &Value) -> Value {
    let one = b.number(x, 1.0);
    b.binary("atan2", x, &one)
}

/// `exp(x) / 2` and `exp(-x) / 2`, the former without overflow before its own.
fn half_exps(b: &mut Builder<'_>, x: &Value) -> (Value, Value) {
    let half = b.mul_number(x, 0.5);
    let root = b.unary("exponential", &half);
    let half_root = b.mul_number(&root, 0.5);
    let up = b.mul(&half_root, &root);
    let inverse = b.number_div(1.0, &root);
    let half_inverse = b.mul_number(&inverse, 0.5);
    (up, b.mul(&half_inverse, &inverse))
}

pub(in super::super) fn sinh(b: &mut Builder<'_>, x: &Value) -> Value {
    odd(b, x, |b, x| {
        let (up, down) = half_exps(b, x);
        let large = b.sub(&up, &down);
        // (m + m / (m + 1)) / 2 of m = exp(x) - 1
        let m = b.unary("exponential-minus-one", x);
        let more = b.add_number(&m, 1.0);
        let ratio = b.div(&m, &more);
        let sum = b.add(&m, &ratio);
        let small = b.mul_number(&sum, 0.5);
        let is_small = b.compare_number("LT", x, 1.0);
        b.select(&is_small, &small, &large)
    })
}

pub(in super::super) fn cosh(b: &mut Builder<'_>, x: &Value) -> Value {
    let magnitude = abs(b, x);
    let (up, down) = half_exps(b, &magnitude);
    b.add(&up, &down)
}

/// Numbers whose square is far from overflow, and so large that one more is nothing.
const LARGE: f64 = 1e10;

/// `log(2 x)` where `x` is large, `small` elsewhere.
fn or_log_2x(b: &mut Builder<'_>, x: &Value, small: &Value) -> Value {
    let log = b.unary("log", x);
    let large = b.add_number(&log, LN_2);
    let is_large = b.compare_number("GT", x, LARGE);
    b.select(&is_large, &large, small)
}

pub(in super::super) fn asinh(b: &mut Builder<'_>, x: &Value) -> Value {
    odd(b, x, |b, x| {
        // log1p(x + x² / (1 + sqrt(x² + 1)))
        let square = b.mul(x, x);
        let more = b.add_number(&square, 1.0);
        let root = b.unary("sqrt", &more);
        let root = b.add_number(&root, 1.0);
        let rest = b.div(&square, &root);
        let sum = b.add(x, &rest);
        let small = log1p(b, &sum);
        or_log_2x(b, x, &small)
    })
}

pub(in super::super) fn acosh(b: &mut Builder<'_>, x: &Value) -> Value {
    // log1p(t + sqrt(t (t + 2))) of t = x - 1
    let t = b.add_number(x, -1.0);
    let more = b.add_number(&t, 2.0);
    let product = b.mul(&t, &more);
    let root = b.unary("sqrt", &product);
    let sum = b.add(&t, &root);
    let small = log1p(b, &sum);
    let result = or_log_2x(b, x, &small);
    let inside = b.compare_number("GE", x, 1.0);
    b.select_or_number(&inside, &result, f64::NAN)
}

pub(in super::super) fn atanh(b: &mut Builder<'_>, x: &Value) -> Value {
    odd(b, x, |b, x| {
        // log1p(2 x / (1 - x)) / 2
        let (double, rest) = (b.mul_number(x, 2.0), b.number_sub(1.0, x));
        let ratio = b.div(&double, &rest);
        let log = log1p(b, &ratio);
        let half = b.mul_number(&log, 0.5);
        let inside = b.compare_number("LE", x, 1.0);
        b.select_or_number(&inside, &half, f64::NAN)
    })
}
