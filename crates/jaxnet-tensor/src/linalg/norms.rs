//! Norms, and what follows from singular values.

use super::{epsilon, matrices, svdvals};
use crate::dtype::DType;
use crate::error::OrRaise;
use crate::lax;
use crate::shape::IntoAxes;
use crate::tensor::{Operand, Tensor};

fn inexact(x: impl Operand) -> Tensor {
    let x = x.into_tensor();
    if x.dtype().is_float() { x } else { x.astype(x.dtype().to_float()) }
}

/// The root of the sum of the squares of all elements, a scalar; as `numpy.linalg.norm(x)`. Any dtype. (At 0 its
/// derivative is NaN.)
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// assert_eq!(linalg::norm(tensor![[3, 0], [0, 4]]).item::<f32>(), 5.0);
/// ```
#[track_caller]
pub fn norm(x: impl Operand) -> Tensor {
    inexact(x).square().sum().sqrt()
}

/// `(Σ |x|^p)^(1/p)` along some axes, which vanish: the sum of absolute values for a `p` of 1, the root of the sum of
/// squares for 2, the greatest absolute value for ∞, the least for -∞, and the number of elements that are not 0
/// for 0. Any dtype.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let x = tensor![[3.0, -4.0], [0.0, 2.0]];
/// assert_eq!(linalg::vector_norm(&x, 2.0, -1).to_vec::<f32>(), [5.0, 2.0]);
/// assert_eq!(linalg::vector_norm(&x, 1.0, ..).item::<f32>(), 9.0);
/// assert_eq!(linalg::vector_norm(&x, f64::INFINITY, 0).to_vec::<f32>(), [3.0, 4.0]);
/// ```
///
/// # Panics
///
/// If an axis does not exist, or for a `p` of ±∞ and no elements.
#[track_caller]
pub fn vector_norm(x: impl Operand, p: f64, axes: impl IntoAxes) -> Tensor {
    let x = inexact(x);
    if p == 0.0 {
        x.ne(0.0).astype(x.dtype()).sum_axis(axes)
    } else if p == 1.0 {
        x.abs().sum_axis(axes)
    } else if p == 2.0 {
        x.square().sum_axis(axes).sqrt()
    } else if p == f64::INFINITY {
        x.abs().max_axis(axes)
    } else if p == f64::NEG_INFINITY {
        x.abs().min_axis(axes)
    } else {
        x.abs().pow(p).sum_axis(axes).pow(1.0 / p)
    }
}

/// A norm of matrices, for [`matrix_norm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixNorm {
    /// The root of the sum of squares.
    Frobenius,
    /// The sum of the singular values.
    Nuclear,
    /// The greatest singular value.
    Spectral,
    /// The greatest sum of absolute values in a column.
    One,
    /// The greatest sum of absolute values in a row.
    Infinity,
}

/// Norms of the matrices in the last two axes, which vanish.
///
/// ```
/// use jaxnet_tensor::linalg::{MatrixNorm, matrix_norm};
/// use jaxnet_tensor::tensor;
/// let a = tensor![[1.0, -5.0], [2.0, 3.0]];
/// assert_eq!(matrix_norm(&a, MatrixNorm::One).item::<f32>(), 8.0);
/// assert_eq!(matrix_norm(&a, MatrixNorm::Infinity).item::<f32>(), 6.0);
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, the dtype is f16 or bf16, or a greatest number of none is wanted.
#[track_caller]
pub fn matrix_norm(a: impl Operand, norm: MatrixNorm) -> Tensor {
    let a = matrices("matrix_norm", a).or_raise();
    match norm {
        MatrixNorm::Frobenius => a.square().sum_axis([-2, -1]).sqrt(),
        MatrixNorm::Nuclear => svdvals(a).sum_axis(-1),
        MatrixNorm::Spectral => svdvals(a).max_axis(-1),
        MatrixNorm::One => a.abs().sum_axis(-2).max_axis(-1),
        MatrixNorm::Infinity => a.abs().sum_axis(-1).max_axis(-1),
    }
}

/// The condition numbers of `[…, m, n]`: the greatest singular value divided by the least.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// assert!(linalg::cond(tensor![[8.0, 0.0], [0.0, -2.0]]).allclose(4.0, 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If there are fewer than two axes or one is empty, or the dtype is f16 or bf16.
#[track_caller]
pub fn cond(a: impl Operand) -> Tensor {
    let s = svdvals(a);
    s.max_axis(-1) / s.min_axis(-1)
}

/// The ranks of `[…, m, n]`, i32: how many singular values are more than `max(m, n) ε` times the greatest.
///
/// ```
/// use jaxnet_tensor::{Tensor, linalg};
/// assert_eq!(linalg::matrix_rank(Tensor::ones([3, 4])).item::<i32>(), 1);
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn matrix_rank(a: impl Operand) -> Tensor {
    let a = matrices("matrix_rank", a).or_raise();
    let s = lax::singular_values(&a).or_raise();
    if s.dim(-1) == 0 {
        return s.sum_axis(-1).astype(DType::I32);
    }
    let least = s.max_keepdims(-1) * (a.dim(-1).max(a.dim(-2)) as f64 * epsilon(&a));
    s.gt(least).astype(DType::I32).sum_axis(-1)
}
