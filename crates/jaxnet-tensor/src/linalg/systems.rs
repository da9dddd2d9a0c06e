//! Systems of equations, and inverses.

use super::{Custom, alike, epsilon, eye, matrices, square};
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::primitive::Linalg;
use crate::tensor::{Operand, Tensor};

/// A right side as columns of matrices, and whether it was a vector.
fn columns(op: &str, b: impl Operand) -> Result<(Tensor, bool)> {
    let b = b.into_tensor();
    match b.rank() {
        1 => Ok((matrices(op, b.expand_dims(-1))?, true)),
        _ => Ok((matrices(op, b)?, false)),
    }
}

fn without_column(x: Tensor, vector: bool) -> Tensor {
    if vector { x.squeeze(-1) } else { x }
}

/// The solution `x` of `a x = b`, by LU decomposition: `a` is `[…, n, n]`, and `b` either `[n]` or `[…, n, k]`, and `x` of
/// the same kind. Batch axes broadcast. Where `a` is singular the result is not finite.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let a = tensor![[0.0, 2.0], [1.0, 1.0]];
/// assert_eq!(linalg::solve(&a, tensor![4.0, 5.0]).to_vec::<f32>(), [3.0, 2.0]);
/// assert_eq!(linalg::solve(&a, tensor![[4.0], [5.0]]).to_vec::<f32>(), [3.0, 2.0]);
/// ```
///
/// # Panics
///
/// If the sizes do not fit, or the dtype is f16 or bf16.
#[track_caller]
pub fn solve(a: impl Operand, b: impl Operand) -> Tensor {
    let run = || {
        let (b, vector) = columns("solve", b)?;
        let (a, b) = fitting("solve", square("solve", a)?, b)?;
        Ok(without_column(lax::linear_solve(&a, &b, false)?, vector))
    };
    let result: Result<_> = run();
    result.or_raise()
}

fn fitting(op: &str, a: Tensor, b: Tensor) -> Result<(Tensor, Tensor)> {
    if a.dim(-1) != b.dim(-2) {
        let message = format!("the right side {} must have as many rows as {} has", b.aval(), a.aval());
        return Err(Error::invalid(op, message));
    }
    alike(op, &a, &b)
}

/// Which triangle of a matrix is read, and where it stands: see [`triangular_solve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triangular {
    lower: bool,
    transposed: bool,
    unit_diagonal: bool,
    right: bool,
}

impl Triangular {
    const LOWER: Triangular = Triangular { lower: true, transposed: false, unit_diagonal: false, right: false };

    /// The lower triangle.
    pub fn lower() -> Self {
        Triangular::LOWER
    }

    /// The upper triangle.
    pub fn upper() -> Self {
        Triangular { lower: false, ..Triangular::LOWER }
    }

    /// The matrix is transposed after its triangle is read: `aᵀ x = b`.
    #[must_use]
    pub fn transposed(self) -> Self {
        Triangular { transposed: true, ..self }
    }

    /// The diagonal is taken for ones, and not read.
    #[must_use]
    pub fn unit_diagonal(self) -> Self {
        Triangular { unit_diagonal: true, ..self }
    }

    /// The matrix stands on the right: `x a = b`.
    #[must_use]
    pub fn on_the_right(self) -> Self {
        Triangular { right: true, ..self }
    }
}

/// The solution `x` of `a x = b` where `a`, `[…, n, n]`, is triangular; the other triangle is not read. `b` is `[n]` or
/// `[…, n, k]` (of matrices on the right `[…, k, n]`). Batch axes broadcast.
///
/// ```
/// use jaxnet_tensor::linalg::{Triangular, triangular_solve};
/// use jaxnet_tensor::tensor;
/// let (a, b) = (tensor![[2.0, 99.0], [1.0, 1.0]], tensor![4.0, 5.0]);
/// assert_eq!(triangular_solve(&a, &b, Triangular::lower()).to_vec::<f32>(), [2.0, 3.0]);
/// assert_eq!(triangular_solve(&a, &b, Triangular::lower().transposed()).to_vec::<f32>(), [-0.5, 5.0]);
/// ```
///
/// # Panics
///
/// If the sizes do not fit, or the dtype is f16 or bf16.
#[track_caller]
pub fn triangular_solve(a: impl Operand, b: impl Operand, kind: Triangular) -> Tensor {
    let op = "triangular_solve";
    let run = || {
        let a = square(op, a)?;
        let (b, vector) = columns(op, b)?;
        // A vector on the left of a matrix is a row.
        let b = if vector && kind.right { b.mt() } else { b };
        let (a, b) = if kind.right { alike(op, &a, &b)? } else { fitting(op, a, b)? };
        let Triangular { lower, transposed, unit_diagonal, right } = kind;
        let system = Linalg::TriangularSolve { left_side: !right, lower, transpose_a: transposed, unit_diagonal };
        let x = lax::triangular_solve(&a, &b, system)?;
        Ok(match vector {
            true => x.squeeze(if kind.right { -2 } else { -1 }),
            false => x,
        })
    };
    let result: Result<_> = run();
    result.or_raise()
}

