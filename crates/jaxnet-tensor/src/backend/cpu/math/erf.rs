//! `erf` and `erfc`.
//!
//! Near zero `erf x = x + x P(x^2)`.  Beyond, f32 uses `erf x = 1 - exp(-x - x Q(x))`
//! (N. Juffa's form), and f64, as well as `erfc` throughout, `erfc x = e^(-x^2) erfcx(x)` with
//! `erfcx` as one polynomial in `(x - c) / (x + c)` (Shepherd & Laframboise 1981).  The
//! coefficients are our own fits.

use super::bits::{fma32, fma64, poly32, poly64, pow2_32, scale32, scale64, square_error32, square_error64};
use super::exp::{exp_parts_f32, exp_tail_f32, exp_tail_f64, reduce_exp_f32};
use super::isa::Isa;
use super::log::log_f32;
use super::special;

/// `erf(x) / x - 1` in `x^2`, `|x| <= 0.93`, error 0.02 * 2^-24.
const ERF_SMALL_F32: [f32; 7] =
    [1.2837917e-01, -3.7612632e-01, 1.12836756e-01, -2.6858466e-02, 5.198942e-03, -8.120567e-04, 8.2811566e-05];

/// `-log(erfc(x)) / x - 1`, `0.92 <= x <= 4`, error of `erf` 0.02 * 2^-24.
const ERF_BIG_F32: [f32; 7] =
    [1.2865557e-01, 6.35121e-01, 1.0628978e-01, -2.3810087e-02, 3.666359e-03, -3.289809e-04, 1.1878575e-05];

/// `erf(x) / x - 1` in `x^2`, `|x| <= 1`, error 0.09 * 2^-53.
const ERF_SMALL_F64: [f64; 13] = [
    0.1283791670955126,
    -0.37612638903183876,
    0.11283791670958743,
    -0.02686617064561954,
    0.005223977629095658,
    -0.0008548327189606624,
    0.00012055337777810952,
    -1.4925738504204218e-05,
    1.646308709483387e-06,
    -1.637063829093387e-07,
    1.4786548418167036e-08,
    -1.1830590465705277e-09,
    6.684830822627492e-11,
];

/// `(a + 4) erfcx(a)` in `(a - 4) / (a + 4)`, `0 <= a <= 27.3`, error 0.5 * 2^-53.  (A polynomial
/// for `erfcx` itself would be ill-conditioned towards 1, where it goes to 0.)
pub(crate) const ERFCX_F64: [f64; 25] = [
    1.095995661000491,
    -0.976548729080882,
    0.7732087022652453,
    -0.5408538313132375,
    0.3308515878776635,
    -0.17401093723988278,
    0.07638151491621158,
    -0.02637005334023845,
    0.006112055579170485,
    -0.0002809588789259464,
    -0.0004550521630922946,
    0.00017681299298834516,
    -3.637453881148737e-06,
    -1.886200335218294e-05,
    4.700963651223934e-06,
    1.4283838955543067e-06,
    -8.583425667545166e-07,
    -8.518701186104995e-08,
    1.378512252994964e-07,
    1.4366280278179857e-08,
    -2.3285759135415485e-08,
    -1.0403709912340711e-08,
    1.5798015566976555e-09,
    3.5388875519240763e-09,
    1.0466504607960882e-09,
];

/// `(a + 2) erfcx(a)` in `(a - 2) / (a + 2)`, `0 <= a <= 10.1`, error 0.3 * 2^-24.
pub(crate) const ERFCX_F32: [f32; 11] = [
    1.0215827e+00,
    -6.8716073e-01,
    2.7947143e-01,
    -3.6441248e-02,
    -2.1503307e-02,
    6.473453e-03,
    3.0555353e-03,
    -8.281739e-04,
    -5.835858e-04,
    4.5168446e-05,
    6.568031e-05,
];

/// `erf_inv(x) / x` in `w - 2.5`, `w = -log(1 - x^2) <= 5`, error 0.675 * 2^-24.
pub(crate) const ERF_INV_SMALL: [f32; 11] = [
    1.5014094e+00,
    2.466403e-01,
    -4.1775135e-03,
    -1.2527569e-03,
    2.1843145e-04,
    -4.955589e-06,
    -3.4870513e-06,
    4.6463032e-07,
    2.6179203e-08,
    -8.687029e-09,
    -1.2657057e-10,
];

/// `erf_inv(x) / x` in `sqrt(w) - 3`, `5 <= w <= 16`, error 0.118 * 2^-24.
pub(crate) const ERF_INV_BIG: [f32; 11] = [
    2.8329768e+00,
    1.0016752e+00,
    9.444955e-03,
    -7.6429625e-03,
    5.689695e-03,
    -3.5663473e-03,
    1.4705422e-03,
    -1.2081355e-04,
    -2.731727e-04,
    1.6058356e-04,
    -3.074863e-05,
];

