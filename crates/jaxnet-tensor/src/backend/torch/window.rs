//! Reductions over sliding windows.
//!
//! Windows are a view of the padded operand with axes of their own, which libtorch's reductions take; the
//! poolings that it has kernels for take those.

use tch::{Kind, Tensor};

use super::convert::{Torch, greatest, is_half, kind, least, ordered, sizes, unordered};
use super::shape::pad;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{SelectKind, Window, WindowDims, WindowKind};

pub(super) fn run(op: &Window, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    match op {
        Window::ReduceWindow { kind, window } => reduce(*kind, window, inputs[0], avals[0], output),
        Window::SelectAndScatterAdd { select, window } => scatter(*select, window, inputs, avals, output),
        Window::SelectAndGatherAdd { select, window } => gather(*select, window, inputs, avals, output),
    }
}

/// The operand with this value as padding and in its holes.
fn padded(x: &Tensor, window: &WindowDims, value: tch::Scalar) -> Torch {
    let holes: Vec<i64> = window.base_dilation.iter().map(|&dilation| dilation as i64 - 1).collect();
    let value = Tensor::f_full([0_i64; 0], value, (x.kind(), x.device()))?;
    pad(x, &value, &window.padding, &holes)
}

/// All windows over a padded operand: the places of the window, then the places in it.
pub(super) fn windows(x: &Tensor, window: &WindowDims, places: &[usize]) -> Torch {
    let strides = x.stride();
    let mut shape = sizes(places);
    shape.extend(sizes(&window.size));
    let steps =
        |of: &[usize]| -> Vec<i64> { of.iter().zip(&strides).map(|(&by, stride)| by as i64 * stride).collect() };
    let mut all = steps(&window.strides);
    all.extend(steps(&window.window_dilation));
    // The operand may itself be a view that starts somewhere in its memory, where this one starts too.
    x.f_as_strided(shape, all, None)
}

fn reduce(op: WindowKind, window: &WindowDims, x: &Tensor, aval: &Aval, output: &Aval) -> Torch {
    let dtype = aval.dtype;
    if output.size() == 0 {
        return Tensor::f_zeros(sizes(&output.shape), (kind(dtype), x.device()));
    }
    if let Some(pooled) = pool(op, window, x, dtype)? {
        return Ok(pooled);
    }
    let rank = window.rank() as i64;
    let within: Vec<i64> = (rank..2 * rank).collect();
    if rank == 0 {
        return Ok(x.shallow_clone());
    }
    match op {
        WindowKind::Sum => {
            let wide = if is_half(dtype) { Kind::Float } else { kind(dtype) };
            let all = windows(&padded(x, window, tch::Scalar::int(0))?, window, &output.shape)?;
            all.f_sum_dim_intlist(within, false, wide)?.f_to_kind(kind(dtype))
        }
        WindowKind::Max => {
            let all = windows(&padded(&ordered(x, dtype)?, window, least(dtype))?, window, &output.shape)?;
            unordered(all.f_amax(within, false)?, dtype)
        }
        WindowKind::Min => {
            let all = windows(&padded(&ordered(x, dtype)?, window, greatest(dtype))?, window, &output.shape)?;
            unordered(all.f_amin(within, false)?, dtype)
        }
    }
}

/// The sizes and strides of windows over images with the channels last, as libtorch's poolings take them.
fn pooling(window: &WindowDims, dtype: DType) -> Option<[Vec<i64>; 2]> {
    let outer = |dims: &[usize]| dims[0] == 1 && dims[3] == 1;
    let fits = window.rank() == 4
        && matches!(dtype, DType::F32 | DType::F64)
        && outer(&window.size)
        && outer(&window.strides)
        && window.padding.iter().all(|&edges| edges == (0, 0))
        && window.base_dilation.iter().chain(&window.window_dilation).all(|&dilation| dilation == 1);
    fits.then(|| [sizes(&window.size[1..3]), sizes(&window.strides[1..3])])
}

/// Whether libtorch has poolings for such windows.
pub(super) fn has_pooling(window: &WindowDims, dtype: DType) -> bool {
    pooling(window, dtype).is_some()
}

/// The maxima of windows for which there is a [pooling](has_pooling), the places that they come from, and the
/// greatest of all, which is NaN if there is one.
pub(super) fn pool_with_places(window: &WindowDims, x: &Tensor, dtype: DType) -> Torch<[Tensor; 3]> {
    let [size, strides] = pooling(window, dtype).expect("there is a pooling");
    let x = channels_second(x)?;
    let (best, places) = x.f_max_pool2d_with_indices(size, strides, [0, 0], [1, 1], false)?;
    let greatest = best.f_amax([0, 1, 2, 3], false)?;
    Ok([channels_last(&best)?, places, greatest])
}

/// The gradient of the maxima, with what [`pool_with_places`] gave.
pub(super) fn unpool_from_places(window: &WindowDims, inputs: [&Tensor; 4], avals: &[&Aval], output: &Aval) -> Torch {
    let [source, x, places, greatest] = inputs;
    let [size, strides] = pooling(window, output.dtype).expect("there is a pooling");
    // Of several NaNs in a window libtorch takes the last, but the first is to be taken.
    if greatest.f_double_value(&[])?.is_nan() {
        return select_and_add(SelectKind::Max, window, source, x, avals, output);
    }
    let (source, x) = (channels_second(source)?, channels_second(x)?);
    let gradient = x.f_max_pool2d_with_indices_backward(&source, size, strides, [0, 0], [1, 1], false, places)?;
    channels_last(&gradient)
}

