//! Integer and boolean operations. Arithmetic wraps.

use num_traits::{NumCast, PrimInt, WrappingAdd, WrappingMul, WrappingNeg, WrappingSub};

use super::Chunk;
use super::map::{Arg, map1, map2, map3};
use crate::dtype::Element;
use crate::primitive::{BinaryOp, Elementwise, UnaryOp};

pub(super) trait Integer:
    Element + PrimInt + WrappingAdd + WrappingSub + WrappingMul + WrappingNeg + NumCast
{
    const BITS: u32 = size_of::<Self>() as u32 * 8;

    /// Towards zero; by zero all bits set, and overflow wraps, as XLA documents.
    #[inline]
    fn divide(self, by: Self) -> Self {
        if by == Self::zero() {
            return !Self::zero();
        }
        // Only MIN / -1 overflows, and wraps to MIN.
        self.checked_div(&by).unwrap_or(self)
    }

    /// With the sign of the dividend; by zero the dividend.
    #[inline]
    fn remainder(self, by: Self) -> Self {
        if by == Self::zero() {
            return self;
        }
        // MIN % -1 is 0, though computing it overflows.
        if self.checked_div(&by).is_none() { Self::zero() } else { self % by }
    }

    /// The shift distance if it is within the width.
    #[inline]
    fn distance(self) -> Option<u32> {
        let distance: u32 = NumCast::from(self)?;
        (distance < Self::BITS).then_some(distance)
    }

    /// Fills with zeros, whatever the sign.
    fn logical_shift_right(self, by: u32) -> Self {
        self.unsigned_shr(by)
    }

    /// Fills with the sign.
    fn arithmetic_shift_right(self, by: u32) -> Self;
}

impl Integer for i32 {
    fn arithmetic_shift_right(self, by: u32) -> Self {
        self.signed_shr(by)
    }
}

impl Integer for i64 {
    fn arithmetic_shift_right(self, by: u32) -> Self {
        self.signed_shr(by)
    }
}

/// The top bit counts as the sign, as in XLA.
impl Integer for u8 {
    fn arithmetic_shift_right(self, by: u32) -> Self {
        self.signed_shr(by)
    }
}

/// The top bit counts as the sign, as in XLA.
impl Integer for u32 {
    fn arithmetic_shift_right(self, by: u32) -> Self {
        self.signed_shr(by)
    }
}

pub(super) fn apply<T: Integer>(op: &Elementwise, inputs: &[Chunk<'_>], out: &mut [T]) {
    let x = inputs[0].arg::<T>();
    match op {
        Elementwise::Unary(op) => unary(*op, x, out),
        Elementwise::Binary(op) => binary(*op, x, inputs[1].arg(), out),
        Elementwise::IntegerPow(exponent) => {
            let exponent = *exponent as u32;
            map1(x, out, |x| {
                let mut power = T::one();
                let (mut square, mut rest) = (x, exponent);
                while rest > 0 {
                    if rest & 1 == 1 {
                        power = power.wrapping_mul(&square);
                    }
                    square = square.wrapping_mul(&square);
                    rest >>= 1;
                }
                power
            });
        }
        Elementwise::Clamp => {
            map3(x, inputs[1].arg(), inputs[2].arg(), out, |min: T, x: T, max: T| Ord::min(Ord::max(x, min), max));
        }
        Elementwise::Compare(_) | Elementwise::Select | Elementwise::Convert(_) | Elementwise::BitcastConvert(_) => {
            unreachable!("handled for all dtypes at once")
        }
    }
}

fn unary<T: Integer>(op: UnaryOp, x: Arg<'_, T>, out: &mut [T]) {
    match op {
        UnaryOp::Abs => map1(x, out, |x| if x < T::zero() { x.wrapping_neg() } else { x }),
        UnaryOp::Neg => map1(x, out, |x| x.wrapping_neg()),
        UnaryOp::Sign => map1(x, out, |x| {
            if x > T::zero() {
                T::one()
            } else if x < T::zero() {
                T::one().wrapping_neg()
            } else {
                x
            }
        }),
        UnaryOp::Not => map1(x, out, |x| !x),
        _ => unreachable!("{} does not take integers", op.name()),
    }
}

fn binary<T: Integer>(op: BinaryOp, x: Arg<'_, T>, y: Arg<'_, T>, out: &mut [T]) {
    match op {
        BinaryOp::Add => map2(x, y, out, |x, y| x.wrapping_add(&y)),
        BinaryOp::Sub => map2(x, y, out, |x, y| x.wrapping_sub(&y)),
        BinaryOp::Mul => map2(x, y, out, |x, y| x.wrapping_mul(&y)),
        BinaryOp::Div => map2(x, y, out, |x, y| x.divide(y)),
        BinaryOp::Rem => map2(x, y, out, |x, y| x.remainder(y)),
        BinaryOp::Max => map2(x, y, out, Ord::max),
        BinaryOp::Min => map2(x, y, out, Ord::min),
        BinaryOp::And => map2(x, y, out, |x, y| x & y),
        BinaryOp::Or => map2(x, y, out, |x, y| x | y),
        BinaryOp::Xor => map2(x, y, out, |x, y| x ^ y),
        BinaryOp::ShiftLeft => {
            map2(x, y, out, |x, y| y.distance().map_or(T::zero(), |by| x.unsigned_shl(by)));
        }
        BinaryOp::ShiftRightLogical => {
            map2(x, y, out, |x, y| y.distance().map_or(T::zero(), |by| x.logical_shift_right(by)));
        }
        BinaryOp::ShiftRightArithmetic => {
            map2(x, y, out, |x, y| x.arithmetic_shift_right(y.distance().unwrap_or(T::BITS - 1)));
        }
        _ => unreachable!("{} does not take integers", op.name()),
    }
}

pub(super) fn apply_bool(op: &Elementwise, inputs: &[Chunk<'_>], out: &mut [bool]) {
    let x = inputs[0].arg::<bool>();
    match op {
        Elementwise::Unary(UnaryOp::Not) => map1(x, out, |x| !x),
        Elementwise::Binary(op) => {
            let y = inputs[1].arg::<bool>();
            match op {
                BinaryOp::And | BinaryOp::Min => map2(x, y, out, |x, y| x & y),
                BinaryOp::Or | BinaryOp::Max => map2(x, y, out, |x, y| x | y),
                BinaryOp::Xor => map2(x, y, out, |x, y| x ^ y),
                _ => unreachable!("{} does not take booleans", op.name()),
            }
        }
        Elementwise::Clamp => {
            map3(x, inputs[1].arg(), inputs[2].arg(), out, |min: bool, x: bool, max: bool| (x | min) & max);
        }
        _ => unreachable!("{} does not take booleans", op.name()),
    }
}
