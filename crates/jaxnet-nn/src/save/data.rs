//! Tensors as safetensors sees them.

use std::borrow::Cow;
use std::cell::RefCell;

use jaxnet_tensor::{DType, Error, Tensor};
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
        Cow::Owned(self.leaf.to_le_bytes().unwrap_or_else(|error| {
            *self.failure.borrow_mut() = Some(error);
            Vec::new()
        }))
    }

    fn data_len(&self) -> usize {
        self.leaf.size() * self.leaf.dtype().size()
    }
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
