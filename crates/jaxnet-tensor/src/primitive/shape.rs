//! Operations that arrange elements anew.

use std::fmt::{self, Write};

use super::{arity, check_axes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, Shape};

/// An operation that moves elements without computing on them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShapeOp {
    /// The operand's axis `i` becomes axis `dims[i]` of the result; axes of size 1 are repeated.
    BroadcastInDim {
        /// The result's shape.
        shape: Shape,
        /// For each axis of the operand, its place in the result, in increasing order.
        dims: Dims,
    },
    /// The elements in row-major order in another shape of the same size.
    Reshape {
        /// The result's shape.
        shape: Shape,
    },
    /// Axis `permutation[i]` of the operand becomes axis `i` of the result.
    Transpose {
        /// Every axis of the operand, in the result's order.
        permutation: Dims,
    },
    /// The order along some axes turned round.
    Reverse {
        /// Those axes.
        axes: Dims,
    },
    /// Every `strides[i]`-th index from `starts[i]` until before `limits[i]`, along each axis `i`.
    Slice {
        /// The first index.
        starts: Dims,
        /// The end, not included.
        limits: Dims,
        /// The step, at least 1.
        strides: Dims,
    },
    /// Adds copies of a scalar (the second operand) around and between elements.
    Pad {
        /// How many before the first element of each axis; negative removes elements.
        low: Vec<i64>,
        /// How many after the last element of each axis; negative removes elements.
        high: Vec<i64>,
        /// How many between neighbours on each axis.
        interior: Dims,
    },
    /// The operands one after the other along an axis.
    Concatenate {
        /// That axis.
        axis: usize,
    },
    /// Counts 0, 1, … along one axis; no operand.
    Iota {
        /// The result's dtype.
        dtype: DType,
        /// The result's shape.
        shape: Shape,
        /// The axis to count along.
        axis: usize,
    },
}

