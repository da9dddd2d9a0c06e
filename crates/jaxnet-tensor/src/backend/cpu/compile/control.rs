//! Loops and branches, as executables inside.

use super::{CpuExecutable, Source, Values};
use crate::aval::Aval;
use crate::backend::cpu::CpuBuffer;
use crate::backend::{self, Operand, Value};
use crate::device::Device;
use crate::error::Result;
use crate::primitive::{Control, DebugAction};

pub(super) struct ControlStep {
    kind: Kind,
    pub inputs: Vec<(Source, Aval)>,
    pub outputs: Vec<(usize, Aval)>,
}

enum Kind {
    Cond(Vec<CpuExecutable>),
    While {
        cond: CpuExecutable,
        body: CpuExecutable,
        cond_consts: usize,
        body_consts: usize,
    },
    Scan {
        body: CpuExecutable,
        length: usize,
        reverse: bool,
        consts: usize,
        carry: usize,
    },
    Debug(DebugAction),
    /// The linear map of a custom reverse-mode derivative, which has no forward mode.
    NotRunnable,
}

impl ControlStep {
    /// For profiles.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Cond(_) => "cond",
            Kind::While { .. } => "while",
            Kind::Scan { .. } => "scan",
            Kind::Debug(_) => "debug",
            Kind::NotRunnable => "custom_linear",
        }
    }

    pub fn new(control: &Control, inputs: Vec<(Source, Aval)>, outputs: Vec<(usize, Aval)>) -> Result<Self> {
        let kind = match control {
            Control::Cond { branches } => Kind::Cond(branches.iter().map(CpuExecutable::new).collect::<Result<_>>()?),
            Control::While { cond, body, cond_consts, body_consts } => Kind::While {
                cond: CpuExecutable::new(cond)?,
                body: CpuExecutable::new(body)?,
                cond_consts: *cond_consts,
                body_consts: *body_consts,
            },
            Control::Scan { body, length, reverse, consts, carry } => Kind::Scan {
                body: CpuExecutable::new(body)?,
                length: *length,
                reverse: *reverse,
                consts: *consts,
                carry: *carry,
            },
            Control::Debug(action) => Kind::Debug(action.clone()),
            Control::CustomLinear { .. } => Kind::NotRunnable,
            Control::Call { .. }
            | Control::Checkpoint { .. }
            | Control::CustomJvp { .. }
            | Control::CustomVjp { .. }
            | Control::Composite { .. }
            | Control::StopGradient
            | Control::OptimizationBarrier => unreachable!("{} is simplified away", control.name()),
        };
        Ok(ControlStep { kind, inputs, outputs })
    }

    pub fn is_parallel(&self) -> bool {
        match &self.kind {
            Kind::Cond(branches) => branches.iter().any(|branch| branch.parallel),
            Kind::While { cond, body, .. } => cond.parallel || body.parallel,
            Kind::Scan { body, .. } => body.parallel,
            Kind::Debug(_) | Kind::NotRunnable => false,
        }
    }

    /// The operand, taken over where nobody needs it any more.
    fn take(&self, i: usize, values: &mut Values, last: &[usize]) -> CpuBuffer {
        if let Source::Slot(slot) = self.inputs[i].0 {
            let read_again =
                self.inputs[i + 1..].iter().any(|(other, _)| matches!(other, Source::Slot(s) if *s == slot));
            if last.contains(&slot) && !read_again {
                return values[slot].take().expect("computed and not yet freed");
            }
        }
        self.inputs[i].0.own(values)
    }

    pub fn run(&self, values: &mut Values, last: &[usize]) -> Result<()> {
        let mut operands: Vec<CpuBuffer> = (0..self.inputs.len()).map(|i| self.take(i, values, last)).collect();
        let results = match &self.kind {
            Kind::Cond(branches) => {
                let rest = operands.split_off(1);
                let index = operands[0].as_slice::<i32>()[0].clamp(0, branches.len() as i32 - 1);
                branches[index as usize].execute(rest)?
            }
            Kind::While { cond, body, cond_consts, body_consts } => {
                let mut carry = operands.split_off(cond_consts + body_consts);
                let for_body = operands.split_off(*cond_consts);
                loop {
                    let verdict = cond.execute(operands.iter().chain(&carry).cloned().collect())?;
                    if !verdict[0].as_slice::<bool>()[0] {
                        break carry;
                    }
                    carry = body.execute(for_body.iter().cloned().chain(carry).collect())?;
                }
            }
            Kind::Scan { body, length, reverse, consts, carry } => {
                let xs = operands.split_off(consts + carry);
                let carries = operands.split_off(*consts);
                self.scan(body, *length, *reverse, operands, carries, xs)?
            }
            Kind::Debug(action) => {
                let device = Device::cpu_ref();
                let described: Vec<Operand<'_>> = self
                    .inputs
                    .iter()
                    .zip(&operands)
                    .map(|((_, aval), buffer)| Operand { aval, value: Value::Buffer(buffer) })
                    .collect();
                backend::debug(device, action, &described)?;
                operands
            }
            Kind::NotRunnable => return Err(backend::not_runnable()),
        };
        for ((slot, _), result) in self.outputs.iter().zip(results) {
            values[*slot] = Some(result);
        }
        Ok(())
    }

    fn scan(
        &self,
        body: &CpuExecutable,
        length: usize,
        reverse: bool,
        consts: Vec<CpuBuffer>,
        mut carry: Vec<CpuBuffer>,
        xs: Vec<CpuBuffer>,
    ) -> Result<Vec<CpuBuffer>> {
        let count = carry.len();
        let mut stacks: Vec<CpuBuffer> =
            self.outputs[count..].iter().map(|(_, aval)| CpuBuffer::with_dtype(aval.dtype, aval.size())).collect();
        for step in 0..length {
            let i = if reverse { length - 1 - step } else { step };
            let mut inputs = Vec::with_capacity(consts.len() + count + xs.len());
            inputs.extend(consts.iter().cloned());
            inputs.append(&mut carry);
            for x in &xs {
                let row = x.len() / length;
                inputs.push(x.part(i * row..(i + 1) * row));
            }
            let mut results = body.execute(inputs)?;
            for (stack, y) in stacks.iter_mut().zip(results.drain(count..)) {
                let bytes = y.bytes();
                stack.bytes_mut()[i * bytes.len()..(i + 1) * bytes.len()].copy_from_slice(bytes);
            }
            carry = results;
        }
        carry.extend(stacks);
        Ok(carry)
    }
}
