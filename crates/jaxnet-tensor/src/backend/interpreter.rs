//! Running programs equation by equation, for engines without a compiler.

use std::sync::Arc;

use smallvec::SmallVec;

use super::execute::{debug, scalar_to_i64};
use super::{BoxBuffer, Buffers, Executable, Operand, Value};
use crate::aval::{Aval, Literal};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::primitive::{Control, Primitive, ShapeOp};
use crate::profile;
use crate::program::{Atom, Equation, Program, Var};
use crate::shape::Dims;

/// Runs a program by running each of its equations, and frees values after their last use.
pub struct Interpreter {
    device: Device,
    program: Program,
    last_uses: Vec<SmallVec<[Var; 2]>>,
    /// For each equation, interpreters of the programs that it holds.
    nested: Vec<Vec<Interpreter>>,
}

impl Interpreter {
    /// An executable that calls the device's [`Backend::execute`](super::Backend::execute) for each
    /// equation.
    pub fn compile(device: &Device, program: &Program) -> Arc<dyn Executable> {
        Arc::new(Self::new(device, program))
    }

    fn new(device: &Device, program: &Program) -> Self {
        let nested = |equation: &Equation| match &equation.primitive {
            Primitive::Control(control) => {
                control.programs().into_iter().map(|program| Self::new(device, program)).collect()
            }
            _ => Vec::new(),
        };
        Interpreter {
            device: device.clone(),
            program: program.clone(),
            last_uses: program.last_uses(),
            nested: program.equations().iter().map(nested).collect(),
        }
    }

