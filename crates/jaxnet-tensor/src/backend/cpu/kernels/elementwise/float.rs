//! Floating-point operations.

use super::map::{Arg, as_slice, copy, map1, map2, map3};
use super::{Chunk, from_bytes_mut};
use crate::backend::cpu::math;
use crate::dtype::DType;
use crate::primitive::{BinaryOp, Elementwise, UnaryOp};

/// The vectorized function for an operation, if there is one.
fn vectorized(op: UnaryOp) -> Option<math::Unary> {
    use math::Unary;
    Some(match op {
        UnaryOp::Exp => Unary::Exp,
        UnaryOp::Expm1 => Unary::Expm1,
        UnaryOp::Log => Unary::Log,
        UnaryOp::Log1p => Unary::Log1p,
        UnaryOp::Sqrt => Unary::Sqrt,
        UnaryOp::Rsqrt => Unary::Rsqrt,
        UnaryOp::Cbrt => Unary::Cbrt,
        UnaryOp::Sin => Unary::Sin,
        UnaryOp::Cos => Unary::Cos,
        UnaryOp::Tan => Unary::Tan,
        UnaryOp::Asin => Unary::Asin,
        UnaryOp::Acos => Unary::Acos,
        UnaryOp::Atan => Unary::Atan,
        UnaryOp::Sinh => Unary::Sinh,
        UnaryOp::Cosh => Unary::Cosh,
        UnaryOp::Tanh => Unary::Tanh,
        UnaryOp::Asinh => Unary::Asinh,
        UnaryOp::Acosh => Unary::Acosh,
        UnaryOp::Atanh => Unary::Atanh,
        UnaryOp::Logistic => Unary::Logistic,
        UnaryOp::Erf => Unary::Erf,
        UnaryOp::Erfc => Unary::Erfc,
        UnaryOp::ErfInv => Unary::ErfInv,
        _ => return None,
    })
}

macro_rules! float_kernels {
    ($T:ident, $unary_inplace:ident, $pow:ident, $atan2:ident) => {
        pub(super) mod $T {
            use super::*;

            /// As [`super::super::apply`], on operands of this type.
            pub(in super::super) fn apply(op: &Elementwise, inputs: &[Chunk<'_>], dtype: DType, out: &mut [u8]) {
                let x = inputs[0].arg::<$T>();
                match op {
                    Elementwise::Unary(UnaryOp::IsFinite) => {
                        debug_assert_eq!(dtype, DType::Bool);
                        map1(x, from_bytes_mut::<bool>(out), |x| x.is_finite());
                    }
                    Elementwise::Unary(op) => unary(*op, x, from_bytes_mut(out)),
                    Elementwise::Binary(op) => binary(*op, x, inputs[1].arg(), from_bytes_mut(out)),
                    Elementwise::IntegerPow(exponent) => integer_pow(*exponent, x, from_bytes_mut(out)),
                    Elementwise::Clamp => {
                        map3(x, inputs[1].arg(), inputs[2].arg(), from_bytes_mut(out), |min: $T, x: $T, max: $T| {
                            minimum(maximum(x, min), max)
                        });
                    }
                    Elementwise::Compare(_)
                    | Elementwise::Select
                    | Elementwise::Convert(_)
                    | Elementwise::BitcastConvert(_) => unreachable!("handled for all dtypes at once"),
                }
            }

            #[inline(always)]
            fn maximum(x: $T, y: $T) -> $T {
                // Of the four cases only x = NaN needs more than the comparison: if y is NaN, it is false.
                if x > y || x.is_nan() { x } else { y }
            }

            #[inline(always)]
            fn minimum(x: $T, y: $T) -> $T {
                if x < y || x.is_nan() { x } else { y }
            }

            fn unary(op: UnaryOp, x: Arg<'_, $T>, out: &mut [$T]) {
                if let Some(function) = vectorized(op) {
                    copy(x, out);
                    return math::$unary_inplace(function, out);
                }
                match op {
                    UnaryOp::Abs => map1(x, out, |x| x.abs()),
                    UnaryOp::Neg => map1(x, out, |x| -x),
                    UnaryOp::Sign => map1(x, out, |x| {
                        if x > 0.0 {
                            1.0
                        } else if x < 0.0 {
                            -1.0
                        } else {
                            x
                        }
                    }),
                    UnaryOp::Floor => map1(x, out, |x| x.floor()),
                    UnaryOp::Ceil => map1(x, out, |x| x.ceil()),
                    UnaryOp::RoundHalfEven => map1(x, out, |x| x.round_ties_even()),
                    UnaryOp::RoundHalfAway => map1(x, out, |x| x.round()),
                    UnaryOp::Lgamma => map1(x, out, |x| math::special::lgamma(x as f64) as $T),
                    UnaryOp::Digamma => map1(x, out, |x| math::special::digamma(x as f64) as $T),
                    _ => unreachable!("{} does not take floats", op.name()),
                }
            }

            fn binary(op: BinaryOp, x: Arg<'_, $T>, y: Arg<'_, $T>, out: &mut [$T]) {
                match op {
                    BinaryOp::Add => map2(x, y, out, |x, y| x + y),
                    BinaryOp::Sub => map2(x, y, out, |x, y| x - y),
                    BinaryOp::Mul => map2(x, y, out, |x, y| x * y),
                    BinaryOp::Div => map2(x, y, out, |x, y| x / y),
                    BinaryOp::Rem => map2(x, y, out, |x, y| x % y),
                    BinaryOp::Max => map2(x, y, out, maximum),
                    BinaryOp::Min => map2(x, y, out, minimum),
                    BinaryOp::Pow | BinaryOp::Atan2 => {
                        let function = if op == BinaryOp::Pow { math::$pow } else { math::$atan2 };
                        let (mut x_room, mut y_room) = (Vec::new(), Vec::new());
                        let x = as_slice(x, &mut x_room, out.len());
                        function(x, as_slice(y, &mut y_room, out.len()), out);
                    }
                    BinaryOp::Polygamma => {
                        map2(x, y, out, |m, x| math::special::polygamma(m as f64, x as f64) as $T);
                    }
                    _ => unreachable!("{} does not take floats", op.name()),
                }
            }

            fn integer_pow(exponent: i32, x: Arg<'_, $T>, out: &mut [$T]) {
                match exponent {
                    -1 => map1(x, out, |x| 1.0 / x),
                    2 => map1(x, out, |x| x * x),
                    3 => map1(x, out, |x| x * x * x),
                    _ => map1(x, out, |x| {
                        let mut power = 1.0;
                        let (mut square, mut rest) = (x, exponent.unsigned_abs());
                        while rest > 0 {
                            if rest & 1 == 1 {
                                power *= square;
                            }
                            square *= square;
                            rest >>= 1;
                        }
                        if exponent < 0 { 1.0 / power } else { power }
                    }),
                }
            }
        }
    };
}

float_kernels!(f32, unary_f32_inplace, pow_f32, atan2_f32);
float_kernels!(f64, unary_f64_inplace, pow_f64, atan2_f64);
