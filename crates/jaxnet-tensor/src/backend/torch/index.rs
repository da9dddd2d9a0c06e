//! Reading and writing at computed places.
//!
//! Gathers and scatters with XLA's dimension numbers become libtorch's selections and additions of rows:
//! the trailing axes that a window has whole are a row, and what is before them is counted.

use tch::{Kind, Tensor};

use super::convert::{Torch, is_half, kind, ordered, sizes, unordered, widen};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{GatherDims, Index, ScatterDims, ScatterKind};
use crate::shape::{Dims, Shape};

pub(super) fn run(op: &Index, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    match op {
        Index::Gather { dims, slice_sizes } => gather(dims, slice_sizes, inputs, avals, output),
        Index::Scatter { kind, dims } => scatter(*kind, dims, inputs, avals),
        Index::DynamicSlice { sizes } => part(inputs[0], avals[0], sizes, &inputs[1..], &avals[1..]),
        Index::DynamicUpdateSlice => update(inputs[0].f_detach_copy()?, inputs, avals),
    }
}

/// Writes an update into an operand that nobody else needs.
pub(super) fn update(operand: Tensor, inputs: &[&Tensor], avals: &[&Aval]) -> Torch {
    let mut place = part(&operand, avals[0], &avals[1].shape, &inputs[2..], &avals[2..])?;
    place.f_copy_(inputs[1])?;
    Ok(operand)
}

/// A block of an array at scalar starts, moved inside; a view.
fn part(x: &Tensor, aval: &Aval, block: &Shape, starts: &[&Tensor], start_avals: &[&Aval]) -> Torch {
    let mut part = x.shallow_clone();
    for (axis, (start, of)) in starts.iter().zip(start_avals).enumerate() {
        let last = (aval.shape[axis] - block[axis]) as i64;
        if last == 0 {
            continue;
        }
        let mut start = start.f_int64_value(&[])?;
        if of.dtype == DType::U32 {
            start &= 0xFFFF_FFFF;
        }
        part = part.f_narrow(axis as i64, start.clamp(0, last), block[axis] as i64)?;
    }
    Ok(part)
}

/// How index vectors name rows of the operand: what gathers and scatters have in common.
struct Rows<'a> {
    shape: &'a Shape,
    /// The size of a window along each axis of the operand, 1 along those that it lacks.
    window: Dims,
    map: &'a [usize],
    operand_batching: &'a [usize],
    index_batching: &'a [usize],
    /// The axis from which on a window has the operand whole.
    whole: usize,
}

impl<'a> Rows<'a> {
    fn new(
        shape: &'a Shape,
        window: Dims,
        map: &'a [usize],
        operand_batching: &'a [usize],
        index_batching: &'a [usize],
    ) -> Self {
        let mut whole = shape.rank();
        while whole > 0 && window[whole - 1] == shape[whole - 1] && !operand_batching.contains(&(whole - 1)) {
            whole -= 1;
        }
        Rows { shape, window, map, operand_batching, index_batching, whole }
    }

    /// The number of rows, and their length.
    fn matrix(&self) -> [i64; 2] {
        [&self.shape[..self.whole], &self.shape[self.whole..]].map(|sizes| sizes.iter().product::<usize>() as i64)
    }

