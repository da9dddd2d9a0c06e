//! Cutting a product into tasks and blocks, and computing each of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::element::{Accumulator, GemmElement};
use super::kernel::{Kernels, MR, Tile};
use super::pack::{Buffer, Lhs, PackedB, Scratch, pack_a, pack_b, with_scratch};
use super::view::{MatMut, MatRef};
use super::{BatchEpilogue, small};

/// Below this many multiply-adds a second thread costs more than it saves.
const PARALLEL_WORK: usize = 1 << 18;
/// The same for a caller outside the pool, which has to wait for a helper even if that was too slow to wake to be of
/// any help; a worker of the pool takes the work back.
const PARALLEL_WORK_OUTSIDE: usize = 1 << 21;
/// The least multiply-adds worth a task of their own.
const TASK_WORK: usize = 1 << 16;
/// Tasks are not made smaller than this both ways just to have more of them per thread.
const TASK_SIDE: usize = 128;
/// Tasks per thread when there is enough work: enough that a thread which falls behind (another process on its core)
/// leaves its share to the others, few enough that operands are not packed over and over.
const TASKS_PER_THREAD: usize = 4;
/// Bytes along k per block: a panel of MR rows of A is then at most 6 KiB and stays in the first-level cache.
const BLOCK_K_BYTES: usize = 1024;
/// Bytes of a packed block of A; together with a slab of B it has to fit into the second-level cache.
const BLOCK_A_BYTES: usize = 512 << 10;
/// Bytes of a packed block of B, likewise.
const BLOCK_B_BYTES: usize = 256 << 10;
/// Elements of the intermediate block of C that products of half-precision types accumulate in.
const BLOCK_C: usize = 1 << 17;
/// How many rows of B the kernel prefetches ahead.
const PREFETCH_ROWS: isize = 6;
/// Up to this many rows B is read in place, as it would be read only a few times after packing.
const UNPACKED_ROWS: usize = 3 * MR;
/// Rows of B this many bytes apart or less are read in place as well: they lie as closely as packed ones.
const UNPACKED_STRIDE: usize = 512;

/// How long to wait actively for the other threads' last tasks: some tens of microseconds.
const SPINS: usize = 1000;

/// The right-hand side of a product.
#[derive(Clone, Copy)]
pub(super) enum Rhs<'a, T: GemmElement> {
    View(MatRef<'a, T>),
    Packed(&'a PackedB<T>),
}

/// A product to be computed, whose shapes are known to agree.
pub(super) struct Job<'a, T: GemmElement> {
    pub kernels: &'static Kernels<T::Acc>,
    pub a: MatRef<'a, T>,
    pub b: Rhs<'a, T>,
    pub c: MatMut<'a, T>,
    pub k: usize,
    pub accumulate: bool,
    pub epilogue: Option<&'a BatchEpilogue<'a, T>>,
}

/// A part of the output: of matrix `index`, `rows` rows from `i0` and `cols` columns from `j0`.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub index: usize,
    pub i0: usize,
    pub rows: usize,
    pub j0: usize,
    pub cols: usize,
}

/// Computes the whole product.
pub(super) fn run<T: GemmElement>(job: &Job<'_, T>) {
    let (m, n, batch) = (job.c.rows, job.c.cols, job.c.batch);
    if m * n * batch == 0 {
        return;
    }
    // Matrix-vector products read each element of the matrix once, so they count by memory rather than arithmetic.
    let each = m * n * job.k.max(1);
    let threads = threads_for(each * batch);
    let (rows, cols) = task_shape(job, threads);
    let one = |part, scratch: &mut Scratch| {
        if !small::gemv(job, part, scratch) {
            compute(job, part, scratch);
        }
    };
    if (rows, cols, batch) == (m, n, 1) {
        // Tiny products are mostly overhead; spare them the divisions below.
        return with_scratch(|scratch| {
            one(
                Part {
                    index: 0,
                    i0: 0,
                    rows,
                    j0: 0,
                    cols,
                },
                scratch,
            )
        });
    }
    let (tiles_m, tiles_n) = (m.div_ceil(rows), n.div_ceil(cols));
    let parts = batch * tiles_m * tiles_n;
    // Many small matrices share a task.
    let group = if threads == 1 {
        parts
    } else {
        (TASK_WORK / (rows * cols * job.k.max(1))).clamp(1, parts)
    };
    for_each_task(threads, parts.div_ceil(group), |task| {
        with_scratch(|scratch| {
            for part in task * group..parts.min((task + 1) * group) {
                let (index, tile) = (part / (tiles_m * tiles_n), part % (tiles_m * tiles_n));
                let (i0, j0) = (tile / tiles_n * rows, tile % tiles_n * cols);
                let part = Part {
                    index,
                    i0,
                    rows: rows.min(m - i0),
                    j0,
                    cols: cols.min(n - j0),
                };
                one(part, scratch);
            }
        });
    });
}

