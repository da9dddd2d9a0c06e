//! The elementary functions over slices, dispatched to the best instruction set.

use super::isa::{Isa, Kernel, Level, dispatch};
use super::{arc, erf, exp, hyperbolic, log, power, trig};

/// Elements per inner loop: the trip count is a constant, which spares the vectorizer
/// remainder loops.  Eight 512-bit vectors of f32.
const BLOCK: usize = 128;

/// The same for what is left of a slice, padded to a multiple: one 512-bit vector of f32.
const SMALL: usize = 16;

/// A function of one variable, for both types.
trait Map {
    fn f32<I: Isa>(x: f32) -> f32;
    fn f64<I: Isa>(x: f64) -> f64;

    /// Arguments beyond the bound (and NaN) are redone by the `slow` functions.
    const BOUND_F32: f32 = f32::INFINITY;
    const BOUND_F64: f64 = f64::INFINITY;
    fn slow_f32(x: f32) -> f32 {
        x
    }
    fn slow_f64(x: f64) -> f64 {
        x
    }
}

macro_rules! unary_ops {
    ($($(#[$meta:meta])* $name:ident: $module:ident, $f32:ident, $f64:ident $(, $bound32:expr, $slow32:expr,
       $bound64:expr, $slow64:expr)?;)*) => {
        /// The functions of one variable.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub(crate) enum Unary {
            $($(#[$meta])* $name,)*
        }

        impl Unary {
            /// All of them, for tests and benchmarks.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];
        }

        $(
            struct $name;
            impl Map for $name {
                #[inline(always)]
                fn f32<I: Isa>(x: f32) -> f32 {
                    $module::$f32::<I>(x)
                }
                #[inline(always)]
                fn f64<I: Isa>(x: f64) -> f64 {
                    $module::$f64::<I>(x)
                }
                $(
                    const BOUND_F32: f32 = $bound32;
                    const BOUND_F64: f64 = $bound64;
                    fn slow_f32(x: f32) -> f32 {
                        $slow32(x)
                    }
                    fn slow_f64(x: f64) -> f64 {
                        $slow64(x)
                    }
                )?
            }
        )*

        /// `x[i] = op(x[i])` at a given level.
        pub(crate) fn unary_f32_inplace_at(level: Level, op: Unary, x: &mut [f32]) {
            match op {
                $(Unary::$name => dispatch(level, InPlaceF32::<$name>(x, $name)),)*
            }
        }

        /// `x[i] = op(x[i])` at a given level.
        pub(crate) fn unary_f64_inplace_at(level: Level, op: Unary, x: &mut [f64]) {
            match op {
                $(Unary::$name => dispatch(level, InPlaceF64::<$name>(x, $name)),)*
            }
        }
    };
}

unary_ops! {
    Exp: exp, exp_f32, exp_f64;
    Expm1: exp, expm1_f32, expm1_f64;
    /// The natural logarithm.
    Log: log, log_f32, log_f64;
    Log1p: log, log1p_f32, log1p_f64;
    Sin: trig, sin_f32, sin_f64,
        trig::BOUND_F32, f32::sin, trig::BOUND_F64, f64::sin;
    Cos: trig, cos_f32, cos_f64,
        trig::BOUND_F32, f32::cos, trig::BOUND_F64, f64::cos;
    Tan: trig, tan_f32, tan_f64,
        trig::BOUND_F32, f32::tan, trig::BOUND_F64, f64::tan;
    Asin: arc, asin_f32, asin_f64;
    Acos: arc, acos_f32, acos_f64;
    Atan: arc, atan_f32, atan_f64;
    Sinh: hyperbolic, sinh_f32, sinh_f64;
    Cosh: hyperbolic, cosh_f32, cosh_f64;
    Tanh: hyperbolic, tanh_f32, tanh_f64;
    Asinh: hyperbolic, asinh_f32, asinh_f64;
    Acosh: hyperbolic, acosh_f32, acosh_f64;
    Atanh: hyperbolic, atanh_f32, atanh_f64;
    /// `1 / (1 + e^-x)`.
    Logistic: exp, logistic_f32, logistic_f64;
    Erf: erf, erf_f32, erf_f64;
    Erfc: erf, erfc_f32, erfc_f64;
    /// The inverse of erf; vectorized for f32 only.
    ErfInv: erf, erf_inv_f32, erf_inv_f64;
    Sqrt: power, sqrt_f32, sqrt_f64;
    /// `1 / sqrt(x)`.
    Rsqrt: power, rsqrt_f32, rsqrt_f64;
    Cbrt: power, cbrt_f32, cbrt_f64;
}

macro_rules! in_place_kernel {
    ($kernel:ident, $ty:ident, $block:ident, $map:ident, $bound:ident, $slow:ident) => {
        /// Applies `M` to a slice in place.
        struct $kernel<'a, M>(&'a mut [$ty], M);

        #[inline(always)]
        fn $block<I: Isa, M: Map, const N: usize>(x: &mut [$ty; N]) {
            if M::$bound == <$ty>::INFINITY {
                for v in x {
                    *v = M::$map::<I>(*v);
                }
                return;
            }
            // The bits of non-negative floats are ordered like the floats, NaN above all.
            let inputs = *x;
            let mut largest = 0;
            for v in x.iter_mut() {
                largest = largest.max(v.abs().to_bits());
                *v = M::$map::<I>(*v);
            }
            if largest > M::$bound.to_bits() {
                for (v, &input) in x.iter_mut().zip(&inputs) {
                    if input.is_nan() || input.abs() > M::$bound {
                        *v = M::$slow(input);
                    }
                }
            }
        }

        impl<M: Map> Kernel for $kernel<'_, M> {
            type Output = ();
            #[inline(always)]
            fn run<I: Isa>(self) {
                let (blocks, rest) = self.0.as_chunks_mut::<BLOCK>();
                for block in blocks {
                    $block::<I, M, BLOCK>(block);
                }
                // 1 is a slow case of none of the functions.
                let mut padded = [1.0; BLOCK];
                padded[..rest.len()].copy_from_slice(rest);
                for block in padded.as_chunks_mut::<SMALL>().0.iter_mut().take(rest.len().div_ceil(SMALL)) {
                    $block::<I, M, SMALL>(block);
                }
                rest.copy_from_slice(&padded[..rest.len()]);
            }
        }
    };
}