    /// The rows of each index vector's window, `[index vectors, rows of a window]`, and, unless windows are
    /// to be moved inside, which index vectors have a window that is inside.
    fn find(&self, indices: &Tensor, aval: &Aval, clamp: bool) -> Torch<(Tensor, Option<Tensor>)> {
        let on = indices.device();
        let batch = &aval.shape[..aval.rank() - 1];
        let count = batch.iter().product::<usize>() as i64;
        let indices = widen(indices, aval.dtype)?.f_reshape([count, self.map.len() as i64])?;
        let strides = Shape::from(&self.shape[..self.whole]).strides();
        let mut rows = Tensor::f_zeros([count], (Kind::Int64, on))?;
        let mut inside: Option<Tensor> = None;
        for (i, &axis) in self.map.iter().enumerate() {
            let last = (self.shape[axis] - self.window[axis]) as i64;
            let index = indices.f_select(1, i as i64)?;
            let moved = index.f_clamp(0, last)?;
            if !clamp {
                let fits = moved.f_eq_tensor(&index)?;
                inside = Some(match inside {
                    Some(inside) => inside.f_logical_and(&fits)?,
                    None => fits,
                });
            }
            // Along an axis that is whole there is nothing to move.
            if axis < self.whole {
                rows = rows.f_add(&moved.f_mul_scalar(strides[axis] as i64)?)?;
            }
        }
        for (&axis, &of) in self.operand_batching.iter().zip(self.index_batching) {
            let mut shape = vec![1; batch.len()];
            shape[of] = batch[of] as i64;
            let along = Tensor::f_arange(batch[of] as i64, (Kind::Int64, on))?.f_mul_scalar(strides[axis] as i64)?;
            rows = rows.f_add(&along.f_reshape(shape)?.f_expand(sizes(batch), false)?.f_reshape([count])?)?;
        }
        let mut offsets = Tensor::f_zeros([1], (Kind::Int64, on))?;
        for axis in 0..self.whole {
            let size = self.window[axis] as i64;
            if size != 1 {
                let along = Tensor::f_arange(size, (Kind::Int64, on))?.f_mul_scalar(strides[axis] as i64)?;
                offsets = offsets.f_unsqueeze(1)?.f_add(&along)?.f_reshape([-1])?;
            }
        }
        Ok((rows.f_unsqueeze(1)?.f_add(&offsets)?, inside))
    }
}

/// The axes that are not among these.
fn others(axes: &[usize], rank: usize) -> Dims {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}

fn gather(dims: &GatherDims, slice_sizes: &Dims, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    let (operand, shape) = (inputs[0], &avals[0].shape);
    if output.size() == 0 {
        return Tensor::f_zeros(sizes(&output.shape), (kind(output.dtype), operand.device()));
    }
    if let Some(taken) = take_along(dims, inputs, avals)? {
        return taken.f_reshape(sizes(&output.shape));
    }
    let mut window = slice_sizes.clone();
    for &axis in &dims.operand_batching_dims {
        window[axis] = 1;
    }
    let (batching, of) = (&dims.operand_batching_dims, &dims.start_indices_batching_dims);
    let rows = Rows::new(shape, window, &dims.start_index_map, batching, of);
    let (places, _) = rows.find(inputs[1], avals[1], true)?;
    let taken = operand.f_reshape(rows.matrix())?.f_index_select(0, &places.f_reshape([-1])?)?;
    // The axes of the index vectors, then those of a window; each to its place.
    let order: Dims = others(&dims.offset_dims, output.rank()).into_iter().chain(dims.offset_dims.clone()).collect();
    arranged(&taken, &order, &output.shape)
}

/// One element of each row, as the losses of classifiers pick them: for this libtorch has an operation.
fn take_along(dims: &GatherDims, inputs: &[&Tensor], avals: &[&Aval]) -> Torch<Option<Tensor>> {
    let paired = [&dims.operand_batching_dims, &dims.start_indices_batching_dims];
    let dropped = &dims.collapsed_slice_dims;
    let Some(shape) = along_rows(avals, &dims.start_index_map, dropped, &dims.offset_dims, paired) else {
        return Ok(None);
    };
    let last = avals[0].rank() - 1;
    let places = widen(inputs[1], avals[1].dtype)?.f_reshape(shape)?;
    inputs[0].f_gather(last as i64, &places.f_clamp(0, avals[0].shape[last] as i64 - 1)?, false).map(Some)
}

