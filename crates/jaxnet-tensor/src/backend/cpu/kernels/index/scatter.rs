//! Scatter.

use rayon::prelude::*;

use super::places::{Interleaved, OUTSIDE, Places, are_last};
use super::{TASK, copy};
use crate::backend::cpu::kernels::numeric::{Number, with_number};
use crate::backend::cpu::kernels::{Input, Output};
use crate::dtype::Element;
use crate::primitive::{ScatterDims, ScatterKind};
use crate::shape::Dims;

/// The kinds that compute.
pub(super) fn combine(kind: ScatterKind, dims: &ScatterDims, inputs: &[Input<'_>], output: &mut Output<'_>) {
    with_number!(output.aval.dtype, T => match kind {
        ScatterKind::Set => scatter::<T>(dims, inputs, output, |_, new| new),
        ScatterKind::Add => scatter::<T>(dims, inputs, output, Number::add),
        ScatterKind::Mul => scatter::<T>(dims, inputs, output, Number::mul),
        ScatterKind::Min => scatter::<T>(dims, inputs, output, Number::min),
        ScatterKind::Max => scatter::<T>(dims, inputs, output, Number::max),
    })
}

/// Combines updates of one place in their row-major order, whatever the number of threads.
pub(super) fn scatter<T: Element>(
    dims: &ScatterDims,
    inputs: &[Input<'_>],
    output: &mut Output<'_>,
    combine: impl Fn(T, T) -> T + Sync,
) {
    let [operand, indices, updates] = inputs else { unreachable!("inference checks the number of operands") };
    let updates_shape = &updates.aval.shape;
    let output: &mut [T] = output.slice();
    copy(output, operand.slice());
    if output.is_empty() || updates_shape.size() == 0 {
        return;
    }
    let mut window = Dims::from_elem(1, operand.aval.rank());
    for (axis, &of) in dims.kept(operand.aval.rank()).into_iter().zip(&dims.update_window_dims) {
        window[axis] = updates_shape[of];
    }
    let places = Places {
        shape: &operand.aval.shape,
        window,
        map: &dims.scatter_dims_to_operand_dims,
        operand_batching: &dims.operand_batching_dims,
        index_batching: &dims.scatter_indices_batching_dims,
    };
    let bases = places.bases(indices, false);
    let updates: &[T] = updates.slice();
    if !are_last(&dims.update_window_dims, updates_shape.rank()) {
        let (elements, axes) = (places.elements(), Interleaved::new(updates_shape, &dims.update_window_dims));
        for (row, updates) in updates.chunks_exact(axes.row).enumerate() {
            let [mut n, mut element] = axes.start(row);
            for &update in updates {
                if bases[n] != OUTSIDE {
                    let place = &mut output[bases[n] + elements[element]];
                    *place = combine(*place, update);
                }
                n += axes.step[0];
                element += axes.step[1];
            }
        }
        return;
    }
    let (starts, length) = places.runs();
    let windows = |output: &mut [T], from: usize| {
        // Writes the windows that start in this part of the output, `from` its first element on.
        let part = from..from + output.len();
        for (&base, updates) in bases.iter().zip(updates.chunks_exact(starts.len() * length)) {
            if !part.contains(&base) {
                continue;
            }
            for (&start, updates) in starts.iter().zip(updates.chunks_exact(length)) {
                let place = base - from + start;
                for (to, &update) in output[place..place + length].iter_mut().zip(updates) {
                    *to = combine(*to, update);
                }
            }
        }
    };
    // Where no window extends along the first axis, parts of that axis are independent.
    let (rows, threads) = (places.shape.first().copied().unwrap_or(1), rayon::current_num_threads());
    if updates.len() < 2 * TASK || rows < threads || threads == 1 || places.window[0] != 1 {
        windows(output, 0);
        return;
    }
    let part = rows.div_ceil(threads) * (output.len() / rows);
    output.par_chunks_mut(part).enumerate().for_each(|(i, output)| windows(output, i * part));
}
