//! Convolutions whose groups have a single output feature, side by side in memory: depthwise ones in
//! layouts with the features last, and their derivatives.

use rayon::prelude::*;

use super::geometry::{Geometry, RowAxis};
use crate::backend::cpu::kernels::numeric::Number;
use crate::backend::cpu::kernels::taps::{AxisTaps, Tap};
use crate::backend::cpu::math::{Level, vectorize};

/// How many multiplications make a task worth handing to another thread.
const TASK: usize = 1 << 15;
/// How many groups are summed up at a time, so that the sums stay in the first-level cache.
const GROUPS: usize = 1 << 10;

pub(super) fn applies(geometry: &Geometry) -> bool {
    geometry.groups > 1
        && geometry.outputs == 1
        && [geometry.lhs.group, geometry.rhs.group, geometry.out.group] == [1; 3]
}

pub(super) fn convolve<T: Number<Sum = T>>(geometry: &Geometry, lhs: &[T], rhs: &[T], output: &mut [T]) {
    let rows = geometry.rows();
    let taps: Vec<AxisTaps> = geometry.axes.iter().map(|axis| axis.taps()).collect();
    let work = geometry.groups * geometry.kernel() * geometry.inputs;
    output
        .par_chunks_mut(geometry.groups)
        .with_min_len(TASK.div_ceil(work))
        .enumerate()
        .for_each(|(row, output)| sum_row(geometry, &rows, &taps, lhs, rhs, row, output));
}

/// All groups of one example and place.
fn sum_row<T: Number<Sum = T>>(
    geometry: &Geometry,
    rows: &[RowAxis],
    taps: &[AxisTaps],
    lhs: &[T],
    rhs: &[T],
    row: usize,
    output: &mut [T],
) {
    let mut rest = row;
    let mut from = 0;
    let mut steps = vec![Tap { w: 0, i: 0, count: 0 }; taps.len()];
    for axis in rows.iter().rev() {
        let place = rest % axis.size;
        rest /= axis.size;
        match axis.of {
            None => from += place * geometry.lhs.outer,
            Some(i) => steps[i] = taps[i].taps[place],
        }
    }
    for (part, output) in output.chunks_mut(GROUPS).enumerate() {
        let from = from + part * GROUPS;
        output.fill(T::ZERO);
        for input in 0..geometry.inputs {
            let (from, with) = (from + input * geometry.lhs.inner, part * GROUPS + input * geometry.rhs.inner);
            add_products(geometry, taps, &steps, lhs, from, rhs, with, output);
        }
    }
}

/// Adds the products of the kernel's elements, along the axes left in `steps`, with what they lie on.
#[expect(clippy::too_many_arguments, reason = "a recursion over axes")]
fn add_products<T: Number<Sum = T>>(
    geometry: &Geometry,
    taps: &[AxisTaps],
    steps: &[Tap],
    lhs: &[T],
    from: usize,
    rhs: &[T],
    with: usize,
    sums: &mut [T],
) {
    let Some((tap, inner)) = steps.split_first() else {
        let (lhs, rhs) = (&lhs[from..from + sums.len()], &rhs[with..with + sums.len()]);
        return vectorize(
            Level::best(),
            #[inline(always)]
            || {
                for ((sum, &x), &k) in sums.iter_mut().zip(lhs).zip(rhs) {
                    *sum = sum.add(x.mul(k));
                }
            },
        );
    };
    let axis = taps.len() - steps.len();
    for t in 0..tap.count {
        let from = from + (tap.i + t * taps[axis].input_step) * geometry.lhs.spatial[axis];
        let with = with + (tap.w + t * taps[axis].window_step) * geometry.rhs.spatial[axis];
        add_products(geometry, taps, inner, lhs, from, rhs, with, sums);
    }
}
