//! Shared building blocks: fused multiply-add, Horner's scheme, rounding and
//! exponent manipulation, all branch-free and free of library calls.

use super::isa::Isa;

/// `1.5 * 2^23`: adding it rounds a small f32 to an integer (ties to even) and
/// leaves that integer, in two's complement, in the low mantissa bits.
pub(super) const MAGIC_F32: f32 = 12_582_912.0;
/// `1.5 * 2^52`, the same for f64.
pub(super) const MAGIC_F64: f64 = 6_755_399_441_055_744.0;

/// `a * b + c`, fused where that is cheap.
#[inline(always)]
pub(super) fn fma32<I: Isa>(a: f32, b: f32, c: f32) -> f32 {
    if I::FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `a * b + c`, fused where that is cheap.
#[inline(always)]
pub(super) fn fma64<I: Isa>(a: f64, b: f64, c: f64) -> f64 {
    if I::FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `c[0] + c[1] x + c[2] x^2 + ...` by Horner's scheme.
#[inline(always)]
pub(super) fn poly32<I: Isa, const N: usize>(x: f32, c: &[f32; N]) -> f32 {
    let mut acc = c[N - 1];
    let mut k = N - 1;
    while k > 0 {
        k -= 1;
        acc = fma32::<I>(acc, x, c[k]);
    }
    acc
}

/// `c[0] + c[1] x + c[2] x^2 + ...` by Horner's scheme.
#[inline(always)]
pub(super) fn poly64<I: Isa, const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let mut acc = c[N - 1];
    let mut k = N - 1;
    while k > 0 {
        k -= 1;
        acc = fma64::<I>(acc, x, c[k]);
    }
    acc
}

/// Restricts `x` to `lo..=hi` and lets NaN through (unlike `f32::clamp`, never
/// panics).
#[inline(always)]
pub(super) fn clamp32(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

/// Restricts `x` to `lo..=hi` and lets NaN through.
#[inline(always)]
pub(super) fn clamp64(x: f64, lo: f64, hi: f64) -> f64 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

/// `2^n` for an integer `n` held as `MAGIC_F32 + n`; `-126 <= n <= 127`.
#[inline(always)]
pub(super) fn pow2_32(magic_n: f32) -> f32 {
    // The shift drops all magic bits but the integer.
    f32::from_bits(magic_n.to_bits().wrapping_add(127) << 23)
}

/// `2^n` for an integer `n` held as `MAGIC_F64 + n`; `-1022 <= n <= 1023`.
#[inline(always)]
pub(super) fn pow2_64(magic_n: f64) -> f64 {
    f64::from_bits(magic_n.to_bits().wrapping_add(1023) << 52)
}

/// `y * 2^n` for `n` held as `MAGIC_F32 + n`, `-252 <= n <= 254`, with one rounding
/// when the result is subnormal and overflow to infinity.
///
/// Two multiplications by powers of two whose exponents add up to `n`: the first
/// is exact for a `y` near 1.
#[inline(always)]
pub(super) fn scale32(y: f32, magic_n: f32) -> f32 {
    // n + 2 * bias; non-negative, so the halves need no arithmetic shift.
    let m = magic_n.to_bits().wrapping_sub(MAGIC_F32.to_bits() - 254);
    let half = m >> 1;
    let rest = m.wrapping_sub(half);
    y * f32::from_bits(half << 23) * f32::from_bits(rest << 23)
}

/// `y * 2^n` for `n` held as `MAGIC_F64 + n`; see [`scale32`].
#[inline(always)]
pub(super) fn scale64(y: f64, magic_n: f64) -> f64 {
    let m = magic_n.to_bits().wrapping_sub(MAGIC_F64.to_bits() - 2046);
    let half = m >> 1;
    let rest = m.wrapping_sub(half);
    y * f64::from_bits(half << 52) * f64::from_bits(rest << 52)
}

/// The rounding error of `a * a` given `s = fl(a * a)`: `a * a = s + error`.
///
/// Without FMA the square is split as `ah^2 + (a - ah)(a + ah)` with `ah` short
/// enough for `ah^2` to be exact (Dekker); the second product is rounded.
#[inline(always)]
pub(super) fn square_error32<I: Isa>(a: f32, s: f32) -> f32 {
    if I::FMA {
        a.mul_add(a, -s)
    } else {
        let ah = f32::from_bits(a.to_bits() & !0xfff);
        (ah * ah - s) + (a - ah) * (a + ah)
    }
}

/// The rounding error of `a * a`; see [`square_error32`].
#[inline(always)]
pub(super) fn square_error64<I: Isa>(a: f64, s: f64) -> f64 {
    if I::FMA {
        a.mul_add(a, -s)
    } else {
        let ah = f64::from_bits(a.to_bits() & !0x7ff_ffff);
        (ah * ah - s) + (a - ah) * (a + ah)
    }
}
