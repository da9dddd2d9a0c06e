//! Programs for primitives that an engine has no operation for, in other primitives.
//!
//! They run wherever loops and products run, on batches of matrices all at once; an engine's own operations
//! will be faster.

mod jacobi;
mod qr;
mod substitution;
#[cfg(test)]
mod tests;

use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::lax;
use crate::primitive::{Control, Linalg};
use crate::program::Program;
use crate::program::stage::stage_closed;
use crate::tensor::{Ellipsis, Tensor};
use crate::trace::bind;

/// A decomposition of matrices or a system of equations as a program with loops and products. (Of this family of
/// primitives only [`Linalg::TriangularSolve`] is in it, where `op` is [`Linalg::Solve`].)
///
/// # Errors
///
/// When the primitive does not take such operands.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::backend::portable;
/// use jaxnet_tensor::primitive::Linalg;
/// use jaxnet_tensor::{Aval, DType, tensor};
///
/// let program = portable::linalg(&Linalg::Cholesky, &[&Aval::new(DType::F32, [2, 2])]).unwrap();
/// let results = program.eval(&[tensor![[4.0, 2.0], [2.0, 5.0]]]).unwrap();
/// assert_eq!(results[0].to_vec::<f32>(), [2.0, 0.0, 1.0, 2.0]);
/// ```
pub fn linalg(op: &Linalg, inputs: &[&Aval]) -> Result<Program> {
    let results = crate::Primitive::from(*op).infer(inputs)?;
    let avals: Vec<Aval> = inputs.iter().map(|aval| aval.strong()).collect();
    stage_closed(op.name(), &avals, |x| {
        // One batch axis.
        let count: usize = x[0].shape()[..x[0].rank() - 2].iter().product();
        let flat: Vec<Tensor> = x.iter().map(|x| x.reshape([count, x.dim(-2), x.dim(-1)])).collect();
        let a = &flat[0];
        let outputs = match *op {
            _ if results.iter().any(|result| result.size() == 0) || a.size() == 0 => of_nothing(&results)?,
            Linalg::Cholesky => vec![substitution::cholesky(a)?],
            Linalg::TriangularSolve { .. } => vec![substitution::triangular_solve(op, a, &flat[1])?],
            Linalg::Solve { transpose_a } => vec![substitution::solve(a, &flat[1], transpose_a)?],
            Linalg::Lu => substitution::lu(a)?,
            Linalg::Qr { full_matrices } => qr::qr(a, full_matrices)?,
            Linalg::Eigh { lower } => jacobi::eigh(a, lower)?,
            Linalg::Svd { full_matrices, compute_uv } => jacobi::svd(a, full_matrices, compute_uv)?,
        };
        Ok(outputs.iter().zip(&results).map(|(y, aval)| y.astype(aval.dtype).reshape(&aval.shape)).collect())
    })
}

/// What is not empty of the results for matrices without elements: orthogonal matrices, and rows in order.
fn of_nothing(results: &[Aval]) -> Result<Vec<Tensor>> {
    let one = |aval: &Aval| {
        let (rank, empty) = (aval.rank(), aval.size() == 0);
        let value = match aval.dtype {
            _ if empty || rank < 2 && aval.dtype != DType::I32 => return lax::full(aval, 0),
            DType::I32 => Tensor::arange(0, aval.shape[rank - 1] as i64, 1),
            _ => Tensor::eye_rect(aval.shape[rank - 2], aval.shape[rank - 1], 0),
        };
        lax::broadcast_to(&lax::convert(&value, aval.dtype)?, &aval.shape)
    };
    results.iter().map(one).collect()
}

