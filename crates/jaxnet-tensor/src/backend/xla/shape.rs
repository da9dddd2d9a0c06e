//! Operations that arrange elements anew.

use super::hlo::{Builder, Value, braces};
use crate::aval::Aval;
use crate::primitive::ShapeOp;
use crate::shape::{Dims, Shape};

pub(super) fn lower(b: &mut Builder<'_>, op: &ShapeOp, inputs: &[Value], output: &Aval) -> Value {
    match op {
        ShapeOp::BroadcastInDim { shape, dims } => broadcast_in_dim(b, &inputs[0], shape, dims),
        ShapeOp::Reshape { shape } => b.reshape(&inputs[0], shape),
        ShapeOp::Transpose { permutation } => {
            let attributes = format!("dimensions={}", braces(permutation));
            b.op("transpose", output.dtype, &output.shape, &[&inputs[0]], &attributes)
        }
        ShapeOp::Reverse { axes } => {
            let attributes = format!("dimensions={}", braces(axes));
            b.op("reverse", output.dtype, &output.shape, &[&inputs[0]], &attributes)
        }
        ShapeOp::Slice { starts, limits, strides } => b.slice(&inputs[0], starts, limits, strides),
        ShapeOp::Pad { low, high, interior } => {
            let padding: Vec<_> =
                low.iter().zip(high).zip(interior).map(|((&low, &high), &interior)| (low, high, interior)).collect();
            b.pad(&inputs[0], &inputs[1], &padding)
        }
        ShapeOp::Concatenate { axis } => {
            let operands: Vec<&Value> = inputs.iter().collect();
            b.op("concatenate", output.dtype, &output.shape, &operands, &format!("dimensions={{{axis}}}"))
        }
        ShapeOp::Iota { dtype, shape, axis } => b.iota(*dtype, shape, *axis),
    }
}

/// HLO's broadcast repeats whole axes only, so that axes of size 1 that grow are dropped first.
pub(super) fn broadcast_in_dim(b: &mut Builder<'_>, x: &Value, shape: &Shape, dims: &[usize]) -> Value {
    let kept: Dims = (0..x.rank()).filter(|&axis| x.shape[axis] == shape[dims[axis]]).collect();
    let narrow = b.reshape(x, &kept.iter().map(|&axis| x.shape[axis]).collect());
    if narrow.shape == *shape {
        return narrow;
    }
    let dims = braces(kept.iter().map(|&axis| dims[axis]));
    b.op("broadcast", x.dtype, shape, &[&narrow], &format!("dimensions={dims}"))
}
