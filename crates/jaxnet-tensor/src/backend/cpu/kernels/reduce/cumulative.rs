//! Cumulative reductions.

use super::super::parallel::{PARALLEL, in_parts};
use super::super::{Input, Output};
use super::combine::{Accumulate, Combine, LogSumExp, Max, Min, Prod, Sum};
use super::fold::{fold_matrix, fold_row};
use crate::dtype::{DType, Element};
use crate::primitive::CumulativeKind;

/// After how many steps a running value is added to that of all before: short chains of roundings
/// keep the error of a long sum small.
const STEPS: usize = 512;
/// The same for what blocks add up to.
const GROUP: usize = 16;
/// Into how many blocks, about, a long axis is split for threads.
const BLOCKS: usize = 64;

pub(super) fn run(kind: CumulativeKind, input: &Input<'_>, axis: usize, reverse: bool, output: &mut Output<'_>) {
    let shape = &input.aval.shape;
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product());
    macro_rules! scan {
        ($T:ident, $C:ident) => {
            scan::<$T, $C>(input.slice(), size, inner, reverse, output.slice())
        };
    }
    let dtype = input.aval.dtype;
    match kind {
        CumulativeKind::Sum => crate::with_dtype!(dtype, T => scan!(T, Sum)),
        CumulativeKind::Prod => crate::with_dtype!(dtype, T => scan!(T, Prod)),
        CumulativeKind::Max => crate::with_dtype!(dtype, T => scan!(T, Max)),
        CumulativeKind::Min => crate::with_dtype!(dtype, T => scan!(T, Min)),
        CumulativeKind::LogSumExp => match dtype {
            DType::BF16 => log_sum_exp::<half::bf16>(input, size, inner, reverse, output),
            DType::F16 => log_sum_exp::<half::f16>(input, size, inner, reverse, output),
            DType::F32 => log_sum_exp::<f32>(input, size, inner, reverse, output),
            DType::F64 => log_sum_exp::<f64>(input, size, inner, reverse, output),
            _ => unreachable!("inference refuses integers"),
        },
    }
}

fn log_sum_exp<T>(input: &Input<'_>, size: usize, inner: usize, reverse: bool, output: &mut Output<'_>)
where
    T: Accumulate + Element,
    LogSumExp: Combine<T::Wide>,
{
    scan::<T, LogSumExp>(input.slice(), size, inner, reverse, output.slice());
}

/// Along the middle axis of an array `[.., size, inner]`. Nothing is empty.
fn scan<T: Accumulate, C: Combine<T::Wide>>(x: &[T], size: usize, inner: usize, reverse: bool, out: &mut [T]) {
    let matrix = size * inner;
    in_parts(out, (PARALLEL / matrix).max(1) * matrix, &|first, part| {
        for (x, out) in x[first..].chunks(matrix).zip(part.chunks_mut(matrix)) {
            scan_matrix::<T, C>(x, inner, reverse, out);
        }
    });
}

/// Along the first axis of an array of rows of this width.
fn scan_matrix<T: Accumulate, C: Combine<T::Wide>>(x: &[T], width: usize, reverse: bool, out: &mut [T]) {
    let rows = x.len() / width;
    let block = (PARALLEL / 2 / width).max(rows.div_ceil(BLOCKS)).max(1) * width;
    if x.len() <= 2 * block {
        return scan_block::<T, C>(x, &vec![C::NEUTRAL; width], reverse, out);
    }
    // What each block adds up to; then what comes before each; then all blocks side by side.
    let blocks = x.len().div_ceil(block);
    let mut totals = vec![C::NEUTRAL; blocks * width];
    in_parts(&mut totals, width, &|start, total| {
        let first = start / width * block;
        let block = &x[first..x.len().min(first + block)];
        if width == 1 {
            total[0] = fold_row::<T, C>(block);
        } else {
            for (i, part) in total.chunks_mut(STEPS).enumerate() {
                fold_matrix::<T, C>(&block[i * STEPS..], block.len() / width, width, part);
            }
        }
    });
    let (mut base, mut group) = (vec![C::NEUTRAL; width], vec![C::NEUTRAL; width]);
    for step in 0..blocks {
        if step % GROUP == 0 {
            join_all::<_, C>(&mut base, &group);
            group.fill(C::NEUTRAL);
        }
        let block = if reverse { blocks - 1 - step } else { step };
        for ((total, group), base) in totals[block * width..].iter_mut().zip(&mut group).zip(&base) {
            (*total, *group) = (C::join(*base, *group), C::join(*group, *total));
        }
    }
    in_parts(out, block, &|first, part| {
        let before = &totals[first / block * width..][..width];
        scan_block::<T, C>(&x[first..first + part.len()], before, reverse, part);
    });
}

fn join_all<A: Copy, C: Combine<A>>(to: &mut [A], from: &[A]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = C::join(*to, *from);
    }
}

/// One thread's part, given what comes before it.
fn scan_block<T: Accumulate, C: Combine<T::Wide>>(x: &[T], before: &[T::Wide], reverse: bool, out: &mut [T]) {
    let width = before.len();
    // What the steps so far add up to, of the last few and of all; and the latter with what was before.
    let (mut running, mut so_far, mut base) = (vec![C::NEUTRAL; width], vec![C::NEUTRAL; width], before.to_vec());
    let mut steps = |(out, x): (&mut [T], &[T])| {
        running.fill(C::NEUTRAL);
        match (width, reverse) {
            (1, false) => running[0] = scan_row::<T, C>(x.iter().zip(out), base[0]),
            (1, true) => running[0] = scan_row::<T, C>(x.iter().zip(out).rev(), base[0]),
            _ => scan_rows::<T, C>(x, &base, &mut running, reverse, out),
        }
        join_all::<_, C>(&mut so_far, &running);
        for ((base, before), so_far) in base.iter_mut().zip(before).zip(&so_far) {
            *base = C::join(*before, *so_far);
        }
    };
    let parts = out.chunks_mut(STEPS * width).zip(x.chunks(STEPS * width));
    if reverse {
        parts.rev().for_each(&mut steps);
    } else {
        parts.for_each(&mut steps);
    }
}

/// Writes what is `before` joined with the elements so far, and returns what they add up to.
fn scan_row<'a, T: Accumulate, C: Combine<T::Wide>>(
    pairs: impl Iterator<Item = (&'a T, &'a mut T)>,
    before: T::Wide,
) -> T::Wide {
    let mut running = C::NEUTRAL;
    for (x, y) in pairs {
        running = C::join(running, x.widen());
        *y = T::narrow(C::join(before, running));
    }
    running
}

/// The same for whole rows.
fn scan_rows<T: Accumulate, C: Combine<T::Wide>>(
    x: &[T],
    before: &[T::Wide],
    running: &mut [T::Wide],
    reverse: bool,
    out: &mut [T],
) {
    let width = before.len();
    let mut step = |(x, y): (&[T], &mut [T])| {
        for (((x, y), before), running) in x.iter().zip(y).zip(before).zip(&mut *running) {
            *running = C::join(*running, x.widen());
            *y = T::narrow(C::join(*before, *running));
        }
    };
    let rows = x.chunks(width).zip(out.chunks_mut(width));
    if reverse {
        rows.rev().for_each(&mut step);
    } else {
        rows.for_each(&mut step);
    }
}
