//! Loops of a fixed number of steps.

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::program::stage::stage_closed;
use jaxnet_tensor::program::{Atom, ProgramBuilder};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, Program, Result, Tensor, lax};

use super::{Source, Split, call, in_front, indices, nonzero, or_zeros};
use crate::batch::move_batch;
use crate::linear::Operand;
use crate::programs::{batch_program, filter, jvp_program, split_program, spread, transpose_program};
use crate::rules::{Batches, Cotangents, Duals};

/// The parts of a scan.
struct Scan<'a> {
    body: &'a Program,
    length: usize,
    reverse: bool,
    consts: usize,
    carry: usize,
}

impl<'a> Scan<'a> {
    fn of(op: &'a Control) -> Self {
        match op {
            Control::Scan { body, length, reverse, consts, carry } => {
                Scan { body, length: *length, reverse: *reverse, consts: *consts, carry: *carry }
            }
            other => unreachable!("{} is not a scan", other.name()),
        }
    }

    /// Constants, carries and steps of some things, one for each operand.
    fn parts<'b, T>(&self, items: &'b [T]) -> [&'b [T]; 3] {
        let (consts, rest) = items.split_at(self.consts);
        let (carry, xs) = rest.split_at(self.carry);
        [consts, carry, xs]
    }
}

fn count(mask: &[bool]) -> usize {
    mask.iter().filter(|here| **here).count()
}

/// The same program with its inputs in another order: input `i` is given by `order[i]` of the new ones.
fn reorder_inputs(program: &Program, new: &[Aval], order: &[usize]) -> Result<Program> {
    let mut builder = ProgramBuilder::new();
    let inputs: Vec<Atom> = new.iter().map(|aval| builder.input(aval.clone())).collect();
    let operands: Vec<Atom> = order.iter().map(|&i| inputs[i]).collect();
    let results = builder.equation(call(&"body".into(), program.clone()).into(), operands)?;
    Ok(builder.finish(&results))
}

/// The same program with its outputs in another order.
fn reorder_outputs(program: &Program, order: &[usize]) -> Program {
    super::keep_outputs(program, order)
}

pub(super) fn jvp(op: &Control, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let scan = Scan::of(op);
    let [dconsts, dcarry, dxs] = scan.parts(tangents).map(nonzero);
    let outputs = scan.body.outputs().len();
    let mut carry_mask = dcarry;
    // The body may give a carry a tangent that it did not start with.
    let (body, mask) = loop {
        let inputs = [&dconsts[..], &carry_mask, &dxs].concat();
        let required: Vec<bool> =
            carry_mask.iter().copied().chain(std::iter::repeat_n(false, outputs - scan.carry)).collect();
        let (body, mask) = jvp_program(scan.body, &inputs, &required)?;
        if mask[..scan.carry] == carry_mask[..] {
            break (body, mask);
        }
        carry_mask = mask[..scan.carry].to_vec();
    };
    // From (consts, carry, xs, their tangents) to (consts, tangents, carry, tangents, xs, tangents).
    let avals = scan.body.input_avals();
    let masks = [&dconsts[..], &carry_mask, &dxs];
    let mut new = Vec::new();
    let mut place_of_primal = Vec::new();
    let mut place_of_tangent = Vec::new();
    for (avals, mask) in scan.parts(avals).into_iter().zip(masks) {
        for aval in avals {
            place_of_primal.push(new.len());
            new.push(aval.clone());
        }
        for aval in filter(avals, mask) {
            place_of_tangent.push(new.len());
            new.push(aval.strong());
        }
    }
    let body = reorder_inputs(&body, &new, &[place_of_primal, place_of_tangent].concat())?;
    // From (carry, ys, tangents) to (carry, tangents, ys, tangents).
    let carry_tangents = count(&mask[..scan.carry]);
    let y_tangents = count(&mask[scan.carry..]);
    let order: Vec<usize> = (0..scan.carry)
        .chain(outputs..outputs + carry_tangents)
        .chain(scan.carry..outputs)
        .chain(outputs + carry_tangents..outputs + carry_tangents + y_tangents)
        .collect();
    let body = reorder_outputs(&body, &order);

    let mut inputs = Vec::new();
    for ((values, tangents), mask) in scan.parts(primals).into_iter().zip(scan.parts(tangents)).zip(masks) {
        inputs.extend(values.iter().cloned());
        for ((value, tangent), keep) in values.iter().zip(tangents).zip(mask) {
            if *keep {
                inputs.push(or_zeros(tangent, value.aval())?);
            }
        }
    }
    let op = Control::Scan {
        body,
        length: scan.length,
        reverse: scan.reverse,
        consts: scan.consts + count(&dconsts),
        carry: scan.carry + carry_tangents,
    };
    let results = bind(&op.into(), &inputs)?;
    let (carry, rest) = results.split_at(scan.carry);
    let (carry_t, rest) = rest.split_at(carry_tangents);
    let (ys, ys_t) = rest.split_at(outputs - scan.carry);
    let primals = carry.iter().chain(ys).cloned().collect();
    Ok((primals, spread(carry_t.iter().chain(ys_t).cloned(), &mask).into()))
}

