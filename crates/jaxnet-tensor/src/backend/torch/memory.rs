//! Where libtorch's arrays on the host are: in blocks that are used again, as those of the embedded engine.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;

use super::native;
use crate::backend::memory::Block;

/// Has libtorch take its memory from the blocks from now on, whoever calls it in this process.
pub(super) fn use_ours() {
    // SAFETY: `take` and `give` keep the promises. That no other thread is making an array is up to programs that
    // use libtorch besides this crate; what they could see is the memory's source of before or after.
    unsafe { native::use_memory(take, give) }
}

extern "C" fn take(bytes: usize) -> *mut c_void {
    Block::new(bytes).map_or(std::ptr::null_mut(), |block| block.into_raw().as_ptr().cast())
}

/// # Safety
///
/// The array is one of `take`, comes once, and nobody uses it any more; or it is null.
unsafe extern "C" fn give(array: *mut c_void) {
    if let Some(start) = NonNull::new(array.cast()) {
        // SAFETY: as the caller says.
        drop(unsafe { Block::from_raw(start) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_takes_its_memory_here() {
        let device = crate::Device::torch(0).unwrap();
        // A size that no other test asks for.
        let tensor = tch::Tensor::f_empty([2_750_001], (tch::Kind::Float, tch::Device::Cpu)).unwrap();
        let place = tensor.data_ptr();
        drop(tensor);
        let array = take(2_750_001 * 4);
        assert_eq!(array, place);
        // SAFETY: the first is taken above; null is nothing.
        unsafe {
            give(array);
            give(std::ptr::null_mut());
        }
        assert!(take(usize::MAX).is_null());
        let message = tch::Tensor::f_empty([1 << 60], (tch::Kind::Uint8, tch::Device::Cpu)).unwrap_err().to_string();
        assert!(message.contains("there is no memory of"), "{message}");
        drop(device);
    }
}
