//! Indices of greatest and least elements.

use super::super::parallel::{PARALLEL, in_parts};
use super::super::{Input, Output};
use super::combine::{Accumulate, Combine, Max, Min, Number};
use super::fold::fold_row;
use crate::dtype::Element;
use crate::primitive::ArgKind;

/// How many columns are worked on at once: enough to read long stretches of each row, few enough for
/// what is found to stay in the first cache.
const COLUMNS: usize = 2048;

pub(super) fn run(kind: ArgKind, input: &Input<'_>, axis: usize, output: &mut Output<'_>) {
    let shape = &input.aval.shape;
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product());
    // Found as numbers first, so that the loops are not compiled for each pair of dtypes.
    let mut places = vec![0; output.aval.size()];
    crate::with_dtype!(input.aval.dtype, T => match kind {
        ArgKind::Max => arg::<T, Max>(input.slice(), size, inner, &mut places),
        ArgKind::Min => arg::<T, Min>(input.slice(), size, inner, &mut places),
    });
    crate::with_dtype!(output.aval.dtype, I => {
        for (y, place) in output.slice().iter_mut().zip(places) {
            *y = I::from_i64(place as i64);
        }
    });
}

/// A [`Combine`] that takes one of the two.
trait Pick<A: Number>: Combine<A> {
    /// Whether `x` is to be taken though `best` came first.
    fn beats(x: A, best: A) -> bool;
}

impl<A: Number> Pick<A> for Max {
    #[inline(always)]
    fn beats(x: A, best: A) -> bool {
        (x > best) | (x.is_nan() & !best.is_nan())
    }
}

impl<A: Number> Pick<A> for Min {
    #[inline(always)]
    fn beats(x: A, best: A) -> bool {
        (x < best) | (x.is_nan() & !best.is_nan())
    }
}

/// The indices along the middle axis of an array `[.., size, inner]`. Nothing is empty.
fn arg<T: Accumulate, C: Pick<T::Wide>>(x: &[T], size: usize, inner: usize, out: &mut [usize]) {
    if inner == 1 {
        return in_parts(out, (PARALLEL / size).max(1), &|first, part| {
            for (y, row) in part.iter_mut().zip(x[first * size..].chunks(size)) {
                *y = arg_row::<T, C>(row);
            }
        });
    }
    in_parts(out, (PARALLEL / (size * inner)).max(1) * inner, &|first, part| {
        for (row, x) in part.chunks_mut(inner).zip(x[first * size..].chunks(size * inner)) {
            let at_once = if size * inner < PARALLEL { inner } else { COLUMNS };
            in_parts(row, at_once, &|column, part| arg_columns::<T, C>(&x[column..], size, inner, part));
        }
    });
}

/// Finding the value first and then its place is two fast loops.
fn arg_row<T: Accumulate, C: Pick<T::Wide>>(row: &[T]) -> usize {
    let best = fold_row::<T, C>(row);
    if best.is_nan() { first(row, |x| x.is_nan()) } else { first(row, |x| x == best) }
}

/// The first place of which this holds; there is one.
fn first<T: Accumulate>(row: &[T], holds: impl Fn(T::Wide) -> bool) -> usize {
    // Whole blocks at a time, which takes vector instructions and few branches.
    const BLOCK: usize = 64;
    let (blocks, _) = row.as_chunks::<BLOCK>();
    let without = |block: &&[T; BLOCK]| !block.iter().fold(false, |any, x| any | holds(x.widen()));
    let start = blocks.iter().take_while(without).count() * BLOCK;
    let place = row[start..].iter().position(|x| holds(x.widen()));
    start + place.expect("the extreme is one of the elements")
}

fn arg_columns<T: Accumulate, C: Pick<T::Wide>>(x: &[T], size: usize, stride: usize, out: &mut [usize]) {
    // Places as wide as most elements make for better vector code.
    let end = u32::try_from(size).expect("fewer than 2^32 rows to take an index from");
    for (i, part) in out.chunks_mut(COLUMNS).enumerate() {
        let width = part.len();
        let row = |index: usize| &x[index * stride + i * COLUMNS..][..width];
        let (mut best, mut place) = ([C::NEUTRAL; COLUMNS], [0_u32; COLUMNS]);
        for (best, x) in best.iter_mut().zip(row(0)) {
            *best = x.widen();
        }
        for index in 1..end {
            for ((x, best), place) in row(index as usize).iter().zip(&mut best).zip(&mut place) {
                let x = x.widen();
                let beats = C::beats(x, *best);
                *best = if beats { x } else { *best };
                *place = if beats { index } else { *place };
            }
        }
        for (y, place) in part.iter_mut().zip(place) {
            *y = place as usize;
        }
    }
}
