//! Loops over elements that run several operations at once, block by block in the nearest cache.

use std::collections::HashMap;

use rayon::prelude::*;
use smallvec::SmallVec;

use super::fuse::{Plan, broadcast_strides};
use super::{Values, literal_word, scalar_chunk};
use crate::aval::{Aval, Literal};
use crate::backend::cpu::CpuBuffer;
use crate::backend::cpu::kernels::{self, Chunk};
use crate::dtype::DType;
use crate::primitive::{Elementwise, Primitive, ShapeOp};
use crate::program::{Atom, Program, Var};

/// Elements of a block: several of the widest elements fit the nearest cache.
const BLOCK: usize = 1024;

/// A loop.
pub(super) struct FusedStep {
    size: usize,
    inputs: Vec<LoopInput>,
    operations: Vec<Operation>,
    registers: usize,
    outputs: Vec<LoopOutput>,
}

struct LoopInput {
    slot: usize,
    dtype: DType,
    access: Access,
}

/// How a loop reads an input.
enum Access {
    /// Element by element.
    Dense,
    /// One for all.
    Scalar,
    /// With these sizes and strides, outermost first, neighbouring axes taken together.
    Strided(Vec<(usize, usize)>),
}

struct LoopOutput {
    slot: usize,
    aval: Aval,
    register: usize,
}

struct Operation {
    kind: OperationKind,
    operands: SmallVec<[Operand; 4]>,
    /// Registers and dtypes of the results.
    results: SmallVec<[(usize, DType); 2]>,
}

enum OperationKind {
    Elementwise(Elementwise),
    Threefry,
    /// Counts with this period and this many repeats of each number.
    Iota {
        repeat: usize,
        period: usize,
    },
}

#[derive(Clone, Copy)]
enum Operand {
    Input(usize),
    Register(usize, DType),
    Literal(Literal),
}

impl FusedStep {
    pub fn new(program: &Program, plan: &Plan, equations: &[usize]) -> Self {
        Builder { program, plan, inputs: Vec::new(), input_of: HashMap::new(), in_register: HashMap::new() }
            .build(equations)
    }

