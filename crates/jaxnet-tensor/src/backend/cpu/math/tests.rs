//! Accuracy against std's f64 functions (for f32) and mpmath's (for f64), special values,
//! slices of every length, agreement of the instruction-set levels.

use super::isa::{Level, vectorize};
use super::kernels::{
    Unary, atan2_f32_at, atan2_f64_at, pow_f32_at, pow_f64_at, unary_f32_inplace, unary_f32_inplace_at,
    unary_f64_inplace, unary_f64_inplace_at,
};
use super::{special, vectors};

/// Error bounds in ulp: f32 and f64.
fn bounds(op: Unary) -> (f64, f64) {
    use Unary::*;
    match op {
        Sqrt => (0.5, 0.0),
        Exp | Log => (1.0, 1.0),
        Cosh | Sinh | Cbrt | Asinh | Acosh | Atanh => (0.51, 2.0),
        Erfc => (4.0, 4.0),
        Expm1 | Log1p | Tanh | Erf | Rsqrt | Atan | Acos => (1.5, 2.0),
        Logistic => (1.5, 3.0),
        ErfInv => (2.5, 2.0),
        Sin | Cos => (1.6, 1.0),
        Tan | Asin => (2.0, 2.0),
    }
}

/// std's (or libm's) function in f64, good for f32 results.
fn reference(op: Unary, x: f64) -> f64 {
    use Unary::*;
    match op {
        Exp => x.exp(),
        Expm1 => x.exp_m1(),
        Log => x.ln(),
        Log1p => x.ln_1p(),
        Sin => x.sin(),
        Cos => x.cos(),
        Tan => x.tan(),
        Asin => x.asin(),
        Acos => x.acos(),
        Atan => x.atan(),
        Sinh => x.sinh(),
        Cosh => x.cosh(),
        Tanh => x.tanh(),
        Asinh => libm::asinh(x),
        Acosh => x.acosh(),
        Atanh => libm::atanh(x),
        Logistic if x > 0.0 => 1.0 / (1.0 + (-x).exp()),
        Logistic => x.exp() / (1.0 + x.exp()),
        Erf => libm::erf(x),
        Erfc => libm::erfc(x),
        // Has its own test against mpmath.
        ErfInv => special::erf_inv(x),
        Sqrt => x.sqrt(),
        Rsqrt => 1.0 / x.sqrt(),
        Cbrt => x.cbrt(),
    }
}

/// The error of `got` in units of the f32 ulp of `exact`; infinite if `got` is special where
/// `exact` is not, or the other way round, or a zero of the wrong sign.
fn ulps_f32(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if !rounded.is_finite() || !got.is_finite() || exact == 0.0 {
        let same = got.to_bits() == rounded.to_bits() || got.is_nan() && rounded.is_nan();
        return if same { 0.0 } else { f64::INFINITY };
    }
    let exponent = (exact.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() >> 52) as i32 - 1023;
    (f64::from(got) - exact).abs() / 2f64.powi(exponent - 23)
}

/// The distance of two f64 in representable values.
fn ulps_f64(got: f64, exact: f64) -> f64 {
    if !exact.is_finite() || !got.is_finite() || exact == 0.0 {
        let same = got.to_bits() == exact.to_bits() || got.is_nan() && exact.is_nan();
        return if same { 0.0 } else { f64::INFINITY };
    }
    let ordered = |v: f64| {
        let bits = v.to_bits() as i64;
        if bits < 0 { i64::MIN - bits } else { bits }
    };
    ordered(got).abs_diff(ordered(exact)) as f64
}

fn apply_f32(level: Level, op: Unary, x: f32) -> f32 {
    let mut v = [x];
    unary_f32_inplace_at(level, op, &mut v);
    v[0]
}

fn apply_f64(level: Level, op: Unary, x: f64) -> f64 {
    let mut v = [x];
    unary_f64_inplace_at(level, op, &mut v);
    v[0]
}

