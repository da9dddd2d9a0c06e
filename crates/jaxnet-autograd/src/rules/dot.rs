//! The generalized matrix product, which is linear in each operand.

use jaxnet_tensor::primitive::DotGeneral;
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{Aval, Dims, Result, Tensor, inverse_permutation, lax};

use super::{Batches, Cotangents, batched, not_linear};
use crate::linear::Operand;

pub(super) fn transpose(op: &DotGeneral, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    match inputs {
        [Operand::Linear(x), Operand::Known(y)] => Ok(vec![Some(of_lhs(op, ct, x, y)?), None]),
        [Operand::Known(x), Operand::Linear(y)] => {
            // The product with its operands exchanged, whose free axes are then in the other order.
            let swapped = DotGeneral {
                lhs_contracting: op.rhs_contracting.clone(),
                rhs_contracting: op.lhs_contracting.clone(),
                lhs_batch: op.rhs_batch.clone(),
                rhs_batch: op.lhs_batch.clone(),
            };
            let batch = op.lhs_batch.len();
            let lhs_free = x.rank() - batch - op.lhs_contracting.len();
            let order: Dims = (0..batch).chain(batch + lhs_free..ct.rank()).chain(batch..batch + lhs_free).collect();
            let ct = lax::transpose(ct, &order)?;
            Ok(vec![None, Some(of_lhs(&swapped, &ct, y, x)?)])
        }
        _ => Err(not_linear(&op.clone().into())),
    }
}

/// The cotangent of the left operand: `ct` contracted with `y` along `y`'s free axes.
fn of_lhs(op: &DotGeneral, ct: &Tensor, x: &Aval, y: &Tensor) -> Result<Tensor> {
    let batch = op.lhs_batch.len();
    let x_free = DotGeneral::free(x.rank(), &op.lhs_contracting, &op.lhs_batch);
    let y_free = DotGeneral::free(y.rank(), &op.rhs_contracting, &op.rhs_batch);
    let ct_batch: Dims = (0..batch).collect();
    let ct_y: Dims = (batch + x_free.len()..ct.rank()).collect();
    let product = lax::dot_general(ct, y, (&ct_y, &y_free), (&ct_batch, &op.rhs_batch))?;
    // Its axes are the batch, x's free ones, and the contracted ones in the order of y's axes.
    let mut contracted: Vec<(usize, usize)> =
        op.rhs_contracting.iter().copied().zip(op.lhs_contracting.iter().copied()).collect();
    contracted.sort_unstable();
    let of_x: Dims =
        op.lhs_batch.iter().copied().chain(x_free).chain(contracted.into_iter().map(|(_, of_x)| of_x)).collect();
    lax::transpose(&product, &inverse_permutation(&of_x))
}

pub(super) fn batch(op: &DotGeneral, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let [x, y] = inputs else { unreachable!("a product has two operands") };
    // Axes after the batch move up by one.
    let shift = |list: &Dims, axis: usize| -> Dims { list.iter().map(|&a| if a < axis { a } else { a + 1 }).collect() };
    let batch = op.lhs_batch.len();
    match (axes[0], axes[1]) {
        (Some(a), Some(b)) => {
            let first = |axis: usize, list: Dims| -> Dims { std::iter::once(axis).chain(list).collect() };
            let op = DotGeneral {
                lhs_contracting: shift(&op.lhs_contracting, a),
                rhs_contracting: shift(&op.rhs_contracting, b),
                lhs_batch: first(a, shift(&op.lhs_batch, a)),
                rhs_batch: first(b, shift(&op.rhs_batch, b)),
            };
            Ok(batched(bind1(&op.into(), inputs)?, 0))
        }
        // The batch is one more free axis, so that it stays one matrix product. Where it comes out
        // depends on how many free axes are before it.
        (Some(a), None) => {
            let op = DotGeneral {
                lhs_contracting: shift(&op.lhs_contracting, a),
                lhs_batch: shift(&op.lhs_batch, a),
                ..op.clone()
            };
            let free = DotGeneral::free(x.rank(), &op.lhs_contracting, &op.lhs_batch);
            let place = free.iter().position(|&axis| axis == a).expect("the batch is free");
            Ok(batched(bind1(&op.into(), inputs)?, batch + place))
        }
        (None, Some(b)) => {
            let op = DotGeneral {
                rhs_contracting: shift(&op.rhs_contracting, b),
                rhs_batch: shift(&op.rhs_batch, b),
                ..op.clone()
            };
            let x_free = x.rank() - batch - op.lhs_contracting.len();
            let free = DotGeneral::free(y.rank(), &op.rhs_contracting, &op.rhs_batch);
            let place = free.iter().position(|&axis| axis == b).expect("the batch is free");
            Ok(batched(bind1(&op.into(), inputs)?, batch + x_free + place))
        }
        (None, None) => unreachable!("at least one operand is batched"),
    }
}
