//! Convolutions.
//!
//! libtorch's convolution takes "NC…" and "OI…"; other layouts are permuted views, so that the common
//! "NHWC" reaches its kernels as channels-last memory without a copy, and comes back so. What it lacks
//! (integers, more than three spatial axes) is a matrix product over windows.

use tch::{Kind, Tensor};

use super::convert::{Torch, is_half, kind, sizes};
use super::native::convolution_kernel_gradient;
use super::shape::pad;
use super::window::windows;
use crate::aval::Aval;
use crate::primitive::ConvGeneralDilated;
use crate::shape::Dims;

pub(super) fn run(op: &ConvGeneralDilated, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    let dtype = output.dtype;
    if output.size() == 0 || avals[0].size() == 0 || avals[1].size() == 0 {
        return Tensor::f_zeros(sizes(&output.shape), (kind(dtype), inputs[0].device()));
    }
    let dims = &op.dims;
    // Half precision is summed in f32 and rounded once.
    let wide = if is_half(dtype) { Kind::Float } else { kind(dtype) };
    let mut x = inputs[0].f_permute(sizes(&dims.lhs_permutation()))?.f_to_kind(wide)?;
    let kernel = inputs[1].f_permute(sizes(&dims.rhs_permutation()))?.f_to_kind(wide)?;
    if op.batch_groups > 1 {
        x = batch_groups_as_features(&x, op.batch_groups as i64)?;
    }
    let groups = (op.feature_groups * op.batch_groups) as i64;
    let y = match dims.spatial_rank() {
        1..=3 if dtype.is_float() => match kernel_gradient(op, &x, &kernel, groups, &spatial(op, output))? {
            Some(gradient) => gradient,
            None => by_kernel(op, &x, &kernel, groups)?,
        },
        _ => by_windows(op, &x, &kernel, groups, &spatial(op, output))?,
    };
    let back = dims.out_permutation();
    let mut inverse = vec![0; back.len()];
    for (from, &to) in back.iter().enumerate() {
        inverse[to] = from as i64;
    }
    y.f_permute(inverse)?.f_to_kind(kind(dtype))
}

/// The spatial sizes of the result.
fn spatial(op: &ConvGeneralDilated, output: &Aval) -> Dims {
    op.dims.out_spatial.iter().map(|&axis| output.shape[axis]).collect()
}

/// A batch of `G n` examples with `C` features as one of `n` with `G C`: each group of the batch meets its
/// own output features only, as groups of features do.
fn batch_groups_as_features(x: &Tensor, groups: i64) -> Torch {
    let shape = x.size();
    let mut split = shape.clone();
    split.splice(0..1, [groups, shape[0] / groups]);
    let mut joined = shape.clone();
    (joined[0], joined[1]) = (shape[0] / groups, groups * shape[1]);
    x.f_reshape(split)?.f_transpose(0, 1)?.f_reshape(joined)
}

/// The input with its holes and what of its padding libtorch does not add by itself.
fn padded(op: &ConvGeneralDilated, x: &Tensor, edges: &[(i64, i64)]) -> Torch {
    let mut all = vec![(0, 0); 2];
    all.extend_from_slice(edges);
    let mut holes = vec![0; 2];
    holes.extend(op.lhs_dilation.iter().map(|&by| by as i64 - 1));
    let zero = Tensor::f_zeros([0_i64; 0], (x.kind(), x.device()))?;
    pad(x, &zero, &all, &holes)
}

/// A convolution whose kernel is greater than its result as what it mostly is: the gradient of another one by
/// its kernel, with batch and features in each other's place. libtorch has kernels for that.
fn kernel_gradient(
    op: &ConvGeneralDilated,
    x: &Tensor,
    kernel: &Tensor,
    groups: i64,
    spatial: &[usize],
) -> Torch<Option<Tensor>> {
    let (from, taps, to) = (x.size(), kernel.size(), sizes(spatial));
    if groups != 1
        || op.lhs_dilation.iter().any(|&by| by != 1)
        || taps[2..].iter().product::<i64>() <= to.iter().product()
    {
        return Ok(None);
    }
    let padding: Vec<i64> = op.padding.iter().map(|&(low, _)| low).collect();
    let (strides, dilation) = (sizes(&op.rhs_dilation), sizes(&op.strides));
    for i in 0..to.len() {
        // The other convolution must have a result of the size of this one's kernel.
        let room = from[2 + i] + 2 * padding[i] - dilation[i] * (to[i] - 1) - 1;
        if padding[i] < 0 || room < 0 || room / strides[i] + 1 != taps[2 + i] {
            return Ok(None);
        }
    }
    let mut shape = vec![taps[0], from[0]];
    shape.extend(&to);
    let (cotangent, input) = (kernel.f_transpose(0, 1)?, x.f_transpose(0, 1)?);
    let gradient = convolution_kernel_gradient(&cotangent, &input, &shape, [&strides, &padding, &dilation])?;
    gradient.f_transpose(0, 1).map(Some)
}

