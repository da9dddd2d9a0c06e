//! `log` and `log1p`.
//!
//! `x = 2^k m` with `m` in `sqrt(1/2)..sqrt(2)`, `log x = k ln 2 + log m`.  For f32
//! `log m` is Cephes' form `f - f^2/2 + f^3 P(f)`, `f = m - 1` (`logf.c`); for f64 it
//! is fdlibm's (`e_log.c`), in `s = f / (2 + f)`.  Coefficients: our own fits.

use super::bits::{MAGIC_F64, fma32, fma64, poly32, poly64};
use super::exp::{LN2_HI_F32, LN2_HI_F64, LN2_LO_F32, LN2_LO_F64};
use super::isa::Isa;

/// `(log(1 + f) - f + f^2 / 2) / f^3`, relative error of the logarithm 0.015 * 2^-24.
const LOG_F32: [f32; 9] = [
    3.333331e-01,
    -2.5000015e-01,
    2.000223e-01,
    -1.6667733e-01,
    1.421746e-01,
    -1.2409483e-01,
    1.1906142e-01,
    -1.1657672e-01,
    6.685658e-02,
];

/// `(log((1 + s) / (1 - s)) - 2 s) / s^3` in `s^2`, error of the logarithm 0.02 * 2^-53.
pub(crate) const LOG_F64: [f64; 7] = [
    0.6666666666666736,
    0.39999999999405034,
    0.2857142874423165,
    0.22222198403083,
    0.18183572504150583,
    0.1531385313789698,
    0.14797840067142343,
];

/// The same with an error of 5e-12, for f32 functions evaluated in f64.
const LOG_MID: [f64; 4] = [0.6666666562089765, 0.40000339508674454, 0.2853707751351843, 0.23586018941663872];

/// The same for `s^2 <= 0.042`, with an error of 4e-11.
const ATANH_MID: [f64; 4] = [0.6666666203990689, 0.40001041417617195, 0.2849846136146733, 0.24222302053857117];

/// Bits of `sqrt(1/2)`; subtracting them makes the exponent field round so that the
/// mantissa falls into `sqrt(1/2)..sqrt(2)` (musl's `logf`).
const SQRT_HALF_F32: u32 = 0x3f35_04f3;
const SQRT_HALF_F64: u64 = 0x3fe6_a09e_667f_3bcd;

/// `(k, m)` with `x = 2^k m`, for a positive normal `x`.
#[inline(always)]
fn split_f32(x: f32) -> (i32, f32) {
    let d = x.to_bits().wrapping_sub(SQRT_HALF_F32);
    let k = (d as i32) >> 23;
    (k, f32::from_bits((d & 0x007f_ffff).wrapping_add(SQRT_HALF_F32)))
}

/// `(k, m)` with `x = 2^k m`, for a positive normal `x`; `k` as `MAGIC_F64 + k`.
#[inline(always)]
fn split_f64(x: f64) -> (f64, f64) {
    // There is no 64-bit integer to float conversion (nor an arithmetic shift) before
    // AVX-512: offset k to be positive, and add it to the magic number's mantissa.
    let d = x.to_bits().wrapping_add((1024 << 52) - SQRT_HALF_F64);
    let k = f64::from_bits((d >> 52).wrapping_add(MAGIC_F64.to_bits() - 1024));
    (k, f64::from_bits((d & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF_F64)))
}

/// `k ln 2 + log(1 + f)`.
#[inline(always)]
fn log_sum_f32<I: Isa>(k: f32, f: f32) -> f32 {
    let z = f * f;
    let p = poly32::<I, _>(f, &LOG_F32);
    let y = fma32::<I>(k, LN2_LO_F32, (f * z) * p);
    let y = f + fma32::<I>(-0.5, z, y);
    fma32::<I>(k, LN2_HI_F32, y)
}

/// `k ln 2 + log(1 + f)`, fdlibm's order of summation.
#[inline(always)]
fn log_sum_f64<I: Isa>(k: f64, f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let h = 0.5 * f * f;
    let p = poly64::<I, _>(z, &LOG_F64);
    let t = fma64::<I>(s, fma64::<I>(z, p, h), k * LN2_LO_F64);
    fma64::<I>(k, LN2_HI_F64, f - (h - t))
}

#[inline(always)]
pub(crate) fn log_f32<I: Isa>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let (k, m) = split_f32(scaled);
    let k = k as f32 - if tiny { 23.0 } else { 0.0 };
    let y = log_sum_f32::<I>(k, m - 1.0);
    // Finite and positive?  In integers, as LLVM would otherwise recognize and merge the
    // float comparisons into a costlier classification of the bits.
    let ordinary = x.to_bits().wrapping_sub(1) < f32::INFINITY.to_bits() - 1;
    let special = if x > 0.0 { x } else { f32::NAN };
    let special = if x == 0.0 { f32::NEG_INFINITY } else { special };
    if ordinary { y } else { special }
}

