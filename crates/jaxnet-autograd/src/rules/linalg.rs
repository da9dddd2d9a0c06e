//! Decompositions of matrices, and systems of equations.
//!
//! The derivatives are those of Giles, "Collected matrix derivative results for forward and reverse mode
//! algorithmic differentiation", 2008 (triangular systems, eigenvalues, singular values); Murray, "Differentiation of
//! the Cholesky decomposition", <https://arxiv.org/abs/1602.07527>; de Hoog, Anderssen and Lukas,
//! "Differentiation of matrix functionals using triangular factorization", 2011 (LU); Walter, Lehmann and Lamour, "On
//! evaluating higher-order derivatives of the QR decomposition of tall matrices with full column rank", 2012. As in
//! JAX, what is not determined where eigenvalues or singular values coincide has infinite or NaN derivatives
//! there.

use jaxnet_tensor::primitive::Linalg;
use jaxnet_tensor::trace::{bind, bind1};
use jaxnet_tensor::{Aval, Error, Result, Tensor, lax};
use smallvec::smallvec;

use super::{Batches, Cotangents, Duals, Tangents, add, all_in_front, batched, not_linear};
use crate::batch::move_batch;
use crate::linear::Operand;

pub(super) fn jvp(op: &Linalg, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    if let Linalg::TriangularSolve { .. } | Linalg::Solve { .. } = op {
        return solve_jvp(op, primals, tangents);
    }
    let Some(t) = &tangents[0] else {
        let results = bind(&(*op).into(), primals)?;
        let zeros = results.iter().map(|_| None).collect();
        return Ok((results, zeros));
    };
    let (m, n) = (t.dim(-2), t.dim(-1));
    match *op {
        Linalg::Qr { full_matrices: true } | Linalg::Svd { full_matrices: true, .. } if undetermined(op, m, n) => {
            Err(Error::Differentiation(format!(
                "{} of {} has no derivative with full_matrices, since the additional columns are not determined; use \
                 full_matrices = false",
                op.name(),
                t.aval()
            )))
        }
        // The values alone need the vectors, too.
        Linalg::Svd { compute_uv: false, .. } => {
            let (s, u, vt) = lax::svd(&primals[0], false)?;
            let tangent = u.mt().matmul(t).matmul(vt.mt()).diagonal(0);
            Ok((smallvec![s], smallvec![Some(tangent)]))
        }
        _ => {
            let results = bind(&(*op).into(), primals)?;
            let tangents: Tangents = match (*op, &results[..]) {
                (Linalg::Cholesky, [l]) => smallvec![Some(cholesky(l, t)?)],
                (Linalg::Lu, [lu, _, permutation]) => smallvec![Some(of_lu(lu, permutation, t)?), None, None],
                (Linalg::Qr { .. }, [q, r]) => {
                    let (q, r) = qr(q, r, t)?;
                    smallvec![Some(q), Some(r)]
                }
                (Linalg::Eigh { lower }, [v, w]) => {
                    let (v, w) = eigh(v, w, &symmetric(t, lower));
                    smallvec![Some(v), Some(w)]
                }
                (Linalg::Svd { .. }, [s, u, vt]) => {
                    let (s, u, vt) = svd(s, u, vt, t);
                    smallvec![Some(s), Some(u), Some(vt)]
                }
                _ => unreachable!("{} has other results", op.name()),
            };
            Ok((results, tangents))
        }
    }
}

/// Whether there are vectors that may be any.
fn undetermined(op: &Linalg, m: usize, n: usize) -> bool {
    match op {
        Linalg::Qr { full_matrices } => *full_matrices && m > n,
        Linalg::Svd { full_matrices, compute_uv } => *full_matrices && *compute_uv && m != n,
        _ => false,
    }
}

const LOWER: Linalg =
    Linalg::TriangularSolve { left_side: true, lower: true, transpose_a: false, unit_diagonal: false };

/// `x u⁻¹` of an upper triangular matrix.
fn divided(x: &Tensor, u: &Tensor) -> Result<Tensor> {
    let op = Linalg::TriangularSolve { left_side: false, lower: false, transpose_a: false, unit_diagonal: false };
    lax::triangular_solve(u, x, op)
}

