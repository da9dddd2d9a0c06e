//! Operations that act on each element by itself.

use std::fmt::{self, Write};

use super::arity;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// An elementwise operation.
///
/// Operands have one dtype (but for the predicate of a select) and one shape; scalars may stand
/// beside any shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Elementwise {
    /// One operand.
    Unary(UnaryOp),
    /// Two operands.
    Binary(BinaryOp),
    /// Two operands, giving booleans.
    Compare(CompareOp),
    /// The operand to an integer power, by repeated multiplication: floats with any exponent,
    /// integers with one of at least 0.
    IntegerPow(i32),
    /// `select(pred, on_true, on_false)`.
    Select,
    /// `clamp(min, x, max)`.
    Clamp,
    /// To another dtype: towards zero and saturating from float to integer (NaN gives 0), wrapping
    /// between integers, `x != 0` to booleans.
    Convert(DType),
    /// The same bits as another dtype of the same width.
    BitcastConvert(DType),
}

/// Elementwise operations on one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Abs,
    Neg,
    /// -1, 0 or 1; NaN for NaN, and the sign of a zero is kept.
    Sign,
    Floor,
    Ceil,
    /// To the nearest integer, halves to the even one.
    RoundHalfEven,
    /// To the nearest integer, halves away from zero.
    RoundHalfAway,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Rsqrt,
    Cbrt,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    /// `1 / (1 + exp(-x))`.
    Logistic,
    Erf,
    Erfc,
    ErfInv,
    /// The logarithm of the absolute value of the gamma function.
    Lgamma,
    Digamma,
    /// Bitwise on integers, logical on booleans.
    Not,
    /// Whether neither infinite nor NaN.
    IsFinite,
}

/// Elementwise operations on two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    /// Integers divide towards zero; by zero they give -1 (all bits set), and `MIN / -1` gives `MIN`.
    Div,
    /// The remainder with the sign of the dividend; an integer's by zero is the dividend.
    Rem,
    /// Floats only; see [`Elementwise::IntegerPow`] for constant integer exponents.
    Pow,
    /// NaN where either operand is.
    Max,
    /// NaN where either operand is.
    Min,
    Atan2,
    And,
    Or,
    Xor,
    /// Shifts by the width or more give 0.
    ShiftLeft,
    /// Fills with zeros; shifts by the width or more give 0.
    ShiftRightLogical,
    /// Fills with the sign; shifts by the width or more give 0 or -1.
    ShiftRightArithmetic,
    /// `polygamma(m, x)`, the derivative of order `m + 1` of `lgamma`.
    Polygamma,
}

/// Comparisons. With NaN all but `Ne` are false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl UnaryOp {
    /// Every unary operation.
    pub const ALL: [UnaryOp; 34] = {
        use UnaryOp::*;
        [
            Abs,
            Neg,
            Sign,
            Floor,
            Ceil,
            RoundHalfEven,
            RoundHalfAway,
            Exp,
            Expm1,
            Log,
            Log1p,
            Sqrt,
            Rsqrt,
            Cbrt,
            Sin,
            Cos,
            Tan,
            Asin,
            Acos,
            Atan,
            Sinh,
            Cosh,
            Tanh,
            Asinh,
            Acosh,
            Atanh,
            Logistic,
            Erf,
            Erfc,
            ErfInv,
            Lgamma,
            Digamma,
            Not,
            IsFinite,
        ]
    };

    /// The operation's name.
    pub const fn name(self) -> &'static str {
        use UnaryOp::*;
        match self {
            Abs => "abs",
            Neg => "neg",
            Sign => "sign",
            Floor => "floor",
            Ceil => "ceil",
            RoundHalfEven => "round_half_even",
            RoundHalfAway => "round_half_away",
            Exp => "exp",
            Expm1 => "expm1",
            Log => "log",
            Log1p => "log1p",
            Sqrt => "sqrt",
            Rsqrt => "rsqrt",
            Cbrt => "cbrt",
            Sin => "sin",
            Cos => "cos",
            Tan => "tan",
            Asin => "asin",
            Acos => "acos",
            Atan => "atan",
            Sinh => "sinh",
            Cosh => "cosh",
            Tanh => "tanh",
            Asinh => "asinh",
            Acosh => "acosh",
            Atanh => "atanh",
            Logistic => "logistic",
            Erf => "erf",
            Erfc => "erfc",
            ErfInv => "erf_inv",
            Lgamma => "lgamma",
            Digamma => "digamma",
            Not => "not",
            IsFinite => "is_finite",
        }
    }

    /// Whether it takes operands of this dtype.
    pub const fn accepts(self, dtype: DType) -> bool {
        use UnaryOp::*;
        match self {
            Abs | Neg | Sign => !matches!(dtype, DType::Bool),
            Not => !dtype.is_float(),
            _ => dtype.is_float(),
        }
    }
}

impl BinaryOp {
    /// Every binary operation.
    pub const ALL: [BinaryOp; 16] = {
        use BinaryOp::*;
        [
            Add,
            Sub,
            Mul,
            Div,
            Rem,
            Pow,
            Max,
            Min,
            Atan2,
            And,
            Or,
            Xor,
            ShiftLeft,
            ShiftRightLogical,
            ShiftRightArithmetic,
            Polygamma,
        ]
    };

