//! Between our types and libtorch's.

use tch::{Kind, Scalar, TchError, Tensor};

use crate::aval::Literal;
use crate::dtype::DType;

/// What libtorch's operations give.
pub(super) type Torch<T = Tensor> = Result<T, TchError>;

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
pub(super) fn literal(literal: &Literal, device: tch::Device) -> Torch {
    let tensor = Tensor::f_from_data_size(&literal.to_bytes()[..literal.dtype.size()], &[], kind(literal.dtype))?;
    if device == tch::Device::Cpu { Ok(tensor) } else { tensor.f_to_device(device) }
}

/// Whether libtorch computes in f32 and rounds, as we do, but not everywhere.
pub(super) fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::BF16 | DType::F16)
}

/// Integers of any dtype as i64, those of u32 without a sign.
pub(super) fn widen(x: &Tensor, dtype: DType) -> Torch {
    let wide = x.f_to_kind(Kind::Int64)?;
    if dtype == DType::U32 { wide.f_bitwise_and(0xFFFF_FFFF_i64) } else { Ok(wide) }
}

/// Numbers that libtorch compares as ours compare: the bits of u32 with the greatest one turned over.
pub(super) fn ordered(x: &Tensor, dtype: DType) -> Torch {
    if dtype == DType::U32 { x.f_bitwise_xor(i64::from(i32::MIN)) } else { Ok(x.shallow_clone()) }
}

/// Back from [`ordered`].
pub(super) fn unordered(x: Tensor, dtype: DType) -> Torch {
    if dtype == DType::U32 { x.f_bitwise_xor(i64::from(i32::MIN)) } else { Ok(x) }
}

/// The least value of a dtype among [`ordered`] ones.
pub(super) fn least(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool | DType::U8 => Scalar::int(0),
        DType::U32 | DType::I32 => Scalar::int(i64::from(i32::MIN)),
        DType::I64 => Scalar::int(i64::MIN),
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => Scalar::float(f64::NEG_INFINITY),
    }
}

/// The greatest value of a dtype among [`ordered`] ones.
pub(super) fn greatest(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::int(1),
        DType::U8 => Scalar::int(i64::from(u8::MAX)),
        DType::U32 | DType::I32 => Scalar::int(i64::from(i32::MAX)),
        DType::I64 => Scalar::int(i64::MAX),
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => Scalar::float(f64::INFINITY),
    }
}
