//! Programs as executables: elementwise operations fused into loops, memory used again as soon as it is
//! free, and loops and branches as executables inside.

mod control;
mod fuse;
mod fused;

use std::borrow::Cow;

use smallvec::SmallVec;

use super::kernels::{self, Input, Output};
use super::{CpuBuffer, kernels::Chunk};
use crate::aval::{Aval, Literal};
use crate::backend::{BoxBuffer, Executable};
use crate::error::Result;
use crate::primitive::{Index, Primitive, ShapeOp};
use crate::profile;
use crate::program::{Atom, Program};

use control::ControlStep;
use fuse::Plan;
use fused::FusedStep;

/// A compiled program.
pub(super) struct CpuExecutable {
    steps: Vec<Step>,
    /// The number of places for values; the inputs have the first ones.
    slots: usize,
    outputs: Vec<Source>,
    /// Whether some step has work for several threads.
    parallel: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
enum Source {
    Slot(usize),
    Literal(Literal),
}

struct Step {
    kind: Kind,
    /// Slots whose values nobody reads after this step.
    last: SmallVec<[usize; 4]>,
}

enum Kind {
    /// A loop over elements.
    Fused(Box<FusedStep>),
    /// One primitive.
    Kernel { primitive: Box<Primitive>, inputs: Vec<(Source, Aval)>, outputs: Vec<(usize, Aval)> },
    /// The same elements under another shape, or a barrier.
    Alias { from: Vec<Source>, to: Vec<usize> },
    /// A loop or a branch.
    Control(Box<ControlStep>),
}

/// The values of a run.
type Values = Vec<Option<CpuBuffer>>;

impl Source {
    /// The value as a buffer of its own handle.
    fn own(&self, values: &Values) -> CpuBuffer {
        match self {
            Source::Slot(slot) => values[*slot].clone().expect("computed and not yet freed"),
            Source::Literal(literal) => {
                CpuBuffer::from_bytes(literal.dtype, &literal.to_bytes()[..literal.dtype.size()])
            }
        }
    }

    fn input<'a>(&'a self, aval: &'a Aval, values: &'a Values) -> Input<'a> {
        match self {
            Source::Slot(slot) => Input::buffer(aval, values[*slot].as_ref().expect("computed and not yet freed")),
            Source::Literal(literal) => Input::literal(aval, literal),
        }
    }
}

impl CpuExecutable {
    /// Compiles a program that has been simplified.
    pub fn new(program: &Program) -> Result<Self> {
        let plan = Plan::new(program);
        let source = |atom: &Atom| match atom {
            Atom::Var(var) => Source::Slot(var.index()),
            Atom::Literal(literal) => Source::Literal(*literal),
        };
        let mut steps: Vec<Step> = Vec::new();
        for cluster in plan.clusters() {
            let kind = if cluster.fused {
                Kind::Fused(Box::new(FusedStep::new(program, &plan, &cluster.equations)))
            } else {
                let equation = &program.equations()[cluster.equations[0]];
                let outputs: Vec<(usize, Aval)> =
                    equation.outputs.iter().map(|&var| (var.index(), program.aval(var).clone())).collect();
                let inputs: Vec<(Source, Aval)> =
                    equation.inputs.iter().map(|atom| (source(atom), program.atom_aval(atom).clone())).collect();
                match &equation.primitive {
                    Primitive::Shape(ShapeOp::Reshape { .. })
                    | Primitive::Control(
                        crate::primitive::Control::OptimizationBarrier | crate::primitive::Control::StopGradient,
                    ) => Kind::Alias {
                        from: inputs.into_iter().map(|(source, _)| source).collect(),
                        to: outputs.into_iter().map(|(slot, _)| slot).collect(),
                    },
                    Primitive::Control(control) => Kind::Control(Box::new(ControlStep::new(control, inputs, outputs)?)),
                    primitive => Kind::Kernel { primitive: Box::new(primitive.clone()), inputs, outputs },
                }
            };
            steps.push(Step { kind, last: SmallVec::new() });
        }
        let outputs: Vec<Source> = program.outputs().iter().map(source).collect();
        mark_last_uses(&mut steps, &outputs, program.var_count());
        let parallel = steps.iter().any(Step::is_parallel);
        Ok(CpuExecutable { steps, slots: program.var_count(), outputs, parallel })
    }

