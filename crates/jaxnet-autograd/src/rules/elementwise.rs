//! Elementwise operations.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use jaxnet_tensor::primitive::{BinaryOp, Elementwise, UnaryOp};
use jaxnet_tensor::trace::{bind, bind1};
use jaxnet_tensor::{Aval, Dims, Primitive, Result, Tensor, lax};

use super::{Batches, Cotangents, Duals, add, aval_of, dual, is_linear, not_linear};
use crate::linear::Operand;

pub(super) fn jvp(op: &Elementwise, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let y = bind1(&op.clone().into(), primals)?;
    let tangent = match op {
        Elementwise::Unary(op) => match &tangents[0] {
            Some(t) => unary(*op, &primals[0], &y, t)?,
            None => None,
        },
        Elementwise::Binary(op) => binary(*op, &primals[0], &primals[1], &y, tangents)?,
        Elementwise::IntegerPow(n) => match (&tangents[0], n) {
            (None, _) | (_, 0) => None,
            (Some(t), 1) => Some(t.clone()),
            (Some(t), n) => Some(t * (lax::integer_pow(&primals[0], n - 1)? * *n)),
        },
        Elementwise::Select => match (&tangents[1], &tangents[2]) {
            (None, None) => None,
            (x, z) => {
                let zero = y.zeros_like();
                let or_zero = |t: &Option<Tensor>| t.as_ref().map_or(Ok(zero.clone()), |t| same_shape(t, &y));
                Some(lax::select(&primals[0], &or_zero(x)?, &or_zero(z)?)?)
            }
        },
        Elementwise::Clamp => {
            let [min, x, max] = primals else { unreachable!("clamp has three operands") };
            let inside = |t: &Tensor| x.gt(min).bitand_ref(&x.lt(max)).select(t, 0.0);
            let below = |t: &Tensor| (x.lt(min) & min.lt(max)).select(t, 0.0);
            // Where the bounds are the wrong way round, the result is `max`.
            let above = |t: &Tensor| (x.gt(max) | min.gt(max)).select(t, 0.0);
            let terms =
                [tangents[0].as_ref().map(below), tangents[1].as_ref().map(inside), tangents[2].as_ref().map(above)];
            terms.into_iter().fold(None, add)
        }
        Elementwise::Convert(dtype) => match &tangents[0] {
            Some(t) if dtype.is_float() => Some(lax::convert(t, *dtype)?),
            _ => None,
        },
        Elementwise::Compare(_) | Elementwise::BitcastConvert(_) => None,
    };
    // A tangent of a scalar operand has yet to get the shape of the result.
    let tangent = tangent.map(|t| same_shape(&t, &y)).transpose()?;
    Ok(dual(y, tangent))
}

fn same_shape(t: &Tensor, y: &Tensor) -> Result<Tensor> {
    if t.shape() == y.shape() { Ok(t.clone()) } else { lax::broadcast_to(t, y.shape()) }
}

trait BitAndRef {
    fn bitand_ref(&self, other: &Tensor) -> Tensor;
}

impl BitAndRef for Tensor {
    fn bitand_ref(&self, other: &Tensor) -> Tensor {
        self & other
    }
}

