//! Packing: copying a block of an operand into the order in which the microkernel reads it.
//!
//! Packing makes strided reads sequential (which matters for the TLB and for power-of-two strides,
//! whose rows all fall into the same few cache sets), pads with zeros to whole vectors and converts
//! the half-precision types.

use std::cell::Cell;

use super::element::{Accumulator, GemmElement};
use super::kernel::{Kernels, MR, Slabs};
use super::view::MatRef;
use super::{Isa, parallel};

/// A cache line's worth of memory; the unit and alignment of all packing buffers.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([u64; 8]);

/// A growable aligned buffer of plain numbers.
#[derive(Default)]
pub(super) struct Buffer(Vec<Line>);

impl Buffer {
    /// Room for `len` elements of `E`, whose values are unspecified but initialised.
    ///
    /// `E` must be one of the accumulator types: plain numbers, for which any bytes are a value.
    pub(super) fn get<E: Accumulator>(&mut self, len: usize) -> &mut [E] {
        let lines = (len * size_of::<E>()).div_ceil(size_of::<Line>());
        if self.0.len() < lines {
            self.0.resize(lines, Line([0; 8]));
        }
        // SAFETY: the lines are initialised and aligned to 64 bytes, they have room for `len`
        // elements, and any bytes are a valid accumulator (a number).
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
    }

    /// The same memory for reading.
    pub(super) fn peek<E: Accumulator>(&self, len: usize) -> &[E] {
        assert!(len * size_of::<E>() <= self.0.len() * size_of::<Line>());
        // SAFETY: as in `get`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), len) }
    }
}

/// The buffers a thread needs to compute a part of a product.
#[derive(Default)]
pub(super) struct Scratch {
    pub a: Buffer,
    pub b: Buffer,
    pub c: Buffer,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Lends the thread's buffers to `f`.
///
/// They are taken out for the duration, so that an epilogue that itself multiplies matrices on this
/// thread finds none and gets new ones instead of a conflict.
pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    let result = f(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

/// How the kernel finds the rows of A.
#[derive(Clone, Copy)]
pub(super) struct Lhs<E> {
    pub ptr: *const E,
    pub row: isize,
    pub col: isize,
    /// From one group of `MR` rows to the next.
    pub panel: isize,
}

/// Copies rows `i0..i0 + rows` and columns `k0..k0 + k` of matrix `index` of A, keeping the
/// contiguous axis contiguous.
pub(super) fn pack_a<T: GemmElement>(
    a: &MatRef<'_, T>,
    index: usize,
    (i0, rows): (usize, usize),
    (k0, k): (usize, usize),
    buffer: &mut Buffer,
) -> Lhs<T::Acc> {
    assert!(i0 + rows <= a.rows && k0 + k <= a.cols && index < a.count());
    if a.col_stride == 1 {
        // A line more than needed, so that the rows do not start in the same cache set.
        let line = size_of::<Line>() / size_of::<T::Acc>();
        let stride = k.next_multiple_of(line) + line;
        let dst = buffer.get::<T::Acc>(rows * stride);
        for (i, dst) in dst.chunks_exact_mut(stride).enumerate() {
            // SAFETY: `k` contiguous elements of the view, as asserted above.
            let src = unsafe { std::slice::from_raw_parts(a.at(index, i0 + i, k0), k) };
            T::widen_slice(src, &mut dst[..k]);
        }
        return Lhs { ptr: dst.as_ptr(), row: stride as isize, col: 1, panel: (MR * stride) as isize };
    }
    // Otherwise in panels of MR rows, one column after the other.
    let dst = buffer.get::<T::Acc>(rows.next_multiple_of(MR) * k);
    for (p, dst) in dst.chunks_exact_mut(MR * k).enumerate() {
        let live = MR.min(rows - p * MR);
        for (kk, dst) in dst.chunks_exact_mut(MR).enumerate() {
            let src = a.at(index, i0 + p * MR, k0 + kk);
            if a.row_stride == 1 && live == MR {
                // SAFETY: MR contiguous elements of the view, as asserted above.
                let src = unsafe { &*src.cast::<[T; MR]>() };
                for (d, s) in dst.iter_mut().zip(src) {
                    *d = s.widen();
                }
            } else {
                for (i, d) in dst[..live].iter_mut().enumerate() {
                    // SAFETY: an element of the view, as asserted above.
                    *d = unsafe { *src.wrapping_offset(i as isize * a.row_stride) }.widen();
                }
            }
        }
    }
    Lhs { ptr: dst.as_ptr(), row: 1, col: MR as isize, panel: (MR * k) as isize }
}

/// Packs rows `k0..k0 + k` and columns `j0..j0 + cols` of matrix `index` of B into slabs; see
/// [`pack_rows`].
///
/// `dst` has `k` times `cols` elements, the latter rounded up to a multiple of the lanes.
///
/// [`pack_rows`]: super::kernel::pack_rows
pub(super) fn pack_b<T: GemmElement>(
    kernels: &Kernels<T::Acc>,
    b: &MatRef<'_, T>,
    index: usize,
    (k0, k): (usize, usize),
    (j0, cols): (usize, usize),
    dst: &mut [T::Acc],
) {
    assert!(k0 + k <= b.rows && j0 + cols <= b.cols && index < b.count());
    assert_eq!(dst.len(), k * cols.next_multiple_of(kernels.lanes));
    if T::DIRECT && b.col_stride == 1 {
        let slabs = Slabs {
            src: b.at(index, k0, j0).cast(),
            src_row: b.row_stride,
            dst: dst.as_mut_ptr(),
            rows: k,
            cols,
            nv: kernels.nv,
        };
        // SAFETY: the table was chosen for this CPU; the block is inside the view and T is its own
        // accumulator; the destination has room for rows of whole vectors. All asserted above.
        unsafe { (kernels.pack_rows)(&slabs) };
        return;
    }
    let nr = kernels.nr();
    for (j, dst) in (0..cols).step_by(nr).zip(dst.chunks_mut(k.max(1) * nr)) {
        let width = nr.min(cols - j);
        if b.col_stride == 1 {
            for (kk, dst) in dst.chunks_exact_mut(width.next_multiple_of(kernels.lanes)).enumerate() {
                // SAFETY: `width` contiguous elements of the view, as asserted above.
                let src = unsafe { std::slice::from_raw_parts(b.at(index, k0 + kk, j0 + j), width) };
                let (live, pad) = dst.split_at_mut(width);
                T::widen_slice(src, live);
                pad.fill(T::Acc::ZERO);
            }
        } else {
            pack_transposed(kernels, b, index, (k0, k), (j0 + j, width), dst);
        }
    }
}

/// [`pack_b`] for a single slab whose rows are not contiguous.
fn pack_transposed<T: GemmElement>(
    kernels: &Kernels<T::Acc>,
    b: &MatRef<'_, T>,
    index: usize,
    (k0, k): (usize, usize),
    (j0, cols): (usize, usize),
    dst: &mut [T::Acc],
) {
    assert!(k0 + k <= b.rows && j0 + cols <= b.cols && index < b.count());
    let lanes = kernels.lanes;
    let width = cols.next_multiple_of(lanes);
    assert_eq!(dst.len(), k * width);
    // Square blocks of whole vectors are transposed in registers, if k is the contiguous axis.
    let mut converted = [T::Acc::ZERO; 16 * 16];
    let in_registers = b.row_stride == 1 && (T::DIRECT || lanes * lanes <= converted.len());
    let (block_k, block_j) = if in_registers { (k - k % lanes, cols - cols % lanes) } else { (0, 0) };
    for j in (0..block_j).step_by(lanes) {
        for kk in (0..block_k).step_by(lanes) {
            let (from, stride) = if T::DIRECT {
                (b.at(index, k0 + kk, j0 + j).cast::<T::Acc>(), b.col_stride)
            } else {
                for (i, row) in converted.chunks_exact_mut(lanes).take(lanes).enumerate() {
                    // SAFETY: `lanes` elements, contiguous along k, of the view, as asserted above.
                    let src = unsafe { std::slice::from_raw_parts(b.at(index, k0 + kk, j0 + j + i), lanes) };
                    T::widen_slice(src, row);
                }
                (converted.as_ptr(), lanes as isize)
            };
            // SAFETY: the table was chosen for this CPU; both blocks are `lanes x lanes` and inside
            // their matrices, as asserted above; `from` is either the view (and T its own
            // accumulator) or the converted copy.
            unsafe { (kernels.transpose)(from, stride, dst[kk * width + j..].as_mut_ptr(), width) };
        }
    }
    for (kk, row) in dst.chunks_exact_mut(width).enumerate() {
        let first = if kk < block_k { block_j } else { 0 };
        for (j, d) in row[..cols].iter_mut().enumerate().skip(first) {
            // SAFETY: an element of the view, as asserted above.
            *d = unsafe { *b.at(index, k0 + kk, j0 + j) }.widen();
        }
        row[cols..].fill(T::Acc::ZERO);
    }
}

/// A right-hand matrix (a layer's weights, say) packed once for many products.
///
/// It is stored as one slab per tile width of columns, each with all its rows one after the other
/// and the last one only as wide as needed; blocks along k are runs of rows, so the blocking need
/// not be decided here.
pub(crate) struct PackedB<T: GemmElement> {
    buffer: Buffer,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) isa: Isa,
    _element: std::marker::PhantomData<T>,
}

impl<T: GemmElement> PackedB<T> {
    /// Packs `b`, which must be a single matrix.
    pub(crate) fn new(b: MatRef<'_, T>) -> Self {
        Self::with_isa(Isa::detect(), b)
    }

