//! Decompositions of matrices and systems of equations.
//!
//! What is a fixed number of steps (Cholesky, LU, QR, triangular systems) halves the matrix until blocks are
//! small, so that nearly all of the work is in matrix products. Eigenvalues are found by the QL method on a
//! tridiagonal matrix, singular values by Jacobi's rotations. (Crates were tried: faer takes longer to compile
//! than the whole workspace; nalgebra's singular vectors are wrong for some matrices of low rank, and its
//! eigenvalues NaN for some graded ones.)

mod cholesky;
mod eigh;
mod lu;
mod qr;
mod svd;
#[cfg(test)]
mod tests;
mod triangular;

use num_traits::{Float, NumAssign};
use smallvec::SmallVec;

use super::parallel::join;
use super::{Input, Output};
use crate::backend::cpu::gemm::{GemmElement, MatMut, MatRef, gemm};
use crate::dtype::{DType, Element};
use crate::primitive::Linalg;

/// The dtypes that matrices are decomposed in.
trait Real: Element + GemmElement + Float + NumAssign {}

impl Real for f32 {}
impl Real for f64 {}

pub(super) fn run(op: &Linalg, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) {
    match inputs[0].aval.dtype {
        DType::F32 => run_in::<f32>(op, inputs, outputs),
        DType::F64 => run_in::<f64>(op, inputs, outputs),
        dtype => unreachable!("inference refuses {dtype}"),
    }
}

fn run_in<T: Real>(op: &Linalg, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) {
    let shape = &inputs[0].aval.shape;
    let (batch, matrix) = shape.split_at(shape.rank() - 2);
    let (m, n) = (matrix[0], matrix[1]);
    let mut parts = Parts { count: batch.iter().product(), floats: SmallVec::new(), integers: SmallVec::new() };
    for output in outputs {
        match output.aval.dtype {
            DType::I32 => parts.integers.push(output.slice()),
            _ => parts.floats.push(output.slice()),
        }
    }
    let a = inputs[0].slice::<T>();
    let of = |x: &[T], i: usize, size: usize| -> Vec<T> { x[i * size..(i + 1) * size].to_vec() };
    match *op {
        Linalg::Cholesky => parts.each(m * n, &|i, parts| cholesky::cholesky(&of(a, i, m * n), n, parts.floats[0])),
        Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal } => {
            let b = inputs[1].slice::<T>();
            let columns = inputs[1].aval.shape[shape.rank() - if left_side { 1 } else { 2 }];
            let system = triangular::System { n, left_side, lower, transpose_a, unit_diagonal };
            parts.each(n * n.max(columns), &|i, parts| {
                let x = &mut *parts.floats[0];
                x.copy_from_slice(&b[i * n * columns..][..n * columns]);
                system.solve(&a[i * n * n..][..n * n], x, columns);
            });
        }
        Linalg::Solve { transpose_a } => {
            let b = inputs[1].slice::<T>();
            let columns = inputs[1].aval.shape[shape.rank() - 1];
            parts.each(n * n.max(columns), &|i, parts| {
                let x = &mut *parts.floats[0];
                x.copy_from_slice(&b[i * n * columns..][..n * columns]);
                lu::solve(of(a, i, n * n), n, transpose_a, x, columns);
            });
        }
        Linalg::Lu => parts.each(m * n, &|i, parts| {
            let [pivots, permutation] = &mut parts.integers[..] else { unreachable!("lu has two lists of rows") };
            parts.floats[0].copy_from_slice(&a[i * m * n..][..m * n]);
            lu::lu(parts.floats[0], m, n, pivots, permutation);
        }),
        Linalg::Qr { full_matrices } => parts.each(m * n, &|i, parts| {
            let [q, r] = &mut parts.floats[..] else { unreachable!("qr has two results") };
            qr::qr(&a[i * m * n..][..m * n], m, n, full_matrices, q, r);
        }),
        Linalg::Eigh { lower } => parts.each(n * n, &|i, parts| {
            let [v, w] = &mut parts.floats[..] else { unreachable!("eigh has two results") };
            eigh::eigh(&a[i * n * n..][..n * n], n, lower, v, w);
        }),
        Linalg::Svd { full_matrices, .. } => parts.each(m * n, &|i, parts| {
            let (s, vectors) = parts.floats.split_first_mut().expect("svd gives the singular values");
            let vectors = match vectors {
                [u, vt] => Some((&mut **u, &mut **vt)),
                _ => None,
            };
            svd::svd(&a[i * m * n..][..m * n], m, n, full_matrices, s, vectors);
        }),
    }
}

