//! Reading and writing at computed places.

mod dynamic;
mod gather;
mod scatter;

use jaxnet_tensor::primitive::{CompareOp, Index, ReduceKind};
use jaxnet_tensor::{Aval, DType, Dims, Result, Tensor, lax};

use super::{Batches, Cotangents, Duals, scalar};
use crate::linear::Operand;

pub(super) fn jvp(op: &Index, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    match op {
        Index::Gather { .. } => gather::jvp(op, primals, tangents),
        Index::Scatter { kind, dims } => scatter::jvp(*kind, dims, primals, tangents),
        Index::DynamicSlice { .. } | Index::DynamicUpdateSlice => dynamic::jvp(op, primals, tangents),
    }
}

pub(super) fn transpose(op: &Index, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    match op {
        Index::Gather { dims, slice_sizes } => gather::transpose(dims, slice_sizes, ct, inputs),
        Index::Scatter { kind, dims } => scatter::transpose(*kind, dims, ct, inputs),
        Index::DynamicSlice { .. } | Index::DynamicUpdateSlice => dynamic::transpose(op, ct, inputs),
    }
}

pub(super) fn batch(op: &Index, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    match op {
        Index::Gather { dims, slice_sizes } => gather::batch(dims, slice_sizes, size, inputs, axes),
        Index::Scatter { kind, dims } => scatter::batch(*kind, dims, size, inputs, axes),
        Index::DynamicSlice { sizes } => dynamic::batch_slice(sizes, size, inputs, axes),
        Index::DynamicUpdateSlice => dynamic::batch_update(size, inputs, axes),
    }
}

/// The greatest number that an integer dtype has.
fn greatest(dtype: DType) -> i64 {
    match dtype {
        DType::U8 => u8::MAX.into(),
        DType::I32 => i32::MAX.into(),
        DType::U32 => u32::MAX.into(),
        _ => i64::MAX,
    }
}

/// The dtype of counts up to `size`.
fn count_dtype(size: usize) -> DType {
    if size <= i32::MAX as usize { DType::I32 } else { DType::I64 }
}

/// The last index at which windows of these sizes fit, for each component of index vectors along the
/// axes `map` of the operand: something that takes part in elementwise operations beside `indices`.
fn last_indices(indices: &Tensor, operand: &[usize], window: &[usize], map: &[usize]) -> Result<Tensor> {
    let dtype = indices.dtype();
    // An axis may be longer than indices of a narrow dtype can tell.
    let last = |&axis: &usize| ((operand[axis] - window[axis]) as i64).min(greatest(dtype));
    let last: Vec<i64> = map.iter().map(last).collect();
    match last.first() {
        Some(&first) if last.iter().all(|&other| other == first) => Ok(scalar(dtype, first)),
        None => Ok(scalar(dtype, 0)),
        Some(_) => {
            let parts: Vec<Tensor> =
                last.iter().map(|&last| lax::full(&Aval::new(dtype, 1), last)).collect::<Result<_>>()?;
            lax::broadcast_in_dim(&lax::concatenate(&parts, 0)?, indices.shape(), &[indices.rank() - 1])
        }
    }
}

/// Index vectors moved to where windows of these sizes fit, as gathers move them.
fn clamp_indices(indices: &Tensor, operand: &[usize], window: &[usize], map: &[usize]) -> Result<Tensor> {
    if indices.size() == 0 {
        return Ok(indices.clone());
    }
    let last = last_indices(indices, operand, window, map)?;
    let first = scalar(indices.dtype(), 0);
    if last.rank() == 0 {
        return lax::clamp(&first, indices, &last);
    }
    lax::clamp(&lax::broadcast_in_dim(&first, indices.shape(), &[])?, indices, &last)
}

/// Whether windows of these sizes fit at each index vector.
fn fitting(indices: &Tensor, operand: &[usize], window: &[usize], map: &[usize]) -> Result<Tensor> {
    let last = last_indices(indices, operand, window, map)?;
    let fits = lax::compare(CompareOp::Ge, indices, &scalar(indices.dtype(), 0))?
        & lax::compare(CompareOp::Le, indices, &last)?;
    lax::reduce(ReduceKind::And, &fits, &[indices.rank() - 1])
}

/// The axes of an array with so many that are not in this list.
fn others(axes: &[usize], rank: usize) -> Dims {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}
