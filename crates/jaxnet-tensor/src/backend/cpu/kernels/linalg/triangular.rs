//! Triangular systems.

use super::{Block, Real, transposed, whole};
use crate::backend::cpu::gemm::gemm;

/// Systems up to this size are solved row by row.
const SMALL: usize = 32;

/// Solves `l x = b` in place, where `l` is the lower triangle of an `n × n` block that starts a slice, with rows
/// `stride` apart, and so are the rows of `x`, `x_stride` apart.
pub(super) fn forward<T: Real>(
    l: &[T],
    stride: usize,
    n: usize,
    unit: bool,
    x: &mut [T],
    x_stride: usize,
    columns: usize,
) {
    if columns == 0 {
        return;
    }
    if n <= SMALL {
        for i in 0..n {
            let (done, rest) = x.split_at_mut(i * x_stride);
            let row = &mut rest[..columns];
            for (j, &factor) in l[i * stride..][..i].iter().enumerate() {
                for (x, &known) in row.iter_mut().zip(&done[j * x_stride..]) {
                    *x -= factor * known;
                }
            }
            if !unit {
                let diagonal = l[i * stride + i];
                row.iter_mut().for_each(|x| *x /= diagonal);
            }
        }
        return;
    }
    let half = (n / 2).next_multiple_of(SMALL);
    let (top, bottom) = x.split_at_mut(half * x_stride);
    forward(l, stride, half, unit, top, x_stride, columns);
    let below = Block { offset: half * stride, stride, rows: n - half, columns: half }.negated(l);
    let known = Block { offset: 0, stride: x_stride, rows: half, columns };
    let rest = Block { rows: n - half, ..known };
    gemm(whole(n - half, half).of(&below), known.of(top), rest.of_mut(bottom), true, None);
    forward(&l[half * (stride + 1)..], stride, n - half, unit, bottom, x_stride, columns);
}

/// `op(a) x = b` or `x op(a) = b` with `a` of `n × n`.
pub(super) struct System {
    pub n: usize,
    pub left_side: bool,
    pub lower: bool,
    pub transpose_a: bool,
    pub unit_diagonal: bool,
}

impl System {
    /// Makes `x` of the right side in its place: as many columns, or rows, where `x` is on the left.
    pub fn solve<T: Real>(&self, a: &[T], x: &mut [T], columns: usize) {
        let n = self.n;
        if !self.left_side {
            // The same for the transpose of everything.
            let mut y = transposed(x, columns, n);
            System { left_side: true, transpose_a: !self.transpose_a, ..*self }.solve(a, &mut y, columns);
            return super::transpose_into(&y, n, columns, x);
        }
        if self.lower && !self.transpose_a {
            return forward(a, n, n, self.unit_diagonal, x, columns, columns);
        }
        let turned = self.lower == self.transpose_a;
        let place = |i: usize| if turned { n - 1 - i } else { i };
        // As the lower triangle, which a matrix with its rows and columns in the reverse order has above.
        let mut l = vec![T::zero(); n * n];
        for i in 0..n {
            for j in 0..=i {
                let (row, column) = (place(i), place(j));
                l[i * n + j] = if self.transpose_a { a[column * n + row] } else { a[row * n + column] };
            }
        }
        if turned {
            reverse_rows(x, n, columns);
        }
        forward(&l, n, n, self.unit_diagonal, x, columns, columns);
        if turned {
            reverse_rows(x, n, columns);
        }
    }
}

fn reverse_rows<T>(x: &mut [T], rows: usize, columns: usize) {
    for i in 0..rows / 2 {
        let (top, bottom) = x.split_at_mut((rows - 1 - i) * columns);
        top[i * columns..][..columns].swap_with_slice(&mut bottom[..columns]);
    }
}
