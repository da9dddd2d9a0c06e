//! Rewriting a program into a simpler one that computes the same, for engines to compile.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Atom, Equation, Program, ProgramBuilder, Var};
use crate::aval::{Aval, Literal, Scalar};
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::{BinaryOp, Control, DotGeneral, Elementwise, Primitive, ShapeOp, UnaryOp};
use crate::shape::Dims;

/// The program with calls replaced by what they call, common subexpressions computed once, what nobody
/// uses left out, operations that do nothing removed, and transposes taken up by matrix products.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{program::{simplify, stage::stage}, Aval, DType};
///
/// let staged = stage(&[Aval::new(DType::F32, [3])], |x| {
///     let unused = x[0].sin();
///     Ok(vec![x[0].exp() + x[0].exp() * 1.0])
/// }).unwrap();
/// assert_eq!(
///     simplify(&staged.program).unwrap().to_string(),
///     "{ a:f32[3] ->\n  b:f32[3] = exp a\n  c:f32[3] = add b b\n  (c) }"
/// );
/// ```
///
/// # Errors
///
/// When the program is not well-formed.
pub fn simplify(program: &Program) -> Result<Program> {
    let mut simplifier = Simplifier::default();
    let inputs: Vec<Atom> = program.input_avals().iter().map(|aval| simplifier.builder.input(aval.clone())).collect();
    simplifier.definitions.resize(inputs.len(), None);
    let outputs = simplifier.visit(program, &inputs)?;
    Ok(without_dead_code(&simplifier.builder.finish(&outputs)))
}

#[derive(Default)]
struct Simplifier {
    builder: ProgramBuilder,
    /// What defines each variable of the new program.
    definitions: Vec<Option<(Primitive, SmallVec<[Atom; 3]>)>>,
    known: HashMap<(Primitive, SmallVec<[Atom; 3]>), Vec<Atom>>,
}

impl Simplifier {
    /// Adds the equations of a program applied to these inputs.
    fn visit(&mut self, program: &Program, inputs: &[Atom]) -> Result<Vec<Atom>> {
        let mut values: Vec<Option<Atom>> = inputs.iter().copied().map(Some).collect();
        values.resize(program.var_count(), None);
        let read = |values: &[Option<Atom>], atom: &Atom| match atom {
            Atom::Var(var) => values[var.index()].expect("defined before use"),
            literal => *literal,
        };
        for equation in program.equations() {
            let inputs: SmallVec<[Atom; 3]> = equation.inputs.iter().map(|atom| read(&values, atom)).collect();
            let outputs = self.equation(&equation.primitive, inputs)?;
            for (var, output) in equation.outputs.iter().zip(outputs) {
                values[var.index()] = Some(output);
            }
        }
        Ok(program.outputs().iter().map(|atom| read(&values, atom)).collect())
    }

    fn equation(&mut self, primitive: &Primitive, inputs: SmallVec<[Atom; 3]>) -> Result<Vec<Atom>> {
        match primitive {
            Primitive::Control(
                Control::Call { program: body, .. }
                | Control::Checkpoint { program: body }
                | Control::CustomJvp { body, .. }
                | Control::CustomVjp { body, .. }
                | Control::Composite { body, .. },
            ) => return self.visit(body, &inputs),
            Primitive::Control(Control::StopGradient) => return Ok(inputs.to_vec()),
            Primitive::Control(control) => {
                let control = control.map_programs(simplify)?;
                return self.add(control.into(), inputs);
            }
            _ => {}
        }
        if let Some(output) = self.rewrite(primitive, &inputs)? {
            return Ok(vec![output]);
        }
        self.add(primitive.clone(), inputs)
    }

    /// A new equation, unless there is one like it.
    fn add(&mut self, primitive: Primitive, inputs: SmallVec<[Atom; 3]>) -> Result<Vec<Atom>> {
        // A barrier is there to be kept apart, and effects happen each time.
        let pure = !primitive.has_effect() && primitive != Primitive::Control(Control::OptimizationBarrier);
        let key = (primitive, inputs);
        if pure && let Some(outputs) = self.known.get(&key) {
            return Ok(outputs.clone());
        }
        let outputs = self.builder.equation(key.0.clone(), key.1.clone())?;
        let definition = (outputs.len() == 1).then(|| key.clone());
        self.definitions.extend(outputs.iter().map(|_| definition.clone()));
        if pure {
            self.known.insert(key, outputs.clone());
        }
        Ok(outputs)
    }

