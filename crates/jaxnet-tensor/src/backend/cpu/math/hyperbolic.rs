//! `tanh`, `sinh`, `cosh` and the inverse hyperbolic functions.
//!
//! In terms of `expm1` and `log1p`, by the identities that lose no accuracy near zero
//! (fdlibm's).  Except for `tanh`, the f32 versions compute in f64.

use super::bits::{clamp64, fma32, fma64, poly32, poly64, pow2_32, pow2_64};
use super::exp::{exp_mid, exp_parts_f32, expm1_parts_f64, quarter_expm1_f64};
use super::isa::Isa;
use super::log::{log_mid, log_quotient_mid, log1p_core_f64};

/// `(tanh(x) - x) / x^3` in `x^2`, `|x| <= 0.55`, error 0.02 * 2^-24.
const TANH_F32: [f32; 5] = [-3.3333316e-01, 1.3332555e-01, -5.3849407e-02, 2.1060828e-02, -6.26004e-03];

/// An odd polynomial near zero, `1 - 2 / (e^(2|x|) + 1)` beyond (Cephes' `tanhf.c`).
#[inline(always)]
pub(crate) fn tanh_f32<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let small = fma32::<I>(z * poly32::<I, _>(z, &TANH_F32), a, a);
    // tanh rounds to 1 from 9.02 on.
    let (n, y) = exp_parts_f32::<I>(2.0 * if a > 10.0 { 10.0 } else { a });
    let big = 1.0 - 2.0 / fma32::<I>(y, pow2_32(n), 1.0);
    (if a < 0.55 { small } else { big }).copysign(x)
}

/// `tanh |x| = e / (e + 2)`, `e = e^(2|x|) - 1`.
#[inline(always)]
pub(crate) fn tanh_f64<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let (n, p) = expm1_parts_f64::<I>(2.0 * if a > 20.0 { 20.0 } else { a });
    let s = pow2_64(n);
    let e = fma64::<I>(s, p, s - 1.0);
    (e / (e + 2.0)).copysign(x)
}

/// `sinh |x| = (e + e / (e + 1)) / 2`, `e = e^|x| - 1`.
#[inline(always)]
pub(crate) fn sinh_f64<I: Isa>(x: f64) -> f64 {
    let q = quarter_expm1_f64::<I>(x.abs());
    let half = q + q;
    let small = half / fma64::<I>(4.0, q, 1.0);
    let y = half + if half < f64::INFINITY { small } else { 0.0 };
    // Tiny x: subnormals would lose bits in the quartering.
    let y = if x.abs() < 1e-9 { x.abs() } else { y };
    y.copysign(x)
}

/// `cosh x = E / 2 + 1 / (2 E)`, `E = e^|x|`.
#[inline(always)]
pub(crate) fn cosh_f64<I: Isa>(x: f64) -> f64 {
    let q = quarter_expm1_f64::<I>(x.abs()) + 0.25;
    fma64::<I>(q, 2.0, 0.125 / q)
}

#[inline(always)]
pub(crate) fn sinh_f32<I: Isa>(x: f32) -> f32 {
    let x = clamp64(f64::from(x), -100.0, 100.0);
    let z = x * x;
    let e = exp_mid::<I>(x);
    // The Taylor series near zero, where the difference cancels.
    let series = fma64::<I>(x * z, poly64::<I, _>(z, &[1.0 / 6.0, 1.0 / 120.0, 1.0 / 5040.0]), x);
    (if z < 0.1 { series } else { 0.5 * (e - 1.0 / e) }) as f32
}

#[inline(always)]
pub(crate) fn cosh_f32<I: Isa>(x: f32) -> f32 {
    let e = exp_mid::<I>(clamp64(f64::from(x), -100.0, 100.0));
    (0.5 * (e + 1.0 / e)) as f32
}

/// `asinh |x| = log1p(|x| + x^2 / (1 + sqrt(x^2 + 1)))`, and `log |x| + ln 2` for large `x`.
#[inline(always)]
pub(crate) fn asinh_f64<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let big = a > 1e20;
    let sq = a * a;
    let arg = a + sq / (1.0 + (sq + 1.0).sqrt());
    let y = log1p_core_f64::<I>(if big { a } else { arg });
    let y = y + if big { std::f64::consts::LN_2 } else { 0.0 };
    let y = if a < f64::INFINITY { y } else { a };
    let y = if a < 1e-9 { a } else { y };
    y.copysign(x)
}

/// `acosh x = log1p(t + sqrt(2 t + t^2))`, `t = x - 1`, and `log x + ln 2` for large `x`.
#[inline(always)]
pub(crate) fn acosh_f64<I: Isa>(x: f64) -> f64 {
    let t = x - 1.0;
    let big = t > 1e20;
    let arg = t + (t * (2.0 + t)).sqrt();
    let y = log1p_core_f64::<I>(if big { t } else { arg });
    let y = y + if big { std::f64::consts::LN_2 } else { 0.0 };
    let y = if x < f64::INFINITY { y } else { x };
    if x < 1.0 { f64::NAN } else { y }
}

/// `atanh |x| = log1p(2 |x| / (1 - |x|)) / 2`.
#[inline(always)]
pub(crate) fn atanh_f64<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let y = 0.5 * log1p_core_f64::<I>((a + a) / (1.0 - a));
    let y = if a < 1.0 { y } else { f64::INFINITY };
    let y = if a < 1e-9 { a } else { y };
    let y = y.copysign(x);
    if a <= 1.0 { y } else { f64::NAN }
}

/// `asinh |x| = log(|x| + sqrt(x^2 + 1))`; in f64 that is good down to 1e-3.
#[inline(always)]
pub(crate) fn asinh_f32<I: Isa>(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let z = a * a;
    let log = log_mid::<I>(a + (z + 1.0).sqrt());
    let y = if a < 1e-3 { fma64::<I>(a * z, -1.0 / 6.0, a) } else { log };
    let y = if a < f64::INFINITY { y } else { a };
    (y as f32).copysign(x)
}

/// `acosh x = log(x + sqrt(x^2 - 1))`; `x^2` is exact.
#[inline(always)]
pub(crate) fn acosh_f32<I: Isa>(x: f32) -> f32 {
    let x = f64::from(x);
    let y = log_mid::<I>(x + fma64::<I>(x, x, -1.0).sqrt());
    let y = if x < f64::INFINITY { y } else { x };
    (if x < 1.0 { f64::NAN } else { y }) as f32
}

/// `atanh |x| = log((1 + |x|) / (1 - |x|)) / 2`.
#[inline(always)]
pub(crate) fn atanh_f32<I: Isa>(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let log = 0.5 * log_quotient_mid::<I>(1.0 + a, 1.0 - a);
    let y = if a < 1e-3 { fma64::<I>(a * a, a * (1.0 / 3.0), a) } else { log };
    let y = if a < 1.0 { y } else { f64::INFINITY };
    let y = if a <= 1.0 { y } else { f64::NAN };
    (y as f32).copysign(x)
}
