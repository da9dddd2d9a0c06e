//! The Cholesky decomposition.

use super::triangular::forward;
use super::{Block, Real, dot, whole};
use crate::backend::cpu::gemm::gemm;

/// Matrices up to this size are decomposed element by element.
const SMALL: usize = 32;

pub(super) fn cholesky<T: Real>(a: &[T], n: usize, l: &mut [T]) {
    l.copy_from_slice(a);
    let fits = factor(l, n, n);
    for i in 0..n {
        if !fits {
            l[i * n..][..=i].fill(T::nan());
        }
        l[i * n..(i + 1) * n][i + 1..].fill(T::zero());
    }
}

/// Decomposes the block of `n × n` that starts the slice; `false` if it is not positive definite.
fn factor<T: Real>(a: &mut [T], stride: usize, n: usize) -> bool {
    if n <= SMALL {
        for i in 0..n {
            let (above, row) = a.split_at_mut(i * stride);
            for j in 0..i {
                let other = &above[j * stride..][..=j];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let square = row[i] - dot(&row[..i], &row[..i]);
            let positive = square > T::zero() && square.is_finite();
            if !positive {
                return false;
            }
            row[i] = square.sqrt();
        }
        return true;
    }
    let half = (n / 2).next_multiple_of(SMALL);
    let rest = n - half;
    if !factor(a, stride, half) {
        return false;
    }
    let (top, bottom) = a.split_at_mut(half * stride);
    // The rows below times the inverse of the transposed upper part, as columns.
    let mut columns = vec![T::zero(); half * rest];
    for i in 0..rest {
        for (j, x) in bottom[i * stride..][..half].iter().enumerate() {
            columns[j * rest + i] = *x;
        }
    }
    forward(top, stride, half, false, &mut columns, rest, rest);
    for i in 0..rest {
        for (j, x) in bottom[i * stride..][..half].iter_mut().enumerate() {
            *x = columns[j * rest + i];
        }
    }
    let below = Block { offset: 0, stride, rows: rest, columns: half }.negated(bottom);
    let corner = Block { offset: half, stride, rows: rest, columns: rest };
    gemm(whole(rest, half).of(&below), whole(half, rest).of(&columns), corner.of_mut(bottom), true, None);
    factor(&mut a[half * (stride + 1)..], stride, rest)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_not_positive_definite_is_nan() {
        for a in [[1.0, 0.0, 2.0, 1.0], [f64::NAN, 0.0, 0.0, 1.0], [1.0, 0.0, f64::INFINITY, 1.0]] {
            let mut l = [0.0; 4];
            super::cholesky(&a, 2, &mut l);
            assert!(l[0].is_nan() && l[2].is_nan() && l[3].is_nan() && l[1] == 0.0, "{l:?}");
        }
    }
}
