//! Building programs equation by equation.

use smallvec::SmallVec;

use super::{Atom, Equation, Program, Var};
use crate::aval::Aval;
use crate::error::Result;
use crate::primitive::Primitive;

/// Collects equations into a [`Program`].
///
/// Inputs may be added at any time: [`finish`](Self::finish) puts them first.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::program::ProgramBuilder;
/// use jaxnet_tensor::{primitive::{Elementwise, UnaryOp}, Aval, DType};
///
/// let mut builder = ProgramBuilder::new();
/// let x = builder.input(Aval::scalar(DType::F32));
/// let y = builder.equation(Elementwise::Unary(UnaryOp::Exp).into(), vec![x]).unwrap();
/// assert_eq!(builder.finish(&y).to_string(), "{ a:f32[] ->\n  b:f32[] = exp a\n  (b) }");
/// ```
#[derive(Default)]
pub struct ProgramBuilder {
    avals: Vec<Aval>,
    inputs: Vec<Var>,
    equations: Vec<Equation>,
}

impl ProgramBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new input.
    pub fn input(&mut self, aval: Aval) -> Atom {
        let var = self.var(aval);
        self.inputs.push(var);
        Atom::Var(var)
    }

    /// What an atom of this program is.
    pub fn aval<'a>(&'a self, atom: &'a Atom) -> &'a Aval {
        match atom {
            Atom::Var(var) => &self.avals[var.index()],
            Atom::Literal(literal) => literal.aval(),
        }
    }

    /// A new equation; gives its results.
    ///
    /// # Errors
    ///
    /// When the primitive does not take such operands.
    pub fn equation(&mut self, primitive: Primitive, inputs: impl Into<SmallVec<[Atom; 3]>>) -> Result<Vec<Atom>> {
        let inputs = inputs.into();
        let results = {
            let avals: SmallVec<[&Aval; 4]> = inputs.iter().map(|atom| self.aval(atom)).collect();
            primitive.infer(&avals)?
        };
        let outputs: SmallVec<[Var; 1]> = results.into_iter().map(|aval| self.var(aval)).collect();
        let atoms = outputs.iter().map(|&var| Atom::Var(var)).collect();
        self.equations.push(Equation { primitive, inputs, outputs });
        Ok(atoms)
    }

    /// The program with these results and with the inputs in the order in which they were added.
    pub fn finish(self, outputs: &[Atom]) -> Program {
        let inputs = self.inputs.clone();
        self.finish_with(&inputs, outputs)
    }

    /// The same with the inputs in another order; each input must be there once.
    pub fn finish_with(self, inputs: &[Var], outputs: &[Atom]) -> Program {
        let mut renamed = vec![Var(u32::MAX); self.avals.len()];
        let mut avals = Vec::with_capacity(self.avals.len());
        let mut define = |var: Var, renamed: &mut Vec<Var>| {
            renamed[var.index()] = Var(avals.len() as u32);
            avals.push(self.avals[var.index()].clone());
        };
        for &input in inputs {
            define(input, &mut renamed);
        }
        let rename = |atom: &Atom, renamed: &[Var]| match atom {
            Atom::Var(var) => Atom::Var(renamed[var.index()]),
            literal => *literal,
        };
        let mut equations = self.equations;
        for equation in &mut equations {
            for atom in &mut equation.inputs {
                *atom = rename(atom, &renamed);
            }
            for output in &mut equation.outputs {
                define(*output, &mut renamed);
                *output = renamed[output.index()];
            }
        }
        let outputs = outputs.iter().map(|atom| rename(atom, &renamed)).collect();
        Program::from_parts(avals, inputs.len(), equations, outputs)
    }

    fn var(&mut self, aval: Aval) -> Var {
        let var = Var(u32::try_from(self.avals.len()).expect("fewer than 2^32 variables"));
        self.avals.push(aval);
        var
    }
}
