//! `pow`, `cbrt` and `rsqrt`.

use super::bits::{clamp64, fma64};
use super::exp::exp2_mid;
use super::isa::Isa;
use super::log::log2_mid;

#[inline(always)]
pub(crate) fn sqrt_f32<I: Isa>(x: f32) -> f32 {
    x.sqrt()
}

#[inline(always)]
pub(crate) fn sqrt_f64<I: Isa>(x: f64) -> f64 {
    x.sqrt()
}

#[inline(always)]
pub(crate) fn rsqrt_f32<I: Isa>(x: f32) -> f32 {
    1.0 / x.sqrt()
}

#[inline(always)]
pub(crate) fn rsqrt_f64<I: Isa>(x: f64) -> f64 {
    1.0 / x.sqrt()
}

/// `a^(-1/3)` to about 2e-11, for a positive normal `a`.
#[inline(always)]
fn inverse_cbrt<I: Isa>(a: f64) -> f64 {
    // Dividing the exponent by -3 within the high word gives 3 % (fdlibm's s_cbrt.c, with
    // the sign turned); a 32-bit product is what vector units have.
    let high = a.to_bits() >> 32;
    let third = (high * 0x5555_5556) >> 32;
    let mut y = f64::from_bits((0x553e_f0ff - third) << 32);
    // y / (1 - e)^(1/3) = y (1 + e / 3 + 2 e^2 / 9 + ...): third order each.
    let mut round = 0;
    while round < 2 {
        let e = fma64::<I>(-(a * y), y * y, 1.0);
        y = fma64::<I>(y * e, fma64::<I>(e, 2.0 / 9.0, 1.0 / 3.0), y);
        round += 1;
    }
    y
}

#[inline(always)]
pub(crate) fn cbrt_f32<I: Isa>(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let y = inverse_cbrt::<I>(a);
    let r = a * y * y;
    // 0, infinity and NaN are their own roots.
    let r = if a > 0.0 && a < f64::INFINITY { r } else { a };
    (r as f32).copysign(x)
}

#[inline(always)]
pub(crate) fn cbrt_f64<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    // Kept off both ends of the range, where a or the residual would not be normal.
    let tiny = a < 1e-280;
    let huge = a > 1e280;
    let up = if tiny { 18_014_398_509_481_984.0 } else { 1.0 };
    let up = if huge { 1.0 / 18_014_398_509_481_984.0 } else { up };
    let down = if tiny { 1.0 / 262_144.0 } else { 1.0 };
    let down = if huge { 262_144.0 } else { down };
    let b = a * up;
    let y = inverse_cbrt::<I>(b);
    // One more round for y and a Newton step t + (b - t^3) / (3 t^2) for the root itself.
    let e = fma64::<I>(-(b * y), y * y, 1.0);
    let y = fma64::<I>(y * e, 1.0 / 3.0, y);
    let t = b * y * y;
    let sq = t * t;
    let residual = fma64::<I>(-sq, t, b);
    let t = fma64::<I>(residual, y * y * (1.0 / 3.0), t);
    let r = t * down;
    let r = if a > 0.0 && a < f64::INFINITY { r } else { a };
    r.copysign(x)
}

/// `x^y = 2^(y log2 |x|)` in f64, and the special cases of C99's annex F.
#[inline(always)]
pub(crate) fn pow_f32<I: Isa>(x: f32, y: f32) -> f32 {
    let (xd, yd) = (f64::from(x), f64::from(y));
    let a = xd.abs();
    let log = log2_mid::<I>(a);
    let log = if a == 0.0 { f64::NEG_INFINITY } else { log };
    // NaN and infinity
    let log = if a < f64::INFINITY { log } else { a };
    let t = yd * log;
    // (+-1)^(+-inf) and (0 or inf)^0: 1, where the product is NaN.
    let t = if a == 1.0 && yd.abs() == f64::INFINITY { 0.0 } else { t };
    let r = exp2_mid::<I>(clamp64(t, -300.0, 300.0)) as f32;
    // Integers above 2^25 are even; infinity counts as one of them.
    let ya = yd.abs();
    let ya = if ya > 33_554_432.0 { 33_554_432.0 } else { ya };
    let whole = ya + 4_503_599_627_370_496.0;
    let integer = whole - 4_503_599_627_370_496.0 == ya;
    let odd = integer && whole.to_bits() & 1 != 0;
    let r = if odd { r.copysign(x) } else { r };
    let r = if x < 0.0 && !integer && a < f64::INFINITY { f32::NAN } else { r };
    if x == 1.0 || y == 0.0 { 1.0 } else { r }
}

/// std's `pow`: an error below 1 ulp takes a double-double logarithm, which is not worth
/// vectorizing here.
#[inline(always)]
pub(crate) fn pow_f64<I: Isa>(x: f64, y: f64) -> f64 {
    x.powf(y)
}