pub(super) fn batch(op: &Control, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let scan = Scan::of(op);
    let batched: Vec<bool> = axes.iter().map(Option::is_some).collect();
    let [consts, carry, xs] = scan.parts(&batched);
    let outputs = scan.body.outputs().len();
    let mut carry_mask = carry.to_vec();
    let (body, mask) = loop {
        let inputs = [consts, &carry_mask, xs].concat();
        let required: Vec<bool> =
            carry_mask.iter().copied().chain(std::iter::repeat_n(false, outputs - scan.carry)).collect();
        let (body, mask) = batch_program(scan.body, size, &inputs, &required)?;
        if mask[..scan.carry] == carry_mask[..] {
            break (body, mask);
        }
        carry_mask = mask[..scan.carry].to_vec();
    };
    let mut operands = Vec::with_capacity(inputs.len());
    for (i, (input, axis)) in inputs.iter().zip(axes).enumerate() {
        operands.push(if i < scan.consts {
            if axis.is_some() { move_batch(input, size, *axis, 0)? } else { input.clone() }
        } else if i < scan.consts + scan.carry {
            if carry_mask[i - scan.consts] { move_batch(input, size, *axis, 0)? } else { input.clone() }
        } else if axis.is_some() {
            // The leading axis is that of the steps.
            move_batch(input, size, *axis, 1)?
        } else {
            input.clone()
        });
    }
    let op = Control::Scan { body, length: scan.length, reverse: scan.reverse, consts: scan.consts, carry: scan.carry };
    let mut result_axes = in_front(&mask);
    for axis in &mut result_axes[scan.carry..] {
        *axis = axis.map(|_| 1);
    }
    Ok((bind(&op.into(), &operands)?, result_axes))
}

