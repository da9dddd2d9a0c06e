//! Arrays in the host's memory, and the pool that their memory comes from.

use std::alloc::{self, Layout};
use std::cell::RefCell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::{BoxBuffer, Buffer};
use crate::dtype::{DType, Element, as_bytes, from_bytes, from_bytes_mut};
use crate::error::{Error, OrRaise, Result};

/// Wide enough for any vector instruction, and a cache line.
const ALIGNMENT: usize = 64;

/// A dense array in the host's memory; clones share it.
#[derive(Clone)]
pub struct CpuBuffer {
    dtype: DType,
    /// Where the elements start in the storage, in bytes.
    start: usize,
    len: usize,
    storage: Arc<Storage>,
}

impl CpuBuffer {
    /// An array of arbitrary elements, which nobody shares yet.
    pub fn new<T: Element>(len: usize) -> Self {
        Self::with_dtype(T::DTYPE, len)
    }

    /// The same with a dtype known at run time.
    pub fn with_dtype(dtype: DType, len: usize) -> Self {
        Self::try_with_dtype(dtype, len).or_raise()
    }

    /// The same, or an error where there is not so much memory: a mistake in a shape asks for too much
    /// sooner than memory runs out.
    pub fn try_with_dtype(dtype: DType, len: usize) -> Result<Self> {
        let mut storage = Storage::try_new(len.saturating_mul(dtype.size()))?;
        if dtype == DType::Bool {
            // Memory that held something else is full of bytes that are no truth values.
            storage.bytes_mut()[..len].fill(0);
        }
        Ok(CpuBuffer { dtype, start: 0, len, storage: Arc::new(storage) })
    }

    /// A copy of these elements.
    pub fn from_slice<T: Element>(elements: &[T]) -> Self {
        Self::from_bytes(T::DTYPE, as_bytes(elements))
    }

    /// A copy of elements given as bytes.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Self {
        let len = bytes.len() / dtype.size();
        let mut storage = Storage::new(bytes.len());
        if dtype == DType::Bool {
            for (to, from) in storage.bytes_mut().iter_mut().zip(bytes) {
                *to = (*from != 0) as u8;
            }
        } else {
            storage.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        }
        CpuBuffer { dtype, start: 0, len, storage: Arc::new(storage) }
    }

    /// The buffer behind the trait.
    ///
    /// # Panics
    ///
    /// If it is another engine's.
    pub fn of(buffer: &dyn Buffer) -> &CpuBuffer {
        let any: &dyn std::any::Any = buffer;
        any.downcast_ref().expect("a buffer of the CPU engine")
    }

    /// The buffer in a box.
    ///
    /// # Panics
    ///
    /// If it is another engine's.
    pub(crate) fn from_box(buffer: BoxBuffer) -> CpuBuffer {
        let any: Box<dyn std::any::Any> = buffer;
        *any.downcast().expect("a buffer of the CPU engine")
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements.
    ///
    /// # Panics
    ///
    /// If `T` is not the dtype.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        assert_eq!(T::DTYPE, self.dtype, "a buffer of {}", self.dtype);
        from_bytes(self.bytes())
    }

    /// The elements, to write.
    ///
    /// # Panics
    ///
    /// If `T` is not the dtype, or the memory is shared.
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        assert_eq!(T::DTYPE, self.dtype, "a buffer of {}", self.dtype);
        from_bytes_mut(self.bytes_mut())
    }

    /// The elements as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.storage.bytes()[self.start..self.start + self.len * self.dtype.size()]
    }

    /// The elements as bytes, to write; those of `bool` must stay 0 or 1.
    ///
    /// # Panics
    ///
    /// If the memory is shared.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let size = self.len * self.dtype.size();
        let storage = Arc::get_mut(&mut self.storage).expect("only memory that nobody shares is written to");
        &mut storage.bytes_mut()[self.start..self.start + size]
    }

    /// Some of the elements, sharing the memory.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> CpuBuffer {
        assert!(range.start <= range.end && range.end <= self.len);
        CpuBuffer {
            dtype: self.dtype,
            start: self.start + range.start * self.dtype.size(),
            len: range.len(),
            storage: self.storage.clone(),
        }
    }

    /// Whether nobody shares the memory.
    pub fn is_unique(&mut self) -> bool {
        Arc::get_mut(&mut self.storage).is_some()
    }
}

impl fmt::Debug for CpuBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuBuffer({} x {})", self.len, self.dtype)
    }
}

impl Buffer for CpuBuffer {
    fn share(&self) -> BoxBuffer {
        Box::new(self.clone())
    }

