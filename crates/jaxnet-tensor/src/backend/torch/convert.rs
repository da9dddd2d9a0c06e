//! Between our types and libtorch's.

use tch::{Kind, TchError, Tensor};

use crate::aval::Literal;
use crate::dtype::DType;

/// What libtorch calls a dtype. It has no arithmetic on u32; those bits are kept as its 32-bit integers,
/// and the operations on which the sign tells take care of it.
pub(super) fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::Bool => Kind::Bool,
        DType::U8 => Kind::Uint8,
        DType::U32 | DType::I32 => Kind::Int,
        DType::I64 => Kind::Int64,
        DType::BF16 => Kind::BFloat16,
        DType::F16 => Kind::Half,
        DType::F32 => Kind::Float,
        DType::F64 => Kind::Double,
    }
}

/// Sizes or axes.
pub(super) fn sizes(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&size| size as i64).collect()
}

/// A constant as an array of rank 0.
pub(super) fn literal(literal: &Literal, device: tch::Device) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_from_data_size(&literal.to_bytes()[..literal.dtype.size()], &[], kind(literal.dtype))?;
    if device == tch::Device::Cpu { Ok(tensor) } else { tensor.f_to_device(device) }
}
