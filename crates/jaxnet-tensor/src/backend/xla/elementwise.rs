//! Elementwise operations.

use super::hlo::{Builder, Value};
use super::lower::missing;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};

pub(super) fn lower(b: &mut Builder<'_>, op: &Elementwise, inputs: &[Value], output: &Aval) -> Result<Value> {
    let shape = &output.shape;
    // HLO wants operands of one shape, but for the predicate of a select and the bounds of a clamp.
    let inputs: Vec<Value> = inputs.iter().map(|input| b.fill(input, shape)).collect();
    let operands: Vec<&Value> = inputs.iter().collect();
    let dtype = output.dtype;
    match op {
        Elementwise::Unary(op) => unary(b, *op, operands[0]),
        Elementwise::Binary(op) => binary(b, *op, operands[0], operands[1]),
        Elementwise::Compare(op) => Ok(compare(b, *op, operands[0], operands[1])),
        Elementwise::Select => Ok(b.op("select", dtype, shape, &operands, "")),
        Elementwise::Clamp => Ok(b.op("clamp", dtype, shape, &operands, "")),
        Elementwise::Convert(_) => Ok(b.op("convert", dtype, shape, &operands, "")),
        Elementwise::BitcastConvert(_) => Ok(b.op("bitcast-convert", dtype, shape, &operands, "")),
        Elementwise::IntegerPow(_) => Err(missing(op.name())),
    }
}

fn unary(b: &mut Builder<'_>, op: UnaryOp, x: &Value) -> Result<Value> {
    let opcode = match op {
        UnaryOp::Abs => "abs",
        UnaryOp::Neg => "negate",
        UnaryOp::Sign => "sign",
        UnaryOp::Floor => "floor",
        UnaryOp::Ceil => "ceil",
        UnaryOp::RoundHalfEven => "round-nearest-even",
        UnaryOp::RoundHalfAway => "round-nearest-afz",
        UnaryOp::Exp => "exponential",
        UnaryOp::Expm1 => "exponential-minus-one",
        UnaryOp::Log => "log",
        UnaryOp::Log1p => "log-plus-one",
        UnaryOp::Sqrt => "sqrt",
        UnaryOp::Rsqrt => "rsqrt",
        UnaryOp::Cbrt => "cbrt",
        UnaryOp::Sin => "sine",
        UnaryOp::Cos => "cosine",
        UnaryOp::Tan => "tan",
        UnaryOp::Tanh => "tanh",
        UnaryOp::Logistic => "logistic",
        UnaryOp::Erf => "erf",
        UnaryOp::Not => "not",
        UnaryOp::IsFinite => return Ok(b.op("is-finite", DType::Bool, &x.shape, &[x], "")),
        other => return Err(missing(other.name())),
    };
    Ok(b.op(opcode, x.dtype, &x.shape, &[x], ""))
}

fn binary(b: &mut Builder<'_>, op: BinaryOp, x: &Value, y: &Value) -> Result<Value> {
    let opcode = match op {
        BinaryOp::Add => "add",
        BinaryOp::Sub => "subtract",
        BinaryOp::Mul => "multiply",
        BinaryOp::Div => "divide",
        BinaryOp::Rem => "remainder",
        BinaryOp::Pow => "power",
        BinaryOp::Max => "maximum",
        BinaryOp::Min => "minimum",
        BinaryOp::Atan2 => "atan2",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Xor => "xor",
        BinaryOp::ShiftLeft => "shift-left",
        BinaryOp::ShiftRightLogical => "shift-right-logical",
        BinaryOp::ShiftRightArithmetic => "shift-right-arithmetic",
        BinaryOp::Polygamma => return Err(missing(op.name())),
    };
    Ok(b.op(opcode, x.dtype, &x.shape, &[x, y], ""))
}

pub(super) fn compare(b: &mut Builder<'_>, op: CompareOp, x: &Value, y: &Value) -> Value {
    let direction = match op {
        CompareOp::Eq => "EQ",
        CompareOp::Ne => "NE",
        CompareOp::Lt => "LT",
        CompareOp::Le => "LE",
        CompareOp::Gt => "GT",
        CompareOp::Ge => "GE",
    };
    b.op("compare", DType::Bool, &x.shape, &[x, y], &format!("direction={direction}"))
}
