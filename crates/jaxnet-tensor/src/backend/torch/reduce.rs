//! Reductions.

use tch::{Kind, Tensor};

use super::convert::{Torch, greatest, is_half, kind, least, ordered, sizes, unordered};
use super::elementwise::convert;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::{ArgKind, CumulativeKind, Reduce, ReduceKind};

pub(super) fn run(op: &Reduce, x: &Tensor, aval: &Aval, output: &Aval) -> Torch {
    match op {
        // libtorch reduces all axes where none is named.
        Reduce::Reduce { axes, .. } if axes.is_empty() => Ok(x.shallow_clone()),
        Reduce::Reduce { kind, axes } => reduce(*kind, x, axes, aval, output),
        Reduce::Arg { kind, axis, dtype } => {
            let x = match aval.dtype {
                DType::Bool => x.f_to_kind(Kind::Uint8)?,
                other => ordered(x, other)?,
            };
            if output.size() == 0 {
                return Tensor::f_zeros(sizes(&output.shape), (super::convert::kind(*dtype), x.device()));
            }
            let place = match kind {
                ArgKind::Max => x.f_argmax(*axis as i64, false)?,
                ArgKind::Min => x.f_argmin(*axis as i64, false)?,
            };
            convert(&place, DType::I64, *dtype)
        }
        Reduce::Cumulative { kind, axis, reverse } => {
            if aval.size() == 0 {
                return Ok(x.shallow_clone());
            }
            let axis = *axis as i64;
            if !reverse {
                return cumulative(*kind, x, axis, aval.dtype);
            }
            cumulative(*kind, &x.f_flip([axis])?, axis, aval.dtype)?.f_flip([axis])
        }
    }
}

/// Sums and products of half precision are kept in f32 and rounded once.
fn sum_kind(dtype: DType) -> Kind {
    if is_half(dtype) { Kind::Float } else { kind(dtype) }
}

fn reduce(op: ReduceKind, x: &Tensor, axes: &[usize], aval: &Aval, output: &Aval) -> Torch {
    let dtype = aval.dtype;
    let full = |value: tch::Scalar| Tensor::f_full(sizes(&output.shape), value, (kind(dtype), x.device()));
    let nothing = axes.iter().any(|&axis| aval.shape[axis] == 0);
    match op {
        ReduceKind::Sum => x.f_sum_dim_intlist(sizes(axes), false, sum_kind(dtype))?.f_to_kind(kind(dtype)),
        ReduceKind::Prod => {
            let mut product = x.f_to_kind(sum_kind(dtype))?;
            for axis in descending(axes) {
                product = product.f_prod_dim_int(axis as i64, false, sum_kind(dtype))?;
            }
            product.f_to_kind(kind(dtype))
        }
        ReduceKind::Max if nothing => unordered(full(least(dtype))?, dtype),
        ReduceKind::Min if nothing => unordered(full(greatest(dtype))?, dtype),
        _ if output.size() == 0 => full(tch::Scalar::int(0)),
        ReduceKind::Max => unordered(ordered(x, dtype)?.f_amax(sizes(axes), false)?, dtype),
        ReduceKind::Min => unordered(ordered(x, dtype)?.f_amin(sizes(axes), false)?, dtype),
        ReduceKind::And if nothing && dtype == DType::Bool => full(tch::Scalar::int(1)),
        ReduceKind::And if nothing => full(tch::Scalar::int(0))?.f_bitwise_not(),
        ReduceKind::Or if nothing => full(tch::Scalar::int(0)),
        ReduceKind::And => bitwise(x, axes, |x, y| x.f_bitwise_and_tensor(y)),
        ReduceKind::Or => bitwise(x, axes, |x, y| x.f_bitwise_or_tensor(y)),
    }
}

fn descending(axes: &[usize]) -> Vec<usize> {
    let mut axes = axes.to_vec();
    axes.sort_unstable();
    axes.reverse();
    axes
}

/// Bits, for which libtorch has no reduction: one half of an axis is joined with the other until one
/// element is left.
fn bitwise(x: &Tensor, axes: &[usize], join: impl Fn(&Tensor, &Tensor) -> Torch) -> Torch {
    let mut x = x.shallow_clone();
    for axis in descending(axes) {
        let axis = axis as i64;
        let mut size = x.size()[axis as usize];
        while size > 1 {
            let half = size / 2;
            let joined = join(&x.f_narrow(axis, 0, half)?, &x.f_narrow(axis, half, half)?)?;
            x = match size % 2 {
                0 => joined,
                _ => Tensor::f_cat(&[joined, x.f_narrow(axis, size - 1, 1)?], axis)?,
            };
            size = half + size % 2;
        }
        x = x.f_squeeze_dim(axis)?;
    }
    Ok(x)
}

fn cumulative(op: CumulativeKind, x: &Tensor, axis: i64, dtype: DType) -> Torch {
    match op {
        CumulativeKind::Sum => x.f_cumsum(axis, sum_kind(dtype))?.f_to_kind(kind(dtype)),
        CumulativeKind::Prod => x.f_cumprod(axis, sum_kind(dtype))?.f_to_kind(kind(dtype)),
        CumulativeKind::Max => unordered(ordered(x, dtype)?.f_cummax(axis)?.0, dtype),
        CumulativeKind::Min => unordered(ordered(x, dtype)?.f_cummin(axis)?.0, dtype),
        CumulativeKind::LogSumExp => x.f_to_kind(sum_kind(dtype))?.f_logcumsumexp(axis)?.f_to_kind(kind(dtype)),
    }
}