#[test]
fn f32_accuracy_over_all_exponents() {
    // A prime stride through all bit patterns, NaN and infinities among them.
    let stride = if cfg!(debug_assertions) { 400_009 } else { 10_007 };
    let inputs: Vec<f32> = (0..=u32::MAX).step_by(stride).map(f32::from_bits).collect();
    for level in Level::available() {
        for &op in Unary::ALL {
            let mut out = inputs.clone();
            unary_f32_inplace_at(level, op, &mut out);
            let mut worst = (0.0, 0.0, 0.0);
            for (&x, &y) in inputs.iter().zip(&out) {
                let error = ulps_f32(y, reference(op, f64::from(x)));
                if error > worst.0 {
                    worst = (error, x, y);
                }
            }
            let level = level.name();
            println!("{level} {op:?} f32: {:.3} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= bounds(op).0, "{level} {op:?}: {worst:?}");
        }
    }
}

#[test]
fn f64_accuracy_against_mpmath() {
    for level in Level::available() {
        for &op in Unary::ALL {
            let name = format!("{op:?}");
            let (_, points) = vectors::UNARY.iter().find(|(n, _)| *n == name).unwrap();
            let mut worst = (0.0, 0.0, 0.0);
            for &[x, exact] in *points {
                let x = f64::from_bits(x);
                let y = apply_f64(level, op, x);
                let error = ulps_f64(y, f64::from_bits(exact));
                if error > worst.0 {
                    worst = (error, x, y);
                }
            }
            let level = level.name();
            println!("{level} {op:?} f64: {} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= bounds(op).1, "{level} {op:?}: {worst:?}");
        }
    }
}

/// `f(x, y)` of two variables at one point.
fn binary_f64(f: fn(Level, &[f64], &[f64], &mut [f64]), level: Level, x: f64, y: f64) -> f64 {
    let mut out = [0.0];
    f(level, &[x], &[y], &mut out);
    out[0]
}

fn binary_f32(f: fn(Level, &[f32], &[f32], &mut [f32]), level: Level, x: f32, y: f32) -> f32 {
    let mut out = [0.0];
    f(level, &[x], &[y], &mut out);
    out[0]
}

#[test]
fn binary_accuracy_against_mpmath() {
    for &(name, points) in vectors::BINARY {
        for level in Level::available() {
            for &[x, y, exact] in points {
                let (x, y) = (f64::from_bits(x), f64::from_bits(y));
                let exact = f64::from_bits(exact);
                let (got, bound) = match name {
                    "pow" => (binary_f64(pow_f64_at, level, x, y), 1.0),
                    "atan2" => (binary_f64(atan2_f64_at, level, x, y), 2.0),
                    "polygamma" => (special::polygamma(x, y), 16.0),
                    _ => (special::zeta(x, y), 16.0),
                };
                let error = ulps_f64(got, exact);
                assert!(error <= bound, "{name}({x:e}, {y:e}) = {got:e}, {error} ulp from {exact:e}");
            }
        }
    }
}

#[test]
fn special_functions_against_mpmath() {
    for (name, bound) in [("lgamma", 8.0), ("digamma", 8.0), ("ErfInv", 3.0)] {
        let f = match name {
            "lgamma" => special::lgamma,
            "digamma" => special::digamma,
            _ => special::erf_inv,
        };
        let (_, points) = vectors::UNARY.iter().find(|(n, _)| *n == name).unwrap();
        for &[x, exact] in *points {
            let (x, exact) = (f64::from_bits(x), f64::from_bits(exact));
            let y = f(x);
            // Near the zeros on the negative axis only the absolute error is small.
            let error = ulps_f64(y, exact).min((y - exact).abs() * 2f64.powi(50));
            assert!(error <= bound, "{name}({x:e}) = {y:e}, {error} ulp from {exact:e}");
        }
    }
}

#[test]
fn binary_f32_accuracy() {
    // A cheap generator; the values only have to be spread out.
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let n = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let bits: Vec<(u32, u32)> = (0..n).map(|_| (next() << 8 | next() & 255, next())).collect();
    // x of any exponent; y of moderate size, every other one an integer.
    let x: Vec<f32> = bits.iter().map(|b| f32::from_bits(b.0)).collect();
    let y: Vec<f32> = bits
        .iter()
        .enumerate()
        .map(|(i, b)| b.1 as f32 / 65_536.0 - 128.0 + (i % 3) as f32 * 0.01)
        .map(|v| if v.to_bits() % 2 == 0 { v.round() } else { v * 0.1 })
        .collect();
    for level in Level::available() {
        let mut out = vec![0.0; n];
        pow_f32_at(level, &x, &y, &mut out);
        for i in 0..n {
            let error = ulps_f32(out[i], f64::from(x[i]).powf(f64::from(y[i])));
            assert!(error <= 0.51, "pow({:e}, {:e}) = {:e}, {error}", x[i], y[i], out[i]);
        }
        atan2_f32_at(level, &x, &y, &mut out);
        for i in 0..n {
            let error = ulps_f32(out[i], f64::from(x[i]).atan2(f64::from(y[i])));
            assert!(error <= 2.0, "atan2({:e}, {:e}) = {:e}, {error}", x[i], y[i], out[i]);
        }
    }
}

/// Zeros, units, the ends of the range, infinities, NaN.
const SPECIAL_F32: [f32; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    3.0,
    -3.0,
    0.5,
    -0.5,
    1e-45,
    -1e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    16_777_217.0,
    -16_777_215.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

#[test]
fn unary_special_values() {
    const INF: f64 = f64::INFINITY;
    let f64s = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        5e-324,
        -5e-324,
        1e-310,
        1e-300,
        f64::MAX,
        f64::MIN,
        710.0,
        710.4,
        -745.2,
        -708.5,
        INF,
        -INF,
        f64::NAN,
    ];
    for level in Level::available() {
        for &op in Unary::ALL {
            for x in SPECIAL_F32 {
                let (y, exact) = (apply_f32(level, op, x), reference(op, f64::from(x)));
                assert!(ulps_f32(y, exact) <= 2.0, "{} {op:?}({x:e}) = {y:e}", level.name());
            }
            for x in f64s {
                // std's acosh overflows above half the range.
                let exact = match op {
                    Unary::Acosh if x == f64::MAX => x.ln() + std::f64::consts::LN_2,
                    _ => reference(op, x),
                };
                let y = apply_f64(level, op, x);
                let error = ulps_f64(y, exact);
                assert!(error <= 4.0, "{} {op:?}({x:e}) = {y:e}, not {exact:e}", level.name());
            }
        }
    }
}

#[test]
fn pow_and_atan2_special_values() {
    for level in Level::available() {
        for x in SPECIAL_F32 {
            for y in SPECIAL_F32 {
                let (xd, yd) = (f64::from(x), f64::from(y));
                let (pow, exact) = (binary_f32(pow_f32_at, level, x, y), xd.powf(yd));
                assert!(ulps_f32(pow, exact) <= 1.0, "pow({x:e}, {y:e}) = {pow:e}, not {exact:e}");
                let (atan2, exact) = (binary_f32(atan2_f32_at, level, x, y), xd.atan2(yd));
                assert!(ulps_f32(atan2, exact) <= 2.0, "atan2({x:e}, {y:e}) = {atan2:e}");
                let atan2 = binary_f64(atan2_f64_at, level, xd, yd);
                assert!(ulps_f64(atan2, exact) <= 2.0, "atan2({x:e}, {y:e}) = {atan2:e}");
            }
        }
    }
}

#[test]
fn trigonometric_functions_of_huge_arguments() {
    for level in Level::available() {
        for (op, f) in [(Unary::Sin, f64::sin as fn(f64) -> f64), (Unary::Cos, f64::cos), (Unary::Tan, f64::tan)] {
            // Among ordinary ones, so that single lanes of a block are redone.
            let x: Vec<f32> = (0..700).map(|i| if i % 37 == 0 { 3e30 + i as f32 * 1e28 } else { i as f32 }).collect();
            let mut y = x.clone();
            unary_f32_inplace_at(level, op, &mut y);
            let mut y64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            unary_f64_inplace_at(level, op, &mut y64);
            for i in 0..x.len() {
                let exact = f(f64::from(x[i]));
                assert!(ulps_f32(y[i], exact) <= 2.0, "{op:?}({:e})", x[i]);
                let error = ulps_f64(y64[i], exact);
                assert!(error <= 3.0, "{op:?}({:e}) = {:e}, not {exact:e}", x[i], y64[i]);
            }
        }
    }
}

#[test]
fn slices_of_every_length() {
    const LONGEST: usize = 300;
    let x: Vec<f32> = (0..LONGEST).map(|i| 0.001 + i as f32 / 310.0).collect();
    let x64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let y: Vec<f32> = x.iter().map(|v| 3.0 * v).collect();
    for level in Level::available() {
        // Neither the position in a slice nor the slice's length must matter.
        for op in [Unary::Exp, Unary::Sin, Unary::Erfc] {
            let single: Vec<f32> = x.iter().map(|&v| apply_f32(level, op, v)).collect();
            let single64: Vec<f64> = x64.iter().map(|&v| apply_f64(level, op, v)).collect();
            for n in 0..=LONGEST {
                let mut out = x[..n].to_vec();
                unary_f32_inplace_at(level, op, &mut out);
                assert_eq!(out, single[..n], "{op:?}");
                let mut out = x64[..n].to_vec();
                unary_f64_inplace_at(level, op, &mut out);
                assert_eq!(out, single64[..n], "{op:?}");
            }
        }
        let single: Vec<f32> = (0..LONGEST).map(|i| binary_f32(pow_f32_at, level, x[i], y[i])).collect();
        for n in 0..=LONGEST {
            let mut out = vec![0.0; n];
            pow_f32_at(level, &x[..n], &y[..n], &mut out);
            assert_eq!(out, single[..n]);
        }
    }
}

#[test]
fn dispatched_functions_use_the_best_level() {
    let x: Vec<f32> = (0..515).map(|i| i as f32 * 0.01).collect();
    let x64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let (mut same, mut expected) = (x.clone(), x);
    unary_f32_inplace(Unary::Tanh, &mut same);
    unary_f32_inplace_at(Level::best(), Unary::Tanh, &mut expected);
    assert_eq!(same, expected);
    let mut out64 = x64;
    unary_f64_inplace(Unary::Tanh, &mut out64);
    assert!(out64.iter().zip(&same).all(|(a, &b)| (a - f64::from(b)).abs() < 1e-6));
    assert_eq!(Level::available().last(), Some(&Level::best()));
}

#[test]
fn vectorize_runs_a_closure_at_each_level() {
    let x: Vec<f32> = (0..100).map(|i| i as f32).collect();
    for level in Level::available() {
        let mut out = vec![0.0f32; 100];
        vectorize(
            level,
            #[inline(always)]
            || {
                for (o, &v) in out.iter_mut().zip(&x) {
                    *o = v * v;
                }
            },
        );
        assert_eq!(out[9], 81.0);
        assert_eq!(vectorize(level, || out.iter().sum::<f32>()), 328_350.0);
    }
}

#[test]
fn special_functions_at_poles_and_outside_the_domain() {
    use special::{digamma, erf_inv, lgamma, polygamma, zeta};
    const INF: f64 = f64::INFINITY;
    for x in [0.0, -0.0, -1.0, -2.0, INF, -INF] {
        assert_eq!(lgamma(x), INF, "lgamma({x})");
    }
    assert_eq!((lgamma(1.0), lgamma(2.0)), (0.0, 0.0));
    assert_eq!((digamma(0.0), digamma(-0.0), digamma(INF)), (-INF, INF, INF));
    assert!(digamma(-1.0).is_nan() && digamma(-7.0).is_nan() && digamma(-INF).is_nan());
    assert_eq!((erf_inv(1.0), erf_inv(-1.0), erf_inv(0.0)), (INF, -INF, 0.0));
    assert!(erf_inv(-0.0).is_sign_negative());
    assert!(erf_inv(1.1).is_nan() && erf_inv(-INF).is_nan() && erf_inv(f64::NAN).is_nan());
    assert_eq!((zeta(1.0, 2.0), zeta(2.0, 0.0), zeta(2.0, -3.0)), (INF, INF, INF));
    assert!(zeta(0.5, 2.0).is_nan() && zeta(2.5, -1.5).is_nan() && zeta(f64::NAN, 1.0).is_nan());
    assert_eq!(zeta(INF, 2.0), 0.0);
    assert!((zeta(2.0, -0.5) - 8.934_802_200_544_679).abs() < 1e-13);
    assert!(polygamma(0.5, 2.0).is_nan() && polygamma(-1.0, 2.0).is_nan());
    assert_eq!(polygamma(0.0, 3.0), digamma(3.0));
    assert_eq!(apply_f32(Level::best(), Unary::ErfInv, 0.5), 0.476_936_28);
    for f in [lgamma, digamma] {
        assert!(f(f64::NAN).is_nan());
    }
}
