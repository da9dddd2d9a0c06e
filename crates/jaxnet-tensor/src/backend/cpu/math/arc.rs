//! `asin`, `acos`, `atan` and `atan2`.
//!
//! One polynomial each, on `0..=1/2` for the arc sine (with the half-angle formula
//! `asin x = pi/2 - 2 asin sqrt((1 - x) / 2)` above that, as in Cephes and fdlibm) and on
//! `0..=1` for the arc tangent (with the reciprocal above).  Coefficients: our own fits.

use super::bits::{fma32, fma64, poly32, poly64};
use super::isa::Isa;

/// pi/2 - fl(pi/2).
const FRAC_PI_2_LO_F32: f32 = -4.371139e-08;
const FRAC_PI_2_LO_F64: f64 = 6.123233995736766e-17;
const FRAC_PI_2_F32: f32 = std::f32::consts::FRAC_PI_2;
const FRAC_PI_2_F64: f64 = std::f64::consts::FRAC_PI_2;

/// `(atan(t) - t) / t^3` in `t^2`, error 0.06 * 2^-24.
const ATAN_F32: [f32; 9] = [
    -3.3333293e-01,
    1.999836e-01,
    -1.426229e-01,
    1.094222e-01,
    -8.374951e-02,
    5.7478942e-02,
    -3.0709004e-02,
    1.066674e-02,
    -1.7389732e-03,
];

/// `(atan(t) - t) / t^3` in `t^2`, error 0.05 * 2^-53.
const ATAN_F64: [f64; 20] = [
    -0.3333333333333302,
    0.19999999999944268,
    -0.14285714282181675,
    0.11111110995908832,
    -0.09090906812665642,
    0.07692277677819165,
    -0.06666386806559987,
    0.058804272191223445,
    -0.052530783065543436,
    0.047208494315127504,
    -0.04215367849911121,
    0.03656514353516968,
    -0.02978335206593911,
    0.021838074673802617,
    -0.013763346705652345,
    0.007099985521128468,
    -0.0028355190990207095,
    0.000813964717957847,
    -0.00014841831625624026,
    1.2851805242397334e-05,
];

/// `(asin(s) - s) / s^3` in `s^2`, error 0.005 * 2^-24.
const ASIN_F32: [f32; 6] = [1.666666e-01, 7.500514e-02, 4.4515852e-02, 3.1813342e-02, 1.4426251e-02, 3.752511e-02];

/// `(asin(s) - s) / s^3` in `s^2`, error 0.01 * 2^-53.
const ASIN_F64: [f64; 13] = [
    0.16666666666666757,
    0.07499999999971792,
    0.04464285717359249,
    0.0303819427587141,
    0.022372213519528936,
    0.017351638714397925,
    0.013980498610070365,
    0.011401549996406437,
    0.010765491205053643,
    0.0037619687896042024,
    0.02157292878367737,
    -0.02080981246775407,
    0.032511041925434414,
];

macro_rules! arc_functions {
    ($ty:ident, $fma:ident, $poly:ident, $asin_table:ident, $atan_table:ident, $pi2:ident,
     $pi2_lo:ident; $asin:ident, $acos:ident, $atan:ident, $atan2:ident,
     $asin_half:ident, $atan_poly:ident) => {
        /// `(|x| > 1/2, s, t)`: `s + t = asin |x|` if not, `asin sqrt((1 - |x|) / 2)` if so.
        #[inline(always)]
        fn $asin_half<I: Isa>(x: $ty) -> (bool, $ty, $ty) {
            let a = x.abs();
            let big = a > 0.5;
            // 1 - |x| is exact.  |x| > 1 gives the root of a negative number, NaN.
            let z = if big { 0.5 * (1.0 - a) } else { a * a };
            let s = if big { z.sqrt() } else { a };
            (big, s, s * (z * $poly::<I, _>(z, &$asin_table)))
        }

        #[inline(always)]
        pub(crate) fn $asin<I: Isa>(x: $ty) -> $ty {
            let (big, s, t) = $asin_half::<I>(x);
            // pi/2 - 2 (s + t), the larger terms first: their difference is nearly exact.
            let base = if big { $fma::<I>(-2.0, s, $pi2) } else { s };
            let rest = if big { $fma::<I>(-2.0, t, $pi2_lo) } else { t };
            (base + rest).copysign(x)
        }

        #[inline(always)]
        pub(crate) fn $acos<I: Isa>(x: $ty) -> $ty {
            let (big, s, t) = $asin_half::<I>(x);
            let a = s + t;
            // pi/2 - asin x; 2 asin sqrt((1 - x) / 2); pi minus that of -x.
            let negative = x < 0.0;
            let term = if big { a + a } else { -a.copysign(x) };
            let term = if big && negative { -term } else { term };
            let base = if big { 0.0 } else { $pi2 };
            let base = if big && negative { 2.0 * $pi2 } else { base };
            let base_lo = if big { 0.0 } else { $pi2_lo };
            let base_lo = if big && negative { 2.0 * $pi2_lo } else { base_lo };
            base + (term + base_lo)
        }

        /// `atan(t)`, `0 <= t <= 1`.
        #[inline(always)]
        fn $atan_poly<I: Isa>(t: $ty) -> $ty {
            let z = t * t;
            $fma::<I>(z * $poly::<I, _>(z, &$atan_table), t, t)
        }

        #[inline(always)]
        pub(crate) fn $atan<I: Isa>(x: $ty) -> $ty {
            let a = x.abs();
            let big = a > 1.0;
            let t = (if big { 1.0 } else { a }) / (if big { a } else { 1.0 });
            let p = $atan_poly::<I>(t);
            let y = if big { $pi2 - (p - $pi2_lo) } else { p };
            y.copysign(x)
        }

        #[inline(always)]
        pub(crate) fn $atan2<I: Isa>(y: $ty, x: $ty) -> $ty {
            let (ax, ay) = (x.abs(), y.abs());
            let swap = ay > ax;
            let (low, high) = if swap { (ax, ay) } else { (ay, ax) };
            // 0/0 counts as 0 and inf/inf as 1, as IEEE 754 has it.
            let t = low / high;
            let t = if high == 0.0 { 0.0 } else { t };
            let t = if low == <$ty>::INFINITY { 1.0 } else { t };
            let p = $atan_poly::<I>(t);
            // A select between constants by the sign bit of x, which -0.0 has too.
            let negative = (1.0 as $ty).copysign(x) < 0.0;
            let p = if swap != negative { -p } else { p };
            let quarters = if negative { 2.0 } else { 0.0 };
            let quarters = if swap { 1.0 } else { quarters };
            let r = quarters * $pi2 + (p + quarters * $pi2_lo);
            let r = r.copysign(y);
            if x.is_nan() || y.is_nan() { x + y } else { r }
        }
    };
}

arc_functions!(f32, fma32, poly32, ASIN_F32, ATAN_F32, FRAC_PI_2_F32, FRAC_PI_2_LO_F32;
    asin_f32, acos_f32, atan_f32, atan2_f32, asin_half_f32, atan_poly_f32);
arc_functions!(f64, fma64, poly64, ASIN_F64, ATAN_F64, FRAC_PI_2_F64, FRAC_PI_2_LO_F64;
    asin_f64, acos_f64, atan_f64, atan2_f64, asin_half_f64, atan_poly_f64);
