//! Linear programs on a tape, and their transposition: how reverse mode comes from forward mode.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::trace::{Tensors, Trace, TraceRef, bind};
use jaxnet_tensor::{Aval, Error, Primitive, Result, Tensor, lax};

use crate::rules;
use crate::rules::control::{Source, split_control};

/// An operand of a linear equation, or of a transposition.
#[derive(Clone, Debug)]
pub(crate) enum Operand<L> {
    /// A value that was computed on the way forward.
    Known(Tensor),
    /// What the map is linear in.
    Linear(L),
}

/// An equation on the tape; variables are numbers.
struct Equation {
    primitive: Primitive,
    inputs: Vec<Operand<usize>>,
    outputs: Vec<usize>,
}

/// A linear function, written down as it ran.
#[derive(Default)]
pub(crate) struct Tape {
    avals: Vec<Aval>,
    equations: Vec<Equation>,
}

/// The trace that writes operations on linear values on a tape. Operations on other values are not its
/// business: they run, or are staged, as always.
struct Linearize(Arc<Mutex<Tape>>);

/// A linear value: the number of its variable.
struct Var(usize);

impl Trace for Linearize {
    fn bind(&self, this: &TraceRef, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        if let Primitive::Control(control) = primitive {
            return self.control(this, control, inputs);
        }
        self.write(this, primitive.clone(), inputs)
    }

    fn name(&self) -> &'static str {
        "linearize"
    }
}

impl Linearize {
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, this: &TraceRef, primitive: Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        let avals: Vec<&Aval> = inputs.iter().map(Tensor::aval).collect();
        let results = primitive.infer(&avals)?;
        let operand = |input: &Tensor| match this.payload::<Var>(input) {
            Some(Var(var)) => Operand::Linear(*var),
            None => Operand::Known(input.clone()),
        };
        let inputs = inputs.iter().map(operand).collect();
        let mut tape = self.lock();
        let first = tape.avals.len();
        let outputs = (first..first + results.len()).collect();
        tape.avals.extend(results.iter().cloned());
        tape.equations.push(Equation { primitive, inputs, outputs });
        Ok(results.into_iter().enumerate().map(|(i, aval)| this.value(aval, Var(first + i))).collect())
    }

    /// Runs the part of a program that does not depend on linear values, and writes the rest down.
    fn control(&self, this: &TraceRef, control: &Control, inputs: &[Tensor]) -> Result<Tensors> {
        let unknown: Vec<bool> = inputs.iter().map(|input| this.payload::<Var>(input).is_some()).collect();
        let Some(split) = split_control(control, &unknown)? else {
            return self.write(this, control.clone().into(), inputs);
        };
        let known_inputs: Vec<Tensor> = split.known_inputs.iter().map(|&i| inputs[i].clone()).collect();
        let mut known = bind(&split.known.into(), &known_inputs)?.into_vec();
        let residuals = known.split_off(known.len() - split.residuals);
        let linear_inputs: Vec<Tensor> = split
            .linear_inputs
            .iter()
            .map(|source| match source {
                Source::Input(i) => inputs[*i].clone(),
                Source::Residual(i) => residuals[*i].clone(),
            })
            .collect();
        let linear = self.write(this, split.linear.into(), &linear_inputs)?;
        let mut linear = split.linear_outputs.iter().map(|&i| linear[i].clone());
        let mut known = known.into_iter();
        let missing = || Error::Differentiation("a part of a split program has too few results".into());
        split
            .unknown_outputs
            .iter()
            .map(|unknown| if *unknown { linear.next() } else { known.next() }.ok_or_else(missing))
            .collect()
    }
}

/// A linear function of some inputs to some outputs.
pub(crate) struct Linear {
    tape: Tape,
    inputs: usize,
    outputs: Vec<Output>,
}

/// A result of a linear function.
enum Output {
    Zero(Aval),
    Var(usize),
}

/// Runs `f` on linear values of these kinds. The results that it returns as `Some` are the outputs of
/// the linear function.
pub(crate) fn record<R>(
    inputs: &[Aval],
    f: impl FnOnce(&[Tensor]) -> Result<(R, Vec<(Aval, Option<Tensor>)>)>,
) -> Result<(R, Linear)> {
    record_results(inputs, false, f)
}

/// As [`record`], of the linear part of a program: a result that does not depend on the linear values is
/// the zero that a part of a program without tangents gives where other parts, such as other branches, give
/// a tangent.
pub(crate) fn record_part<R>(
    inputs: &[Aval],
    f: impl FnOnce(&[Tensor]) -> Result<(R, Vec<(Aval, Option<Tensor>)>)>,
) -> Result<(R, Linear)> {
    record_results(inputs, true, f)
}

