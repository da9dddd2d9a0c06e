//! Decompositions of matrices and systems of equations, by LAPACK and cuSOLVER behind `at::linalg`.
//!
//! They give what our definitions leave no choice in, but for signs, which are put right here.

use tch::{Kind, Tensor};

use super::convert::{Torch, kind, sizes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::Linalg;

pub(super) fn run(
    op: &Linalg,
    inputs: &[&Tensor],
    avals: &[&Aval],
    outputs: &[Aval],
    device: tch::Device,
) -> Torch<Vec<Tensor>> {
    if avals.iter().any(|aval| aval.size() == 0) {
        return outputs.iter().map(|aval| of_nothing(aval, device)).collect();
    }
    let a = inputs[0];
    match *op {
        Linalg::Cholesky => {
            let (l, info) = a.f_linalg_cholesky_ex(false, false)?;
            Ok(vec![unless(&info, &l)?.f_tril(0)?])
        }
        Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal } => {
            let a = if transpose_a { a.f_transpose(-2, -1)? } else { a.shallow_clone() };
            let upper = lower == transpose_a;
            Ok(vec![a.f_linalg_solve_triangular(inputs[1], upper, left_side, unit_diagonal)?])
        }
        Linalg::Solve { transpose_a } => {
            let a = if transpose_a { a.f_transpose(-2, -1)? } else { a.shallow_clone() };
            let (x, _, _, info) = Tensor::f_internal_linalg_solve_ex(&a, inputs[1], true, false)?;
            Ok(vec![unless(&info, &x)?])
        }
        Linalg::Lu => {
            let (lu, pivots, _) = Tensor::f_linalg_lu_factor_ex(a, true, false)?;
            let (places, _, _) = Tensor::f_lu_unpack(&lu, &pivots, false, true)?;
            let permutation = places.f_argmax(-2, false)?.f_to_kind(Kind::Int)?;
            // LAPACK counts from 1.
            Ok(vec![lu, pivots.f_sub_scalar(1)?, permutation])
        }
        Linalg::Qr { full_matrices } => {
            let (q, r) = Tensor::f_linalg_qr(a, if full_matrices { "complete" } else { "reduced" })?;
            let diagonal = r.f_diagonal(0, -2, -1)?;
            let signs = sign_of(&diagonal)?;
            let (columns, rows) = (q.size()[q.dim() - 1], r.size()[r.dim() - 2]);
            let q = q.f_mul(&extended(&signs, columns)?.f_unsqueeze(-2)?)?;
            Ok(vec![q, r.f_mul(&extended(&signs, rows)?.f_unsqueeze(-1)?)?])
        }
        Linalg::Eigh { lower } => {
            let read = if lower { a.f_tril(0)? } else { a.f_triu(0)? };
            let (a, finite) = finite(&read)?;
            let (w, v) = a.f_linalg_eigh(if lower { "L" } else { "U" })?;
            let v = v.f_mul(&signs_of_columns(&v)?.f_unsqueeze(-2)?)?;
            Ok(vec![where_finite(&finite, &v, 2)?, where_finite(&finite, &w, 1)?])
        }
        Linalg::Svd { full_matrices, compute_uv } => {
            let (a, finite) = finite(a)?;
            let (u, s, v) = if full_matrices && compute_uv { full_svd(&a)? } else { a.f_svd(true, compute_uv)? };
            let values = where_finite(&finite, &s, 1)?;
            if !compute_uv {
                return Ok(vec![values]);
            }
            let signs = signs_of_columns(&u.f_narrow(-1, 0, s.size()[s.dim() - 1])?)?;
            let with_signs = |x: &Tensor| x.f_mul(&extended(&signs, x.size()[x.dim() - 1])?.f_unsqueeze(-2)?);
            let (u, vt) = (with_signs(&u)?, with_signs(&v)?.f_transpose(-2, -1)?.f_contiguous()?);
            Ok(vec![values, where_finite(&finite, &u, 2)?, where_finite(&finite, &vt, 2)?])
        }
    }
}

/// `(u, s, v)` with square `u` and `v`. What they have beyond the others may be anything that is orthogonal to those;
/// here, as on the other engines, it is what the QR decomposition has.
fn full_svd(a: &Tensor) -> Torch<(Tensor, Tensor, Tensor)> {
    let (m, n) = (a.size()[a.dim() - 2], a.size()[a.dim() - 1]);
    if m < n {
        let (v, s, u) = full_svd(&a.f_transpose(-2, -1)?)?;
        return Ok((u, s, v));
    }
    let (q, r) = Tensor::f_linalg_qr(a, "complete")?;
    let (u, s, v) = r.f_narrow(-2, 0, n)?.f_svd(true, true)?;
    let first = q.f_narrow(-1, 0, n)?.f_matmul(&u)?;
    Ok((Tensor::f_cat(&[first, q.f_narrow(-1, n, m - n)?], -1)?, s, v))
}

/// What is not empty of the results for matrices without elements: orthogonal matrices, and rows in order.
fn of_nothing(aval: &Aval, device: tch::Device) -> Torch {
    let (shape, options) = (sizes(&aval.shape), (kind(aval.dtype), device));
    match shape[..] {
        _ if aval.size() == 0 => Tensor::f_zeros(&shape[..], options),
        [.., count] if aval.dtype == DType::I32 => {
            Tensor::f_arange(count, options)?.f_expand(&shape[..], false)?.f_contiguous()
        }
        [.., m, n] => Tensor::f_eye_m(m, n, options)?.f_expand(&shape[..], false)?.f_contiguous(),
        _ => Tensor::f_zeros(&shape[..], options),
    }
}

/// NaN for those matrices for which something was reported.
fn unless(info: &Tensor, x: &Tensor) -> Torch {
    where_finite(&info.f_eq(0)?, x, 2)
}

/// NaN where `finite`, which lacks so many of the last axes, does not hold.
fn where_finite(finite: &Tensor, x: &Tensor, axes: usize) -> Torch {
    let mut finite = finite.shallow_clone();
    for _ in 0..axes {
        finite = finite.f_unsqueeze(-1)?;
    }
    x.f_masked_fill(&finite.f_logical_not()?, f64::NAN)
}

/// The matrices, and which are finite, with zeros for the others, on which LAPACK's iterations would not end.
fn finite(x: &Tensor) -> Torch<(Tensor, Tensor)> {
    let finite = x.f_isfinite()?.f_all_dim(-1, false)?.f_all_dim(-1, false)?;
    let beyond = finite.f_logical_not()?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    Ok((x.f_masked_fill(&beyond, 0.0)?, finite))
}

/// -1 for negative numbers, otherwise 1.
fn sign_of(x: &Tensor) -> Torch {
    Tensor::f_ones_like(x)?.f_masked_fill(&x.f_lt(0.0)?, -1.0)
}

/// The signs of the first elements of columns that are at least half as large as the largest.
fn signs_of_columns(x: &Tensor) -> Torch {
    let sizes = x.f_abs()?;
    let large = (sizes.f_mul_scalar(2.0)?).f_ge_tensor(&sizes.f_amax(&[-2_i64][..], true)?)?;
    let first = large.f_to_kind(Kind::Int)?.f_argmax(-2, true)?;
    sign_of(&x.f_gather(-2, &first, false)?.f_squeeze_dim(-2)?)
}

/// As many signs, those beyond being 1.
fn extended(signs: &Tensor, count: i64) -> Torch {
    let mut shape = signs.size();
    let last = shape.len() - 1;
    shape[last] = count - shape[last];
    Tensor::f_cat(&[signs, &Tensor::f_ones(&shape[..], (signs.kind(), signs.device()))?], -1)
}
