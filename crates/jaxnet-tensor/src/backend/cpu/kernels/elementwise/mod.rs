//! Elementwise operations, on whole arrays and on the blocks of fused loops.

mod float;
mod integer;
mod map;

use rayon::prelude::*;
use smallvec::SmallVec;

use super::{Input, Output};
use crate::dtype::{DType, Element, cast, from_bytes, from_bytes_mut};
use crate::primitive::{CompareOp, Elementwise};
use crate::with_dtype;
use map::{Arg, map1, map2, map3};

/// Some elements of an operand: a run of them, or one that stands for all.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub dtype: DType,
    /// The elements in memory aligned for them; just one for a scalar.
    pub bytes: &'a [u8],
    pub scalar: bool,
}

impl<'a> Chunk<'a> {
    fn arg<T: Element>(&self) -> Arg<'a, T> {
        assert_eq!(self.dtype, T::DTYPE);
        let elements = from_bytes::<T>(self.bytes);
        if self.scalar { Arg::Scalar(elements[0]) } else { Arg::Slice(elements) }
    }

    /// The elements `start..end`, or the scalar again.
    pub fn part(&self, start: usize, end: usize) -> Chunk<'a> {
        let size = self.dtype.size();
        if self.scalar { *self } else { Chunk { bytes: &self.bytes[start * size..end * size], ..*self } }
    }
}

/// Elements per task: large enough to outweigh handing it over, small enough to stay in L2.
const TASK: usize = 32 << 10;

pub(super) fn run(op: &Elementwise, inputs: &[Input<'_>], output: &mut Output<'_>) {
    let chunks: SmallVec<[Chunk<'_>; 3]> = inputs
        .iter()
        .map(|input| Chunk { dtype: input.aval.dtype, bytes: input.bytes(), scalar: input.aval.rank() == 0 })
        .collect();
    let (dtype, size) = (output.aval.dtype, output.aval.size());
    let out = output.bytes();
    if size <= 2 * TASK {
        apply(op, &chunks, dtype, out);
        return;
    }
    out.par_chunks_mut(TASK * dtype.size()).enumerate().for_each(|(i, out)| {
        let (start, end) = (i * TASK, i * TASK + out.len() / dtype.size());
        let parts: SmallVec<[Chunk<'_>; 3]> = chunks.iter().map(|chunk| chunk.part(start, end)).collect();
        apply(op, &parts, dtype, out);
    });
}

/// Applies an operation to runs of elements: `out` has elements of `dtype`, as many as each operand
/// that is no scalar.
pub(crate) fn apply(op: &Elementwise, inputs: &[Chunk<'_>], dtype: DType, out: &mut [u8]) {
    let of = inputs.last().expect("elementwise operations have operands").dtype;
    match op {
        Elementwise::Select => select(inputs, dtype, out),
        Elementwise::Convert(_) => convert(&inputs[0], dtype, out),
        Elementwise::BitcastConvert(_) => bitcast(&inputs[0], dtype, out),
        Elementwise::Compare(op) => compare(*op, inputs, out),
        _ => match of {
            DType::F32 => float::f32::apply(op, inputs, dtype, out),
            DType::F64 => float::f64::apply(op, inputs, dtype, out),
            DType::F16 | DType::BF16 => through_f32(op, inputs, dtype, out),
            DType::I32 => integer::apply::<i32>(op, inputs, from_bytes_mut(out)),
            DType::I64 => integer::apply::<i64>(op, inputs, from_bytes_mut(out)),
            DType::U8 => integer::apply::<u8>(op, inputs, from_bytes_mut(out)),
            DType::U32 => integer::apply::<u32>(op, inputs, from_bytes_mut(out)),
            DType::Bool => integer::apply_bool(op, inputs, from_bytes_mut(out)),
        },
    }
}

fn select(inputs: &[Chunk<'_>], dtype: DType, out: &mut [u8]) {
    with_dtype!(dtype, T => {
        let (on_true, on_false) = (inputs[1].arg::<T>(), inputs[2].arg::<T>());
        map3(inputs[0].arg::<bool>(), on_true, on_false, from_bytes_mut(out), |pred, x, y| if pred { x } else { y });
    });
}

fn convert(input: &Chunk<'_>, dtype: DType, out: &mut [u8]) {
    with_dtype!(input.dtype, S => with_dtype!(dtype, T => {
        map1(input.arg::<S>(), from_bytes_mut::<T>(out), cast::<S, T>);
    }));
}

fn bitcast(input: &Chunk<'_>, dtype: DType, out: &mut [u8]) {
    if !input.scalar {
        out.copy_from_slice(input.bytes);
        return;
    }
    for element in out.chunks_exact_mut(dtype.size()) {
        element.copy_from_slice(input.bytes);
    }
}

#[allow(clippy::bool_comparison)] // booleans are one of many types here
fn compare(op: CompareOp, inputs: &[Chunk<'_>], out: &mut [u8]) {
    with_dtype!(inputs[0].dtype, T => {
        let (x, y) = (inputs[0].arg::<T>(), inputs[1].arg::<T>());
        let out = from_bytes_mut::<bool>(out);
        match op {
            CompareOp::Eq => map2(x, y, out, |x, y| x == y),
            CompareOp::Ne => map2(x, y, out, |x, y| x != y),
            CompareOp::Lt => map2(x, y, out, |x, y| x < y),
            CompareOp::Le => map2(x, y, out, |x, y| x <= y),
            CompareOp::Gt => map2(x, y, out, |x, y| x > y),
            CompareOp::Ge => map2(x, y, out, |x, y| x >= y),
        }
    });
}

/// Half precision computes in f32 and rounds once, which gives correctly rounded sums, products,
/// quotients and roots.
fn through_f32(op: &Elementwise, inputs: &[Chunk<'_>], dtype: DType, out: &mut [u8]) {
    const BLOCK: usize = 256;
    let len = out.len() / dtype.size();
    // Results that are no floats (`is_finite`) need no rounding.
    let wide = if dtype.is_float() { DType::F32 } else { dtype };
    for start in (0..len).step_by(BLOCK) {
        let end = (start + BLOCK).min(len);
        let mut wide_inputs = [[0_f32; BLOCK]; 3];
        for (input, wide) in inputs.iter().zip(&mut wide_inputs) {
            let count = if input.scalar { 1 } else { end - start };
            convert(&input.part(start, end), DType::F32, crate::dtype::as_bytes_mut(&mut wide[..count]));
        }
        let parts: SmallVec<[Chunk<'_>; 3]> = inputs
            .iter()
            .zip(&wide_inputs)
            .map(|(input, wide)| {
                let count = if input.scalar { 1 } else { end - start };
                Chunk { dtype: DType::F32, bytes: crate::dtype::as_bytes(&wide[..count]), scalar: input.scalar }
            })
            .collect();
        let out = &mut out[start * dtype.size()..end * dtype.size()];
        if wide != DType::F32 {
            float::f32::apply(op, &parts, wide, out);
            continue;
        }
        let mut result = [0_f32; BLOCK];
        let result = crate::dtype::as_bytes_mut(&mut result[..end - start]);
        float::f32::apply(op, &parts, wide, result);
        convert(&Chunk { dtype: DType::F32, bytes: result, scalar: false }, dtype, out);
    }
}

#[cfg(test)]
mod tests;
