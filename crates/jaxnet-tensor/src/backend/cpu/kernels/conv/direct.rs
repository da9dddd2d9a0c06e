//! The sum itself, for problems too small to be worth arranging for a matrix product.

use super::geometry::Geometry;
use crate::backend::cpu::kernels::numeric::Number;
use crate::backend::cpu::kernels::taps::{AxisTaps, Tap};

/// One spatial axis at one place of the kernel.
struct Step<'a> {
    tap: Tap,
    taps: &'a AxisTaps,
    lhs: usize,
    rhs: usize,
}

pub(super) fn convolve<T: Number<Sum = T>>(geometry: &Geometry, lhs: &[T], rhs: &[T], output: &mut [T]) {
    let taps: Vec<AxisTaps> = geometry.axes.iter().map(|axis| axis.taps()).collect();
    for place in 0..geometry.places() {
        let mut rest = place;
        let mut to = 0;
        let mut steps = Vec::with_capacity(taps.len());
        for (i, taps) in taps.iter().enumerate().rev() {
            let o = rest % taps.taps.len();
            rest /= taps.taps.len();
            to += o * geometry.out.spatial[i];
            steps.push(Step { tap: taps.taps[o], taps, lhs: geometry.lhs.spatial[i], rhs: geometry.rhs.spatial[i] });
        }
        for group in 0..geometry.groups {
            for example in 0..geometry.batch {
                for feature in 0..geometry.outputs {
                    let mut sum = T::ZERO;
                    for input in 0..geometry.inputs {
                        let from =
                            group * geometry.lhs.group + example * geometry.lhs.outer + input * geometry.lhs.inner;
                        let with =
                            group * geometry.rhs.group + feature * geometry.rhs.outer + input * geometry.rhs.inner;
                        add_products(&steps, lhs, from, rhs, with, &mut sum);
                    }
                    let to =
                        to + group * geometry.out.group + example * geometry.out.outer + feature * geometry.out.inner;
                    output[to] = sum;
                }
            }
        }
    }
}

/// Adds the products of the kernel's elements, along these axes, with what they lie on.
fn add_products<T: Number<Sum = T>>(steps: &[Step<'_>], lhs: &[T], from: usize, rhs: &[T], with: usize, sum: &mut T) {
    let Some((step, steps)) = steps.split_last() else {
        *sum = sum.add(lhs[from].mul(rhs[with]));
        return;
    };
    for t in 0..step.tap.count {
        let (i, w) = (step.tap.i + t * step.taps.input_step, step.tap.w + t * step.taps.window_step);
        add_products(steps, lhs, from + i * step.lhs, rhs, with + w * step.rhs, sum);
    }
}
