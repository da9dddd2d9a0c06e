//! Where the windows of gathers and scatters lie.

use super::integers;
use crate::backend::cpu::kernels::Input;
use crate::shape::{Dims, Shape};

/// Marks a window that is not wholly inside the operand.
pub(super) const OUTSIDE: usize = usize::MAX;

/// How index vectors name places in the operand: what gathers and scatters have in common.
pub(super) struct Places<'a> {
    /// The operand's shape.
    pub shape: &'a Shape,
    /// The size of a window along each axis of the operand, 1 along those that it lacks.
    pub window: Dims,
    /// The operand's axis that each component of an index vector moves along.
    pub map: &'a [usize],
    /// The operand's axes that are paired with axes of the indices.
    pub operand_batching: &'a [usize],
    /// Those axes of the indices.
    pub index_batching: &'a [usize],
}

impl Places<'_> {
    /// The place of the first element of each index vector's window in the operand, not empty.
    ///
    /// Windows that would reach out are moved inside if `clamp`, and else are [`OUTSIDE`].
    pub fn bases(&self, indices: &Input<'_>, clamp: bool) -> Vec<usize> {
        let values = integers(indices);
        let batch: Shape = indices.aval.shape[..indices.aval.rank() - 1].into();
        let (strides, batch_strides) = (self.shape.strides(), batch.strides());
        let depth = self.map.len();
        let base = |n: usize| {
            let mut base = 0;
            for (&index, &axis) in values[n * depth..(n + 1) * depth].iter().zip(self.map) {
                // Inference and the operand's not being empty make this at least 0.
                let last = (self.shape[axis] - self.window[axis]) as i64;
                if !clamp && !(0..=last).contains(&index) {
                    return OUTSIDE;
                }
                base += index.clamp(0, last) as usize * strides[axis];
            }
            for (&axis, &of) in self.operand_batching.iter().zip(self.index_batching) {
                base += n / batch_strides[of] % batch[of] * strides[axis];
            }
            base
        };
        (0..batch.size()).map(base).collect()
    }

    /// The window as runs of neighbouring elements: where they start, from the window's first element
    /// on in row-major order, and their common length.
    pub fn runs(&self) -> (Vec<usize>, usize) {
        let mut axis = self.window.len();
        let mut length = 1;
        while axis > 0 {
            axis -= 1;
            length *= self.window[axis];
            if self.window[axis] != self.shape[axis] {
                break;
            }
        }
        (offsets(&self.window[..axis], &self.shape.strides()), length)
    }

    /// The window's elements, from its first on in row-major order.
    pub fn elements(&self) -> Vec<usize> {
        offsets(&self.window, &self.shape.strides())
    }
}

/// The places of all elements of a block, in row-major order.
pub(super) fn offsets(sizes: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (&size, &stride) in sizes.iter().zip(strides) {
        places = places.iter().flat_map(|&place| (0..size).map(move |i| place + i * stride)).collect();
    }
    places
}

/// How an array whose axes run partly over index vectors and partly within windows is read in
/// row-major order when the two kinds of axes alternate.
pub(super) struct Interleaved {
    /// The outer axes: for each its size, and its stride in the numbers of index vectors and of
    /// elements of a window (one of them 0).
    outer: Vec<(usize, [usize; 2])>,
    /// The length of the last axis.
    pub row: usize,
    /// Its strides.
    pub step: [usize; 2],
}

impl Interleaved {
    /// For an array of this shape with these axes in the window.
    pub fn new(shape: &[usize], window_axes: &[usize]) -> Self {
        let mut next = [1, 1];
        let mut axes: Vec<_> = (0..shape.len())
            .rev()
            .map(|axis| {
                let kind = window_axes.contains(&axis) as usize;
                let mut strides = [0, 0];
                strides[kind] = next[kind];
                next[kind] *= shape[axis];
                (shape[axis], strides)
            })
            .collect();
        let (row, step) = if axes.is_empty() { (1, [0, 0]) } else { axes.remove(0) };
        axes.reverse();
        Interleaved { outer: axes, row, step }
    }

    /// The numbers of the index vector and of the element of its window with which a row starts.
    pub fn start(&self, mut row: usize) -> [usize; 2] {
        let mut start = [0, 0];
        for &(size, strides) in self.outer.iter().rev() {
            start[0] += row % size * strides[0];
            start[1] += row % size * strides[1];
            row /= size;
        }
        start
    }
}

/// Whether these axes are the last ones of so many.
pub(super) fn are_last(axes: &[usize], rank: usize) -> bool {
    axes.iter().rev().zip((0..rank).rev()).all(|(&axis, last)| axis == last)
}
