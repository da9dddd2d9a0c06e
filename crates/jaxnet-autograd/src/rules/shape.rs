//! Operations that arrange elements anew: linear, but for `iota`, which has no operand.

use jaxnet_tensor::primitive::ShapeOp;
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{Aval, Dims, Result, Tensor, inverse_permutation, lax};

use super::{Batches, Cotangents, all_in_front, aval_of, batched, is_linear};
use crate::batch::move_batch;
use crate::linear::Operand;

pub(super) fn transpose(op: &ShapeOp, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    let shape = || &aval_of(&inputs[0]).shape;
    Ok(match op {
        ShapeOp::BroadcastInDim { shape: to, dims } => {
            let from = shape();
            // Axes that are new or were repeated are summed; the latter come back with size 1.
            let repeated = |axis: usize| match dims.iter().position(|&dim| dim == axis) {
                None => true,
                Some(i) => from[i] == 1 && to[axis] != 1,
            };
            let axes: Dims = (0..to.rank()).filter(|&axis| repeated(axis)).collect();
            let sum = if axes.is_empty() { ct.clone() } else { ct.sum_axis(&axes) };
            vec![Some(lax::reshape(&sum, from)?)]
        }
        ShapeOp::Reshape { .. } => vec![Some(lax::reshape(ct, shape())?)],
        ShapeOp::Transpose { permutation } => vec![Some(lax::transpose(ct, &inverse_permutation(permutation))?)],
        ShapeOp::Reverse { axes } => vec![Some(lax::reverse(ct, axes)?)],
        ShapeOp::Slice { starts, strides, .. } => {
            let from = shape();
            let zero = Tensor::full([0_usize; 0], 0, ct.dtype());
            let low: Vec<i64> = starts.iter().map(|&start| start as i64).collect();
            // What is left of the axis after the last element that was taken.
            let high: Vec<i64> = (0..from.rank())
                .map(|axis| {
                    let (taken, stride) = (ct.shape()[axis] as i64, strides[axis] as i64);
                    let end = low[axis] + if taken == 0 { 0 } else { (taken - 1) * stride + 1 };
                    from[axis] as i64 - end
                })
                .collect();
            let interior: Dims = strides.iter().map(|stride| stride - 1).collect();
            vec![Some(lax::pad(ct, &zero, &low, &high, &interior)?)]
        }
        ShapeOp::Pad { low, high, interior } => {
            let from = shape();
            let x = if is_linear(&inputs[0]) {
                // Removes the padding, which adds zeros where elements had been removed, then takes
                // those that were elements.
                let negated = |widths: &[i64]| -> Vec<i64> { widths.iter().map(|width| -width).collect() };
                let zero = Tensor::full([0_usize; 0], 0, ct.dtype());
                let unpadded = lax::pad(ct, &zero, &negated(low), &negated(high), &vec![0; low.len()])?;
                let strides: Dims = interior.iter().map(|between| between + 1).collect();
                let starts = Dims::from_elem(0, from.rank());
                Some(lax::slice(&unpadded, &starts, unpadded.shape(), &strides)?)
            } else {
                None
            };
            let value = if is_linear(&inputs[1]) {
                // All that did not come from the operand.
                let ones = lax::full(&Aval::new(ct.dtype(), from), 0)?;
                let one = Tensor::full([0_usize; 0], 1, ct.dtype());
                let mask = lax::pad(&ones, &one, low, high, interior)?;
                Some((ct * mask).sum())
            } else {
                None
            };
            vec![x, value]
        }
        ShapeOp::Concatenate { axis } => {
            let mut start = 0;
            inputs
                .iter()
                .map(|input| {
                    let size = aval_of(input).shape[*axis];
                    start += size;
                    if !is_linear(input) {
                        return Ok(None);
                    }
                    lax::slice_axis(ct, *axis, start - size, start, 1).map(Some)
                })
                .collect::<Result<_>>()?
        }
        ShapeOp::Iota { .. } => vec![],
    })
}

pub(super) fn batch(op: &ShapeOp, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let front = || move_batch(&inputs[0], size, axes[0], 0);
    // The same in front of some parameters.
    let prepend = |first: usize, rest: &Dims| -> Dims { std::iter::once(first).chain(rest.iter().copied()).collect() };
    let op = match op {
        ShapeOp::BroadcastInDim { shape, dims } => ShapeOp::BroadcastInDim {
            shape: shape.with_axis(0, size),
            dims: std::iter::once(0).chain(dims.iter().map(|dim| dim + 1)).collect(),
        },
        ShapeOp::Reshape { shape } => ShapeOp::Reshape { shape: shape.with_axis(0, size) },
        ShapeOp::Transpose { permutation } => {
            // Without moving the batch first: it may stay where it is.
            let axis = axes[0].expect("the one operand is batched");
            let place = |from: usize| if from < axis { from } else { from + 1 };
            let permutation = std::iter::once(axis).chain(permutation.iter().map(|&from| place(from))).collect();
            let op = ShapeOp::Transpose { permutation };
            return Ok(batched(bind1(&op.into(), inputs)?, 0));
        }
        ShapeOp::Reverse { axes } => ShapeOp::Reverse { axes: axes.iter().map(|axis| axis + 1).collect() },
        ShapeOp::Slice { starts, limits, strides } => {
            ShapeOp::Slice { starts: prepend(0, starts), limits: prepend(size, limits), strides: prepend(1, strides) }
        }
        ShapeOp::Pad { low, high, interior } => {
            let with = |first: i64, rest: &[i64]| std::iter::once(first).chain(rest.iter().copied()).collect();
            let padded = ShapeOp::Pad { low: with(0, low), high: with(0, high), interior: prepend(0, interior) };
            if axes[1].is_none() {
                return Ok(batched(bind1(&padded.into(), &[front()?, inputs[1].clone()])?, 0));
            }
            // A padding value for each example: padded with zeros, then filled where nothing came from
            // the operand.
            let x = front()?;
            let zero = Tensor::full([0_usize; 0], 0, x.dtype());
            let y = bind1(&padded.clone().into(), &[x.clone(), zero])?;
            let from_operand = Tensor::full(x.shape(), true, jaxnet_tensor::DType::Bool);
            let mask = bind1(&padded.into(), &[from_operand, Tensor::from(false)])?;
            let value = lax::broadcast_in_dim(&inputs[1], y.shape(), &[0])?;
            return Ok(batched(lax::select(&mask, &y, &value)?, 0));
        }
        ShapeOp::Concatenate { axis } => {
            let op = ShapeOp::Concatenate { axis: axis + 1 };
            return Ok(batched(bind1(&op.into(), &all_in_front(size, inputs, axes)?)?, 0));
        }
        ShapeOp::Iota { .. } => unreachable!("iota has no operand that could be batched"),
    };
    Ok(batched(bind1(&op.into(), &[front()?])?, 0))
}
