//! Scalar special functions: accuracy first.  The f32 versions compute in f64.
//!
//! Values at poles and outside the domain are SciPy's (and XLA's).

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// Of [`digamma_1_2`]: the constant term of its factor.
pub(crate) const DIGAMMA_Y: f64 = 0.995_581_626_892_089_8;

/// The root of digamma, in three parts.
pub(crate) const DIGAMMA_ROOT_1: f64 = 1_569_415_565.0 / 1_073_741_824.0;

/// The root of digamma, second part.
pub(crate) const DIGAMMA_ROOT_2: f64 = (381_566_830.0 / 1_073_741_824.0) / 1_073_741_824.0;

/// The root of digamma, third part.
pub(crate) const DIGAMMA_ROOT_3: f64 = 9.016_312_093_258_695e-20;

/// Of [`digamma_1_2`]: the numerator.
pub(crate) const DIGAMMA_P: [f64; 6] = [
    0.254_798_510_611_315_5,
    -0.325_550_311_868_044_9,
    -0.650_318_537_708_965_1,
    -0.289_191_264_447_747_84,
    -0.045_251_321_448_739_06,
    -0.002_071_332_116_774_595,
];

/// Of [`digamma_1_2`]: the denominator.
pub(crate) const DIGAMMA_Q: [f64; 7] = [
    1.0,
    2.076_711_702_373_047,
    1.460_624_290_976_351_5,
    0.435_935_296_926_659_7,
    0.054_151_797_245_674_225,
    0.002_128_498_701_782_114_4,
    -5.578_984_132_167_551e-7,
];

/// `B_2k / 2k`, Cephes' `psi.c`.
pub(crate) const DIGAMMA_ASYMPTOTIC: [f64; 7] =
    [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0, 1.0 / 12.0];

/// `(2k)! / B_2k`
pub(crate) const ZETA_A: [f64; 12] = [
    12.0,
    -720.0,
    30_240.0,
    -1_209_600.0,
    47_900_160.0,
    -1_892_437_580.318_379_2,
    74_724_249_600.0,
    -2_950_130_727_918.164_6,
    116_467_828_143_500.67,
    -4_597_978_722_407_472.0,
    181_521_054_019_435_460.0,
    -7.166_165_256_175_667e18,
];

/// Of [`erf_inv`], by the names of the algorithm.
pub(crate) const ERF_INV_A: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];

/// Of [`erf_inv`], by the names of the algorithm.
pub(crate) const ERF_INV_B: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_854,
];

/// Of [`erf_inv`], by the names of the algorithm.
pub(crate) const ERF_INV_C: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];

/// Of [`erf_inv`], by the names of the algorithm.
pub(crate) const ERF_INV_D: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];

/// Of [`erf_inv`], by the names of the algorithm.
pub(crate) const ERF_INV_E: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    0.001_242_660_947_388_078_4,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];

/// Of [`erf_inv`], by the names of the algorithm.
pub(crate) const ERF_INV_F: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

/// `log |gamma(x)|`; infinite at 0 and the negative integers.
pub(crate) fn lgamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// `c[0] + c[1] x + ...`
fn polynomial(x: f64, c: &[f64]) -> f64 {
    c.iter().rev().fold(0.0, |acc, &c| acc * x + c)
}

/// `pi / tan(pi x)`, exact in the reduction of `x`.
fn pi_cot_pi(x: f64) -> f64 {
    // x - round(x) is exact, and cot has period pi.
    PI / (PI * (x - x.round())).tan()
}

/// Digamma on `1..=2`: the root `x0` of the function split off, and a rational function
/// for the rest.  Coefficients: Boost, `boost/math/special_functions/digamma.hpp`
/// (J. Maddock), for 53 bits.
fn digamma_1_2(x: f64) -> f64 {
    let g = x - DIGAMMA_ROOT_1 - DIGAMMA_ROOT_2 - DIGAMMA_ROOT_3;
    let r = polynomial(x - 1.0, &DIGAMMA_P) / polynomial(x - 1.0, &DIGAMMA_Q);
    g * DIGAMMA_Y + g * r
}

/// The logarithmic derivative of gamma; NaN at the negative integers, and an infinity
/// at 0 whose sign is opposite to the zero's.
pub(crate) fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x == f64::NEG_INFINITY || (x < 0.0 && x == x.floor()) {
        return f64::NAN;
    }
    let mut x = x;
    let mut y = 0.0;
    if x < 0.0 {
        // psi(1 - x) - psi(x) = pi cot(pi x)
        y = -pi_cot_pi(x);
        x = 1.0 - x;
    }
    if x < 1.0 {
        // One step up; below, the sum with the (positive) rest loses nothing near 0.
        return y - 1.0 / x + digamma_1_2(x + 1.0);
    }
    if x < 10.0 {
        // psi(x) = psi(x - 1) + 1 / (x - 1)
        while x > 2.0 {
            x -= 1.0;
            y += 1.0 / x;
        }
        return y + digamma_1_2(x);
    }
    let w = if x < 1e17 {
        let z = 1.0 / (x * x);
        z * polynomial(z, &DIGAMMA_ASYMPTOTIC)
    } else {
        0.0
    };
    x.ln() - 0.5 / x - w + y
}

