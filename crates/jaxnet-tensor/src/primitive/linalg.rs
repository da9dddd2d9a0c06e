//! Decompositions of matrices, and systems of linear equations.
//!
//! The last two axes are matrices, all others batch axes. Where a decomposition is unique but for signs, the
//! signs are fixed here, so that every engine gives the same.

use std::fmt::{self, Write};

use smallvec::smallvec;

use super::{Avals, arity};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, Shape};

/// A decomposition of matrices, or the solution of linear equations.
///
/// All take f32 and f64. What a matrix with NaN or infinite elements gives has NaN or infinite elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linalg {
    /// `[…, n, n]` to `L`, lower triangular with a positive diagonal, so that `L Lᵀ` is the operand. Only the
    /// operand's lower triangle is read. Where it is not positive definite, `L` has NaN elements.
    Cholesky,
    /// `(a, b)`: the `x` with `op(a) x = b`, or `x op(a) = b`. Only one triangle of `a` is read.
    TriangularSolve {
        /// Whether `a` stands on the left of `x`.
        left_side: bool,
        /// Whether the triangle that is read is the lower one.
        lower: bool,
        /// Whether `op` is the transpose, instead of nothing.
        transpose_a: bool,
        /// Whether the diagonal is taken for ones, and not read.
        unit_diagonal: bool,
    },
    /// `(a, b)`: the `x` with `op(a) x = b`, by LU decomposition with partial pivoting. Where `a` is singular,
    /// it is not finite.
    Solve {
        /// Whether `op` is the transpose, instead of nothing.
        transpose_a: bool,
    },
    /// `[…, m, n]` to `(lu, pivots, permutation)`, with partial pivoting: `lu` has `U` in its upper triangle, and
    /// below its diagonal `L`, whose diagonal is ones, so that `L U` is the operand's rows in the order of
    /// `permutation` (i32, `[…, m]`). `pivots` (i32, `[…, min(m, n)]`) says with which row each was exchanged
    /// in turn.
    Lu,
    /// `[…, m, n]` to `(q, r)`: `q r` is the operand, the columns of `q` are orthonormal, and `r` is upper
    /// triangular without negative numbers in its diagonal. With `k = min(m, n)`, `q` is `[…, m, k]` and `r`
    /// `[…, k, n]`; of full matrices `q` is `[…, m, m]` and `r` `[…, m, n]`.
    Qr {
        /// Whether `q` is square.
        full_matrices: bool,
    },
    /// `[…, n, n]` to `(v, w)`: the eigenvalues `w` of the symmetric matrix of which one triangle is read, from the
    /// least to the greatest, and its eigenvectors, the columns of `v`. Each is of length 1, and the first
    /// of its elements that is at least half as large as the largest is positive.
    Eigh {
        /// Whether the triangle that is read is the lower one.
        lower: bool,
    },
    /// `[…, m, n]` to `(s, u, vt)`, or to `s` alone: the singular values, from the greatest to the least, and
    /// `u diag(s) vt` is the operand. With `k = min(m, n)`, `u` is `[…, m, k]` and `vt` `[…, k, n]`; of
    /// full matrices `[…, m, m]` and `[…, n, n]`. The signs of `u`'s columns are chosen as for [`Eigh`](Self::Eigh).
    Svd {
        /// Whether `u` and `vt` are square.
        full_matrices: bool,
        /// Whether there are `u` and `vt`.
        compute_uv: bool,
    },
}

