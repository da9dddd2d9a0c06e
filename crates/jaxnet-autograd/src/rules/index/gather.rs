//! Gather, which is linear in the operand.

use jaxnet_tensor::primitive::{GatherDims, Index, ScatterDims, ScatterKind};
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{Aval, Dims, Result, Tensor, lax};

use super::clamp_indices;
use crate::batch::move_batch;
use crate::linear::Operand;
use crate::rules::{Batches, Cotangents, Duals, after_front, batched, dual, in_front, not_linear};

pub(super) fn jvp(op: &Index, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let y = bind1(&op.clone().into(), primals)?;
    let tangent = match &tangents[0] {
        Some(t) => Some(bind1(&op.clone().into(), &[t.clone(), primals[1].clone()])?),
        None => None,
    };
    Ok(dual(y, tangent))
}

/// Adds each element of the cotangent where it was taken from.
pub(super) fn transpose(
    dims: &GatherDims,
    slice_sizes: &Dims,
    ct: &Tensor,
    inputs: &[Operand<Aval>],
) -> Result<Cotangents> {
    let [Operand::Linear(operand), Operand::Known(indices)] = inputs else {
        return Err(not_linear(&Index::Gather { dims: dims.clone(), slice_sizes: slice_sizes.clone() }.into()));
    };
    // A gather moves slices inside, but a scatter leaves windows out that do not fit.
    let indices = clamp_indices(indices, &operand.shape, slice_sizes, &dims.start_index_map)?;
    let zeros = lax::full(&operand.strong(), 0)?;
    Ok(vec![Some(lax::scatter(ScatterKind::Add, &zeros, &indices, ct, &to_scatter(dims))?), None])
}

/// The axes of the scatter that writes where the gather reads.
fn to_scatter(dims: &GatherDims) -> ScatterDims {
    ScatterDims {
        update_window_dims: dims.offset_dims.clone(),
        inserted_window_dims: dims.collapsed_slice_dims.clone(),
        operand_batching_dims: dims.operand_batching_dims.clone(),
        scatter_indices_batching_dims: dims.start_indices_batching_dims.clone(),
        scatter_dims_to_operand_dims: dims.start_index_map.clone(),
    }
}

pub(super) fn batch(
    dims: &GatherDims,
    slice_sizes: &Dims,
    size: usize,
    inputs: &[Tensor],
    axes: &[Option<usize>],
) -> Result<Batches> {
    // A shared operand is not repeated, and neither are shared indices.
    let front = |i: usize| match axes[i] {
        Some(axis) => move_batch(&inputs[i], size, Some(axis), 0),
        None => Ok(inputs[i].clone()),
    };
    let (operand, indices) = (front(0)?, front(1)?);
    let mut dims = dims.clone();
    let mut slice_sizes = slice_sizes.clone();
    dims.offset_dims = after_front(&dims.offset_dims);
    if axes[0].is_some() {
        dims.collapsed_slice_dims = after_front(&dims.collapsed_slice_dims);
        dims.operand_batching_dims = after_front(&dims.operand_batching_dims);
        dims.start_index_map = after_front(&dims.start_index_map);
    }
    if axes[1].is_some() {
        dims.start_indices_batching_dims = after_front(&dims.start_indices_batching_dims);
    }
    match (axes[0], axes[1]) {
        (Some(_), Some(_)) => {
            dims.operand_batching_dims.insert(0, 0);
            dims.start_indices_batching_dims.insert(0, 0);
            slice_sizes = in_front(size.min(1), &slice_sizes);
        }
        // All examples' slices are at the same places, so that the batch is a part of each slice.
        (Some(_), None) => {
            dims.offset_dims.insert(0, 0);
            slice_sizes = in_front(size, &slice_sizes);
        }
        // More index vectors.
        (None, _) => {}
    }
    Ok(batched(lax::gather(&operand, &indices, &dims, &slice_sizes)?, 0))
}
