//! What goes from row to row: triangular systems, and the Cholesky and LU decompositions.

use super::{column, fori_loop, places, row};
use crate::dtype::DType;
use crate::error::Result;
use crate::lax;
use crate::primitive::Linalg;
use crate::tensor::Tensor;

pub(super) fn cholesky(a: &Tensor) -> Result<Tensor> {
    let n = a.dim(-1);
    let state = fori_loop(n, vec![a.clone(), a.zeros_like()], |j, state| {
        let [a, l] = state else { unreachable!("two are carried") };
        let (rows, columns) = places(a);
        let rows = rows.squeeze(-1);
        // Columns from j on are zeros yet.
        let rest = column(a, j) - l.matmul(row(l, j).expand_dims(-1)).squeeze(-1);
        let diagonal = rows.eq(j).select(&rest, rest.zeros_like()).sum_keepdims(-1);
        let new = rows.ge(j).select(rest / diagonal.sqrt(), l.zeros_like().sum_axis(-1));
        Ok(vec![a.clone(), columns.eq(j).select(new.expand_dims(-1), l)])
    })?;
    let l = &state[1];
    let fits = l.is_finite().all_axis([-1, -2]).expand_dims(-1).expand_dims(-1);
    Ok(fits.select(l, l.full_like(f64::NAN)).tril(0))
}

pub(super) fn triangular_solve(op: &Linalg, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal } = *op else {
        unreachable!("{} is no triangular system", op.name())
    };
    if !left_side {
        // The same for the transpose of everything.
        let op = Linalg::TriangularSolve { left_side: true, lower, transpose_a: !transpose_a, unit_diagonal };
        return Ok(triangular_solve(&op, a, &b.mt())?.mt());
    }
    let read = if lower { a.tril(0) } else { a.triu(0) };
    let read = if transpose_a { read.mt() } else { read };
    if lower == transpose_a {
        // Its rows and columns in the reverse order are those of a lower triangular matrix.
        return Ok(forward(&read.flip([-1, -2]), &b.flip(-2), unit_diagonal)?.flip(-2));
    }
    forward(&read, b, unit_diagonal)
}

fn forward(l: &Tensor, b: &Tensor, unit: bool) -> Result<Tensor> {
    let state = fori_loop(b.dim(-2), vec![l.clone(), b.clone()], |i, state| {
        let [l, x] = state else { unreachable!("two are carried") };
        let (rows, columns) = places(l);
        let factors = row(l, i);
        let known = columns.lt(i).select(&factors, factors.zeros_like());
        let mut rest = row(x, i) - known.expand_dims(-2).matmul(x).squeeze(-2);
        if !unit {
            rest = rest / columns.eq(i).select(&factors, factors.zeros_like()).sum_keepdims(-1);
        }
        Ok(vec![l.clone(), rows.eq(i).select(rest.expand_dims(-2), x)])
    })?;
    Ok(state[1].clone())
}

pub(super) fn lu(a: &Tensor) -> Result<Vec<Tensor>> {
    let (batch, m, n) = (a.dim(0), a.dim(1), a.dim(2));
    let k = m.min(n);
    let numbers = |count: usize| Tensor::arange(0, count as i64, 1).astype(DType::I32).broadcast_to([batch, count]);
    fori_loop(k, vec![a.clone(), numbers(k), numbers(m)], |j, state| {
        let [a, pivots, permutation] = state else { unreachable!("three are carried") };
        let (rows, columns) = places(a);
        let flat = rows.squeeze(-1);
        let sizes = flat.ge(j).select(column(a, j).abs(), -1.0);
        let pivot = sizes.argmax(-1).astype(DType::I32).expand_dims(-1);
        // Rows j and the pivot's are exchanged.
        let (here, there) = (flat.eq(j), flat.eq(&pivot));
        let other = |x: &Tensor, mask: &Tensor| mask.select(x, x.zeros_like());
        let (wide_here, wide_there) = (here.expand_dims(-1), there.expand_dims(-1));
        let chosen = other(a, &wide_there).sum_axis(-2).expand_dims(-2);
        let a = wide_here.select(&chosen, wide_there.select(row(a, j).expand_dims(-2), a));
        let number = |mask: &Tensor| other(permutation, mask).sum_keepdims(-1).astype(DType::I32);
        let (of_here, of_there) = (number(&here), number(&there));
        let permutation = here.select(of_there, there.select(of_here, permutation));
        let pivots = numbers_are(pivots, j).select(&pivot, pivots);

        // A pivot of 0 has nothing but zeros below it.
        let diagonal = columns.eq(j).select(&chosen, chosen.zeros_like()).sum_keepdims(-1);
        let factors = column(&a, j).expand_dims(-1) / diagonal.eq(0.0).select(1.0, &diagonal);
        let factors = rows.gt(j).select(&factors, factors.zeros_like());
        let right = columns.gt(j).select(&chosen, chosen.zeros_like());
        let a = (columns.eq(j) & rows.gt(j)).select(&factors, a) - &factors * right;
        Ok(vec![a, pivots, permutation])
    })
}

/// Where in a list of numbers the place is `j`.
fn numbers_are(list: &Tensor, j: &Tensor) -> Tensor {
    Tensor::arange(0, list.dim(-1) as i64, 1).astype(DType::I32).eq(j)
}

pub(super) fn solve(a: &Tensor, b: &Tensor, transpose_a: bool) -> Result<Tensor> {
    let parts = lu(a)?;
    let order = &parts[2];
    let half = |lower: bool, b: &Tensor| {
        let op = Linalg::TriangularSolve { left_side: true, lower, transpose_a, unit_diagonal: lower };
        lax::triangular_solve(&parts[0], b, op)
    };
    if transpose_a {
        let x = half(true, &half(false, b)?)?;
        return Ok(x.take_along_axis(order.argsort(-1).expand_dims(-1), -2));
    }
    half(false, &half(true, &b.take_along_axis(order.expand_dims(-1), -2))?)
}
