//! Tensors as the bytes of a file, which are little-endian.

use std::borrow::Cow;
use std::cell::RefCell;

use half::{bf16, f16};
use jaxnet_tensor::{Aval, DType, Error, Result, Tensor, dtype, with_dtype};
use safetensors::{Dtype, View};

/// A tensor whose elements are fetched when they are written.
pub(super) struct Saved<'a> {
    pub leaf: &'a Tensor,
    /// What went wrong while writing, since a view has no other way to say it.
    pub failure: &'a RefCell<Option<Error>>,
}

impl View for Saved<'_> {
    fn dtype(&self) -> Dtype {
        match self.leaf.dtype() {
            DType::Bool => Dtype::BOOL,
            DType::U8 => Dtype::U8,
            DType::U32 => Dtype::U32,
            DType::I32 => Dtype::I32,
            DType::I64 => Dtype::I64,
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
        }
    }

    fn shape(&self) -> &[usize] {
        self.leaf.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.failure.borrow().is_some() {
            return Cow::Borrowed(&[]);
        }
        Cow::Owned(encode(self.leaf).unwrap_or_else(|error| {
            *self.failure.borrow_mut() = Some(error);
            Vec::new()
        }))
    }

    fn data_len(&self) -> usize {
        self.leaf.size() * self.leaf.dtype().size()
    }
}

fn encode(leaf: &Tensor) -> Result<Vec<u8>> {
    let mut bytes = with_dtype!(leaf.dtype(), T => dtype::as_bytes(&leaf.try_to_vec::<T>()?).to_vec());
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(leaf.dtype().size()).for_each(<[u8]>::reverse);
    }
    Ok(bytes)
}

/// The dtype of a tensor in a file, if tensors can be of it.
pub(super) fn dtype_of(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::U32 => DType::U32,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        _ => return None,
    })
}

/// A tensor from the bytes of a file, which are as many as its shape needs; or what is wrong with them.
pub(super) fn decode(aval: &Aval, bytes: &[u8]) -> std::result::Result<Tensor, String> {
    fn elements<T, const N: usize>(bytes: &[u8], element: fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).map(|chunk| element(chunk.try_into().expect("chunks of N"))).collect()
    }
    let shape = aval.shape.dims();
    let tensor = match aval.dtype {
        DType::Bool => {
            if let Some(byte) = bytes.iter().find(|&&byte| byte > 1) {
                return Err(format!("has the byte {byte} among booleans"));
            }
            Tensor::from_slice(&elements(bytes, |[byte]| byte == 1), shape)
        }
        DType::U8 => Tensor::from_slice(bytes, shape),
        DType::U32 => Tensor::from_slice(&elements(bytes, u32::from_le_bytes), shape),
        DType::I32 => Tensor::from_slice(&elements(bytes, i32::from_le_bytes), shape),
        DType::I64 => Tensor::from_slice(&elements(bytes, i64::from_le_bytes), shape),
        DType::BF16 => Tensor::from_slice(&elements(bytes, bf16::from_le_bytes), shape),
        DType::F16 => Tensor::from_slice(&elements(bytes, f16::from_le_bytes), shape),
        DType::F32 => Tensor::from_slice(&elements(bytes, f32::from_le_bytes), shape),
        DType::F64 => Tensor::from_slice(&elements(bytes, f64::from_le_bytes), shape),
    };
    tensor.map_err(|error| format!("is not readable: {error}"))
}
