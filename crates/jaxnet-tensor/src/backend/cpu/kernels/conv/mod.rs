//! Convolution.
//!
//! Large ones become matrix products of patches of the input with the kernel ([`matrix`]), those whose
//! groups have one feature are computed for many groups at once ([`depthwise`]), and small ones by the
//! plain sum ([`direct`]). Inputs with holes are split up first ([`phases`]).

mod depthwise;
mod direct;
mod geometry;
mod matrix;
mod patches;
mod phases;
#[cfg(test)]
mod tests;

use half::{bf16, f16};

use super::numeric::Number;
use super::{Input, Output};
use crate::backend::cpu::gemm::GemmElement;
use crate::dtype::DType;
use crate::primitive::ConvGeneralDilated;
use geometry::Geometry;

pub(super) fn run(op: &ConvGeneralDilated, inputs: &[Input<'_>], output: &mut Output<'_>) {
    let geometry = Geometry::new(op, &inputs[0].aval.shape, &inputs[1].aval.shape, &output.aval.shape);
    let (lhs, rhs) = (&inputs[0], &inputs[1]);
    match output.aval.dtype {
        DType::U8 => convolve::<u8>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::U32 => convolve::<u32>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::I32 => convolve::<i32>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::I64 => convolve::<i64>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::F32 => convolve::<f32>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::F64 => convolve::<f64>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::F16 => convolve_half::<f16>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::BF16 => convolve_half::<bf16>(&geometry, lhs.slice(), rhs.slice(), output.slice()),
        DType::Bool => unreachable!("inference refuses booleans"),
    }
}

/// Below this many multiplications, arranging for a matrix product costs more than it saves.
const SMALL: usize = 1 << 11;

fn convolve<T: Number<Sum = T> + GemmElement>(geometry: &Geometry, lhs: &[T], rhs: &[T], output: &mut [T]) {
    let terms = geometry.kernel() * geometry.inputs;
    if output.is_empty() {
    } else if terms == 0 || lhs.is_empty() {
        output.fill(T::ZERO);
    } else if output.len().saturating_mul(terms) < SMALL {
        direct::convolve(geometry, lhs, rhs, output);
    } else if phases::applies(geometry) {
        phases::convolve(geometry, lhs, rhs, output, convolve);
    } else if depthwise::applies(geometry) {
        depthwise::convolve(geometry, lhs, rhs, output);
    } else {
        matrix::convolve(geometry, lhs, rhs, output);
    }
}

/// In f32, rounded once.
fn convolve_half<T: Number<Sum = f32>>(geometry: &Geometry, lhs: &[T], rhs: &[T], output: &mut [T]) {
    let widened = |elements: &[T]| elements.iter().map(|x| x.widen()).collect::<Vec<f32>>();
    let mut sums = vec![0.0; output.len()];
    convolve(geometry, &widened(lhs), &widened(rhs), &mut sums);
    for (to, &sum) in output.iter_mut().zip(&sums) {
        *to = T::narrow(sum);
    }
}
