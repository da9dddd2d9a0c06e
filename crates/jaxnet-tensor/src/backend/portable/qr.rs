//! The QR decomposition, by Householder's reflections.

use super::{column, columns_to, eye_like, fori_loop, places};
use crate::error::Result;
use crate::tensor::Tensor;

pub(super) fn qr(a: &Tensor, full: bool) -> Result<Vec<Tensor>> {
    let (m, n) = (a.dim(1), a.dim(2));
    let k = m.min(n);
    let (v, scales) = (columns_to(&eye_like(a, m, m), k).zeros_like(), a.zeros_like().i((.., 0, ..k as isize)));
    let state = fori_loop(k, vec![a.clone(), v, scales], |j, state| {
        let [a, v, scales] = state else { unreachable!("three are carried") };
        let (rows, columns) = places(a);
        let (flat, here) = (rows.squeeze(-1), rows.squeeze(-1).eq(j));
        let x = column(a, j);
        let below = flat.gt(j).select(&x, x.zeros_like());
        let any = below.ne(0.0).any_axis(-1).expand_dims(-1);
        // Scaled, so that squares neither overflow nor vanish.
        let x = flat.ge(j).select(&x, x.zeros_like());
        let largest = x.abs().max_keepdims(-1);
        let y = &x / largest.eq(0.0).select(1.0, &largest);
        let norm = y.square().sum_keepdims(-1).sqrt();
        let first = here.select(&y, y.zeros_like()).sum_keepdims(-1);
        let new = first.lt(0.0).select(&norm, -&norm);
        let divisor = any.select(&first - &new, 1.0);
        let vector = here.select(1.0, (any.clone() & flat.gt(j)).select(y / divisor, 0.0)).astype(a.dtype());
        let scale = any.select((&new - &first) / any.select(&new, 1.0), 0.0).astype(a.dtype());

        let along = vector.expand_dims(-2).matmul(a) * scale.expand_dims(-1);
        let reflected = a - vector.expand_dims(-1) * along;
        // Exactly what it is to be.
        let corner = any.select(new * largest, here.select(&x, x.zeros_like()).sum_keepdims(-1)).expand_dims(-1);
        let exact = rows.eq(j).select(&corner, rows.gt(j).select(0.0, &reflected)).astype(a.dtype());
        let a = columns.eq(j).select(exact, &reflected);
        let number = places(v).1.eq(j);
        Ok(vec![a, number.select(vector.expand_dims(-1), v), number.select(&scale, scales)])
    })?;
    let [r, v, scales] = &state[..] else { unreachable!("three are carried") };

    let size = if full { m } else { k };
    let start = vec![eye_like(a, m, size), v.clone(), scales.clone()];
    // From the last reflection on.
    let state = fori_loop(k, start, |i, state| {
        let [q, v, scales] = state else { unreachable!("three are carried") };
        let j = (k as i32 - 1) - i;
        let vector = column(v, &j);
        let scale = column(&scales.expand_dims(1), &j).expand_dims(-1);
        let along = vector.expand_dims(-2).matmul(q) * scale;
        Ok(vec![q - vector.expand_dims(-1) * along, v.clone(), scales.clone()])
    })?;
    let q = &state[0];

    let r = r.i((.., ..size as isize)).triu(0);
    let negative = r.diagonal(0).lt(0.0);
    let signs = negative.select(-1.0, 1.0).astype(a.dtype());
    // Columns and rows beyond the diagonal stay as they are.
    let signs = if size > k {
        let ones = signs.ones_like().i((.., ..1)).broadcast_to([a.dim(0), size - k]);
        Tensor::concatenate(&[signs, ones], -1)
    } else {
        signs
    };
    Ok(vec![q * signs.expand_dims(-2), r * signs.expand_dims(-1)])
}
