//! Generalized matrix products.

use super::hlo::{Builder, Value, braces};
use crate::aval::Aval;
use crate::primitive::DotGeneral;

pub(super) fn lower(b: &mut Builder<'_>, op: &DotGeneral, inputs: &[Value], output: &Aval) -> Value {
    let mut attributes = String::new();
    if !op.lhs_batch.is_empty() {
        attributes += &format!("lhs_batch_dims={}, rhs_batch_dims={}, ", braces(&op.lhs_batch), braces(&op.rhs_batch));
    }
    attributes += &format!(
        "lhs_contracting_dims={}, rhs_contracting_dims={}",
        braces(&op.lhs_contracting),
        braces(&op.rhs_contracting)
    );
    b.op("dot", output.dtype, &output.shape, &[&inputs[0], &inputs[1]], &attributes)
}
