//! Compiled programs: the equations of a simplified program one after the other.
//!
//! Values are freed at their last use, or overwritten there where an operation can and nobody else has
//! their memory. Constants are made once. Loops and branches run on the host, with executables inside.

use std::collections::HashMap;

use smallvec::SmallVec;
use tch::Tensor;

use super::buffer::{Held, TorchBuffer, may_be_view};
use super::convert::{self, Torch, kind, sizes};
use super::fuse::fuse;
use super::{in_place, index, window};
use crate::aval::{Aval, Literal};
use crate::backend::{self, BoxBuffer, Executable, Operand, Value};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::primitive::{Control, DebugAction, Index, Primitive, WindowDims};
use crate::profile;
use crate::program::{Atom, Program};

/// A program made ready to run.
pub(super) struct TorchExecutable {
    device: Device,
    on: tch::Device,
    steps: Vec<Step>,
    /// The number of places for values; the inputs have the first ones.
    slots: usize,
    outputs: Vec<Source>,
    constants: Vec<Held>,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Source {
    Slot(usize),
    Constant(usize),
}

pub(super) struct Step {
    pub kind: Kind,
    pub inputs: SmallVec<[Source; 3]>,
    /// What the inputs are, but for those that another step has left.
    pub input_avals: Vec<Aval>,
    /// The slots of the results, and after them of what the step leaves for others.
    pub outputs: SmallVec<[usize; 1]>,
    pub output_avals: Vec<Aval>,
    /// Slots whose values nobody reads after this step.
    last: SmallVec<[usize; 2]>,
    /// Operands, needed no more, in whose memory the result has room.
    room: SmallVec<[usize; 2]>,
}

pub(super) enum Kind {
    Primitive(Primitive),
    /// The first operand where the last one, which may be the same, is greater than 0 or NaN; else 0.
    Rectify,
    /// Maxima of windows; further results are what the gradient needs.
    Pool(WindowDims),
    /// Their gradient.
    Unpool(WindowDims),
    /// The operands as they are.
    Same,
    Cond(Vec<TorchExecutable>),
    While {
        cond: TorchExecutable,
        body: TorchExecutable,
        cond_consts: usize,
        body_consts: usize,
    },
    Scan {
        body: TorchExecutable,
        length: usize,
        reverse: bool,
        consts: usize,
        carry: usize,
    },
    Debug(DebugAction),
    /// The linear map of a custom reverse-mode derivative, which has no forward mode.
    NotRunnable,
}

type Values = Vec<Option<Held>>;

/// The constants of a program, each once.
#[derive(Default)]
struct Constants {
    literals: Vec<Literal>,
    known: HashMap<Literal, usize>,
}

impl Constants {
    fn source(&mut self, atom: &Atom) -> Source {
        let literal = match atom {
            Atom::Var(var) => return Source::Slot(var.index()),
            Atom::Literal(literal) => *literal,
        };
        let place = *self.known.entry(literal).or_insert_with(|| {
            self.literals.push(literal);
            self.literals.len() - 1
        });
        Source::Constant(place)
    }
}

impl TorchExecutable {
    /// Compiles a program that has been simplified.
    pub fn new(device: &Device, on: tch::Device, program: &Program) -> Result<Self> {
        let mut executable = TorchExecutable {
            device: device.clone(),
            on,
            steps: Vec::with_capacity(program.equations().len()),
            slots: program.var_count(),
            outputs: Vec::new(),
            constants: Vec::new(),
        };
        let mut constants = Constants::default();
        for equation in program.equations() {
            let step = Step {
                kind: executable.kind(&equation.primitive)?,
                inputs: equation.inputs.iter().map(|atom| constants.source(atom)).collect(),
                input_avals: equation.inputs.iter().map(|atom| program.atom_aval(atom).clone()).collect(),
                outputs: equation.outputs.iter().map(|var| var.index()).collect(),
                output_avals: equation.outputs.iter().map(|&var| program.aval(var).clone()).collect(),
                last: SmallVec::new(),
                room: SmallVec::new(),
            };
            executable.steps.push(step);
        }
        executable.outputs = program.outputs().iter().map(|atom| constants.source(atom)).collect();
        fuse(&mut executable.steps, &mut constants.literals, &executable.outputs, &mut executable.slots);
        executable.find_last_uses();
        let constants = constants.literals.iter().map(|literal| convert::literal(literal, on).map(Held::new));
        executable.constants = constants.collect::<Torch<_>>().map_err(|error| executable.fail("constant", error))?;
        Ok(executable)
    }