in_place_kernel!(InPlaceF32, f32, block_f32, f32, BOUND_F32, slow_f32);
in_place_kernel!(InPlaceF64, f64, block_f64, f64, BOUND_F64, slow_f64);

/// `x[i] = op(x[i])`.
pub(crate) fn unary_f32_inplace(op: Unary, x: &mut [f32]) {
    unary_f32_inplace_at(Level::best(), op, x);
}

/// `x[i] = op(x[i])`.
pub(crate) fn unary_f64_inplace(op: Unary, x: &mut [f64]) {
    unary_f64_inplace_at(Level::best(), op, x);
}

macro_rules! binary_kernel {
    ($(#[$meta:meta])* $name:ident, $at:ident, $ty:ident, $module:ident::$function:ident) => {
        /// As the function without `_at`, at a given level.
        pub(crate) fn $at(level: Level, x: &[$ty], y: &[$ty], out: &mut [$ty]) {
            struct Binary<'a>(&'a [$ty], &'a [$ty], &'a mut [$ty]);
            impl Kernel for Binary<'_> {
                type Output = ();
                #[inline(always)]
                fn run<I: Isa>(self) {
                    let Self(x, y, out) = self;
                    let (x_blocks, x_rest) = x.as_chunks::<BLOCK>();
                    let (y_blocks, y_rest) = y.as_chunks::<BLOCK>();
                    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
                    for ((x, y), out) in x_blocks.iter().zip(y_blocks).zip(out_blocks) {
                        for i in 0..BLOCK {
                            out[i] = $module::$function::<I>(x[i], y[i]);
                        }
                    }
                    let n = out_rest.len();
                    let (mut x, mut y) = ([1.0; BLOCK], [1.0; BLOCK]);
                    x[..n].copy_from_slice(x_rest);
                    y[..n].copy_from_slice(y_rest);
                    let pairs = x.as_chunks_mut::<SMALL>().0.iter_mut().zip(y.as_chunks::<SMALL>().0);
                    for (x, y) in pairs.take(n.div_ceil(SMALL)) {
                        for i in 0..SMALL {
                            x[i] = $module::$function::<I>(x[i], y[i]);
                        }
                    }
                    out_rest.copy_from_slice(&x[..n]);
                }
            }
            assert!(x.len() == out.len() && y.len() == out.len(), "slices of different lengths");
            dispatch(level, Binary(x, y, out));
        }

        $(#[$meta])*
        pub(crate) fn $name(x: &[$ty], y: &[$ty], out: &mut [$ty]) {
            $at(Level::best(), x, y, out);
        }
    };
}

binary_kernel!(
    /// `out[i] = x[i]^y[i]`; the slices must be of one length.
    pow_f32, pow_f32_at, f32, power::pow_f32
);
binary_kernel!(
    /// `out[i] = x[i]^y[i]`; the slices must be of one length.
    pow_f64, pow_f64_at, f64, power::pow_f64
);
binary_kernel!(
    /// `out[i] = atan2(x[i], y[i])`, the angle of the point `(y[i], x[i])`.
    atan2_f32, atan2_f32_at, f32, arc::atan2_f32
);
binary_kernel!(
    /// `out[i] = atan2(x[i], y[i])`, the angle of the point `(y[i], x[i])`.
    atan2_f64, atan2_f64_at, f64, arc::atan2_f64
);
