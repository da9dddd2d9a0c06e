//! Operations that hold programs: these become computations beside the one that runs them.

use super::hlo::{Builder, Value};
use super::index::{dynamic_slice, dynamic_update_slice};
use super::lower::inline;
use crate::aval::Aval;
use crate::backend::not_runnable;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::primitive::Control;
use crate::program::Program;
use crate::shape::Shape;

pub(super) fn lower(b: &mut Builder<'_>, op: &Control, inputs: &[Value], outputs: &[Aval]) -> Result<Vec<Value>> {
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
        Control::Cond { branches } => cond(b, branches, &inputs[0], &inputs[1..], outputs),
        Control::Scan { body, length, reverse, consts, carry } => {
            scan(b, body, *length, *reverse, *consts, *carry, inputs, outputs)
        }
        // Programs with these are run equation by equation.
        Control::Debug(_) => Err(Error::invalid(op.name(), "happens on the host, and so is in no HLO module")),
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
    if inputs.len() == cond_consts + body_consts {
        return Ok(Vec::new());
    }
    let state = types(inputs);
    let consts = cond_consts + body_consts;
    let arguments = |state: &[Value], own: std::ops::Range<usize>| [&state[own], &state[consts..]].concat();
    let condition =
        b.tuple_computation("condition", &state, true, |b, state| inline(b, cond, &arguments(state, 0..cond_consts)))?;
    let step = b.tuple_computation("body", &state, false, |b, state| {
        let carry = inline(b, body, &arguments(state, cond_consts..consts))?;
        Ok::<_, Error>([&state[..consts], &carry].concat())
    })?;
    let attributes = format!("condition={condition}, body={step}");
    Ok(b.on_tuples("while", &state, None, &[inputs], &attributes).split_off(consts))
}

fn cond(
    b: &mut Builder<'_>,
    branches: &[Program],
    index: &Value,
    operands: &[Value],
    outputs: &[Aval],
) -> Result<Vec<Value>> {
    if let [only] = branches {
        return inline(b, only, operands);
    }
    if outputs.is_empty() {
        return Ok(Vec::new());
    }
    let (least, greatest) = (b.scalar(DType::I32, 0_i64), b.scalar(DType::I32, branches.len() as i64 - 1));
    let index = b.op("clamp", DType::I32, &Shape::scalar(), &[&least, index, &greatest], "");
    let parameters = types(operands);
    let computations = branches
        .iter()
        .map(|branch| b.tuple_computation("branch", &parameters, false, |b, operands| inline(b, branch, operands)))
        .collect::<Result<Vec<_>>>()?;
    let results: Vec<_> = outputs.iter().map(|aval| (aval.dtype, aval.shape.clone())).collect();
    let attributes = format!("branch_computations={{{}}}", computations.join(", "));
    Ok(b.on_tuples("conditional", &results, Some(&index), &vec![operands; branches.len()], &attributes))
}

/// The state of the loop is a tuple of a counter, all operands, and the results that are being stacked.
#[allow(clippy::too_many_arguments)] // the parameters of a scan, which have no type of their own
fn scan(
    b: &mut Builder<'_>,
    body: &Program,
    length: usize,
    reverse: bool,
    consts: usize,
    carry: usize,
    inputs: &[Value],
    outputs: &[Aval],
) -> Result<Vec<Value>> {
    let stacks: Vec<Value> = outputs[carry..].iter().map(|aval| b.zeros(aval.dtype, &aval.shape)).collect();
    let (carried, given) = (consts..consts + carry, inputs.len());
    if length == 0 {
        return Ok([&inputs[carried], &stacks].concat());
    }
    let counter = b.scalar(DType::I64, 0_i64);
    let state = [std::slice::from_ref(&counter), inputs, &stacks].concat();
    let condition = b.tuple_computation("condition", &types(&state), true, |b, state| {
        Ok::<_, Error>(vec![b.compare_number("LT", &state[0], length as i64)])
    })?;
    let step = b.tuple_computation("step", &types(&state), false, |b, state| {
        let (counter, values) = state.split_first().expect("a counter");
        let at = if reverse {
            let last = b.scalar(DType::I64, length as i64 - 1);
            b.sub(&last, counter)
        } else {
            counter.clone()
        };
        let (operands, stacks) = values.split_at(given);
        let mut arguments = operands[..consts + carry].to_vec();
        for xs in &operands[consts + carry..] {
            arguments.push(row(b, xs, &at));
        }
        let results = inline(b, body, &arguments)?;
        let (carry, ys) = results.split_at(carry);
        let one = b.scalar(DType::I64, 1_i64);
        let mut next = vec![b.add(counter, &one)];
        next.extend_from_slice(&operands[..consts]);
        next.extend_from_slice(carry);
        next.extend_from_slice(&operands[carried.end..]);
        for (stack, y) in stacks.iter().zip(ys) {
            next.push(with_row(b, stack, y, &at));
        }
        Ok::<_, Error>(next)
    })?;
    let attributes = format!("condition={condition}, body={step}");
    let results = b.on_tuples("while", &types(&state), None, &[&state], &attributes);
    Ok([&results[1 + consts..1 + consts + carry], &results[1 + given..]].concat())
}

/// What is at an index of the leading axis.
fn row(b: &mut Builder<'_>, xs: &Value, at: &Value) -> Value {
    let shape = xs.shape.without_axis(0);
    if xs.shape.size() == 0 {
        return b.zeros(xs.dtype, &shape);
    }
    let starts = leading(b, at, xs.rank());
    let row = dynamic_slice(b, xs, &starts, &shape.with_axis(0, 1));
    b.reshape(&row, &shape)
}

/// The stack with something else at an index of the leading axis.
fn with_row(b: &mut Builder<'_>, stack: &Value, y: &Value, at: &Value) -> Value {
    if y.shape.size() == 0 {
        return stack.clone();
    }
    let starts = leading(b, at, stack.rank());
    let row = b.reshape(y, &y.shape.with_axis(0, 1));
    dynamic_update_slice(b, stack, &row, &starts)
}

/// An index along the leading axis as the start of a slice.
fn leading(b: &mut Builder<'_>, at: &Value, rank: usize) -> Vec<Value> {
    let zero = b.scalar(at.dtype, 0_i64);
    let mut starts = vec![zero; rank];
    starts[0] = at.clone();
    starts
}
