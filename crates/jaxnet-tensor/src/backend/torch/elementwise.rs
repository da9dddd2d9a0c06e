//! Elementwise operations.
//!
//! Where libtorch's operation is ours it is called; elsewhere (integer division, conversions that
//! saturate, shifts past the width) special cases are selected around it.

use std::f64::consts::PI;

use tch::{Kind, Tensor};

use super::convert::{Torch, is_half, kind, ordered, unordered, widen};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};

pub(super) fn run(op: &Elementwise, inputs: &[&Tensor], avals: &[&Aval]) -> Torch {
    let dtype = avals[avals.len() - 1].dtype;
    match op {
        Elementwise::Select => return inputs[1].f_where_self(inputs[0], inputs[2]),
        Elementwise::Convert(to) => return convert(inputs[0], dtype, *to),
        Elementwise::BitcastConvert(to) => return inputs[0].f_view_dtype(kind(*to)),
        Elementwise::Compare(op) => return compare(*op, inputs[0], inputs[1], dtype),
        _ => {}
    }
    match working_kind(op, dtype) {
        None => compute(op, inputs, dtype),
        Some(wide) => {
            let inputs = inputs.iter().map(|x| x.f_to_kind(wide)).collect::<Torch<Vec<_>>>()?;
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            let dtype = if wide == Kind::Double { DType::F64 } else { DType::F32 };
            compute(op, &inputs, dtype)?.f_to_kind(kind(avals[avals.len() - 1].dtype))
        }
    }
}

/// What to compute in, if not in the operands' own dtype.
///
/// Half precision computes in f32 and rounds once, where libtorch might not; some functions are exact
/// enough only in f64, in which the CPU engine has them too.
fn working_kind(op: &Elementwise, dtype: DType) -> Option<Kind> {
    use BinaryOp::*;
    use UnaryOp::*;
    let in_double = matches!(
        op,
        Elementwise::Unary(Cbrt | ErfInv | Lgamma | Digamma | Sinh | Cosh | Asinh | Acosh | Atanh)
            | Elementwise::Binary(Polygamma)
    );
    let exact = matches!(
        op,
        Elementwise::Unary(Abs | Neg | Sign | Floor | Ceil | RoundHalfEven | RoundHalfAway | IsFinite)
            | Elementwise::Binary(Add | Sub | Mul | Div | Max | Min)
            | Elementwise::Clamp
    );
    if dtype.is_float() && in_double && dtype != DType::F64 {
        return Some(Kind::Double);
    }
    (is_half(dtype) && !exact).then_some(Kind::Float)
}

fn compute(op: &Elementwise, inputs: &[&Tensor], dtype: DType) -> Torch {
    let x = inputs[0];
    match op {
        Elementwise::Unary(op) => unary(*op, x, dtype),
        Elementwise::Binary(op) => binary(*op, x, inputs[1], dtype),
        Elementwise::IntegerPow(exponent) => integer_pow(x, *exponent),
        Elementwise::Clamp => {
            let [min, x, max] = [inputs[0], inputs[1], inputs[2]];
            if dtype == DType::Bool {
                return x.f_logical_or(min)?.f_logical_and(max);
            }
            extreme(BinaryOp::Min, &extreme(BinaryOp::Max, x, min, dtype)?, max, dtype)
        }
        Elementwise::Select | Elementwise::Convert(_) | Elementwise::BitcastConvert(_) | Elementwise::Compare(_) => {
            unreachable!("handled for all dtypes at once")
        }
    }
}

