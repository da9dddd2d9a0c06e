//! Cutting a product into tasks and blocks, and computing each of them.

use super::element::GemmElement;
use super::kernel::{Kernels, MR};
use super::pack::{PackedB, Scratch, with_scratch};
use super::parallel::{for_each_task, threads_for};
use super::view::{MatMut, MatRef};
use super::{BatchEpilogue, block, small};

/// The least multiply-adds worth a task of their own.
const TASK_WORK: usize = 1 << 16;
/// Tasks are not made smaller than this both ways just to have more of them per thread.
const TASK_SIDE: usize = 128;
/// Tasks per thread when there is enough work: enough that a thread which falls behind (another
/// process on its core) leaves its share to the others, few enough that operands are not packed
/// over and over.
const TASKS_PER_THREAD: usize = 4;
/// Bytes along k per block: a panel of MR rows of A is then at most 6 KiB and stays in the
/// first-level cache.
const BLOCK_K_BYTES: usize = 1024;
/// Bytes of a packed block of A; together with a block of B it has to fit into the second-level
/// cache.
const BLOCK_A_BYTES: usize = 512 << 10;
/// Elements of the intermediate block of C that products of half-precision types accumulate in.
const BLOCK_C: usize = 1 << 17;

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
    let threads = threads_for(m * n * job.k.max(1) * batch);
    let (rows, cols) = task_shape(job, threads);
    let one = |part, scratch: &mut Scratch| {
        if !small::gemv(job, part, scratch) {
            block::compute(job, part, scratch);
        }
    };
    if (rows, cols, batch) == (m, n, 1) {
        // Tiny products are mostly overhead; spare them the divisions below.
        let (index, i0, j0) = (0, 0, 0);
        let whole = Part { index, i0, rows, j0, cols };
        return with_scratch(|scratch| one(whole, scratch));
    }
    let (tiles_m, tiles_n) = (m.div_ceil(rows), n.div_ceil(cols));
    let parts = batch * tiles_m * tiles_n;
    // Many small matrices share a task.
    let group = if threads == 1 { parts } else { (TASK_WORK / (rows * cols * job.k.max(1))).clamp(1, parts) };
    for_each_task(threads, parts.div_ceil(group), |task| {
        with_scratch(|scratch| {
            for part in task * group..parts.min((task + 1) * group) {
                let (index, tile) = (part / (tiles_m * tiles_n), part % (tiles_m * tiles_n));
                let (i0, j0) = (tile / tiles_n * rows, tile % tiles_n * cols);
                let (rows, cols) = (rows.min(m - i0), cols.min(n - j0));
                one(Part { index, i0, rows, j0, cols }, scratch);
            }
        });
    });
}

/// The rows and columns of the output that make a task.
///
/// The output is halved along its longer side until there are enough tasks and each fits the
/// caches. Tasks share nothing: the operand blocks that two of them need are packed by both, which
/// costs little as long as tasks are roughly square and spares all synchronisation.
fn task_shape<T: GemmElement>(job: &Job<'_, T>, threads: usize) -> (usize, usize) {
    let (m, n, batch) = (job.c.rows, job.c.cols, job.c.batch);
    let nr = job.kernels.nr();
    if threads == 1 && m * job.k * size_of::<T::Acc>() <= BLOCK_A_BYTES && m * n <= BLOCK_C {
        return (m, n);
    }
    // A single column is computed along its rows by vectors.
    let unit = if n == 1 { nr } else { MR };
    let work = m * n * job.k.max(1);
    let wanted = if threads == 1 { 1 } else { (threads * TASKS_PER_THREAD).min(work * batch / TASK_WORK) };
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

/// The length of a block along k: the blocks are as equal as possible, so that the last is not a
/// mere remnant.
pub(super) fn block_k<T: GemmElement>(k: usize) -> usize {
    let most = BLOCK_K_BYTES / size_of::<T::Acc>();
    if k <= most { k } else { k.div_ceil(k.div_ceil(most)) }
}
