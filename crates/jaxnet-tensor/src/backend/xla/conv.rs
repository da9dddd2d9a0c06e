//! Convolutions.

use super::hlo::{Builder, Value};
use super::window::attribute;
use crate::aval::Aval;
use crate::primitive::ConvGeneralDilated;

pub(super) fn lower(b: &mut Builder<'_>, op: &ConvGeneralDilated, inputs: &[Value], output: &Aval) -> Value {
    if output.size() == 0 || inputs.iter().any(|input| input.shape.size() == 0) {
        // A sum of nothing.
        return b.zeros(output.dtype, &output.shape);
    }
    let kernel: Vec<usize> = op.dims.rhs_spatial.iter().map(|&axis| inputs[1].shape[axis]).collect();
    let mut attributes = String::new();
    if !kernel.is_empty() {
        attributes += &format!("window={}, ", attribute(&op.window(&kernel)));
    }
    attributes += &format!("dim_labels={}", op.dims);
    for (name, groups) in [("feature_group_count", op.feature_groups), ("batch_group_count", op.batch_groups)] {
        if groups != 1 {
            attributes += &format!(", {name}={groups}");
        }
    }
    b.op("convolution", output.dtype, &output.shape, &[&inputs[0], &inputs[1]], &attributes)
}
