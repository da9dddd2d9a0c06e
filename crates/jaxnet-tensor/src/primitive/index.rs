//! Reading and writing parts of arrays at computed places.

use std::fmt::{self, Write};

use super::{arity, check_axes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, Shape};

/// How a gather's axes correspond; see XLA's `GatherDimensionNumbers`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct GatherDims {
    /// The result's axes that run within a slice, in order.
    pub offset_dims: Dims,
    /// The operand's axes that are dropped from a slice, where its size is 1.
    pub collapsed_slice_dims: Dims,
    /// The operand's axes that are paired with axes of the indices.
    pub operand_batching_dims: Dims,
    /// Those axes of the indices.
    pub start_indices_batching_dims: Dims,
    /// For each component of an index vector, the operand's axis that it moves along.
    pub start_index_map: Dims,
}

/// How a scatter's axes correspond; see XLA's `ScatterDimensionNumbers`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ScatterDims {
    /// The updates' axes that run within a window, in order.
    pub update_window_dims: Dims,
    /// The operand's axes that a window lacks, where its size is 1.
    pub inserted_window_dims: Dims,
    /// The operand's axes that are paired with axes of the indices.
    pub operand_batching_dims: Dims,
    /// Those axes of the indices.
    pub scatter_indices_batching_dims: Dims,
    /// For each component of an index vector, the operand's axis that it moves along.
    pub scatter_dims_to_operand_dims: Dims,
}

/// How a scatter combines an update with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ScatterKind {
    /// Replaces it; of several updates of one place, the last in row-major order stays.
    Set,
    Add,
    Mul,
    Min,
    Max,
}

/// An operation at computed places.
///
/// Index vectors are along the last axis of the indices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// `(operand, indices)`: a slice of the operand for each index vector. Slices that would reach
    /// out of the operand are moved inside.
    Gather {
        /// The axes.
        dims: GatherDims,
        /// The size of a slice along each axis of the operand.
        slice_sizes: Dims,
    },
    /// `(operand, indices, updates)`: the operand with a window of the updates combined in at each
    /// index vector. Windows that would reach out of the operand are left out.
    Scatter {
        /// How to combine.
        kind: ScatterKind,
        /// The axes.
        dims: ScatterDims,
    },
    /// `(operand, start_0, start_1, …)`: a slice at scalar starts, moved inside the operand where it
    /// would reach out.
    DynamicSlice {
        /// The slice's shape.
        sizes: Shape,
    },
    /// `(operand, update, start_0, start_1, …)`: the operand with the update written at scalar starts,
    /// moved inside where it would reach out.
    DynamicUpdateSlice,
}

impl GatherDims {
    /// The axes of the operand that a slice keeps in the result.
    pub fn kept(&self, rank: usize) -> Dims {
        (0..rank)
            .filter(|axis| !self.collapsed_slice_dims.contains(axis) && !self.operand_batching_dims.contains(axis))
            .collect()
    }
}

impl ScatterDims {
    /// The axes of the operand that a window of the updates has.
    pub fn kept(&self, rank: usize) -> Dims {
        (0..rank)
            .filter(|axis| !self.inserted_window_dims.contains(axis) && !self.operand_batching_dims.contains(axis))
            .collect()
    }
}

