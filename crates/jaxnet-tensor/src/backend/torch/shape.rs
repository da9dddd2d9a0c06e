//! Operations that arrange elements anew; most give views of the same memory.

use tch::{Kind, Tensor};

use super::convert::{Torch, kind, sizes};
use crate::aval::Aval;
use crate::primitive::ShapeOp;

pub(super) fn run(op: &ShapeOp, inputs: &[&Tensor], output: &Aval, device: tch::Device) -> Torch {
    match op {
        ShapeOp::BroadcastInDim { shape, dims } => {
            let from = inputs[0].size();
            let mut aligned = vec![1; shape.rank()];
            for (&axis, size) in dims.iter().zip(from) {
                aligned[axis] = size;
            }
            inputs[0].f_reshape(aligned)?.f_expand(sizes(shape), false)
        }
        ShapeOp::Reshape { shape } => inputs[0].f_reshape(sizes(shape)),
        ShapeOp::Transpose { permutation } => inputs[0].f_permute(sizes(permutation)),
        ShapeOp::Reverse { axes } => inputs[0].f_flip(sizes(axes)),
        ShapeOp::Slice { starts, limits, strides } => {
            let mut slice = inputs[0].shallow_clone();
            for axis in 0..starts.len() {
                let (start, end) = (starts[axis] as i64, limits[axis] as i64);
                slice = slice.f_slice(axis as i64, start, end, strides[axis] as i64)?;
            }
            Ok(slice)
        }
        ShapeOp::Pad { low, high, interior } => {
            let edges: Vec<(i64, i64)> = low.iter().copied().zip(high.iter().copied()).collect();
            let interior: Vec<i64> = sizes(interior);
            pad(inputs[0], inputs[1], &edges, &interior)
        }
        ShapeOp::Concatenate { axis } => Tensor::f_cat(inputs, *axis as i64),
        ShapeOp::Iota { dtype, shape, axis } => {
            let mut aligned = vec![1; shape.rank()];
            aligned[*axis] = shape[*axis] as i64;
            let count = Tensor::f_arange(shape[*axis] as i64, (Kind::Int64, device))?.f_to_kind(kind(*dtype))?;
            count.f_reshape(aligned)?.f_expand(sizes(&output.shape), false)
        }
    }
}

/// `x` with copies of the scalar `value` around it (`edges`, negative ones remove elements) and between its
/// elements.
pub(super) fn pad(x: &Tensor, value: &Tensor, edges: &[(i64, i64)], interior: &[i64]) -> Torch {
    if edges.iter().all(|&edges| edges == (0, 0)) && interior.iter().all(|&holes| holes == 0) {
        return Ok(x.shallow_clone());
    }
    let from = x.size();
    let dilated: Vec<i64> = from.iter().zip(interior).map(|(&size, &holes)| size + (size - 1).max(0) * holes).collect();
    let mut padded = x.shallow_clone();
    if edges.iter().any(|&(low, high)| low > 0 || high > 0) || dilated != from {
        let shape: Vec<i64> =
            dilated.iter().zip(edges).map(|(size, (low, high))| size + low.max(&0) + high.max(&0)).collect();
        padded = Tensor::f_empty(&shape, (x.kind(), x.device()))?;
        let _ = padded.f_fill_tensor_(value)?;
        let mut place = padded.shallow_clone();
        for (axis, (&size, &(low, _))) in dilated.iter().zip(edges).enumerate() {
            place = place.f_slice(axis as i64, low.max(0), low.max(0) + size, interior[axis] + 1)?;
        }
        place.f_copy_(x)?;
    }
    for (axis, (&size, &(low, high))) in dilated.iter().zip(edges).enumerate() {
        if low < 0 || high < 0 {
            // More may be cut from one side than there is before the other is padded: it is padded by now.
            padded = padded.f_slice(axis as i64, (-low).max(0), size + low.max(0) + high, 1)?;
        }
    }
    Ok(padded)
}
