//! What is combined, and how.

use half::{bf16, f16};

use crate::dtype::Element;

/// Numbers that reductions compute in.
pub(super) trait Number: Copy + Send + Sync + PartialOrd + 'static {
    const ZERO: Self;
    const ONE: Self;
    /// No greater than any other.
    const LEAST: Self;
    /// No less than any other.
    const GREATEST: Self;
    /// Integers wrap.
    fn add(self, other: Self) -> Self;
    /// Integers wrap.
    fn mul(self, other: Self) -> Self;
    fn is_nan(self) -> bool;

    /// The greater, NaN if either is.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other || self.is_nan() { self } else { other }
    }

    /// The lesser, NaN if either is.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self < other || self.is_nan() { self } else { other }
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LEAST: Self = <$t>::MIN;
            const GREATEST: Self = <$t>::MAX;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn is_nan(self) -> bool { false }
        }
    )*};
}

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LEAST: Self = <$t>::NEG_INFINITY;
            const GREATEST: Self = <$t>::INFINITY;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn is_nan(self) -> bool { <$t>::is_nan(self) }
        }
    )*};
}

integers!(u8, u32, i32, i64);
floats!(f32, f64);

/// Inference lets only maximum and minimum pass for booleans; sum and product are `or` and `and`.
impl Number for bool {
    const ZERO: Self = false;
    const ONE: Self = true;
    const LEAST: Self = false;
    const GREATEST: Self = true;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self & other
    }
}

/// Elements and the numbers that they are accumulated in.
pub(super) trait Accumulate: Element {
    type Wide: Number;
    fn widen(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
}

macro_rules! accumulated_in_themselves {
    ($($t:ty),*) => {$(
        impl Accumulate for $t {
            type Wide = $t;
            #[inline(always)]
            fn widen(self) -> $t { self }
            #[inline(always)]
            fn narrow(wide: $t) -> $t { wide }
        }
    )*};
}

accumulated_in_themselves!(bool, u8, u32, i32, i64, f32, f64);

impl Accumulate for bf16 {
    type Wide = f32;
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits((self.to_bits() as u32) << 16)
    }
    #[inline(always)]
    fn narrow(wide: f32) -> bf16 {
        bf16::from_f32(wide)
    }
}

impl Accumulate for f16 {
    type Wide = f32;
    /// Without branches, unlike `f16::to_f32`, so that loops over it become vector instructions.
    #[inline(always)]
    fn widen(self) -> f32 {
        let bits = self.to_bits() as u32;
        let (sign, magnitude) = ((bits & 0x8000) << 16, (bits & 0x7FFF) << 13);
        // The exponents' biases differ by 112. Scaling also makes f16's subnormals normal.
        let scaled = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
        let special = if magnitude >= 0x7C00 << 13 { 0x7F80_0000 } else { 0 };
        f32::from_bits(sign | scaled | special)
    }
    #[inline(always)]
    fn narrow(wide: f32) -> f16 {
        f16::from_f32(wide)
    }
}

/// An associative way to make one number of two.
pub(super) trait Combine<A: Copy>: 'static {
    /// What changes nothing, and the result of combining nothing.
    const NEUTRAL: A;
    fn join(a: A, b: A) -> A;
}

pub(super) struct Sum;
pub(super) struct Prod;
pub(super) struct Max;
pub(super) struct Min;
pub(super) struct And;
pub(super) struct Or;
/// `log(exp(a) + exp(b))`.
pub(super) struct LogSumExp;

impl<A: Number> Combine<A> for Sum {
    const NEUTRAL: A = A::ZERO;
    #[inline(always)]
    fn join(a: A, b: A) -> A {
        a.add(b)
    }
}

impl<A: Number> Combine<A> for Prod {
    const NEUTRAL: A = A::ONE;
    #[inline(always)]
    fn join(a: A, b: A) -> A {
        a.mul(b)
    }
}

impl<A: Number> Combine<A> for Max {
    const NEUTRAL: A = A::LEAST;
    #[inline(always)]
    fn join(a: A, b: A) -> A {
        a.max(b)
    }
}

impl<A: Number> Combine<A> for Min {
    const NEUTRAL: A = A::GREATEST;
    #[inline(always)]
    fn join(a: A, b: A) -> A {
        a.min(b)
    }
}

/// Numbers with bits to combine.
pub(super) trait Bits: Copy {
    const ALL: Self;
    const NONE: Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
}

macro_rules! bits {
    ($($t:ty, $none:expr;)*) => {$(
        impl Bits for $t {
            const ALL: Self = !$none;
            const NONE: Self = $none;
            #[inline(always)]
            fn and(self, other: Self) -> Self { self & other }
            #[inline(always)]
            fn or(self, other: Self) -> Self { self | other }
        }
    )*};
}

bits! { bool, false; u8, 0; u32, 0; i32, 0; i64, 0; }

impl<A: Bits> Combine<A> for And {
    const NEUTRAL: A = A::ALL;
    #[inline(always)]
    fn join(a: A, b: A) -> A {
        a.and(b)
    }
}

impl<A: Bits> Combine<A> for Or {
    const NEUTRAL: A = A::NONE;
    #[inline(always)]
    fn join(a: A, b: A) -> A {
        a.or(b)
    }
}

macro_rules! log_sum_exp {
    ($($t:ident),*) => {$(
        impl Combine<$t> for LogSumExp {
            const NEUTRAL: $t = $t::NEG_INFINITY;
            #[inline]
            fn join(a: $t, b: $t) -> $t {
                let difference = a - b;
                if a == b {
                    // Infinities too, whose difference is NaN.
                    a + std::$t::consts::LN_2
                } else if difference > 0.0 {
                    a + (-difference).exp().ln_1p()
                } else if difference < 0.0 {
                    b + difference.exp().ln_1p()
                } else {
                    difference
                }
            }
        }
    )*};
}

log_sum_exp!(f32, f64);