/// Calls `body(i, state)` as long as `more(i, state)` holds, `i` counting from 0, in one loop of the program.
fn while_loop(
    state: Vec<Tensor>,
    more: impl Fn(&Tensor, &[Tensor]) -> Tensor,
    body: impl Fn(&Tensor, &[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<Vec<Tensor>> {
    let carry: Vec<Tensor> = std::iter::once(Tensor::scalar(0_i32))
        .chain(state)
        .map(|x| lax::convert(&x, x.dtype()))
        .collect::<Result<_>>()?;
    let avals: Vec<Aval> = carry.iter().map(|x| x.aval().strong()).collect();
    let cond = stage_closed("a condition", &avals, |x| Ok(vec![more(&x[0], &x[1..])]))?;
    let body = stage_closed("a loop's body", &avals, |x| {
        let next = body(&x[0], &x[1..])?;
        let next = std::iter::once(&x[0] + 1).chain(next).zip(&avals);
        next.map(|(x, aval)| lax::convert(&x, aval.dtype)).collect()
    })?;
    let op = Control::While { cond, body, cond_consts: 0, body_consts: 0 };
    let mut results = bind(&op.into(), &carry)?.into_vec();
    if results.is_empty() {
        return Err(Error::invalid("while", "a loop gives what it carries"));
    }
    Ok(results.split_off(1))
}

/// `body(i, state)` for each `i` before `count`.
fn fori_loop(
    count: usize,
    state: Vec<Tensor>,
    body: impl Fn(&Tensor, &[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<Vec<Tensor>> {
    while_loop(state, |i, _| i.lt(count as i32), body)
}

/// The numbers of rows, `[m, 1]`, and of columns, `[n]`.
fn places(x: &Tensor) -> (Tensor, Tensor) {
    let count = |n: usize| Tensor::arange(0, n as i64, 1).astype(DType::I32);
    (count(x.dim(-2)).expand_dims(-1), count(x.dim(-1)))
}

/// Column `j` of each matrix, `[batch, m]`.
fn column(x: &Tensor, j: &Tensor) -> Tensor {
    let zero = Tensor::scalar(0_i32);
    x.dynamic_slice([&zero, &zero, j], [x.dim(0), x.dim(1), 1]).squeeze(-1)
}

/// Row `i` of each matrix, `[batch, n]`.
fn row(x: &Tensor, i: &Tensor) -> Tensor {
    let zero = Tensor::scalar(0_i32);
    x.dynamic_slice([&zero, i, &zero], [x.dim(0), 1, x.dim(2)]).squeeze(1)
}

fn eye_like(x: &Tensor, rows: usize, columns: usize) -> Tensor {
    Tensor::eye_rect(rows, columns, 0).astype(x.dtype()).broadcast_to([x.dim(0), rows, columns])
}

/// The least normal number divided by the precision: what is less has lost digits.
fn nothing(x: &Tensor) -> f64 {
    if x.dtype() == DType::F64 { f64::MIN_POSITIVE / f64::EPSILON } else { (f32::MIN_POSITIVE / f32::EPSILON).into() }
}

fn epsilon(x: &Tensor) -> f64 {
    if x.dtype() == DType::F64 { f64::EPSILON } else { f32::EPSILON.into() }
}

/// 1 or -1 for each column, `[batch, 1, n]`: the first element that is at least half as large as the largest
/// is to be positive.
fn signs_of_columns(x: &Tensor) -> Tensor {
    let sizes = x.abs();
    let large = (&sizes * 2.0).ge(sizes.max_keepdims(-2));
    let first = large.astype(DType::I32).argmax(-2).expand_dims(-2);
    let (rows, _) = places(x);
    let negative = (rows.eq(first) & x.lt(0.0)).any_axis(-2).expand_dims(-2);
    negative.select(-1.0, 1.0).astype(x.dtype())
}

/// NaN for the matrices that have elements that are not finite.
fn unless_finite(a: &Tensor, results: Vec<Tensor>) -> Vec<Tensor> {
    let finite = a.is_finite().all_axis([-1, -2]);
    let spread = |y: &Tensor| (1..y.rank()).fold(finite.clone(), |x, _| x.expand_dims(-1));
    results.iter().map(|y| spread(y).select(y, y.full_like(f64::NAN))).collect()
}

/// The first columns.
fn columns_to(x: &Tensor, k: usize) -> Tensor {
    x.i((Ellipsis, ..k as isize))
}