/// The solution `x` of `a x = b`, where `l` is [`cholesky`](super::cholesky)`(a)`; as `scipy.linalg.cho_solve`.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let a = tensor![[4.0, 2.0], [2.0, 5.0]];
/// let x = linalg::cholesky_solve(linalg::cholesky(&a), tensor![8.0, 8.0]);
/// assert!(a.matmul(x).allclose(8.0, 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If the sizes do not fit, or the dtype is f16 or bf16.
#[track_caller]
pub fn cholesky_solve(l: impl Operand, b: impl Operand) -> Tensor {
    let l = l.into_tensor();
    let y = triangular_solve(&l, b, Triangular::lower());
    triangular_solve(&l, y, Triangular::lower().transposed())
}

/// The inverses of `[…, n, n]`. (To solve equations [`solve`] is faster, and more accurate.)
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// assert_eq!(linalg::inv(tensor![[2.0, 0.0], [1.0, 1.0]]).to_vec::<f32>(), [0.5, 0.0, -0.5, 1.0]);
/// ```
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn inv(a: impl Operand) -> Tensor {
    let run = || {
        let a = square("inv", a)?;
        let ones = lax::broadcast_to(&eye(a.dim(-1), &a), a.shape())?;
        lax::linear_solve(&a, &ones, false)
    };
    run().or_raise()
}

/// The product of so many times the same matrix, `[…, n, n]`; of its inverse, where `power` is negative.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let fibonacci = linalg::matrix_power(tensor![[1.0, 1.0], [1.0, 0.0]], 10);
/// assert_eq!(fibonacci.to_vec::<f32>(), [89.0, 55.0, 55.0, 34.0]);
/// ```
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn matrix_power(a: impl Operand, power: i32) -> Tensor {
    let a = square("matrix_power", a).or_raise();
    let mut square = if power < 0 { inv(&a) } else { a.clone() };
    let mut rest = power.unsigned_abs();
    let mut product: Option<Tensor> = None;
    while rest > 0 {
        if rest & 1 == 1 {
            product = Some(product.map_or(square.clone(), |product| product.matmul(&square)));
        }
        rest >>= 1;
        if rest > 0 {
            square = square.matmul(&square);
        }
    }
    product.unwrap_or_else(|| lax::broadcast_to(&eye(a.dim(-1), &a), a.shape()).or_raise())
}

/// The pseudoinverses (Moore and Penrose) of `[…, m, n]`, `[…, n, m]`. Singular values count as 0 up to
/// `10 max(m, n) ε` times the greatest, as in JAX.
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// let p = linalg::pinv(tensor![[3.0, 0.0], [4.0, 0.0]]);
/// assert!(p.allclose(tensor![[0.12, 0.16], [0.0, 0.0]], 1e-5, 1e-6));
/// ```
///
/// # Panics
///
/// If there are fewer than two axes, or the dtype is f16 or bf16.
#[track_caller]
pub fn pinv(a: impl Operand) -> Tensor {
    let run = || PINV.call(&matrices("pinv", a)?);
    run().or_raise()
}

/// Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
/// separate", 1973.
const PINV: Custom = Custom {
    number: 1,
    body: |a| {
        if a.size() == 0 {
            return Ok(a.mt());
        }
        let (s, u, vt) = lax::svd(a, false)?;
        let least = s.max_keepdims(-1) * (10.0 * a.dim(-1).max(a.dim(-2)) as f64 * epsilon(a));
        let counts = s.gt(least);
        let inverse = counts.select(1.0 / counts.select(&s, s.ones_like()), s.zeros_like());
        Ok((vt.mt() * inverse.expand_dims(-2)).matmul(u.mt()))
    },
    rule: |a, t| {
        let p = PINV.call(a)?;
        let (tt, pt) = (t.mt(), p.mt());
        let outside = |x: &Tensor| eye(x.dim(-1), x) - x;
        let tangent = p.matmul(&pt).matmul(&tt).matmul(outside(&a.matmul(&p)))
            + outside(&p.matmul(a)).matmul(tt).matmul(pt.matmul(&p))
            - p.matmul(t).matmul(&p);
        Ok((p, tangent))
    },
};

/// The `x` for which `‖a x - b‖` is least, and of several the one for which `‖x‖` is: `a` is `[…, m, n]`, and `b` either
/// `[m]` or `[…, m, k]`. By [`pinv`].
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// // A line through three points.
/// let a = tensor![[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]];
/// let x = linalg::lstsq(a, tensor![1.0, 3.0, 5.0]);
/// assert!(x.allclose(tensor![2.0, 1.0], 1e-5, 0.0));
/// ```
///
/// # Panics
///
/// If the sizes do not fit, or the dtype is f16 or bf16.
#[track_caller]
pub fn lstsq(a: impl Operand, b: impl Operand) -> Tensor {
    let run = || {
        let a = matrices("lstsq", a)?;
        let (b, vector) = columns("lstsq", b)?;
        if a.dim(-2) != b.dim(-2) {
            let message = format!("the right side {} must have as many rows as {} has", b.aval(), a.aval());
            return Err(Error::invalid("lstsq", message));
        }
        let (a, b) = alike("lstsq", &a, &b)?;
        Ok(without_column(PINV.call(&a)?.matmul(b), vector))
    };
    run().or_raise()
}
