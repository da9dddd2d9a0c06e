//! Decompositions.

use super::{matrices, square};
use crate::error::{OrRaise, Result};
use crate::lax;
use crate::tensor::{Operand, Tensor};

/// `(a + aᵀ) / 2`, so that derivatives are symmetric.
fn symmetric(op: &str, a: impl Operand) -> Result<Tensor> {
    let a = square(op, a)?;
    Ok((&a + a.mt()) * 0.5)
}

/// The Cholesky decomposition of symmetric positive definite matrices, `[…, n, n]`: the lower triangular `l` with a
/// positive diagonal and `l lᵀ = a`. (The upper triangular one is `l.mt()`.)
///
/// NaN where `a` is not positive definite. Of matrices that are not symmetric it is that of `(a + aᵀ) / 2`.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let l = linalg::cholesky(tensor![[4.0, 2.0], [2.0, 5.0]]);
/// assert_eq!(l.to_vec::<f32>(), [2.0, 0.0, 1.0, 2.0]);
/// ```
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn cholesky(a: impl Operand) -> Tensor {
    let run = || lax::cholesky(&symmetric("cholesky", a)?);
    run().or_raise()
}

/// The LU decomposition with partial pivoting of `[…, m, n]`: `(p, l, u)` with `p l u = a`, where `p` is a permutation
/// matrix `[…, m, m]`, `l` lower triangular with ones in its diagonal, `[…, m, k]`, and `u` upper triangular,
/// `[…, k, n]`, with `k = min(m, n)`. As `scipy.linalg.lu`; for the decomposition in one matrix see [`lax::lu`].
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let (p, l, u) = linalg::lu(tensor![[1.0, 4.0], [2.0, 2.0]]);
/// assert_eq!(p.to_vec::<f32>(), [0.0, 1.0, 1.0, 0.0]);
/// assert_eq!(l.to_vec::<f32>(), [1.0, 0.0, 0.5, 1.0]);
/// assert_eq!(u.to_vec::<f32>(), [2.0, 2.0, 0.0, 3.0]);
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn lu(a: impl Operand) -> (Tensor, Tensor, Tensor) {
    let run = || {
        let a = matrices("lu", a)?;
        let (lu, _, permutation) = lax::lu(&a)?;
        let (m, n, last) = (a.dim(-2), a.dim(-1), a.rank() - 1);
        let k = m.min(n);
        let l = lax::slice_axis(&lu, last, 0, k, 1)?.tril(-1) + Tensor::eye_rect(m, k, 0).astype(a.dtype());
        let u = lax::slice_axis(&lu, last - 1, 0, k, 1)?.triu(0);
        // Row i of l u is row permutation[i] of a.
        let rows = Tensor::arange(0, m as i64, 1).astype(permutation.dtype()).expand_dims(-1);
        let p = permutation.expand_dims(-2).eq(rows).astype(a.dtype());
        Ok((p, l, u))
    };
    let result: Result<_> = run();
    result.or_raise()
}

/// The QR decomposition of `[…, m, n]`: `(q, r)` with `q r = a`, where the columns of `q`, `[…, m, k]`, are orthonormal,
/// and `r`, `[…, k, n]`, is upper triangular, with `k = min(m, n)`. No number in `r`'s diagonal is negative.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let (q, r) = linalg::qr(tensor![[3.0, 1.0], [4.0, 3.0]]);
/// assert!(q.allclose(tensor![[0.6, -0.8], [0.8, 0.6]], 1e-5, 0.0));
/// assert!(r.allclose(tensor![[5.0, 3.0], [0.0, 1.0]], 1e-5, 1e-6));
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn qr(a: impl Operand) -> (Tensor, Tensor) {
    let run = || lax::qr(&matrices("qr", a)?, false);
    run().or_raise()
}

/// As [`qr`], with a square `q`, `[…, m, m]`, and `r` of `[…, m, n]`. Where `m` is more than `n` the additional
/// columns of `q` are any, and there is no derivative.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let (q, r) = linalg::qr_full(tensor![[3.0], [4.0]]);
/// assert_eq!((q.shape().dims(), r.shape().dims()), (&[2, 2][..], &[2, 1][..]));
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn qr_full(a: impl Operand) -> (Tensor, Tensor) {
    let run = || lax::qr(&matrices("qr_full", a)?, true);
    run().or_raise()
}

/// Eigenvalues and eigenvectors of symmetric matrices, `[…, n, n]`: `(w, v)`, where `w`, `[…, n]`, are from the least to
/// the greatest, and the columns of `v`, `[…, n, n]`, are orthonormal, so that `v diag(w) vᵀ = a`.
///
/// Of matrices that are not symmetric it is those of `(a + aᵀ) / 2`.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let (w, v) = linalg::eigh(tensor![[0.0, 2.0], [2.0, 3.0]]);
/// assert!(w.allclose(tensor![-1.0, 4.0], 1e-5, 0.0));
/// assert!((v * 5_f32.sqrt()).allclose(tensor![[2.0, 1.0], [-1.0, 2.0]], 1e-5, 0.0));
/// ```
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn eigh(a: impl Operand) -> (Tensor, Tensor) {
    let run = || lax::eigh(&symmetric("eigh", a)?, true);
    let (v, w) = run().or_raise();
    (w, v)
}

/// The eigenvalues of symmetric matrices, from the least to the greatest; see [`eigh`].
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn eigvalsh(a: impl Operand) -> Tensor {
    let run = || lax::eigh(&symmetric("eigvalsh", a)?, true);
    run().or_raise().1
}

/// The singular value decomposition of `[…, m, n]`: `(u, s, vt)` with `u diag(s) vt = a`, where the columns of `u`,
/// `[…, m, k]`, and the rows of `vt`, `[…, k, n]`, are orthonormal, and `s`, `[…, k]`, are from the greatest to the
/// least, with `k = min(m, n)`.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let (u, s, vt) = linalg::svd(tensor![[0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]]);
/// assert!(s.allclose(tensor![3.0, 2.0], 1e-6, 0.0));
/// assert!(u.allclose(tensor![[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], 1e-6, 1e-6));
/// assert!(vt.allclose(tensor![[-1.0, 0.0], [0.0, 1.0]], 1e-6, 1e-6));
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn svd(a: impl Operand) -> (Tensor, Tensor, Tensor) {
    let run = || lax::svd(&matrices("svd", a)?, false);
    let (s, u, vt) = run().or_raise();
    (u, s, vt)
}

/// As [`svd`], with square `u`, `[…, m, m]`, and `vt`, `[…, n, n]`. Where `m` is not `n` the additional vectors are
/// any, and there is no derivative.
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn svd_full(a: impl Operand) -> (Tensor, Tensor, Tensor) {
    let run = || lax::svd(&matrices("svd_full", a)?, true);
    let (s, u, vt) = run().or_raise();
    (u, s, vt)
}

/// The singular values, from the greatest to the least; see [`svd`].
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn svdvals(a: impl Operand) -> Tensor {
    let run = || lax::singular_values(&matrices("svdvals", a)?);
    run().or_raise()
}