impl ShapeOp {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            ShapeOp::BroadcastInDim { .. } => "broadcast_in_dim",
            ShapeOp::Reshape { .. } => "reshape",
            ShapeOp::Transpose { .. } => "transpose",
            ShapeOp::Reverse { .. } => "reverse",
            ShapeOp::Slice { .. } => "slice",
            ShapeOp::Pad { .. } => "pad",
            ShapeOp::Concatenate { .. } => "concatenate",
            ShapeOp::Iota { .. } => "iota",
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            ShapeOp::BroadcastInDim { shape, dims } => write!(f, "shape={shape} dims={dims:?}"),
            ShapeOp::Reshape { shape } => write!(f, "shape={shape}"),
            ShapeOp::Transpose { permutation } => write!(f, "permutation={permutation:?}"),
            ShapeOp::Reverse { axes } => write!(f, "axes={axes:?}"),
            ShapeOp::Slice { starts, limits, strides } => {
                write!(f, "starts={starts:?} limits={limits:?}")?;
                if strides.iter().any(|&stride| stride != 1) {
                    write!(f, " strides={strides:?}")?;
                }
                Ok(())
            }
            ShapeOp::Pad { low, high, interior } => {
                write!(f, "low={low:?} high={high:?} interior={interior:?}")
            }
            ShapeOp::Concatenate { axis } => write!(f, "axis={axis}"),
            ShapeOp::Iota { dtype, shape, axis } => write!(f, "dtype={dtype} shape={shape} axis={axis}"),
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        let fail = |message: String| Err(Error::invalid(self.name(), message));
        match self {
            ShapeOp::Iota { .. } => arity(self.name(), inputs, 0)?,
            ShapeOp::Concatenate { .. } => {
                if inputs.is_empty() {
                    return fail("needs at least one operand".into());
                }
            }
            ShapeOp::Pad { .. } => arity(self.name(), inputs, 2)?,
            _ => arity(self.name(), inputs, 1)?,
        }
        let rank = inputs.first().map_or(0, |input| input.rank());
        let shape = match self {
            ShapeOp::BroadcastInDim { shape, dims } => {
                let from = &inputs[0].shape;
                check_axes(self.name(), "dims", dims, shape.rank())?;
                if dims.len() != rank || dims.windows(2).any(|pair| pair[0] >= pair[1]) {
                    return fail(format!("dims {dims:?} must name one axis of {shape} for each of {from}, in order"));
                }
                for (i, &dim) in dims.iter().enumerate() {
                    if from[i] != 1 && from[i] != shape[dim] {
                        return fail(format!("cannot broadcast {from} to {shape} along dims {dims:?}"));
                    }
                }
                shape.clone()
            }
            ShapeOp::Reshape { shape } => {
                if shape.size() != inputs[0].size() {
                    return fail(format!(
                        "cannot reshape {} ({} elements) to {shape} ({} elements)",
                        inputs[0].shape,
                        inputs[0].size(),
                        shape.size()
                    ));
                }
                shape.clone()
            }
            ShapeOp::Transpose { permutation } => {
                check_axes(self.name(), "permutation", permutation, rank)?;
                if permutation.len() != rank {
                    return fail(format!(
                        "permutation {permutation:?} does not name every axis of {}",
                        inputs[0].shape
                    ));
                }
                permutation.iter().map(|&axis| inputs[0].shape[axis]).collect()
            }
            ShapeOp::Reverse { axes } => {
                check_axes(self.name(), "axes", axes, rank)?;
                inputs[0].shape.clone()
            }
            ShapeOp::Slice { starts, limits, strides } => {
                let from = &inputs[0].shape;
                if starts.len() != rank || limits.len() != rank || strides.len() != rank {
                    return fail(format!("needs a start, a limit and a stride for each axis of {from}"));
                }
                let mut shape = Shape::scalar().to_vec();
                for axis in 0..rank {
                    let (start, limit, stride) = (starts[axis], limits[axis], strides[axis]);
                    if start > limit || limit > from[axis] || stride == 0 {
                        return fail(format!(
                            "{start}..{limit} in steps of {stride} is not within axis {axis} of {from}"
                        ));
                    }
                    shape.push((limit - start).div_ceil(stride));
                }
                shape.into()
            }
            ShapeOp::Pad { low, high, interior } => {
                let from = &inputs[0].shape;
                if low.len() != rank || high.len() != rank || interior.len() != rank {
                    return fail(format!("needs a padding for each axis of {from}"));
                }
                if inputs[1].rank() != 0 || inputs[1].dtype != inputs[0].dtype {
                    return fail(format!(
                        "the padding value must be a scalar of the operand's dtype, got {}",
                        inputs[1]
                    ));
                }
                let mut shape = Shape::scalar().to_vec();
                for axis in 0..rank {
                    let size = from[axis] as i64;
                    let padded = size + (size - 1).max(0) * interior[axis] as i64 + low[axis] + high[axis];
                    if padded < 0 {
                        return fail(format!(
                            "padding ({}, {}) leaves less than nothing of axis {axis} of {from}",
                            low[axis], high[axis]
                        ));
                    }
                    shape.push(padded as usize);
                }
                shape.into()
            }
            ShapeOp::Concatenate { axis } => {
                check_axes(self.name(), "axis", &[*axis], rank)?;
                let mut shape = inputs[0].shape.clone();
                for input in &inputs[1..] {
                    if input.rank() != rank
                        || input.dtype != inputs[0].dtype
                        || input.shape.without_axis(*axis) != shape.without_axis(*axis)
                    {
                        return fail(format!("operands {inputs:?} differ in more than the size of axis {axis}"));
                    }
                    shape.dims_mut()[*axis] += input.shape[*axis];
                }
                shape
            }
            ShapeOp::Iota { dtype, shape, axis } => {
                check_axes(self.name(), "axis", &[*axis], shape.rank())?;
                if *dtype == DType::Bool {
                    return fail("cannot count in bool".into());
                }
                return Ok(Aval::new(*dtype, shape));
            }
        };
        let values = if matches!(self, ShapeOp::Pad { .. }) { &inputs[..1] } else { inputs };
        Ok(Aval { dtype: inputs[0].dtype, shape, weak: values.iter().all(|input| input.weak) })
    }
}