impl Index {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Index::Gather { .. } => "gather",
            Index::Scatter { kind: ScatterKind::Set, .. } => "scatter",
            Index::Scatter { kind: ScatterKind::Add, .. } => "scatter_add",
            Index::Scatter { kind: ScatterKind::Mul, .. } => "scatter_mul",
            Index::Scatter { kind: ScatterKind::Min, .. } => "scatter_min",
            Index::Scatter { kind: ScatterKind::Max, .. } => "scatter_max",
            Index::DynamicSlice { .. } => "dynamic_slice",
            Index::DynamicUpdateSlice => "dynamic_update_slice",
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Index::Gather { dims, slice_sizes } => {
                write!(
                    f,
                    "offset_dims={:?} collapsed={:?} index_map={:?}",
                    dims.offset_dims, dims.collapsed_slice_dims, dims.start_index_map
                )?;
                if !dims.operand_batching_dims.is_empty() {
                    write!(f, " batching=({:?}, {:?})", dims.operand_batching_dims, dims.start_indices_batching_dims)?;
                }
                write!(f, " slice_sizes={slice_sizes:?}")
            }
            Index::Scatter { dims, .. } => {
                write!(
                    f,
                    "update_window_dims={:?} inserted={:?} index_map={:?}",
                    dims.update_window_dims, dims.inserted_window_dims, dims.scatter_dims_to_operand_dims
                )?;
                if !dims.operand_batching_dims.is_empty() {
                    write!(
                        f,
                        " batching=({:?}, {:?})",
                        dims.operand_batching_dims, dims.scatter_indices_batching_dims
                    )?;
                }
                Ok(())
            }
            Index::DynamicSlice { sizes } => write!(f, "sizes={sizes}"),
            Index::DynamicUpdateSlice => Ok(()),
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        match self {
            Index::Gather { dims, slice_sizes } => {
                arity("gather", inputs, 2)?;
                infer_gather(inputs[0], inputs[1], dims, slice_sizes)
            }
            Index::Scatter { kind, dims } => {
                arity(self.name(), inputs, 3)?;
                if inputs[0].dtype == DType::Bool && !matches!(kind, ScatterKind::Set) {
                    return Err(Error::invalid(
                        self.name(),
                        "does not take bool operands; convert them with `.astype`",
                    ));
                }
                infer_scatter(self.name(), inputs[0], inputs[1], inputs[2], dims)
            }
            Index::DynamicSlice { sizes } => {
                let rank = inputs.first().map_or(0, |operand| operand.rank());
                arity(self.name(), inputs, rank + 1)?;
                check_starts(self.name(), &inputs[1..])?;
                check_window(self.name(), "slice", sizes, inputs[0])?;
                Ok(inputs[0].with_shape(sizes))
            }
            Index::DynamicUpdateSlice => {
                let rank = inputs.first().map_or(0, |operand| operand.rank());
                arity(self.name(), inputs, rank + 2)?;
                check_starts(self.name(), &inputs[2..])?;
                check_window(self.name(), "update", &inputs[1].shape, inputs[0])?;
                if inputs[0].dtype != inputs[1].dtype {
                    return Err(Error::invalid(
                        self.name(),
                        format!("cannot write {} into {}; convert it with `.astype`", inputs[1], inputs[0]),
                    ));
                }
                Ok(Aval { weak: inputs[0].weak && inputs[1].weak, ..inputs[0].clone() })
            }
        }
    }
}

fn check_starts(op: &str, starts: &[&Aval]) -> Result<()> {
    if starts.iter().all(|start| start.rank() == 0 && start.dtype.is_integer()) {
        return Ok(());
    }
    Err(Error::invalid(op, format!("starts must be integer scalars, got {starts:?}")))
}

fn check_window(op: &str, what: &str, window: &[usize], operand: &Aval) -> Result<()> {
    if window.len() == operand.rank() && window.iter().zip(operand.shape.iter()).all(|(a, b)| a <= b) {
        return Ok(());
    }
    Err(Error::invalid(op, format!("a {what} of shape {window:?} does not fit into {operand}")))
}

