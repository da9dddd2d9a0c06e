//! The LU decomposition with partial pivoting.

use super::triangular::{System, forward};
use super::{Block, Real, whole};
use crate::backend::cpu::gemm::gemm;

/// Up to so many columns are eliminated one by one.
const SMALL: usize = 16;

/// Decomposes a matrix in its place.
pub(super) fn lu<T: Real>(a: &mut [T], m: usize, n: usize, pivots: &mut [i32], permutation: &mut [i32]) {
    let mut rows = vec![0; m.min(n)];
    factor(a, n, m, n, &mut rows);
    for (i, place) in permutation.iter_mut().enumerate() {
        *place = i as i32;
    }
    for (i, (pivot, &row)) in pivots.iter_mut().zip(&rows).enumerate() {
        *pivot = row as i32;
        permutation.swap(i, row);
    }
}

/// Decomposes the block of `m × n` that starts the slice, whose other columns stay as they are. Gives with which
/// row each was exchanged.
fn factor<T: Real>(a: &mut [T], stride: usize, m: usize, n: usize, pivots: &mut [usize]) {
    let k = m.min(n);
    if k == 0 {
        return;
    }
    if n <= SMALL || k == 1 {
        return eliminate(a, stride, m, n, pivots);
    }
    let left = k / 2;
    let (first, last) = pivots.split_at_mut(left);
    factor(a, stride, m, left, first);
    exchange(a, stride, left..n, first);
    let corner = Block { offset: 0, stride, rows: left, columns: left };
    let l: Vec<T> = corner.negated(a).iter().map(|x| -*x).collect();
    forward(&l, left, left, true, &mut a[left..], stride, n - left);
    let (top, bottom) = a.split_at_mut(left * stride);
    let rest = Block { offset: left, stride, rows: m - left, columns: n - left };
    let below = Block { offset: 0, columns: left, ..rest }.negated(bottom);
    let right = Block { rows: left, ..rest };
    gemm(whole(m - left, left).of(&below), right.of(top), rest.of_mut(bottom), true, None);
    factor(&mut a[left * (stride + 1)..], stride, m - left, n - left, last);
    exchange(&mut a[left * stride..], stride, 0..left, last);
    last.iter_mut().for_each(|row| *row += left);
}

/// Exchanges rows in these columns.
fn exchange<T>(a: &mut [T], stride: usize, columns: std::ops::Range<usize>, pivots: &[usize]) {
    for (i, &row) in pivots.iter().enumerate().filter(|(i, row)| i != *row) {
        let (above, below) = a.split_at_mut(row * stride);
        above[i * stride..][columns.clone()].swap_with_slice(&mut below[columns.clone()]);
    }
}

fn eliminate<T: Real>(a: &mut [T], stride: usize, m: usize, n: usize, pivots: &mut [usize]) {
    for (j, pivot) in pivots.iter_mut().enumerate() {
        *pivot =
            (j + 1..m).fold(j, |best, i| if a[i * stride + j].abs() > a[best * stride + j].abs() { i } else { best });
        // The last row ends where its columns do.
        let (above, below) = a.split_at_mut(((j + 1) * stride).min(a.len()));
        let row = &mut above[j * stride..][..n];
        if *pivot != j {
            row.swap_with_slice(&mut below[(*pivot - j - 1) * stride..][..n]);
        }
        // A pivot of 0 has nothing but zeros below it.
        if row[j] == T::zero() {
            continue;
        }
        for i in 0..m - j - 1 {
            let other = &mut below[i * stride..][..n];
            let factor = other[j] / row[j];
            other[j] = factor;
            for (x, y) in other[j + 1..].iter_mut().zip(&row[j + 1..]) {
                *x -= factor * *y;
            }
        }
    }
}

/// Solves `a x = b`, or `aᵀ x = b`, where `x` is `b` at first and has so many columns.
pub(super) fn solve<T: Real>(mut a: Vec<T>, n: usize, transpose_a: bool, x: &mut [T], columns: usize) {
    let (mut pivots, mut permutation) = (vec![0; n], vec![0; n]);
    lu(&mut a, n, n, &mut pivots, &mut permutation);
    let half = |lower: bool| System { n, left_side: true, lower, transpose_a, unit_diagonal: lower };
    let b = x.to_vec();
    let rows = permutation.iter().map(|&row| row as usize).enumerate();
    if transpose_a {
        // The transpose of Pᵀ L U.
        half(false).solve(&a, x, columns);
        half(true).solve(&a, x, columns);
        let b = x.to_vec();
        rows.for_each(|(i, row)| x[row * columns..][..columns].copy_from_slice(&b[i * columns..][..columns]));
    } else {
        rows.for_each(|(i, row)| x[i * columns..][..columns].copy_from_slice(&b[row * columns..][..columns]));
        half(true).solve(&a, x, columns);
        half(false).solve(&a, x, columns);
    }
}
