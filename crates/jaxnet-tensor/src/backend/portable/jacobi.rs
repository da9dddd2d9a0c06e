//! Singular values and eigenvalues, by Jacobi's rotations of pairs of columns until all are orthogonal.
//!
//! All columns are rotated at once, in pairs as in a tournament (Brent and Luk 1985): after as many rounds as
//! there are other columns each has met each.

use super::{columns_to, epsilon, eye_like, nothing, qr, signs_of_columns, unless_finite, while_loop};
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::{Ellipsis, Tensor};

/// Mostly it takes less than ten.
const SWEEPS: usize = 60;

/// Of `n × n` matrices, whose largest element is about 1: the lengths of the columns of `x v`, which are orthogonal, from
/// the greatest on; these columns divided by their lengths, or 0; and the orthogonal `v`.
fn jacobi(x: &Tensor) -> Result<[Tensor; 3]> {
    let (batch, n) = (x.dim(0), x.dim(-1));
    let half = n.div_ceil(2);
    // Columns as rows, and beside each that of v; one of zeros if their number is odd.
    let rows = Tensor::concatenate(&[x.mt(), eye_like(x, n, n)], -1);
    let rows = rows.pad(&[(0, 0), (0, 2 * half as i64 - n as i64), (0, 0)], 0);
    let (top, bottom) = (rows.i((.., ..half as isize)), rows.i((.., half as isize..)));
    let tolerance = epsilon(x) * (n as f64).sqrt();
    let rounds = (2 * half - 1) as i32;
    let state = while_loop(
        vec![top, bottom, Tensor::scalar(0_i32)],
        // Until nothing has been rotated for a whole tournament.
        |i, state| state[2].lt(rounds) & i.lt(rounds * SWEEPS as i32),
        |_, state| {
            let [top, bottom, unchanged] = state else { unreachable!("three are carried") };
            let (a, b) = (columns_to(top, n), columns_to(bottom, n));
            let sum = |x: Tensor| x.sum_keepdims(-1);
            let (alpha, beta, gamma) = (sum(a.square()), sum(b.square()), sum(&a * &b));
            let large = alpha.minimum(&beta).gt(nothing(x));
            let rotate = gamma.abs().gt(alpha.sqrt() * beta.sqrt() * tolerance) & large;
            let zeta = (beta - alpha) / (rotate.select(&gamma, 1.0) * 2.0);
            let size = zeta.abs() + (zeta.square() + 1.0).sqrt();
            let tangent = rotate.select(zeta.lt(0.0).select(-1.0, 1.0) / size, 0.0).astype(x.dtype());
            let cosine = 1.0 / (tangent.square() + 1.0).sqrt();
            let sine = &cosine * tangent;
            let (a, b) = (&cosine * top - &sine * bottom, sine * top + cosine * bottom);
            // The first stays, the others go round.
            let (next_a, next_b) = if half == 1 {
                (a, b)
            } else {
                let part = |x: &Tensor, from: usize, to: usize| x.i((.., from as isize..to as isize));
                let next_a = [part(&a, 0, 1), part(&b, 0, 1), part(&a, 1, half - 1)];
                let next_b = [part(&b, 1, half), part(&a, half - 1, half)];
                (Tensor::concatenate(&next_a, 1), Tensor::concatenate(&next_b, 1))
            };
            let unchanged = rotate.any().select(0, unchanged + 1).astype(DType::I32);
            Ok(vec![next_a, next_b, unchanged])
        },
    )?;
    let rows = Tensor::concatenate(&state[..2], 1);
    let (x, v) = (columns_to(&rows, n), rows.i((Ellipsis, n as isize..)));
    let squares = x.square().sum_axis(-1);
    let lengths = squares.gt(nothing(&x)).select(squares.sqrt(), 0.0);
    // The row of zeros comes last.
    let order = v.square().sum_axis(-1).gt(0.5).select(&lengths, -1.0).argsort_descending(-1);
    let order = columns_to(&order, n);
    let lengths = lengths.take_along_axis(&order, -1);
    let arranged = |x: &Tensor| x.take_along_axis(order.expand_dims(-1), -2);
    let (by, positive) = (lengths.expand_dims(-1), lengths.gt(0.0).expand_dims(-1));
    let x = positive.select(arranged(&x) / positive.select(by, 1.0), 0.0).astype(v.dtype());
    debug_assert_eq!(x.shape().dims(), [batch, n, n]);
    Ok([lengths, x.mt(), arranged(&v).mt()])
}

/// By what matrices are divided so that their largest elements are 1.
fn scales(a: &Tensor) -> Tensor {
    let largest = a.abs().max_keepdims([-1, -2]);
    largest.eq(0.0).select(1.0, largest)
}

pub(super) fn eigh(a: &Tensor, lower: bool) -> Result<Vec<Tensor>> {
    let a = if lower { a.tril(0) + a.tril(-1).mt() } else { a.triu(0) + a.triu(1).mt() };
    let scale = scales(&a);
    let scaled = &a / &scale;
    // Shifted, so that no eigenvalue is negative: then they are the singular values.
    let shift = scaled.abs().sum_keepdims(-1).max_keepdims(-2);
    let [s, _, v] = jacobi(&(scaled + eye_like(&a, a.dim(-1), a.dim(-1)) * &shift))?;
    let w = ((s - shift.squeeze(-1)) * scale.squeeze(-1)).flip(-1);
    let v = v.flip(-1);
    let signs = signs_of_columns(&v);
    Ok(unless_finite(&a, vec![v * signs, w]))
}

pub(super) fn svd(a: &Tensor, full: bool, vectors: bool) -> Result<Vec<Tensor>> {
    let (m, n) = (a.dim(1), a.dim(2));
    if m < n {
        let results = svd(&a.mt(), full, vectors)?;
        let [s, v, ut] = &results[..] else { return Ok(results) };
        let u = ut.mt();
        let signs = signs_of_columns(&u);
        return Ok(vec![s.clone(), &u * &signs, signed_rows(&v.mt(), &signs)?]);
    }
    let scale = scales(a);
    let scaled = a / &scale;
    // Of a tall matrix what is upper triangular is decomposed.
    let (q, r) = if m == n {
        (None, scaled)
    } else {
        let parts = qr::qr(&scaled, full)?;
        (Some(parts[0].clone()), parts[1].i((.., ..n as isize)))
    };
    let [s, u, v] = jacobi(&r)?;
    let values = &s * scale.squeeze(-1);
    if !vectors {
        return Ok(unless_finite(a, vec![values]));
    }
    // Orthogonal to the others, where singular values are 0.
    let any = &qr::qr(&u, true)?[0];
    let mut u = s.gt(0.0).expand_dims(-2).select(&u, any);
    if let Some(q) = q {
        let first = columns_to(&q, n).matmul(&u);
        u = if full { Tensor::concatenate(&[first, q.i((Ellipsis, n as isize..))], -1) } else { first };
    }
    let signs = signs_of_columns(&columns_to(&u, n));
    let u = &u * padded(&signs, u.dim(-1));
    Ok(unless_finite(a, vec![values, u, signed_rows(&v.mt(), &signs)?]))
}

/// With ones for columns beyond.
fn padded(signs: &Tensor, count: usize) -> Tensor {
    signs.pad(&[(0, 0), (0, 0), (0, count as i64 - signs.dim(-1) as i64)], 1)
}

fn signed_rows(x: &Tensor, signs: &Tensor) -> Result<Tensor> {
    Ok(x * padded(signs, x.dim(-2)).mt())
}