fn check_indices(
    op: &str,
    operand: &Aval,
    indices: &Aval,
    map: &[usize],
    operand_batching: &[usize],
    index_batching: &[usize],
) -> Result<()> {
    if !indices.dtype.is_integer() || indices.rank() == 0 || indices.shape[indices.rank() - 1] != map.len() {
        return Err(Error::invalid(
            op,
            format!("indices must be integers with vectors of length {} along the last axis, got {indices}", map.len()),
        ));
    }
    check_axes(op, "index map", map, operand.rank())?;
    check_axes(op, "operand batching axes", operand_batching, operand.rank())?;
    check_axes(op, "index batching axes", index_batching, indices.rank() - 1)?;
    let sizes = |aval: &Aval, axes: &[usize]| -> Dims { axes.iter().map(|&axis| aval.shape[axis]).collect() };
    if operand_batching.iter().any(|axis| map.contains(axis))
        || sizes(operand, operand_batching) != sizes(indices, index_batching)
    {
        return Err(Error::invalid(
            op,
            format!(
                "batching axes {operand_batching:?} of {operand} and {index_batching:?} of {indices} do not pair up"
            ),
        ));
    }
    Ok(())
}

fn infer_gather(operand: &Aval, indices: &Aval, dims: &GatherDims, slice_sizes: &Dims) -> Result<Aval> {
    let op = "gather";
    check_indices(
        op,
        operand,
        indices,
        &dims.start_index_map,
        &dims.operand_batching_dims,
        &dims.start_indices_batching_dims,
    )?;
    check_window(op, "slice", slice_sizes, operand)?;
    check_axes(op, "collapsed axes", &dims.collapsed_slice_dims, operand.rank())?;
    if dims.collapsed_slice_dims.iter().any(|&axis| slice_sizes[axis] != 1)
        || dims.operand_batching_dims.iter().any(|&axis| slice_sizes[axis] > 1)
    {
        return Err(Error::invalid(
            op,
            format!("slices {slice_sizes:?} must have size 1 along collapsed and batching axes"),
        ));
    }
    let kept = dims.kept(operand.rank());
    let rank = indices.rank() - 1 + kept.len();
    check_axes(op, "offset axes", &dims.offset_dims, rank)?;
    if dims.offset_dims.len() != kept.len() || !dims.offset_dims.is_sorted() {
        return Err(Error::invalid(
            op,
            format!("offset axes {:?} must name {} axes in order", dims.offset_dims, kept.len()),
        ));
    }
    let mut offsets = kept.iter().map(|&axis| slice_sizes[axis]);
    let mut batches = indices.shape[..indices.rank() - 1].iter().copied();
    let shape = (0..rank)
        .map(|axis| if dims.offset_dims.contains(&axis) { offsets.next() } else { batches.next() }.unwrap_or(1))
        .collect();
    Ok(Aval { dtype: operand.dtype, shape, weak: operand.weak })
}

fn infer_scatter(op: &str, operand: &Aval, indices: &Aval, updates: &Aval, dims: &ScatterDims) -> Result<Aval> {
    check_indices(
        op,
        operand,
        indices,
        &dims.scatter_dims_to_operand_dims,
        &dims.operand_batching_dims,
        &dims.scatter_indices_batching_dims,
    )?;
    check_axes(op, "inserted axes", &dims.inserted_window_dims, operand.rank())?;
    let kept = dims.kept(operand.rank());
    let rank = indices.rank() - 1 + kept.len();
    check_axes(op, "window axes", &dims.update_window_dims, rank)?;
    if updates.rank() != rank
        || updates.dtype != operand.dtype
        || dims.update_window_dims.len() != kept.len()
        || !dims.update_window_dims.is_sorted()
    {
        return Err(Error::invalid(
            op,
            format!("updates {updates} must be of the operand's dtype and have {rank} axes for {operand} at {indices}"),
        ));
    }
    let mut windows = kept.iter();
    let mut batches = indices.shape[..indices.rank() - 1].iter();
    for axis in 0..rank {
        let fits = if dims.update_window_dims.contains(&axis) {
            windows.next().is_some_and(|&of| updates.shape[axis] <= operand.shape[of])
        } else {
            batches.next().is_some_and(|&size| updates.shape[axis] == size)
        };
        if !fits {
            return Err(Error::invalid(
                op,
                format!("axis {axis} of updates {updates} does not fit operand {operand} at {indices}"),
            ));
        }
    }
    Ok(Aval { weak: operand.weak && updates.weak, ..operand.clone() })
}