    fn add1(&mut self, primitive: impl Into<Primitive>, inputs: SmallVec<[Atom; 3]>) -> Result<Atom> {
        // Through the rules again: what came out may be simplified further.
        Ok(self.equation(&primitive.into(), inputs)?[0])
    }

    fn aval<'a>(&'a self, atom: &'a Atom) -> &'a Aval {
        self.builder.aval(atom)
    }

    fn definition(&self, atom: &Atom) -> Option<&(Primitive, SmallVec<[Atom; 3]>)> {
        self.definitions.get(atom.var()?.index())?.as_ref()
    }

    /// What the one result of an operation is, if it is something simpler.
    fn rewrite(&mut self, primitive: &Primitive, inputs: &SmallVec<[Atom; 3]>) -> Result<Option<Atom>> {
        match primitive {
            Primitive::Elementwise(op) => self.elementwise(op, inputs),
            Primitive::Shape(op) => self.shape(op, inputs),
            Primitive::Dot(op) => self.dot(op, inputs),
            _ => Ok(None),
        }
    }

    fn elementwise(&mut self, op: &Elementwise, inputs: &SmallVec<[Atom; 3]>) -> Result<Option<Atom>> {
        if let Some(literal) = fold(op, inputs) {
            return Ok(Some(Atom::Literal(literal)));
        }
        // A repeated scalar may stand for itself beside an operand of the full shape.
        let avals: Vec<&Aval> = inputs.iter().map(|atom| self.aval(atom)).collect();
        let shape = Primitive::from(op.clone()).infer(&avals)?[0].shape.clone();
        let scalars: Vec<Option<Atom>> = inputs.iter().map(|atom| self.repeated_scalar(atom)).collect();
        if shape.rank() > 0 && scalars.iter().any(Option::is_some) {
            let replaced: SmallVec<[Atom; 3]> =
                inputs.iter().zip(&scalars).map(|(atom, scalar)| scalar.unwrap_or(*atom)).collect();
            let keeps_shape = replaced.iter().any(|atom| self.aval(atom).rank() > 0);
            if keeps_shape {
                return self.add1(op.clone(), replaced).map(Some);
            }
            // All are scalars: computed once, then repeated.
            let scalar = self.add1(op.clone(), replaced)?;
            let repeat = ShapeOp::BroadcastInDim { shape, dims: Dims::new() };
            return self.add1(repeat, [scalar].into_iter().collect()).map(Some);
        }
        let same_type = |simplifier: &Self, atom: &Atom| {
            let aval = simplifier.aval(atom);
            let dtype = match op {
                Elementwise::Convert(dtype) => *dtype,
                _ => aval.dtype,
            };
            aval.shape == shape && aval.dtype == dtype
        };
        let is = |atom: &Atom, value: f64| matches!(atom, Atom::Literal(literal) if literal.as_f64() == value);
        let kept = match (op, &inputs[..]) {
            (Elementwise::Convert(_), [x]) => Some(x),
            (Elementwise::IntegerPow(1), [x]) => Some(x),
            (Elementwise::Binary(BinaryOp::Mul), [x, one]) if is(one, 1.0) => Some(x),
            (Elementwise::Binary(BinaryOp::Mul), [one, x]) if is(one, 1.0) => Some(x),
            (Elementwise::Binary(BinaryOp::Div), [x, one]) if is(one, 1.0) => Some(x),
            // x - 0 is x for every x; x + 0 is not, for x = -0.
            (Elementwise::Binary(BinaryOp::Sub), [x, zero]) if is(zero, 0.0) && self.aval(x).dtype != DType::Bool => {
                matches!(zero, Atom::Literal(literal) if literal.as_f64().is_sign_positive()).then_some(x)
            }
            (Elementwise::Unary(UnaryOp::Neg), [x]) => match self.definition(x) {
                Some((Primitive::Elementwise(Elementwise::Unary(UnaryOp::Neg)), inner)) => {
                    return Ok(Some(inner[0]));
                }
                _ => None,
            },
            (Elementwise::Select, [Atom::Literal(pred), x, y]) => Some(if pred.as_f64() != 0.0 { x } else { y }),
            _ => None,
        };
        Ok(kept.filter(|atom| same_type(self, atom)).copied())
    }

