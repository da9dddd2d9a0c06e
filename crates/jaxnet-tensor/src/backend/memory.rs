//! Memory of the host that is used again.
//!
//! The system hands out large memory page by page, each when it is first touched, and takes it back as soon as it
//! is free: for a training step, which needs the same sizes again and again, that can cost more than the
//! arithmetic. So freed blocks wait here for the next that want their size.

use std::alloc::{self, Layout};
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Wide enough for any vector instruction, and a cache line.
const ALIGNMENT: usize = 64;

/// Blocks up to this size wait per thread, which is fastest; larger ones are shared.
const SMALL: usize = 32 << 10;
/// How many blocks of a small class wait in a thread.
const SMALL_KEPT: usize = 64;

/// How many bytes of larger blocks wait in all: an eighth of the machine's memory, where that is known, and no less
/// than 1 GB.
fn large_kept() -> usize {
    static KEPT: OnceLock<usize> = OnceLock::new();
    *KEPT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
        let kilobytes = total.and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
        (kilobytes / 8).saturating_mul(1024).max(1 << 30)
    })
}

/// Memory of one owner, aligned for any number and initialized to whatever was there before; when dropped it waits
/// for the next owner.
pub(super) struct Block(ManuallyDrop<Memory>);

impl Block {
    /// A block of at least so many bytes, unless there is not so much memory.
    pub fn new(bytes: usize) -> Option<Block> {
        // No system has more, and sums of sizes stay numbers.
        let class = (bytes <= isize::MAX as usize / 2).then(|| class_of(bytes))?;
        let waiting = if class_size(class) <= SMALL {
            SMALL_POOL.try_with(|pool| pool.borrow_mut().get_mut(class).and_then(Vec::pop)).ok().flatten()
        } else {
            large_pool().take(class)
        };
        let memory = waiting.or_else(|| Memory::of_system(class)).or_else(|| {
            give_back();
            Memory::of_system(class)
        });
        Some(Block(ManuallyDrop::new(memory?)))
    }

    /// The bytes; there may be more than were asked for.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is as large as its class, initialized, and borrowed through `self`.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), class_size(self.0.class())) }
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.as_ptr(), class_size(self.0.class())) }
    }

    /// Gives the block away: where it starts, which is owed to `from_raw`.
    #[cfg(feature = "torch")]
    pub fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0.start
    }

    /// A block that was given away.
    ///
    /// # Safety
    ///
    /// It is the result of one `into_raw`, comes back once, and nobody uses the memory any more.
    #[cfg(feature = "torch")]
    pub unsafe fn from_raw(start: NonNull<u8>) -> Block {
        Block(ManuallyDrop::new(Memory { start }))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the block is being dropped, so that nobody takes its memory again.
        let memory = unsafe { ManuallyDrop::take(&mut self.0) };
        let class = memory.class();
        if class_size(class) > SMALL {
            let too_many = large_pool().give(memory, large_kept());
            // The system is slow to take them, and others may be waiting for the pool.
            drop(too_many);
            return;
        }
        // Fails while the thread ends, when its pool is gone.
        let _ = SMALL_POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() <= class {
                pool.resize_with(class + 1, Vec::new);
            }
            if pool[class].len() < SMALL_KEPT {
                pool[class].push(memory);
            }
        });
    }
}

/// Gives the system the blocks that wait: this thread's small ones, and all large ones.
pub(super) fn give_back() {
    let _ = SMALL_POOL.try_with(RefCell::take);
    let large = std::mem::replace(&mut *large_pool(), LargePool::new());
    drop(large);
}

/// Memory of the system's, which has it back when this is dropped. Always initialized.
///
/// What is known of it is in front of it, so that its start alone says who it is.
struct Memory {
    start: NonNull<u8>,
}

#[derive(Clone, Copy)]
struct Header {
    class: u32,
    /// From the start of what the system gave.
    offset: u32,
}

// SAFETY: plain bytes with a single owner, which any thread may free.
unsafe impl Send for Memory {}
// SAFETY: who shares it only reads.
unsafe impl Sync for Memory {}

impl Memory {
    fn of_system(class: usize) -> Option<Memory> {
        // SAFETY: the size is not 0. Zeroed, so that the memory is initialized.
        let given = NonNull::new(unsafe { alloc::alloc_zeroed(layout(class)?) })?;
        // The system gives large zeros for free only with the alignment that all of its memory has, so the rest of
        // the alignment is our own.
        let offset = ALIGNMENT - given.as_ptr() as usize % ALIGNMENT;
        // SAFETY: `offset` is at least the header's size, as both the alignment and the place are multiples of it,
        // and at most the alignment, for which there is room; so the header is in front of the start, and aligned.
        unsafe {
            let start = given.add(offset);
            start.cast::<Header>().sub(1).write(Header { class: class as u32, offset: offset as u32 });
            Some(Memory { start })
        }
    }

    fn header(&self) -> Header {
        // SAFETY: written by `of_system`, and by nobody since.
        unsafe { self.start.cast::<Header>().sub(1).read() }
    }

    fn class(&self) -> usize {
        self.header().class as usize
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Header { class, offset } = self.header();
        let layout = layout(class as usize).expect("as when it was allocated");
        // SAFETY: allocated by `of_system` with this layout so much before the start, and nobody else has it.
        unsafe { alloc::dealloc(self.start.sub(offset as usize).as_ptr(), layout) }
    }
}