/// The known part is a scan that stacks the residuals of each step; the rest is a scan over them.
pub(super) fn split(op: &Control, unknown: &[bool]) -> Result<Split> {
    let scan = Scan::of(op);
    let [consts, carry, xs] = scan.parts(unknown);
    let outputs = scan.body.outputs().len();
    let mut carry_mask = carry.to_vec();
    let split = loop {
        let inputs = [consts, &carry_mask, xs].concat();
        let required: Vec<bool> =
            carry_mask.iter().copied().chain(std::iter::repeat_n(false, outputs - scan.carry)).collect();
        let split = split_program(scan.body, &inputs, &required)?;
        if split.unknown_outputs[..scan.carry] == carry_mask[..] {
            break split;
        }
        carry_mask = split.unknown_outputs[..scan.carry].to_vec();
    };
    let unknown_inputs = [consts, &carry_mask, xs].concat();
    let known_carry = scan.carry - count(&carry_mask);

    // Residuals that are constants or steps of the whole are passed to the rest as they are; those that
    // are known carries change from step to step, so that they are stacked with the computed ones.
    let is_carry = |i: usize| (scan.consts..scan.consts + scan.carry).contains(&i);
    let stacked_carries: Vec<usize> = split.input_residuals.iter().copied().filter(|&i| is_carry(i)).collect();
    let known_inputs = indices(&unknown_inputs, false);
    let known_body = {
        // Adds those carries, as they are at the start of the step, to the results.
        let mut builder = ProgramBuilder::new();
        let inputs: Vec<Atom> =
            known_inputs.iter().map(|&i| builder.input(scan.body.input_avals()[i].clone())).collect();
        let mut results = builder.equation(call(&"body".into(), split.known.clone()).into(), inputs.clone())?;
        for i in &stacked_carries {
            results.push(inputs[known_inputs.iter().position(|j| j == i).expect("residuals are known")]);
        }
        builder.finish(&results)
    };
    let known = Control::Scan {
        body: known_body,
        length: scan.length,
        reverse: scan.reverse,
        consts: scan.consts - count(consts),
        carry: known_carry,
    };
    let residuals = split.computed_residuals + stacked_carries.len();

    // The rest takes (input residuals, computed residuals, unknown inputs); as a scan it takes
    // (constants: residual and unknown), (unknown carries), (steps: residual, stacked and unknown).
    let rest_avals = split.rest.input_avals();
    let computed_at = split.input_residuals.len();
    let unknown_at = computed_at + split.computed_residuals;
    let mut new: Vec<usize> = Vec::new();
    let mut sources: Vec<Source> = Vec::new();
    let unknown_list = indices(&unknown_inputs, true);
    let residual_in = |range: std::ops::Range<usize>| {
        let input_residuals = split.input_residuals.clone();
        (0..input_residuals.len()).filter(move |&k| range.contains(&input_residuals[k])).collect::<Vec<_>>()
    };
    let unknown_in = |range: std::ops::Range<usize>| {
        (0..unknown_list.len()).filter(|&k| range.contains(&unknown_list[k])).collect::<Vec<_>>()
    };
    let total = scan.body.input_avals().len();
    for k in residual_in(0..scan.consts) {
        new.push(k);
        sources.push(Source::Input(split.input_residuals[k]));
    }
    for k in unknown_in(0..scan.consts) {
        new.push(unknown_at + k);
        sources.push(Source::Input(unknown_list[k]));
    }
    let rest_consts = new.len();
    for k in unknown_in(scan.consts..scan.consts + scan.carry) {
        new.push(unknown_at + k);
        sources.push(Source::Input(unknown_list[k]));
    }
    let rest_carry = new.len() - rest_consts;
    for k in residual_in(scan.consts + scan.carry..total) {
        new.push(k);
        sources.push(Source::Input(split.input_residuals[k]));
    }
    for j in 0..split.computed_residuals {
        new.push(computed_at + j);
        sources.push(Source::Residual(j));
    }
    for (j, k) in residual_in(scan.consts..scan.consts + scan.carry).into_iter().enumerate() {
        new.push(k);
        sources.push(Source::Residual(split.computed_residuals + j));
    }
    for k in unknown_in(scan.consts + scan.carry..total) {
        new.push(unknown_at + k);
        sources.push(Source::Input(unknown_list[k]));
    }
    let new_avals: Vec<Aval> = new.iter().map(|&k| rest_avals[k].clone()).collect();
    let mut order = vec![0; rest_avals.len()];
    for (place, &k) in new.iter().enumerate() {
        order[k] = place;
    }
    let linear = Control::Scan {
        body: reorder_inputs(&split.rest, &new_avals, &order)?,
        length: scan.length,
        reverse: scan.reverse,
        consts: rest_consts,
        carry: rest_carry,
    };
    Ok(Split {
        known,
        known_inputs,
        residuals,
        linear,
        linear_inputs: sources,
        linear_outputs: super::all(&split.unknown_outputs),
        unknown_outputs: split.unknown_outputs,
    })
}

