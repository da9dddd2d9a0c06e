//! Primitives that hold programs: each rule transforms the programs inside.

mod cond;
mod custom;
mod scan;
mod while_loop;

use std::sync::Arc;

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::trace::{Tensors, bind};
use jaxnet_tensor::{Aval, Error, Program, Result, Tensor, lax};

use super::{Batches, Cotangents, Duals};
use crate::batch::move_batch;
use crate::linear::Operand;
use crate::programs::{batch_program, jvp_program, split_program, spread, transpose_program};

pub(crate) fn call(name: &Arc<str>, program: Program) -> Control {
    Control::Call { name: name.clone(), program }
}

/// The primals, then those tangents that are not zero.
fn with_tangents(primals: &[Tensor], tangents: &[Option<Tensor>]) -> Vec<Tensor> {
    primals.iter().cloned().chain(tangents.iter().flatten().cloned()).collect()
}

fn nonzero(tangents: &[Option<Tensor>]) -> Vec<bool> {
    tangents.iter().map(Option::is_some).collect()
}

/// Results as primals, and tangents where the mask has some.
fn duals(results: Tensors, mask: &[bool]) -> Duals {
    let mut results = results.into_vec();
    let tangents = results.split_off(mask.len());
    (results.into(), spread(tangents, mask).into())
}

pub(super) fn jvp(op: &Control, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    // No tangent at all: the primitive stays what it is.
    if tangents.iter().all(Option::is_none) {
        let results = bind(&op.clone().into(), primals)?;
        let zeros = results.iter().map(|_| None).collect();
        return Ok((results, zeros));
    }
    match op {
        Control::Call { name, program } => jvp_call(program, primals, tangents, |program| call(name, program)),
        Control::Checkpoint { program } => {
            jvp_call(program, primals, tangents, |program| Control::Checkpoint { program })
        }
        // What a backend knows of the whole does not hold for its derivative.
        Control::Composite { name, body, .. } => jvp_call(body, primals, tangents, |program| call(name, program)),
        Control::Cond { branches } => cond::jvp(branches, primals, tangents),
        Control::While { cond, body, cond_consts, body_consts } => {
            while_loop::jvp(cond, body, *cond_consts, *body_consts, primals, tangents)
        }
        Control::Scan { .. } => scan::jvp(op, primals, tangents),
        Control::CustomJvp { rule, .. } => custom::jvp_of_custom_jvp(rule, primals, tangents),
        Control::CustomVjp { body, forward, backward } => {
            custom::jvp_of_custom_vjp(body, forward, backward, primals, tangents)
        }
        Control::CustomLinear { .. } => Err(Error::Differentiation(
            "custom_vjp gives reverse-mode derivatives only; use custom_jvp for a function that is also \
             differentiated in forward mode"
                .into(),
        )),
        Control::OptimizationBarrier => {
            let outputs = lax::optimization_barrier(primals)?;
            let present: Vec<Tensor> = tangents.iter().flatten().cloned().collect();
            let present = lax::optimization_barrier(&present)?;
            Ok((outputs.into(), spread(present, &nonzero(tangents)).into()))
        }
        Control::StopGradient => Ok((bind(&op.clone().into(), primals)?, primals.iter().map(|_| None).collect())),
        Control::Debug(_) => Ok((bind(&op.clone().into(), primals)?, tangents.iter().cloned().collect())),
    }
}

fn jvp_call(
    program: &Program,
    primals: &[Tensor],
    tangents: &[Option<Tensor>],
    wrap: impl FnOnce(Program) -> Control,
) -> Result<Duals> {
    let none = vec![false; program.outputs().len()];
    let (jvp, mask) = jvp_program(program, &nonzero(tangents), &none)?;
    Ok(duals(bind(&wrap(jvp).into(), &with_tangents(primals, tangents))?, &mask))
}

