//! Transforms of whole programs, for the primitives that hold programs. Each is remembered, so that a
//! loop that is differentiated in every training step is transformed once.

use std::sync::OnceLock;

use jaxnet_tensor::program::stage::stage_closed;
use jaxnet_tensor::program::{Atom, ProgramBuilder, Var};
use jaxnet_tensor::{Aval, Error, Memo, Primitive, Program, Result, Tensor};

use crate::batch::{batch_leaves, move_batch};
use crate::forward::jvp_leaves;
use crate::linear::record_part;
use crate::rules::control::{Source, split_control};

const REMEMBERED: usize = 1024;

/// A program, and for each result whether it has what the transform is about.
pub(crate) type Masked = (Program, Vec<bool>);

/// Those of some things for which the mask holds.
pub(crate) fn filter<'a, T>(items: &'a [T], mask: &'a [bool]) -> impl Iterator<Item = &'a T> + 'a {
    items.iter().zip(mask).filter(|(_, keep)| **keep).map(|(item, _)| item)
}

/// One value for each true entry of the mask, `None` for the others.
pub(crate) fn spread<T>(values: impl IntoIterator<Item = T>, mask: &[bool]) -> Vec<Option<T>> {
    let mut values = values.into_iter();
    mask.iter().map(|&here| if here { values.next() } else { None }).collect()
}

/// `(inputs…, tangents…) -> (outputs…, tangents…)` with tangents of those inputs that `nonzero` tells,
/// and of the outputs that the returned mask tells: at least those of `required`.
pub(crate) fn jvp_program(program: &Program, nonzero: &[bool], required: &[bool]) -> Result<Masked> {
    type Key = (Program, Vec<bool>, Vec<bool>);
    static MEMO: OnceLock<Memo<Key, Masked>> = OnceLock::new();
    let key = (program.clone(), nonzero.to_vec(), required.to_vec());
    MEMO.get_or_init(|| Memo::new(REMEMBERED)).get_or_try_insert(key, |_| {
        let avals = program.input_avals();
        let tangents = filter(avals, nonzero).map(Aval::strong);
        let inputs: Vec<Aval> = avals.iter().cloned().chain(tangents).collect();
        let mut mask = Vec::new();
        let jvp = stage_closed("a program", &inputs, |values| {
            let (primals, tangents) = values.split_at(avals.len());
            let tangents = spread(tangents.iter().cloned(), nonzero);
            let (mut outputs, tangents) = jvp_leaves(|values| program.eval(values), primals, &tangents)?;
            mask = tangents.iter().zip(required).map(|(tangent, required)| tangent.is_some() || *required).collect();
            let tangents: Vec<Tensor> = outputs
                .iter()
                .zip(tangents)
                .zip(&mask)
                .filter(|(_, keep)| **keep)
                .map(|((output, tangent), _)| tangent.unwrap_or_else(|| output.zeros_like()))
                .collect();
            outputs.extend(tangents);
            Ok(outputs)
        })?;
        Ok((jvp, mask))
    })
}

/// The program for a batch: inputs that `batched` tells have it along the leading axis, and so have the
/// outputs that the returned mask tells: at least those of `required`.
pub(crate) fn batch_program(program: &Program, size: usize, batched: &[bool], required: &[bool]) -> Result<Masked> {
    type Key = (Program, usize, Vec<bool>, Vec<bool>);
    static MEMO: OnceLock<Memo<Key, Masked>> = OnceLock::new();
    let key = (program.clone(), size, batched.to_vec(), required.to_vec());
    MEMO.get_or_init(|| Memo::new(REMEMBERED)).get_or_try_insert(key, |_| {
        let inputs: Vec<Aval> = program
            .input_avals()
            .iter()
            .zip(batched)
            .map(|(aval, batched)| if *batched { aval.with_shape(aval.shape.with_axis(0, size)) } else { aval.clone() })
            .collect();
        let axes: Vec<Option<usize>> = batched.iter().map(|batched| batched.then_some(0)).collect();
        let mut mask = Vec::new();
        let batch = stage_closed("a program", &inputs, |values| {
            let (outputs, axes) = batch_leaves(|values| program.eval(values), size, values, &axes)?;
            mask = axes.iter().zip(required).map(|(axis, required)| axis.is_some() || *required).collect();
            outputs
                .iter()
                .zip(axes)
                .zip(&mask)
                .map(
                    |((output, axis), keep)| if *keep { move_batch(output, size, axis, 0) } else { Ok(output.clone()) },
                )
                .collect()
        })?;
        Ok((batch, mask))
    })
}

