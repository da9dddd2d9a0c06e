//! Reading and writing at computed places.

mod block;
mod gather;
mod places;
mod scatter;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::{Input, Output};
use crate::dtype::Element;
use crate::primitive::{Index, ScatterKind};
use crate::with_dtype;

pub(super) fn run(op: &Index, inputs: &[Input<'_>], output: &mut Output<'_>) {
    let dtype = output.aval.dtype;
    match op {
        Index::Gather { dims, slice_sizes } => with_dtype!(dtype, T => {
            gather::gather::<T>(dims, slice_sizes, &inputs[0], &inputs[1], output);
        }),
        // The one kind that booleans have.
        Index::Scatter { kind: ScatterKind::Set, dims } => with_dtype!(dtype, T => {
            scatter::scatter::<T>(dims, inputs, output, |_, new| new);
        }),
        Index::Scatter { kind, dims } => scatter::combine(*kind, dims, inputs, output),
        Index::DynamicSlice { .. } => with_dtype!(dtype, T => {
            block::dynamic_slice::<T>(&inputs[0], &inputs[1..], output);
        }),
        Index::DynamicUpdateSlice => with_dtype!(dtype, T => {
            block::dynamic_update_slice::<T>(&inputs[0], &inputs[1], &inputs[2..], output);
        }),
    }
}

/// Writes `(update, starts…)` into an output that holds the operand already.
pub(crate) fn update_slice(inputs: &[Input<'_>], output: &mut Output<'_>) {
    with_dtype!(output.aval.dtype, T => block::write_block::<T>(&inputs[0], &inputs[1..], output));
}

/// Indices of any integer dtype, without loss.
fn integers(input: &Input<'_>) -> Vec<i64> {
    with_dtype!(input.aval.dtype, I => input.slice::<I>().iter().map(|&index| index.to_i64()).collect())
}

/// How many elements make a task worth handing to another thread.
const TASK: usize = 1 << 15;

/// Copies, by several threads where there is much.
fn copy<T: Element>(to: &mut [T], from: &[T]) {
    if to.len() < 8 * TASK {
        to.copy_from_slice(from);
    } else {
        to.par_chunks_mut(TASK).zip(from.par_chunks(TASK)).for_each(|(to, from)| to.copy_from_slice(from));
    }
}
