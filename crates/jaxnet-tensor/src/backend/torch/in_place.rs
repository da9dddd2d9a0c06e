//! Elementwise operations whose result is written into an operand.

use tch::Tensor;

use super::convert::{Torch, is_half};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{BinaryOp, Elementwise, UnaryOp};

/// Runs an operation with its result in `out`, which is one of the operands and of the result's shape and
/// dtype. False, with nothing done, for those that libtorch cannot run so, or not to the same bits.
pub(super) fn run(op: &Elementwise, inputs: &[&Tensor], avals: &[&Aval], out: &Tensor) -> Torch<bool> {
    let x = inputs[0];
    let dtype = avals[avals.len() - 1].dtype;
    // Half precision takes more than one operation.
    let single = dtype.is_float() && !is_half(dtype);
    let result = match op {
        Elementwise::Binary(op) => match op {
            BinaryOp::Add => x.f_add_out(out, inputs[1]),
            BinaryOp::Sub => x.f_sub_out(out, inputs[1]),
            BinaryOp::Mul => x.f_mul_out(out, inputs[1]),
            BinaryOp::Div if dtype.is_float() => x.f_div_out(out, inputs[1]),
            BinaryOp::And => x.f_bitwise_and_tensor_out(out, inputs[1]),
            BinaryOp::Or => x.f_bitwise_or_tensor_out(out, inputs[1]),
            BinaryOp::Xor => x.f_bitwise_xor_tensor_out(out, inputs[1]),
            _ => return Ok(false),
        },
        Elementwise::Unary(UnaryOp::Neg) => x.f_neg_out(out),
        Elementwise::Unary(UnaryOp::Abs) if dtype != DType::U32 => x.f_abs_out(out),
        Elementwise::Unary(op) if single => match op {
            UnaryOp::Exp => x.f_exp_out(out),
            UnaryOp::Expm1 => x.f_expm1_out(out),
            UnaryOp::Log => x.f_log_out(out),
            UnaryOp::Log1p => x.f_log1p_out(out),
            UnaryOp::Sqrt => x.f_sqrt_out(out),
            UnaryOp::Rsqrt => x.f_rsqrt_out(out),
            UnaryOp::Sin => x.f_sin_out(out),
            UnaryOp::Cos => x.f_cos_out(out),
            UnaryOp::Tanh => x.f_tanh_out(out),
            UnaryOp::Logistic => x.f_sigmoid_out(out),
            UnaryOp::Erf => x.f_erf_out(out),
            _ => return Ok(false),
        },
        Elementwise::IntegerPow(2) if !is_half(dtype) => x.f_mul_out(out, x),
        Elementwise::Select => inputs[1].f_where_self_out(out, inputs[0], inputs[2]),
        _ => return Ok(false),
    };
    result.map(|_| true)
}
