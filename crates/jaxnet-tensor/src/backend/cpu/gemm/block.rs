//! Computing one part of a product: blocks along k, blocks of columns, slabs, register tiles.

use super::driver::{Job, Part, Rhs, block_k};
use super::element::{Accumulator, GemmElement};
use super::kernel::{MR, Tile};
use super::pack::{Buffer, Lhs, PackedB, Scratch, pack_a, pack_b};
use super::view::MatRef;

/// Bytes of a packed block of B; together with a block of A it has to fit into the second-level
/// cache.
const BLOCK_B_BYTES: usize = 256 << 10;
/// How many rows of B the kernel prefetches ahead.
const PREFETCH_ROWS: isize = 6;
/// Up to this many rows B is read in place, as it would be read only a few times after packing.
const UNPACKED_ROWS: usize = 3 * MR;
/// Rows of B this many bytes apart or less are read in place as well: they lie as closely as packed
/// ones.
const UNPACKED_STRIDE: usize = 512;

/// A block of B: `cols` columns from `j` of the part and `k` rows from `k0`.
#[derive(Clone, Copy)]
struct Block {
    j: usize,
    cols: usize,
    k0: usize,
    k: usize,
}

/// Where the kernel finds a block of B.
enum RhsBlock<'a, T: GemmElement> {
    InPlace(MatRef<'a, T>),
    /// In slabs that have the rows of this block only.
    Packed(&'a [T::Acc]),
    /// In slabs that have all rows.
    PackedWhole(&'a PackedB<T>),
}

/// Computes one part.
pub(super) fn compute<T: GemmElement>(job: &Job<'_, T>, part: Part, scratch: &mut Scratch) {
    let Scratch { a: a_buffer, b: b_buffer, c: c_buffer } = scratch;
    let nr = job.kernels.nr();
    let k_step = block_k::<T>(job.k);
    let j_step = if part.cols <= nr { nr } else { block_columns::<T>(k_step, nr) };
    // Where the kernel accumulates: in C itself, or in a block of the wider type.
    let c = if T::DIRECT {
        Output { ptr: job.c.at(part.index, part.i0, part.j0).cast(), row: job.c.row_stride }
    } else {
        Output { ptr: c_buffer.get(part.rows * part.cols).as_mut_ptr(), row: part.cols }
    };
    let mut k0 = 0;
    loop {
        let k = k_step.min(job.k - k0);
        let lhs = lhs(job, part, (k0, k), a_buffer);
        for j in (0..part.cols).step_by(j_step) {
            let block = Block { j, cols: j_step.min(part.cols - j), k0, k };
            let rhs = rhs(job, part, block, b_buffer);
            compute_block(job, part, &c, &lhs, &rhs, block);
        }
        k0 += k;
        if k0 == job.k {
            return;
        }
    }
}

/// The columns of a packed block of B with `k` rows: whole slabs of `nr`.
fn block_columns<T: GemmElement>(k: usize, nr: usize) -> usize {
    (BLOCK_B_BYTES / (k.max(1) * size_of::<T::Acc>()) / nr).max(1) * nr
}

/// Where the kernel accumulates a part.
struct Output<E> {
    ptr: *mut E,
    row: usize,
}

/// Multiplies the part's rows of A with one block of B.
fn compute_block<T: GemmElement>(
    job: &Job<'_, T>,
    part: Part,
    c: &Output<T::Acc>,
    lhs: &Lhs<T::Acc>,
    rhs: &RhsBlock<'_, T>,
    block: Block,
) {
    let kernels = job.kernels;
    let nr = kernels.nr();
    let Block { k0, k, .. } = block;
    let last = k0 + k == job.k;
    for j in (block.j..block.j + block.cols).step_by(nr) {
        let width = nr.min(block.j + block.cols - j);
        let nv = width.div_ceil(kernels.lanes);
        let tail = width - (nv - 1) * kernels.lanes;
        let padded = (nv * kernels.lanes) as isize;
        let (b, b_row) = match rhs {
            RhsBlock::InPlace(b) => (b.at(part.index, k0, part.j0 + j).cast(), b.row_stride),
            RhsBlock::Packed(slabs) => (slabs[(j - block.j) * k..].as_ptr(), padded),
            RhsBlock::PackedWhole(b) => (b.slab(kernels, part.j0 + j, width, k0, k).as_ptr(), padded),
        };
        for i in (0..part.rows).step_by(MR) {
            let live = MR.min(part.rows - i);
            let tile = Tile {
                a: lhs.ptr.wrapping_offset((i / MR) as isize * lhs.panel),
                a_row: lhs.row,
                a_col: lhs.col,
                b,
                b_row,
                ahead: PREFETCH_ROWS * b_row,
                c: c.ptr.wrapping_add(i * c.row + j),
                c_row: c.row as isize,
                k,
                tail,
                accumulate: k0 > 0 || (T::DIRECT && job.accumulate),
            };
            let full = live == MR && tail == kernels.lanes;
            let micro = if full { kernels.full[nv - 1] } else { kernels.masked[live - 1][nv - 1] };
            // SAFETY: the table was chosen for this CPU. `lhs` and `b` are valid for `live x k` and
            // `k x width` (`b` for whole vectors if packed); this part of C is inside the output,
            // or the block made for it, and no other task's.
            unsafe { micro(&tile) };
            if last && (!T::DIRECT || job.epilogue.is_some()) {
                for r in i..i + live {
                    let sums = (!T::DIRECT).then(|| {
                        // SAFETY: a row of the intermediate block, which the kernel has just
                        // finished.
                        unsafe { std::slice::from_raw_parts_mut(c.ptr.add(r * c.row + j), width) }
                    });
                    finish(job, part.index, part.i0 + r, part.j0 + j, width, sums);
                }
            }
        }
    }
}

/// A block of B, packed if that pays or is needed for contiguous rows.
fn rhs<'a, T: GemmElement>(
    job: &Job<'a, T>,
    part: Part,
    Block { j, cols, k0, k }: Block,
    buffer: &'a mut Buffer,
) -> RhsBlock<'a, T> {
    let b = match job.b {
        Rhs::Packed(packed) => return RhsBlock::PackedWhole(packed),
        Rhs::View(b) => b,
    };
    let near = b.row_stride.unsigned_abs() * size_of::<T>() <= UNPACKED_STRIDE;
    if T::DIRECT && b.col_stride == 1 && (part.rows <= UNPACKED_ROWS || near) {
        return RhsBlock::InPlace(b);
    }
    let slabs = buffer.get::<T::Acc>(k * cols.next_multiple_of(job.kernels.lanes));
    pack_b(job.kernels, &b, part.index, (k0, k), (part.j0 + j, cols), slabs);
    RhsBlock::Packed(slabs)
}

