//! Loops over runs of elements, compiled for each instruction set.

use crate::backend::cpu::math::{Isa, Kernel, Level, dispatch};
use crate::dtype::Element;

/// An operand: a run of elements, or one that stands for all.
#[derive(Clone, Copy)]
pub(super) enum Arg<'a, T> {
    Slice(&'a [T]),
    Scalar(T),
}

/// Scalars are spread over a block of this size, so that there is one inner loop for every mixture of
/// scalars and runs.
const BLOCK: usize = 256;

impl<'a, T: Element> Arg<'a, T> {
    /// A scalar spread over `block`, as far as `len` elements need it.
    fn spread(&self, block: &mut [T; BLOCK], len: usize) {
        if let Arg::Scalar(x) = self {
            block[..len.min(BLOCK)].fill(*x);
        }
    }

    /// The elements `start..start + len`, at most a block of them.
    #[inline(always)]
    fn at<'b>(&self, block: &'b [T; BLOCK], start: usize, len: usize) -> &'b [T]
    where
        'a: 'b,
    {
        match self {
            Arg::Slice(slice) => &slice[start..start + len],
            Arg::Scalar(_) => &block[..len],
        }
    }
}

/// `out[i] = f(x[i])`.
pub(super) fn map1<A: Element, O: Element>(x: Arg<'_, A>, out: &mut [O], f: impl Fn(A) -> O) {
    struct Map1<'a, A, O, F>(&'a [A], &'a mut [O], F);
    impl<A: Element, O: Element, F: Fn(A) -> O> Kernel for Map1<'_, A, O, F> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self) {
            for (out, &x) in self.1.iter_mut().zip(self.0) {
                *out = (self.2)(x);
            }
        }
    }
    match x {
        Arg::Scalar(x) => out.fill(f(x)),
        Arg::Slice(x) => dispatch(Level::best(), Map1(x, out, f)),
    }
}

/// `out[i] = f(x[i], y[i])`.
pub(super) fn map2<A: Element, B: Element, O: Element>(
    x: Arg<'_, A>,
    y: Arg<'_, B>,
    out: &mut [O],
    f: impl Fn(A, B) -> O,
) {
    struct Map2<'a, A, B, O, F>(Arg<'a, A>, Arg<'a, B>, &'a mut [O], F);
    impl<A: Element, B: Element, O: Element, F: Fn(A, B) -> O> Kernel for Map2<'_, A, B, O, F> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self) {
            let Self(x, y, out, f) = self;
            let (mut x_block, mut y_block) = ([A::default(); BLOCK], [B::default(); BLOCK]);
            x.spread(&mut x_block, out.len());
            y.spread(&mut y_block, out.len());
            for (i, out) in out.chunks_mut(BLOCK).enumerate() {
                let (start, len) = (i * BLOCK, out.len());
                let operands = x.at(&x_block, start, len).iter().zip(y.at(&y_block, start, len));
                for (out, (&x, &y)) in out.iter_mut().zip(operands) {
                    *out = f(x, y);
                }
            }
        }
    }
    if let (Arg::Scalar(x), Arg::Scalar(y)) = (x, y) {
        return out.fill(f(x, y));
    }
    dispatch(Level::best(), Map2(x, y, out, f));
}

/// `out[i] = f(x[i], y[i], z[i])`.
pub(super) fn map3<A: Element, B: Element, C: Element, O: Element>(
    x: Arg<'_, A>,
    y: Arg<'_, B>,
    z: Arg<'_, C>,
    out: &mut [O],
    f: impl Fn(A, B, C) -> O,
) {
    struct Map3<'a, A, B, C, O, F>(Arg<'a, A>, Arg<'a, B>, Arg<'a, C>, &'a mut [O], F);
    impl<A: Element, B: Element, C: Element, O: Element, F: Fn(A, B, C) -> O> Kernel for Map3<'_, A, B, C, O, F> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self) {
            let Self(x, y, z, out, f) = self;
            let (mut x_block, mut y_block) = ([A::default(); BLOCK], [B::default(); BLOCK]);
            let mut z_block = [C::default(); BLOCK];
            x.spread(&mut x_block, out.len());
            y.spread(&mut y_block, out.len());
            z.spread(&mut z_block, out.len());
            for (i, out) in out.chunks_mut(BLOCK).enumerate() {
                let (start, len) = (i * BLOCK, out.len());
                let operands = x.at(&x_block, start, len).iter().zip(y.at(&y_block, start, len));
                let operands = operands.zip(z.at(&z_block, start, len));
                for (out, ((&x, &y), &z)) in out.iter_mut().zip(operands) {
                    *out = f(x, y, z);
                }
            }
        }
    }
    dispatch(Level::best(), Map3(x, y, z, out, f));
}

/// `out` filled by copying, for functions that work in place afterwards.
pub(super) fn copy<T: Element>(x: Arg<'_, T>, out: &mut [T]) {
    match x {
        Arg::Slice(x) => out.copy_from_slice(x),
        Arg::Scalar(x) => out.fill(x),
    }
}

/// An operand as a run of at least `len` elements, spread into `room` where it is a scalar.
pub(super) fn as_slice<'a, T: Element>(x: Arg<'a, T>, room: &'a mut Vec<T>, len: usize) -> &'a [T] {
    match x {
        Arg::Slice(x) => x,
        Arg::Scalar(x) => {
            room.resize(len, x);
            room
        }
    }
}
