//! `sin`, `cos` and `tan` for arguments up to a bound; [`super::kernels`] redoes the
//! lanes above it with the scalar functions of std.
//!
//! Cody & Waite reduction modulo pi/2, both the sine and the cosine polynomial, and a
//! select.  f64 uses fdlibm's three 33-bit parts of pi/2 and keeps the reduced argument
//! as an unevaluated sum.  Coefficients: our own fits.

use super::bits::{MAGIC_F32, MAGIC_F64, fma32, fma64, poly32, poly64};
use super::isa::Isa;
use std::f32::consts::FRAC_2_PI;

/// Largest `|x|` for which the f32 functions are accurate.
pub(super) const BOUND_F32: f32 = 1e5;
/// Largest `|x|` for which the f64 functions are accurate: the quotient by pi/2 has to
/// stay below 2^20, so that its products with 33-bit constants are exact.
pub(super) const BOUND_F64: f64 = 1e6;

/// `(sin(r) - r) / r^3` in `r^2`, `|r| <= pi/4`, error 0.08 * 2^-24.
const SIN_F32: [f32; 3] = [-1.6666654e-01, 8.332116e-03, -1.9509828e-04];

/// `(cos(r) - 1 + r^2 / 2) / r^4` in `r^2`, `|r| <= pi/4`, error 0.002 * 2^-24.
const COS_F32: [f32; 3] = [4.1666646e-02, -1.3887308e-03, 2.443205e-05];

/// `(tan(r) - r) / r^3` in `r^2`, `|r| <= pi/4`, error 0.03 * 2^-24.
const TAN_F32: [f32; 7] =
    [3.333335e-01, 1.333267e-01, 5.4060113e-02, 2.1277752e-02, 1.0854456e-02, 5.826796e-05, 4.3949694e-03];

/// `(sin(r) - r) / r^3` in `r^2`, `|r| <= pi/4`, error 0.04 * 2^-53.
const SIN_F64: [f64; 6] = [
    -0.1666666666666663,
    0.00833333333332189,
    -0.0001984126982942126,
    2.7557313566121024e-06,
    -2.505073941441873e-08,
    1.5895757603295897e-10,
];

/// `(cos(r) - 1 + r^2 / 2) / r^4` in `r^2`, `|r| <= pi/4`, error 0.001 * 2^-53.
const COS_F64: [f64; 6] = [
    0.041666666666666595,
    -0.0013888888888873435,
    2.4801587289091333e-05,
    -2.755731424762437e-07,
    2.0875709882915645e-09,
    -1.1358988541043364e-11,
];

/// `(MAGIC + n, r)` with `x = n pi/2 + r`, `|x| <= BOUND_F32`.
///
/// With FMA the first step is exact (the difference is a multiple of 2^-24 and below 1)
/// and what the three constants leave out of pi/2 is below 2^-72.  Without FMA the same
/// is had from f64 with a 33-bit leading part.
#[inline(always)]
fn reduce_f32<I: Isa>(x: f32) -> (f32, f32) {
    let t = fma32::<I>(x, FRAC_2_PI, MAGIC_F32);
    let n = t - MAGIC_F32;
    if I::FMA {
        let r = n.mul_add(4.371139e-08, n.mul_add(-1.5707964, x));
        (t, n.mul_add(1.7151245e-15, r))
    } else {
        let (x, n) = (f64::from(x), f64::from(n));
        (t, ((x - n * 1.5707963267341256) - n * 6.077100506506192e-11) as f32)
    }
}

/// As [`reduce_f32`], with what `r` lost: the cotangent would magnify it.
#[inline(always)]
fn reduce_with_tail_f32<I: Isa>(x: f32) -> (f32, f32, f32) {
    let t = fma32::<I>(x, FRAC_2_PI, MAGIC_F32);
    let n = t - MAGIC_F32;
    if I::FMA {
        let r1 = n.mul_add(-1.5707964, x);
        let w = n * 4.371139e-08;
        let w_lost = n.mul_add(4.371139e-08, -w);
        // Knuth's two-sum: either may be the larger.
        let r2 = r1 + w;
        let v = r2 - r1;
        let r2_lost = (r1 - (r2 - v)) + (w - v);
        let tail = n.mul_add(1.7151245e-15, r2_lost + w_lost);
        let r = r2 + tail;
        (t, r, (r2 - r) + tail)
    } else {
        let (x, n) = (f64::from(x), f64::from(n));
        let exact = (x - n * 1.5707963267341256) - n * 6.077100506506192e-11;
        let r = exact as f32;
        (t, r, (exact - f64::from(r)) as f32)
    }
}