/// The rows and columns of the output that make a task.
///
/// The output is halved along its longer side until there are enough tasks and each fits the caches. Tasks share
/// nothing: the operand blocks that two of them need are packed by both, which costs little as long as tasks are
/// roughly square and spares all synchronisation.
fn task_shape<T: GemmElement>(job: &Job<'_, T>, threads: usize) -> (usize, usize) {
    let (m, n, batch) = (job.c.rows, job.c.cols, job.c.batch);
    let nr = job.kernels.nr();
    if threads == 1 && m * job.k * size_of::<T::Acc>() <= BLOCK_A_BYTES && m * n <= BLOCK_C {
        return (m, n);
    }
    // A single column is computed along its rows by vectors.
    let unit = if n == 1 { nr } else { MR };
    let work = m * n * job.k.max(1);
    let wanted = if threads == 1 {
        1
    } else {
        (threads * TASKS_PER_THREAD).min(work * batch / TASK_WORK)
    };
    let max_rows = (BLOCK_A_BYTES / (size_of::<T::Acc>() * block_k::<T>(job.k).max(1))).max(MR);
    let (mut rows, mut cols) = (m, n);
    loop {
        let tiles = m.div_ceil(rows) * n.div_ceil(cols) * batch;
        let enough = tiles >= wanted || (tiles >= threads && rows.max(cols) <= TASK_SIDE);
        let fits = rows <= max_rows && (T::DIRECT || rows * cols <= BLOCK_C);
        let (can_rows, can_cols) = (rows > unit, cols > nr);
        if (enough && fits) || !(can_rows || can_cols) {
            return (rows, cols);
        }
        if can_rows && (rows > cols || !can_cols || (enough && rows > max_rows)) {
            rows = rows.div_ceil(2).next_multiple_of(unit);
        } else {
            cols = cols.div_ceil(2).next_multiple_of(nr);
        }
    }
}

/// The length of a block along k: the blocks are as equal as possible, so that the last is not a mere remnant.
fn block_k<T: GemmElement>(k: usize) -> usize {
    let most = BLOCK_K_BYTES / size_of::<T::Acc>();
    if k <= most {
        k
    } else {
        k.div_ceil(k.div_ceil(most))
    }
}

/// The columns of a packed block of B with `k` rows: whole slabs of `nr`.
fn block_columns<T: GemmElement>(k: usize, nr: usize) -> usize {
    (BLOCK_B_BYTES / (k.max(1) * size_of::<T::Acc>()) / nr).max(1) * nr
}

/// Computes one part by blocks along k, slabs of columns and register tiles.
fn compute<T: GemmElement>(job: &Job<'_, T>, part: Part, scratch: &mut Scratch) {
    let kernels = job.kernels;
    let nr = kernels.nr();
    let Part {
        index,
        i0,
        rows,
        j0,
        cols,
    } = part;
    let Scratch {
        a: a_buffer,
        b: b_buffer,
        c: c_buffer,
    } = scratch;
    // Where the kernel accumulates: in C itself, or in a block of the wider type.
    let (c, c_row) = if T::DIRECT {
        (job.c.at(index, i0, j0).cast::<T::Acc>(), job.c.row_stride)
    } else {
        (c_buffer.get::<T::Acc>(rows * cols).as_mut_ptr(), cols)
    };
    let block = block_k::<T>(job.k);
    let group = if cols <= nr {
        nr
    } else {
        block_columns::<T>(block, nr)
    };
    let mut k0 = 0;
    loop {
        let k = block.min(job.k - k0);
        let last = k0 + k == job.k;
        let lhs = lhs(job, part, (k0, k), a_buffer);
        let mut b_block = RhsBlock::Packed(std::ptr::null());
        let mut block_start = 0;
        for j in (0..cols).step_by(nr) {
            if j == 0 || j == block_start + group {
                block_start = j;
                b_block = rhs(job, part, (j0 + j, group.min(cols - j)), (k0, k), b_buffer);
            }
            let width = nr.min(cols - j);
            let nv = width.div_ceil(kernels.lanes).max(1);
            let tail = width - (nv - 1) * kernels.lanes;
            let packed_row = (nv * kernels.lanes) as isize;
            let (b, b_row) = match &b_block {
                RhsBlock::InPlace(b) => (b.at(index, k0, j0 + j).cast(), b.row_stride),
                RhsBlock::Packed(slabs) => (slabs.wrapping_add((j - block_start) * k), packed_row),
                RhsBlock::PackedWhole(packed) => (
                    packed.slab(kernels, j0 + j, width, k0, k).as_ptr(),
                    packed_row,
                ),
            };
            for i in (0..rows).step_by(MR) {
                let live = MR.min(rows - i);
                let tile = Tile {
                    a: lhs.ptr.wrapping_offset((i / MR) as isize * lhs.panel),
                    a_row: lhs.row,
                    a_col: lhs.col,
                    b,
                    b_row,
                    ahead: PREFETCH_ROWS * b_row,
                    c: c.wrapping_add(i * c_row + j),
                    c_row: c_row as isize,
                    k,
                    tail,
                    accumulate: k0 > 0 || (T::DIRECT && job.accumulate),
                };
                let micro = if live == MR && tail == kernels.lanes {
                    kernels.full[nv - 1]
                } else {
                    kernels.masked[live - 1][nv - 1]
                };
                // SAFETY: the table was chosen for this CPU. `lhs` and `rhs` give pointers valid for `rows x k` and
                // `k x width` (or more); this part of C is inside the output, or the block made for it, and no other
                // task's.
                unsafe { micro(&tile) };
                if last && (!T::DIRECT || job.epilogue.is_some()) {
                    for r in i..i + live {
                        // SAFETY: a row of the block that the kernel has just finished.
                        let sums = unsafe {
                            std::slice::from_raw_parts_mut(c.wrapping_add(r * c_row + j), width)
                        };
                        let sums = (!T::DIRECT).then_some(sums);
                        finish(job, index, i0 + r, j0 + j, width, sums);
                    }
                }
            }
        }
        k0 += k;
        if last {
            return;
        }
    }
}

