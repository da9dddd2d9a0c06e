//! Gathers, scatters and dynamic slices.

use super::hlo::{Builder, Value, braces};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{GatherDims, Index, ScatterDims, ScatterKind};
use crate::shape::{Dims, Shape};

pub(super) fn lower(b: &mut Builder<'_>, op: &Index, inputs: &[Value], output: &Aval) -> Value {
    match op {
        Index::Gather { dims, slice_sizes } => gather(b, dims, slice_sizes, &inputs[0], &inputs[1], output),
        Index::Scatter { kind, dims } => scatter(b, *kind, dims, &inputs[0], &inputs[1], &inputs[2]),
        Index::DynamicSlice { sizes } => {
            if output.size() == 0 {
                return b.zeros(output.dtype, &output.shape);
            }
            dynamic_slice(b, &inputs[0], &inputs[1..], sizes)
        }
        Index::DynamicUpdateSlice => {
            if inputs[1].shape.size() == 0 {
                return inputs[0].clone();
            }
            dynamic_update_slice(b, &inputs[0], &inputs[1], &inputs[2..])
        }
    }
}

/// Indices of a signed dtype that holds them all, since XLA compares them with bounds in their own dtype.
fn signed(b: &mut Builder<'_>, indices: &Value) -> Value {
    match indices.dtype {
        DType::U8 => b.convert(indices, DType::I32),
        DType::U32 => b.convert(indices, DType::I64),
        _ => indices.clone(),
    }
}

/// Scalar starts, of one signed dtype.
fn starts(b: &mut Builder<'_>, starts: &[Value]) -> Vec<Value> {
    let starts: Vec<Value> = starts.iter().map(|start| signed(b, start)).collect();
    let wide = starts.iter().any(|start| start.dtype == DType::I64);
    starts.iter().map(|start| if wide { b.convert(start, DType::I64) } else { start.clone() }).collect()
}

/// A slice that has elements.
pub(super) fn dynamic_slice(b: &mut Builder<'_>, operand: &Value, at: &[Value], sizes: &Shape) -> Value {
    if operand.rank() == 0 {
        return operand.clone();
    }
    let at = starts(b, at);
    let operands: Vec<&Value> = std::iter::once(operand).chain(&at).collect();
    let attributes = format!("dynamic_slice_sizes={}", braces(sizes.iter()));
    b.op("dynamic-slice", operand.dtype, sizes, &operands, &attributes)
}

/// An update that has elements.
pub(super) fn dynamic_update_slice(b: &mut Builder<'_>, operand: &Value, update: &Value, at: &[Value]) -> Value {
    if operand.rank() == 0 {
        return update.clone();
    }
    let at = starts(b, at);
    let operands: Vec<&Value> = [operand, update].into_iter().chain(&at).collect();
    b.op("dynamic-update-slice", operand.dtype, &operand.shape, &operands, "")
}

fn gather(
    b: &mut Builder<'_>,
    dims: &GatherDims,
    slice_sizes: &Dims,
    operand: &Value,
    indices: &Value,
    output: &Aval,
) -> Value {
    if output.size() == 0 {
        return b.zeros(output.dtype, &output.shape);
    }
    let mut attributes = format!(
        "offset_dims={}, collapsed_slice_dims={}, start_index_map={}, ",
        braces(&dims.offset_dims),
        braces(sorted(&dims.collapsed_slice_dims)),
        braces(&dims.start_index_map)
    );
    if !dims.operand_batching_dims.is_empty() {
        let (operand, indices) = pairs(&dims.operand_batching_dims, &dims.start_indices_batching_dims);
        attributes +=
            &format!("operand_batching_dims={}, start_indices_batching_dims={}, ", braces(operand), braces(indices));
    }
    attributes += &format!("index_vector_dim={}, slice_sizes={}", indices.rank() - 1, braces(slice_sizes));
    let indices = signed(b, indices);
    b.op("gather", output.dtype, &output.shape, &[operand, &indices], &attributes)
}

/// XLA wants axes in order.
fn sorted(axes: &Dims) -> Dims {
    let mut axes = axes.clone();
    axes.sort_unstable();
    axes
}

/// Pairs of axes in the order of the first.
fn pairs(first: &Dims, second: &Dims) -> (Dims, Dims) {
    let mut pairs: Vec<(usize, usize)> = first.iter().copied().zip(second.iter().copied()).collect();
    pairs.sort_unstable();
    pairs.into_iter().unzip()
}

