//! Traced programs: straight-line equations over primitives.

mod builder;
mod display;
mod run;
mod simplify;
pub mod stage;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

pub use builder::ProgramBuilder;
pub(crate) use run::forget;
pub use run::{run, run_named};
pub(crate) use simplify::scalar_of;
pub use simplify::simplify;

use crate::aval::{Aval, Literal};
use crate::error::{Error, Result};
use crate::primitive::Primitive;
use crate::tensor::Tensor;
use crate::trace::bind;

/// A variable of a program: its inputs come first, then the results of its equations in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

impl Var {
    /// The variable's place among all of its program.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An operand of an equation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Atom {
    /// A variable.
    Var(Var),
    /// A scalar constant.
    Literal(Literal),
}

impl Atom {
    /// The variable, if it is one.
    pub fn var(self) -> Option<Var> {
        match self {
            Atom::Var(var) => Some(var),
            Atom::Literal(_) => None,
        }
    }
}

/// `outputs = primitive inputs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Equation {
    /// The operation.
    pub primitive: Primitive,
    /// Its operands.
    pub inputs: SmallVec<[Atom; 3]>,
    /// The variables that it defines.
    pub outputs: SmallVec<[Var; 1]>,
}

/// A traced function: a cheap handle to immutable equations.
///
/// Programs with the same equations are equal, however they came about, so that compiled programs can
/// be cached by their program. `Display` prints them.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{program::stage::stage, Aval, DType};
///
/// let staged = stage(&[Aval::new(DType::F32, [3])], |x| Ok(vec![(&x[0] * 2.0).sin()])).unwrap();
/// assert_eq!(
///     staged.program.to_string(),
///     "{ a:f32[3] ->\n  b:f32[3] = mul a 2.0:f32\n  c:f32[3] = sin b\n  (c) }"
/// );
/// ```
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    avals: Vec<Aval>,
    inputs: usize,
    equations: Vec<Equation>,
    outputs: Vec<Atom>,
    hash: u64,
    effect: bool,
}

impl Program {
    /// Puts a program together from parts whose variables are numbered in order of definition.
    ///
    /// # Panics
    ///
    /// If they are not.
    pub(crate) fn from_parts(avals: Vec<Aval>, inputs: usize, equations: Vec<Equation>, outputs: Vec<Atom>) -> Self {
        let mut defined = inputs;
        for equation in &equations {
            for atom in &equation.inputs {
                assert!(atom.var().is_none_or(|var| var.index() < defined), "variable used before its definition");
            }
            for output in &equation.outputs {
                assert_eq!(output.index(), defined, "variables are numbered in order of definition");
                defined += 1;
            }
        }
        assert_eq!(avals.len(), defined, "each variable has one aval");
        let mut hasher = DefaultHasher::new();
        (&avals, inputs, &equations, &outputs).hash(&mut hasher);
        let effect = equations.iter().any(|equation| equation.primitive.has_effect());
        Program(Arc::new(Inner { avals, inputs, equations, outputs, hash: hasher.finish(), effect }))
    }

    /// The variables that hold the inputs.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Var> + use<> {
        (0..self.0.inputs as u32).map(Var)
    }

    /// What the inputs are.
    pub fn input_avals(&self) -> &[Aval] {
        &self.0.avals[..self.0.inputs]
    }

    /// The equations, in the order in which they run.
    pub fn equations(&self) -> &[Equation] {
        &self.0.equations
    }

    /// The results.
    pub fn outputs(&self) -> &[Atom] {
        &self.0.outputs
    }

    /// What the results are.
    pub fn output_avals(&self) -> impl Iterator<Item = Aval> + '_ {
        self.0.outputs.iter().map(|atom| self.atom_aval(atom).clone())
    }

    /// What result `i` is.
    pub fn output_aval(&self, i: usize) -> &Aval {
        self.atom_aval(&self.0.outputs[i])
    }

    /// What a variable is.
    pub fn aval(&self, var: Var) -> &Aval {
        &self.0.avals[var.index()]
    }

    /// What an operand is.
    pub fn atom_aval<'a>(&'a self, atom: &'a Atom) -> &'a Aval {
        match atom {
            Atom::Var(var) => self.aval(*var),
            Atom::Literal(literal) => literal.aval(),
        }
    }

    /// The number of variables.
    pub fn var_count(&self) -> usize {
        self.0.avals.len()
    }

    /// The same equations with other results.
    pub fn with_outputs(&self, outputs: &[Atom]) -> Program {
        let inner = &self.0;
        Program::from_parts(inner.avals.clone(), inner.inputs, inner.equations.clone(), outputs.to_vec())
    }

    /// Whether running it does something beyond giving results.
    pub fn has_effect(&self) -> bool {
        self.0.effect
    }

    /// How many floating-point operations it takes: see [`Primitive::flops`].
    pub fn flops(&self) -> u64 {
        let of = |equation: &Equation| {
            let inputs: SmallVec<[&Aval; 3]> = equation.inputs.iter().map(|atom| self.atom_aval(atom)).collect();
            let outputs: SmallVec<[Aval; 1]> = equation.outputs.iter().map(|var| self.aval(*var).clone()).collect();
            equation.primitive.flops(&inputs, &outputs)
        };
        self.equations().iter().map(of).fold(0, u64::saturating_add)
    }

    /// For each equation, the variables that it is the last to use and that are no results.
    pub fn last_uses(&self) -> Vec<SmallVec<[Var; 2]>> {
        let mut used_later = vec![false; self.var_count()];
        for var in self.outputs().iter().filter_map(|atom| atom.var()) {
            used_later[var.index()] = true;
        }
        let mut last = vec![SmallVec::new(); self.equations().len()];
        for (i, equation) in self.equations().iter().enumerate().rev() {
            let operands = equation.inputs.iter().filter_map(|atom| atom.var());
            for var in operands.chain(equation.outputs.iter().copied()) {
                if !std::mem::replace(&mut used_later[var.index()], true) {
                    last[i].push(var);
                }
            }
        }
        last
    }

    /// Binds each equation in turn on these inputs, so that whatever traces they carry, or are being
    /// staged, handle it.
    ///
    /// # Errors
    ///
    /// When the inputs do not fit, or an operation fails.
    pub fn eval(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        if inputs.len() != self.0.inputs {
            return Err(Error::invalid("program", format!("takes {} inputs, got {}", self.0.inputs, inputs.len())));
        }
        let mut values: Vec<Option<Tensor>> = inputs.iter().cloned().map(Some).collect();
        values.resize(self.var_count(), None);
        let read = |values: &[Option<Tensor>], atom: &Atom| match atom {
            Atom::Var(var) => values[var.index()].clone().expect("defined before use and not yet dropped"),
            Atom::Literal(literal) => Tensor::from(*literal),
        };
        for (equation, last) in self.equations().iter().zip(self.last_uses()) {
            let operands: SmallVec<[Tensor; 3]> = equation.inputs.iter().map(|atom| read(&values, atom)).collect();
            let results = bind(&equation.primitive, &operands)?;
            for (var, result) in equation.outputs.iter().zip(results) {
                values[var.index()] = Some(result);
            }
            for var in last {
                values[var.index()] = None;
            }
        }
        Ok(self.outputs().iter().map(|atom| read(&values, atom)).collect())
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        Arc::ptr_eq(a, b)
            || (a.hash == b.hash
                && a.inputs == b.inputs
                && a.outputs == b.outputs
                && a.avals == b.avals
                && a.equations == b.equations)
    }
}

impl Eq for Program {}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}