/// `t` times the derivative at `x`, where `y` is the value.
fn unary(op: UnaryOp, x: &Tensor, y: &Tensor, t: &Tensor) -> Result<Option<Tensor>> {
    use UnaryOp::*;
    Ok(Some(match op {
        Neg => -t,
        Abs => t * x.sign(),
        Exp => t * y,
        Expm1 => t * (y + 1.0),
        Log => t / x,
        Log1p => t / (x + 1.0),
        Sqrt => t * (0.5 / y),
        Rsqrt => t * (y / x * -0.5),
        // y / (3 x), which is right at no less places than 1 / (3 y^2).
        Cbrt => t * (y / (x * 3.0)),
        Sin => t * x.cos(),
        Cos => t * -x.sin(),
        Tan => t * (y.square() + 1.0),
        Asin => t * (1.0 - x.square()).rsqrt(),
        Acos => t * -(1.0 - x.square()).rsqrt(),
        Atan => t / (x.square() + 1.0),
        Sinh => t * x.cosh(),
        Cosh => t * x.sinh(),
        // In factors, which lose nothing where y is near 1.
        Tanh => t * ((1.0 + y) * (1.0 - y)),
        Asinh => t * (x.square() + 1.0).rsqrt(),
        // In factors, so that x may be near 1 and large alike.
        Acosh => t * ((x - 1.0).rsqrt() * (x + 1.0).rsqrt()),
        Atanh => t / ((1.0 - x) * (1.0 + x)),
        Logistic => t * (y * (1.0 - y)),
        Erf => t * ((-x.square()).exp() * FRAC_2_SQRT_PI),
        Erfc => t * ((-x.square()).exp() * -FRAC_2_SQRT_PI),
        ErfInv => t * (y.square().exp() * (PI.sqrt() / 2.0)),
        Lgamma => t * x.digamma(),
        Digamma => t * Tensor::full(x.shape(), 1.0, x.dtype()).polygamma(x),
        Sign | Floor | Ceil | RoundHalfEven | RoundHalfAway | Not | IsFinite => return Ok(None),
    }))
}

fn binary(op: BinaryOp, x: &Tensor, y: &Tensor, z: &Tensor, tangents: &[Option<Tensor>]) -> Result<Option<Tensor>> {
    use BinaryOp::*;
    let (dx, dy) = (&tangents[0], &tangents[1]);
    if dx.is_none() && dy.is_none() {
        return Ok(None);
    }
    let both = |left: &dyn Fn(&Tensor) -> Tensor, right: &dyn Fn(&Tensor) -> Tensor| {
        add(dx.as_ref().map(left), dy.as_ref().map(right))
    };
    Ok(match op {
        Add => both(&|t| t.clone(), &|t| t.clone()),
        Sub => both(&|t| t.clone(), &|t| -t),
        Mul => both(&|t| t * y, &|t| t * x),
        Div => both(&|t| t / y, &|t| t * -(z / y)),
        // z = x - y trunc(x / y)
        Rem => both(&|t| t.clone(), &|t| {
            let quotient = x / y;
            t * -(quotient.sign() * quotient.abs().floor())
        }),
        Pow => both(
            // y x^(y-1), and 0 where y is 0 even if x is.
            &|t| t * y.eq(0.0).select(0.0, y * x.pow(y.eq(0.0).select(1.0, y - 1.0))),
            // log(x) x^y, and 0 where the limit of that is.
            &|t| t * (x.eq(0.0).select(y.ge(0.0).select(0.0, f64::NEG_INFINITY), x.log()) * z),
        ),
        // Half of the tangent to each where they are equal, as in JAX.
        Max => both(&|t| t * share(x, y, z), &|t| t * share(y, x, z)),
        Min => both(&|t| t * share(x, y, z), &|t| t * share(y, x, z)),
        Atan2 => {
            let norm = x.square() + y.square();
            both(&|t| t * (y / &norm), &|t| t * -(x / &norm))
        }
        Polygamma => {
            if dx.is_some() {
                return Err(jaxnet_tensor::Error::Differentiation("polygamma has no derivative by its order".into()));
            }
            both(&|t| t.clone(), &|t| t * (x + 1.0).polygamma(y))
        }
        And | Or | Xor | ShiftLeft | ShiftRightLogical | ShiftRightArithmetic => None,
    })
}

/// 1 where `x` is the result alone, 1/2 where `y` is too, 0 elsewhere.
fn share(x: &Tensor, y: &Tensor, z: &Tensor) -> Tensor {
    let is = |operand: &Tensor| operand.eq(z);
    is(x).select(is(y).select(0.5, 1.0), 0.0).astype(z.dtype())
}

