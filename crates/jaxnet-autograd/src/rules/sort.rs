//! Sorting, whose tangents are put in the order that the values get.

use jaxnet_tensor::primitive::{GatherDims, Sort};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{DType, Dims, Result, Tensor, lax};
use smallvec::smallvec;

use super::{Batches, Duals, first_batch};
use crate::batch::move_batch;

pub(super) fn jvp(op: &Sort, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    if tangents.iter().all(Option::is_none) {
        let outputs = bind(&op.clone().into(), primals)?;
        let zeros = outputs.iter().map(|_| None).collect();
        return Ok((outputs, zeros));
    }
    match op {
        Sort::Sort { axis, keys, descending } => {
            let shape = primals[0].shape();
            let dtype = if shape[*axis] <= i32::MAX as usize { DType::I32 } else { DType::I64 };
            // Sorting is stable, so that numbers that take no part in comparisons end up where the
            // elements do that they started beside.
            let numbers = lax::iota(dtype, shape, *axis)?;
            let operands: Vec<Tensor> = primals.iter().cloned().chain([numbers]).collect();
            let mut outputs =
                bind(&Sort::Sort { axis: *axis, keys: *keys, descending: *descending }.into(), &operands)?;
            let order = outputs.pop().expect("as many results as operands");
            let arrange = |t: &Option<Tensor>| match t {
                Some(t) => take_along_axis(t, &order, *axis),
                None => Ok(None),
            };
            let tangents = tangents.iter().map(arrange).collect::<Result<_>>()?;
            Ok((outputs, tangents))
        }
        Sort::TopK { .. } => {
            let outputs = bind(&op.clone().into(), primals)?;
            let t = tangents[0].as_ref().expect("the one tangent is not zero");
            let tangent = take_along_axis(t, &outputs[1], t.rank() - 1)?;
            Ok((outputs, smallvec![tangent, None]))
        }
    }
}

/// The elements of `x` at these places along an axis, which are inside; `None` where there are none.
fn take_along_axis(x: &Tensor, places: &Tensor, axis: usize) -> Result<Option<Tensor>> {
    if places.size() == 0 {
        return Ok(None);
    }
    let batch: Dims = (0..x.rank()).filter(|&other| other != axis).collect();
    let dims = GatherDims {
        collapsed_slice_dims: Dims::from_elem(axis, 1),
        operand_batching_dims: batch.clone(),
        start_indices_batching_dims: batch,
        start_index_map: Dims::from_elem(axis, 1),
        ..GatherDims::default()
    };
    let indices = lax::reshape(places, places.shape().with_axis(x.rank(), 1))?;
    lax::gather(x, &indices, &dims, &Dims::from_elem(1, x.rank())).map(Some)
}

pub(super) fn batch(op: &Sort, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let (op, at) = match op {
        Sort::Sort { axis, keys, descending } => {
            let at = first_batch(axes);
            let axis = if *axis < at { *axis } else { axis + 1 };
            (Sort::Sort { axis, keys: *keys, descending: *descending }, at)
        }
        // What is compared has to stay last.
        Sort::TopK { .. } => (op.clone(), 0),
    };
    let inputs = inputs.iter().zip(axes).map(|(x, from)| move_batch(x, size, *from, at)).collect::<Result<Vec<_>>>()?;
    let outputs = bind(&op.into(), &inputs)?;
    let axes = outputs.iter().map(|_| Some(at)).collect();
    Ok((outputs, axes))
}