    fn execute(&self, primitive: &Primitive, inputs: &[Operand<'_>]) -> Result<Buffers> {
        let avals: SmallVec<[&Aval; 4]> = inputs.iter().map(|input| input.aval).collect();
        let outputs = primitive.infer(&avals)?;
        self.device.backend().execute(self.device.index(), primitive, inputs, &outputs)
    }

    fn upload(&self, literal: &Literal) -> Result<BoxBuffer> {
        let bytes = &literal.to_bytes()[..literal.dtype.size()];
        self.device.backend().upload(self.device.index(), literal.aval(), bytes)
    }

    fn own(&self, input: &Operand<'_>) -> Result<BoxBuffer> {
        match input.value {
            Value::Buffer(buffer) => Ok(buffer.share()),
            Value::Literal(literal) => self.upload(&literal),
        }
    }

    fn own_all(&self, inputs: &[Operand<'_>]) -> Result<Vec<BoxBuffer>> {
        inputs.iter().map(|input| self.own(input)).collect()
    }

    fn control(&self, control: &Control, nested: &[Interpreter], inputs: &[Operand<'_>]) -> Result<Vec<BoxBuffer>> {
        match control {
            Control::Call { .. }
            | Control::Checkpoint { .. }
            | Control::CustomJvp { .. }
            | Control::CustomVjp { .. }
            | Control::Composite { .. } => nested[0].run(self.own_all(inputs)?),
            Control::Cond { branches } => {
                let index = scalar_to_i64(&self.device, &inputs[0])?.clamp(0, branches.len() as i64 - 1);
                nested[index as usize].run(self.own_all(&inputs[1..])?)
            }
            Control::While { cond_consts, body_consts, .. } => {
                let mut inputs = self.own_all(inputs)?;
                let mut carry = inputs.split_off(cond_consts + body_consts);
                let body_consts = inputs.split_off(*cond_consts);
                let with = |consts: &[BoxBuffer], carry: Vec<BoxBuffer>| -> Vec<BoxBuffer> {
                    consts.iter().map(|buffer| buffer.share()).chain(carry).collect()
                };
                let bool_aval = nested[0].program.output_aval(0);
                loop {
                    let shared = carry.iter().map(|buffer| buffer.share()).collect();
                    let verdict = nested[0].run(with(&inputs, shared))?;
                    let verdict = Operand { aval: bool_aval, value: Value::Buffer(&*verdict[0]) };
                    if scalar_to_i64(&self.device, &verdict)? == 0 {
                        return Ok(carry);
                    }
                    carry = nested[1].run(with(&body_consts, carry))?;
                }
            }
            Control::Scan { length, reverse, consts, carry, .. } => {
                self.scan(&nested[0], inputs, *length, *reverse, *consts, *carry)
            }
            Control::OptimizationBarrier | Control::StopGradient => self.own_all(inputs),
            Control::Debug(action) => {
                debug(&self.device, action, inputs)?;
                self.own_all(inputs)
            }
            Control::CustomLinear { .. } => Err(not_runnable()),
        }
    }

    fn scan(
        &self,
        step: &Interpreter,
        inputs: &[Operand<'_>],
        length: usize,
        reverse: bool,
        consts: usize,
        carry: usize,
    ) -> Result<Vec<BoxBuffer>> {
        let xs = &inputs[consts + carry..];
        let consts_and_carry = self.own_all(&inputs[..consts + carry])?;
        let (consts, carries) = consts_and_carry.split_at(consts);
        let mut carries: Vec<BoxBuffer> = carries.iter().map(|buffer| buffer.share()).collect();
        let y_avals: Vec<Aval> = step.program.output_avals().skip(carry).collect();
        let mut stacks: Vec<Vec<BoxBuffer>> = y_avals.iter().map(|_| Vec::with_capacity(length)).collect();
        let order: Box<dyn Iterator<Item = usize>> =
            if reverse { Box::new((0..length).rev()) } else { Box::new(0..length) };
        for i in order {
            let mut arguments: Vec<BoxBuffer> = consts.iter().map(|buffer| buffer.share()).collect();
            arguments.append(&mut carries);
            for x in xs {
                arguments.push(self.slice_leading(x, i)?);
            }
            let mut results = step.run(arguments)?;
            for (stack, y) in stacks.iter_mut().zip(results.drain(carry..)) {
                stack.push(y);
            }
            carries = results;
        }
        for (mut stack, aval) in stacks.into_iter().zip(&y_avals) {
            if reverse {
                stack.reverse();
            }
            carries.push(self.stack(&stack, aval)?);
        }
        Ok(carries)
    }

    /// Element `i` along the leading axis.
    fn slice_leading(&self, x: &Operand<'_>, i: usize) -> Result<BoxBuffer> {
        let mut starts = Dims::from_elem(0, x.aval.rank());
        let mut limits = Dims::from_slice(&x.aval.shape);
        starts[0] = i;
        limits[0] = i + 1;
        let strides = Dims::from_elem(1, x.aval.rank());
        let slice = self.execute(&ShapeOp::Slice { starts, limits, strides }.into(), &[*x])?;
        let aval = x.aval.with_shape(x.aval.shape.without_axis(0).with_axis(0, 1));
        let reshape = ShapeOp::Reshape { shape: x.aval.shape.without_axis(0) };
        self.execute(&reshape.into(), &[Operand { aval: &aval, value: Value::Buffer(&*slice[0]) }])
            .map(|mut results| results.remove(0))
    }

    /// Arrays of one shape along a new leading axis.
    fn stack(&self, parts: &[BoxBuffer], aval: &Aval) -> Result<BoxBuffer> {
        let stacked = aval.with_shape(aval.shape.with_axis(0, parts.len()));
        if parts.is_empty() {
            return self.device.backend().upload(self.device.index(), &stacked, &[]);
        }
        let one = aval.with_shape(aval.shape.with_axis(0, 1));
        let reshape = ShapeOp::Reshape { shape: one.shape.clone() }.into();
        let rows = parts
            .iter()
            .map(|part| {
                let operand = Operand { aval, value: Value::Buffer(&**part) };
                self.execute(&reshape, &[operand]).map(|mut results| results.remove(0))
            })
            .collect::<Result<Vec<_>>>()?;
        let operands: Vec<_> = rows.iter().map(|row| Operand { aval: &one, value: Value::Buffer(&**row) }).collect();
        self.execute(&ShapeOp::Concatenate { axis: 0 }.into(), &operands).map(|mut results| results.remove(0))
    }
}

impl Executable for Interpreter {
    fn run(&self, inputs: Vec<BoxBuffer>) -> Result<Vec<BoxBuffer>> {
        let program = &self.program;
        let mut values: Vec<Option<BoxBuffer>> = inputs.into_iter().map(Some).collect();
        values.resize_with(program.var_count(), || None);
        for (i, equation) in program.equations().iter().enumerate() {
            let operands: SmallVec<[Operand<'_>; 4]> = equation
                .inputs
                .iter()
                .map(|atom| Operand {
                    aval: program.atom_aval(atom),
                    value: match atom {
                        Atom::Var(var) => Value::Buffer(&**values[var.index()].as_ref().expect("not yet freed")),
                        Atom::Literal(literal) => Value::Literal(*literal),
                    },
                })
                .collect();
            let _span = profile::span(|| equation.primitive.name());
            let results = match &equation.primitive {
                Primitive::Control(control) => self.control(control, &self.nested[i], &operands)?,
                primitive => {
                    let outputs: SmallVec<[Aval; 1]> =
                        equation.outputs.iter().map(|&var| program.aval(var).clone()).collect();
                    let backend = self.device.backend();
                    backend.execute(self.device.index(), primitive, &operands, &outputs)?.into_vec()
                }
            };
            drop(operands);
            for (var, result) in equation.outputs.iter().zip(results) {
                values[var.index()] = Some(result);
            }
            for var in &self.last_uses[i] {
                values[var.index()] = None;
            }
        }
        program
            .outputs()
            .iter()
            .map(|atom| match atom {
                Atom::Var(var) => Ok(values[var.index()].as_ref().expect("results are not freed").share()),
                Atom::Literal(literal) => self.upload(literal),
            })
            .collect()
    }
}

pub(crate) fn not_runnable() -> Error {
    Error::Differentiation(
        "custom_vjp gives reverse-mode derivatives only; use custom_jvp for a function that is also \
         differentiated in forward mode"
            .into(),
    )
}