#[inline(always)]
pub(crate) fn log_f64<I: Isa>(x: f64) -> f64 {
    let tiny = x < f64::MIN_POSITIVE;
    let scaled = if tiny { x * 18_014_398_509_481_984.0 } else { x };
    let (k, m) = split_f64(scaled);
    let k = (k - MAGIC_F64) - if tiny { 54.0 } else { 0.0 };
    let y = log_sum_f64::<I>(k, m - 1.0);
    let ordinary = x.to_bits().wrapping_sub(1) < f64::INFINITY.to_bits() - 1;
    let special = if x > 0.0 { x } else { f64::NAN };
    let special = if x == 0.0 { f64::NEG_INFINITY } else { special };
    if ordinary { y } else { special }
}

/// `(k, log(m))` with `x = 2^k m`, for a positive normal `x`; the logarithm to 5e-12.
#[inline(always)]
fn log_parts_mid<I: Isa>(x: f64) -> (f64, f64) {
    let (k, m) = split_f64(x);
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    (k - MAGIC_F64, s * fma64::<I>(z, poly64::<I, _>(z, &LOG_MID), 2.0))
}

/// `log2(x)` to 5e-12 relative, for a positive normal `x`.
#[inline(always)]
pub(super) fn log2_mid<I: Isa>(x: f64) -> f64 {
    let (k, log_m) = log_parts_mid::<I>(x);
    fma64::<I>(log_m, std::f64::consts::LOG2_E, k)
}

/// `log(x)` to 5e-12 relative, for a positive normal `x`.
#[inline(always)]
pub(super) fn log_mid<I: Isa>(x: f64) -> f64 {
    let (k, log_m) = log_parts_mid::<I>(x);
    fma64::<I>(k, std::f64::consts::LN_2, log_m)
}

/// `log(u / v)` to 4e-11 relative, for `u >= v > 0`, with a single division.
#[inline(always)]
pub(super) fn log_quotient_mid<I: Isa>(u: f64, v: f64) -> f64 {
    // The bits are a piecewise linear logarithm, off by at most 0.086: rounded to an
    // integer k, the difference brings u / (2^k v) into 2^-0.59..2^0.59.
    let k = u.to_bits().wrapping_sub(v.to_bits()).wrapping_add(1 << 51) >> 52;
    let v = v * f64::from_bits((k + 1023) << 52);
    let s = (u - v) / (u + v);
    let z = s * s;
    let log = s * fma64::<I>(z, poly64::<I, _>(z, &ATANH_MID), 2.0);
    let k = f64::from_bits(k + MAGIC_F64.to_bits()) - MAGIC_F64;
    fma64::<I>(k, std::f64::consts::LN_2, log)
}

/// `log(1 + x)`.
///
/// `u = fl(1 + x)` is split as for the logarithm; what the addition lost is scaled
/// like the mantissa and added to `f = m - 1`.  That costs at most half an ulp of
/// `f`, and is exact where it matters (`k = 0`, where `f` becomes `x` itself).
#[inline(always)]
pub(crate) fn log1p_f32<I: Isa>(x: f32) -> f32 {
    let u = 1.0 + x;
    let c = if x < 1.0 { x - (u - 1.0) } else { 1.0 - (u - x) };
    let (k, m) = split_f32(u);
    let scale = f32::from_bits((127_i32.wrapping_sub(k) as u32) << 23);
    // c is immaterial for a large x, for the largest of which 2^-k is not normal.
    let c = if x < 1e15 { c * scale } else { 0.0 };
    let y = log_sum_f32::<I>(k as f32, (m - 1.0) + c);
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    let y = if x < -1.0 { f32::NAN } else { y };
    // Tiny x: keeps the sign of zero.
    if x.abs() < 1e-9 { x } else { y }
}

/// `log(1 + x)`; see [`log1p_f32`].
#[inline(always)]
pub(crate) fn log1p_f64<I: Isa>(x: f64) -> f64 {
    let y = log1p_core_f64::<I>(x);
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x == -1.0 { f64::NEG_INFINITY } else { y };
    let y = if x < -1.0 { f64::NAN } else { y };
    if x.abs() < 1e-18 { x } else { y }
}

/// `log(1 + x)` for a finite `x > -1`; zero loses its sign.
#[inline(always)]
pub(super) fn log1p_core_f64<I: Isa>(x: f64) -> f64 {
    let u = 1.0 + x;
    let c = if x < 1.0 { x - (u - 1.0) } else { 1.0 - (u - x) };
    let (k, m) = split_f64(u);
    let exponent = (MAGIC_F64.to_bits() + 1023).wrapping_sub(k.to_bits());
    let c = if x < 1e30 { c * f64::from_bits(exponent << 52) } else { 0.0 };
    log_sum_f64::<I>(k - MAGIC_F64, (m - 1.0) + c)
}
