//! The error function's relatives.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::super::hlo::{Builder, Value};
use super::abs;
use crate::backend::cpu::math::{erf, special};
use crate::dtype::DType;

/// `exp(-x²)`, with the rounding of the square made good.
fn exp_of_minus_square(b: &mut Builder<'_>, x: &Value) -> Value {
    let (exponent, mantissa) = if x.dtype == DType::F64 { (11, 20) } else { (8, 10) };
    // The square of the leading bits is exact.
    let attributes = format!("exponent_bits={exponent}, mantissa_bits={mantissa}");
    let leading = b.op("reduce-precision", x.dtype, &x.shape, &[x], &attributes);
    let (difference, sum) = (b.sub(x, &leading), b.add(x, &leading));
    let rest = b.mul(&difference, &sum);
    let square = b.mul(&leading, &leading);
    let (square, rest) = (b.neg(&square), b.neg(&rest));
    let (first, second) = (b.unary("exponential", &square), b.unary("exponential", &rest));
    b.mul(&first, &second)
}

pub(in super::super) fn erfc(b: &mut Builder<'_>, x: &Value) -> Value {
    let double = x.dtype == DType::F64;
    let (centre, end) = if double { (4.0, 28.0) } else { (2.0, 11.0) };
    let magnitude = abs(b, x);
    // Beyond it is 0.
    let limit = b.number(x, end);
    let a = b.binary("minimum", &magnitude, &limit);
    let (below, above) = (b.add_number(&a, -centre), b.add_number(&a, centre));
    let t = b.div(&below, &above);
    let coefficients: Vec<f64> = match double {
        true => erf::ERFCX_F64.to_vec(),
        false => erf::ERFCX_F32.iter().map(|&c| c.into()).collect(),
    };
    let polynomial = b.polynomial(&t, &coefficients);
    let scaled = b.div(&polynomial, &above);
    let factor = exp_of_minus_square(b, &a);
    let positive = b.mul(&factor, &scaled);
    let negative = b.number_sub(2.0, &positive);
    let is_negative = b.compare_number("LT", x, 0.0);
    b.select(&is_negative, &negative, &positive)
}

pub(in super::super) fn erf_inv(b: &mut Builder<'_>, x: &Value) -> Value {
    let y = if x.dtype == DType::F64 { erf_inv_f64(b, x) } else { erf_inv_f32(b, x) };
    let magnitude = abs(b, x);
    let (one, inside) = (b.compare_number("EQ", &magnitude, 1.0), b.compare_number("LT", &magnitude, 1.0));
    let infinite = b.mul_number(x, f64::INFINITY);
    let y = b.select_or_number(&inside, &y, f64::NAN);
    let y = b.select(&one, &infinite, &y);
    let zero = b.compare_number("EQ", x, 0.0);
    b.select(&zero, x, &y)
}

fn erf_inv_f32(b: &mut Builder<'_>, x: &Value) -> Value {
    let widen = |c: &[f32]| c.iter().map(|&c| c.into()).collect::<Vec<f64>>();
    let (less, more) = (b.number_sub(1.0, x), b.add_number(x, 1.0));
    let product = b.mul(&less, &more);
    let log = b.unary("log", &product);
    let w = b.neg(&log);
    let near = b.add_number(&w, -2.5);
    let near = b.polynomial(&near, &widen(&erf::ERF_INV_SMALL));
    let root = b.unary("sqrt", &w);
    let far = b.add_number(&root, -3.0);
    let far = b.polynomial(&far, &widen(&erf::ERF_INV_BIG));
    let is_near = b.compare_number("LT", &w, 5.0);
    let factor = b.select(&is_near, &near, &far);
    b.mul(x, &factor)
}

/// As the CPU engine's: an approximation, and a step of Newton's method.
fn erf_inv_f64(b: &mut Builder<'_>, x: &Value) -> Value {
    use special::{ERF_INV_A, ERF_INV_B, ERF_INV_C, ERF_INV_D, ERF_INV_E, ERF_INV_F};
    let quotient = |b: &mut Builder<'_>, r: &Value, above: &[f64], below: &[f64]| {
        let (above, below) = (b.polynomial(r, above), b.polynomial(r, below));
        b.div(&above, &below)
    };
    // The correction by an error of erf or erfc.
    let step = |b: &mut Builder<'_>, y: &Value, error: &Value| {
        let square = b.mul(y, y);
        let inverse_slope = b.unary("exponential", &square);
        let change = b.mul(error, &inverse_slope);
        let change = b.mul_number(&change, 1.0 / FRAC_2_SQRT_PI);
        b.add(y, &change)
    };
    let half = b.mul_number(x, 0.5);
    let square = b.mul(&half, &half);
    let r = b.number_sub(0.180_625, &square);
    let ratio = quotient(b, &r, &ERF_INV_A, &ERF_INV_B);
    let ratio = b.mul_number(&ratio, FRAC_1_SQRT_2);
    let y = b.mul(&half, &ratio);
    let found = b.unary("erf", &y);
    let error = b.sub(x, &found);
    let middle = step(b, &y, &error);

    let magnitude = abs(b, x);
    // Exact, since the magnitude is near 1 where this is used.
    let tail = b.number_sub(1.0, &magnitude);
    let p = b.mul_number(&tail, 0.5);
    let log = b.unary("log", &p);
    let log = b.neg(&log);
    let r = b.unary("sqrt", &log);
    let near = b.add_number(&r, -1.6);
    let near = quotient(b, &near, &ERF_INV_C, &ERF_INV_D);
    let far = b.add_number(&r, -5.0);
    let far = quotient(b, &far, &ERF_INV_E, &ERF_INV_F);
    let is_near = b.compare_number("LE", &r, 5.0);
    let quantile = b.select(&is_near, &near, &far);
    let y = b.mul_number(&quantile, FRAC_1_SQRT_2);
    let complement = erfc(b, &y);
    let error = b.sub(&complement, &tail);
    let outer = step(b, &y, &error);
    let sign = b.unary("sign", x);
    let outer = b.mul(&outer, &sign);
    let is_middle = b.compare_number("LE", &magnitude, 0.85);
    b.select(&is_middle, &middle, &outer)
}