    /// The operation's name.
    pub const fn name(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Add => "add",
            Sub => "sub",
            Mul => "mul",
            Div => "div",
            Rem => "rem",
            Pow => "pow",
            Max => "max",
            Min => "min",
            Atan2 => "atan2",
            And => "and",
            Or => "or",
            Xor => "xor",
            ShiftLeft => "shift_left",
            ShiftRightLogical => "shift_right_logical",
            ShiftRightArithmetic => "shift_right_arithmetic",
            Polygamma => "polygamma",
        }
    }

    /// Whether it takes operands of this dtype.
    pub const fn accepts(self, dtype: DType) -> bool {
        use BinaryOp::*;
        match self {
            Add | Sub | Mul | Div | Rem => !matches!(dtype, DType::Bool),
            Max | Min => true,
            Pow | Atan2 | Polygamma => dtype.is_float(),
            And | Or | Xor => !dtype.is_float(),
            ShiftLeft | ShiftRightLogical | ShiftRightArithmetic => dtype.is_integer(),
        }
    }
}

impl CompareOp {
    /// Every comparison.
    pub const ALL: [CompareOp; 6] =
        [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge];

    /// The operation's name.
    pub const fn name(self) -> &'static str {
        match self {
            CompareOp::Eq => "eq",
            CompareOp::Ne => "ne",
            CompareOp::Lt => "lt",
            CompareOp::Le => "le",
            CompareOp::Gt => "gt",
            CompareOp::Ge => "ge",
        }
    }
}

impl Elementwise {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Elementwise::Unary(op) => op.name(),
            Elementwise::Binary(op) => op.name(),
            Elementwise::Compare(op) => op.name(),
            Elementwise::IntegerPow(_) => "integer_pow",
            Elementwise::Select => "select",
            Elementwise::Clamp => "clamp",
            Elementwise::Convert(_) => "convert",
            Elementwise::BitcastConvert(_) => "bitcast_convert",
        }
    }

    /// The number of operands.
    pub const fn arity(&self) -> usize {
        match self {
            Elementwise::Binary(_) | Elementwise::Compare(_) => 2,
            Elementwise::Select | Elementwise::Clamp => 3,
            _ => 1,
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Elementwise::IntegerPow(exponent) => write!(f, "exponent={exponent}"),
            Elementwise::Convert(dtype) | Elementwise::BitcastConvert(dtype) => write!(f, "dtype={dtype}"),
            _ => Ok(()),
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        arity(self.name(), inputs, self.arity())?;
        let mut shape = &inputs[0].shape;
        for input in &inputs[1..] {
            if shape.rank() == 0 {
                shape = &input.shape;
            } else if input.rank() > 0 && input.shape != *shape {
                let shapes: Vec<_> = inputs.iter().map(|input| &input.shape).collect();
                return Err(Error::invalid(
                    self.name(),
                    format!("operands have different shapes {shapes:?}; broadcast them first"),
                ));
            }
        }
        let numeric = match self {
            Elementwise::Select => {
                if inputs[0].dtype != DType::Bool {
                    return Err(Error::invalid(
                        "select",
                        format!("the predicate must be bool, got {}; compare it with 0", inputs[0].dtype),
                    ));
                }
                &inputs[1..]
            }
            _ => inputs,
        };
        let dtype = numeric[0].dtype;
        if numeric.iter().any(|input| input.dtype != dtype) {
            let dtypes: Vec<_> = numeric.iter().map(|input| input.dtype.name()).collect();
            return Err(Error::invalid(
                self.name(),
                format!("operands have different dtypes {}; convert one with `.astype`", dtypes.join(", ")),
            ));
        }
        let accepted = match self {
            Elementwise::Unary(op) => op.accepts(dtype),
            Elementwise::Binary(op) => op.accepts(dtype),
            Elementwise::IntegerPow(exponent) if dtype.is_integer() && *exponent < 0 => {
                return Err(Error::invalid(
                    "integer_pow",
                    format!("{dtype} has no power {exponent}; convert the operand to floats with `.astype`"),
                ));
            }
            Elementwise::IntegerPow(_) => dtype != DType::Bool,
            Elementwise::BitcastConvert(to) => {
                if to.size() != dtype.size() || (*to == DType::Bool) != (dtype == DType::Bool) {
                    return Err(Error::invalid(
                        "bitcast_convert",
                        format!("{dtype} and {to} do not have the same width and range of bits"),
                    ));
                }
                true
            }
            _ => true,
        };
        if !accepted {
            return Err(Error::invalid(
                self.name(),
                format!("does not take {dtype} operands; convert them with `.astype`"),
            ));
        }
        let weak = numeric.iter().all(|input| input.weak);
        let (dtype, weak) = match self {
            Elementwise::Compare(_) | Elementwise::Unary(UnaryOp::IsFinite) => (DType::Bool, false),
            Elementwise::Convert(to) | Elementwise::BitcastConvert(to) => (*to, false),
            _ => (dtype, weak),
        };
        Ok(Aval { dtype, shape: shape.clone(), weak })
    }
}
