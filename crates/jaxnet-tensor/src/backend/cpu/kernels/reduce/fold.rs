//! Reductions over whole axes, as loops over rows and columns.
//!
//! Neighbouring axes of one fate are merged, so that kept and reduced axes alternate. When the last
//! axis is reduced, rows of neighbours are folded to single numbers; when it is kept, rows are
//! combined elementwise.

use smallvec::SmallVec;

use super::super::parallel::{PARALLEL, in_parts, join_if};
use super::combine::{Accumulate, Combine};

/// How many axes, or parts of one, are combined one after the other before pairs are made.
const FEW: usize = 8;
/// How many elements of a row are combined in lanes before pairs are made.
const BLOCK: usize = 1024;
/// How many rows are combined one after the other, four at a time, before pairs are made.
const ROWS: usize = 64;
/// How many columns are worked on at once: accumulators that stay in the first cache.
const COLUMNS: usize = 2048;
/// So few columns are too few for vector instructions to be worth while row by row.
const NARROW: usize = 31;

#[derive(Clone, Copy, Debug)]
struct Axis {
    size: usize,
    stride: usize,
}

type Axes = SmallVec<[Axis; 4]>;

/// The kept and the reduced axes, merged, and whether the last of all is reduced.
fn split_axes(shape: &[usize], reduced: &[usize]) -> (Axes, Axes, bool) {
    let (mut kept, mut gone) = (Axes::new(), Axes::new());
    let (mut stride, mut previous) = (1, None);
    for axis in (0..shape.len()).rev().filter(|&axis| shape[axis] != 1) {
        let reduce = reduced.contains(&axis);
        let axes = if reduce { &mut gone } else { &mut kept };
        match axes.last_mut() {
            Some(last) if previous == Some(reduce) => last.size *= shape[axis],
            _ => axes.push(Axis { size: shape[axis], stride }),
        }
        stride *= shape[axis];
        previous = Some(reduce);
    }
    kept.reverse();
    gone.reverse();
    let last_reduced = gone.last().is_some_and(|axis| axis.stride == 1);
    (kept, gone, last_reduced)
}

/// Where the reduction for the output number `index` over these kept axes begins.
fn offset(mut index: usize, kept: &[Axis]) -> usize {
    let mut offset = 0;
    for axis in kept.iter().rev() {
        offset += index % axis.size * axis.stride;
        index /= axis.size;
    }
    offset
}

/// Combines the elements of `x`, an array of this shape, along the reduced axes. `out` is not empty.
pub(super) fn reduce<T: Accumulate, C: Combine<T::Wide>>(x: &[T], shape: &[usize], reduced: &[usize], out: &mut [T]) {
    if x.is_empty() {
        return out.fill(T::narrow(C::NEUTRAL));
    }
    let (kept, gone, last_reduced) = split_axes(shape, reduced);
    if gone.is_empty() {
        return out.copy_from_slice(x);
    }
    let each = x.len() / out.len();
    if last_reduced {
        let fill = |first: usize, part: &mut [T]| {
            if gone.len() == 1 && kept.len() <= 1 {
                // Rows one after the other, perhaps short ones.
                for (y, row) in part.iter_mut().zip(x[first * each..].chunks_exact(each)) {
                    *y = T::narrow(fold_row::<T, C>(row));
                }
                return;
            }
            for (i, y) in part.iter_mut().enumerate() {
                *y = T::narrow(fold::<T, C>(x, offset(first + i, &kept), gone[0].size, &gone));
            }
        };
        return in_parts(out, (PARALLEL / each).max(1), &fill);
    }
    let (columns, outer) = kept.split_last().expect("the last axis is kept");
    let width = columns.size;
    let fill = |first: usize, part: &mut [T]| {
        for (i, row) in part.chunks_mut(width).enumerate() {
            let offset = offset(first / width + i, outer);
            // Few columns are not split: then rows are, further down.
            let at_once = if width * each < PARALLEL { width } else { COLUMNS };
            in_parts(row, at_once, &|column, part| match part.len() {
                // Small sums are not worth clearing many accumulators for.
                0..=NARROW => fold_row_of_columns::<T, C, NARROW>(x, offset + column, &gone, width, part),
                _ => fold_row_of_columns::<T, C, COLUMNS>(x, offset + column, &gone, width, part),
            });
        }
    };
    in_parts(out, (PARALLEL / (each * width)).max(1) * width, &fill);
}