/// The cotangent summed to the shape of an operand, which may be a scalar beside others.
fn sum_to(ct: Tensor, aval: &Aval) -> Tensor {
    if ct.rank() > 0 && aval.rank() == 0 { ct.sum() } else { ct }
}

pub(super) fn transpose(op: &Elementwise, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    let of = |i: usize, ct: Tensor| Some(sum_to(ct, aval_of(&inputs[i])));
    Ok(match (op, inputs) {
        (Elementwise::Unary(UnaryOp::Neg), _) => vec![Some(-ct)],
        (Elementwise::Convert(_), [x]) => vec![Some(lax::convert(ct, aval_of(x).dtype)?)],
        (Elementwise::IntegerPow(1), _) => vec![Some(ct.clone())],
        (Elementwise::Binary(BinaryOp::Add), [x, y]) => {
            vec![is_linear(x).then(|| of(0, ct.clone())).flatten(), is_linear(y).then(|| of(1, ct.clone())).flatten()]
        }
        (Elementwise::Binary(BinaryOp::Sub), [x, y]) => {
            vec![is_linear(x).then(|| of(0, ct.clone())).flatten(), is_linear(y).then(|| of(1, -ct)).flatten()]
        }
        (Elementwise::Binary(BinaryOp::Mul), [Operand::Linear(_), Operand::Known(y)]) => vec![of(0, ct * y), None],
        (Elementwise::Binary(BinaryOp::Mul), [Operand::Known(x), Operand::Linear(_)]) => vec![None, of(1, ct * x)],
        (Elementwise::Binary(BinaryOp::Div), [Operand::Linear(_), Operand::Known(y)]) => vec![of(0, ct / y), None],
        (Elementwise::Select, [Operand::Known(pred), x, y]) => {
            let on_true = is_linear(x).then(|| of(1, pred.select(ct, 0.0))).flatten();
            let on_false = is_linear(y).then(|| of(2, pred.select(0.0, ct))).flatten();
            vec![None, on_true, on_false]
        }
        _ => return Err(not_linear(&op.clone().into())),
    })
}

/// Brings the batch to one axis, and operands to one rank.
pub(super) fn batch(primitive: &Primitive, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    // The rank of an example, which is that of the operands that are no scalars.
    let rank = inputs.iter().zip(axes).map(|(x, axis)| x.rank() - axis.is_some() as usize).max().unwrap_or(0);
    // Where the batch is in the first operand that has the full rank; others move theirs there.
    let full = |(x, axis): (&Tensor, &Option<usize>)| axis.filter(|_| x.rank() == rank + 1);
    let to = inputs.iter().zip(axes).find_map(full).unwrap_or(0);
    let size = inputs.iter().zip(axes).find_map(|(x, axis)| axis.map(|axis| x.shape()[axis])).expect("a batch");
    let shape = inputs
        .iter()
        .zip(axes)
        .find(|(x, axis)| x.rank() - axis.is_some() as usize == rank)
        .map(|(x, axis)| axis.map_or(x.shape().clone(), |axis| x.shape().without_axis(axis)))
        .expect("an operand of this rank")
        .with_axis(to, size);
    let operands = inputs
        .iter()
        .zip(axes)
        .map(|(x, axis)| match axis {
            // Scalars that all examples share stay scalars.
            None if x.rank() == 0 => Ok(x.clone()),
            None => {
                let dims: Dims = (0..=rank).filter(|&axis| axis != to).collect();
                lax::broadcast_in_dim(x, &shape, &dims)
            }
            // A scalar for each example.
            Some(_) if x.rank() == 1 && rank > 0 => lax::broadcast_in_dim(x, &shape, &[to]),
            Some(axis) => crate::batch::move_batch(x, size, Some(*axis), to),
        })
        .collect::<Result<Vec<_>>>()?;
    let outputs = bind(primitive, &operands)?;
    let axes = outputs.iter().map(|_| Some(to)).collect();
    Ok((outputs, axes))
}