    /// The scalar that this atom repeats, if it does.
    fn repeated_scalar(&self, atom: &Atom) -> Option<Atom> {
        match self.definition(atom)? {
            (Primitive::Shape(ShapeOp::BroadcastInDim { .. }), inner) if self.aval(&inner[0]).rank() == 0 => {
                Some(inner[0])
            }
            _ => None,
        }
    }

    fn shape(&mut self, op: &ShapeOp, inputs: &SmallVec<[Atom; 3]>) -> Result<Option<Atom>> {
        let Some(&x) = inputs.first() else { return Ok(None) };
        let from = self.aval(&x).shape.clone();
        let repeated = self.repeated_scalar(&x);
        let inner = self.definition(&x).cloned();
        match op {
            ShapeOp::Reshape { shape } if *shape == from => Ok(Some(x)),
            ShapeOp::BroadcastInDim { shape, .. } if *shape == from => Ok(Some(x)),
            ShapeOp::Transpose { permutation } if permutation.iter().is_sorted() => Ok(Some(x)),
            ShapeOp::Reverse { axes } if axes.iter().all(|&axis| from[axis] <= 1) => Ok(Some(x)),
            // What a repeated scalar becomes, but for padding and concatenation, is that scalar repeated.
            ShapeOp::Reshape { .. }
            | ShapeOp::BroadcastInDim { .. }
            | ShapeOp::Transpose { .. }
            | ShapeOp::Reverse { .. }
            | ShapeOp::Slice { .. }
                if repeated.is_some() =>
            {
                let shape = Primitive::from(op.clone()).infer(&[self.aval(&x)])?[0].shape.clone();
                if shape.rank() == 0 {
                    return Ok(repeated);
                }
                let repeat = ShapeOp::BroadcastInDim { shape, dims: Dims::new() };
                self.add1(repeat, repeated.into_iter().collect()).map(Some)
            }
            ShapeOp::Reshape { shape } => match inner {
                Some((Primitive::Shape(ShapeOp::Reshape { .. }), inner)) => {
                    self.add1(ShapeOp::Reshape { shape: shape.clone() }, inner).map(Some)
                }
                _ => Ok(None),
            },
            ShapeOp::Transpose { permutation } => match inner {
                // A product with its free axes exchanged is the product of the exchanged operands.
                Some((Primitive::Dot(dot), operands)) => {
                    let batch = dot.lhs_batch.len();
                    let lhs_free = self.aval(&operands[0]).rank() - batch - dot.lhs_contracting.len();
                    let exchanged = (0..batch).chain(batch + lhs_free..from.rank()).chain(batch..batch + lhs_free);
                    if !permutation.iter().copied().eq(exchanged) {
                        return Ok(None);
                    }
                    let dot = DotGeneral {
                        lhs_contracting: dot.rhs_contracting,
                        rhs_contracting: dot.lhs_contracting,
                        lhs_batch: dot.rhs_batch,
                        rhs_batch: dot.lhs_batch,
                    };
                    self.add1(dot, operands.into_iter().rev().collect()).map(Some)
                }
                Some((Primitive::Shape(ShapeOp::Transpose { permutation: first }), inner)) => {
                    let permutation = permutation.iter().map(|&axis| first[axis]).collect();
                    self.add1(ShapeOp::Transpose { permutation }, inner).map(Some)
                }
                // Moving axes of size 1 moves no elements.
                _ if permutation.iter().filter(|&&axis| from[axis] != 1).is_sorted() => {
                    let shape = permutation.iter().map(|&axis| from[axis]).collect();
                    self.add1(ShapeOp::Reshape { shape }, inputs.clone()).map(Some)
                }
                _ => Ok(None),
            },
            ShapeOp::BroadcastInDim { shape, dims } => match inner {
                Some((Primitive::Shape(ShapeOp::BroadcastInDim { dims: first, .. }), inner)) => {
                    let dims = first.iter().map(|&dim| dims[dim]).collect();
                    self.add1(ShapeOp::BroadcastInDim { shape: shape.clone(), dims }, inner).map(Some)
                }
                _ if shape.size() == from.size() => {
                    self.add1(ShapeOp::Reshape { shape: shape.clone() }, inputs.clone()).map(Some)
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Takes up transposes of the operands.
    fn dot(&mut self, op: &DotGeneral, inputs: &SmallVec<[Atom; 3]>) -> Result<Option<Atom>> {
        let transposed = |atom: &Atom| match self.definition(atom) {
            Some((Primitive::Shape(ShapeOp::Transpose { permutation }), inner)) => {
                Some((permutation.clone(), inner[0]))
            }
            _ => None,
        };
        // Free axes come out in the order of the operand's axes, which must stay as it is.
        let through = |contracting: &Dims, batch: &Dims, permutation: &Dims| {
            let free = DotGeneral::free(permutation.len(), contracting, batch);
            let map = |axes: &Dims| -> Dims { axes.iter().map(|&axis| permutation[axis]).collect() };
            map(&free).is_sorted().then(|| (map(contracting), map(batch)))
        };
        let mut op = op.clone();
        let mut operands = inputs.clone();
        let mut changed = false;
        if let Some((permutation, inner)) = transposed(&inputs[0])
            && let Some((contracting, batch)) = through(&op.lhs_contracting, &op.lhs_batch, &permutation)
        {
            (op.lhs_contracting, op.lhs_batch, operands[0], changed) = (contracting, batch, inner, true);
        }
        if let Some((permutation, inner)) = transposed(&inputs[1])
            && let Some((contracting, batch)) = through(&op.rhs_contracting, &op.rhs_batch, &permutation)
        {
            (op.rhs_contracting, op.rhs_batch, operands[1], changed) = (contracting, batch, inner, true);
        }
        if changed { self.add1(op, operands).map(Some) } else { Ok(None) }
    }
}

/// The value of an operation on constants, computed as the embedded engine does.
fn fold(op: &Elementwise, inputs: &[Atom]) -> Option<Literal> {
    let literals: Option<Vec<Literal>> =
        inputs.iter().map(|atom| if let Atom::Literal(literal) = atom { Some(*literal) } else { None }).collect();
    let literals = literals?;
    let avals: Vec<&Aval> = literals.iter().map(Literal::aval).collect();
    let aval = Primitive::from(op.clone()).infer(&avals).ok()?.remove(0);
    let value = crate::backend::cpu::scalar(op, &literals, aval.dtype)?;
    Some(Literal { value, dtype: aval.dtype, weak: aval.weak })
}

/// The program without equations whose results nobody uses.
fn without_dead_code(program: &Program) -> Program {
    let mut live = vec![false; program.var_count()];
    let mark = |live: &mut Vec<bool>, atoms: &[Atom]| {
        for var in atoms.iter().filter_map(|atom| atom.var()) {
            live[var.index()] = true;
        }
    };
    mark(&mut live, program.outputs());
    let mut keep = vec![false; program.equations().len()];
    for (i, equation) in program.equations().iter().enumerate().rev() {
        if equation.primitive.has_effect() || equation.outputs.iter().any(|var| live[var.index()]) {
            keep[i] = true;
            mark(&mut live, &equation.inputs);
        }
    }
    let inputs = program.inputs().len();
    let mut avals: Vec<Aval> = program.input_avals().to_vec();
    let mut renamed: Vec<Var> = (0..program.var_count() as u32).map(Var).collect();
    let mut equations: Vec<Equation> = Vec::new();
    let rename = |renamed: &[Var], atom: &Atom| match atom {
        Atom::Var(var) => Atom::Var(renamed[var.index()]),
        literal => *literal,
    };
    for (equation, _) in program.equations().iter().zip(&keep).filter(|(_, keep)| **keep) {
        let inputs = equation.inputs.iter().map(|atom| rename(&renamed, atom)).collect();
        let outputs = equation
            .outputs
            .iter()
            .map(|&var| {
                renamed[var.index()] = Var(avals.len() as u32);
                avals.push(program.aval(var).clone());
                renamed[var.index()]
            })
            .collect();
        equations.push(Equation { primitive: equation.primitive.clone(), inputs, outputs });
    }
    let outputs = program.outputs().iter().map(|atom| rename(&renamed, atom)).collect();
    Program::from_parts(avals, inputs, equations, outputs)
}

/// The value of a folded constant.
pub(crate) fn scalar_of<T: crate::Element>(x: T) -> Scalar {
    match T::DTYPE {
        DType::Bool => Scalar::Bool(x.to_i64() != 0),
        dtype if dtype.is_float() => Scalar::Float(x.to_f64()),
        _ => Scalar::Int(x.to_i64()),
    }
}
