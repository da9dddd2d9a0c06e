//! Elementwise operations.

use tch::{TchError, Tensor};

use super::missing;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};

type Torch<T> = std::result::Result<T, TchError>;

pub(super) fn run(op: &Elementwise, inputs: &[&Tensor], avals: &[&Aval], _output: &Aval) -> Result<Torch<Tensor>> {
    let x = inputs[0];
    let result = match op {
        Elementwise::Unary(UnaryOp::Neg) => x.f_neg(),
        Elementwise::Unary(UnaryOp::Exp) => x.f_exp(),
        Elementwise::Unary(UnaryOp::Tanh) => x.f_tanh(),
        Elementwise::Binary(BinaryOp::Add) => x.f_add(inputs[1]),
        Elementwise::Binary(BinaryOp::Sub) => x.f_sub(inputs[1]),
        Elementwise::Binary(BinaryOp::Mul) => x.f_mul(inputs[1]),
        // Elsewhere the sign of what stands for u32 would tell.
        Elementwise::Compare(CompareOp::Lt) if avals[0].dtype != DType::U32 => x.f_lt_tensor(inputs[1]),
        other => return Err(missing(other.name())),
    };
    Ok(result)
}