/// The results' elements for some of the matrices of a batch.
struct Parts<'a, T> {
    count: usize,
    floats: SmallVec<[&'a mut [T]; 3]>,
    integers: SmallVec<[&'a mut [i32]; 2]>,
}

/// From how many elements of matrices on a batch is shared out: decompositions take longer by element than
/// most operations.
const PARALLEL: usize = 1 << 10;

impl<T: Send> Parts<'_, T> {
    /// Calls `f` with the number of each matrix of the batch, and with its part. Matrices have this size.
    fn each(self, size: usize, f: &(dyn Fn(usize, &mut Parts<'_, T>) + Sync)) {
        self.from(0, size, f);
    }

    fn from(mut self, first: usize, size: usize, f: &(dyn Fn(usize, &mut Parts<'_, T>) + Sync)) {
        match self.count {
            0 => {}
            1 => f(first, &mut self),
            count => {
                let half = count / 2;
                let (left, right) = self.split(half);
                let (mut left, mut right) = (Some(left), Some(right));
                let mut left = || left.take().into_iter().for_each(|left| left.from(first, size, f));
                let mut right = || right.take().into_iter().for_each(|right| right.from(first + half, size, f));
                if count * size >= PARALLEL {
                    join(&mut left, &mut right);
                } else {
                    left();
                    right();
                }
            }
        }
    }

    fn split<'b>(&'b mut self, at: usize) -> (Parts<'b, T>, Parts<'b, T>) {
        let rest = self.count - at;
        let mut left = Parts { count: at, floats: SmallVec::new(), integers: SmallVec::new() };
        let mut right = Parts { count: rest, floats: SmallVec::new(), integers: SmallVec::new() };
        let count = self.count;
        for part in &mut self.floats {
            let (a, b) = part.split_at_mut(part.len() / count * at);
            left.floats.push(a);
            right.floats.push(b);
        }
        for part in &mut self.integers {
            let (a, b) = part.split_at_mut(part.len() / count * at);
            left.integers.push(a);
            right.integers.push(b);
        }
        (left, right)
    }
}

/// A part of a row-major matrix: where its first element is, how far rows are apart, and its sizes.
#[derive(Clone, Copy)]
struct Block {
    offset: usize,
    stride: usize,
    rows: usize,
    columns: usize,
}

impl Block {
    fn of<'a, T>(self, data: &'a [T]) -> MatRef<'a, T> {
        MatRef::new(data, self.offset, [self.rows, self.columns], [self.stride as isize, 1])
    }

    fn of_mut<'a, T>(self, data: &'a mut [T]) -> MatMut<'a, T> {
        MatMut::new(data, self.offset, [self.rows, self.columns], self.stride)
    }

    /// The negated elements as a matrix of their own.
    fn negated<T: Real>(self, data: &[T]) -> Vec<T> {
        let row = |i: usize| &data[self.offset + i * self.stride..][..self.columns];
        (0..self.rows).flat_map(|i| row(i).iter().map(|x| -*x)).collect()
    }
}

/// A whole matrix with these sizes.
fn whole(rows: usize, columns: usize) -> Block {
    Block { offset: 0, stride: columns, rows, columns }
}

/// The product of two matrices.
fn product<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>, rows: usize, columns: usize) -> Vec<T> {
    let mut c = vec![T::zero(); rows * columns];
    gemm(a, b, whole(rows, columns).of_mut(&mut c), false, None);
    c
}

/// A matrix with rows and columns exchanged.
fn transposed<T: Real>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut y = vec![T::zero(); x.len()];
    transpose_into(x, rows, columns, &mut y);
    y
}

fn transpose_into<T: Real>(x: &[T], rows: usize, columns: usize, y: &mut [T]) {
    for i in 0..rows {
        for (j, &x) in x[i * columns..(i + 1) * columns].iter().enumerate() {
            y[j * rows + i] = x;
        }
    }
}

/// The largest absolute value; 0 of nothing.
fn largest<T: Real>(x: impl IntoIterator<Item = T>) -> T {
    x.into_iter().fold(T::zero(), |largest, x| largest.max(x.abs()))
}

/// The sum of the products of elements.
fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    // Several sums side by side, which the compiler may not make of one.
    const LANES: usize = 8;
    let mut sums = [T::zero(); LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest = xs.remainder().iter().zip(ys.remainder()).fold(T::zero(), |sum, (x, y)| sum + *x * *y);
    for (x, y) in xs.zip(ys) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += *x * *y;
        }
    }
    sums.into_iter().fold(rest, |sum, x| sum + x)
}

/// `y += factor * x`.
fn add_times<T: Real>(y: &mut [T], factor: T, x: &[T]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * *x);
}
