//! Linear algebra, with numpy's names.
//!
//! Matrices are the last two axes; all others are batch axes, which broadcast where there are two operands. Everything
//! is for f32 and f64 (integers become f32); half precision has too few digits for decompositions, and is refused.
//! All of it can be differentiated in both modes to any order, batched and compiled, on every engine.
//!
//! ```
//! use jaxnet_tensor::{linalg, tensor};
//!
//! let a = tensor![[2.0, 1.0], [1.0, 3.0]];
//! assert!(linalg::solve(&a, tensor![3.0, 5.0]).allclose(tensor![0.8, 1.4], 1e-6, 0.0));
//! assert!(linalg::det(&a).allclose(5.0, 1e-6, 0.0));
//! let (w, v) = linalg::eigh(&a);
//! assert!((&v * w).matmul(v.mt()).allclose(&a, 1e-5, 0.0)); // v diag(w) vᵀ
//! ```
//!
//! Where a decomposition is unique but for signs, the signs are fixed ([`Linalg`](crate::primitive::Linalg) says how), so
//! that every engine gives the same. Derivatives of eigenvectors and singular vectors are infinite or NaN where
//! their values coincide, as in JAX: there they are not determined.
//!
//! The primitives themselves, which neither broadcast nor make matrices symmetric, are in [`lax`].

mod decompositions;
mod determinant;
mod norms;
mod systems;
#[cfg(test)]
mod tests;

pub use decompositions::{cholesky, eigh, eigvalsh, lu, qr, qr_full, svd, svd_full, svdvals};
pub use determinant::{det, slogdet};
pub use norms::{MatrixNorm, cond, matrix_norm, matrix_rank, norm, vector_norm};
pub use systems::{Triangular, cholesky_solve, inv, lstsq, matrix_power, pinv, solve, triangular_solve};

use crate::aval::Aval;
use crate::dtype::{DType, promote_types};
use crate::error::{Error, Result};
use crate::lax;
use crate::primitive::{Control, Rule};
use crate::program::stage::stage_closed;
use crate::shape::{Dims, Shape};
use crate::tensor::{Operand, Tensor};
use crate::trace::{bind, is_staging};

/// A tensor of matrices, in floating point.
fn matrices(op: &str, x: impl Operand) -> Result<Tensor> {
    let x = x.into_tensor();
    if x.rank() < 2 {
        return Err(Error::invalid(op, format!("needs matrices in the last two axes, got {}", x.aval())));
    }
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(x),
        dtype if dtype.is_float() => {
            let message = format!("takes f32 and f64, got {}; convert {dtype} first, `.astype(DType::F32)`", x.aval());
            Err(Error::invalid(op, message))
        }
        dtype => lax::convert(&x, dtype.to_float()),
    }
}

fn square(op: &str, x: impl Operand) -> Result<Tensor> {
    let x = matrices(op, x)?;
    if x.dim(-1) != x.dim(-2) {
        return Err(Error::invalid(op, format!("needs square matrices, got {}", x.aval())));
    }
    Ok(x)
}

/// Identity matrices of the dtype.
fn eye(n: usize, like: &Tensor) -> Tensor {
    Tensor::eye(n).astype(like.dtype())
}

/// How far apart numbers of the dtype are at 1.
fn epsilon(x: &Tensor) -> f64 {
    if x.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) }
}

/// Both in one dtype and with the same batch axes.
fn alike(op: &str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let (dtype, _) = promote_types((a.dtype(), a.is_weak()), (b.dtype(), b.is_weak()));
    let batch = |x: &Tensor| Shape::from(&x.shape()[..x.rank() - 2]);
    let Some(shape) = batch(a).broadcast(&batch(b)) else {
        let message = format!("the batch axes of {} and {} do not broadcast", a.aval(), b.aval());
        return Err(Error::invalid(op, message));
    };
    let with = |x: &Tensor| {
        let shape: Dims = shape.iter().chain(&x.shape()[x.rank() - 2..]).copied().collect();
        lax::broadcast_to(&lax::convert(x, dtype)?, &Shape::from(&shape[..]))
    };
    Ok((with(a)?, with(b)?))
}

/// What a function with a derivative of its own is made of: `rule` gives the value at `x` and its tangent in
/// direction `t`. Both stand for all functions with this number.
struct Custom {
    number: u64,
    body: fn(&Tensor) -> Result<Tensor>,
    rule: fn(&Tensor, &Tensor) -> Result<(Tensor, Tensor)>,
}

impl Custom {
    fn call(&self, x: &Tensor) -> Result<Tensor> {
        // What is not traced is not differentiated.
        if !x.is_traced() && !is_staging() {
            return (self.body)(x);
        }
        let aval = x.aval().strong();
        let body = stage_closed("a function of linear algebra", std::slice::from_ref(&aval), |x| {
            Ok(vec![(self.body)(&x[0])?])
        })?;
        // Rules of `custom_jvp` in other crates have numbers of two words.
        let sizes = aval.shape.iter().map(|&size| size as u64);
        let id = [u64::MAX - 1, self.number, aval.dtype.size() as u64].into_iter().chain(sizes).collect();
        let rule = self.rule;
        let make = move || {
            let avals: [Aval; 2] = [aval.clone(), aval.clone()];
            stage_closed("a rule of linear algebra", &avals, |x| {
                let (value, tangent) = rule(&x[0], &x[1])?;
                Ok(vec![value, tangent])
            })
        };
        let op = Control::CustomJvp { body, rule: Rule::new(id, make) };
        Ok(bind(&op.into(), &[lax::convert(x, x.dtype())?])?.remove(0))
    }
}