/// The block of A for a part, packed if that pays.
fn lhs<T: GemmElement>(job: &Job<'_, T>, part: Part, (k0, k): (usize, usize), buffer: &mut Buffer) -> Lhs<T::Acc> {
    let a = &job.a;
    // Rows a multiple of 1 KiB apart compete for a few cache sets, and columns far apart cost a TLB
    // entry each.
    let scattered = if a.col_stride == 1 {
        part.rows > 2 && (a.row_stride * size_of::<T>() as isize) % 1024 == 0
    } else {
        part.rows > MR
    };
    if !T::DIRECT || (scattered && part.cols > job.kernels.nr()) {
        return pack_a(a, part.index, (part.i0, part.rows), (k0, k), buffer);
    }
    Lhs {
        ptr: a.at(part.index, part.i0, k0).cast(),
        row: a.row_stride,
        col: a.col_stride,
        panel: a.row_stride * MR as isize,
    }
}

/// Completes a segment of a row of C: stores the `sums` accumulated elsewhere, if any, and runs the
/// epilogue.
///
/// The segment must belong to the calling task.
pub(super) fn finish<T: GemmElement>(
    job: &Job<'_, T>,
    index: usize,
    i: usize,
    j: usize,
    width: usize,
    sums: Option<&mut [T::Acc]>,
) {
    assert!(index < job.c.batch && i < job.c.rows && j + width <= job.c.cols);
    // SAFETY: inside the output, as asserted; only one task has this segment and it holds no other
    // reference to it.
    let segment = unsafe { std::slice::from_raw_parts_mut(job.c.at(index, i, j), width) };
    if let Some(sums) = sums {
        if job.accumulate {
            for (s, old) in sums.iter_mut().zip(segment.iter()) {
                *s = old.widen().add(*s);
            }
        }
        T::narrow_slice(sums, segment);
    }
    if let Some(epilogue) = job.epilogue {
        epilogue(index, i, j, segment);
    }
}