impl Linalg {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Linalg::Cholesky => "cholesky",
            Linalg::TriangularSolve { .. } => "triangular_solve",
            Linalg::Solve { .. } => "linear_solve",
            Linalg::Lu => "lu",
            Linalg::Qr { .. } => "qr",
            Linalg::Eigh { .. } => "eigh",
            Linalg::Svd { .. } => "svd",
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Linalg::Cholesky | Linalg::Lu => Ok(()),
            Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal } => {
                write!(f, "left_side={left_side} lower={lower} transpose_a={transpose_a} unit_diagonal={unit_diagonal}")
            }
            Linalg::Solve { transpose_a } => write!(f, "transpose_a={transpose_a}"),
            Linalg::Qr { full_matrices } => write!(f, "full_matrices={full_matrices}"),
            Linalg::Eigh { lower } => write!(f, "lower={lower}"),
            Linalg::Svd { full_matrices, compute_uv } => {
                write!(f, "full_matrices={full_matrices} compute_uv={compute_uv}")
            }
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Avals> {
        let op = self.name();
        let two = matches!(self, Linalg::TriangularSolve { .. } | Linalg::Solve { .. });
        arity(op, inputs, if two { 2 } else { 1 })?;
        let a = inputs[0];
        for input in inputs {
            check_matrices(op, input)?;
        }
        let (m, n) = (a.shape[a.rank() - 2], a.shape[a.rank() - 1]);
        let square = matches!(self, Linalg::Cholesky | Linalg::Eigh { .. }) || two;
        if square && m != n {
            return Err(Error::invalid(op, format!("needs square matrices, got {a}")));
        }
        let with = |sizes: &[usize]| {
            let batch: Dims = a.shape[..a.rank() - 2].iter().chain(sizes).copied().collect();
            a.with_shape(Shape::from(&batch[..]))
        };
        let k = m.min(n);
        Ok(match self {
            Linalg::Cholesky => smallvec![a.clone()],
            Linalg::TriangularSolve { left_side: true, .. } | Linalg::Solve { .. } => {
                smallvec![right_side(op, a, inputs[1], 2)?]
            }
            Linalg::TriangularSolve { left_side: false, .. } => smallvec![right_side(op, a, inputs[1], 1)?],
            Linalg::Lu => {
                let places = |size| with(&[size]).strong().with_dtype(DType::I32);
                smallvec![a.clone(), places(k), places(m)]
            }
            Linalg::Qr { full_matrices: false } => smallvec![with(&[m, k]), with(&[k, n])],
            Linalg::Qr { full_matrices: true } => smallvec![with(&[m, m]), with(&[m, n])],
            Linalg::Eigh { .. } => smallvec![a.clone(), with(&[n])],
            Linalg::Svd { compute_uv: false, .. } => smallvec![with(&[k])],
            Linalg::Svd { full_matrices: false, .. } => smallvec![with(&[k]), with(&[m, k]), with(&[k, n])],
            Linalg::Svd { full_matrices: true, .. } => smallvec![with(&[k]), with(&[m, m]), with(&[n, n])],
        })
    }
}

fn check_matrices(op: &str, aval: &Aval) -> Result<()> {
    if aval.rank() < 2 {
        return Err(Error::invalid(op, format!("needs matrices in the last two axes, got {aval}")));
    }
    match aval.dtype {
        DType::F32 | DType::F64 => Ok(()),
        dtype => Err(Error::invalid(
            op,
            format!("takes f32 and f64, got {aval}; convert {dtype} first, `.astype(DType::F32)`"),
        )),
    }
}

/// The result of a system with this right side, along whose `axis`-th axis from the end the equations are.
fn right_side(op: &str, a: &Aval, b: &Aval, axis: usize) -> Result<Aval> {
    let batch = |aval: &Aval| Shape::from(&aval.shape[..aval.rank() - 2]);
    if a.dtype != b.dtype || batch(a) != batch(b) || a.shape[a.rank() - 1] != b.shape[b.rank() - axis] {
        let which = if axis == 2 { "rows" } else { "columns" };
        return Err(Error::invalid(
            op,
            format!(
                "the right side {b} does not fit {a}: it must have as many {which}, and the same batch axes and dtype"
            ),
        ));
    }
    Ok(Aval { weak: a.weak && b.weak, ..b.clone() })
}
