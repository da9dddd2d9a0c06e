//! Reductions.
//!
//! Floating-point sums are pairwise over blocks with many accumulators, which is both fast and
//! accurate; 16-bit floats are summed in f32 and rounded once. How work is split depends on shapes
//! alone, so that results do not depend on the number of threads.

mod arg;
mod combine;
mod cumulative;
mod fold;
#[cfg(test)]
mod tests;

use self::combine::{And, Max, Min, Or, Prod, Sum};
use super::{Input, Output};
use crate::dtype::{DType, Element};
use crate::primitive::{Reduce, ReduceKind};

pub(super) fn run(op: &Reduce, inputs: &[Input<'_>], output: &mut Output<'_>) {
    if output.aval.size() == 0 {
        return;
    }
    match op {
        Reduce::Reduce { kind, axes } => reduce(*kind, &inputs[0], axes, output),
        Reduce::Arg { kind, axis, .. } => arg::run(*kind, &inputs[0], *axis, output),
        Reduce::Cumulative { kind, axis, reverse } => cumulative::run(*kind, &inputs[0], *axis, *reverse, output),
    }
}

fn reduce(kind: ReduceKind, input: &Input<'_>, axes: &[usize], output: &mut Output<'_>) {
    let (dtype, shape) = (input.aval.dtype, &input.aval.shape);
    match kind {
        ReduceKind::Sum => {
            crate::with_dtype!(dtype, T => fold::reduce::<T, Sum>(input.slice(), shape, axes, output.slice()));
        }
        ReduceKind::Prod => {
            crate::with_dtype!(dtype, T => fold::reduce::<T, Prod>(input.slice(), shape, axes, output.slice()));
        }
        ReduceKind::Max => {
            crate::with_dtype!(dtype, T => fold::reduce::<T, Max>(input.slice(), shape, axes, output.slice()));
        }
        ReduceKind::Min => {
            crate::with_dtype!(dtype, T => fold::reduce::<T, Min>(input.slice(), shape, axes, output.slice()));
        }
        ReduceKind::And | ReduceKind::Or => match dtype {
            DType::Bool => bits::<bool>(kind, input, axes, output),
            DType::U8 => bits::<u8>(kind, input, axes, output),
            DType::U32 => bits::<u32>(kind, input, axes, output),
            DType::I32 => bits::<i32>(kind, input, axes, output),
            DType::I64 => bits::<i64>(kind, input, axes, output),
            DType::BF16 | DType::F16 | DType::F32 | DType::F64 => unreachable!("inference refuses floats"),
        },
    }
}

fn bits<T>(kind: ReduceKind, input: &Input<'_>, axes: &[usize], output: &mut Output<'_>)
where
    T: Element + combine::Accumulate,
    T::Wide: combine::Bits,
{
    let shape = &input.aval.shape;
    match kind {
        ReduceKind::And => fold::reduce::<T, And>(input.slice(), shape, axes, output.slice()),
        _ => fold::reduce::<T, Or>(input.slice(), shape, axes, output.slice()),
    }
}
