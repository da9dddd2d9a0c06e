//! Running tasks on the rayon pool.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Below this many multiply-adds a second thread costs more than it saves.
const PARALLEL_WORK: usize = 1 << 18;
/// The same for a caller outside the pool, which has to wait for a helper even if that was too slow
/// to wake to be of any help; a worker of the pool takes the work back.
const PARALLEL_WORK_OUTSIDE: usize = 1 << 21;
/// How long to wait actively for the other threads' last tasks: some tens of microseconds.
const SPINS: usize = 1000;

/// How many threads to use for this many multiply-adds.
pub(super) fn threads_for(work: usize) -> usize {
    let inside = rayon::current_thread_index().is_some();
    let least = if inside { PARALLEL_WORK } else { PARALLEL_WORK_OUTSIDE };
    if work < least { 1 } else { rayon::current_num_threads() }
}

/// Runs `f` for each task number, on the calling thread and up to `threads - 1` others.
///
/// The calling thread starts at once and tasks are handed out one by one, so a helper that is slow
/// to wake costs nothing but its own share.
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
        // The others finish about now. Outside the pool the end of the scope would put this thread
        // to sleep, and waking it again takes longer than many a product; a worker of the pool has
        // its own way of waiting.
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