/// For a program that is linear in the inputs that `linear` tells: `(known inputs…, cotangents…) ->
/// (cotangents of linear inputs…)` with cotangents of the outputs that `nonzero` tells, and of the linear
/// inputs that the returned mask tells: at least those of `required` (both have an entry for each linear
/// input).
pub(crate) fn transpose_program(
    program: &Program,
    linear: &[bool],
    nonzero: &[bool],
    required: &[bool],
) -> Result<Masked> {
    type Key = (Program, Vec<bool>, Vec<bool>, Vec<bool>);
    static MEMO: OnceLock<Memo<Key, Masked>> = OnceLock::new();
    let key = (program.clone(), linear.to_vec(), nonzero.to_vec(), required.to_vec());
    MEMO.get_or_init(|| Memo::new(REMEMBERED)).get_or_try_insert(key, |_| {
        let avals = program.input_avals();
        let known_mask: Vec<bool> = linear.iter().map(|linear| !linear).collect();
        let known: Vec<Aval> = filter(avals, &known_mask).cloned().collect();
        let linear_avals: Vec<Aval> = filter(avals, linear).map(Aval::strong).collect();
        let outputs: Vec<Aval> = program.output_avals().map(|aval| aval.strong()).collect();
        let inputs: Vec<Aval> = known.iter().chain(filter(&outputs, nonzero)).cloned().collect();
        let mut mask = Vec::new();
        let transposed = stage_closed("a program", &inputs, |values| {
            let (known, cotangents) = values.split_at(known.len());
            let ((), linear_map) = record_part(&linear_avals, |linear_values| {
                let mut linear_values = linear_values.iter().cloned();
                let mut known = known.iter().cloned();
                let operands: Vec<Tensor> = linear
                    .iter()
                    .filter_map(|linear| if *linear { linear_values.next() } else { known.next() })
                    .collect();
                let results = program.eval(&operands)?;
                // An output without cotangent does not matter, whether it is linear or not.
                let outputs = outputs.iter().cloned().zip(results).zip(nonzero);
                Ok(((), outputs.map(|((aval, result), keep)| (aval, keep.then_some(result))).collect()))
            })?;
            let results = linear_map.transpose_once(spread(cotangents.iter().cloned(), nonzero))?;
            mask = results.iter().zip(required).map(|(result, required)| result.is_some() || *required).collect();
            let results = results.into_iter().zip(&linear_avals).zip(&mask).filter(|(_, keep)| **keep);
            results.map(|((result, aval), _)| result.map_or_else(|| jaxnet_tensor::lax::full(aval, 0), Ok)).collect()
        })?;
        Ok((transposed, mask))
    })
}

/// A program split into what can run before some inputs are known, and the rest.
#[derive(Clone)]
pub(crate) struct ProgramSplit {
    /// `(known inputs…) -> (known outputs…, computed residuals…)`.
    pub known: Program,
    /// `(input residuals…, computed residuals…, unknown inputs…) -> (unknown outputs…)`.
    pub rest: Program,
    /// The inputs of the program that `rest` uses too, by number.
    pub input_residuals: Vec<usize>,
    /// The number of computed residuals.
    pub computed_residuals: usize,
    /// Which outputs are in `rest`.
    pub unknown_outputs: Vec<bool>,
}

/// Splits a program; outputs that `required` tells are given by the rest even if they are known.
pub(crate) fn split_program(program: &Program, unknown: &[bool], required: &[bool]) -> Result<ProgramSplit> {
    type Key = (Program, Vec<bool>, Vec<bool>);
    static MEMO: OnceLock<Memo<Key, ProgramSplit>> = OnceLock::new();
    let key = (program.clone(), unknown.to_vec(), required.to_vec());
    MEMO.get_or_init(|| Memo::new(REMEMBERED))
        .get_or_try_insert(key, |_| Splitter::new(program, unknown)?.split(required))
}

struct Splitter<'a> {
    program: &'a Program,
    known: ProgramBuilder,
    rest: ProgramBuilder,
    /// Where each variable of the program is in the known part, if it is there.
    in_known: Vec<Option<Atom>>,
    /// Where each variable of the program is in the rest, if it is there.
    in_rest: Vec<Option<Atom>>,
    /// Variables that the rest gets from the known part, and what they are in the rest.
    residuals: Vec<(Var, Var)>,
    unknown_inputs: Vec<Var>,
}

impl<'a> Splitter<'a> {
    fn new(program: &'a Program, unknown: &[bool]) -> Result<Self> {
        let vars = program.var_count();
        let mut splitter = Splitter {
            program,
            known: ProgramBuilder::new(),
            rest: ProgramBuilder::new(),
            in_known: vec![None; vars],
            in_rest: vec![None; vars],
            residuals: Vec::new(),
            unknown_inputs: Vec::new(),
        };
        for (var, unknown) in program.inputs().zip(unknown) {
            let aval = program.aval(var).clone();
            if *unknown {
                let atom = splitter.rest.input(aval);
                splitter.in_rest[var.index()] = Some(atom);
                splitter.unknown_inputs.extend(atom.var());
            } else {
                splitter.in_known[var.index()] = Some(splitter.known.input(aval));
            }
        }
        for equation in program.equations() {
            splitter.equation(equation)?;
        }
        Ok(splitter)
    }