fn unary(op: UnaryOp, x: &Tensor, dtype: DType) -> Torch {
    match op {
        UnaryOp::Abs if !dtype.is_float() && !dtype.is_signed_integer() => Ok(x.shallow_clone()),
        UnaryOp::Abs => x.f_abs(),
        UnaryOp::Neg => x.f_neg(),
        UnaryOp::Sign if dtype == DType::U32 => x.f_ne(0)?.f_to_kind(Kind::Int),
        UnaryOp::Sign if dtype.is_float() => {
            // Zeros keep their signs, and NaN is what it is.
            let sign = x.f_sign()?;
            x.f_where_self(&x.f_isnan()?.f_logical_or(&x.f_eq(0)?)?, &sign)
        }
        UnaryOp::Sign => x.f_sign(),
        UnaryOp::Floor => x.f_floor(),
        UnaryOp::Ceil => x.f_ceil(),
        UnaryOp::RoundHalfEven => x.f_round(),
        UnaryOp::RoundHalfAway => {
            // The part after the point is exact; with its sign a zero keeps its own.
            let whole = x.f_trunc()?;
            let up = x.f_sub(&whole)?.f_abs()?.f_ge(0.5)?.f_to_kind(x.kind())?;
            whole.f_add(&up.f_copysign(x)?)
        }
        UnaryOp::Exp => x.f_exp(),
        UnaryOp::Expm1 => x.f_expm1(),
        UnaryOp::Log => x.f_log(),
        UnaryOp::Log1p => x.f_log1p(),
        UnaryOp::Sqrt => x.f_sqrt(),
        UnaryOp::Rsqrt => x.f_rsqrt(),
        UnaryOp::Cbrt => cbrt(x),
        UnaryOp::Sin => x.f_sin(),
        UnaryOp::Cos => x.f_cos(),
        UnaryOp::Tan => x.f_tan(),
        UnaryOp::Asin => x.f_asin(),
        UnaryOp::Acos => x.f_acos(),
        UnaryOp::Atan => x.f_atan(),
        UnaryOp::Sinh => without_overflow(x, &x.f_sinh()?),
        UnaryOp::Cosh => without_overflow(x, &x.f_cosh()?),
        UnaryOp::Tanh => x.f_tanh(),
        UnaryOp::Asinh => x.f_asinh(),
        UnaryOp::Acosh => x.f_acosh(),
        UnaryOp::Atanh => x.f_atanh(),
        UnaryOp::Logistic => x.f_sigmoid(),
        UnaryOp::Erf => x.f_erf(),
        UnaryOp::Erfc => x.f_erfc(),
        UnaryOp::ErfInv => x.f_erfinv(),
        UnaryOp::Lgamma => x.f_lgamma(),
        UnaryOp::Digamma => digamma(x),
        UnaryOp::Not => x.f_bitwise_not(),
        UnaryOp::IsFinite => x.f_isfinite(),
    }
}

/// In f64, hyperbolic functions where libtorch's exponential overflows though half of it does not.
fn without_overflow(x: &Tensor, y: &Tensor) -> Torch {
    let magnitude = x.f_abs()?;
    let root = magnitude.f_mul_scalar(0.5)?.f_exp()?;
    let large = root.f_mul_scalar(0.5)?.f_mul(&root)?.f_copysign(y)?;
    large.f_where_self(&magnitude.f_gt(700.0)?, y)
}

/// In f64: a power, and a step of Newton's method for what that rounds.
fn cbrt(x: &Tensor) -> Torch {
    let magnitude = x.f_abs()?;
    let root = magnitude.f_pow_tensor_scalar(1.0 / 3.0)?;
    let error = root.f_sub(&magnitude.f_div(&root.f_square()?)?)?;
    let better = root.f_sub(&error.f_div_scalar(3.0)?)?;
    // Zero and infinity have no step.
    better.f_where_self(&better.f_isfinite()?, &root)?.f_copysign(x)
}

fn binary(op: BinaryOp, x: &Tensor, y: &Tensor, dtype: DType) -> Torch {
    match op {
        BinaryOp::Add => x.f_add(y),
        BinaryOp::Sub => x.f_sub(y),
        BinaryOp::Mul => x.f_mul(y),
        BinaryOp::Div if dtype.is_float() => x.f_div(y),
        BinaryOp::Rem if dtype.is_float() => remainder(x, y),
        BinaryOp::Div | BinaryOp::Rem if dtype == DType::U32 => {
            divide(op, &widen(x, dtype)?, &widen(y, dtype)?, dtype)?.f_to_kind(Kind::Int)
        }
        BinaryOp::Div | BinaryOp::Rem => divide(op, x, y, dtype),
        BinaryOp::Pow => x.f_pow(y),
        BinaryOp::Max | BinaryOp::Min => extreme(op, x, y, dtype),
        BinaryOp::Atan2 => x.f_atan2(y),
        BinaryOp::And => x.f_bitwise_and_tensor(y),
        BinaryOp::Or => x.f_bitwise_or_tensor(y),
        BinaryOp::Xor => x.f_bitwise_xor_tensor(y),
        BinaryOp::ShiftLeft | BinaryOp::ShiftRightLogical | BinaryOp::ShiftRightArithmetic => shift(op, x, y, dtype),
        BinaryOp::Polygamma => polygamma(x, y),
    }
}

/// The greater or the lesser; of equal ones (zeros of both signs) the second, where libtorch's choice depends
/// on the element's place in a vector.
fn extreme(op: BinaryOp, x: &Tensor, y: &Tensor, dtype: DType) -> Torch {
    if !dtype.is_float() {
        let (x, y) = (ordered(x, dtype)?, ordered(y, dtype)?);
        return unordered(if op == BinaryOp::Max { x.f_maximum(&y)? } else { x.f_minimum(&y)? }, dtype);
    }
    if op == BinaryOp::Max && y.dim() == 0 && y.device() == tch::Device::Cpu {
        // As in `relu`: one pass, and a NaN of `x` stays.
        let bound = y.f_double_value(&[])?;
        if !bound.is_nan() {
            return x.f_threshold(bound, bound);
        }
    }
    let best = if op == BinaryOp::Max { x.f_maximum(y)? } else { x.f_minimum(y)? };
    y.f_where_self(&x.f_eq_tensor(y)?, &best)
}