fn scatter(
    b: &mut Builder<'_>,
    kind: ScatterKind,
    dims: &ScatterDims,
    operand: &Value,
    indices: &Value,
    updates: &Value,
) -> Value {
    if operand.shape.size() == 0 || updates.shape.size() == 0 {
        return operand.clone();
    }
    if dims.scatter_dims_to_operand_dims.is_empty() {
        return scatter_at_start(b, kind, dims, operand, indices, updates);
    }
    let indices = signed(b, indices);
    let combine = match kind {
        ScatterKind::Set if keeps_order(dims, operand, updates) => return set(b, dims, operand, &indices, updates),
        ScatterKind::Set => return set_last(b, dims, operand, &indices, updates),
        ScatterKind::Add => b.reducer("add", operand.dtype),
        ScatterKind::Mul => b.reducer("multiply", operand.dtype),
        ScatterKind::Min | ScatterKind::Max => b.extreme_reducer(kind == ScatterKind::Max, operand.dtype),
    };
    let attributes = attributes(dims, &indices, &combine);
    b.op("scatter", operand.dtype, &operand.shape, &[operand, &indices, updates], &attributes)
}

/// A scatter whose index vectors have no components: all windows are at the start. XLA's simplifier does not
/// take that, but zeros for indices along one more axis.
fn scatter_at_start(
    b: &mut Builder<'_>,
    kind: ScatterKind,
    dims: &ScatterDims,
    operand: &Value,
    indices: &Value,
    updates: &Value,
) -> Value {
    let moved = |axes: &Dims| -> Dims { axes.iter().map(|axis| axis + 1).collect() };
    let mut inserted = moved(&dims.inserted_window_dims);
    inserted.insert(0, 0);
    let dims = ScatterDims {
        inserted_window_dims: inserted,
        operand_batching_dims: moved(&dims.operand_batching_dims),
        scatter_dims_to_operand_dims: [0].into_iter().collect(),
        ..dims.clone()
    };
    let mut shape = indices.shape.clone();
    shape.dims_mut()[indices.rank() - 1] = 1;
    let zeros = b.zeros(DType::I32, &shape);
    let lifted = b.reshape(operand, &operand.shape.with_axis(0, 1));
    let result = scatter(b, kind, &dims, &lifted, &zeros, updates);
    b.reshape(&result, &operand.shape)
}

fn attributes(dims: &ScatterDims, indices: &Value, combine: &str) -> String {
    let mut attributes = format!(
        "update_window_dims={}, inserted_window_dims={}, scatter_dims_to_operand_dims={}, ",
        braces(&dims.update_window_dims),
        braces(sorted(&dims.inserted_window_dims)),
        braces(&dims.scatter_dims_to_operand_dims)
    );
    if !dims.operand_batching_dims.is_empty() {
        let (operand, indices) = pairs(&dims.operand_batching_dims, &dims.scatter_indices_batching_dims);
        attributes +=
            &format!("input_batching_dims={}, scatter_indices_batching_dims={}, ", braces(operand), braces(indices));
    }
    attributes + &format!("index_vector_dim={}, to_apply={combine}", indices.rank() - 1)
}

/// Whether updates of one place come from the same place of their windows, so that the order of the
/// windows, in which XLA's CPU devices go, is that of the updates.
fn keeps_order(dims: &ScatterDims, operand: &Value, updates: &Value) -> bool {
    let batch = updates.rank() - dims.update_window_dims.len();
    let last = dims.update_window_dims.iter().all(|&axis| axis >= batch);
    let moving = |axis: usize| dims.scatter_dims_to_operand_dims.contains(&axis);
    let kept = dims.kept(operand.rank());
    let single = |(&axis, &of): (&usize, &usize)| !moving(axis) || updates.shape[of] == 1;
    last || kept.iter().zip(&dims.update_window_dims).all(single)
}

fn set(b: &mut Builder<'_>, dims: &ScatterDims, operand: &Value, indices: &Value, updates: &Value) -> Value {
    let scalar = (operand.dtype, Shape::scalar());
    let replace: Result<_, std::convert::Infallible> =
        b.computation("replace", &[scalar.clone(), scalar], |_, x| Ok(x[1].clone()));
    let Ok(replace) = replace;
    let attributes = attributes(dims, indices, &replace);
    b.op("scatter", operand.dtype, &operand.shape, &[operand, indices, updates], &attributes)
}

/// Finds the last update of each place by its number, and takes that.
fn set_last(b: &mut Builder<'_>, dims: &ScatterDims, operand: &Value, indices: &Value, updates: &Value) -> Value {
    let size = updates.shape.size();
    let index = super::reduce::index_dtype(size);
    let numbers = b.places(index, &updates.shape);
    let none = b.scalar(index, -1_i64);
    let none = b.fill(&none, &operand.shape);
    let combine = b.reducer("maximum", index);
    let attributes = attributes(dims, indices, &combine);
    let last = b.op("scatter", index, &operand.shape, &[&none, indices, &numbers], &attributes);
    let flat = b.reshape(updates, &Shape::from([size]));
    let at = b.reshape(&last, &operand.shape.with_axis(operand.rank(), 1));
    let attributes = format!(
        "offset_dims={{}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim={}, slice_sizes={{1}}",
        operand.rank()
    );
    let found = b.op("gather", operand.dtype, &operand.shape, &[&flat, &at], &attributes);
    let written = b.compare_number("GE", &last, 0_i64);
    b.select(&written, &found, operand)
}
