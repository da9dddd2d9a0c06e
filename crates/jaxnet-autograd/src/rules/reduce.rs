//! Reductions.

use jaxnet_tensor::primitive::{CumulativeKind, Reduce, ReduceKind};
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{Aval, Dims, Result, Shape, Tensor, lax};

use super::{Batches, Cotangents, Duals, aval_of, batched, dual, linear_jvp, not_linear};
use crate::forward::jvp_leaves;
use crate::linear::Operand;

pub(super) fn jvp(op: &Reduce, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let x = &primals[0];
    let Some(t) = &tangents[0] else {
        return Ok(dual(bind1(&op.clone().into(), primals)?, None));
    };
    match op {
        Reduce::Reduce { kind: ReduceKind::Sum, .. } | Reduce::Cumulative { kind: CumulativeKind::Sum, .. } => {
            linear_jvp(&op.clone().into(), primals, tangents)
        }
        Reduce::Reduce { kind: ReduceKind::Max | ReduceKind::Min, axes } => {
            let y = bind1(&op.clone().into(), primals)?;
            // The mean of the tangents of those elements that are the extreme one, as in JAX.
            let kept: Dims = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
            let is = x.eq(lax::broadcast_in_dim(&y, x.shape(), &kept)?).astype(x.dtype());
            // The extreme of nothing is a constant.
            let count = is.sum_axis(axes).maximum(1.0);
            Ok(dual(y, Some((t * is).sum_axis(axes) / count)))
        }
        Reduce::Reduce { kind: ReduceKind::Prod, axes } => through(op, x, t, |x| product_tree(x, axes)),
        Reduce::Cumulative { kind, axis, reverse } => through(op, x, t, |x| doubling(*kind, x, *axis, *reverse)),
        Reduce::Arg { .. } | Reduce::Reduce { kind: ReduceKind::And | ReduceKind::Or, .. } => {
            Ok(dual(bind1(&op.clone().into(), primals)?, None))
        }
    }
}

/// The result of a reduction, with the tangent of the same composed of other operations.
fn through(op: &Reduce, x: &Tensor, t: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Duals> {
    let y = bind1(&op.clone().into(), std::slice::from_ref(x))?;
    let (_, mut tangents) = jvp_leaves(|x| Ok(vec![f(&x[0])?]), std::slice::from_ref(x), &[Some(t.clone())])?;
    Ok(dual(y, tangents.remove(0)))
}

/// A product as products of halves, which is right, with its derivatives of any order, where factors
/// are zero.
fn product_tree(x: &Tensor, axes: &Dims) -> Result<Tensor> {
    let kept = DotFree::free(x.rank(), axes);
    let permutation: Dims = kept.iter().chain(axes).copied().collect();
    let shape: Shape = kept.iter().map(|&axis| x.shape()[axis]).collect();
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let last = shape.rank();
    let mut x = lax::reshape(&lax::transpose(x, &permutation)?, shape.with_axis(last, count))?;
    if count == 0 {
        return lax::full(&Aval::new(x.dtype(), shape), 1);
    }
    while x.shape()[last] > 1 {
        let size = x.shape()[last];
        let half = size / 2;
        let product = lax::slice_axis(&x, last, 0, half, 1)? * lax::slice_axis(&x, last, half, 2 * half, 1)?;
        x = if size % 2 == 1 {
            lax::concatenate(&[product, lax::slice_axis(&x, last, size - 1, size, 1)?], last)?
        } else {
            product
        };
    }
    lax::reshape(&x, shape)
}

struct DotFree;

impl DotFree {
    fn free(rank: usize, axes: &Dims) -> Dims {
        (0..rank).filter(|axis| !axes.contains(axis)).collect()
    }
}

/// A cumulative reduction in steps that double the distance over which elements are combined
/// (Hillis and Steele 1986), out of operations that have derivatives.
fn doubling(kind: CumulativeKind, x: &Tensor, axis: usize, reverse: bool) -> Result<Tensor> {
    let size = x.shape()[axis];
    let mut x = x.clone();
    let mut distance = 1;
    while distance < size {
        let (start, end) = if reverse { (distance, size) } else { (0, size - distance) };
        let shifted = lax::slice_axis(&x, axis, start, end, 1)?;
        let (first, rest) = if reverse { (0, size - distance) } else { (distance, size) };
        let combined = combine(kind, &lax::slice_axis(&x, axis, first, rest, 1)?, &shifted);
        let same = if reverse {
            lax::slice_axis(&x, axis, size - distance, size, 1)?
        } else {
            lax::slice_axis(&x, axis, 0, distance, 1)?
        };
        x = lax::concatenate(&if reverse { [combined, same] } else { [same, combined] }, axis)?;
        distance *= 2;
    }
    Ok(x)
}

fn combine(kind: CumulativeKind, x: &Tensor, y: &Tensor) -> Tensor {
    match kind {
        CumulativeKind::Sum => x + y,
        CumulativeKind::Prod => x * y,
        CumulativeKind::Max => x.maximum(y),
        CumulativeKind::Min => x.minimum(y),
        CumulativeKind::LogSumExp => {
            // log(e^x + e^y) = max + log1p(e^-|x - y|), whose derivative is written with the difference
            // that loses nothing; of equal infinities it is the value itself.
            let max = x.maximum(y).stop_gradient();
            let shift = max.is_finite().select(&max, max.zeros_like());
            ((x - &shift).exp() + (y - &shift).exp()).log() + shift
        }
    }
}

pub(super) fn transpose(op: &Reduce, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    let from = &aval_of(&inputs[0]).shape;
    match op {
        Reduce::Reduce { kind: ReduceKind::Sum, axes } => {
            let kept: Dims = (0..from.rank()).filter(|axis| !axes.contains(axis)).collect();
            Ok(vec![Some(lax::broadcast_in_dim(ct, from, &kept)?)])
        }
        Reduce::Cumulative { kind: CumulativeKind::Sum, axis, reverse } => {
            Ok(vec![Some(lax::cumulative(CumulativeKind::Sum, ct, *axis, !reverse)?)])
        }
        _ => Err(not_linear(&op.clone().into())),
    }
}

pub(super) fn batch(op: &Reduce, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    // The batch stays where it is; axes after it move up by one.
    let at = axes[0].expect("the one operand is batched");
    let shift = |axis: usize| if axis < at { axis } else { axis + 1 };
    let (op, to): (Reduce, usize) = match op {
        Reduce::Reduce { kind, axes } => {
            let axes: Dims = axes.iter().map(|&axis| shift(axis)).collect();
            let before = axes.iter().filter(|&&axis| axis < at).count();
            (Reduce::Reduce { kind: *kind, axes }, at - before)
        }
        Reduce::Arg { kind, axis, dtype } => {
            let axis = shift(*axis);
            (Reduce::Arg { kind: *kind, axis, dtype: *dtype }, at - (axis < at) as usize)
        }
        Reduce::Cumulative { kind, axis, reverse } => {
            (Reduce::Cumulative { kind: *kind, axis: shift(*axis), reverse: *reverse }, at)
        }
    };
    Ok(batched(bind1(&op.into(), inputs)?, to))
}