    /// Finds for each step the values that die with it, and in which of them there is room.
    fn find_last_uses(&mut self) {
        let mut read_later = vec![false; self.slots];
        for output in &self.outputs {
            if let Source::Slot(slot) = *output {
                read_later[slot] = true;
            }
        }
        for step in self.steps.iter_mut().rev() {
            let read = step.inputs.iter().filter_map(|source| match *source {
                Source::Slot(slot) => Some(slot),
                Source::Constant(_) => None,
            });
            let dying = read.chain(step.outputs.iter().copied());
            step.last = dying.filter(|&slot| !std::mem::replace(&mut read_later[slot], true)).collect();
            step.room = (0..step.inputs.len()).filter(|&i| step.has_room(i)).collect();
        }
    }

    fn kind(&self, primitive: &Primitive) -> Result<Kind> {
        let Primitive::Control(control) = primitive else { return Ok(Kind::Primitive(primitive.clone())) };
        // Whatever a body is given is its own, as far as nobody else has it.
        let compile = |program: &Program| Self::new(&self.device, self.on, program);
        Ok(match control {
            Control::Cond { branches } => Kind::Cond(branches.iter().map(compile).collect::<Result<_>>()?),
            Control::While { cond, body, cond_consts, body_consts } => Kind::While {
                cond: compile(cond)?,
                body: compile(body)?,
                cond_consts: *cond_consts,
                body_consts: *body_consts,
            },
            Control::Scan { body, length, reverse, consts, carry } => {
                Kind::Scan { body: compile(body)?, length: *length, reverse: *reverse, consts: *consts, carry: *carry }
            }
            Control::OptimizationBarrier | Control::StopGradient => Kind::Same,
            Control::Debug(action) => Kind::Debug(action.clone()),
            Control::CustomLinear { .. } => Kind::NotRunnable,
            Control::Call { .. }
            | Control::Checkpoint { .. }
            | Control::CustomJvp { .. }
            | Control::CustomVjp { .. }
            | Control::Composite { .. } => unreachable!("{} is simplified away", control.name()),
        })
    }

    fn fail(&self, op: &str, error: tch::TchError) -> Error {
        Error::device(self.device.to_string(), format!("{op}: {}", super::message(error)))
    }

    fn execute(&self, inputs: Vec<Held>) -> Result<Vec<Held>> {
        let mut values: Values = inputs.into_iter().map(Some).collect();
        values.resize_with(self.slots, || None);
        for step in &self.steps {
            let _span = profile::span(|| step.name());
            self.step(step, &mut values)?;
            for &slot in &step.last {
                values[slot] = None;
            }
        }
        // The last reader of a value takes it, so that it stays nobody else's.
        let results = self.outputs.iter().enumerate().map(|(i, output)| match *output {
            Source::Slot(slot) if !self.outputs[i + 1..].contains(output) => {
                values[slot].take().expect("computed and not yet freed")
            }
            other => self.read(other, &values).clone(),
        });
        Ok(results.collect())
    }

    fn read<'a>(&'a self, source: Source, values: &'a Values) -> &'a Held {
        match source {
            Source::Slot(slot) => values[slot].as_ref().expect("computed and not yet freed"),
            Source::Constant(place) => &self.constants[place],
        }
    }

