//! `exp`, `expm1` and the logistic function.
//!
//! All reduce `x = n ln 2 + r`, `|r| <= ln 2 / 2`, with Cody & Waite's two-part
//! `ln 2` (its high part short enough for `n * LN2_HI` to be exact), evaluate a
//! polynomial in `r` and scale by `2^n`.  The splits of `ln 2` are those of Cephes
//! (`expf.c`) and fdlibm (`e_exp.c`); the coefficients are our own fits
//! (`fixtures/fit_coefficients.py`).

use super::bits::{
    MAGIC_F32, MAGIC_F64, clamp32, clamp64, fma32, fma64, poly32, poly64, pow2_32, pow2_64, scale32, scale64,
};
use super::isa::Isa;
use std::f32::consts::LOG2_E as LOG2_E_F32;
use std::f64::consts::{LN_2, LOG2_E};

pub(super) const LN2_HI_F32: f32 = 0.693_359_4;
pub(super) const LN2_LO_F32: f32 = -2.121_944_4e-4;
pub(super) const LN2_HI_F64: f64 = 0.693_147_180_369_123_8;
pub(super) const LN2_LO_F64: f64 = 1.908_214_929_270_587_7e-10;

/// `(e^r - 1 - r) / r^2`, so that `e^r` has an error of 0.07 * 2^-24.
const EXP_F32: [f32; 5] = [0.5, 1.6666515e-01, 4.166685e-02, 8.36931e-03, 1.389968e-03];

/// The same, so that `e^r - 1` has a relative error of 0.008 * 2^-24.
const EXPM1_F32: [f32; 6] = [0.5, 1.6666667e-01, 4.1666474e-02, 8.333192e-03, 1.3934145e-03, 1.9958327e-04];

/// `(e^r - 1 - r) / r^2`, so that `e^r` has an error of 0.06 * 2^-53.
const EXP_F64: [f64; 10] = [
    0.5,
    0.1666666666666624,
    0.04166666666660177,
    0.008333333333612492,
    0.00138888889276051,
    0.00019841269239145434,
    2.4801507733549386e-05,
    2.755783259801269e-06,
    2.762554401770566e-07,
    2.4920456307799045e-08,
];

/// `(e^r - 1 - r - r^2 / 2) / r^3`, so that `e^r - 1` has an error of 0.003 * 2^-53.
const EXPM1_F64: [f64; 10] = [
    0.16666666666666677,
    0.04166666666666668,
    0.008333333333321445,
    0.0013888888888877447,
    0.00019841269886554226,
    2.4801587340607243e-05,
    2.755724380751889e-06,
    2.75572592197061e-07,
    2.5109169541356204e-08,
    2.091949499659684e-09,
];

/// `(e^r - 1 - r) / r^2` to 1.2e-10 (as to `e^r`): for f32 functions evaluated in f64.
const EXP_MID: [f64; 6] =
    [0.5, 0.16666664710272946, 0.04166645761682177, 0.00833377654719267, 0.001393557418583768, 0.0001963391181917766];

/// `x` outside `lo..=hi` gives 0 and infinity, respectively, after scaling.
const EXP_LO_F32: f32 = -104.0;
const EXP_HI_F32: f32 = 89.0;
const EXP_LO_F64: f64 = -746.0;
const EXP_HI_F64: f64 = 710.0;

/// `(MAGIC + n, r)` with `x = n ln 2 + r`.
#[inline(always)]
pub(super) fn reduce_exp_f32<I: Isa>(x: f32) -> (f32, f32) {
    let t = fma32::<I>(x, LOG2_E_F32, MAGIC_F32);
    let n = t - MAGIC_F32;
    (t, fma32::<I>(n, -LN2_LO_F32, fma32::<I>(n, -LN2_HI_F32, x)))
}

/// `e^r - 1`, good for adding it to 1.
#[inline(always)]
pub(super) fn exp_tail_f32<I: Isa>(r: f32) -> f32 {
    fma32::<I>(r * r, poly32::<I, _>(r, &EXP_F32), r)
}

/// `(MAGIC + n, e^r)` for an `x` within the range of the reduction.
#[inline(always)]
pub(super) fn exp_parts_f32<I: Isa>(x: f32) -> (f32, f32) {
    let (t, r) = reduce_exp_f32::<I>(x);
    (t, exp_tail_f32::<I>(r) + 1.0)
}

/// `(MAGIC + n, e^r - 1)`, the latter good for adding it to 1.
#[inline(always)]
pub(super) fn exp_tail_f64<I: Isa>(x: f64) -> (f64, f64) {
    let t = fma64::<I>(x, LOG2_E, MAGIC_F64);
    let n = t - MAGIC_F64;
    let r = fma64::<I>(n, -LN2_LO_F64, fma64::<I>(n, -LN2_HI_F64, x));
    let p = poly64::<I, _>(r, &EXP_F64);
    (t, fma64::<I>(r * r, p, r))
}

/// `(MAGIC + n, e^r)` for an `x` within the range of the reduction.
#[inline(always)]
pub(super) fn exp_parts_f64<I: Isa>(x: f64) -> (f64, f64) {
    let (t, w) = exp_tail_f64::<I>(x);
    (t, w + 1.0)
}

/// `e^x` to 1.2e-10, for `|x| <= 700`.
#[inline(always)]
pub(super) fn exp_mid<I: Isa>(x: f64) -> f64 {
    let t = fma64::<I>(x, LOG2_E, MAGIC_F64);
    // ln 2 unsplit: at most 1000 * 2^-53 is lost.
    let r = fma64::<I>(t - MAGIC_F64, -LN_2, x);
    let p = poly64::<I, _>(r, &EXP_MID);
    (fma64::<I>(r * r, p, r) + 1.0) * pow2_64(t)
}