/// Joins the results of two functions, side by side if there is enough to do.
fn join<A: Copy + Send, C: Combine<A>>(parallel: bool, left: impl Fn() -> A + Sync, right: impl Fn() -> A + Sync) -> A {
    let (mut a, mut b) = (C::NEUTRAL, C::NEUTRAL);
    join_if(parallel, &mut || a = left(), &mut || b = right());
    C::join(a, b)
}

/// Combines everything along the axes, of which the last has stride 1 and the first counts to `count`.
fn fold<T: Accumulate, C: Combine<T::Wide>>(x: &[T], start: usize, count: usize, axes: &[Axis]) -> T::Wide {
    let (first, rest) = axes.split_first().expect("at least one axis");
    if rest.is_empty() {
        return fold_row::<T, C>(&x[start..start + count]);
    }
    if count <= FEW {
        let each = (0..count).map(|i| fold::<T, C>(x, start + i * first.stride, rest[0].size, rest));
        return each.reduce(C::join).unwrap_or(C::NEUTRAL);
    }
    let half = count / 2;
    let elements = count * rest.iter().map(|axis| axis.size).product::<usize>();
    join::<_, C>(
        elements >= PARALLEL,
        || fold::<T, C>(x, start, half, axes),
        || fold::<T, C>(x, start + half * first.stride, count - half, axes),
    )
}

/// Combines a row of neighbours.
pub(super) fn fold_row<T: Accumulate, C: Combine<T::Wide>>(row: &[T]) -> T::Wide {
    match row.len() {
        0..8 => row.iter().fold(C::NEUTRAL, |sum, x| C::join(sum, x.widen())),
        8..128 => fold_lanes::<T, C, 8>(row),
        128..=BLOCK => fold_lanes::<T, C, 32>(row),
        len => {
            let (left, right) = row.split_at((len / 2).next_multiple_of(BLOCK));
            join::<_, C>(len >= PARALLEL, || fold_row::<T, C>(left), || fold_row::<T, C>(right))
        }
    }
}