    fn step(&self, step: &Step, values: &mut Values) -> Result<()> {
        let results = match &step.kind {
            Kind::Primitive(primitive) => {
                let results = self.primitive(primitive, step, values);
                results.map_err(|error| self.fail(primitive.name(), error))?
            }
            Kind::Rectify => self.rectify(step, values).map_err(|error| self.fail("select", error))?,
            Kind::Pool(window) => {
                let x = &self.read(step.inputs[0], values).tensor;
                let results = window::pool_with_places(window, x, step.input_avals[0].dtype);
                results.map_err(|error| self.fail("reduce_window_max", error))?.map(Held::new).into()
            }
            Kind::Unpool(window) => {
                let (operands, avals) = self.operands(step, values);
                let operands = [operands[0], operands[1], operands[2], operands[3]];
                let gradient = window::unpool_from_places(window, operands, &avals, &step.output_avals[0]);
                vec![Held::new(gradient.map_err(|error| self.fail("select_and_scatter_add", error))?)]
            }
            Kind::Same => self.take_all(step, values),
            Kind::Cond(branches) => {
                let mut operands = self.take_all(step, values);
                let index = operands.remove(0);
                let index = self.scalar("cond", &index)?.clamp(0, branches.len() as i64 - 1);
                branches[index as usize].execute(operands)?
            }
            Kind::While { cond, body, cond_consts, body_consts } => {
                let mut operands = self.take_all(step, values);
                let mut carry = operands.split_off(cond_consts + body_consts);
                let for_body = operands.split_off(*cond_consts);
                loop {
                    let verdict = cond.execute(operands.iter().chain(&carry).cloned().collect())?;
                    if self.scalar("while", &verdict[0])? == 0 {
                        break carry;
                    }
                    carry = body.execute(for_body.iter().cloned().chain(carry).collect())?;
                }
            }
            Kind::Scan { body, length, reverse, consts, carry } => {
                let mut operands = self.take_all(step, values);
                let xs = operands.split_off(consts + carry);
                let carries = operands.split_off(*consts);
                let stacks = &step.output_avals[*carry..];
                self.scan(body, *length, *reverse, [operands, carries, xs], stacks)?
            }
            Kind::Debug(action) => {
                let operands = self.take_all(step, values);
                let buffers: Vec<BoxBuffer> = operands.iter().map(|held| TorchBuffer::boxed(held.clone())).collect();
                let described: Vec<Operand<'_>> = step
                    .input_avals
                    .iter()
                    .zip(&buffers)
                    .map(|(aval, buffer)| Operand { aval, value: Value::Buffer(&**buffer) })
                    .collect();
                backend::debug(&self.device, action, &described)?;
                operands
            }
            Kind::NotRunnable => return Err(backend::not_runnable()),
        };
        for (&slot, result) in step.outputs.iter().zip(results) {
            values[slot] = Some(result);
        }
        Ok(())
    }

    /// The operands, taken over where nobody needs them any more.
    fn take_all(&self, step: &Step, values: &mut Values) -> Vec<Held> {
        let take = |(i, source): (usize, &Source)| match *source {
            Source::Slot(slot) if step.last.contains(&slot) && !step.inputs[i + 1..].contains(source) => {
                values[slot].take().expect("computed and not yet freed")
            }
            other => self.read(other, values).clone(),
        };
        step.inputs.iter().enumerate().map(take).collect()
    }

    /// The value of a scalar that decides what to run.
    fn scalar(&self, op: &str, x: &Held) -> Result<i64> {
        x.tensor.f_int64_value(&[]).map_err(|error| self.fail(op, error))
    }

    fn primitive(&self, primitive: &Primitive, step: &Step, values: &mut Values) -> Torch<Vec<Held>> {
        if let Some(slot) = self.overwrite(primitive, step, values)? {
            return Ok(vec![values[slot].take().expect("computed and not yet freed")]);
        }
        let (operands, avals) = self.operands(step, values);
        let results = super::run(primitive, &operands, &avals, &step.output_avals, self.on)?;
        let first = step.inputs.first().filter(|_| may_be_view(primitive)).map(|&source| self.read(source, values));
        let held = |tensor| match first {
            Some(first) => first.view(tensor),
            None => Held::new(tensor),
        };
        Ok(results.into_iter().map(held).collect())
    }

    fn operands<'a>(
        &'a self,
        step: &'a Step,
        values: &'a Values,
    ) -> (SmallVec<[&'a Tensor; 3]>, SmallVec<[&'a Aval; 3]>) {
        let operands = step.inputs.iter().map(|&source| &self.read(source, values).tensor);
        (operands.collect(), step.input_avals.iter().collect())
    }

