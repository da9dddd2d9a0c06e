//! The patches of the input that the kernel is multiplied with, as blocks of a matrix.
//!
//! The matrix has a row for each example and place (in the order of the result's memory) and a column
//! for each input feature and element of the kernel. It is written row by row or column by column,
//! whichever follows the input's memory.

use std::ops::Range;

use super::geometry::{Geometry, RowAxis};
use crate::backend::cpu::kernels::numeric::Number;
use crate::backend::cpu::kernels::taps::{AxisTaps, Tap};

/// An axis of the kernel that is summed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnAxis {
    /// The spatial axis, or `None` for that of input features.
    pub of: Option<usize>,
    pub size: usize,
    /// The distance of neighbours in the kernel.
    pub rhs: usize,
}

/// Cuts blocks out of the matrix of patches.
pub(super) struct Patches<'a> {
    geometry: &'a Geometry,
    rows: Vec<RowAxis>,
    /// The order of the columns.
    pub columns: Vec<ColumnAxis>,
    /// Whether blocks are written column by column.
    pub by_columns: bool,
    /// For each spatial axis, what the kernel meets at each place.
    taps: Vec<AxisTaps>,
    /// When writing columns along a spatial axis: the places at which each element of the kernel meets
    /// the input.
    places: Option<AxisTaps>,
    /// Whether the last spatial axis and the features make up runs of neighbours.
    merged: bool,
    /// For kernels of one element: how many rows follow each other in the input at equal distances, and
    /// that distance.
    in_place: Option<(usize, usize)>,
}

/// The distance in the input of what the first element of the kernel meets at neighbouring rows.
fn lhs_distance(geometry: &Geometry, axis: &RowAxis) -> usize {
    axis.of.map_or(geometry.lhs.outer, |i| geometry.axes[i].stride * geometry.lhs.spatial[i])
}

/// The value of the field [`Patches::in_place`].
fn rows_in_place(geometry: &Geometry, rows: &[RowAxis]) -> Option<(usize, usize)> {
    let inside = geometry.axes.iter().all(|axis| {
        (axis.window, axis.low, axis.base_dilation) == (1, 0, 1) && (axis.output - 1) * axis.stride < axis.input
    });
    if !inside {
        return None;
    }
    let mut axes = rows.iter().rev().filter(|axis| axis.size != 1);
    let Some(last) = axes.next() else { return Some((1, 1)) };
    let stride = lhs_distance(geometry, last);
    let mut span = last.size;
    for axis in axes {
        if lhs_distance(geometry, axis) != span * stride {
            break;
        }
        span *= axis.size;
    }
    Some((span, stride))
}

impl<'a> Patches<'a> {
    pub fn new(geometry: &'a Geometry) -> Self {
        let rows = geometry.rows();
        let features = ColumnAxis { of: None, size: geometry.inputs, rhs: geometry.rhs.inner };
        let spatial = (0..geometry.axes.len()).map(|i| ColumnAxis {
            of: Some(i),
            size: geometry.axes[i].window,
            rhs: geometry.rhs.spatial[i],
        });
        let mut columns: Vec<ColumnAxis> = spatial.chain([features]).collect();
        let stride = |axis: &RowAxis| axis.of.map_or(geometry.lhs.outer, |i| geometry.lhs.spatial[i]);
        let last = *rows.last().expect("at least the axis of examples");
        let runs_of_features = geometry.lhs.inner == 1 && geometry.inputs > 1;
        let by_columns = !runs_of_features && stride(&last) == 1 && last.size > 1;
        if by_columns {
            // Any order will do, so the one in which the kernel is a matrix as it is.
            columns.sort_by_key(|axis| std::cmp::Reverse(axis.rhs));
        }
        let taps: Vec<AxisTaps> = geometry.axes.iter().map(|axis| axis.taps()).collect();
        let places = last.of.filter(|_| by_columns).map(|i| geometry.axes[i].exchanged().taps());
        let merged = geometry.lhs.inner == 1
            && geometry.lhs.spatial.last() == Some(&geometry.inputs)
            && taps.last().is_some_and(|taps| (taps.window_step, taps.input_step) == (1, 1));
        let in_place = rows_in_place(geometry, &rows);
        Patches { geometry, rows, columns, by_columns, taps, places, merged, in_place }
    }

    /// Where the block of these rows, of all columns, is in the input itself: the place of its first
    /// element and the distances of rows and of columns; `None` if it is not.
    pub fn in_place(&self, group: usize, rows: &Range<usize>) -> Option<(usize, [usize; 2])> {
        let (span, stride) = self.in_place?;
        if rows.start / span != (rows.end - 1) / span {
            return None;
        }
        let mut first = group * self.geometry.lhs.group;
        let mut rest = rows.start;
        for axis in self.rows.iter().rev() {
            first += rest % axis.size * lhs_distance(self.geometry, axis);
            rest /= axis.size;
        }
        Some((first, [stride, self.geometry.lhs.inner]))
    }

