//! The closed set of primitives: everything else is composed from these.
//!
//! One file a family: what its operations are, their parameters, and the inference of their results'
//! shapes and dtypes, which is where bad input is caught. Parameters and semantics are those of XLA's
//! operation of the same name (<https://openxla.org/xla/operation_semantics>), with one liberty: an
//! operand of an elementwise operation may be a scalar beside operands of another shape.

mod control;
mod conv;
mod cost;
mod dot;
mod elementwise;
mod index;
mod linalg;
mod random;
mod reduce;
mod shape;
mod sort;
mod window;

use std::fmt;

use smallvec::SmallVec;

pub use control::{Control, DebugAction, Rule};
pub use conv::{ConvDims, ConvGeneralDilated};
pub use dot::DotGeneral;
pub use elementwise::{BinaryOp, CompareOp, Elementwise, UnaryOp};
pub use index::{GatherDims, Index, ScatterDims, ScatterKind};
pub use linalg::Linalg;
pub use random::Random;
pub use reduce::{ArgKind, CumulativeKind, Reduce, ReduceKind};
pub use shape::ShapeOp;
pub use sort::Sort;
pub use window::{SelectKind, Window, WindowDims, WindowKind};

use crate::aval::Aval;
use crate::error::{Error, Result};

/// The abstract results of a primitive, mostly one.
pub type Avals = SmallVec<[Aval; 1]>;

/// An operation that interpreters handle and backends run.
///
/// The enum is exhaustive on purpose: a new primitive must be given its place in every interpreter
/// and backend before the workspace compiles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    /// Elementwise operations.
    Elementwise(Elementwise),
    /// Operations that move elements without changing them.
    Shape(ShapeOp),
    /// Reductions and cumulative reductions.
    Reduce(Reduce),
    /// Reductions over sliding windows.
    Window(Window),
    /// Generalized matrix products.
    Dot(DotGeneral),
    /// Convolutions.
    Conv(ConvGeneralDilated),
    /// Gathers, scatters and dynamic slices.
    Index(Index),
    /// Sorting.
    Sort(Sort),
    /// Decompositions of matrices.
    Linalg(Linalg),
    /// Random bits.
    Random(Random),
    /// Operations that hold programs, and those that only direct the compiler.
    Control(Control),
}

impl Primitive {
    /// The operation's name, as in a printed program.
    pub fn name(&self) -> &'static str {
        match self {
            Primitive::Elementwise(op) => op.name(),
            Primitive::Shape(op) => op.name(),
            Primitive::Reduce(op) => op.name(),
            Primitive::Window(op) => op.name(),
            Primitive::Dot(_) => "dot_general",
            Primitive::Conv(_) => "conv_general_dilated",
            Primitive::Index(op) => op.name(),
            Primitive::Sort(op) => op.name(),
            Primitive::Linalg(op) => op.name(),
            Primitive::Random(op) => op.name(),
            Primitive::Control(op) => op.name(),
        }
    }

    /// The shapes and dtypes of the results.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the operands or the parameters.
    pub fn infer(&self, inputs: &[&Aval]) -> Result<Avals> {
        let results = self.infer_results(inputs)?;
        if let Some(result) = results.iter().find(|result| result.bytes() > MAX_BYTES) {
            return Err(Error::invalid(self.name(), format!("the result {result} is larger than any memory")));
        }
        Ok(results)
    }

    fn infer_results(&self, inputs: &[&Aval]) -> Result<Avals> {
        match self {
            Primitive::Elementwise(op) => op.infer(inputs).map(one),
            Primitive::Shape(op) => op.infer(inputs).map(one),
            Primitive::Reduce(op) => op.infer(inputs).map(one),
            Primitive::Window(op) => op.infer(inputs).map(one),
            Primitive::Dot(op) => op.infer(inputs).map(one),
            Primitive::Conv(op) => op.infer(inputs).map(one),
            Primitive::Index(op) => op.infer(inputs).map(one),
            Primitive::Sort(op) => op.infer(inputs),
            Primitive::Linalg(op) => op.infer(inputs),
            Primitive::Random(op) => op.infer(inputs),
            Primitive::Control(op) => op.infer(inputs),
        }
    }

    /// Whether running it does something beyond giving results, so that it must not be dropped.
    pub fn has_effect(&self) -> bool {
        match self {
            Primitive::Control(op) => op.has_effect(),
            _ => false,
        }
    }
}

/// More than any machine has, but not so much that sums and roundings of sizes overflow.
const MAX_BYTES: usize = isize::MAX as usize >> 3;

fn one(aval: Aval) -> Avals {
    let mut avals = Avals::new();
    avals.push(aval);
    avals
}

/// `name[parameter=value …]`, the parameters only where there are some.
impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut text = String::new();
        match self {
            Primitive::Elementwise(op) => op.parameters(&mut text),
            Primitive::Shape(op) => op.parameters(&mut text),
            Primitive::Reduce(op) => op.parameters(&mut text),
            Primitive::Window(op) => op.parameters(&mut text),
            Primitive::Dot(op) => op.parameters(&mut text),
            Primitive::Conv(op) => op.parameters(&mut text),
            Primitive::Index(op) => op.parameters(&mut text),
            Primitive::Sort(op) => op.parameters(&mut text),
            Primitive::Linalg(op) => op.parameters(&mut text),
            Primitive::Random(_) => Ok(()),
            Primitive::Control(op) => op.parameters(&mut text),
        }?;
        if text.is_empty() { Ok(()) } else { write!(f, "[{}]", text.trim_end()) }
    }
}

macro_rules! from_family {
    ($($family:ident($op:ident);)*) => {$(
        impl From<$op> for Primitive {
            fn from(op: $op) -> Self {
                Primitive::$family(op)
            }
        }
    )*};
}

from_family! {
    Elementwise(Elementwise);
    Shape(ShapeOp);
    Reduce(Reduce);
    Window(Window);
    Dot(DotGeneral);
    Conv(ConvGeneralDilated);
    Index(Index);
    Sort(Sort);
    Linalg(Linalg);
    Random(Random);
    Control(Control);
}

/// Checks the number of operands.
fn arity(op: &str, inputs: &[&Aval], expected: usize) -> Result<()> {
    if inputs.len() == expected {
        return Ok(());
    }
    Err(Error::invalid(op, format!("takes {expected} operands, got {}", inputs.len())))
}

/// Checks that axes exist and differ.
fn check_axes(op: &str, what: &str, axes: &[usize], rank: usize) -> Result<()> {
    for (i, &axis) in axes.iter().enumerate() {
        if axis >= rank {
            return Err(Error::invalid(
                op,
                format!("{what} {axes:?} has axis {axis}, but the operand has {rank} axes"),
            ));
        }
        if axes[..i].contains(&axis) {
            return Err(Error::invalid(op, format!("{what} {axes:?} names axis {axis} twice")));
        }
    }
    Ok(())
}
