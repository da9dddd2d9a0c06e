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

/// Elements at equal distances in the input that go to equal distances in a row, as far as that is
/// about one axis of columns.
#[derive(Clone, Copy)]
struct Run {
    to: usize,
    to_step: usize,
    from: usize,
    from_step: usize,
    count: usize,
}

impl Run {
    /// What of it is within a part of the axis, counted from that part's start.
    fn within(self, part: &Range<usize>) -> Run {
        let skipped = part.start.saturating_sub(self.to).div_ceil(self.to_step).min(self.count);
        let to = self.to + skipped * self.to_step;
        let count = part.end.saturating_sub(to).div_ceil(self.to_step).min(self.count - skipped);
        Run { to: to.saturating_sub(part.start), from: self.from + skipped * self.from_step, count, ..self }
    }

    /// Copies the elements, starting from these places.
    #[inline]
    fn copy<T: Copy>(self, lhs: &[T], from: usize, block: &mut [T], to: usize) {
        if self.count == 0 {
            return;
        }
        if (self.to_step, self.from_step) == (1, 1) {
            block[to..to + self.count].copy_from_slice(&lhs[from..from + self.count]);
            return;
        }
        let sources = lhs[from..].iter().step_by(self.from_step).take(self.count);
        block[to..].iter_mut().step_by(self.to_step).zip(sources).for_each(|(to, &x)| *to = x);
    }
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
    /// When writing rows: whether the last two axes of columns make up runs of neighbours.
    merged: bool,
    /// For kernels of one element: how many rows follow each other in the input at equal distances, and
    /// that distance.
    in_place: Option<(usize, usize)>,
}

/// Whether the input's memory is followed along the innermost axis of rows rather than along columns.
fn follows_rows(geometry: &Geometry, last: &RowAxis) -> bool {
    if geometry.lhs.inner == 1 && geometry.inputs > 1 {
        return false;
    }
    match last.of {
        None => geometry.lhs.outer == 1 && geometry.batch > 1,
        // Both do, so what matters is which way is longer.
        Some(i) => geometry.lhs.spatial[i] == 1 && geometry.axes[i].output >= geometry.axes[i].window,
    }
}

/// The order of the columns.
fn column_order(geometry: &Geometry, by_columns: bool) -> Vec<ColumnAxis> {
    let spatial = (0..geometry.axes.len()).map(|i| ColumnAxis {
        of: Some(i),
        size: geometry.axes[i].window,
        rhs: geometry.rhs.spatial[i],
    });
    let features = ColumnAxis { of: None, size: geometry.inputs, rhs: geometry.rhs.inner };
    let mut columns: Vec<ColumnAxis> = spatial.chain([features]).collect();
    // Any order is right; in this one the kernel is mostly a matrix as it is.
    columns.sort_by_key(|axis| std::cmp::Reverse(axis.rhs));
    if !by_columns {
        // Rows follow the input's memory: its neighbours last.
        let distance = |axis: &ColumnAxis| axis.of.map_or(geometry.lhs.inner, |i| geometry.lhs.spatial[i]);
        let nearest = columns.iter().filter(|axis| axis.size > 1).map(distance).min();
        if let Some(at) = columns.iter().position(|axis| axis.size > 1 && Some(distance(axis)) == nearest) {
            let axis = columns.remove(at);
            columns.push(axis);
        }
    }
    columns
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
        let taps: Vec<AxisTaps> = geometry.axes.iter().map(|axis| axis.taps()).collect();
        let last = *rows.last().expect("at least the axis of examples");
        let by_columns = follows_rows(geometry, &last);
        let columns = column_order(geometry, by_columns);
        let places = last.of.filter(|_| by_columns).map(|i| geometry.axes[i].exchanged().taps());
        let merged = match columns[..] {
            [.., ColumnAxis { of: Some(i), .. }, ColumnAxis { of: None, .. }] => {
                geometry.lhs.inner == 1
                    && geometry.lhs.spatial[i] == geometry.inputs
                    && (taps[i].window_step, taps[i].input_step) == (1, 1)
            }
            _ => false,
        };
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

    /// Blocks must begin and end at multiples of this many columns.
    pub fn unit(&self) -> usize {
        if self.by_columns { 1 } else { self.columns[1..].iter().map(|axis| axis.size).product() }
    }

    /// Writes a block for a group, with rows one after the other or columns one after the other.
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
        // The part of the outermost axis of columns that is wanted.
        let unit = self.unit();
        let outermost = columns.start / unit..columns.end / unit;
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
            let first = self.run(&taps, 0).within(&outermost);
            self.write_row(lhs, &taps, 0, first, from, 0, block);
        }
    }

    /// What a row has along an axis of columns.
    #[inline]
    fn run(&self, taps: &[Tap], axis: usize) -> Run {
        match self.columns[axis].of {
            None => Run { to: 0, to_step: 1, from: 0, from_step: self.geometry.lhs.inner, count: self.geometry.inputs },
            Some(i) => {
                let (tap, distance) = (taps[i], self.geometry.lhs.spatial[i]);
                Run {
                    to: tap.w,
                    to_step: self.taps[i].window_step,
                    from: tap.i * distance,
                    from_step: self.taps[i].input_step * distance,
                    count: tap.count,
                }
            }
        }
    }

    /// The part of a row from an axis of columns on, of which `run` is what there is, the axes before
    /// it being at `to` in the block and at `from` in the input.
    #[expect(clippy::too_many_arguments, reason = "a recursion over axes")]
    fn write_row<T: Number>(
        &self,
        lhs: &[T],
        taps: &[Tap],
        axis: usize,
        run: Run,
        from: usize,
        to: usize,
        block: &mut [T],
    ) {
        let (mut to, mut from) = (to + run.to, from + run.from);
        if axis + 1 == self.columns.len() {
            return run.copy(lhs, from, block, to);
        }
        if axis + 2 == self.columns.len() && self.merged {
            let (features, count) = (self.geometry.inputs, run.count * self.geometry.inputs);
            block[to * features..to * features + count].copy_from_slice(&lhs[from..from + count]);
            return;
        }
        let inner = self.run(taps, axis + 1);
        for _ in 0..run.count {
            self.write_row(lhs, taps, axis + 1, inner, from, to * self.columns[axis + 1].size, block);
            to += run.to_step;
            from += run.from_step;
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
        // The places that meet the input are like the elements of the kernel that do.
        let (tap, distance) = (places.taps[elements[i]], places.input_step);
        let run = Run { to: tap.w, to_step: places.window_step, from: tap.i, from_step: distance, count: tap.count };
        let run = run.within(&(first..first + to.len()));
        if run.count < to.len() {
            to.fill(T::ZERO);
        }
        run.copy(lhs, from + run.from, to, run.to);
    }
}