    pub fn reads(&self) -> Vec<usize> {
        let mut slots: Vec<usize> = self.inputs.iter().map(|input| input.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    pub fn writes(&self) -> Vec<usize> {
        self.outputs.iter().map(|output| output.slot).collect()
    }

    pub fn work(&self) -> usize {
        self.size * self.operations.len().max(2)
    }

    /// Runs the loop. Inputs among `last` whose memory nobody else holds become outputs in place.
    pub fn run(&self, values: &mut Values, last: &[usize]) -> crate::Result<()> {
        let mut results: Vec<(CpuBuffer, Option<usize>)> = Vec::with_capacity(self.outputs.len());
        let mut taken: SmallVec<[usize; 4]> = SmallVec::new();
        for output in &self.outputs {
            let found = self.inputs.iter().position(|input| {
                matches!(input.access, Access::Dense)
                    && input.dtype == output.aval.dtype
                    && last.contains(&input.slot)
                    && !taken.contains(&input.slot)
                    && self.inputs.iter().filter(|other| other.slot == input.slot).count() == 1
                    && values[input.slot].as_mut().is_some_and(CpuBuffer::is_unique)
            });
            results.push(match found {
                Some(input) => {
                    let slot = self.inputs[input].slot;
                    taken.push(slot);
                    (values[slot].take().expect("just seen"), Some(input))
                }
                None => (CpuBuffer::with_dtype(output.aval.dtype, self.size), None),
            });
        }
        let in_place: SmallVec<[Option<usize>; 2]> = results.iter().map(|(_, input)| *input).collect();
        let inputs: Vec<&[u8]> =
            self.inputs.iter().map(|input| values[input.slot].as_ref().map_or(&[][..], CpuBuffer::bytes)).collect();
        let outs: Vec<&mut [u8]> = results.iter_mut().map(|(buffer, _)| buffer.bytes_mut()).collect();
        self.run_on(&inputs, &in_place, outs);
        for (output, (buffer, _)) in self.outputs.iter().zip(results) {
            values[output.slot] = Some(buffer);
        }
        Ok(())
    }

    fn run_on(&self, inputs: &[&[u8]], in_place: &[Option<usize>], mut outs: Vec<&mut [u8]>) {
        let blocks = self.size.div_ceil(BLOCK);
        let threads = rayon::current_num_threads();
        if self.work() < 1 << 16 || threads == 1 || blocks == 1 {
            let mut room = Room::new(self.registers);
            self.range(inputs, in_place, &mut outs, 0, self.size, &mut room);
            return;
        }
        // A few tasks per thread, of whole blocks, so that a slow thread does not hold up the others.
        let per_task = blocks.div_ceil(threads * 4).max(4) * BLOCK;
        let mut tasks: Vec<(usize, Vec<&mut [u8]>)> = Vec::new();
        let mut start = 0;
        while start < self.size {
            let len = per_task.min(self.size - start);
            let mut parts = Vec::with_capacity(outs.len());
            for (out, output) in outs.iter_mut().zip(&self.outputs) {
                let (part, rest) = std::mem::take(out).split_at_mut(len * output.aval.dtype.size());
                parts.push(part);
                *out = rest;
            }
            tasks.push((start, parts));
            start += len;
        }
        tasks.into_par_iter().for_each_init(
            || Room::new(self.registers),
            |room, (start, mut outs)| {
                let end = (start + per_task).min(self.size);
                self.range(inputs, in_place, &mut outs, start, end, room);
            },
        );
    }

    /// The elements `start..end`, which `outs` holds.
    fn range(
        &self,
        inputs: &[&[u8]],
        in_place: &[Option<usize>],
        outs: &mut [&mut [u8]],
        start: usize,
        end: usize,
        room: &mut Room,
    ) {
        room.gathered.resize_with(self.inputs.len(), Vec::new);
        let mut at = start;
        loop {
            let len = BLOCK.min(end - at);
            // Inputs that are not read where they are.
            for (i, input) in self.inputs.iter().enumerate() {
                let size = input.dtype.size();
                if let Access::Strided(axes) = &input.access {
                    let gathered = &mut room.gathered[i];
                    gathered.resize(BLOCK, 0);
                    gather(inputs[i], size, axes, at, len, bytemuck::cast_slice_mut(gathered));
                } else if let Some(out) = in_place.iter().position(|input| *input == Some(i)) {
                    let gathered = &mut room.gathered[i];
                    gathered.resize(BLOCK, 0);
                    let from = &outs[out][(at - start) * size..(at - start + len) * size];
                    bytemuck::cast_slice_mut::<u64, u8>(gathered)[..len * size].copy_from_slice(from);
                }
            }
            for operation in &self.operations {
                self.operation(operation, inputs, in_place, at, len, room);
            }
            for (out, output) in outs.iter_mut().zip(&self.outputs) {
                let size = output.aval.dtype.size();
                let from = &bytemuck::cast_slice::<u64, u8>(&room.registers[output.register])[..len * size];
                out[(at - start) * size..(at - start + len) * size].copy_from_slice(from);
            }
            at += len;
            if at >= end {
                return;
            }
        }
    }

    fn operation(
        &self,
        operation: &Operation,
        inputs: &[&[u8]],
        in_place: &[Option<usize>],
        at: usize,
        len: usize,
        room: &mut Room,
    ) {
        // The results leave the room while the operands are read.
        let mut results: SmallVec<[Vec<u64>; 2]> =
            operation.results.iter().map(|(register, _)| std::mem::take(&mut room.registers[*register])).collect();
        let words: SmallVec<[[u64; 1]; 4]> = operation
            .operands
            .iter()
            .map(|operand| if let Operand::Literal(literal) = operand { literal_word(literal) } else { [0] })
            .collect();
        let chunks: SmallVec<[Chunk<'_>; 4]> = operation
            .operands
            .iter()
            .zip(&words)
            .map(|(operand, word)| match operand {
                Operand::Literal(literal) => scalar_chunk(literal, word),
                Operand::Register(register, dtype) => Chunk {
                    dtype: *dtype,
                    bytes: &bytemuck::cast_slice(&room.registers[*register])[..len * dtype.size()],
                    scalar: false,
                },
                Operand::Input(i) => {
                    let input = &self.inputs[*i];
                    let size = input.dtype.size();
                    let here = matches!(input.access, Access::Strided(_)) || in_place.contains(&Some(*i));
                    match input.access {
                        _ if here => Chunk {
                            dtype: input.dtype,
                            bytes: &bytemuck::cast_slice(&room.gathered[*i])[..len * size],
                            scalar: false,
                        },
                        Access::Scalar => Chunk { dtype: input.dtype, bytes: &inputs[*i][..size], scalar: true },
                        _ => Chunk {
                            dtype: input.dtype,
                            bytes: &inputs[*i][at * size..(at + len) * size],
                            scalar: false,
                        },
                    }
                }
            })
            .collect();
        match &operation.kind {
            OperationKind::Elementwise(op) => {
                let (_, dtype) = operation.results[0];
                let out = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut results[0])[..len * dtype.size()];
                kernels::apply(op, &chunks, dtype, out);
            }
            OperationKind::Threefry => {
                let [first, second] = &mut results[..] else { unreachable!("two results") };
                let words = [0, 1, 2, 3].map(|i| crate::dtype::from_bytes::<u32>(chunks[i].bytes));
                let scalar = [0, 1, 2, 3].map(|i| chunks[i].scalar);
                let first = &mut bytemuck::cast_slice_mut::<u64, u32>(first)[..len];
                let second = &mut bytemuck::cast_slice_mut::<u64, u32>(second)[..len];
                kernels::threefry(words, scalar, first, second);
            }
            OperationKind::Iota { repeat, period } => {
                let (_, dtype) = operation.results[0];
                let out = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut results[0])[..len * dtype.size()];
                crate::with_dtype!(dtype, T => {
                    let out = crate::dtype::from_bytes_mut::<T>(out);
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = <T as crate::Element>::from_i64(((at + i) / repeat % period) as i64);
                    }
                });
            }
        }
        drop(chunks);
        for ((register, _), result) in operation.results.iter().zip(results) {
            room.registers[*register] = result;
        }
    }
}