    /// Runs on inputs whose memory is used again where nobody else holds it.
    fn execute(&self, inputs: Vec<CpuBuffer>) -> Result<Vec<CpuBuffer>> {
        let mut values: Values = inputs.into_iter().map(Some).collect();
        values.resize(self.slots, None);
        for step in &self.steps {
            let _span = profile::span(|| step.name());
            step.run(&mut values)?;
            for &slot in &step.last {
                values[slot] = None;
            }
        }
        // The last reader of a value takes it, so that it stays nobody else's.
        let mut results: Vec<CpuBuffer> = Vec::with_capacity(self.outputs.len());
        for (i, output) in self.outputs.iter().enumerate() {
            let again =
                |slot: usize| self.outputs[i + 1..].iter().any(|other| matches!(other, Source::Slot(s) if *s == slot));
            results.push(match output {
                Source::Slot(slot) if !again(*slot) => values[*slot].take().expect("computed and not yet freed"),
                other => other.own(&values),
            });
        }
        Ok(results)
    }
}

impl Executable for CpuExecutable {
    fn run(&self, inputs: Vec<BoxBuffer>) -> Result<Vec<BoxBuffer>> {
        let inputs: Vec<CpuBuffer> = inputs.into_iter().map(CpuBuffer::from_box).collect();
        // On a thread of the pool the kernels find the others awake.
        let outputs = if self.parallel && rayon::current_thread_index().is_none() {
            rayon::scope(|_| self.execute(inputs))
        } else {
            self.execute(inputs)
        };
        Ok(outputs?.into_iter().map(|buffer| Box::new(buffer) as BoxBuffer).collect())
    }
}

/// Elements of work from which several threads are worth waking.
const PARALLEL_WORK: usize = 1 << 18;

impl Step {
    fn reads(&self) -> Vec<usize> {
        let slots = |sources: &mut dyn Iterator<Item = &Source>| -> Vec<usize> {
            sources.filter_map(|source| if let Source::Slot(slot) = source { Some(*slot) } else { None }).collect()
        };
        match &self.kind {
            Kind::Fused(step) => step.reads(),
            Kind::Kernel { inputs, .. } => slots(&mut inputs.iter().map(|(source, _)| source)),
            Kind::Alias { from, .. } => slots(&mut from.iter()),
            Kind::Control(step) => slots(&mut step.inputs.iter().map(|(source, _)| source)),
        }
    }

