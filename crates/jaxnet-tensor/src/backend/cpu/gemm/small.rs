//! Matrix-vector products, where each element of the matrix is used once and packing could only
//! lose.

use super::block::finish;
use super::driver::{Job, Part, Rhs};
use super::element::GemmElement;
use super::kernel::{Dots, Tile};
use super::pack::Scratch;

/// A vector `y` of inner products of the rows of a strided matrix with a strided `x`.
struct Gemv<E> {
    matrix: *const E,
    /// From one output to the next.
    out_stride: isize,
    /// From one term of an inner product to the next.
    k_stride: isize,
    x: *const E,
    x_stride: isize,
}

/// Computes a part of a product with one row or one column, if this is one whose matrix is
/// contiguous one way or the other; returns whether it was.
pub(super) fn gemv<T: GemmElement>(job: &Job<'_, T>, part: Part, scratch: &mut Scratch) -> bool {
    let Rhs::View(b) = &job.b else { return false };
    if !T::DIRECT || (job.c.rows != 1 && job.c.cols != 1) {
        return false;
    }
    let (a, k) = (&job.a, job.k);
    let Part { index, i0, rows, j0, cols } = part;
    let row_vector = job.c.rows == 1;
    let (left, right) = (a.at(index, i0, 0).cast::<T::Acc>(), b.at(index, 0, j0).cast::<T::Acc>());
    let g = if row_vector {
        Gemv { matrix: right, out_stride: b.col_stride, k_stride: b.row_stride, x: left, x_stride: a.col_stride }
    } else {
        Gemv { matrix: left, out_stride: a.row_stride, k_stride: a.col_stride, x: right, x_stride: b.row_stride }
    };
    let outputs = rows * cols;
    let y = scratch.c.get::<T::Acc>(outputs);
    if g.k_stride == 1 {
        let x = if g.x_stride == 1 {
            g.x
        } else {
            let copy = scratch.b.get::<T::Acc>(k);
            for (kk, v) in copy.iter_mut().enumerate() {
                // SAFETY: `x` has `k` elements in its operand.
                *v = unsafe { *g.x.wrapping_offset(kk as isize * g.x_stride) };
            }
            copy.as_ptr()
        };
        let dots = Dots { m: g.matrix, m_row: g.out_stride, rows: outputs, x, k, y: y.as_mut_ptr() };
        // SAFETY: the table was chosen for this CPU; the part of the matrix is inside its operand,
        // whose terms are contiguous, and `x` and `y` have `k` and `outputs` elements.
        unsafe { (job.kernels.dot_rows)(&dots) };
    } else if g.out_stride == 1 {
        combine(job, &g, y);
    } else {
        return false;
    }
    if row_vector {
        store(job, part, y);
    } else {
        for (i, y) in y.chunks_exact_mut(1).enumerate() {
            store(job, Part { i0: i0 + i, ..part }, y);
        }
    }
    true
}

/// `y` as a combination of contiguous columns: the microkernel with a single row.
///
/// A few columns' worth of terms at a time, over all outputs: memory is then read in long runs.
fn combine<T: GemmElement>(job: &Job<'_, T>, g: &Gemv<T::Acc>, y: &mut [T::Acc]) {
    const BLOCK_K: usize = 16;
    let kernels = job.kernels;
    let mut k0 = 0;
    loop {
        let k = BLOCK_K.min(job.k - k0);
        for (s, y) in y.chunks_mut(kernels.nr()).enumerate() {
            let nv = y.len().div_ceil(kernels.lanes);
            let tile = Tile {
                a: g.x.wrapping_offset(k0 as isize * g.x_stride),
                a_row: 0,
                a_col: g.x_stride,
                b: g.matrix.wrapping_offset((s * kernels.nr()) as isize + k0 as isize * g.k_stride),
                b_row: g.k_stride,
                // Along the rows rather than across them.
                ahead: 4 * kernels.nr() as isize,
                c: y.as_mut_ptr(),
                c_row: 0,
                k,
                tail: y.len() - (nv - 1) * kernels.lanes,
                accumulate: k0 > 0,
            };
            // SAFETY: the table was chosen for this CPU; the columns are inside the matrix, whose
            // outputs are contiguous, `x` has `k` terms from `k0` and `y` as many elements as there
            // are columns.
            unsafe { kernels.masked[0][nv - 1](&tile) };
        }
        k0 += k;
        if k0 == job.k {
            return;
        }
    }
}

/// Stores a finished segment of a row and runs the epilogue.
fn store<T: GemmElement>(job: &Job<'_, T>, part: Part, y: &mut [T::Acc]) {
    finish(job, part.index, part.i0, part.j0, y.len(), Some(y));
}
