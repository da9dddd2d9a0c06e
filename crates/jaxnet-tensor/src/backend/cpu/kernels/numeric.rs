//! Arithmetic on elements, for kernels that are generic in the dtype.

use half::{bf16, f16};

use crate::dtype::Element;

/// An element that can be computed with: every dtype but bool.
pub(super) trait Number: Element {
    /// What sums are kept in: f32 for the half-precision types, the type itself for others.
    type Sum: Number<Sum = Self::Sum>;
    /// The neutral element of sums.
    const ZERO: Self;
    /// The neutral element of maxima.
    const LEAST: Self;
    /// The neutral element of minima.
    const GREATEST: Self;
    /// The sum; integers wrap.
    fn add(self, other: Self) -> Self;
    /// The product; integers wrap.
    fn mul(self, other: Self) -> Self;
    /// Whether this is not a number.
    fn is_nan(self) -> bool;
    /// As a summand.
    fn widen(self) -> Self::Sum;
    /// A sum, rounded.
    fn narrow(sum: Self::Sum) -> Self;

    /// The greater of the two, or NaN if there is one.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if other > self || other.is_nan() { other } else { self }
    }

    /// The lesser of the two, or NaN if there is one.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if other < self || other.is_nan() { other } else { self }
    }
}

macro_rules! integers {
    ($($t:ident)*) => {$(
        impl Number for $t {
            type Sum = $t;
            const ZERO: Self = 0;
            const LEAST: Self = $t::MIN;
            const GREATEST: Self = $t::MAX;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn is_nan(self) -> bool { false }
            #[inline(always)]
            fn widen(self) -> Self { self }
            #[inline(always)]
            fn narrow(sum: Self) -> Self { sum }
        }
    )*};
}

macro_rules! floats {
    ($($t:ident)*) => {$(
        impl Number for $t {
            type Sum = $t;
            const ZERO: Self = 0.0;
            const LEAST: Self = $t::NEG_INFINITY;
            const GREATEST: Self = $t::INFINITY;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn is_nan(self) -> bool { $t::is_nan(self) }
            #[inline(always)]
            fn widen(self) -> Self { self }
            #[inline(always)]
            fn narrow(sum: Self) -> Self { sum }
        }
    )*};
}

macro_rules! halves {
    ($($t:ident)*) => {$(
        impl Number for $t {
            type Sum = f32;
            const ZERO: Self = $t::ZERO;
            const LEAST: Self = $t::NEG_INFINITY;
            const GREATEST: Self = $t::INFINITY;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn is_nan(self) -> bool { $t::is_nan(self) }
            #[inline(always)]
            fn widen(self) -> f32 { self.to_f32() }
            #[inline(always)]
            fn narrow(sum: f32) -> Self { $t::from_f32(sum) }
        }
    )*};
}

integers!(u8 u32 i32 i64);
floats!(f32 f64);
halves!(f16 bf16);

/// Evaluates an expression with `$T` bound to the Rust type of a numeric dtype known at run time.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            $crate::DType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::DType::Bool => unreachable!("inference refuses booleans"),
        }
    };
}
pub(super) use with_number;
