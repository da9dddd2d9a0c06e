//! The rules of differentiation and batching: one file a family, each with its jvp, transpose and
//! batching rules side by side.

pub(crate) mod control;
mod conv;
mod dot;
mod elementwise;
mod index;
mod linalg;
mod random;
mod reduce;
mod shape;
mod sort;
mod window;

use jaxnet_tensor::trace::{Tensors, bind};
use jaxnet_tensor::{Aval, DType, Dims, Error, Literal, Primitive, Result, Tensor};
use smallvec::{SmallVec, smallvec};

use crate::batch::move_batch;
use crate::linear::Operand;

/// Tangents; `None` is zero.
pub(crate) type Tangents = SmallVec<[Option<Tensor>; 1]>;
/// Results and their tangents.
pub(crate) type Duals = (Tensors, Tangents);
/// Cotangents of the operands: `None` is zero, and for known operands.
pub(crate) type Cotangents = Vec<Option<Tensor>>;
/// Results and their batch axes; `None` is for what all examples share.
pub(crate) type Batches = (Tensors, SmallVec<[Option<usize>; 1]>);

/// Results and tangents of a primitive.
pub(crate) fn jvp(primitive: &Primitive, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    match primitive {
        Primitive::Elementwise(op) => elementwise::jvp(op, primals, tangents),
        Primitive::Shape(op) => linear_jvp(&op.clone().into(), primals, tangents),
        Primitive::Reduce(op) => reduce::jvp(op, primals, tangents),
        Primitive::Window(op) => window::jvp(op, primals, tangents),
        Primitive::Dot(_) | Primitive::Conv(_) => bilinear_jvp(primitive, primals, tangents),
        Primitive::Index(op) => index::jvp(op, primals, tangents),
        Primitive::Sort(op) => sort::jvp(op, primals, tangents),
        Primitive::Linalg(op) => linalg::jvp(op, primals, tangents),
        // Bits have no derivative.
        Primitive::Random(_) => Ok((bind(primitive, primals)?, smallvec![None, None])),
        Primitive::Control(op) => control::jvp(op, primals, tangents),
    }
}

/// Cotangents of the linear operands from those of the results, which are not all zero. `outputs` is what
/// the results are.
pub(crate) fn transpose(
    primitive: &Primitive,
    cotangents: &[Option<Tensor>],
    inputs: &[Operand<Aval>],
    outputs: &[&Aval],
) -> Result<Cotangents> {
    let one = || cotangents[0].as_ref().expect("a primitive of one result, whose cotangent is not zero");
    match primitive {
        Primitive::Elementwise(op) => elementwise::transpose(op, one(), inputs),
        Primitive::Shape(op) => shape::transpose(op, one(), inputs),
        Primitive::Reduce(op) => reduce::transpose(op, one(), inputs),
        Primitive::Window(op) => window::transpose(op, one(), inputs),
        Primitive::Dot(op) => dot::transpose(op, one(), inputs),
        Primitive::Conv(op) => conv::transpose(op, one(), inputs),
        Primitive::Index(op) => index::transpose(op, one(), inputs),
        Primitive::Linalg(op) => linalg::transpose(op, cotangents, inputs),
        Primitive::Sort(_) | Primitive::Random(_) => Err(not_linear(primitive)),
        Primitive::Control(op) => control::transpose(op, cotangents, inputs, outputs),
    }
}

/// Results of a primitive on batches of this size, of which at least one operand is one.
pub(crate) fn batch(primitive: &Primitive, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    match primitive {
        Primitive::Elementwise(_) | Primitive::Random(_) => elementwise::batch(primitive, inputs, axes),
        Primitive::Shape(op) => shape::batch(op, size, inputs, axes),
        Primitive::Reduce(op) => reduce::batch(op, inputs, axes),
        Primitive::Window(op) => window::batch(op, size, inputs, axes),
        Primitive::Dot(op) => dot::batch(op, inputs, axes),
        Primitive::Conv(op) => conv::batch(op, size, inputs, axes),
        Primitive::Index(op) => index::batch(op, size, inputs, axes),
        Primitive::Sort(op) => sort::batch(op, size, inputs, axes),
        Primitive::Linalg(op) => linalg::batch(op, size, inputs, axes),
        Primitive::Control(op) => control::batch(op, size, inputs, axes),
    }
}

