//! Loops with a condition: forward mode and batching only.

use jaxnet_tensor::primitive::{Control, ReduceKind};
use jaxnet_tensor::program::stage::stage_closed;
use jaxnet_tensor::program::{Atom, ProgramBuilder};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, Program, Result, Tensor, lax};

use super::{Source, Split, call, in_front, indices, nonzero};
use crate::batch::move_batch;
use crate::programs::{batch_program, filter, jvp_program, split_program};
use crate::rules::{Batches, Duals};

pub(super) fn jvp(
    cond: &Program,
    body: &Program,
    cond_consts: usize,
    body_consts: usize,
    primals: &[Tensor],
    tangents: &[Option<Tensor>],
) -> Result<Duals> {
    let consts = cond_consts + body_consts;
    let carry_avals: Vec<Aval> = primals[consts..].iter().map(|x| x.aval().clone()).collect();
    let const_tangents = nonzero(&tangents[cond_consts..consts]);
    let mut mask = nonzero(&tangents[consts..]);
    // The body may give a carry a tangent that it did not start with.
    let (body_jvp, mask) = loop {
        let inputs: Vec<bool> = const_tangents.iter().chain(&mask).copied().collect();
        let (jvp, next) = jvp_program(body, &inputs, &mask)?;
        if next == mask {
            break (jvp, mask);
        }
        mask = next;
    };
    // The transformed body takes (consts, carry, tangents of consts, tangents of carry); a loop has all
    // constants first.
    let body_jvp = {
        let mut builder = ProgramBuilder::new();
        let avals = body.input_avals();
        let consts: Vec<Atom> = avals[..body_consts].iter().map(|aval| builder.input(aval.clone())).collect();
        let dconsts: Vec<Atom> =
            filter(&avals[..body_consts], &const_tangents).map(|aval| builder.input(aval.strong())).collect();
        let carry: Vec<Atom> = carry_avals.iter().map(|aval| builder.input(aval.clone())).collect();
        let dcarry: Vec<Atom> = filter(&carry_avals, &mask).map(|aval| builder.input(aval.strong())).collect();
        let operands = [consts, carry, dconsts, dcarry].concat();
        let results = builder.equation(call(&"body".into(), body_jvp).into(), operands)?;
        builder.finish(&results)
    };
    let cond_jvp = {
        let mut builder = ProgramBuilder::new();
        let inputs: Vec<Atom> = cond.input_avals().iter().map(|aval| builder.input(aval.clone())).collect();
        filter(&carry_avals, &mask).for_each(|aval| {
            builder.input(aval.strong());
        });
        let results = builder.equation(call(&"cond".into(), cond.clone()).into(), inputs)?;
        builder.finish(&results)
    };
    let mut inputs: Vec<Tensor> = primals[..consts].to_vec();
    inputs.extend(tangents[cond_consts..consts].iter().flatten().cloned());
    inputs.extend(primals[consts..].iter().cloned());
    for ((primal, tangent), keep) in primals[consts..].iter().zip(&tangents[consts..]).zip(&mask) {
        if *keep {
            inputs.push(super::or_zeros(tangent, primal.aval())?);
        }
    }
    let op = Control::While {
        cond: cond_jvp,
        body: body_jvp,
        cond_consts,
        body_consts: body_consts + const_tangents.iter().filter(|nonzero| **nonzero).count(),
    };
    Ok(super::duals(bind(&op.into(), &inputs)?, &mask))
}