pub(super) fn transpose(
    op: &Control,
    cotangents: &[Option<Tensor>],
    inputs: &[Operand<Aval>],
    outputs: &[&Aval],
) -> Result<Cotangents> {
    match op {
        Control::Call { name, program } => transpose_call(program, cotangents, inputs, |program| call(name, program)),
        Control::Checkpoint { program } => {
            // What is known is computed again here; the barrier keeps the compiler from finding that it
            // was computed before.
            let known: Vec<Tensor> = known(inputs).cloned().collect();
            let mut known = lax::optimization_barrier(&known)?.into_iter();
            let inputs: Vec<Operand<Aval>> = inputs
                .iter()
                .map(|input| match input {
                    Operand::Known(_) => Operand::Known(known.next().expect("one for each")),
                    linear => linear.clone(),
                })
                .collect();
            transpose_call(program, cotangents, &inputs, |program| Control::Checkpoint { program })
        }
        Control::Composite { name, body, .. } => {
            transpose_call(body, cotangents, inputs, |program| call(name, program))
        }
        Control::Cond { branches } => cond::transpose(branches, cotangents, inputs, outputs),
        Control::Scan { .. } => scan::transpose(op, cotangents, inputs, outputs),
        Control::While { .. } => Err(Error::Differentiation(
            "reverse-mode differentiation through `while_loop` is not possible, since the number of steps is not \
             known ahead; use `scan` or `fori_loop` with constant bounds, or forward mode (`jvp`, `jacfwd`)"
                .into(),
        )),
        Control::CustomLinear { backward, residuals, .. } => {
            custom::transpose(backward, *residuals, cotangents, inputs, outputs)
        }
        Control::OptimizationBarrier => {
            let present: Vec<Tensor> = cotangents.iter().flatten().cloned().collect();
            Ok(spread(lax::optimization_barrier(&present)?, &nonzero(cotangents)))
        }
        Control::Debug(_) => Ok(cotangents.to_vec()),
        Control::StopGradient | Control::CustomJvp { .. } | Control::CustomVjp { .. } => {
            Err(Error::Differentiation(format!("{} is not linear, so it cannot be transposed", op.name())))
        }
    }
}

fn known(inputs: &[Operand<Aval>]) -> impl Iterator<Item = &Tensor> {
    inputs.iter().filter_map(|input| match input {
        Operand::Known(tensor) => Some(tensor),
        Operand::Linear(_) => None,
    })
}

fn linear_mask(inputs: &[Operand<Aval>]) -> Vec<bool> {
    inputs.iter().map(|input| matches!(input, Operand::Linear(_))).collect()
}

/// Cotangents of linear inputs in the places of all inputs.
fn place(linear: &[bool], of_linear: Vec<Option<Tensor>>) -> Cotangents {
    spread(of_linear, linear).into_iter().map(Option::flatten).collect()
}

fn transpose_call(
    program: &Program,
    cotangents: &[Option<Tensor>],
    inputs: &[Operand<Aval>],
    wrap: impl FnOnce(Program) -> Control,
) -> Result<Cotangents> {
    let linear = linear_mask(inputs);
    let none = vec![false; linear.iter().filter(|linear| **linear).count()];
    let (transposed, mask) = transpose_program(program, &linear, &nonzero(cotangents), &none)?;
    let operands: Vec<Tensor> = known(inputs).chain(cotangents.iter().flatten()).cloned().collect();
    let results = bind(&wrap(transposed).into(), &operands)?;
    Ok(place(&linear, spread(results, &mask)))
}

pub(super) fn batch(op: &Control, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    match op {
        Control::Call { name, program } | Control::Composite { name, body: program, .. } => {
            batch_call(program, size, inputs, axes, |program| call(name, program))
        }
        Control::Checkpoint { program } => {
            batch_call(program, size, inputs, axes, |program| Control::Checkpoint { program })
        }
        Control::Cond { branches } => cond::batch(branches, size, inputs, axes),
        Control::While { cond, body, cond_consts, body_consts } => {
            while_loop::batch(cond, body, *cond_consts, *body_consts, size, inputs, axes)
        }
        Control::Scan { .. } => scan::batch(op, size, inputs, axes),
        Control::CustomJvp { .. } | Control::CustomVjp { .. } | Control::CustomLinear { .. } => {
            custom::batch(op, size, inputs, axes)
        }
        Control::OptimizationBarrier | Control::StopGradient | Control::Debug(_) => {
            Ok((bind(&op.clone().into(), inputs)?, axes.iter().copied().collect()))
        }
    }
}

