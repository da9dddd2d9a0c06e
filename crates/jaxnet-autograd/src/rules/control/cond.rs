//! Branches: all are transformed alike, so that they keep one signature.

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::program::{Atom, ProgramBuilder};
use jaxnet_tensor::trace::{Tensors, bind};
use jaxnet_tensor::{Aval, DType, Literal, Program, Result, Tensor, lax};

use super::{
    Source, Split, batch_in_front, duals, in_front, indices, known, linear_mask, nonzero, place, with_tangents,
};
use crate::linear::Operand;
use crate::programs::{batch_program, jvp_program, split_program, spread, transpose_program};
use crate::rules::{Batches, Cotangents, Duals};

/// Transforms each branch, until all give results of the same kinds.
fn unify<T>(
    branches: &[Program],
    results: usize,
    transform: impl Fn(&Program, &[bool]) -> Result<(T, Vec<bool>)>,
) -> Result<(Vec<T>, Vec<bool>)> {
    let mut mask = vec![false; results];
    loop {
        let (transformed, masks): (Vec<T>, Vec<Vec<bool>>) =
            branches.iter().map(|branch| transform(branch, &mask)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let joined: Vec<bool> = (0..results).map(|i| masks.iter().any(|mask| mask[i])).collect();
        if masks.iter().all(|mask| *mask == joined) {
            return Ok((transformed, joined));
        }
        mask = joined;
    }
}

pub(super) fn jvp(branches: &[Program], primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let (index, operands) = primals.split_first().expect("the index comes first");
    let tangents = &tangents[1..];
    let outputs = branches[0].outputs().len();
    let (branches, mask) =
        unify(branches, outputs, |branch, required| jvp_program(branch, &nonzero(tangents), required))?;
    let inputs: Vec<Tensor> = std::iter::once(index.clone()).chain(with_tangents(operands, tangents)).collect();
    Ok(duals(bind(&Control::Cond { branches }.into(), &inputs)?, &mask))
}

pub(super) fn transpose(
    branches: &[Program],
    cotangents: &[Option<Tensor>],
    inputs: &[Operand<Aval>],
    _outputs: &[&Aval],
) -> Result<Cotangents> {
    let operands = &inputs[1..];
    let linear = linear_mask(operands);
    let count = linear.iter().filter(|linear| **linear).count();
    let (branches, mask) =
        unify(branches, count, |branch, required| transpose_program(branch, &linear, &nonzero(cotangents), required))?;
    let operands: Vec<Tensor> = known(inputs).chain(cotangents.iter().flatten()).cloned().collect();
    let results = bind(&Control::Cond { branches }.into(), &operands)?;
    Ok(place(&linear_mask(inputs), spread(results, &mask)))
}

pub(super) fn batch(branches: &[Program], size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let (index, operands) = inputs.split_first().expect("the index comes first");
    let batched: Vec<bool> = axes[1..].iter().map(Option::is_some).collect();
    let outputs = branches[0].outputs().len();
    let operands = batch_in_front(size, operands, &axes[1..])?;
    if axes[0].is_none() {
        let (branches, mask) =
            unify(branches, outputs, |branch, required| batch_program(branch, size, &batched, required))?;
        let inputs: Vec<Tensor> = std::iter::once(index.clone()).chain(operands).collect();
        return Ok((bind(&Control::Cond { branches }.into(), &inputs)?, in_front(&mask)));
    }
    // Each example takes a branch of its own: all branches run, and each example's is selected.
    let all = vec![true; outputs];
    let last = branches.len() as i32 - 1;
    let index = index.clip(0, last);
    let mut selected: Option<Vec<Tensor>> = None;
    for (i, branch) in branches.iter().enumerate().rev() {
        let (branch, _) = batch_program(branch, size, &batched, &all)?;
        let results = bind(&super::call(&"branch".into(), branch).into(), &operands)?;
        selected = Some(match selected {
            None => results.into_vec(),
            Some(others) => {
                let here = index.eq(i as i32);
                results
                    .iter()
                    .zip(others)
                    .map(|(result, other)| {
                        let here = lax::broadcast_in_dim(&here, result.shape(), &[0])?;
                        lax::select(&here, result, &other)
                    })
                    .collect::<Result<_>>()?
            }
        });
    }
    let results: Tensors = selected.expect("at least one branch").into();
    Ok((results, in_front(&all)))
}

/// The known parts of all branches give the residuals of all, zeros for those of the branches that were
/// not taken.
pub(super) fn split(branches: &[Program], unknown: &[bool]) -> Result<Split> {
    debug_assert!(!unknown[0], "an index is an integer, which is always known");
    let unknown = &unknown[1..];
    let outputs = branches[0].outputs().len();
    let (splits, unknown_outputs) = unify(branches, outputs, |branch, required| {
        let split = split_program(branch, unknown, required)?;
        let mask = split.unknown_outputs.clone();
        Ok((split, mask))
    })?;
    let known_outputs = unknown_outputs.iter().filter(|unknown| !**unknown).count();
    // Places for residuals: each branch takes the first free ones of the right kind.
    let mut places: Vec<Aval> = Vec::new();
    let places_of: Vec<Vec<usize>> = splits
        .iter()
        .map(|split| {
            let mut taken = vec![false; places.len()];
            (0..split.computed_residuals)
                .map(|i| {
                    let aval = split.known.output_aval(known_outputs + i).strong();
                    let free = (0..taken.len()).find(|&place| !taken[place] && places[place] == aval);
                    let place = free.unwrap_or_else(|| {
                        places.push(aval);
                        taken.push(false);
                        places.len() - 1
                    });
                    taken[place] = true;
                    place
                })
                .collect()
        })
        .collect();
    let known = splits
        .iter()
        .zip(&places_of)
        .map(|(split, places_of)| known_branch(&split.known, known_outputs, &places, places_of))
        .collect::<Result<_>>()?;
    // All known operands go to every rest, since branches differ in those that they use.
    let known_operands = indices(unknown, false);
    let linear = splits
        .iter()
        .zip(&places_of)
        .map(|(split, places_of)| {
            let mut builder = ProgramBuilder::new();
            let avals = branches[0].input_avals();
            let inputs: Vec<Atom> = known_operands.iter().map(|&i| builder.input(avals[i].clone())).collect();
            let residuals: Vec<Atom> = places.iter().map(|aval| builder.input(aval.clone())).collect();
            let unknown: Vec<Atom> = indices(unknown, true).iter().map(|&i| builder.input(avals[i].clone())).collect();
            let used = split
                .input_residuals
                .iter()
                .map(|i| inputs[known_operands.iter().position(|operand| operand == i).expect("residuals are known")]);
            let operands: Vec<Atom> =
                used.chain(places_of.iter().map(|&place| residuals[place])).chain(unknown).collect();
            let results = builder.equation(super::call(&"branch".into(), split.rest.clone()).into(), operands)?;
            Ok(builder.finish(&results))
        })
        .collect::<Result<_>>()?;
    let linear_inputs = std::iter::once(0)
        .chain(known_operands.iter().map(|i| i + 1))
        .map(Source::Input)
        .chain((0..places.len()).map(Source::Residual))
        .chain(indices(unknown, true).into_iter().map(|i| Source::Input(i + 1)))
        .collect();
    Ok(Split {
        known: Control::Cond { branches: known },
        known_inputs: std::iter::once(0).chain(known_operands.iter().map(|i| i + 1)).collect(),
        residuals: places.len(),
        linear: Control::Cond { branches: linear },
        linear_inputs,
        linear_outputs: super::all(&unknown_outputs),
        unknown_outputs,
    })
}

/// The known part of a branch with its residuals in their places and zeros in the others.
fn known_branch(known: &Program, outputs: usize, places: &[Aval], places_of: &[usize]) -> Result<Program> {
    let mut builder = ProgramBuilder::new();
    let inputs: Vec<Atom> = known.input_avals().iter().map(|aval| builder.input(aval.clone())).collect();
    let results = builder.equation(super::call(&"branch".into(), known.clone()).into(), inputs)?;
    let (outputs, residuals) = results.split_at(outputs);
    let mut all = outputs.to_vec();
    for (place, aval) in places.iter().enumerate() {
        all.push(match places_of.iter().position(|of| *of == place) {
            Some(i) => residuals[i],
            None => zeros(&mut builder, aval)?,
        });
    }
    Ok(builder.finish(&all))
}

fn zeros(builder: &mut ProgramBuilder, aval: &Aval) -> Result<Atom> {
    let zero = match aval.dtype {
        DType::Bool => Literal::new(false, aval.dtype),
        dtype if dtype.is_float() => Literal::new(0.0, dtype),
        dtype => Literal::new(0, dtype),
    };
    let op = jaxnet_tensor::primitive::ShapeOp::BroadcastInDim { shape: aval.shape.clone(), dims: Default::default() };
    Ok(builder.equation(op.into(), vec![Atom::Literal(zero)])?[0])
}
