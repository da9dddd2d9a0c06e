//! From programs to modules.

use super::hlo::{Builder, Module, Value};
use super::{control, conv, dot, elementwise, index, linalg, random, reduce, shape, sort, window};
use crate::aval::Aval;
use crate::error::Result;
use crate::primitive::Primitive;
use crate::program::{Atom, Program};

/// The text of a program's module, which may use the memory of donated inputs for results.
pub(super) fn module(name: &str, program: &Program, donated: &[bool]) -> Result<String> {
    Module::build(name, program.input_avals(), &aliases(program, donated), |b, inputs| inline(b, program, inputs))
}

/// Which result may take over which donated input's memory: each input's first result of its shape and
/// dtype that has none yet.
pub(super) fn aliases(program: &Program, donated: &[bool]) -> Vec<(usize, usize)> {
    let mut aliases: Vec<(usize, usize)> = Vec::new();
    let mut results: Vec<_> = program.output_avals().enumerate().collect();
    for (input, aval) in program.input_avals().iter().enumerate() {
        if donated.get(input) == Some(&true)
            && let Some(found) = results.iter().position(|(_, of)| of.matches(aval))
        {
            aliases.push((results.remove(found).0, input));
        }
    }
    aliases.sort_unstable();
    aliases
}

/// A program's instructions in the middle of a computation; gives its results.
pub(super) fn inline(b: &mut Builder<'_>, program: &Program, inputs: &[Value]) -> Result<Vec<Value>> {
    let mut values: Vec<Value> = inputs.to_vec();
    let read = |b: &mut Builder<'_>, values: &[Value], atom: &Atom| match atom {
        Atom::Var(var) => values[var.index()].clone(),
        Atom::Literal(literal) => b.literal(literal),
    };
    for equation in program.equations() {
        let operands: Vec<Value> = equation.inputs.iter().map(|atom| read(b, &values, atom)).collect();
        let outputs: Vec<Aval> = equation.outputs.iter().map(|&var| program.aval(var).clone()).collect();
        // Variables are numbered in the order of their definition.
        values.extend(primitive(b, &equation.primitive, &operands, &outputs)?);
    }
    Ok(program.outputs().iter().map(|atom| read(b, &values, atom)).collect())
}

fn primitive(b: &mut Builder<'_>, primitive: &Primitive, inputs: &[Value], outputs: &[Aval]) -> Result<Vec<Value>> {
    Ok(match primitive {
        Primitive::Elementwise(op) => vec![elementwise::lower(b, op, inputs, &outputs[0])],
        Primitive::Shape(op) => vec![shape::lower(b, op, inputs, &outputs[0])],
        Primitive::Reduce(op) => vec![reduce::lower(b, op, &inputs[0], &outputs[0])],
        Primitive::Window(op) => vec![window::lower(b, op, inputs, &outputs[0])],
        Primitive::Dot(op) => vec![dot::lower(b, op, inputs, &outputs[0])],
        Primitive::Conv(op) => vec![conv::lower(b, op, inputs, &outputs[0])],
        Primitive::Index(op) => vec![index::lower(b, op, inputs, &outputs[0])],
        Primitive::Sort(op) => sort::lower(b, op, inputs, outputs),
        Primitive::Random(op) => random::lower(b, op, inputs, &outputs[0]),
        Primitive::Linalg(op) => return linalg::lower(b, op, inputs, outputs),
        Primitive::Control(op) => return control::lower(b, op, inputs, outputs),
    })
}
