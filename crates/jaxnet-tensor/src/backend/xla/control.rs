//! Operations that hold programs: these become computations beside the one that runs them.

use super::hlo::{Builder, Value};
use super::lower::{inline, missing};
use crate::aval::Aval;
use crate::backend::not_runnable;
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::Control;
use crate::program::Program;
use crate::shape::Shape;

pub(super) fn lower(b: &mut Builder<'_>, op: &Control, inputs: &[Value], _outputs: &[Aval]) -> Result<Vec<Value>> {
    match op {
        Control::Call { program, .. }
        | Control::Checkpoint { program }
        | Control::CustomJvp { body: program, .. }
        | Control::CustomVjp { body: program, .. }
        | Control::Composite { body: program, .. } => inline(b, program, inputs),
        Control::While { cond, body, cond_consts, body_consts } => {
            while_loop(b, cond, body, *cond_consts, *body_consts, inputs)
        }
        Control::StopGradient => Ok(inputs.to_vec()),
        Control::OptimizationBarrier => Ok(b.on_tuples("opt-barrier", &types(inputs), None, &[inputs], "")),
        Control::CustomLinear { .. } => Err(not_runnable()),
        Control::Cond { .. } | Control::Scan { .. } | Control::Debug(_) => Err(missing(op.name())),
    }
}

fn types(values: &[Value]) -> Vec<(DType, Shape)> {
    values.iter().map(|value| (value.dtype, value.shape.clone())).collect()
}

/// The state of the loop is a tuple of the constants and the carry.
fn while_loop(
    b: &mut Builder<'_>,
    cond: &Program,
    body: &Program,
    cond_consts: usize,
    body_consts: usize,
    inputs: &[Value],
) -> Result<Vec<Value>> {
    let state = types(inputs);
    let consts = cond_consts + body_consts;
    let arguments = |state: &[Value], own: std::ops::Range<usize>| [&state[own], &state[consts..]].concat();
    let condition =
        b.tuple_computation("condition", &state, true, |b, state| inline(b, cond, &arguments(state, 0..cond_consts)))?;
    let step = b.tuple_computation("body", &state, false, |b, state| {
        let carry = inline(b, body, &arguments(state, cond_consts..consts))?;
        Ok::<_, crate::Error>([&state[..consts], &carry].concat())
    })?;
    let attributes = format!("condition={condition}, body={step}");
    Ok(b.on_tuples("while", &state, None, &[inputs], &attributes).split_off(consts))
}