/// The symmetric matrix of which one triangle is given.
fn symmetric(t: &Tensor, lower: bool) -> Tensor {
    if lower { t.tril(0) + t.tril(-1).mt() } else { t.triu(0) + t.triu(1).mt() }
}

fn eye(n: usize, like: &Tensor) -> Tensor {
    Tensor::eye(n).astype(like.dtype())
}

/// Of `op(a) x = b`: `op(a) x' = b' - op(a') x`.
fn solve_jvp(op: &Linalg, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let [a, b] = primals else { unreachable!("a system has two operands") };
    let x = bind1(&(*op).into(), &[a.clone(), b.clone()])?;
    let by_a = tangents[0].as_ref().map(|t| match *op {
        Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal } => {
            let k = unit_diagonal as i64;
            // What is not read does not matter.
            let t = if lower { t.tril(-k) } else { t.triu(k) };
            let t = if transpose_a { t.mt() } else { t };
            -if left_side { t.matmul(&x) } else { x.matmul(t) }
        }
        Linalg::Solve { transpose_a: true } => -t.mt().matmul(&x),
        _ => -t.matmul(&x),
    });
    let tangent = match add(tangents[1].clone(), by_a) {
        Some(right) => Some(bind1(&(*op).into(), &[a.clone(), right])?),
        None => None,
    };
    Ok((smallvec![x], smallvec![tangent]))
}

/// `L' = L Φ(L⁻¹ A' L⁻ᵀ)`, where `Φ` takes the lower triangle and half of the diagonal.
fn cholesky(l: &Tensor, t: &Tensor) -> Result<Tensor> {
    let right = Linalg::TriangularSolve { left_side: false, lower: true, transpose_a: true, unit_diagonal: false };
    let inner = lax::triangular_solve(l, &lax::triangular_solve(l, &symmetric(t, true), LOWER)?, right)?;
    Ok(l.matmul(inner.tril(0) * (1.0 - eye(l.dim(-1), l) * 0.5)))
}

/// With `X = L⁻¹ P A' U⁻¹`: `L' = L tril(X, -1)`, `U' = triu(X) U`, where `L` and `U` are made square.
fn of_lu(lu: &Tensor, permutation: &Tensor, t: &Tensor) -> Result<Tensor> {
    let (m, n) = (lu.dim(-2), lu.dim(-1));
    let k = m.min(n);
    let zero = Tensor::scalar(0_f32).astype(lu.dtype());
    let padded = |x: &Tensor, rows: usize, columns: usize| {
        let mut high = vec![0; x.rank()];
        (high[x.rank() - 2], high[x.rank() - 1]) = ((rows - x.dim(-2)) as i64, (columns - x.dim(-1)) as i64);
        lax::pad(x, &zero, &vec![0; x.rank()], &high, &vec![0; x.rank()])
    };
    let l = padded(&lax::slice_axis(lu, lu.rank() - 1, 0, k, 1)?.tril(-1), m, m)? + eye(m, lu);
    let below = Tensor::arange(0, n as i64, 1).ge(k as i64).astype(lu.dtype()).diag();
    let u = padded(&lax::slice_axis(lu, lu.rank() - 2, 0, k, 1)?.triu(0), n, n)? + below;
    let unit = Linalg::TriangularSolve { left_side: true, lower: true, transpose_a: false, unit_diagonal: true };
    let rows = t.take_along_axis(permutation.expand_dims(-1), -2);
    let x = divided(&lax::triangular_solve(&l, &rows, unit)?, &u)?;
    Ok(l.matmul(x.tril(-1)) + x.triu(0).matmul(&u))
}

/// With `C = A' R⁻¹` and `Ω` skew with the lower triangle of `Qᵀ C`: `Q' = Q (Ω - Qᵀ C) + C`,
/// `R' = Qᵀ A' - Ω R`; of wide matrices `Ω` follows from the first columns.
fn qr(q: &Tensor, r: &Tensor, t: &Tensor) -> Result<(Tensor, Tensor)> {
    let k = r.dim(-2);
    let first = |x: &Tensor| lax::slice_axis(x, x.rank() - 1, 0, k, 1);
    let c = divided(&first(t)?, &first(r)?)?;
    let along = q.mt().matmul(&c);
    let lower = along.tril(-1);
    let skew = &lower - lower.mt();
    let r = (q.mt().matmul(t) - skew.matmul(r)).triu(0);
    Ok((q.matmul(skew - along) + c, r))
}

