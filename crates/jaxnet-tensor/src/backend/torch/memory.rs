//! Where libtorch's arrays on the host are: in blocks that are used again, as those of the embedded engine.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;

use super::native;
use crate::backend::memory::{ALIGNMENT, Block};

/// What is before each array, for whoever frees it: the class of its block. So wide that the array is aligned.
const HEADER: usize = ALIGNMENT;

/// Has libtorch take its memory from the blocks from now on, whoever calls it in this process.
pub(super) fn use_ours() {
    // SAFETY: `take` and `give` keep the promises. That no other thread is making an array is up to programs that
    // use libtorch besides this crate; what they could see is the memory's source of before or after.
    unsafe { native::use_memory(take, give) }
}

extern "C" fn take(bytes: usize) -> *mut c_void {
    let Some(block) = bytes.checked_add(HEADER).and_then(Block::new) else { return std::ptr::null_mut() };
    let (start, class) = block.into_raw();
    // SAFETY: the block, which is aligned for any number, has the bytes of the header and those asked for.
    unsafe {
        start.cast::<usize>().write(class);
        start.add(HEADER).as_ptr().cast()
    }
}

/// # Safety
///
/// The array is one of `take`, comes once, and nobody uses it any more; or it is null.
unsafe extern "C" fn give(array: *mut c_void) {
    let Some(array) = NonNull::new(array.cast::<u8>()) else { return };
    // SAFETY: so the block starts before it, and with its class, which nobody else has written to.
    unsafe {
        let start = array.sub(HEADER);
        drop(Block::from_raw(start, start.cast::<usize>().read()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_aligned_and_go_back() {
        for bytes in [1, 64, 100, 5_000, 13_000_000] {
            let array = take(bytes);
            assert_eq!(array as usize % ALIGNMENT, 0);
            // SAFETY: memory of so many bytes, given back once.
            unsafe {
                array.cast::<u8>().write_bytes(0xAB, bytes);
                give(array);
            }
            assert_eq!(take(bytes), array);
            // SAFETY: as above.
            unsafe { give(array) };
        }
        // SAFETY: null is nothing.
        unsafe { give(std::ptr::null_mut()) };
        assert!(take(usize::MAX).is_null());
    }

    #[test]
    fn libtorch_takes_its_memory_here() {
        let device = crate::Device::torch(0).unwrap();
        // A size that no other test asks for.
        let tensor = tch::Tensor::f_empty([2_750_001], (tch::Kind::Float, tch::Device::Cpu)).unwrap();
        let place = tensor.data_ptr();
        drop(tensor);
        let array = take(2_750_001 * 4);
        assert_eq!(array, place);
        // SAFETY: taken above.
        unsafe { give(array) };
        let message = tch::Tensor::f_empty([1 << 60], (tch::Kind::Uint8, tch::Device::Cpu)).unwrap_err().to_string();
        assert!(message.contains("there is no memory of"), "{message}");
        drop(device);
    }
}