/// A convolution of an input with holes as the transposed one that it is, for which nobody makes the holes.
fn transposed(op: &ConvGeneralDilated, x: &Tensor, kernel: &Tensor, groups: i64) -> Torch<Option<Tensor>> {
    let shape = kernel.size();
    let rank = op.padding.len();
    let (mut padding, mut more) = (Vec::new(), Vec::new());
    for i in 0..rank {
        let (low, high) = op.padding[i];
        let (holes, dilation) = (op.lhs_dilation[i] as i64, op.rhs_dilation[i] as i64);
        padding.push(dilation * (shape[2 + i] - 1) - low);
        more.push((high - low).max(0));
        if op.strides[i] != 1 || padding[i] < 0 || more[i] >= holes.max(dilation) {
            return Ok(None);
        }
    }
    // "OI…" becomes "IO…", group by group, and turned round.
    let (outputs, inputs) = (shape[0] / groups, shape[1]);
    let (mut split, mut joined) = (vec![groups, outputs, inputs], vec![groups * inputs, outputs]);
    split.extend(&shape[2..]);
    joined.extend(&shape[2..]);
    let spatial: Vec<i64> = (2..2 + rank as i64).collect();
    let turned = kernel.f_reshape(split)?.f_transpose(1, 2)?.f_reshape(joined)?.f_flip(spatial)?;
    let (strides, dilation) = (sizes(&op.lhs_dilation), sizes(&op.rhs_dilation));
    let mut y = Tensor::f_convolution(x, &turned, None::<Tensor>, strides, padding, dilation, true, more, groups)?;
    for i in 0..rank {
        // Where less is padded after than before, the last places are too many.
        let (low, high) = op.padding[i];
        if high < low {
            let size = y.size()[2 + i] - (low - high);
            y = y.f_narrow(2 + i as i64, 0, size)?;
        }
    }
    Ok(Some(y))
}

fn by_kernel(op: &ConvGeneralDilated, x: &Tensor, kernel: &Tensor, groups: i64) -> Torch {
    let symmetric = op.padding.iter().all(|&(low, high)| low == high && low >= 0);
    let dense = op.lhs_dilation.iter().all(|&by| by == 1);
    let rank = op.padding.len();
    if !dense && let Some(y) = transposed(op, x, kernel, groups)? {
        return Ok(y);
    }
    let (x, padding) = if symmetric && dense {
        (x.shallow_clone(), op.padding.iter().map(|&(low, _)| low).collect())
    } else {
        (padded(op, x, &op.padding)?, vec![0; rank])
    };
    let (strides, dilation) = (sizes(&op.strides), sizes(&op.rhs_dilation));
    Tensor::f_convolution(&x, kernel, None::<Tensor>, strides, padding, dilation, false, vec![0; rank], groups)
}

/// As a matrix product: each window is a row.
fn by_windows(op: &ConvGeneralDilated, x: &Tensor, kernel: &Tensor, groups: i64, spatial: &[usize]) -> Torch {
    let x = padded(op, x, &op.padding)?;
    let (batch, features) = (x.size()[0], x.size()[1]);
    let kernel_shape = kernel.size();
    let (outputs, inputs) = (kernel_shape[0], kernel_shape[1]);
    let taps: Vec<usize> = kernel_shape[2..].iter().map(|&size| size as usize).collect();
    // Windows of one example and one feature.
    let mut window = op.window(&taps);
    for sizes in [&mut window.size, &mut window.strides, &mut window.window_dilation] {
        sizes.insert_many(0, [1, 1]);
    }
    let mut places = vec![batch as usize, features as usize];
    places.extend_from_slice(spatial);
    let count: i64 = spatial.iter().product::<usize>() as i64;
    let size: i64 = taps.iter().product::<usize>() as i64;
    let all = windows(&x, &window, &places)?.f_reshape([batch, groups, inputs, count, size])?;
    let rows = all.f_permute([1, 0, 3, 2, 4])?.f_reshape([groups, batch * count, inputs * size])?;
    let columns = kernel.f_reshape([groups, outputs / groups, inputs * size])?.f_transpose(1, 2)?;
    let product = rows.f_bmm(&columns)?.f_reshape([groups, batch, count, outputs / groups])?;
    let mut shape = vec![batch, outputs];
    shape.extend(sizes(spatial));
    product.f_permute([1, 0, 3, 2])?.f_reshape(shape)
}