/// Integers: by zero the quotient has all bits set and the remainder is the dividend; `MIN / -1` wraps.
/// libtorch refuses the first, and the processor the second.
fn divide(op: BinaryOp, x: &Tensor, y: &Tensor, dtype: DType) -> Torch {
    let by_zero = y.f_eq(0)?;
    let by_minus_one = dtype.is_signed_integer().then(|| y.f_eq(-1)).transpose()?;
    let special = match &by_minus_one {
        Some(by_minus_one) => by_zero.f_logical_or(by_minus_one)?,
        None => by_zero.shallow_clone(),
    };
    let one = y.f_ones_like()?;
    let safe = one.f_where_self(&special, y)?;
    if op == BinaryOp::Rem {
        return x.f_where_self(&by_zero, &x.f_fmod_tensor(&safe)?);
    }
    let mut quotient = x.f_div_tensor_mode(&safe, "trunc")?;
    if let Some(by_minus_one) = by_minus_one {
        quotient = x.f_neg()?.f_where_self(&by_minus_one, &quotient)?;
    }
    one.f_zeros_like()?.f_bitwise_not()?.f_where_self(&by_zero, &quotient)
}

/// Shifts on 64 bits, in which those of narrower dtypes lose nothing.
fn shift(op: BinaryOp, x: &Tensor, y: &Tensor, dtype: DType) -> Torch {
    let bits = dtype.size() as i64 * 8;
    let by = widen(y, dtype)?;
    let within = by.f_ge(0)?.f_logical_and(&by.f_lt(bits)?)?;
    // Past the width, only an arithmetic shift leaves something: the sign.
    let most = by.f_full_like(bits - 1)?;
    let distance = by.f_where_self(&within, &most)?;
    let signed = match dtype {
        DType::U8 => x.f_view_dtype(Kind::Int8)?.f_to_kind(Kind::Int64)?,
        _ => x.f_to_kind(Kind::Int64)?,
    };
    let shifted = match op {
        BinaryOp::ShiftLeft => signed.f_bitwise_left_shift(&distance)?,
        BinaryOp::ShiftRightArithmetic => {
            return signed.f_bitwise_right_shift(&distance)?.f_to_kind(kind(dtype));
        }
        _ if dtype == DType::I64 => {
            // What the sign filled in is cut off; the mask is made in two steps, since one may be 64.
            let kept = distance.f_neg()?.f_add_scalar(bits - 1)?;
            let mask = distance.f_ones_like()?.f_bitwise_left_shift(&kept)?.f_sub_scalar(1)?;
            let mask = mask.f_mul_scalar(2)?.f_add_scalar(1)?;
            signed.f_bitwise_right_shift(&distance)?.f_bitwise_and_tensor(&mask)?
        }
        _ if dtype == DType::I32 => signed.f_bitwise_and(0xFFFF_FFFF_i64)?.f_bitwise_right_shift(&distance)?,
        _ => widen(x, dtype)?.f_bitwise_right_shift(&distance)?,
    };
    let nothing = shifted.f_zeros_like()?;
    shifted.f_where_self(&within, &nothing)?.f_to_kind(kind(dtype))
}

/// libtorch's loop over vectors gives up where the quotient is huge, and that over elements at a distance
/// does not: it calls C's function, which is exact.
fn remainder(x: &Tensor, y: &Tensor) -> Torch {
    let mut apart = if x.dim() == 0 { y.size() } else { x.size() };
    apart.push(2);
    let mut spread = Tensor::f_empty(apart, (x.kind(), x.device()))?.f_select(-1, 0)?;
    spread.f_copy_(x)?;
    spread.f_fmod_tensor(y)?.f_contiguous()
}

/// In f64. Below zero by reflection with the distance from the nearest pole, which is exact; libtorch's own
/// is less so.
fn digamma(x: &Tensor) -> Torch {
    let below = x.f_lt(0.0)?;
    let one_minus = x.f_neg()?.f_add_scalar(1.0)?;
    let from_pole = x.f_sub(&x.f_round()?)?;
    let cotangent = from_pole.f_mul_scalar(PI)?.f_tan()?.f_reciprocal()?.f_mul_scalar(PI)?;
    let reflected = one_minus.f_digamma()?.f_sub(&cotangent)?;
    let reflected = reflected.f_full_like(f64::NAN)?.f_where_self(&from_pole.f_eq(0.0)?, &reflected)?;
    reflected.f_where_self(&below, &x.f_digamma()?)
}