    fn writes(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Fused(step) => step.writes(),
            Kind::Kernel { outputs, .. } => outputs.iter().map(|(slot, _)| *slot).collect(),
            Kind::Alias { to, .. } => to.clone(),
            Kind::Control(step) => step.outputs.iter().map(|(slot, _)| *slot).collect(),
        }
    }

    fn is_parallel(&self) -> bool {
        match &self.kind {
            Kind::Fused(step) => step.work() >= PARALLEL_WORK,
            Kind::Kernel { primitive, inputs, outputs } => {
                let size = inputs.iter().map(|(_, aval)| aval.size()).max().unwrap_or(0);
                let out = outputs.iter().map(|(_, aval)| aval.size()).max().unwrap_or(0);
                match &**primitive {
                    Primitive::Dot(op) => {
                        let inner: usize = op.lhs_contracting.iter().map(|&axis| inputs[0].1.shape[axis]).product();
                        out * inner >= PARALLEL_WORK
                    }
                    Primitive::Conv(_) => size * 9 >= PARALLEL_WORK,
                    _ => size.max(out) >= PARALLEL_WORK,
                }
            }
            Kind::Alias { .. } => false,
            Kind::Control(step) => step.is_parallel(),
        }
    }

    /// For profiles.
    fn name(&self) -> Cow<'static, str> {
        match &self.kind {
            Kind::Fused(step) => format!("fused, {} elements of work", step.work()).into(),
            Kind::Kernel { primitive, outputs, .. } => format!("{} {}", primitive.name(), outputs[0].1).into(),
            Kind::Alias { .. } => "alias".into(),
            Kind::Control(step) => step.name().into(),
        }
    }

    fn run(&self, values: &mut Values) -> Result<()> {
        match &self.kind {
            Kind::Fused(step) => step.run(values, &self.last),
            Kind::Kernel { primitive, inputs, outputs } => {
                if let Primitive::Index(Index::DynamicUpdateSlice) = **primitive
                    && let Some(result) = self.update_in_place(inputs, values)
                {
                    values[outputs[0].0] = Some(result);
                    return Ok(());
                }
                let mut buffers: SmallVec<[CpuBuffer; 1]> =
                    outputs.iter().map(|(_, aval)| CpuBuffer::with_dtype(aval.dtype, aval.size())).collect();
                let inputs: SmallVec<[Input<'_>; 4]> =
                    inputs.iter().map(|(source, aval)| source.input(aval, values)).collect();
                let mut results: SmallVec<[Output<'_>; 1]> =
                    outputs.iter().zip(&mut buffers).map(|((_, aval), buffer)| Output { aval, buffer }).collect();
                kernels::run(primitive, &inputs, &mut results)?;
                drop(results);
                drop(inputs);
                for ((slot, _), buffer) in outputs.iter().zip(buffers) {
                    values[*slot] = Some(buffer);
                }
                Ok(())
            }
            Kind::Alias { from, to } => {
                for (i, (source, slot)) in from.iter().zip(to).enumerate() {
                    let again =
                        |slot: usize| from[i + 1..].iter().any(|other| matches!(other, Source::Slot(s) if *s == slot));
                    // Taken over where it is not needed any more, so that it stays nobody else's.
                    values[*slot] = match source {
                        Source::Slot(from) if self.last.contains(from) && !again(*from) => values[*from].take(),
                        other => Some(other.own(values)),
                    };
                }
                Ok(())
            }
            Kind::Control(step) => step.run(values, &self.last),
        }
    }

    /// Writes an update into the operand itself, if nobody needs that any more.
    fn update_in_place(&self, inputs: &[(Source, Aval)], values: &mut Values) -> Option<CpuBuffer> {
        let Source::Slot(slot) = inputs[0].0 else { return None };
        let read_again = inputs[1..].iter().any(|(source, _)| matches!(source, Source::Slot(other) if *other == slot));
        if !self.last.contains(&slot) || read_again || !values[slot].as_mut()?.is_unique() {
            return None;
        }
        let mut operand = values[slot].take()?;
        let rest: SmallVec<[Input<'_>; 4]> =
            inputs[1..].iter().map(|(source, aval)| source.input(aval, values)).collect();
        kernels::update_slice(&rest, &mut Output { aval: &inputs[0].1, buffer: &mut operand });
        Some(operand)
    }
}

fn mark_last_uses(steps: &mut [Step], outputs: &[Source], slots: usize) {
    let mut needed = vec![false; slots];
    for output in outputs {
        if let Source::Slot(slot) = output {
            needed[*slot] = true;
        }
    }
    for step in steps.iter_mut().rev() {
        // What a step writes and nobody reads is freed right after it.
        for slot in step.reads().into_iter().chain(step.writes()) {
            if !std::mem::replace(&mut needed[slot], true) {
                step.last.push(slot);
            }
        }
    }
}

/// The bytes of a literal, aligned for any dtype.
fn literal_word(literal: &Literal) -> [u64; 1] {
    [u64::from_ne_bytes(literal.to_bytes())]
}

fn scalar_chunk<'a>(literal: &Literal, word: &'a [u64; 1]) -> Chunk<'a> {
    Chunk { dtype: literal.dtype, bytes: &bytemuck::bytes_of(word)[..literal.dtype.size()], scalar: true }
}
