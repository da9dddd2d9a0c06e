//! Sliding windows.

mod sliding;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::numeric::{Number, with_number};
use super::{Input, Output};
use crate::backend::cpu::math::{Level, vectorize};
use crate::primitive::{SelectKind, Window, WindowKind};
use sliding::Sliding;

pub(super) fn run(op: &Window, inputs: &[Input<'_>], output: &mut Output<'_>) {
    with_number!(inputs[0].aval.dtype, T => match op {
        Window::ReduceWindow { kind, window } => {
            let sliding = Sliding::new(window, &inputs[0].aval.shape, &output.aval.shape);
            let (input, output) = (inputs[0].slice::<T>(), output.slice::<T>());
            match kind {
                WindowKind::Sum => reduce::<T>(&sliding, Number::ZERO, Number::add, input, output),
                WindowKind::Max => reduce::<T>(&sliding, Number::LEAST, Number::max, input, output),
                WindowKind::Min => reduce::<T>(&sliding, Number::GREATEST, Number::min, input, output),
            }
        }
        Window::SelectAndScatterAdd { select, window } => {
            let sliding = Sliding::new(window, &inputs[1].aval.shape, &inputs[0].aval.shape);
            let (source, operand) = (inputs[0].slice::<T>(), inputs[1].slice::<T>());
            match select {
                SelectKind::Max => select_and_scatter(&sliding, greater, source, operand, output.slice()),
                SelectKind::Min => select_and_scatter(&sliding, less, source, operand, output.slice()),
            }
        }
        Window::SelectAndGatherAdd { select, window } => {
            let sliding = Sliding::new(window, &inputs[1].aval.shape, &output.aval.shape);
            let (tangent, operand) = (inputs[0].slice::<T>(), inputs[1].slice::<T>());
            match select {
                SelectKind::Max => select_and_gather(&sliding, greater, tangent, operand, output.slice()),
                SelectKind::Min => select_and_gather(&sliding, less, tangent, operand, output.slice()),
            }
        }
    })
}

/// How many steps make a task worth handing to another thread.
const TASK: usize = 1 << 15;

fn reduce<T: Number>(
    sliding: &Sliding,
    neutral: T::Sum,
    combine: impl Fn(T::Sum, T::Sum) -> T::Sum + Sync,
    input: &[T],
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    let row = |sums: &mut Vec<T::Sum>, (row, output): (usize, &mut [T])| {
        sums.clear();
        sums.resize(output.len(), neutral);
        let sums = &mut sums[..];
        vectorize(
            Level::best(),
            #[inline(always)]
            || {
                sliding.for_each_run(
                    row,
                    #[inline(always)]
                    |to, from, length| {
                        if length == 1 {
                            // Told apart because the loop below costs more to set up than this does in all.
                            sums[to] = combine(sums[to], input[from].widen());
                            return;
                        }
                        for (sum, &x) in sums[to..to + length].iter_mut().zip(&input[from..from + length]) {
                            *sum = combine(*sum, x.widen());
                        }
                    },
                );
                for (to, &sum) in output.iter_mut().zip(sums.iter()) {
                    *to = T::narrow(sum);
                }
            },
        );
    };
    let length = sliding.row_length();
    let rows = output.par_chunks_mut(length).with_min_len(TASK.div_ceil(length * sliding.window_size()));
    rows.enumerate().for_each_init(Vec::new, row);
}

/// Whether `x` takes the place of `best`, NaN being the greatest.
#[inline(always)]
fn greater<T: Number>(x: T, best: T) -> bool {
    (x > best) | (x.is_nan() & !best.is_nan())
}

/// Whether `x` takes the place of `best`, NaN being the least.
#[inline(always)]
fn less<T: Number>(x: T, best: T) -> bool {
    (x < best) | (x.is_nan() & !best.is_nan())
}

/// Marks a window that has nothing but padding.
const NOWHERE: usize = usize::MAX;

/// The places in the operand that are selected by the windows of a row.
struct Selected<T> {
    best: Vec<T>,
    places: Vec<usize>,
}

impl<T: Number> Selected<T> {
    fn new() -> Self {
        Selected { best: Vec::new(), places: Vec::new() }
    }

    fn select(&mut self, sliding: &Sliding, row: usize, beats: impl Fn(T, T) -> bool, operand: &[T]) -> &[usize] {
        self.best.clear();
        self.best.resize(sliding.row_length(), T::ZERO);
        self.places.clear();
        self.places.resize(sliding.row_length(), NOWHERE);
        let (best, places) = (&mut self.best[..], &mut self.places[..]);
        vectorize(
            Level::best(),
            #[inline(always)]
            || {
                sliding.for_each_run(
                    row,
                    #[inline(always)]
                    |to, from, length| {
                        let found = best[to..to + length].iter_mut().zip(&mut places[to..to + length]);
                        for (i, ((best, place), &x)) in found.zip(&operand[from..from + length]).enumerate() {
                            let wins = beats(x, *best) | (*place == NOWHERE);
                            *best = if wins { x } else { *best };
                            *place = if wins { from + i } else { *place };
                        }
                    },
                )
            },
        );
        &self.places
    }
}

fn select_and_scatter<T: Number>(
    sliding: &Sliding,
    beats: impl Fn(T, T) -> bool + Sync,
    source: &[T],
    operand: &[T],
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    // Windows overlap, so that only examples of the batch are independent of each other.
    let batch = sliding.batch();
    let (rows, part) = (sliding.rows() / batch, output.len() / batch);
    let length = sliding.row_length();
    let example = |(selected, sums): &mut (Selected<T>, Vec<T::Sum>), (example, output): (usize, &mut [T])| {
        sums.clear();
        sums.resize(part, <T::Sum as Number>::ZERO);
        for row in example * rows..(example + 1) * rows {
            let places = selected.select(sliding, row, &beats, operand);
            for (&place, &x) in places.iter().zip(&source[row * length..(row + 1) * length]) {
                if place != NOWHERE {
                    let sum = &mut sums[place - example * part];
                    *sum = sum.add(x.widen());
                }
            }
        }
        for (to, &sum) in output.iter_mut().zip(sums.iter()) {
            *to = T::narrow(sum);
        }
    };
    let examples = output.par_chunks_mut(part).with_min_len(TASK.div_ceil(part));
    examples.enumerate().for_each_init(|| (Selected::new(), Vec::new()), example);
}

fn select_and_gather<T: Number>(
    sliding: &Sliding,
    beats: impl Fn(T, T) -> bool + Sync,
    tangent: &[T],
    operand: &[T],
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    let row = |selected: &mut Selected<T>, (row, output): (usize, &mut [T])| {
        let places = selected.select(sliding, row, &beats, operand);
        for (to, &place) in output.iter_mut().zip(places) {
            *to = if place == NOWHERE { T::ZERO } else { tangent[place] };
        }
    };
    let length = sliding.row_length();
    let rows = output.par_chunks_mut(length).with_min_len(TASK.div_ceil(length * sliding.window_size()));
    rows.enumerate().for_each_init(Selected::new, row);
}