    fn is_unique(&self) -> bool {
        // Whoever asks owns this handle, so that no other thread can make a new one from it.
        Arc::strong_count(&self.storage) == 1
    }
}

/// Owned memory of a size class; goes back to the pool when dropped.
struct Storage {
    memory: Memory,
    class: usize,
}

impl Storage {
    fn new(bytes: usize) -> Self {
        Storage::try_new(bytes).or_raise()
    }

    fn try_new(bytes: usize) -> Result<Self> {
        let class = class_of(bytes);
        match take(class) {
            Some(memory) => Ok(Storage { memory, class }),
            None => Err(Error::device("cpu:0", format!("there is no memory of {bytes} bytes for a tensor"))),
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is as large as its class, initialized, and borrowed through `self`.
        unsafe { std::slice::from_raw_parts(self.memory.pointer.as_ptr(), class_size(self.class)) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.memory.pointer.as_ptr(), class_size(self.class)) }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        give(Memory { pointer: self.memory.pointer }, self.class);
    }
}

/// Memory of a size class, always initialized.
struct Memory {
    pointer: NonNull<u8>,
}

// SAFETY: a `Memory` is plain bytes with a single owner; who shares it only reads.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// Classes are 64 bytes times 4, 5, 6, 7, 8, 10, 12, 14, 16, …: at most a quarter is wasted.
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

/// Memory up to this size is kept per thread, which is fastest; larger blocks are shared.
const SMALL: usize = 32 << 10;
/// How many blocks of a small class a thread keeps.
const SMALL_KEPT: usize = 64;
/// How many bytes of larger blocks are kept in all.
const LARGE_KEPT: usize = 1 << 30;

thread_local! {
    static SMALL_POOL: RefCell<Vec<Vec<Memory>>> = const { RefCell::new(Vec::new()) };
}

struct LargePool {
    classes: Vec<Vec<Memory>>,
    bytes: usize,
}

static LARGE_POOL: Mutex<LargePool> = Mutex::new(LargePool { classes: Vec::new(), bytes: 0 });

/// Memory of a size class, from the pool or the system, if there is so much.
fn take(class: usize) -> Option<Memory> {
    let size = class_size(class);
    let pooled = if size <= SMALL {
        SMALL_POOL.try_with(|pool| pool.borrow_mut().get_mut(class).and_then(Vec::pop)).ok().flatten()
    } else {
        let mut pool = LARGE_POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = pool.classes.get_mut(class).and_then(Vec::pop);
        pool.bytes -= if memory.is_some() { size } else { 0 };
        memory
    };
    pooled.or_else(|| {
        // SAFETY: the size is not 0. Zeroed, so that the memory is initialized; pages from the system
        // are zero anyway.
        let pointer = unsafe { alloc::alloc_zeroed(layout(class)) };
        NonNull::new(pointer).map(|pointer| Memory { pointer })
    })
}

fn give(memory: Memory, class: usize) {
    let size = class_size(class);
    let rest = if size <= SMALL {
        let mut rest = Some(memory);
        // Fails while the thread ends, when its pool is gone.
        let _ = SMALL_POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() <= class {
                pool.resize_with(class + 1, Vec::new);
            }
            if pool[class].len() < SMALL_KEPT {
                pool[class].extend(rest.take());
            }
        });
        rest
    } else {
        let mut pool = LARGE_POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.bytes + size <= LARGE_KEPT {
            pool.bytes += size;
            if pool.classes.len() <= class {
                pool.classes.resize_with(class + 1, Vec::new);
            }
            pool.classes[class].push(memory);
            None
        } else {
            Some(memory)
        }
    };
    if let Some(memory) = rest {
        // SAFETY: allocated by `take` with this layout, and nobody holds it any more.
        unsafe { alloc::dealloc(memory.pointer.as_ptr(), layout(class)) }
    }
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align(class_size(class), ALIGNMENT).expect("sizes fit the address space")
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
        let buffer = CpuBuffer::from_slice(&[1.0_f32; 100]);
        let address = buffer.as_slice::<f32>().as_ptr();
        drop(buffer);
        assert_eq!(CpuBuffer::new::<i32>(98).as_slice::<i32>().as_ptr().cast(), address);
    }

    #[test]
    fn booleans_are_always_valid() {
        drop(CpuBuffer::from_slice(&[0xABu8; 50]));
        assert!(CpuBuffer::new::<bool>(50).as_slice::<bool>().iter().all(|&x| !x));
        assert_eq!(CpuBuffer::from_bytes(DType::Bool, &[0, 2]).as_slice::<bool>(), [false, true]);
    }
}