/// `2^x` to 1.2e-10, for `|x| <= 1000`.
#[inline(always)]
pub(super) fn exp2_mid<I: Isa>(x: f64) -> f64 {
    let t = x + MAGIC_F64;
    let r = (x - (t - MAGIC_F64)) * LN_2;
    let p = poly64::<I, _>(r, &EXP_MID);
    (fma64::<I>(r * r, p, r) + 1.0) * pow2_64(t)
}

#[inline(always)]
pub(crate) fn exp_f32<I: Isa>(x: f32) -> f32 {
    let (n, y) = exp_parts_f32::<I>(clamp32(x, EXP_LO_F32, EXP_HI_F32));
    scale32(y, n)
}

#[inline(always)]
pub(crate) fn exp_f64<I: Isa>(x: f64) -> f64 {
    let (n, y) = exp_parts_f64::<I>(clamp64(x, EXP_LO_F64, EXP_HI_F64));
    scale64(y, n)
}

/// `(MAGIC + n, e^r - 1)`; the rounding error of `r` is carried along, because
/// for `n = 1` the sum `2 (e^r - 1) + 1` magnifies it.
#[inline(always)]
pub(super) fn expm1_parts_f32<I: Isa>(x: f32) -> (f32, f32) {
    let t = fma32::<I>(x, LOG2_E_F32, MAGIC_F32);
    let n = t - MAGIC_F32;
    let hi = fma32::<I>(n, -LN2_HI_F32, x);
    let r = fma32::<I>(n, -LN2_LO_F32, hi);
    let c = fma32::<I>(n, -LN2_LO_F32, hi - r);
    let p = poly32::<I, _>(r, &EXPM1_F32);
    (t, r + fma32::<I>(r * r, p, c))
}

/// `(MAGIC + n, e^r - 1)`; see [`expm1_parts_f32`].
#[inline(always)]
pub(super) fn expm1_parts_f64<I: Isa>(x: f64) -> (f64, f64) {
    let t = fma64::<I>(x, LOG2_E, MAGIC_F64);
    let n = t - MAGIC_F64;
    let hi = fma64::<I>(n, -LN2_HI_F64, x);
    let r = fma64::<I>(n, -LN2_LO_F64, hi);
    let c = fma64::<I>(n, -LN2_LO_F64, hi - r);
    let p = fma64::<I>(poly64::<I, _>(r, &EXPM1_F64), r, 0.5);
    (t, r + fma64::<I>(r * r, p, c))
}

/// `(e^x - 1) / 2`: halved, so that the scale does not overflow before the result.
#[inline(always)]
fn half_expm1_f32<I: Isa>(x: f32) -> f32 {
    // From -18 on the result rounds to -1/2.
    let (n, p) = expm1_parts_f32::<I>(clamp32(x, -18.0, EXP_HI_F32));
    let s = pow2_32(n - 1.0);
    fma32::<I>(s, p, s - 0.5)
}

/// `(e^x - 1) / 2`; see [`half_expm1_f32`].
#[inline(always)]
fn half_expm1_f64<I: Isa>(x: f64) -> f64 {
    let (n, p) = expm1_parts_f64::<I>(clamp64(x, -40.0, EXP_HI_F64));
    let s = pow2_64(n - 1.0);
    fma64::<I>(s, p, s - 0.5)
}

/// `(e^x - 1) / 4` for `x >= 0`, finite always: from 710.6 on, twice it is infinite.
#[inline(always)]
pub(super) fn quarter_expm1_f64<I: Isa>(x: f64) -> f64 {
    let (n, p) = expm1_parts_f64::<I>(if x > 710.6 { 710.6 } else { x });
    let s = pow2_64(n - 2.0);
    fma64::<I>(s, p, s - 0.25)
}

#[inline(always)]
pub(crate) fn expm1_f32<I: Isa>(x: f32) -> f32 {
    let y = half_expm1_f32::<I>(x);
    // Tiny x: keeps the sign of zero and subnormals, which the halving would lose.
    if x.abs() < 1e-8 { x } else { y + y }
}

#[inline(always)]
pub(crate) fn expm1_f64<I: Isa>(x: f64) -> f64 {
    let y = half_expm1_f64::<I>(x);
    if x.abs() < 1e-17 { x } else { y + y }
}

/// `1 / (1 + e^-x)`, evaluated with `e^-|x|`, which cannot overflow: a negative `x`
/// gives `e^x / (1 + e^x)`, relatively accurate down to the subnormals.
#[inline(always)]
pub(crate) fn logistic_f32<I: Isa>(x: f32) -> f32 {
    let a = -x.abs();
    let (t, r) = reduce_exp_f32::<I>(if a < EXP_LO_F32 { EXP_LO_F32 } else { a });
    let w = exp_tail_f32::<I>(r);
    let y = 1.0 + w;
    let e = scale32(y, t);
    let d = 1.0 + e;
    let q = (if x < 0.0 { e } else { 1.0 }) / d;
    // First-order correction for what rounding y and d lost.  A rough 1 / y and 1 / d will
    // do: the losses matter most where d is near 1.
    let y_lost = (w - (y - 1.0)) * (2.0 - y);
    let d_lost = (1.0 - d) + e;
    let lost = fma32::<I>(y_lost, if x < 0.0 { 1.0 } else { -e }, -d_lost);
    fma32::<I>(q, lost * (1.0 - 0.5 * e), q)
}

#[inline(always)]
pub(crate) fn logistic_f64<I: Isa>(x: f64) -> f64 {
    let a = -x.abs();
    let (n, y) = exp_parts_f64::<I>(if a < EXP_LO_F64 { EXP_LO_F64 } else { a });
    let e = scale64(y, n);
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}