/// Combines a short row in `N` accumulators, which are vector registers.
fn fold_lanes<T: Accumulate, C: Combine<T::Wide>, const N: usize>(row: &[T]) -> T::Wide {
    let mut lanes = [C::NEUTRAL; N];
    let (chunks, rest) = row.as_chunks::<N>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = C::join(*lane, x.widen());
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = C::join(*lane, x.widen());
    }
    let mut width = N;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = C::join(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// Folds columns from `start` on, as many as `out` has, `N` at a time.
fn fold_row_of_columns<T: Accumulate, C: Combine<T::Wide>, const N: usize>(
    x: &[T],
    start: usize,
    axes: &[Axis],
    width: usize,
    out: &mut [T],
) {
    for (i, part) in out.chunks_mut(N).enumerate() {
        let mut sums = [C::NEUTRAL; N];
        let sums = &mut sums[..part.len()];
        match axes {
            // Rows that follow each other without a gap.
            [rows] if part.len() == width && width <= NARROW && rows.size >= 2 * FEW && rows.stride == width => {
                fold_narrow::<T, C>(&x[start..start + rows.size * width], sums);
            }
            _ => fold_columns::<T, C>(x, start + i * N, axes[0].size, axes, sums),
        }
        for (y, sum) in part.iter_mut().zip(sums) {
            *y = T::narrow(*sum);
        }
    }
}

/// Combines whole rows of as many columns as `sums` has, several rows being taken as one wide row.
fn fold_narrow<T: Accumulate, C: Combine<T::Wide>>(x: &[T], sums: &mut [T::Wide]) {
    let (width, rows) = (sums.len(), x.len() / sums.len());
    let mut group = (COLUMNS / 8 / width).min(rows);
    let mut wide = [C::NEUTRAL; COLUMNS / 8];
    let wide = &mut wide[..group * width];
    let axis = Axis { size: rows / group, stride: wide.len() };
    fold_columns::<T, C>(x, 0, axis.size, &[axis], wide);
    for (sum, x) in wide.iter_mut().zip(&x[axis.size * axis.stride..]) {
        *sum = C::join(*sum, x.widen());
    }
    while group > 1 {
        let half = group.div_ceil(2);
        let (left, right) = wide[..group * width].split_at_mut(half * width);
        for (a, b) in left.iter_mut().zip(right) {
            *a = C::join(*a, *b);
        }
        group = half;
    }
    sums.copy_from_slice(&wide[..width]);
}

/// Sets each of `sums` to the combination of a column along the axes, of which the first counts to
/// `count`. There are at most [`COLUMNS`].
pub(super) fn fold_matrix<T: Accumulate, C: Combine<T::Wide>>(
    x: &[T],
    rows: usize,
    stride: usize,
    sums: &mut [T::Wide],
) {
    fold_columns::<T, C>(x, 0, rows, &[Axis { size: rows, stride }], sums);
}

fn fold_columns<T: Accumulate, C: Combine<T::Wide>>(
    x: &[T],
    start: usize,
    count: usize,
    axes: &[Axis],
    sums: &mut [T::Wide],
) {
    let (first, rest) = axes.split_first().expect("at least one axis");
    if rest.is_empty() && count <= ROWS {
        return add_rows::<T, C>(&x[start..], count, first.stride, sums);
    }
    let mut other = [C::NEUTRAL; COLUMNS];
    let other = &mut other[..sums.len()];
    let add = |sums: &mut [T::Wide], other: &[T::Wide]| {
        for (sum, x) in sums.iter_mut().zip(other) {
            *sum = C::join(*sum, *x);
        }
    };
    if count <= FEW {
        sums.fill(C::NEUTRAL);
        for i in 0..count {
            fold_columns::<T, C>(x, start + i * first.stride, rest[0].size, rest, other);
            add(sums, other);
        }
        return;
    }
    let half = count / 2;
    let elements = count * rest.iter().map(|axis| axis.size).product::<usize>() * sums.len();
    let (left, right) = (start, start + half * first.stride);
    join_if(elements >= PARALLEL, &mut || fold_columns::<T, C>(x, left, half, axes, sums), &mut || {
        fold_columns::<T, C>(x, right, count - half, axes, other)
    });
    add(sums, other);
}

/// Sets `sums` to the combination of so many rows. Four rows at a time make for fewer passes over the
/// sums, and for shorter chains of roundings.
fn add_rows<T: Accumulate, C: Combine<T::Wide>>(x: &[T], count: usize, stride: usize, sums: &mut [T::Wide]) {
    let width = sums.len();
    let row = |i: usize| &x[i * stride..][..width];
    sums.fill(C::NEUTRAL);
    for i in (0..count / 4 * 4).step_by(4) {
        let (a, b, c, d) = (row(i), row(i + 1), row(i + 2), row(i + 3));
        for (i, sum) in sums.iter_mut().enumerate() {
            let left = C::join(a[i].widen(), b[i].widen());
            let right = C::join(c[i].widen(), d[i].widen());
            *sum = C::join(*sum, C::join(left, right));
        }
    }
    for i in count / 4 * 4..count {
        for (sum, x) in sums.iter_mut().zip(row(i)) {
            *sum = C::join(*sum, x.widen());
        }
    }
}
