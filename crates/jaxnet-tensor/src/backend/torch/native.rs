//! What the crate `tch` does not expose of libtorch, by way of `native.cpp`.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};

use tch::{TchError, Tensor};

use super::convert::Torch;

unsafe extern "C" {
    fn jaxnet_convolution_kernel_gradient(
        cotangent: *const c_void,
        input: *const c_void,
        kernel_shape: *const i64,
        rank: usize,
        strides: *const i64,
        padding: *const i64,
        dilation: *const i64,
        result: *mut *mut c_void,
    ) -> *mut c_char;
    fn jaxnet_free_text(text: *mut c_char);
    fn jaxnet_use_memory(take: unsafe extern "C" fn(usize) -> *mut c_void, give: unsafe extern "C" fn(*mut c_void));
}

/// The gradient by its kernel, "OI…" of this shape, of the convolution of `input`, "NC…", from that by its
/// result.
pub(super) fn convolution_kernel_gradient(
    cotangent: &Tensor,
    input: &Tensor,
    kernel_shape: &[i64],
    [strides, padding, dilation]: [&[i64]; 3],
) -> Torch {
    let rank = kernel_shape.len() - 2;
    assert!([strides, padding, dilation].iter().all(|sizes| sizes.len() == rank));
    let mut result = std::ptr::null_mut();
    // SAFETY: both tensors live through the call, which reads them; the slices are as long as it is told; it
    // writes to `result` if and only if it gives no text.
    let text = unsafe {
        jaxnet_convolution_kernel_gradient(
            cotangent.as_ptr().cast(),
            input.as_ptr().cast(),
            kernel_shape.as_ptr(),
            rank,
            strides.as_ptr(),
            padding.as_ptr(),
            dilation.as_ptr(),
            &mut result,
        )
    };
    if text.is_null() {
        // SAFETY: a tensor that was made with `new`, as those of `tch` are, and that nobody else has.
        return Ok(unsafe { Tensor::from_ptr(result.cast()) });
    }
    // SAFETY: a text that ends with 0, which is ours to free.
    let message = unsafe {
        let message = CStr::from_ptr(text).to_string_lossy().into_owned();
        jaxnet_free_text(text);
        message
    };
    Err(TchError::Torch(message))
}

/// Has libtorch put the arrays that are made from now on into memory of `take`, until they go to `give`.
///
/// # Safety
///
/// No other thread makes an array of libtorch's meanwhile. `take` gives, for any number of bytes but 0, memory that is
/// aligned to 64 bytes and nobody else's until `give` has it, or null where there is none. `give` takes null, too. Both
/// can be called by any thread, and neither unwinds.
pub(super) unsafe fn use_memory(
    take: unsafe extern "C" fn(usize) -> *mut c_void,
    give: unsafe extern "C" fn(*mut c_void),
) {
    // SAFETY: as the caller says.
    unsafe { jaxnet_use_memory(take, give) }
}
