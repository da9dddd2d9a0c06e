//! Functions that bring derivatives of their own.

use std::sync::Arc;

use jaxnet_tensor::primitive::{Control, ReduceKind, Rule};
use jaxnet_tensor::program::stage::stage_closed;
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, Program, Result, Tensor, lax};

use super::{call, in_front, or_zeros};
use crate::batch::move_batch;
use crate::linear::Operand;
use crate::programs::{batch_program, spread};
use crate::rules::{Batches, Cotangents, Duals};

/// Tangents of all floating-point values, with zeros filled in.
fn float_tangents(primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
    let floats = primals.iter().zip(tangents).filter(|(primal, _)| primal.dtype().is_float());
    floats.map(|(primal, tangent)| or_zeros(tangent, primal.aval())).collect()
}

fn is_float(avals: &[Aval]) -> Vec<bool> {
    avals.iter().map(|aval| aval.dtype.is_float()).collect()
}

pub(super) fn jvp_of_custom_jvp(rule: &Rule, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let tangents = float_tangents(primals, tangents)?;
    let inputs: Vec<Tensor> = primals.iter().cloned().chain(tangents).collect();
    let program = rule.program()?;
    let results = bind(&call(&"custom_jvp".into(), program).into(), &inputs)?;
    // The rule gives outputs, then tangents of those that are floats.
    let mut primals = results.into_vec();
    let mut floats = 0;
    let mut outputs = 0;
    while outputs + floats < primals.len() {
        floats += primals[outputs].dtype().is_float() as usize;
        outputs += 1;
    }
    let tangents = primals.split_off(outputs);
    let mask: Vec<bool> = primals.iter().map(|output| output.dtype().is_float()).collect();
    Ok((primals.into(), spread(tangents, &mask).into()))
}

pub(super) fn jvp_of_custom_vjp(
    body: &Program,
    forward: &Rule,
    backward: &Rule,
    primals: &[Tensor],
    tangents: &[Option<Tensor>],
) -> Result<Duals> {
    let name: Arc<str> = "custom_vjp".into();
    let mut outputs = bind(&call(&name, forward.program()?).into(), primals)?.into_vec();
    let mut inputs = outputs.split_off(body.outputs().len());
    let residuals = inputs.len();
    inputs.extend(float_tangents(primals, tangents)?);
    let avals: Vec<Aval> = outputs.iter().map(|output| output.aval().strong()).collect();
    let mask = is_float(&avals);
    let float_avals = avals.into_iter().filter(|aval| aval.dtype.is_float()).collect();
    let linear = Control::CustomLinear { backward: backward.clone(), residuals, outputs: float_avals };
    let tangents = bind(&linear.into(), &inputs)?;
    Ok((outputs.into(), spread(tangents, &mask).into()))
}

/// The backward program, on residuals and cotangents.
pub(super) fn transpose(
    backward: &Rule,
    residuals: usize,
    cotangents: &[Option<Tensor>],
    inputs: &[Operand<Aval>],
    outputs: &[&Aval],
) -> Result<Cotangents> {
    let mut operands = Vec::new();
    for input in &inputs[..residuals] {
        match input {
            Operand::Known(tensor) => operands.push(tensor.clone()),
            Operand::Linear(_) => {
                return Err(jaxnet_tensor::Error::Differentiation(
                    "custom_vjp: a residual depends on what the derivative is linear in".into(),
                ));
            }
        }
    }
    for (cotangent, aval) in cotangents.iter().zip(outputs) {
        operands.push(or_zeros(cotangent, aval)?);
    }
    let results = bind(&call(&"custom_vjp".into(), backward.program()?).into(), &operands)?;
    let tangents = results.into_iter().map(Some);
    Ok(std::iter::repeat_n(None, residuals).chain(tangents).collect())
}

/// What a batching of a rule depends on, as numbers.
fn tag(kind: u64, size: usize, batched: &[bool]) -> Vec<u64> {
    [kind, size as u64].into_iter().chain(batched.iter().map(|batched| *batched as u64)).collect()
}

fn all_batched(program: &Program, size: usize, batched: &[bool]) -> Result<Program> {
    Ok(batch_program(program, size, batched, &vec![true; program.outputs().len()])?.0)
}

pub(super) fn batch(op: &Control, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let batched: Vec<bool> = axes.iter().map(Option::is_some).collect();
    // Which inputs the tangents and cotangents belong to.
    let float: Vec<bool> = inputs.iter().map(|input| input.dtype().is_float()).collect();
    let float_batched: Vec<bool> =
        batched.iter().zip(&float).filter(|(_, float)| **float).map(|(batched, _)| *batched).collect();
    let operands: Vec<Tensor> = super::batch_in_front(size, inputs, axes)?;
    match op {
        Control::CustomJvp { body, rule } => {
            let with_tangents: Vec<bool> = batched.iter().chain(&float_batched).copied().collect();
            let rule =
                rule.derive(tag(0, size, &with_tangents), move |program| all_batched(program, size, &with_tangents));
            let body = all_batched(body, size, &batched)?;
            let mask = vec![true; body.outputs().len()];
            Ok((bind(&Control::CustomJvp { body, rule }.into(), &operands)?, in_front(&mask)))
        }
        Control::CustomVjp { body, forward, backward } => {
            let for_forward = batched.clone();
            let forward =
                forward.derive(tag(1, size, &batched), move |program| all_batched(program, size, &for_forward));
            // Residuals and cotangents are all batched; what an unbatched input gets from the examples
            // is summed.
            let backward = backward
                .derive(tag(2, size, &float_batched), move |program| sum_unbatched(program, size, &float_batched));
            let body = all_batched(body, size, &batched)?;
            let mask = vec![true; body.outputs().len()];
            Ok((bind(&Control::CustomVjp { body, forward, backward }.into(), &operands)?, in_front(&mask)))
        }
        Control::CustomLinear { backward, residuals, outputs } => {
            let operands = inputs
                .iter()
                .zip(axes)
                .map(|(input, axis)| move_batch(input, size, *axis, 0))
                .collect::<Result<Vec<_>>>()?;
            let all = vec![true; inputs.len() - residuals];
            let backward = backward.derive(tag(2, size, &all), move |program| sum_unbatched(program, size, &all));
            let outputs: Vec<Aval> =
                outputs.iter().map(|aval| aval.with_shape(aval.shape.with_axis(0, size))).collect();
            let mask = vec![true; outputs.len()];
            let op = Control::CustomLinear { backward, residuals: *residuals, outputs };
            Ok((bind(&op.into(), &operands)?, in_front(&mask)))
        }
        other => unreachable!("{} is not custom", other.name()),
    }
}

fn sum_unbatched(backward: &Program, size: usize, batched: &[bool]) -> Result<Program> {
    let batch = all_batched(backward, size, &vec![true; backward.inputs().len()])?;
    stage_closed("a custom derivative", batch.input_avals(), |values| {
        let results = batch.eval(values)?;
        results
            .iter()
            .zip(batched)
            .map(
                |(result, batched)| {
                    if *batched { Ok(result.clone()) } else { lax::reduce(ReduceKind::Sum, result, &[0]) }
                },
            )
            .collect()
    })
}