pub(super) fn batch(
    cond: &Program,
    body: &Program,
    cond_consts: usize,
    body_consts: usize,
    size: usize,
    inputs: &[Tensor],
    axes: &[Option<usize>],
) -> Result<Batches> {
    let consts = cond_consts + body_consts;
    let batched: Vec<bool> = axes.iter().map(Option::is_some).collect();
    let mut mask = batched[consts..].to_vec();
    // A batched condition makes every carry batched, since examples stop at different steps.
    let (cond_batch, cond_batched, body_batch, mask) = loop {
        let for_cond: Vec<bool> = batched[..cond_consts].iter().chain(&mask).copied().collect();
        let (cond_batch, verdict) = batch_program(cond, size, &for_cond, &[false])?;
        let required = if verdict[0] { vec![true; mask.len()] } else { mask.clone() };
        let for_body: Vec<bool> = batched[cond_consts..consts].iter().chain(&required).copied().collect();
        let (body_batch, next) = batch_program(body, size, &for_body, &required)?;
        if next == mask {
            break (cond_batch, verdict[0], body_batch, mask);
        }
        mask = next;
    };
    let mut operands = Vec::with_capacity(inputs.len());
    for (i, (input, axis)) in inputs.iter().zip(axes).enumerate() {
        let keep = if i < consts { axis.is_some() } else { mask[i - consts] };
        operands.push(if keep { move_batch(input, size, *axis, 0)? } else { input.clone() });
    }
    let op = if cond_batched {
        let avals: Vec<Aval> = operands[consts..].iter().map(|x| x.aval().clone()).collect();
        several(&cond_batch, &body_batch, cond_consts, body_consts, &operands, &avals)?
    } else {
        Control::While { cond: cond_batch, body: body_batch, cond_consts, body_consts }
    };
    if cond_batched {
        // The step needs the condition's constants as well.
        let (for_cond, rest) = operands.split_at(cond_consts);
        operands = [for_cond, for_cond, rest].concat();
    }
    Ok((bind(&op.into(), &operands)?, in_front(&mask)))
}

/// A loop that goes on while any example does; the others keep their carry.
fn several(
    cond: &Program,
    body: &Program,
    cond_consts: usize,
    body_consts: usize,
    operands: &[Tensor],
    carry: &[Aval],
) -> Result<Control> {
    let avals = |range: std::ops::Range<usize>| operands[range].iter().map(|x| x.aval().clone());
    let for_cond: Vec<Aval> = avals(0..cond_consts).chain(carry.iter().cloned()).collect();
    let any = stage_closed("a loop's condition", &for_cond, |values| {
        Ok(vec![lax::reduce(ReduceKind::Or, &cond.eval(values)?[0], &[0])?])
    })?;
    let for_step: Vec<Aval> = avals(0..cond_consts + body_consts).chain(carry.iter().cloned()).collect();
    let step = stage_closed("a loop's body", &for_step, |values| {
        let (for_cond, rest) = values.split_at(cond_consts);
        let carry = &rest[body_consts..];
        let goes_on = &cond.eval(&[for_cond, carry].concat())?[0];
        let next = body.eval(rest)?;
        next.iter()
            .zip(carry)
            .map(|(next, now)| {
                let goes_on = lax::broadcast_in_dim(goes_on, next.shape(), &[0])?;
                lax::select(&goes_on, next, now)
            })
            .collect()
    })?;
    Ok(Control::While { cond: any, body: step, cond_consts, body_consts: cond_consts + body_consts })
}

/// The known part is the loop over those carries that never depend on an unknown one; the rest is the
/// whole loop, which computes them along.
pub(super) fn split(
    cond: &Program,
    body: &Program,
    cond_consts: usize,
    body_consts: usize,
    unknown: &[bool],
) -> Result<Split> {
    let consts = cond_consts + body_consts;
    let mut carry = unknown[consts..].to_vec();
    let body_split = loop {
        let inputs: Vec<bool> = unknown[cond_consts..consts].iter().chain(&carry).copied().collect();
        let split = split_program(body, &inputs, &carry)?;
        if split.unknown_outputs == carry {
            break split;
        }
        carry = split.unknown_outputs.clone();
    };
    let for_cond: Vec<bool> = unknown[..cond_consts].iter().chain(&carry).copied().collect();
    let cond_split = split_program(cond, &for_cond, &[false])?;
    debug_assert!(!cond_split.unknown_outputs[0], "a condition is a boolean, which no tangent reaches");
    let known_carry = carry.iter().filter(|unknown| !**unknown).count();
    let known = Control::While {
        cond: super::keep_outputs(&cond_split.known, &[0]),
        body: super::keep_outputs(&body_split.known, &(0..known_carry).collect::<Vec<_>>()),
        cond_consts: unknown[..cond_consts].iter().filter(|unknown| !**unknown).count(),
        body_consts: unknown[cond_consts..consts].iter().filter(|unknown| !**unknown).count(),
    };
    let all: Vec<bool> = unknown[..consts].iter().chain(&carry).copied().collect();
    Ok(Split {
        known,
        known_inputs: indices(&all, false),
        residuals: 0,
        linear: Control::While { cond: cond.clone(), body: body.clone(), cond_consts, body_consts },
        linear_inputs: (0..unknown.len()).map(Source::Input).collect(),
        linear_outputs: indices(&carry, true),
        unknown_outputs: carry,
    })
}