/// Inputs with the batch in front where they have one.
fn batch_in_front(size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Vec<Tensor>> {
    inputs
        .iter()
        .zip(axes)
        .map(|(input, axis)| if axis.is_some() { move_batch(input, size, *axis, 0) } else { Ok(input.clone()) })
        .collect()
}

fn in_front(mask: &[bool]) -> smallvec::SmallVec<[Option<usize>; 1]> {
    mask.iter().map(|batched| batched.then_some(0)).collect()
}

fn batch_call(
    program: &Program,
    size: usize,
    inputs: &[Tensor],
    axes: &[Option<usize>],
    wrap: impl FnOnce(Program) -> Control,
) -> Result<Batches> {
    let batched: Vec<bool> = axes.iter().map(Option::is_some).collect();
    let none = vec![false; program.outputs().len()];
    let (program, mask) = batch_program(program, size, &batched, &none)?;
    let results = bind(&wrap(program).into(), &batch_in_front(size, inputs, axes)?)?;
    Ok((results, in_front(&mask)))
}

/// A control primitive split into what can run before some inputs are known, and the rest.
pub(crate) struct Split {
    /// Gives the known outputs, then residuals.
    pub known: Control,
    /// Its inputs, by their numbers among the whole's.
    pub known_inputs: Vec<usize>,
    /// The number of residuals that it computes.
    pub residuals: usize,
    /// Gives the unknown outputs.
    pub linear: Control,
    /// Its inputs.
    pub linear_inputs: Vec<Source>,
    /// Which of its outputs are the unknown ones of the whole, in order.
    pub linear_outputs: Vec<usize>,
    /// Which outputs are unknown.
    pub unknown_outputs: Vec<bool>,
}

/// Where an input of the rest of a split primitive comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// An input of the whole.
    Input(usize),
    /// A residual of the known part.
    Residual(usize),
}

/// Splits a primitive, or not, if it is to be taken as a whole.
pub(crate) fn split_control(op: &Control, unknown: &[bool]) -> Result<Option<Split>> {
    match op {
        Control::Call { name, program } | Control::Composite { name, body: program, .. } => {
            let none = vec![false; program.outputs().len()];
            let split = split_program(program, unknown, &none)?;
            let known_inputs = indices(unknown, false);
            let linear_inputs = split
                .input_residuals
                .iter()
                .map(|&i| Source::Input(i))
                .chain((0..split.computed_residuals).map(Source::Residual))
                .chain(indices(unknown, true).into_iter().map(Source::Input))
                .collect();
            Ok(Some(Split {
                known: call(name, split.known),
                known_inputs,
                residuals: split.computed_residuals,
                linear: call(name, split.rest),
                linear_inputs,
                linear_outputs: all(&split.unknown_outputs),
                unknown_outputs: split.unknown_outputs,
            }))
        }
        Control::Checkpoint { program } => {
            // The known results are computed, but no residuals kept: the rest computes them again from
            // the inputs.
            let none = vec![false; program.outputs().len()];
            let split = split_program(program, unknown, &none)?;
            let known_count = split.unknown_outputs.iter().filter(|unknown| !**unknown).count();
            Ok(Some(Split {
                known: call(&"checkpoint".into(), keep_outputs(&split.known, &(0..known_count).collect::<Vec<_>>())),
                known_inputs: indices(unknown, false),
                residuals: 0,
                linear: Control::Checkpoint { program: keep_outputs(program, &indices(&split.unknown_outputs, true)) },
                linear_inputs: (0..unknown.len()).map(Source::Input).collect(),
                linear_outputs: all(&split.unknown_outputs),
                unknown_outputs: split.unknown_outputs,
            }))
        }
        Control::Cond { branches } => cond::split(branches, unknown).map(Some),
        Control::Scan { .. } => scan::split(op, unknown).map(Some),
        Control::While { cond, body, cond_consts, body_consts } => {
            while_loop::split(cond, body, *cond_consts, *body_consts, unknown).map(Some)
        }
        Control::CustomJvp { .. }
        | Control::CustomVjp { .. }
        | Control::CustomLinear { .. }
        | Control::OptimizationBarrier
        | Control::StopGradient
        | Control::Debug(_) => Ok(None),
    }
}

/// The places where the mask is `value`.
pub(crate) fn indices(mask: &[bool], value: bool) -> Vec<usize> {
    (0..mask.len()).filter(|&i| mask[i] == value).collect()
}

/// The numbers of the outputs of a primitive that gives just the unknown ones.
fn all(unknown_outputs: &[bool]) -> Vec<usize> {
    (0..unknown_outputs.iter().filter(|unknown| **unknown).count()).collect()
}

/// The program with only these outputs.
fn keep_outputs(program: &Program, outputs: &[usize]) -> Program {
    let outputs: Vec<_> = outputs.iter().map(|&i| program.outputs()[i]).collect();
    program.with_outputs(&outputs)
}

/// Fills in zeros for cotangents or tangents that are known to be zero.
fn or_zeros(value: &Option<Tensor>, aval: &Aval) -> Result<Tensor> {
    value.clone().map_or_else(|| lax::full(&aval.strong(), 0), Ok)
}
