//! Determinants.

use super::{Custom, square};
use crate::dtype::DType;
use crate::error::{OrRaise, Result};
use crate::lax;
use crate::primitive::Linalg;
use crate::tensor::{Ellipsis, Operand, Tensor};

/// The determinants of `[…, n, n]`, `[…]`. Derivatives are right for singular matrices, too (of rank `n - 1`, where
/// they are not 0, and of less).
///
/// ```
/// use jaxnet_tensor::{linalg, tensor};
/// assert_eq!(linalg::det(tensor![[1.0, 2.0], [3.0, 5.0]]).item::<f32>(), -1.0);
/// ```
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn det(a: impl Operand) -> Tensor {
    let run = || {
        let a = square("det", a)?;
        let at = |i: isize, j: isize| a.i((Ellipsis, i, j));
        match a.dim(-1) {
            0 => Ok(a.sum_axis([-2, -1]) + 1.0),
            1 => Ok(at(0, 0)),
            // Polynomials have all derivatives everywhere.
            2 => Ok(at(0, 0) * at(1, 1) - at(0, 1) * at(1, 0)),
            3 => {
                let minor = |i: isize, j: isize| at(1, i) * at(2, j) - at(1, j) * at(2, i);
                Ok(at(0, 0) * minor(1, 2) - at(0, 1) * minor(0, 2) + at(0, 2) * minor(0, 1))
            }
            _ => DET.call(&a),
        }
    };
    let result: Result<_> = run();
    result.or_raise()
}

/// The signs of the determinants of `[…, n, n]` and the logarithms of their absolute values, which do not overflow:
/// `(sign, logdet)`, both `[…]`. A singular matrix gives 0 and -∞.
///
/// ```
/// use jaxnet_tensor::{Tensor, linalg};
/// let (sign, logdet) = linalg::slogdet(Tensor::eye(200) * -0.1);
/// assert_eq!(sign.item::<f32>(), 1.0);
/// assert!(logdet.allclose(200.0 * 0.1_f32.ln(), 1e-5, 0.0));
/// ```
///
/// # Panics
///
/// If the last two axes differ in size, or the dtype is f16 or bf16.
#[track_caller]
pub fn slogdet(a: impl Operand) -> (Tensor, Tensor) {
    let run = || {
        let a = square("slogdet", a)?;
        let (lu, pivots, _) = lax::lu(&a)?;
        let diagonal = lu.diagonal(0);
        Ok((diagonal.sign().prod_axis(-1) * parity(&pivots, a.dtype()), diagonal.abs().log().sum_axis(-1)))
    };
    let result: Result<_> = run();
    result.or_raise()
}

/// -1 where the number of exchanges is odd, otherwise 1.
fn parity(pivots: &Tensor, dtype: DType) -> Tensor {
    let places = Tensor::arange(0, pivots.dim(-1) as i64, 1).astype(DType::I32);
    let exchanges = pivots.ne(places).astype(DType::I32).sum_axis(-1);
    1.0 - exchanges.modulo(2).astype(dtype) * 2.0
}

const DET: Custom = Custom { number: 0, body: by_lu, rule: |a, t| Ok((by_lu(a)?, cofactors_times(a, t)?)) };

fn by_lu(a: &Tensor) -> Result<Tensor> {
    let (lu, pivots, _) = lax::lu(a)?;
    Ok(lu.diagonal(0).prod_axis(-1) * parity(&pivots, a.dtype()))
}

/// The derivative of the determinant: the sum of the products with the cofactors.
///
/// That is `det(a) tr(a⁻¹ t)`, computed such that it is right also where `a` is singular. If its rank is `n - 1`, then of
/// the LU decomposition one pivot is 0. First columns are mixed by a reflection, so that this is the last one, which is
/// then left out of what is divided by, and multiplied with what it does not divide. (JAX does the latter alone, so that
/// it gives 0 for a matrix with a column of zeros that is not the last one.)
fn cofactors_times(a: &Tensor, t: &Tensor) -> Result<Tensor> {
    let (n, rank, dtype) = (a.dim(-1), a.rank(), a.dtype());
    let v = (Tensor::arange(0, n as i64, 1).astype(dtype) * 0.7).cos() + 1.5;
    let v = &v / v.square().sum().sqrt();
    let mixed = |x: &Tensor| x - x.matmul(&v).expand_dims(-1) * &v * 2.0;
    let (a, b) = (mixed(a), mixed(t));

    let (lu, pivots, permutation) = lax::lu(&a)?;
    let diagonal = lu.diagonal(0);
    let before = diagonal.i((Ellipsis, ..-1)).prod_axis(-1) * parity(&pivots, dtype);
    let det = &before * diagonal.i((Ellipsis, -1));
    // All before the last pivot are needed; where one of them is 0 the rank is less than n - 1.
    let regular = before.ne(0.0);
    let everywhere = regular.expand_dims(-1).expand_dims(-1);
    let corner = Tensor::arange(0, n as i64, 1).eq(n as i64 - 1).astype(dtype).diag();
    let lu = everywhere.select(&lu * (1.0 - &corner), super::eye(n, &a) * (1.0 - &corner))
        + corner / regular.select(&before, 1.0).expand_dims(-1).expand_dims(-1);

    let unit = Linalg::TriangularSolve { left_side: true, lower: true, transpose_a: false, unit_diagonal: true };
    let upper = Linalg::TriangularSolve { left_side: true, lower: false, transpose_a: false, unit_diagonal: false };
    let x = lax::triangular_solve(&lu, &b.take_along_axis(permutation.expand_dims(-1), -2), unit)?;
    let (first, end) = (lax::slice_axis(&x, rank - 2, 0, n - 1, 1)?, lax::slice_axis(&x, rank - 2, n - 1, n, 1)?);
    let first = first * det.expand_dims(-1).expand_dims(-1);
    let x = lax::triangular_solve(&lu, &lax::concatenate(&[first, end], rank - 2)?, upper)?;
    // The reflection's determinant is -1.
    Ok(-everywhere.select(&x, x.zeros_like()).diagonal(0).sum_axis(-1))
}