/// Completes a segment of a row of C: stores the `sums` accumulated elsewhere, if any, and runs the epilogue.
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
    // SAFETY: inside the output, as asserted; only one task has this segment and it holds no other reference to it.
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

/// The block of A for a part, packed if that pays.
fn lhs<T: GemmElement>(
    job: &Job<'_, T>,
    part: Part,
    (k0, k): (usize, usize),
    buffer: &mut Buffer,
) -> Lhs<T::Acc> {
    let a = &job.a;
    // Rows a multiple of 1 KiB apart compete for a few cache sets, and columns far apart cost a TLB entry each.
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

/// Where the kernel finds a block of B.
enum RhsBlock<'a, T: GemmElement> {
    InPlace(MatRef<'a, T>),
    /// In slabs, which start at this block's first row.
    Packed(*const T::Acc),
    PackedWhole(&'a PackedB<T>),
}

/// Columns `j..j + cols` of the block of B for a part, packed if that pays or is needed for contiguous rows.
fn rhs<'a, T: GemmElement>(
    job: &Job<'a, T>,
    part: Part,
    (j, cols): (usize, usize),
    (k0, k): (usize, usize),
    buffer: &mut Buffer,
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
    pack_b(job.kernels, &b, part.index, (k0, k), (j, cols), slabs);
    RhsBlock::Packed(slabs.as_ptr())
}

/// How many threads to use for this many multiply-adds.
pub(super) fn threads_for(work: usize) -> usize {
    let inside = rayon::current_thread_index().is_some();
    let least = if inside {
        PARALLEL_WORK
    } else {
        PARALLEL_WORK_OUTSIDE
    };
    if work < least {
        1
    } else {
        rayon::current_num_threads()
    }
}

/// Runs `f` for each task number, on the calling thread and up to `threads - 1` others.
///
/// The calling thread starts at once and tasks are handed out one by one, so a helper that is slow to wake costs
/// nothing but its own share.
pub(super) fn for_each_task(threads: usize, tasks: usize, f: impl Fn(usize) + Sync) {
    let helpers = threads.min(tasks).saturating_sub(1);
    if helpers == 0 {
        return (0..tasks).for_each(f);
    }
    let next = AtomicUsize::new(0);
    let busy = AtomicUsize::new(helpers);
    let work = || {
        loop {
            // Relaxed: the counter orders nothing, and the scope's end makes the results visible.
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            f(task);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| {
                work();
                busy.fetch_sub(1, Ordering::Relaxed);
            });
        }
        work();
        // The others finish about now. Outside the pool the end of the scope would put this thread to sleep, and waking
        // it again takes longer than many a product; a worker of the pool has its own way of waiting.
        if rayon::current_thread_index().is_none() {
            for _ in 0..SPINS {
                if busy.load(Ordering::Relaxed) == 0 {
                    break;
                }
                std::hint::spin_loop();
            }
        }
    });
}

/// A pointer that tasks may share because each of them only touches its own part of the target.
pub(super) struct Shared<E>(*mut E);

// SAFETY: see the type's documentation; every dereference is an `unsafe` that has to uphold it.
unsafe impl<E: Send> Sync for Shared<E> {}

impl<E> Shared<E> {
    pub(super) fn new(pointer: *mut E) -> Self {
        Self(pointer)
    }

    pub(super) fn get(&self) -> *mut E {
        self.0
    }
}