/// The transpose runs the steps the other way round: cotangents of carries are its carries, those of
/// linear constants are summed in carries too.
pub(super) fn transpose(
    op: &Control,
    cotangents: &[Option<Tensor>],
    inputs: &[Operand<Aval>],
    outputs: &[&Aval],
) -> Result<Cotangents> {
    let scan = Scan::of(op);
    let [consts, _, xs] = scan.parts(inputs);
    let linear = |operands: &[Operand<Aval>]| super::linear_mask(operands);
    let (consts_linear, xs_linear) = (linear(consts), linear(xs));
    // The tape holds scans that were split, whose carries are all linear. One that starts as a known
    // value starts as zeros, since the whole is linear; its cotangent is nobody's.
    let carry_linear = vec![true; scan.carry];
    let body_linear: Vec<bool> = consts_linear.iter().chain(&carry_linear).chain(&xs_linear).copied().collect();
    let (carry_cts, ys_cts) = cotangents.split_at(scan.carry);
    let ys_mask = nonzero(ys_cts);
    let nonzero_outputs: Vec<bool> = std::iter::repeat_n(true, scan.carry).chain(ys_mask.iter().copied()).collect();
    let linear_count = count(&body_linear);
    // (known consts, known xs, carry cotangents, y cotangents) -> cotangents of all linear inputs.
    let (transposed, _) = transpose_program(scan.body, &body_linear, &nonzero_outputs, &vec![true; linear_count])?;

    let body_avals = scan.body.input_avals();
    let [const_avals, carry_avals, x_avals] = scan.parts(body_avals);
    let known_consts: Vec<Aval> = filter(const_avals, &not(&consts_linear)).cloned().collect();
    let known_xs: Vec<Aval> = filter(x_avals, &not(&xs_linear)).cloned().collect();
    let linear_consts: Vec<Aval> = filter(const_avals, &consts_linear).map(Aval::strong).collect();
    let carry_strong: Vec<Aval> = carry_avals.iter().map(Aval::strong).collect();
    let y_avals: Vec<Aval> = scan.body.output_avals().skip(scan.carry).map(|aval| aval.strong()).collect();
    let y_avals: Vec<Aval> = filter(&y_avals, &ys_mask).cloned().collect();

    // As a scan: constants are the known ones; carries the cotangents of linear constants, summed so
    // far, and of the carry; steps the cotangents of ys and the known xs.
    let step_inputs: Vec<Aval> = known_consts
        .iter()
        .chain(&linear_consts)
        .chain(&carry_strong)
        .chain(&y_avals)
        .chain(&known_xs)
        .cloned()
        .collect();
    let body = stage_closed("a scan's transpose", &step_inputs, |values| {
        let (known_c, rest) = values.split_at(known_consts.len());
        let (sums, rest) = rest.split_at(linear_consts.len());
        let (carry_ct, rest) = rest.split_at(scan.carry);
        let (y_ct, known_x) = rest.split_at(y_avals.len());
        let operands = [known_c, known_x, carry_ct, y_ct].concat();
        let mut results = transposed.eval(&operands)?.into_iter();
        let add = |(sum, ct): (&Tensor, Tensor)| lax::binary(jaxnet_tensor::primitive::BinaryOp::Add, sum, &ct);
        let mut all: Vec<Tensor> =
            sums.iter().zip(results.by_ref().take(sums.len())).map(add).collect::<Result<_>>()?;
        all.extend(results);
        Ok(all)
    })?;
    let mut operands: Vec<Tensor> = super::known(consts).cloned().collect();
    for aval in &linear_consts {
        operands.push(lax::full(aval, 0)?);
    }
    for (ct, aval) in carry_cts.iter().zip(outputs) {
        operands.push(or_zeros(ct, aval)?);
    }
    operands.extend(ys_cts.iter().flatten().cloned());
    operands.extend(super::known(xs).cloned());
    let op = Control::Scan {
        body,
        length: scan.length,
        reverse: !scan.reverse,
        consts: known_consts.len(),
        carry: linear_consts.len() + scan.carry,
    };
    let results = bind(&op.into(), &operands)?;
    let of_linear = results.into_iter().map(Some).collect();
    Ok(super::place(&body_linear, of_linear))
}

fn not(mask: &[bool]) -> Vec<bool> {
    mask.iter().map(|here| !here).collect()
}