    /// Writes the result into an operand that nobody needs any more, and tells which; `None` where there is
    /// no such operand.
    fn overwrite(&self, primitive: &Primitive, step: &Step, values: &Values) -> Torch<Option<usize>> {
        for &i in &step.room {
            let Some((slot, own)) = self.own(step, i, values) else { continue };
            let (operands, avals) = self.operands(step, values);
            let written = match primitive {
                Primitive::Elementwise(op) => in_place::run(op, &operands, &avals, own)?,
                Primitive::Index(Index::DynamicUpdateSlice) if i == 0 => {
                    let _ = index::update(own.shallow_clone(), &operands, &avals)?;
                    true
                }
                _ => false,
            };
            if written {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    fn rectify(&self, step: &Step, values: &mut Values) -> Torch<Vec<Held>> {
        let read = |i: usize| &self.read(step.inputs[i], values).tensor;
        let (y, x) = (read(0), step.inputs.get(1).map(|_| read(1)));
        let room = step.room.iter().find_map(|&i| self.own(step, i, values));
        let _ = match (room, x) {
            (None, None) => return Ok(vec![Held::new(y.f_threshold(0.0, 0.0)?)]),
            (None, Some(x)) => return Ok(vec![Held::new(x.f_threshold_backward(y, 0.0)?)]),
            (Some((_, out)), None) => y.f_threshold_out(out, 0.0, 0.0)?,
            (Some((_, out)), Some(x)) => x.f_threshold_backward_grad_input(out, y, 0.0)?,
        };
        let (slot, _) = room.expect("the other cases have returned");
        Ok(vec![values[slot].take().expect("computed and not yet freed")])
    }

    /// The slot and the array of an operand in whose memory there is room, if nobody else has that memory.
    fn own<'a>(&'a self, step: &Step, i: usize, values: &'a Values) -> Option<(usize, &'a Tensor)> {
        let Source::Slot(slot) = step.inputs[i] else { return None };
        let own = self.read(step.inputs[i], values);
        // A broadcast array has fewer elements than it seems to have.
        (own.is_alone() && own.tensor.is_contiguous()).then_some((slot, &own.tensor))
    }

    fn scan(
        &self,
        body: &TorchExecutable,
        length: usize,
        reverse: bool,
        [consts, mut carry, xs]: [Vec<Held>; 3],
        stacks: &[Aval],
    ) -> Result<Vec<Held>> {
        let fail = |error| self.fail("scan", error);
        let count = carry.len();
        let stacks: Vec<Tensor> = stacks
            .iter()
            .map(|aval| Tensor::f_empty(sizes(&aval.shape), (kind(aval.dtype), self.on)))
            .collect::<Torch<_>>()
            .map_err(fail)?;
        for step in 0..length {
            let i = if reverse { length - 1 - step } else { step } as i64;
            let mut inputs = Vec::with_capacity(consts.len() + count + xs.len());
            inputs.extend(consts.iter().cloned());
            inputs.append(&mut carry);
            for x in &xs {
                inputs.push(x.view(x.tensor.f_select(0, i).map_err(fail)?));
            }
            let mut results = body.execute(inputs)?;
            for (stack, y) in stacks.iter().zip(results.drain(count..)) {
                stack.f_select(0, i).and_then(|mut row| row.f_copy_(&y.tensor)).map_err(fail)?;
            }
            carry = results;
        }
        carry.extend(stacks.into_iter().map(Held::new));
        Ok(carry)
    }
}

impl Step {
    /// For profiles.
    fn name(&self) -> String {
        let name = match &self.kind {
            Kind::Primitive(primitive) => primitive.name(),
            Kind::Rectify => "rectify",
            Kind::Pool(_) => "pool",
            Kind::Unpool(_) => "unpool",
            Kind::Same => "alias",
            Kind::Cond(_) => "cond",
            Kind::While { .. } => "while",
            Kind::Scan { .. } => "scan",
            Kind::Debug(_) => "debug",
            Kind::NotRunnable => "custom_linear",
        };
        self.output_avals.first().map_or_else(|| name.into(), |aval| format!("{name} {aval}"))
    }

    /// Whether the result may be written into this operand's memory, as far as that is nobody else's.
    fn has_room(&self, i: usize) -> bool {
        let Source::Slot(slot) = self.inputs[i] else { return false };
        let read_once = self.inputs.iter().filter(|&&source| source == self.inputs[i]).count() == 1;
        self.last.contains(&slot)
            && read_once
            && self.output_avals.len() == 1
            && self.input_avals.get(i).is_some_and(|aval| aval.matches(&self.output_avals[0]))
    }
}

impl Executable for TorchExecutable {
    fn run(&self, inputs: Vec<BoxBuffer>) -> Result<Vec<BoxBuffer>> {
        let inputs: Vec<Held> = inputs.into_iter().map(TorchBuffer::unbox).collect();
        let _without_autograd = tch::no_grad_guard();
        Ok(self.execute(inputs)?.into_iter().map(TorchBuffer::boxed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Buffer;
    use crate::dtype::{DType, as_bytes};
    use crate::program::stage::stage;
    use crate::{Tensor as Array, lax};

    fn upload(device: &Device, x: &[f32]) -> BoxBuffer {
        device.backend().upload(0, &Aval::new(DType::F32, [x.len()]), as_bytes(x)).unwrap()
    }

    fn read(device: &Device, buffer: &dyn Buffer) -> Vec<f32> {
        let mut values = vec![0_f32; 4];
        let aval = Aval::new(DType::F32, [4]);
        device.backend().download(buffer, &aval, crate::dtype::as_bytes_mut(&mut values)).unwrap();
        values
    }

    fn memory(buffer: &dyn Buffer) -> usize {
        TorchBuffer::of(buffer).tensor.data_ptr() as usize
    }

    /// Where the result of `f` is, and where its operand was; and what the operand is afterwards if kept.
    fn places(shared: bool, f: impl Fn(&Array) -> Result<Array>) -> (bool, Vec<f32>) {
        let device = Device::torch(0).unwrap();
        let staged = stage(&[Aval::new(DType::F32, [4])], |x| Ok(vec![f(&x[0])?])).unwrap();
        let executable = device.backend().compile(&device, &staged.program).unwrap();
        let x = upload(&device, &[1.0, 2.0, 3.0, 4.0]);
        let (place, other) = (memory(&*x), shared.then(|| x.share()));
        let result = executable.run(vec![x]).unwrap();
        let kept = other.map_or(Vec::new(), |other| read(&device, &*other));
        (memory(&*result[0]) == place, kept)
    }

    #[test]
    fn results_take_the_place_of_donated_operands() {
        let chain = |x: &Array| Ok(-((x * 3.0).exp()));
        assert_eq!(places(false, chain), (true, vec![]));
        assert_eq!(places(true, chain), (false, vec![1.0, 2.0, 3.0, 4.0]));
        // A view of the operand is on its memory, which may be written to once the operand is not needed.
        let through_views = |x: &Array| lax::reshape(&(&lax::reshape(x, [2, 2])? * 2.0), [4]);
        assert_eq!(places(false, through_views), (true, vec![]));
        assert_eq!(places(true, through_views), (false, vec![1.0, 2.0, 3.0, 4.0]));
        // The second operand is read after the first is written.
        let reversed = |x: &Array| Ok(&(x + 1.0) * &lax::reverse(x, &[0])?);
        assert_eq!(places(true, reversed), (false, vec![1.0, 2.0, 3.0, 4.0]));
    }

    #[test]
    fn results_are_their_own_only_without_views() {
        let device = Device::torch(0).unwrap();
        let staged = stage(&[Aval::new(DType::F32, [4])], |x| {
            let own = x[0].exp();
            Ok(vec![lax::reshape(&own, [2, 2])?, own, &x[0] + 1.0])
        });
        let executable = device.backend().compile(&device, &staged.unwrap().program).unwrap();
        let mut results = executable.run(vec![upload(&device, &[0.0; 4])]).unwrap();
        assert_eq!(results.iter().map(|result| result.is_unique()).collect::<Vec<_>>(), [false, false, true]);
        results.remove(0);
        assert!(results[0].is_unique());
    }
}
