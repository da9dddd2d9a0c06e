//! Padding.

use smallvec::SmallVec;

use super::super::parallel::{PARALLEL, join};
use super::strided::copy_run;
use crate::shape::Shape;

/// An axis and its padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct PadAxis {
    /// Its size in the operand.
    size: usize,
    /// How far apart its elements are in the operand.
    stride: usize,
    /// Its size in the result.
    out: usize,
    /// The place in the result of the operand's first element; it may be outside.
    low: i64,
    /// How far apart the operand's elements are in the result.
    step: usize,
}

impl PadAxis {
    /// Which of the operand's indices the result has: the first, and how many; and where the first is.
    fn kept(&self) -> (usize, usize, usize) {
        let first = (-self.low).max(0).unsigned_abs() as usize;
        let first = first.div_ceil(self.step);
        let room = self.out as i64 - self.low;
        let end = if room <= 0 { 0 } else { (room as usize).div_ceil(self.step).min(self.size) };
        let place = self.low + (first * self.step) as i64;
        // With none left the place is of no account, but it must not be outside.
        if end <= first { (0, 0, 0) } else { (first, end - first, place as usize) }
    }
}

/// The axes of a padding, the fewest that give the same result.
pub(super) fn axes(from: &Shape, low: &[i64], interior: &[usize], to: &Shape) -> SmallVec<[PadAxis; 6]> {
    let mut axes: SmallVec<[PadAxis; 6]> = SmallVec::new();
    for (axis, &stride) in from.strides().iter().enumerate() {
        let this = PadAxis { size: from[axis], stride, out: to[axis], low: low[axis], step: interior[axis] + 1 };
        let untouched = this.low == 0 && this.out == this.size && this.step == 1;
        match axes.last_mut() {
            // Rows that are copied whole are one long row of their neighbours.
            Some(last) if untouched && last.step == 1 => {
                last.size *= this.size;
                last.stride = stride;
                last.out *= this.size;
                last.low *= this.size as i64;
            }
            _ => axes.push(this),
        }
    }
    axes
}

/// Fills `dst`, which is not empty, with the operand's elements at their places and `value` elsewhere.
pub(super) fn pad<W: Copy + Send + Sync>(src: &[W], axes: &[PadAxis], value: W, dst: &mut [W]) {
    let [first, rest @ ..] = axes else {
        dst[0] = src[0];
        return;
    };
    if dst.len() < PARALLEL || first.out == 1 {
        return block(src, 0, axes, value, dst);
    }
    // Halves of the result are paddings themselves, the right one with less in front.
    let half = first.out / 2;
    let (left, right) = dst.split_at_mut(dst.len() / first.out * half);
    let part = |axis: PadAxis| -> SmallVec<[PadAxis; 6]> { [axis].iter().chain(rest).copied().collect() };
    join(&mut || pad(src, &part(PadAxis { out: half, ..*first }), value, left), &mut || {
        pad(src, &part(PadAxis { out: first.out - half, low: first.low - half as i64, ..*first }), value, right)
    });
}

fn block<W: Copy>(src: &[W], offset: usize, axes: &[PadAxis], value: W, dst: &mut [W]) {
    let [axis, rest @ ..] = axes else {
        dst[0] = src[offset];
        return;
    };
    let (first, count, place) = axis.kept();
    let offset = offset + first * axis.stride;
    if rest.is_empty() && axis.step == 1 {
        dst[..place].fill(value);
        if count > 0 {
            copy_run(&mut dst[place..place + count], &src[offset..offset + count]);
        }
        dst[place + count..].fill(value);
        return;
    }
    let step = dst.len() / axis.out;
    let mut done = 0;
    for i in 0..count {
        let at = (place + i * axis.step) * step;
        dst[done..at].fill(value);
        done = at + step;
        block(src, offset + i * axis.stride, rest, value, &mut dst[at..done]);
    }
    dst[done..].fill(value);
}