/// With `X = Vᵀ A' V`: `w' = diag X`, `V' = V (F ∘ X)`, `F[i, j] = 1 / (w[j] - w[i])`.
fn eigh(v: &Tensor, w: &Tensor, t: &Tensor) -> (Tensor, Tensor) {
    let x = v.mt().matmul(t).matmul(v);
    let ones = eye(w.dim(-1), w);
    // 0 in the diagonal.
    let f = 1.0 / (w.expand_dims(-2) - w.expand_dims(-1) + &ones) - ones;
    (v.matmul(f * &x), x.diagonal(0))
}

/// With `X = Uᵀ A' V`: `s' = diag X`, `U' = U (F ∘ (X S + S Xᵀ))`, `V' = V (F ∘ (S X + Xᵀ S))`,
/// `F[i, j] = 1 / (s[j]² - s[i]²)`; and what is outside of the columns' space.
fn svd(s: &Tensor, u: &Tensor, vt: &Tensor, t: &Tensor) -> (Tensor, Tensor, Tensor) {
    let (m, n, v) = (t.dim(-2), t.dim(-1), vt.mt());
    let tv = t.matmul(&v);
    let x = u.mt().matmul(&tv);
    let (by_column, by_row) = (s.expand_dims(-2), s.expand_dims(-1));
    let ones = eye(s.dim(-1), s);
    // 0 in the diagonal.
    let f = 1.0 / ((&by_column + &by_row) * (&by_column - &by_row) + &ones) - ones;
    let (xs, sx) = (&x * &by_column, &x * by_row);
    let mut du = u.matmul(&f * (&xs + xs.mt()));
    let mut dv = v.matmul(f * (&sx + sx.mt()));
    if m > n {
        du = du + (&tv - u.matmul(&x)) / &by_column;
    }
    if n > m {
        let tu = t.mt().matmul(u);
        dv = dv + (&tu - v.matmul(v.mt().matmul(&tu))) / &by_column;
    }
    (x.diagonal(0), du, dv.mt())
}

/// Systems are linear in their right side: the transpose has the transposed matrix.
pub(super) fn transpose(op: &Linalg, cotangents: &[Option<Tensor>], inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    let [Operand::Known(a), Operand::Linear(_)] = inputs else {
        return Err(not_linear(&(*op).into()));
    };
    let op = match *op {
        Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal } => {
            Linalg::TriangularSolve { left_side, lower, transpose_a: !transpose_a, unit_diagonal }
        }
        Linalg::Solve { transpose_a } => Linalg::Solve { transpose_a: !transpose_a },
        _ => return Err(not_linear(&(*op).into())),
    };
    let ct = cotangents[0].clone().expect("one result, whose cotangent is not zero");
    Ok(vec![None, Some(bind1(&op.into(), &[a.clone(), ct])?)])
}

pub(super) fn batch(op: &Linalg, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    if let ([a, b], [None, Some(axis)]) = (inputs, axes) {
        return batch_of_right_sides(op, size, a, b, *axis);
    }
    let inputs = all_in_front(size, inputs, axes)?;
    let results = bind(&(*op).into(), &inputs)?;
    let axes = results.iter().map(|_| Some(0)).collect();
    Ok((results, axes))
}

/// Right sides of one matrix are columns, or rows, of one right side.
fn batch_of_right_sides(op: &Linalg, size: usize, a: &Tensor, b: &Tensor, axis: usize) -> Result<Batches> {
    let rank = a.rank();
    let rows = matches!(op, Linalg::TriangularSolve { left_side: false, .. });
    let at = if rows { rank - 2 } else { rank };
    let b = move_batch(b, size, Some(axis), at)?;
    let apart = b.shape().clone();
    let first = if rows { rank - 2 } else { rank - 1 };
    let mut together = apart.without_axis(first + 1);
    together.dims_mut()[first] = apart[first] * apart[first + 1];
    let x = bind1(&(*op).into(), &[a.clone(), lax::reshape(&b, together)?])?;
    Ok(batched(lax::reshape(&x, apart)?, at))
}