/// The blocks of a thread.
struct Room {
    registers: Vec<Vec<u64>>,
    gathered: Vec<Vec<u64>>,
}

impl Room {
    fn new(registers: usize) -> Self {
        // Zeroed, so that blocks of booleans are valid; wide enough for any dtype.
        Room { registers: vec![vec![0; BLOCK]; registers], gathered: Vec::new() }
    }
}

/// Copies the elements `at..at + len` of a strided loop to `out`.
fn gather(from: &[u8], size: usize, axes: &[(usize, usize)], at: usize, len: usize, out: &mut [u8]) {
    match size {
        1 => gather_words::<u8>(from, axes, at, len, out),
        2 => gather_words::<u16>(from, axes, at, len, out),
        4 => gather_words::<u32>(from, axes, at, len, out),
        _ => gather_words::<u64>(from, axes, at, len, out),
    }
}

fn gather_words<W: bytemuck::Pod>(from: &[u8], axes: &[(usize, usize)], at: usize, len: usize, out: &mut [u8]) {
    let from: &[W] = bytemuck::cast_slice(from);
    let out: &mut [W] = &mut bytemuck::cast_slice_mut(out)[..len];
    let (&(inner, stride), outer) = axes.split_last().expect("a strided loop has axes");
    let mut done = 0;
    while done < len {
        let position = at + done;
        let column = position % inner;
        let mut row = position / inner;
        let mut offset = 0;
        for &(size, stride) in outer.iter().rev() {
            offset += row % size * stride;
            row /= size;
        }
        let count = (inner - column).min(len - done);
        let out = &mut out[done..done + count];
        match stride {
            0 => out.fill(from[offset]),
            1 => out.copy_from_slice(&from[offset + column..offset + column + count]),
            _ => {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = from[offset + (column + i) * stride];
                }
            }
        }
        done += count;
    }
}

struct Builder<'a> {
    program: &'a Program,
    plan: &'a Plan,
    inputs: Vec<LoopInput>,
    input_of: HashMap<Var, usize>,
    in_register: HashMap<Var, usize>,
}