/// The gradient of [`take_along`], and what else adds to one element of each row.
fn add_along(dims: &ScatterDims, inputs: &[&Tensor], avals: &[&Aval]) -> Torch<Option<Tensor>> {
    let paired = [&dims.operand_batching_dims, &dims.scatter_indices_batching_dims];
    let dropped = &dims.inserted_window_dims;
    let shape = along_rows(avals, &dims.scatter_dims_to_operand_dims, dropped, &dims.update_window_dims, paired);
    let Some(shape) = shape.filter(|_| matches!(avals[0].dtype, DType::F32 | DType::F64)) else { return Ok(None) };
    let last = avals[0].rank() - 1;
    let places = widen(inputs[1], avals[1].dtype)?.f_reshape(&shape)?;
    let moved = places.f_clamp(0, avals[0].shape[last] as i64 - 1)?;
    // What is outside adds the zero that changes nothing, not even the sign of another zero.
    let nothing = Tensor::f_full([0_i64; 0], -0.0, (inputs[2].kind(), inputs[2].device()))?;
    let updates = inputs[2].f_reshape(&shape)?.f_where_self(&moved.f_eq_tensor(&places)?, &nothing)?;
    inputs[0].f_scatter_add(last as i64, &moved, &updates).map(Some)
}

/// The shape of the places, if an index vector is a place along the operand's last axis, all other axes are
/// paired with the indices' first ones, and windows are single elements.
fn along_rows(
    avals: &[&Aval],
    map: &[usize],
    dropped: &[usize],
    window: &[usize],
    [operand_batching, index_batching]: [&Dims; 2],
) -> Option<Vec<i64>> {
    let (rank, batch) = (avals[0].rank(), &avals[1].shape[..avals[1].rank() - 1]);
    let last = rank.checked_sub(1)?;
    let paired = operand_batching.iter().copied().eq(0..last) && index_batching.iter().copied().eq(0..last);
    if map != [last] || dropped != [last] || !window.is_empty() || !paired || batch.len() > rank {
        return None;
    }
    let mut shape = sizes(batch);
    shape.resize(rank, 1);
    Some(shape)
}

/// An array whose axes are those of `shape` in another order, with each brought to its place.
fn arranged(x: &Tensor, order: &[usize], shape: &Shape) -> Torch {
    let mut back = vec![0; order.len()];
    for (from, &to) in order.iter().enumerate() {
        back[to] = from as i64;
    }
    let ordered: Dims = order.iter().map(|&axis| shape[axis]).collect();
    x.f_reshape(sizes(&ordered))?.f_permute(back)
}