fn not_linear(primitive: &Primitive) -> Error {
    Error::Differentiation(format!("{} is not linear in this operand, so it cannot be transposed", primitive.name()))
}

/// One result and its tangent.
fn dual(output: Tensor, tangent: Option<Tensor>) -> Duals {
    (smallvec![output], smallvec![tangent])
}

/// One result and its batch axis.
fn batched(output: Tensor, axis: usize) -> Batches {
    (smallvec![output], smallvec![Some(axis)])
}

/// For primitives of one result that are linear in all operands together: the same on tangents.
fn linear_jvp(primitive: &Primitive, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let outputs = bind(primitive, primals)?;
    if tangents.iter().all(Option::is_none) {
        return Ok((outputs, smallvec![None]));
    }
    let tangents: Vec<Tensor> =
        tangents.iter().zip(primals).map(|(t, x)| t.clone().unwrap_or_else(|| x.zeros_like())).collect();
    Ok((outputs, bind(primitive, &tangents)?.into_iter().map(Some).collect()))
}

/// For primitives of two operands and one result that are linear in each.
fn bilinear_jvp(primitive: &Primitive, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let outputs = bind(primitive, primals)?;
    let left = match &tangents[0] {
        Some(t) => Some(bind(primitive, &[t.clone(), primals[1].clone()])?.remove(0)),
        None => None,
    };
    let right = match &tangents[1] {
        Some(t) => Some(bind(primitive, &[primals[0].clone(), t.clone()])?.remove(0)),
        None => None,
    };
    Ok((outputs, smallvec![add(left, right)]))
}

/// The sum of two tangents.
fn add(a: Option<Tensor>, b: Option<Tensor>) -> Option<Tensor> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// The operand as a linear one.
fn is_linear(operand: &Operand<Aval>) -> bool {
    matches!(operand, Operand::Linear(_))
}

/// The operands, if all of them are known.
fn known(operands: &[Operand<Aval>]) -> Option<Vec<Tensor>> {
    let known = |operand: &Operand<Aval>| match operand {
        Operand::Known(tensor) => Some(tensor.clone()),
        Operand::Linear(_) => None,
    };
    operands.iter().map(known).collect()
}

/// The aval of an operand.
fn aval_of(operand: &Operand<Aval>) -> &Aval {
    match operand {
        Operand::Known(tensor) => tensor.aval(),
        Operand::Linear(aval) => aval,
    }
}

/// All operands with the batch in front; those that are shared are repeated.
fn all_in_front(size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Vec<Tensor>> {
    inputs.iter().zip(axes).map(|(input, axis)| move_batch(input, size, *axis, 0)).collect()
}

/// A scalar constant of this dtype, which takes part in elementwise operations beside other shapes.
fn scalar(dtype: DType, value: i64) -> Tensor {
    Tensor::from(Literal::new(value, dtype))
}

/// A list with one more entry, for a new axis in front.
fn in_front(first: usize, rest: &[usize]) -> Dims {
    std::iter::once(first).chain(rest.iter().copied()).collect()
}

/// What axes are called once there is a new one in front.
fn after_front(axes: &[usize]) -> Dims {
    axes.iter().map(|axis| axis + 1).collect()
}

/// The axis along which the batch lies in the first operand that has one: where others may be brought
/// so that this one need not move.
fn first_batch(axes: &[Option<usize>]) -> usize {
    axes.iter().flatten().copied().next().expect("at least one operand is batched")
}

/// The number of places between the first and the last of `size` elements that are `by` apart, both
/// counted.
fn dilated(size: usize, by: usize) -> i64 {
    size.saturating_sub(1) as i64 * by as i64 + (size > 0) as i64
}