    fn is_unknown(&self, atom: &Atom) -> bool {
        // A variable is known unless only the rest has it.
        atom.var().is_some_and(|var| self.in_known[var.index()].is_none())
    }

    fn known_atom(&self, atom: &Atom) -> Atom {
        match atom {
            Atom::Var(var) => self.in_known[var.index()].expect("known"),
            literal => *literal,
        }
    }

    fn rest_atom(&mut self, atom: &Atom) -> Atom {
        let Atom::Var(var) = atom else { return *atom };
        if let Some(atom) = self.in_rest[var.index()] {
            return atom;
        }
        let atom = self.rest.input(self.program.aval(*var).clone());
        self.residuals.push((*var, atom.var().expect("inputs are variables")));
        self.in_rest[var.index()] = Some(atom);
        atom
    }

    fn equation(&mut self, equation: &jaxnet_tensor::program::Equation) -> Result<()> {
        let unknown: Vec<bool> = equation.inputs.iter().map(|atom| self.is_unknown(atom)).collect();
        if !unknown.contains(&true) {
            let inputs: Vec<Atom> = equation.inputs.iter().map(|atom| self.known_atom(atom)).collect();
            let outputs = self.known.equation(equation.primitive.clone(), inputs)?;
            for (var, atom) in equation.outputs.iter().zip(outputs) {
                self.in_known[var.index()] = Some(atom);
            }
            return Ok(());
        }
        if let Primitive::Control(control) = &equation.primitive
            && let Some(split) = split_control(control, &unknown)?
        {
            let inputs: Vec<Atom> = split.known_inputs.iter().map(|&i| self.known_atom(&equation.inputs[i])).collect();
            let mut known = self.known.equation(split.known.into(), inputs)?;
            let computed = known.split_off(known.len() - split.residuals);
            // Residuals of the part are variables of the whole that its equations do not name.
            let computed: Vec<Atom> = computed
                .into_iter()
                .map(|atom| {
                    let new = Var(self.in_known.len() as u32);
                    self.in_known.push(Some(atom));
                    let in_rest = self.rest.input(self.known.aval(&atom).clone());
                    self.in_rest.push(Some(in_rest));
                    self.residuals.push((new, in_rest.var().expect("inputs are variables")));
                    in_rest
                })
                .collect();
            let inputs: Vec<Atom> = split
                .linear_inputs
                .iter()
                .map(|source| match source {
                    Source::Input(i) => self.rest_atom(&equation.inputs[*i]),
                    Source::Residual(i) => computed[*i],
                })
                .collect();
            let rest = self.rest.equation(split.linear.into(), inputs)?;
            let mut rest = split.linear_outputs.iter().map(|&i| rest[i]);
            let mut known = known.into_iter();
            for (var, unknown) in equation.outputs.iter().zip(split.unknown_outputs) {
                if unknown {
                    self.in_rest[var.index()] = rest.next();
                } else {
                    self.in_known[var.index()] = known.next();
                }
            }
            return Ok(());
        }
        let inputs: Vec<Atom> = equation.inputs.iter().map(|atom| self.rest_atom(atom)).collect();
        let outputs = self.rest.equation(equation.primitive.clone(), inputs)?;
        for (var, atom) in equation.outputs.iter().zip(outputs) {
            self.in_rest[var.index()] = Some(atom);
        }
        Ok(())
    }

    fn split(mut self, required: &[bool]) -> Result<ProgramSplit> {
        let program = self.program;
        if required.len() != program.outputs().len() {
            return Err(Error::invalid("split", "one flag for each output is needed"));
        }
        let unknown_outputs: Vec<bool> =
            program.outputs().iter().zip(required).map(|(atom, required)| *required || self.is_unknown(atom)).collect();
        let mut known_outputs = Vec::new();
        let mut rest_outputs = Vec::new();
        for (atom, unknown) in program.outputs().iter().zip(&unknown_outputs) {
            if *unknown {
                rest_outputs.push(self.rest_atom(atom));
            } else {
                known_outputs.push(self.known_atom(atom));
            }
        }
        let is_input = |var: &Var| var.index() < program.inputs().len();
        let (inputs, computed): (Vec<_>, Vec<_>) = self.residuals.iter().copied().partition(|(var, _)| is_input(var));
        for (var, _) in &computed {
            known_outputs.push(self.in_known[var.index()].expect("residuals are known"));
        }
        let order: Vec<Var> =
            inputs.iter().chain(&computed).map(|(_, in_rest)| *in_rest).chain(self.unknown_inputs).collect();
        Ok(ProgramSplit {
            known: self.known.finish(&known_outputs),
            rest: self.rest.finish_with(&order, &rest_outputs),
            input_residuals: inputs.iter().map(|(var, _)| var.index()).collect(),
            computed_residuals: computed.len(),
            unknown_outputs,
        })
    }
}
