//! Convolution.

mod direct;
mod geometry;
#[cfg(test)]
mod tests;

use super::numeric::{Number, with_number};
use super::{Input, Output};
use crate::primitive::ConvGeneralDilated;
use geometry::Geometry;

pub(super) fn run(op: &ConvGeneralDilated, inputs: &[Input<'_>], output: &mut Output<'_>) {
    let geometry = Geometry::new(op, &inputs[0].aval.shape, &inputs[1].aval.shape, &output.aval.shape);
    with_number!(output.aval.dtype, T => convolve::<T>(&geometry, inputs[0].slice(), inputs[1].slice(), output.slice()))
}

fn convolve<T: Number>(geometry: &Geometry, lhs: &[T], rhs: &[T], output: &mut [T]) {
    if output.is_empty() {
        return;
    }
    direct::convolve(geometry, lhs, rhs, output);
}
