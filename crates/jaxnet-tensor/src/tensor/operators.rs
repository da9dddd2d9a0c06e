//! Operators, and what may stand beside a tensor in them.

use std::ops;

use super::Tensor;
use crate::aval::{Literal, Scalar};
use crate::dtype::{DType, promote_types};
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};
use crate::shape::Shape;
use crate::trace::bind1;

/// What can stand beside a tensor in arithmetic: tensors, references to them, and Rust numbers, which
/// are weakly typed scalars.
pub trait Operand {
    /// The operand as a tensor.
    fn into_tensor(self) -> Tensor;
}

impl Operand for Tensor {
    #[inline]
    fn into_tensor(self) -> Tensor {
        self
    }
}

impl Operand for &Tensor {
    #[inline]
    fn into_tensor(self) -> Tensor {
        self.clone()
    }
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Operand for $t {
            #[inline]
            fn into_tensor(self) -> Tensor {
                Tensor::from(Literal::from(self))
            }
        }

        /// A weakly typed scalar; see [`Tensor::scalar`] for one that insists on its dtype.
        impl From<$t> for Tensor {
            fn from(x: $t) -> Self {
                Tensor::from(Literal::from(x))
            }
        }
    )*};
}

numbers!(f32, f64, i32, i64, u8, u32, usize, bool);

/// Brings operands to one dtype and one shape (scalars stay scalars).
pub(super) fn promote<const N: usize>(op: &str, operands: [Tensor; N]) -> Result<[Tensor; N]> {
    // Operands that agree already, which is the common case, are left alone.
    let first = operands[0].aval();
    let agrees = |x: &Tensor| x.aval() == first || x.literal().is_some_and(|literal| literal.dtype == first.dtype);
    if operands.iter().all(agrees) {
        operands.iter().try_for_each(|x| check_fits(op, x, first.dtype))?;
        let strong = !operands.iter().all(Tensor::is_weak);
        return Ok(operands.map(|x| match x.literal() {
            Some(literal) if strong => Tensor::from(Literal { weak: false, ..*literal }),
            _ => x,
        }));
    }
    let (dtype, weak) =
        operands.iter().map(|x| (x.dtype(), x.is_weak())).reduce(promote_types).expect("at least one operand");
    let mut shape = Shape::scalar();
    for operand in &operands {
        shape = shape.broadcast(operand.shape()).ok_or_else(|| {
            let shapes: Vec<String> = operands.iter().map(|x| x.shape().to_string()).collect();
            Error::invalid(
                op,
                format!(
                    "cannot broadcast shapes {}; sizes must be equal or 1, counted from the last axis \
                     (`reshape` or `expand_dims` to line them up)",
                    shapes.join(" and ")
                ),
            )
        })?;
    }
    let mut result = operands;
    for operand in &mut result {
        check_fits(op, operand, dtype)?;
        if operand.dtype() != dtype {
            *operand = convert_keeping(operand, dtype, weak)?;
        }
        if operand.rank() > 0 && *operand.shape() != shape {
            *operand = lax::broadcast_to(operand, &shape)?;
        }
    }
    Ok(result)
}