/// `sin(x + quarter pi/2)`.
#[inline(always)]
fn sin_quarter_f32<I: Isa>(x: f32, quarter: u32) -> f32 {
    let (t, r) = reduce_f32::<I>(x);
    let n = t.to_bits().wrapping_add(quarter);
    let z = r * r;
    let sin = fma32::<I>(z * poly32::<I, _>(z, &SIN_F32), r, r);
    let cos = fma32::<I>(z * z, poly32::<I, _>(z, &COS_F32), fma32::<I>(-0.5, z, 1.0));
    let y = if n & 1 != 0 { cos } else { sin };
    f32::from_bits(y.to_bits() ^ ((n & 2) << 30))
}

#[inline(always)]
pub(crate) fn sin_f32<I: Isa>(x: f32) -> f32 {
    let y = sin_quarter_f32::<I>(x, 0);
    // The reduction loses the sign of zero.
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(crate) fn cos_f32<I: Isa>(x: f32) -> f32 {
    sin_quarter_f32::<I>(x, 1)
}

#[inline(always)]
pub(crate) fn tan_f32<I: Isa>(x: f32) -> f32 {
    let (t, r, tail) = reduce_with_tail_f32::<I>(x);
    let s = r * r;
    // tan' = 1 + tan^2, roughly 1 + r^2
    let tail = fma32::<I>(tail, s, tail);
    let y = r + fma32::<I>(s * poly32::<I, _>(s, &TAN_F32), r, tail);
    // tan(r + pi/2) = -1 / tan(r)
    let odd = t.to_bits() & 1 != 0;
    let y = (if odd { -1.0 } else { y }) / (if odd { y } else { 1.0 });
    if x == 0.0 { x } else { y }
}

/// `(MAGIC + n, r, tail)` with `x = n pi/2 + r + tail`, `|x| <= BOUND_F64`.
#[inline(always)]
fn reduce_f64<I: Isa>(x: f64) -> (f64, f64, f64) {
    let t = fma64::<I>(x, std::f64::consts::FRAC_2_PI, MAGIC_F64);
    let n = t - MAGIC_F64;
    // The products with the three 33-bit parts are exact, fused or not.
    let r1 = fma64::<I>(n, -1.5707963267341256, x);
    let w2 = n * 6.077100506303966e-11;
    let r2 = r1 - w2;
    let w3 = n * 2.0222662487111665e-21;
    let r3 = r2 - w3;
    // What the last two subtractions lost, and the rest of pi/2.
    let lost = ((r1 - r2) - w2) + ((r2 - r3) - w3);
    let tail = fma64::<I>(n, -8.4784276603689e-32, lost);
    let r = r3 + tail;
    (t, r, (r3 - r) + tail)
}

/// `(sin(r + tail), cos(r + tail))`, fdlibm's `k_sin.c` and `k_cos.c`.
#[inline(always)]
fn sin_cos_poly_f64<I: Isa>(r: f64, tail: f64) -> (f64, f64) {
    let z = r * r;
    let p = poly64::<I, _>(z, &SIN_F64);
    let sin = r + fma64::<I>(z * p, r, fma64::<I>(-0.5 * z, tail, tail));
    let q = poly64::<I, _>(z, &COS_F64);
    let h = 0.5 * z;
    let w = 1.0 - h;
    let cos = w + (((1.0 - w) - h) + fma64::<I>(z * z, q, -(r * tail)));
    (sin, cos)
}

/// `sin(x + quarter pi/2)`.
#[inline(always)]
fn sin_quarter_f64<I: Isa>(x: f64, quarter: u64) -> f64 {
    let (t, r, tail) = reduce_f64::<I>(x);
    let n = t.to_bits().wrapping_add(quarter);
    let (sin, cos) = sin_cos_poly_f64::<I>(r, tail);
    let y = if n & 1 != 0 { cos } else { sin };
    f64::from_bits(y.to_bits() ^ ((n & 2) << 62))
}

#[inline(always)]
pub(crate) fn sin_f64<I: Isa>(x: f64) -> f64 {
    let y = sin_quarter_f64::<I>(x, 0);
    // Tiny x: keeps the sign of zero.
    if x.abs() < 1e-9 { x } else { y }
}

#[inline(always)]
pub(crate) fn cos_f64<I: Isa>(x: f64) -> f64 {
    sin_quarter_f64::<I>(x, 1)
}

#[inline(always)]
pub(crate) fn tan_f64<I: Isa>(x: f64) -> f64 {
    let (t, r, tail) = reduce_f64::<I>(x);
    let (sin, cos) = sin_cos_poly_f64::<I>(r, tail);
    let odd = t.to_bits() & 1 != 0;
    let y = (if odd { -cos } else { sin }) / (if odd { sin } else { cos });
    if x.abs() < 1e-9 { x } else { y }
}
