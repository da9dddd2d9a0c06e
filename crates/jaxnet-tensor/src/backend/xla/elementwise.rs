//! Elementwise operations.

use super::hlo::{Builder, Value};
use super::special;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};

pub(super) fn lower(b: &mut Builder<'_>, op: &Elementwise, inputs: &[Value], output: &Aval) -> Value {
    let shape = &output.shape;
    // HLO wants operands of one shape.
    let inputs: Vec<Value> = inputs.iter().map(|input| b.fill(input, shape)).collect();
    match op {
        Elementwise::Unary(op) => unary(b, *op, &inputs[0]),
        Elementwise::Binary(op) => binary(b, *op, &inputs[0], &inputs[1]),
        Elementwise::Compare(op) => b.compare(direction(*op), &inputs[0], &inputs[1]),
        Elementwise::Select => b.select(&inputs[0], &inputs[1], &inputs[2]),
        Elementwise::Clamp => {
            let x = b.max(&inputs[1], &inputs[0]);
            b.min(&x, &inputs[2])
        }
        Elementwise::Convert(dtype) => convert(b, &inputs[0], *dtype),
        Elementwise::BitcastConvert(dtype) if inputs[0].dtype == *dtype => inputs[0].clone(),
        Elementwise::BitcastConvert(dtype) => b.op("bitcast-convert", *dtype, shape, &[&inputs[0]], ""),
        Elementwise::IntegerPow(exponent) => rounded_once(b, &inputs[0], |b, x| integer_pow(b, x, *exponent)),
    }
}

/// A composition in f32 at least, so that half precision rounds its result only.
fn rounded_once(b: &mut Builder<'_>, x: &Value, f: impl FnOnce(&mut Builder<'_>, &Value) -> Value) -> Value {
    let dtype = if matches!(x.dtype, DType::F16 | DType::BF16) { DType::F32 } else { x.dtype };
    b.within(dtype, x, |b, x| f(b, x))
}

fn unary(b: &mut Builder<'_>, op: UnaryOp, x: &Value) -> Value {
    let signed = !matches!(x.dtype, DType::U8 | DType::U32);
    let opcode = match op {
        UnaryOp::Abs if !signed => return x.clone(),
        UnaryOp::Sign if !signed => {
            let positive = b.compare_number("NE", x, 0_i64);
            return b.convert(&positive, x.dtype);
        }
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
        UnaryOp::Log1p => return special::log1p(b, x),
        UnaryOp::Sqrt => "sqrt",
        UnaryOp::Rsqrt => "rsqrt",
        UnaryOp::Cbrt => return rounded_once(b, x, special::cbrt),
        UnaryOp::Sin => "sine",
        UnaryOp::Cos => "cosine",
        UnaryOp::Tan => "tan",
        UnaryOp::Tanh => "tanh",
        UnaryOp::Logistic => "logistic",
        UnaryOp::Erf => "erf",
        UnaryOp::Not => "not",
        UnaryOp::IsFinite => return b.op("is-finite", DType::Bool, &x.shape, &[x], ""),
        UnaryOp::Asin => return rounded_once(b, x, special::asin),
        UnaryOp::Acos => return rounded_once(b, x, special::acos),
        UnaryOp::Atan => return rounded_once(b, x, special::atan),
        UnaryOp::Sinh => return rounded_once(b, x, special::sinh),
        UnaryOp::Cosh => return rounded_once(b, x, special::cosh),
        UnaryOp::Asinh => return rounded_once(b, x, special::asinh),
        UnaryOp::Acosh => return rounded_once(b, x, special::acosh),
        UnaryOp::Atanh => return rounded_once(b, x, special::atanh),
        UnaryOp::Erfc => return rounded_once(b, x, special::erfc),
        UnaryOp::ErfInv => return rounded_once(b, x, special::erf_inv),
        // These lose digits on the way, so that single precision computes in double.
        UnaryOp::Lgamma => return b.within(DType::F64, x, special::lgamma),
        UnaryOp::Digamma => return b.within(DType::F64, x, special::digamma),
    };
    b.unary(opcode, x)
}

fn binary(b: &mut Builder<'_>, op: BinaryOp, x: &Value, y: &Value) -> Value {
    let opcode = match op {
        BinaryOp::Add => "add",
        BinaryOp::Sub => "subtract",
        BinaryOp::Mul => "multiply",
        BinaryOp::Div => "divide",
        BinaryOp::Rem => "remainder",
        BinaryOp::Pow => "power",
        BinaryOp::Max => return b.max(x, y),
        BinaryOp::Min => return b.min(x, y),
        BinaryOp::Atan2 => "atan2",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Xor => "xor",
        BinaryOp::ShiftLeft => "shift-left",
        BinaryOp::ShiftRightLogical => "shift-right-logical",
        BinaryOp::ShiftRightArithmetic => "shift-right-arithmetic",
        BinaryOp::Polygamma => {
            let order = b.convert(x, DType::F64);
            return b.within(DType::F64, y, |b, y| special::polygamma(b, &order, y));
        }
    };
    b.binary(opcode, x, y)
}

const fn direction(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "EQ",
        CompareOp::Ne => "NE",
        CompareOp::Lt => "LT",
        CompareOp::Le => "LE",
        CompareOp::Gt => "GT",
        CompareOp::Ge => "GE",
    }
}

fn convert(b: &mut Builder<'_>, x: &Value, to: DType) -> Value {
    if to == DType::Bool && x.dtype != DType::Bool {
        return b.compare_number("NE", x, 0_i64);
    }
    b.convert(x, to)
}

/// By repeated squaring.
fn integer_pow(b: &mut Builder<'_>, x: &Value, exponent: i32) -> Value {
    let mut power: Option<Value> = None;
    let (mut square, mut rest) = (x.clone(), exponent.unsigned_abs());
    while rest > 0 {
        if rest & 1 == 1 {
            power = Some(match power {
                None => square.clone(),
                Some(power) => b.mul(&power, &square),
            });
        }
        rest >>= 1;
        if rest > 0 {
            square = b.mul(&square, &square);
        }
    }
    let one = b.number(x, 1_i64);
    match power {
        None => b.fill(&one, &x.shape),
        Some(power) if exponent < 0 => b.div(&one, &power),
        Some(power) => power,
    }
}