/// The Hurwitz zeta function `sum (q + k)^-s`, `k >= 0`, by Euler-Maclaurin summation
/// (Cephes' `zeta.c`).
///
/// As there (and in SciPy and XLA): infinite for `s = 1` and at the poles `q = 0, -1, ...`;
/// NaN for `s < 1`, and for a negative `q` and non-integer `s`.
pub(crate) fn zeta(s: f64, q: f64) -> f64 {
    if s.is_nan() || q.is_nan() || s < 1.0 {
        return f64::NAN;
    }
    if s == 1.0 {
        return f64::INFINITY;
    }
    if q <= 0.0 {
        if q == q.floor() {
            return f64::INFINITY;
        }
        if s != s.floor() {
            return f64::NAN;
        }
    }
    if q > 1e8 {
        // The asymptotic expansion 25.11.43 of DLMF.
        return (1.0 / (s - 1.0) + 1.0 / (2.0 * q)) * q.powf(1.0 - s);
    }
    if s == f64::INFINITY && q > 0.0 {
        // Only the first term counts (and may be 1^-inf).
        return q.powf(-s);
    }
    let mut sum = q.powf(-s);
    let mut a = q;
    let mut b = 0.0;
    let mut terms = 0;
    while terms < 9 || a <= 9.0 {
        terms += 1;
        a += 1.0;
        b = a.powf(-s);
        sum += b;
        // The terms decrease once a is positive.
        if a > 0.0 && b.abs() <= f64::EPSILON / 2.0 * sum.abs() {
            return sum;
        }
    }
    let w = a;
    sum += b * w / (s - 1.0);
    sum -= 0.5 * b;
    let mut factor = 1.0;
    let mut k = 0.0;
    for coefficient in ZETA_A {
        factor *= s + k;
        b /= w;
        let term = factor * b / coefficient;
        sum += term;
        if term.abs() <= f64::EPSILON / 2.0 * sum.abs() {
            break;
        }
        k += 1.0;
        factor *= s + k;
        b /= w;
        k += 1.0;
    }
    sum
}

/// The `n`th derivative of digamma, `(-1)^(n + 1) n! zeta(n + 1, x)`; NaN unless `n` is a
/// non-negative integer.
pub(crate) fn polygamma(n: f64, x: f64) -> f64 {
    if n == 0.0 {
        return digamma(x);
    }
    if !(n > 0.0 && n == n.floor()) {
        return f64::NAN;
    }
    let magnitude = libm::tgamma(n + 1.0) * zeta(n + 1.0, x);
    if n % 2.0 == 0.0 { -magnitude } else { magnitude }
}

/// The inverse of erf, by the quantiles of the normal distribution: M. J. Wichura,
/// Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), and a Newton step for what its
/// evaluation loses (some ulp).
///
/// `erf_inv(x) = quantile((1 + x) / 2) / sqrt 2`, where the algorithm only uses
/// `p - 1/2` and `min(p, 1 - p)`, which are exact here.
pub(crate) fn erf_inv(x: f64) -> f64 {
    let a = x.abs();
    if a == 1.0 {
        return f64::INFINITY.copysign(x);
    }
    if a > 1.0 || a.is_nan() {
        return f64::NAN;
    }
    let half = 0.5 * x;
    if a <= 0.85 {
        let r = 0.180_625 - half * half;
        let y = half * (polynomial(r, &ERF_INV_A) / polynomial(r, &ERF_INV_B) * FRAC_1_SQRT_2);
        return y - (libm::erf(y) - x) * (1.0 / FRAC_2_SQRT_PI) * (y * y).exp();
    }
    let r = (-(0.5 * (1.0 - a)).ln()).sqrt();
    let quantile = if r <= 5.0 {
        polynomial(r - 1.6, &ERF_INV_C) / polynomial(r - 1.6, &ERF_INV_D)
    } else {
        polynomial(r - 5.0, &ERF_INV_E) / polynomial(r - 5.0, &ERF_INV_F)
    };
    let y = quantile * FRAC_1_SQRT_2;
    // 1 - a is exact; the complement keeps the residual accurate.
    let y = y + (libm::erfc(y) - (1.0 - a)) * (1.0 / FRAC_2_SQRT_PI) * (y * y).exp();
    y.copysign(x)
}