/// That a Rust integer, which takes the dtype of the tensor beside it, is one of that dtype.
fn check_fits(op: &str, x: &Tensor, dtype: DType) -> Result<()> {
    let Some(Literal { value: Scalar::Int(n), weak: true, .. }) = x.literal() else { return Ok(()) };
    let fits = match dtype {
        DType::U8 => u8::try_from(*n).is_ok(),
        DType::U32 => u32::try_from(*n).is_ok(),
        DType::I32 => i32::try_from(*n).is_ok(),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let message = format!(
        "the number {n} is none of {dtype}, which the operands promote to; give the tensor another dtype with \
         `astype`, or the number its own with `Tensor::scalar`"
    );
    Err(Error::invalid(op, message))
}

/// Converts a constant without losing what it was written as, and others by `convert`.
fn convert_keeping(x: &Tensor, dtype: DType, weak: bool) -> Result<Tensor> {
    match x.literal() {
        Some(literal) if !matches!((literal.value, dtype.is_integer()), (Scalar::Float(_), true)) => {
            Ok(Tensor::from(Literal { value: literal.value, dtype, weak }))
        }
        _ => lax::convert(x, dtype),
    }
}

pub(super) fn binary(op: BinaryOp, x: Tensor, y: Tensor) -> Result<Tensor> {
    let operands = promote(op.name(), [x, y])?;
    bind1(&Elementwise::Binary(op).into(), &operands)
}

pub(super) fn compare(op: CompareOp, x: Tensor, y: Tensor) -> Result<Tensor> {
    let operands = promote(op.name(), [x, y])?;
    bind1(&Elementwise::Compare(op).into(), &operands)
}

/// The operand as a floating-point tensor.
pub(super) fn float(x: &Tensor) -> Result<Tensor> {
    if x.dtype().is_float() { Ok(x.clone()) } else { lax::convert(x, x.dtype().to_float()) }
}

pub(super) fn number(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool { lax::convert(x, DType::I32) } else { Ok(x.clone()) }
}

macro_rules! operators {
    ($($Trait:ident, $method:ident, $function:expr;)*) => {$(
        impl<O: Operand> ops::$Trait<O> for Tensor {
            type Output = Tensor;
            #[inline]
            #[track_caller]
            fn $method(self, other: O) -> Tensor {
                $function(self, other.into_tensor()).or_raise()
            }
        }

        impl<O: Operand> ops::$Trait<O> for &Tensor {
            type Output = Tensor;
            #[inline]
            #[track_caller]
            fn $method(self, other: O) -> Tensor {
                $function(self.clone(), other.into_tensor()).or_raise()
            }
        }

        // Just one float and one integer type, so that `(1.0 - &x).sum()` infers.
        operators!(@number $Trait, $method, $function; f64 i32);
    )*};
    (@number $Trait:ident, $method:ident, $function:expr; $($t:ty)*) => {$(
        impl ops::$Trait<Tensor> for $t {
            type Output = Tensor;
            #[inline]
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                $function(self.into_tensor(), other).or_raise()
            }
        }

        impl ops::$Trait<&Tensor> for $t {
            type Output = Tensor;
            #[inline]
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                $function(self.into_tensor(), other.clone()).or_raise()
            }
        }
    )*};
}

operators! {
    Add, add, |x, y| arithmetic(BinaryOp::Add, x, y);
    Sub, sub, |x, y| arithmetic(BinaryOp::Sub, x, y);
    Mul, mul, |x, y| arithmetic(BinaryOp::Mul, x, y);
    Div, div, true_divide;
    Rem, rem, |x, y| arithmetic(BinaryOp::Rem, x, y);
    BitAnd, bitand, |x, y| binary(BinaryOp::And, x, y);
    BitOr, bitor, |x, y| binary(BinaryOp::Or, x, y);
    BitXor, bitxor, |x, y| binary(BinaryOp::Xor, x, y);
    Shl, shl, |x, y| binary(BinaryOp::ShiftLeft, x, y);
    Shr, shr, shift_right;
}

/// Sums, differences and products of booleans are of integers.
fn arithmetic(op: BinaryOp, x: Tensor, y: Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool && y.dtype() == DType::Bool {
        return binary(op, number(&x)?, number(&y)?);
    }
    binary(op, x, y)
}

/// `/` gives floats, as in numpy.
fn true_divide(x: Tensor, y: Tensor) -> Result<Tensor> {
    binary_of_floats(BinaryOp::Div, x, y)
}

/// An operation of floats: of those that the operands promote to, or where none of them is one, of those that they
/// become.
pub(super) fn binary_of_floats(op: BinaryOp, x: Tensor, y: Tensor) -> Result<Tensor> {
    if x.dtype().is_float() || y.dtype().is_float() {
        return binary(op, x, y);
    }
    binary(op, float(&x)?, float(&y)?)
}

fn shift_right(x: Tensor, y: Tensor) -> Result<Tensor> {
    let op = match promote_types((x.dtype(), x.is_weak()), (y.dtype(), y.is_weak())).0 {
        dtype if dtype.is_signed_integer() => BinaryOp::ShiftRightArithmetic,
        _ => BinaryOp::ShiftRightLogical,
    };
    binary(op, x, y)
}

impl ops::Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        lax::unary(UnaryOp::Neg, &self).or_raise()
    }
}

impl ops::Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        lax::unary(UnaryOp::Neg, self).or_raise()
    }
}

/// Bitwise on integers, logical on booleans.
impl ops::Not for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        lax::unary(UnaryOp::Not, &self).or_raise()
    }
}

/// Bitwise on integers, logical on booleans.
impl ops::Not for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        lax::unary(UnaryOp::Not, self).or_raise()
    }
}