impl Builder<'_> {
    fn build(mut self, equations: &[usize]) -> FusedStep {
        let program = self.program;
        let shape = program.aval(program.equations()[equations[0]].outputs[0]).shape.clone();
        let mut operations: Vec<Operation> = Vec::new();
        // A register for each value; freed ones are used again below.
        for &i in equations {
            let equation = &program.equations()[i];
            let operands: SmallVec<[Operand; 4]> =
                equation.inputs.iter().map(|atom| self.operand(atom, &shape)).collect();
            let kind = match &equation.primitive {
                Primitive::Elementwise(op) => OperationKind::Elementwise(op.clone()),
                Primitive::Random(_) => OperationKind::Threefry,
                Primitive::Shape(ShapeOp::Iota { axis, shape, .. }) => {
                    let repeat: usize = shape[axis + 1..].iter().product();
                    OperationKind::Iota { repeat: repeat.max(1), period: shape[*axis].max(1) }
                }
                other => unreachable!("{} is not elementwise", other.name()),
            };
            let results = equation
                .outputs
                .iter()
                .map(|&var| {
                    let register = self.in_register.len();
                    self.in_register.insert(var, register);
                    (register, program.aval(var).dtype)
                })
                .collect();
            operations.push(Operation { kind, operands, results });
        }
        let mut outputs: Vec<LoopOutput> = equations
            .iter()
            .flat_map(|&i| program.equations()[i].outputs.iter().copied())
            .filter(|&var| self.plan.is_read_elsewhere(var))
            .map(|var| LoopOutput {
                slot: var.index(),
                aval: program.aval(var).clone(),
                register: self.in_register[&var],
            })
            .collect();
        let registers = reuse_registers(&mut operations, &mut outputs);
        FusedStep { size: shape.size(), inputs: self.inputs, operations, registers, outputs }
    }

    fn operand(&mut self, atom: &Atom, shape: &[usize]) -> Operand {
        let var = match atom {
            Atom::Literal(literal) => return Operand::Literal(*literal),
            Atom::Var(var) => *var,
        };
        let dtype = self.program.aval(var).dtype;
        if let Some(&register) = self.in_register.get(&var) {
            return Operand::Register(register, dtype);
        }
        if let Some(&input) = self.input_of.get(&var) {
            return Operand::Input(input);
        }
        let (slot, access) = match self.plan.read_through(atom) {
            Some(equation) => {
                let equation = &self.program.equations()[equation];
                let Primitive::Shape(ShapeOp::BroadcastInDim { dims, .. }) = &equation.primitive else {
                    unreachable!("only broadcasts are read through")
                };
                let from = equation.inputs[0].var().expect("constants are not read through");
                (from.index(), strided(self.program.aval(from), shape, dims))
            }
            None if self.program.aval(var).rank() == 0 && !shape.is_empty() => (var.index(), Access::Scalar),
            None => (var.index(), Access::Dense),
        };
        let input = self.inputs.len();
        self.inputs.push(LoopInput { slot, dtype, access });
        self.input_of.insert(var, input);
        Operand::Input(input)
    }
}

/// How a loop over `shape` reads an operand that is broadcast to it.
fn strided(from: &Aval, shape: &[usize], dims: &[usize]) -> Access {
    if from.size() == 1 {
        return Access::Scalar;
    }
    let strides = broadcast_strides(from, shape, dims);
    // Axes of which one continues the other are one axis.
    let mut axes: Vec<(usize, usize)> = Vec::new();
    for (&size, &stride) in shape.iter().zip(&strides) {
        if size == 1 {
            continue;
        }
        match axes.last_mut() {
            Some((outer, outer_stride)) if *outer_stride == stride * size => {
                (*outer, *outer_stride) = (*outer * size, stride);
            }
            _ => axes.push((size, stride)),
        }
    }
    match axes[..] {
        [] => Access::Scalar,
        [(_, 1)] => Access::Dense,
        _ => Access::Strided(axes),
    }
}

/// Gives registers whose values are read for the last time to later results; the fewer there are, the
/// nearer the cache that holds them.
fn reuse_registers(operations: &mut [Operation], outputs: &mut [LoopOutput]) -> usize {
    let count = operations.iter().flat_map(|operation| &operation.results).count();
    let mut last_read = vec![0; count];
    for (i, operation) in operations.iter().enumerate() {
        for (register, _) in &operation.results {
            last_read[*register] = i;
        }
        for operand in &operation.operands {
            if let Operand::Register(register, _) = operand {
                last_read[*register] = i;
            }
        }
    }
    for output in outputs.iter() {
        last_read[output.register] = usize::MAX;
    }
    let mut renamed = vec![usize::MAX; count];
    let mut free: Vec<usize> = Vec::new();
    let mut used = 0;
    for (i, operation) in operations.iter_mut().enumerate() {
        // Operands are still being read while the results are written, so that they are freed after.
        for (register, _) in &mut operation.results {
            let new = free.pop().unwrap_or_else(|| {
                used += 1;
                used - 1
            });
            renamed[*register] = new;
        }
        let mut ended: SmallVec<[usize; 4]> = SmallVec::new();
        for operand in &mut operation.operands {
            if let Operand::Register(register, _) = operand {
                if last_read[*register] == i && !ended.contains(register) {
                    ended.push(*register);
                }
                *register = renamed[*register];
            }
        }
        for (register, _) in &mut operation.results {
            if last_read[*register] == i {
                ended.push(*register);
            }
            *register = renamed[*register];
        }
        free.extend(ended.iter().map(|&register| renamed[register]));
    }
    for output in outputs {
        output.register = renamed[output.register];
    }
    used
}