fn scatter(op: ScatterKind, dims: &ScatterDims, inputs: &[&Tensor], avals: &[&Aval]) -> Torch {
    let [operand, indices, updates] = [inputs[0], inputs[1], inputs[2]];
    let (shape, dtype) = (&avals[0].shape, avals[0].dtype);
    if avals[0].size() == 0 || avals[2].size() == 0 {
        return operand.f_detach_copy();
    }
    if op == ScatterKind::Add
        && let Some(sums) = add_along(dims, inputs, avals)?
    {
        return Ok(sums);
    }
    let mut window = Dims::from_elem(1, shape.rank());
    for (axis, &of) in dims.kept(shape.rank()).into_iter().zip(&dims.update_window_dims) {
        window[axis] = avals[2].shape[of];
    }
    let (batching, of) = (&dims.operand_batching_dims, &dims.scatter_indices_batching_dims);
    let rows = Rows::new(shape, window, &dims.scatter_dims_to_operand_dims, batching, of);
    let (places, inside) = rows.find(indices, avals[1], false)?;
    let [count, length] = rows.matrix();
    // The axes of the index vectors first, then those of a window: one row of updates for each place.
    let window_axes = &dims.update_window_dims;
    let order: Dims = others(window_axes, avals[2].rank()).into_iter().chain(window_axes.clone()).collect();
    let in_rows = |x: &Tensor| x.f_permute(sizes(&order))?.f_reshape([-1, length]);
    // What is left out goes into a row of its own behind the operand, which is dropped.
    let places = match inside {
        Some(inside) => places.f_where_self(&inside.f_unsqueeze(1)?, &places.f_full_like(count)?)?,
        None => places,
    };
    let places = places.f_reshape([-1])?;
    let with_spare = |x: &Tensor| -> Torch {
        let x = x.f_reshape([count, length])?;
        let spare = Tensor::f_zeros([1, length], (x.kind(), x.device()))?;
        Tensor::f_cat(&[x, spare], 0)
    };
    let reduce = |mut rows: Tensor, updates: &Tensor, how: &str| -> Torch {
        let places = places.f_unsqueeze(1)?.f_expand_as(updates)?;
        let _ = rows.f_internal_scatter_reduce_(0, &places, updates, how, true)?;
        Ok(rows)
    };
    // libtorch has these on half precision for sums only.
    let wide = if is_half(dtype) { Kind::Float } else { kind(dtype) };
    let result = match op {
        ScatterKind::Set => {
            let [rows, from] = last_updates(&avals[2].shape, &order, &places, count, length)?;
            let updates = in_rows(updates)?.f_index_select(0, &from)?;
            let mut written = operand.f_reshape([count, length])?.f_detach_copy()?;
            let _ = written.f_index_copy_(0, &rows, &updates)?;
            return written.f_reshape(sizes(shape));
        }
        ScatterKind::Add => {
            let mut sums = with_spare(operand)?;
            let _ = sums.f_index_add_(0, &places, &in_rows(updates)?)?;
            sums
        }
        ScatterKind::Mul => {
            let products = with_spare(&operand.f_to_kind(wide)?)?;
            let products = reduce(products, &in_rows(&updates.f_to_kind(wide)?)?, "prod")?;
            products.f_to_kind(kind(dtype))?
        }
        ScatterKind::Min | ScatterKind::Max => {
            let best = with_spare(&ordered(operand, dtype)?.f_to_kind(wide)?)?;
            let updates = in_rows(&ordered(updates, dtype)?.f_to_kind(wide)?)?;
            let best = reduce(best, &updates, if op == ScatterKind::Min { "amin" } else { "amax" })?;
            unordered(best.f_to_kind(kind(dtype))?, dtype)?
        }
    };
    result.f_narrow(0, 0, count)?.f_reshape(sizes(shape))
}

/// The rows of the operand that are written, and for each the row of updates (in the order of `places`) that
/// is written last, in the updates' row-major order.
fn last_updates(updates: &Shape, order: &[usize], places: &Tensor, count: i64, length: i64) -> Torch<[Tensor; 2]> {
    let on = places.device();
    let mut places = places.shallow_clone();
    let mut numbers = Tensor::f_arange(places.size()[0], (Kind::Int64, on))?;
    if !order.is_sorted() {
        // Rows differ in order from what they are in the updates, but the elements of a row do not: any of
        // them tells which row comes later.
        let time = Tensor::f_arange(updates.size() as i64, (Kind::Int64, on))?.f_reshape(sizes(updates))?;
        let time = time.f_permute(sizes(order))?.f_reshape([-1, length])?.f_select(1, 0)?;
        numbers = time.f_sort_stable(true, 0, false)?.1;
        places = places.f_index_select(0, &numbers)?;
    }
    let (sorted, by) = places.f_sort_stable(true, 0, false)?;
    let end = Tensor::f_full([1], -1, (Kind::Int64, on))?;
    let next = Tensor::f_cat(&[sorted.f_narrow(0, 1, sorted.size()[0] - 1)?, end], 0)?;
    let last = sorted.f_ne_tensor(&next)?.f_logical_and(&sorted.f_lt(count)?)?;
    let numbers = numbers.f_index_select(0, &by)?;
    Ok([sorted.f_masked_select(&last)?, numbers.f_masked_select(&last)?])
}
