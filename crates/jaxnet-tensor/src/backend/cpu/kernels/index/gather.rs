//! Gather.

use rayon::prelude::*;

use super::TASK;
use super::places::{Interleaved, Places, are_last};
use crate::backend::cpu::kernels::{Input, Output};
use crate::dtype::Element;
use crate::primitive::GatherDims;
use crate::shape::Dims;

pub(super) fn gather<T: Element>(
    dims: &GatherDims,
    slice_sizes: &Dims,
    operand: &Input<'_>,
    indices: &Input<'_>,
    output: &mut Output<'_>,
) {
    let shape = &output.aval.shape;
    if shape.size() == 0 {
        return;
    }
    let mut window = slice_sizes.clone();
    for &axis in &dims.operand_batching_dims {
        window[axis] = 1;
    }
    let places = Places {
        shape: &operand.aval.shape,
        window,
        map: &dims.start_index_map,
        operand_batching: &dims.operand_batching_dims,
        index_batching: &dims.start_indices_batching_dims,
    };
    let bases = places.bases(indices, true);
    let operand: &[T] = operand.slice();
    let whole_slices = are_last(&dims.offset_dims, shape.rank());
    let row_length = shape.last().copied().unwrap_or(1);
    let axes = Interleaved::new(shape, &dims.offset_dims);
    let output: &mut [T] = output.slice();
    if whole_slices {
        let (starts, length) = places.runs();
        let slice = starts.len() * length;
        let per_task = TASK.div_ceil(slice);
        let copy = |(output, bases): (&mut [T], &[usize])| gather_slices(output, operand, bases, &starts, length);
        if bases.len() <= per_task {
            copy((output, &bases));
        } else {
            output.par_chunks_mut(per_task * slice).zip(bases.par_chunks(per_task)).for_each(copy);
        }
    } else {
        let elements = places.elements();
        let fill = |(row, output): (usize, &mut [T])| {
            let [mut n, mut element] = axes.start(row);
            for to in output {
                *to = operand[bases[n] + elements[element]];
                n += axes.step[0];
                element += axes.step[1];
            }
        };
        output.par_chunks_mut(row_length).with_min_len(TASK.div_ceil(row_length)).enumerate().for_each(fill);
    }
}

/// Slices one after the other, each made of runs of one length.
fn gather_slices<T: Element>(output: &mut [T], operand: &[T], bases: &[usize], starts: &[usize], length: usize) {
    if let ([0], 1) = (starts, length) {
        for (to, &base) in output.iter_mut().zip(bases) {
            *to = operand[base];
        }
        return;
    }
    let runs = bases.iter().flat_map(|&base| starts.iter().map(move |&start| base + start));
    for (to, from) in output.chunks_exact_mut(length).zip(runs) {
        to.copy_from_slice(&operand[from..from + length]);
    }
}