    pub(super) fn with_isa(isa: Isa, b: MatRef<'_, T>) -> Self {
        assert_eq!(b.count(), 1, "gemm: only a single matrix can be packed");
        let kernels = <T::Acc as Accumulator>::kernels(isa);
        // Several slabs to a task; see `pack_rows`.
        let (k, n, group) = (b.rows, b.cols, 4 * kernels.nr());
        let mut buffer = Buffer::default();
        let data = buffer.get::<T::Acc>(k * n.next_multiple_of(kernels.lanes));
        let threads = parallel::threads_for(k * n * 16);
        let slabs = parallel::Shared::new(data.as_mut_ptr());
        parallel::for_each_task(threads, n.div_ceil(group), |s| {
            let (j, cols) = (s * group, group.min(n - s * group));
            let len = k * cols.next_multiple_of(kernels.lanes);
            // SAFETY: group `s` starts after `j` whole columns, and the groups of all tasks are
            // disjoint parts of `data`.
            let group = unsafe { std::slice::from_raw_parts_mut(slabs.get().add(j * k), len) };
            pack_b(kernels, &b, 0, (0, k), (j, cols), group);
        });
        Self { buffer, k, n, isa, _element: std::marker::PhantomData }
    }

    /// The packed rows `k0..k0 + k` of the slab of columns `j..j + cols`, `j` being a multiple of
    /// the tile width.
    pub(super) fn slab(&self, kernels: &Kernels<T::Acc>, j: usize, cols: usize, k0: usize, k: usize) -> &[T::Acc] {
        let width = cols.next_multiple_of(kernels.lanes);
        let start = j * self.k + k0 * width;
        let all = self.buffer.peek::<T::Acc>(self.k * self.n.next_multiple_of(kernels.lanes));
        &all[start..start + k * width]
    }
}
