//! Arranging elements anew.
//!
//! Elements are moved as words of their width: whether four bytes are an f32 or an i32 makes no
//! difference here.

mod pad;
pub(super) mod strided;
#[cfg(test)]
mod tests;

use bytemuck::Pod;
use smallvec::SmallVec;

use self::strided::{copy, copy_run};
use super::parallel::{PARALLEL, in_parts};
use super::{Input, Output};
use crate::dtype::Element;
use crate::primitive::ShapeOp;
use crate::shape::{Dims, Shape};

pub(super) fn run(op: &ShapeOp, inputs: &[Input<'_>], output: &mut Output<'_>) {
    if output.aval.size() == 0 {
        return;
    }
    if let ShapeOp::Iota { dtype, shape, axis } = op {
        return crate::with_dtype!(*dtype, T => iota::<T>(shape, *axis, output.slice()));
    }
    match output.aval.dtype.size() {
        1 => rearrange::<u8>(op, inputs, output),
        2 => rearrange::<u16>(op, inputs, output),
        4 => rearrange::<u32>(op, inputs, output),
        _ => rearrange::<u64>(op, inputs, output),
    }
}

/// Where an operation reads each element: at `offset` and from there `strides` along the result's axes.
type Reading = (usize, SmallVec<[isize; 6]>);

fn rearrange<W: Pod + Send + Sync>(op: &ShapeOp, inputs: &[Input<'_>], output: &mut Output<'_>) {
    let shape = &output.aval.shape;
    let reading = match op {
        ShapeOp::BroadcastInDim { dims, .. } => broadcast(&inputs[0].aval.shape, dims, shape),
        ShapeOp::Reshape { .. } => (0, shape.strides().iter().map(|&stride| stride as isize).collect()),
        ShapeOp::Transpose { permutation } => transpose(&inputs[0].aval.shape, permutation),
        ShapeOp::Reverse { axes } => reverse(shape, axes),
        ShapeOp::Slice { starts, strides, .. } => slice(&inputs[0].aval.shape, starts, strides),
        ShapeOp::Pad { low, interior, .. } => {
            let axes = pad::axes(&inputs[0].aval.shape, low, interior, shape);
            return pad::pad(inputs[0].words::<W>(), &axes, inputs[1].words::<W>()[0], output.words());
        }
        ShapeOp::Concatenate { axis } => return concatenate::<W>(inputs, *axis, output),
        ShapeOp::Iota { .. } => unreachable!("iota has no operand to move"),
    };
    let (offset, strides) = reading;
    copy(inputs[0].words::<W>(), offset, shape, &strides, output.words());
}

/// Repeated axes are read in place, again and again.
fn broadcast(from: &Shape, dims: &Dims, to: &Shape) -> Reading {
    let mut strides = SmallVec::from_elem(0, to.rank());
    for ((&dim, &size), &stride) in dims.iter().zip(from.iter()).zip(&from.strides()) {
        strides[dim] = if size == 1 { 0 } else { stride as isize };
    }
    (0, strides)
}

fn transpose(from: &Shape, permutation: &Dims) -> Reading {
    let strides = from.strides();
    (0, permutation.iter().map(|&axis| strides[axis] as isize).collect())
}

/// Reversed axes are read from their last element on. No axis is empty here.
fn reverse(shape: &Shape, axes: &Dims) -> Reading {
    let mut strides: SmallVec<[isize; 6]> = shape.strides().iter().map(|&stride| stride as isize).collect();
    let mut offset = 0;
    for &axis in axes {
        offset += (shape[axis] - 1) * strides[axis] as usize;
        strides[axis] = -strides[axis];
    }
    (offset, strides)
}

fn slice(from: &Shape, starts: &Dims, steps: &Dims) -> Reading {
    let strides = from.strides();
    let offset = starts.iter().zip(&strides).map(|(start, stride)| start * stride).sum();
    (offset, strides.iter().zip(steps).map(|(&stride, &step)| (stride * step) as isize).collect())
}

fn concatenate<W: Pod + Send + Sync>(inputs: &[Input<'_>], axis: usize, output: &mut Output<'_>) {
    // A row of the result is a piece of each operand.
    let inner: usize = output.aval.shape[axis + 1..].iter().product();
    let pieces: SmallVec<[(&[W], usize); 4]> = inputs
        .iter()
        .map(|input| (input.words::<W>(), input.aval.shape[axis] * inner))
        .filter(|(_, width)| *width > 0)
        .collect();
    let row: usize = pieces.iter().map(|(_, width)| width).sum();
    let output = output.words::<W>();
    if output.len() == row {
        let mut rest = output;
        for (input, width) in pieces {
            let (part, after) = rest.split_at_mut(width);
            copy(input, 0, &[width], &[1], part);
            rest = after;
        }
        return;
    }
    in_parts(output, (PARALLEL / row).max(1) * row, &|first, rows| {
        let (first, mut at) = (first / row, 0);
        // Operand by operand, so that the width of the pieces is constant in the inner loop.
        for &(input, width) in &pieces {
            let input = &input[first * width..];
            match width {
                1 => rows.chunks_exact_mut(row).zip(input).for_each(|(row, x)| row[at] = *x),
                _ => rows
                    .chunks_exact_mut(row)
                    .zip(input.chunks_exact(width))
                    .for_each(|(row, piece)| copy_run(&mut row[at..at + width], piece)),
            }
            at += width;
        }
    });
}

fn iota<T: Element>(shape: &Shape, axis: usize, output: &mut [T]) {
    let inner: usize = shape[axis + 1..].iter().product();
    let period = shape[axis] * inner;
    let count = |from: usize, part: &mut [T]| {
        if inner == 1 {
            return part.iter_mut().enumerate().for_each(|(i, x)| *x = T::from_i64((from + i) as i64));
        }
        for (i, run) in part.chunks_mut(inner).enumerate() {
            run.fill(T::from_i64((from + i) as i64));
        }
    };
    // Along the first axis each count is needed once; further on the first period is copied.
    let (first, rest) = output.split_at_mut(period);
    in_parts(first, (PARALLEL / inner).max(1) * inner, &|start, part| count(start / inner, part));
    copy(first, 0, &[rest.len() / period, period], &[0, 1], rest);
}