fn record_results<R>(
    inputs: &[Aval],
    part: bool,
    f: impl FnOnce(&[Tensor]) -> Result<(R, Vec<(Aval, Option<Tensor>)>)>,
) -> Result<(R, Linear)> {
    let tape = Arc::new(Mutex::new(Tape { avals: inputs.to_vec(), equations: Vec::new() }));
    let guard = TraceRef::start(Linearize(tape.clone()));
    let trace = guard.trace();
    let values: Vec<Tensor> = inputs.iter().enumerate().map(|(i, aval)| trace.value(aval.clone(), Var(i))).collect();
    let (result, outputs) = f(&values)?;
    let outputs = outputs
        .into_iter()
        .map(|(aval, output)| match output {
            None => Ok(Output::Zero(aval)),
            Some(output) => match trace.payload::<Var>(&output) {
                Some(Var(var)) => Ok(Output::Var(*var)),
                None if part => Ok(Output::Zero(aval)),
                None => Err(Error::Differentiation(format!(
                    "a derivative rule gave a tangent {} that does not depend on the tangents it got; it must be \
                     linear in them",
                    output.aval()
                ))),
            },
        })
        .collect::<Result<_>>()?;
    let tape = std::mem::take(&mut *tape.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((result, Linear { tape, inputs: inputs.len(), outputs }))
}

impl Linear {
    /// Applies the function.
    pub fn apply(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut values: Vec<Option<Tensor>> = inputs.iter().cloned().map(Some).collect();
        values.resize(self.tape.avals.len(), None);
        for equation in &self.tape.equations {
            let operands: Vec<Tensor> = equation
                .inputs
                .iter()
                .map(|input| match input {
                    Operand::Known(tensor) => tensor.clone(),
                    Operand::Linear(var) => values[*var].clone().expect("defined before use"),
                })
                .collect();
            for (&var, result) in equation.outputs.iter().zip(bind(&equation.primitive, &operands)?) {
                values[var] = Some(result);
            }
        }
        self.outputs
            .iter()
            .map(|output| match output {
                Output::Zero(aval) => lax::full(&aval.strong(), 0),
                Output::Var(var) => Ok(values[*var].clone().expect("defined before use")),
            })
            .collect()
    }

    /// Applies the transpose: cotangents of the outputs to cotangents of the inputs, `None` for zero.
    pub fn transpose(&self, cotangents: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let mut backward = Backward::new(self.tape.avals.len(), &self.outputs, cotangents)?;
        for equation in self.tape.equations.iter().rev() {
            backward.step(&self.tape.avals, equation)?;
        }
        Ok(backward.finish(self.inputs))
    }

    /// The same for the last time: values from the way forward are freed as they are used.
    pub fn transpose_once(mut self, cotangents: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let mut backward = Backward::new(self.tape.avals.len(), &self.outputs, cotangents)?;
        while let Some(equation) = self.tape.equations.pop() {
            backward.step(&self.tape.avals, &equation)?;
        }
        Ok(backward.finish(self.inputs))
    }
}

/// The cotangents of variables so far.
struct Backward(Vec<Option<Tensor>>);

impl Backward {
    fn new(vars: usize, outputs: &[Output], cotangents: Vec<Option<Tensor>>) -> Result<Self> {
        let mut backward = Backward(vec![None; vars]);
        for (output, cotangent) in outputs.iter().zip(cotangents) {
            if let (Output::Var(var), Some(cotangent)) = (output, cotangent) {
                backward.add(*var, cotangent)?;
            }
        }
        Ok(backward)
    }

    fn add(&mut self, var: usize, cotangent: Tensor) -> Result<()> {
        self.0[var] = Some(match self.0[var].take() {
            None => cotangent,
            Some(sum) => lax::binary(jaxnet_tensor::primitive::BinaryOp::Add, &sum, &cotangent)?,
        });
        Ok(())
    }

    fn step(&mut self, avals: &[Aval], equation: &Equation) -> Result<()> {
        let cotangents: Vec<Option<Tensor>> = equation.outputs.iter().map(|&var| self.0[var].take()).collect();
        if cotangents.iter().all(Option::is_none) {
            return Ok(());
        }
        let inputs: Vec<Operand<Aval>> = equation
            .inputs
            .iter()
            .map(|input| match input {
                Operand::Known(tensor) => Operand::Known(tensor.clone()),
                Operand::Linear(var) => Operand::Linear(avals[*var].clone()),
            })
            .collect();
        let outputs: Vec<&Aval> = equation.outputs.iter().map(|&var| &avals[var]).collect();
        let results = rules::transpose(&equation.primitive, &cotangents, &inputs, &outputs)?;
        for (input, result) in equation.inputs.iter().zip(results) {
            if let (Operand::Linear(var), Some(result)) = (input, result) {
                debug_assert!(
                    result.aval().matches(&avals[*var]),
                    "{}: cotangent {} of {}",
                    equation.primitive,
                    result.aval(),
                    avals[*var]
                );
                self.add(*var, result)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, inputs: usize) -> Vec<Option<Tensor>> {
        self.0.truncate(inputs);
        self.0
    }
}