/// What is asked of the system for a class.
fn layout(class: usize) -> Option<Layout> {
    Layout::from_size_align(class_size(class) + ALIGNMENT, 16).ok()
}

thread_local! {
    static SMALL_POOL: RefCell<Vec<Vec<Memory>>> = const { RefCell::new(Vec::new()) };
}

static LARGE_POOL: Mutex<LargePool> = Mutex::new(LargePool::new());

fn large_pool() -> MutexGuard<'static, LargePool> {
    LARGE_POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

struct LargePool {
    classes: Vec<Class>,
    bytes: usize,
    /// Counts what is taken and given.
    now: u64,
}

#[derive(Default)]
struct Class {
    waiting: Vec<Memory>,
    last_used: u64,
}

impl LargePool {
    const fn new() -> Self {
        LargePool { classes: Vec::new(), bytes: 0, now: 0 }
    }

    fn take(&mut self, class: usize) -> Option<Memory> {
        self.now += 1;
        let pool = self.classes.get_mut(class)?;
        pool.last_used = self.now;
        let memory = pool.waiting.pop()?;
        self.bytes -= class_size(class);
        Some(memory)
    }

    /// Keeps a block, and returns those that there is no room for: of the sizes that nobody has asked for the
    /// longest, so that room goes to what the program does now.
    fn give(&mut self, memory: Memory, most: usize) -> Vec<Memory> {
        let class = memory.class();
        let size = class_size(class);
        if size > most {
            return vec![memory];
        }
        self.now += 1;
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Class::default);
        }
        let mut too_many = Vec::new();
        while self.bytes + size > most {
            let others = self.classes.iter_mut().filter(|class| !class.waiting.is_empty());
            let oldest = others.min_by_key(|class| class.last_used).expect("what fills the pool");
            let evicted = oldest.waiting.pop().expect("not empty");
            self.bytes -= class_size(evicted.class());
            too_many.push(evicted);
        }
        self.classes[class].last_used = self.now;
        self.classes[class].waiting.push(memory);
        self.bytes += size;
        too_many
    }
}

/// Classes are 64 bytes times 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, …: at most a quarter is wasted.
fn class_of(bytes: usize) -> usize {
    let lines = bytes.div_ceil(ALIGNMENT);
    if lines <= 4 {
        return lines.saturating_sub(1);
    }
    let octave = (lines - 1).ilog2() as usize;
    let step = 1 << (octave - 2);
    4 * (octave - 1) + (lines - (1 << octave)).div_ceil(step) - 1
}

fn class_size(class: usize) -> usize {
    if class < 4 {
        return ALIGNMENT * (class + 1);
    }
    let (octave, quarter) = ((class / 4) + 1, class % 4 + 1);
    ALIGNMENT * ((1 << octave) + quarter * (1 << (octave - 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_should() {
        for bytes in (0..20_000).chain([1 << 20, (1 << 20) + 1, 3 << 30]) {
            let class = class_of(bytes);
            assert!(class_size(class) >= bytes, "{bytes}");
            assert!(class == 0 || class_size(class - 1) < bytes.max(1), "{bytes} fits class {}", class - 1);
            assert!(bytes < 256 || class_size(class) as f64 <= bytes as f64 * 1.25 + 64.0, "{bytes}");
        }
    }

    #[test]
    fn memory_is_used_again() {
        let block = Block::new(400).unwrap();
        let place = block.bytes().as_ptr();
        drop(block);
        assert_eq!(Block::new(392).unwrap().bytes().as_ptr(), place);
    }

    #[test]
    fn blocks_are_aligned_and_as_large_as_they_should_be() {
        for bytes in [0, 1, 64, 100, 5_000, SMALL, SMALL + 1, 3 << 20] {
            let mut block = Block::new(bytes).unwrap();
            assert!(block.bytes().len() >= bytes);
            assert_eq!(block.bytes().as_ptr() as usize % ALIGNMENT, 0);
            block.bytes_mut().fill(0xAB);
        }
    }

    #[test]
    fn there_is_an_end_to_memory() {
        assert!(Block::new(usize::MAX).is_none());
        assert!(Block::new(isize::MAX as usize / 4).is_none());
    }

    fn memory(size: usize) -> Memory {
        Memory::of_system(class_of(size)).unwrap()
    }

    #[test]
    fn room_is_for_the_sizes_that_were_used_last() {
        const ROOM: usize = 1 << 20;
        const PART: usize = ROOM / 4;
        let mut pool = LargePool::new();
        for size in [PART, 1 << 10, PART, PART] {
            assert_eq!(pool.give(memory(size), ROOM).len(), 0, "there is room");
        }
        let taken = pool.take(class_of(1 << 10)).expect("one is waiting");
        assert!(pool.take(class_of(1 << 10)).is_none());
        assert_eq!(pool.give(taken, ROOM).len(), 0);
        let evicted = pool.give(memory(2 * PART), ROOM);
        assert_eq!(evicted.iter().map(|memory| class_size(memory.class())).collect::<Vec<_>>(), [PART, PART]);
        assert_eq!(pool.bytes, 3 * PART + (1 << 10));
        assert_eq!(pool.give(memory(ROOM + 1), ROOM).len(), 1, "more than all there may be");
        assert_eq!(pool.bytes, 3 * PART + (1 << 10));
    }
}