/// `(-1)^(n + 1) n! zeta(n + 1, x)`; NaN where `n` is no integer of at least 0.
fn polygamma(n: &Tensor, x: &Tensor) -> Torch {
    let next = n.f_add_scalar(1.0)?;
    let factorial = next.f_lgamma()?.f_exp()?;
    // Those that are whole numbers in f64 the exponential of a logarithm misses by a little.
    let factorial = factorial.f_round()?.f_where_self(&n.f_le(18.0)?, &factorial)?;
    // libtorch's function is NaN at infinity, where it vanishes.
    let zeta = next.f_special_zeta(x)?;
    let zeta = zeta.f_zeros_like()?.f_where_self(&x.f_eq(f64::INFINITY)?, &zeta)?;
    let magnitude = factorial.f_mul(&zeta)?;
    let even = n.f_fmod(2.0)?.f_eq(0.0)?;
    let signed = magnitude.f_neg()?.f_where_self(&even, &magnitude)?;
    let order = n.f_gt(0.0)?.f_logical_and(&n.f_eq_tensor(&n.f_floor()?)?)?;
    let nan = signed.f_full_like(f64::NAN)?;
    let higher = signed.f_where_self(&order, &nan)?;
    digamma(x)?.f_where_self(&n.f_eq(0.0)?, &higher)
}

fn compare(op: CompareOp, x: &Tensor, y: &Tensor, dtype: DType) -> Torch {
    match op {
        CompareOp::Eq => return x.f_eq_tensor(y),
        CompareOp::Ne => return x.f_ne_tensor(y),
        _ => {}
    }
    let (x, y) = (ordered(x, dtype)?, ordered(y, dtype)?);
    match op {
        CompareOp::Lt => x.f_lt_tensor(&y),
        CompareOp::Le => x.f_le_tensor(&y),
        CompareOp::Gt => x.f_gt_tensor(&y),
        CompareOp::Ge => x.f_ge_tensor(&y),
        CompareOp::Eq | CompareOp::Ne => unreachable!("handled above"),
    }
}

/// By repeated multiplication, in the same order as the CPU engine.
fn integer_pow(x: &Tensor, exponent: i32) -> Torch {
    let mut power: Option<Tensor> = None;
    let (mut square, mut rest) = (x.shallow_clone(), exponent.unsigned_abs());
    while rest > 0 {
        if rest & 1 == 1 {
            power = Some(match power {
                Some(power) => power.f_mul(&square)?,
                None => square.shallow_clone(),
            });
        }
        rest >>= 1;
        if rest > 0 {
            square = square.f_mul(&square)?;
        }
    }
    match power {
        None => x.f_ones_like(),
        Some(power) if exponent < 0 => power.f_reciprocal(),
        Some(power) => Ok(power),
    }
}

/// To another dtype, as XLA's `convert`: towards zero and saturating from floats to integers, NaN giving 0;
/// wrapping between integers.
pub(super) fn convert(x: &Tensor, from: DType, to: DType) -> Torch {
    if from.is_float() && to.is_integer() {
        return saturate(&x.f_to_kind(Kind::Double)?, to);
    }
    match (from, to) {
        (DType::U32, DType::Bool | DType::U8 | DType::I32 | DType::U32) => x.f_to_kind(kind(to)),
        (DType::U32, _) => widen(x, from)?.f_to_kind(kind(to)),
        _ => x.f_to_kind(kind(to)),
    }
}

fn saturate(x: &Tensor, to: DType) -> Torch {
    let (low, high) = match to {
        DType::U8 => (0.0, f64::from(u8::MAX)),
        DType::U32 => (0.0, f64::from(u32::MAX)),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        _ => return saturate_i64(x),
    };
    let whole = x.f_nan_to_num(0.0, f64::INFINITY, f64::NEG_INFINITY)?.f_clamp(low, high)?;
    whole.f_to_kind(Kind::Int64)?.f_to_kind(kind(to))
}

/// The greatest i64 is no f64, so what is above it is selected.
fn saturate_i64(x: &Tensor) -> Torch {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let inside = x.f_ge(-END)?.f_logical_and(&x.f_lt(END)?)?;
    let zero = x.f_zeros_like()?;
    let whole = x.f_where_self(&inside, &zero)?.f_to_kind(Kind::Int64)?;
    let whole = whole.f_full_like(i64::MAX)?.f_where_self(&x.f_ge(END)?, &whole)?;
    whole.f_full_like(i64::MIN)?.f_where_self(&x.f_lt(-END)?, &whole)
}
