//! Arrays in the host's memory.

use std::fmt;
use std::sync::Arc;

use crate::backend::memory::Block;
use crate::backend::{BoxBuffer, Buffer};
use crate::dtype::{DType, Element, as_bytes, from_bytes, from_bytes_mut};
use crate::error::{Error, OrRaise, Result};

/// A dense array in the host's memory; clones share it.
#[derive(Clone)]
pub struct CpuBuffer {
    dtype: DType,
    /// Where the elements start in the storage, in bytes.
    start: usize,
    len: usize,
    storage: Arc<Block>,
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
        let mut storage = block(len.saturating_mul(dtype.size()))?;
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
        let mut storage = block(bytes.len()).or_raise();
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

fn block(bytes: usize) -> Result<Block> {
    Block::new(bytes).ok_or_else(|| Error::device("cpu:0", format!("there is no memory of {bytes} bytes for a tensor")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_always_valid() {
        drop(CpuBuffer::from_slice(&[0xABu8; 50]));
        assert!(CpuBuffer::new::<bool>(50).as_slice::<bool>().iter().all(|&x| !x));
        assert_eq!(CpuBuffer::from_bytes(DType::Bool, &[0, 2]).as_slice::<bool>(), [false, true]);
    }
}
