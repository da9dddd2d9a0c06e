//! Slices at computed starts, which are linear in all that is not a start.

use jaxnet_tensor::primitive::{GatherDims, Index, ScatterDims, ScatterKind};
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{Aval, DType, Dims, Result, Shape, Tensor, lax};

use super::{count_dtype, greatest};
use crate::batch::move_batch;
use crate::linear::Operand;
use crate::rules::{
    Batches, Cotangents, Duals, batched, dual, first_batch, in_front, is_linear, known, not_linear, scalar,
};

/// The number of operands before the starts.
fn values(op: &Index) -> usize {
    if matches!(op, Index::DynamicUpdateSlice) { 2 } else { 1 }
}

pub(super) fn jvp(op: &Index, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let y = bind1(&op.clone().into(), primals)?;
    let (values, starts) = primals.split_at(values(op));
    let tangents = &tangents[..values.len()];
    if tangents.iter().all(Option::is_none) {
        return Ok(dual(y, None));
    }
    let or_zeros = |(t, x): (&Option<Tensor>, &Tensor)| t.clone().unwrap_or_else(|| x.zeros_like());
    let operands: Vec<Tensor> = tangents.iter().zip(values).map(or_zeros).chain(starts.iter().cloned()).collect();
    Ok(dual(y, Some(bind1(&op.clone().into(), &operands)?)))
}

pub(super) fn transpose(op: &Index, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    let (values, starts) = inputs.split_at(values(op));
    let Some(starts) = known(starts) else { return Err(not_linear(&op.clone().into())) };
    // The starts move inside as they did on the way forward, since the sizes are the same.
    let mut results = match values {
        [Operand::Linear(operand)] => {
            vec![Some(lax::dynamic_update_slice(&lax::full(&operand.strong(), 0)?, ct, &starts)?)]
        }
        [operand, update] => {
            let shape = &crate::rules::aval_of(update).shape;
            let of_operand = if is_linear(operand) {
                // What was written over has no part in the result.
                let zeros = lax::full(&Aval::new(ct.dtype(), shape), 0)?;
                Some(lax::dynamic_update_slice(ct, &zeros, &starts)?)
            } else {
                None
            };
            let of_update = if is_linear(update) { Some(lax::dynamic_slice(ct, &starts, shape)?) } else { None };
            vec![of_operand, of_update]
        }
        _ => return Err(not_linear(&op.clone().into())),
    };
    results.resize(inputs.len(), None);
    Ok(results)
}

/// The start along an axis that is taken whole, of the dtype that the others have.
fn whole(starts: &[Tensor]) -> Tensor {
    scalar(starts.first().map_or(DType::I32, Tensor::dtype), 0)
}

pub(super) fn batch_slice(sizes: &Shape, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let (operand, starts) = (&inputs[0], &inputs[1..]);
    let rank = starts.len();
    if axes[1..].iter().all(Option::is_none) {
        // All slices are at one place, and the batch is taken whole.
        let at = first_batch(axes);
        let mut starts = starts.to_vec();
        starts.insert(at, whole(&starts));
        return Ok(batched(lax::dynamic_slice(operand, &starts, sizes.with_axis(at, size))?, at));
    }
    let example = axes[0].map_or(operand.shape().clone(), |axis| operand.shape().without_axis(axis));
    let indices = index_vectors(size, &example, sizes, starts, &axes[1..])?;
    let offset_dims: Dims = (1..=rank).collect();
    let y = match axes[0] {
        Some(axis) => {
            let dims = GatherDims {
                start_index_map: offset_dims.clone(),
                offset_dims,
                operand_batching_dims: Dims::from_elem(0, 1),
                start_indices_batching_dims: Dims::from_elem(0, 1),
                ..GatherDims::default()
            };
            let operand = move_batch(operand, size, Some(axis), 0)?;
            lax::gather(&operand, &indices, &dims, &in_front(size.min(1), sizes))?
        }
        None => {
            let dims = GatherDims { offset_dims, start_index_map: (0..rank).collect(), ..GatherDims::default() };
            lax::gather(operand, &indices, &dims, sizes)?
        }
    };
    Ok(batched(y, 0))
}

pub(super) fn batch_update(size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let (values, starts) = inputs.split_at(2);
    let rank = starts.len();
    if axes[2..].iter().all(Option::is_none) {
        let at = first_batch(axes);
        let operand = move_batch(&values[0], size, axes[0], at)?;
        let update = move_batch(&values[1], size, axes[1], at)?;
        let mut starts = starts.to_vec();
        starts.insert(at, whole(&starts));
        return Ok(batched(lax::dynamic_update_slice(&operand, &update, &starts)?, at));
    }
    let operand = move_batch(&values[0], size, axes[0], 0)?;
    let update = move_batch(&values[1], size, axes[1], 0)?;
    let indices = index_vectors(size, &operand.shape()[1..], &update.shape()[1..], starts, &axes[2..])?;
    let axes: Dims = (1..=rank).collect();
    let dims = ScatterDims {
        update_window_dims: axes.clone(),
        operand_batching_dims: Dims::from_elem(0, 1),
        scatter_indices_batching_dims: Dims::from_elem(0, 1),
        scatter_dims_to_operand_dims: axes,
        ..ScatterDims::default()
    };
    Ok(batched(lax::scatter(ScatterKind::Set, &operand, &indices, &update, &dims)?, 0))
}

/// One index vector for each example, moved to where a window of these sizes fits.
fn index_vectors(
    size: usize,
    operand: &[usize],
    window: &[usize],
    starts: &[Tensor],
    axes: &[Option<usize>],
) -> Result<Tensor> {
    let dtype = count_dtype(operand.iter().copied().max().unwrap_or(0));
    let component = |axis: usize| {
        let start = &starts[axis];
        // In the dtype that it has, which may tell greater numbers than the common one.
        let last = ((operand[axis] - window[axis]) as i64).min(greatest(start.dtype()));
        let start = lax::clamp(&scalar(start.dtype(), 0), start, &scalar(start.dtype(), last))?;
        let start = move_batch(&lax::convert(&start, dtype)?, size, axes[axis], 0)?;
        lax::reshape(&start, [size, 1])
    };
    lax::concatenate(&(0..starts.len()).map(component).collect::<Result<Vec<_>>>()?, 1)
}
