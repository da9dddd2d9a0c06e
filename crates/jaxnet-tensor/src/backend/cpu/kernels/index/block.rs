//! Slices at scalar starts.

use super::{copy, integers};
use crate::backend::cpu::kernels::{Input, Output};
use crate::dtype::Element;
use crate::shape::{Dims, Shape};

pub(super) fn dynamic_slice<T: Element>(operand: &Input<'_>, starts: &[Input<'_>], output: &mut Output<'_>) {
    let sizes = output.aval.shape.clone();
    let starts = clamped(starts, &sizes, &operand.aval.shape);
    let output: &mut [T] = output.slice();
    let from: &[T] = operand.slice();
    runs(&sizes, &starts, &operand.aval.shape, |within, place, length| {
        copy(&mut output[within..within + length], &from[place..place + length]);
    });
}

pub(super) fn dynamic_update_slice<T: Element>(
    operand: &Input<'_>,
    update: &Input<'_>,
    starts: &[Input<'_>],
    output: &mut Output<'_>,
) {
    copy(output.slice::<T>(), operand.slice());
    write_block::<T>(update, starts, output);
}

/// Writes the update into an output that holds the operand already.
pub(super) fn write_block<T: Element>(update: &Input<'_>, starts: &[Input<'_>], output: &mut Output<'_>) {
    let shape = output.aval.shape.clone();
    let starts = clamped(starts, &update.aval.shape, &shape);
    let output: &mut [T] = output.slice();
    let from: &[T] = update.slice();
    runs(&update.aval.shape, &starts, &shape, |within, place, length| {
        copy(&mut output[place..place + length], &from[within..within + length]);
    });
}

/// The starts, moved so that a block of these sizes lies within the shape.
fn clamped(starts: &[Input<'_>], sizes: &[usize], shape: &[usize]) -> Dims {
    let last = shape.iter().zip(sizes).map(|(&size, &block)| (size - block) as i64);
    starts.iter().zip(last).map(|(start, last)| integers(start)[0].clamp(0, last) as usize).collect()
}

/// Calls `f` with each run of neighbouring elements of a block: its place within the block, its place
/// in the whole, and its length.
fn runs(sizes: &Shape, starts: &[usize], shape: &Shape, mut f: impl FnMut(usize, usize, usize)) {
    if sizes.size() == 0 {
        return;
    }
    let strides = shape.strides();
    let mut outer = sizes.rank();
    let mut length = 1;
    while outer > 0 {
        outer -= 1;
        length *= sizes[outer];
        if sizes[outer] != shape[outer] {
            break;
        }
    }
    let mut place: usize = starts.iter().zip(&strides).map(|(&start, &stride)| start * stride).sum();
    let mut index = Dims::from_elem(0, outer);
    for run in 0..sizes[..outer].iter().product() {
        f(run * length, place, length);
        for axis in (0..outer).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < sizes[axis] {
                break;
            }
            place -= strides[axis] * sizes[axis];
            index[axis] = 0;
        }
    }
}