/// `erf(a)`, `0 <= a <= 0.93`.
#[inline(always)]
fn erf_small_f32<I: Isa>(a: f32) -> f32 {
    fma32::<I>(a, poly32::<I, _>(a * a, &ERF_SMALL_F32), a)
}

#[inline(always)]
pub(crate) fn erf_f32<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    // erf rounds to 1 from 3.92 on.
    let t = if a > 4.0 { 4.0 } else { a };
    let (n, y) = exp_parts_f32::<I>(fma32::<I>(-t, poly32::<I, _>(t, &ERF_BIG_F32), -t));
    let big = 1.0 - y * pow2_32(n);
    (if a < 0.925 { erf_small_f32::<I>(a) } else { big }).copysign(x)
}

/// `erfc(a)` for `a >= 0`; see [`erfc_positive_f64`].
#[inline(always)]
fn erfc_positive_f32<I: Isa>(a: f32) -> f32 {
    // Zero from 10.06 on.
    let a = if a > 10.1 { 10.1 } else { a };
    let s = a * a;
    let lost = square_error32::<I>(a, s);
    let (n, r) = reduce_exp_f32::<I>(-s);
    let w = exp_tail_f32::<I>(r);
    let inverse = 1.0 / (a + 2.0);
    let cx = inverse * poly32::<I, _>((a - 2.0) * inverse, &ERFCX_F32);
    scale32(fma32::<I>(cx, w - fma32::<I>(lost, w, lost), cx), n)
}

/// `erfc(a)` for `a >= 0`.
#[inline(always)]
fn erfc_positive_f64<I: Isa>(a: f64) -> f64 {
    // Zero from 27.3 on.
    let a = if a > 27.3 { 27.3 } else { a };
    // The relative error of e^(-s) for a rounded s = a^2 would be s * 2^-53.
    let s = a * a;
    let lost = square_error64::<I>(a, s);
    let (n, w) = exp_tail_f64::<I>(-s);
    let d = a + 4.0;
    let inverse = 1.0 / d;
    let p = poly64::<I, _>((a - 4.0) * inverse, &ERFCX_F64);
    // p / d, rounded once.
    let cx = if I::FMA {
        let q = p * inverse;
        q.mul_add(-d, p).mul_add(inverse, q)
    } else {
        p / d
    };
    // cx e^(r - lost); scaled last, so that a subnormal result is rounded once.
    scale64(fma64::<I>(cx, w - fma64::<I>(lost, w, lost), cx), n)
}

/// `erf(a)`, `0 <= a <= 1`.
#[inline(always)]
fn erf_small_f64<I: Isa>(a: f64) -> f64 {
    fma64::<I>(a, poly64::<I, _>(a * a, &ERF_SMALL_F64), a)
}

#[inline(always)]
pub(crate) fn erf_f64<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let big = 1.0 - erfc_positive_f64::<I>(a);
    (if a < 1.0 { erf_small_f64::<I>(a) } else { big }).copysign(x)
}

#[inline(always)]
pub(crate) fn erfc_f64<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    // (a - 4) / (a + 4) loses too much of a small a.
    let y = if a < 0.75 { 1.0 - erf_small_f64::<I>(a) } else { erfc_positive_f64::<I>(a) };
    if x < 0.0 { 2.0 - y } else { y }
}

#[inline(always)]
pub(crate) fn erfc_f32<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    let y = if a < 0.75 { 1.0 - erf_small_f32::<I>(a) } else { erfc_positive_f32::<I>(a) };
    if x < 0.0 { 2.0 - y } else { y }
}

/// The inverse of erf: x times a polynomial in `w = -log(1 - x^2)` or in `sqrt(w)` (M. Giles,
/// "Approximating the erfinv function", GPU Computing Gems 2, 2010; refitted).
#[inline(always)]
pub(crate) fn erf_inv_f32<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    // |x| >= 1 makes the logarithm infinite or NaN, and so the result, whatever the sign.
    let w = -log_f32::<I>((1.0 - a) * (1.0 + a));
    let small = poly32::<I, _>(w - 2.5, &ERF_INV_SMALL);
    let big = poly32::<I, _>(w.sqrt() - 3.0, &ERF_INV_BIG);
    let y = a * if w < 5.0 { small } else { big };
    (if a == 1.0 { f32::INFINITY } else { y }).copysign(x)
}

/// [`special::erf_inv`]; not vectorized.
#[inline(always)]
pub(crate) fn erf_inv_f64<I: Isa>(x: f64) -> f64 {
    special::erf_inv(x)
}