/// "NHWC" as "NCHW": a view, in the order of memory that the poolings are fast on; and back.
fn channels_second(x: &Tensor) -> Torch {
    x.f_permute([0, 3, 1, 2])
}

fn channels_last(x: &Tensor) -> Torch {
    x.f_permute([0, 2, 3, 1])
}

fn pool(op: WindowKind, window: &WindowDims, x: &Tensor, dtype: DType) -> Torch<Option<Tensor>> {
    let Some([size, strides]) = pooling(window, dtype) else { return Ok(None) };
    let x = channels_second(x)?;
    let pooled = match op {
        WindowKind::Max => x.f_max_pool2d(size, strides, [0, 0], [1, 1], false)?,
        WindowKind::Sum => x.f_avg_pool2d(size, strides, [0, 0], false, true, 1)?,
        WindowKind::Min => return Ok(None),
    };
    channels_last(&pooled).map(Some)
}

/// For each window the place in it that is selected (one axis for all places in the window, of size 1), and
/// whether there is one: padding is not.
fn selected(select: SelectKind, window: &WindowDims, x: &Tensor, aval: &Aval, output: &[usize]) -> Torch<[Tensor; 2]> {
    let dtype = aval.dtype;
    let rank = window.rank() as i64;
    let flat = |x: Tensor| x.f_reshape(flat_shape(output, window));
    let edge = if select == SelectKind::Max { least(dtype) } else { greatest(dtype) };
    let all = flat(windows(&padded(&ordered(x, dtype)?, window, edge)?, window, output)?)?;
    let inside = Tensor::f_ones(x.size(), (Kind::Bool, x.device()))?;
    let inside = flat(windows(&padded(&inside, window, tch::Scalar::int(0))?, window, output)?)?;
    let best = if select == SelectKind::Max { all.f_amax([rank], true)? } else { all.f_amin([rank], true)? };
    let mut found = all.f_eq_tensor(&best)?;
    if dtype.is_float() {
        // The best is NaN if there is one, and then equals nothing.
        found = found.f_logical_or(&all.f_isnan()?)?;
    }
    let found = found.f_logical_and(&inside)?;
    let first = found.f_to_kind(Kind::Uint8)?.f_argmax(rank, true)?;
    Ok([first, found.f_any_dim(rank, true)?])
}

/// The places of the window, and one axis for all places in it.
fn flat_shape(output: &[usize], window: &WindowDims) -> Vec<i64> {
    let mut shape = sizes(output);
    shape.push(window.size.iter().product::<usize>() as i64);
    shape
}

fn gather(select: SelectKind, window: &WindowDims, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    if output.size() == 0 {
        return Tensor::f_zeros(sizes(&output.shape), (kind(output.dtype), inputs[0].device()));
    }
    let rank = window.rank() as i64;
    let [place, any] = selected(select, window, inputs[1], avals[1], &output.shape)?;
    let tangent = padded(inputs[0], window, tch::Scalar::int(0))?;
    let tangents = windows(&tangent, window, &output.shape)?.f_reshape(flat_shape(&output.shape, window))?;
    let taken = tangents.f_gather(rank, &place, false)?;
    let nothing = taken.f_zeros_like()?;
    taken.f_where_self(&any, &nothing)?.f_squeeze_dim(rank)
}

fn scatter(select: SelectKind, window: &WindowDims, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    let (source, operand) = (inputs[0], inputs[1]);
    let on = source.device();
    let nothing = || Tensor::f_zeros(sizes(&output.shape), (kind(output.dtype), on));
    if avals[0].size() == 0 || output.size() == 0 {
        return nothing();
    }
    if select == SelectKind::Max && has_pooling(window, output.dtype) {
        let [_, places, greatest] = pool_with_places(window, operand, output.dtype)?;
        return unpool_from_places(window, [source, operand, &places, &greatest], avals, output);
    }
    select_and_add(select, window, source, operand, avals, output)
}

/// What libtorch has no kernel for: the places of what is selected, to which the sources are added.
fn select_and_add(
    select: SelectKind,
    window: &WindowDims,
    source: &Tensor,
    operand: &Tensor,
    avals: &[&Aval],
    output: &Aval,
) -> Torch {
    let on = source.device();
    let rank = window.rank() as i64;
    let [place, any] = selected(select, window, operand, avals[1], &avals[0].shape)?;
    // Where each place of each window is in the operand, counted in row-major order: those in the padding
    // are taken for its first element, where nothing is added then.
    let count = Tensor::f_arange(output.size() as i64, (Kind::Int64, on))?.f_reshape(sizes(&output.shape))?;
    let count = windows(&padded(&count, window, tch::Scalar::int(0))?, window, &avals[0].shape)?;
    let to = count.f_reshape(flat_shape(&avals[0].shape, window))?.f_gather(rank, &place, false)?.f_reshape([-1])?;
    let wide = if is_half(output.dtype) { Kind::Float } else { kind(output.dtype) };
    let source = source.f_to_kind(wide)?.f_reshape([-1])?;
    let none = source.f_zeros_like()?;
    let source = source.f_where_self(&any.f_reshape([-1])?, &none)?;
    let mut sums = Tensor::f_zeros([output.size() as i64], (wide, on))?;
    let _ = sums.f_index_add_(0, &to, &source)?;
    sums.f_to_kind(kind(output.dtype))?.f_reshape(sizes(&output.shape))
}
