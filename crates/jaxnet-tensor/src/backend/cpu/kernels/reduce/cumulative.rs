//! Cumulative reductions.

use rayon::prelude::*;

use super::super::shape::strided::PARALLEL;
use super::super::{Input, Output};
use super::combine::{Accumulate, Combine, LogSumExp, Max, Min, Prod, Sum};
use super::fold::{fold_matrix, fold_row, in_parts};
use crate::dtype::{DType, Element};
use crate::primitive::CumulativeKind;

/// After how many steps a running value is added to that of all before: short chains of roundings
/// keep the error of a long sum small.
const STEPS: usize = 512;

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
    in_parts(out, (PARALLEL / matrix).max(1) * matrix, |first, part| {
        for (x, out) in x[first..].chunks(matrix).zip(part.chunks_mut(matrix)) {
            scan_matrix::<T, C>(x, inner, reverse, out);
        }
    });
}

/// Along the first axis of an array of rows of this width.
fn scan_matrix<T: Accumulate, C: Combine<T::Wide>>(x: &[T], width: usize, reverse: bool, out: &mut [T]) {
    let block = (PARALLEL / 2 / width).max(1) * width;
    if x.len() <= 2 * block {
        return scan_block::<T, C>(x, &mut vec![C::NEUTRAL; width], reverse, out);
    }
    // What each block adds up to; then what comes before each; then all blocks side by side.
    let blocks = x.len().div_ceil(block);
    let mut totals = vec![C::NEUTRAL; blocks * width];
    totals.par_chunks_mut(width).zip(x.par_chunks(block)).for_each(|(total, block)| {
        if width == 1 {
            total[0] = fold_row::<T, C>(block);
        } else {
            for (i, part) in total.chunks_mut(STEPS).enumerate() {
                fold_matrix::<T, C>(&block[i * STEPS..], block.len() / width, width, part);
            }
        }
    });
    let mut before = vec![C::NEUTRAL; width];
    let in_order = |i: usize| if reverse { blocks - 1 - i } else { i };
    for i in (0..blocks).map(in_order) {
        for (total, before) in totals[i * width..].iter_mut().zip(&mut before) {
            (*total, *before) = (*before, C::join(*before, *total));
        }
    }
    out.par_chunks_mut(block)
        .zip(x.par_chunks(block))
        .zip(totals.par_chunks_mut(width))
        .for_each(|((out, x), before)| scan_block::<T, C>(x, before, reverse, out));
}

/// One thread's part, given what comes before it.
fn scan_block<T: Accumulate, C: Combine<T::Wide>>(x: &[T], before: &mut [T::Wide], reverse: bool, out: &mut [T]) {
    let width = before.len();
    let steps = out.chunks_mut(STEPS * width).zip(x.chunks(STEPS * width));
    let step = |out: &mut [T], x: &[T]| match (before.len(), reverse) {
        (1, false) => before[0] = scan_row::<T, C>(x.iter().zip(out), before[0]),
        (1, true) => before[0] = scan_row::<T, C>(x.iter().zip(out).rev(), before[0]),
        _ => scan_rows::<T, C>(x, before, reverse, out),
    };
    let mut step = step;
    if reverse {
        steps.rev().for_each(|(out, x)| step(out, x));
    } else {
        steps.for_each(|(out, x)| step(out, x));
    }
}

fn scan_row<'a, T: Accumulate, C: Combine<T::Wide>>(
    pairs: impl Iterator<Item = (&'a T, &'a mut T)>,
    before: T::Wide,
) -> T::Wide {
    let mut running = C::NEUTRAL;
    for (x, y) in pairs {
        running = C::join(running, x.widen());
        *y = T::narrow(C::join(before, running));
    }
    C::join(before, running)
}

fn scan_rows<T: Accumulate, C: Combine<T::Wide>>(x: &[T], before: &mut [T::Wide], reverse: bool, out: &mut [T]) {
    let width = before.len();
    let mut running = vec![C::NEUTRAL; width];
    let mut step = |(x, y): (&[T], &mut [T])| {
        for (((x, y), before), running) in x.iter().zip(y).zip(&*before).zip(&mut running) {
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
    for (before, running) in before.iter_mut().zip(running) {
        *before = C::join(*before, running);
    }
}
