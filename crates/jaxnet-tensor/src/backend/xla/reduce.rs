//! Reductions.

use super::hlo::{Builder, Value, braces};
use super::lower::missing;
use crate::aval::{Aval, Scalar};
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::{Reduce, ReduceKind};

pub(super) fn lower(b: &mut Builder<'_>, op: &Reduce, input: &Value, output: &Aval) -> Result<Value> {
    match op {
        Reduce::Reduce { kind, axes } => {
            let (opcode, neutral) = match kind {
                ReduceKind::Sum => ("add", Scalar::Int(0)),
                ReduceKind::Prod => ("multiply", Scalar::Int(1)),
                ReduceKind::Max => ("maximum", least(input.dtype)),
                ReduceKind::Min => ("minimum", greatest(input.dtype)),
                ReduceKind::And => ("and", Scalar::Int(-1)),
                ReduceKind::Or => ("or", Scalar::Int(0)),
            };
            let neutral = b.scalar(input.dtype, neutral);
            let combine = b.reducer(opcode, input.dtype);
            let attributes = format!("dimensions={}, to_apply={combine}", braces(axes));
            Ok(b.op("reduce", output.dtype, &output.shape, &[input, &neutral], &attributes))
        }
        Reduce::Arg { .. } | Reduce::Cumulative { .. } => Err(missing(op.name())),
    }
}

/// The neutral element of maxima.
pub(super) fn least(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool | DType::U8 | DType::U32 => Scalar::Int(0),
        DType::I32 => Scalar::Int(i32::MIN.into()),
        DType::I64 => Scalar::Int(i64::MIN),
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => Scalar::Float(f64::NEG_INFINITY),
    }
}

/// The neutral element of minima.
pub(super) fn greatest(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::Int(1),
        DType::U8 => Scalar::Int(u8::MAX.into()),
        DType::U32 => Scalar::Int(u32::MAX.into()),
        DType::I32 => Scalar::Int(i32::MAX.into()),
        DType::I64 => Scalar::Int(i64::MAX),
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => Scalar::Float(f64::INFINITY),
    }
}