    /// Writes a block for a group, with rows one after the other or columns one after the other. Row by
    /// row, all columns must be wanted.
    pub fn write<T: Number>(
        &self,
        lhs: &[T],
        group: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        block: &mut [T],
    ) {
        let base = group * self.geometry.lhs.group;
        if self.by_columns {
            for (column, block) in columns.zip(block.chunks_exact_mut(rows.len())) {
                self.write_column(lhs, base, column, rows.clone(), block);
            }
            return;
        }
        let mut taps = vec![Tap { w: 0, i: 0, count: 0 }; self.taps.len()];
        for (row, block) in rows.zip(block.chunks_exact_mut(columns.len())) {
            let mut rest = row;
            let mut from = base;
            let mut whole = true;
            for axis in self.rows.iter().rev() {
                let place = rest % axis.size;
                rest /= axis.size;
                match axis.of {
                    None => from += place * self.geometry.lhs.outer,
                    Some(i) => {
                        taps[i] = self.taps[i].taps[place];
                        whole &= taps[i].count == self.geometry.axes[i].window;
                    }
                }
            }
            if !whole {
                block.fill(T::ZERO);
            }
            self.write_row(lhs, &taps, 0, from, 0, block);
        }
    }

    /// The part of a row from spatial axis `axis` on, the axes before it being at element `element` of
    /// the kernel and at `from` in the input.
    fn write_row<T: Number>(&self, lhs: &[T], taps: &[Tap], axis: usize, from: usize, element: usize, block: &mut [T]) {
        let features = self.geometry.inputs;
        let Some(&tap) = taps.get(axis) else {
            let to = &mut block[element * features..(element + 1) * features];
            match self.geometry.lhs.inner {
                1 => to.copy_from_slice(&lhs[from..from + features]),
                stride => to.iter_mut().zip(lhs[from..].iter().step_by(stride)).for_each(|(to, &x)| *to = x),
            }
            return;
        };
        let element = element * self.geometry.axes[axis].window + tap.w;
        let from = from + tap.i * self.geometry.lhs.spatial[axis];
        if self.merged && axis + 1 == taps.len() {
            let run = tap.count * features;
            block[element * features..element * features + run].copy_from_slice(&lhs[from..from + run]);
            return;
        }
        let (window_step, input_step) = (self.taps[axis].window_step, self.taps[axis].input_step);
        for t in 0..tap.count {
            let from = from + t * input_step * self.geometry.lhs.spatial[axis];
            self.write_row(lhs, taps, axis + 1, from, element + t * window_step, block);
        }
    }

    fn write_column<T: Number>(&self, lhs: &[T], base: usize, column: usize, rows: Range<usize>, block: &mut [T]) {
        let mut rest = column;
        let mut from = base;
        let mut elements = vec![0; self.taps.len()];
        for axis in self.columns.iter().rev() {
            match axis.of {
                None => from += rest % axis.size * self.geometry.lhs.inner,
                Some(i) => elements[i] = rest % axis.size,
            }
            rest /= axis.size;
        }
        let (last, outer) = self.rows.split_last().expect("at least the axis of examples");
        let mut row = rows.start;
        while row < rows.end {
            let first = row % last.size;
            let count = (last.size - first).min(rows.end - row);
            let to = &mut block[row - rows.start..row - rows.start + count];
            match self.column_run(outer, row / last.size, &elements, from) {
                None => to.fill(T::ZERO),
                Some(from) => self.write_run(lhs, last, &elements, from, first, to),
            }
            row += count;
        }
    }

    /// Where in the input the elements of a column are for one combination of the outer axes of rows;
    /// `None` if that is padding.
    fn column_run(&self, outer: &[RowAxis], mut row: usize, elements: &[usize], mut from: usize) -> Option<usize> {
        for axis in outer.iter().rev() {
            let place = row % axis.size;
            row /= axis.size;
            from += match axis.of {
                None => place * self.geometry.lhs.outer,
                Some(i) => self.geometry.axes[i].element(place, elements[i])? * self.geometry.lhs.spatial[i],
            };
        }
        Some(from)
    }

    /// The elements of a column along the innermost axis of rows, from its place `first` on.
    fn write_run<T: Number>(
        &self,
        lhs: &[T],
        last: &RowAxis,
        elements: &[usize],
        from: usize,
        first: usize,
        to: &mut [T],
    ) {
        let (Some(i), Some(places)) = (last.of, &self.places) else {
            to.copy_from_slice(&lhs[from + first..from + first + to.len()]);
            return;
        };
        // The places that meet the input are `tap.w`, `tap.w + step`, …; those from `first` on count.
        let (tap, step) = (places.taps[elements[i]], places.window_step);
        let skipped = first.saturating_sub(tap.w).div_ceil(step).min(tap.count);
        let begin = tap.w + skipped * step;
        let count = (first + to.len()).saturating_sub(begin).div_ceil(step).min(tap.count - skipped);
        let from = from + tap.i + skipped * places.input_step;
        if count < to.len() {
            to.fill(T::ZERO);
        }
        if count == 0 {
            return;
        }
        let to = &mut to[begin - first..];
        if (step, places.input_step) == (1, 1) {
            to[..count].copy_from_slice(&lhs[from..from + count]);
            return;
        }
        let sources = lhs[from..].iter().step_by(places.input_step).take(count);
        to.iter_mut().step_by(step).zip(sources).for_each(|(to, &x)| *to = x);
    }
}
