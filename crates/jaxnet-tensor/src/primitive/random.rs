//! Random bits.

use super::{Avals, arity};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A source of random bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Random {
    /// The Threefry-2x32 block cipher with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as
    /// easy as 1, 2, 3"), elementwise: key words `k0`, `k1` and counter words `x0`, `x1` to two words,
    /// all u32. As in elementwise operations, scalars may stand beside any shape.
    Threefry2x32,
}

impl Random {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Random::Threefry2x32 => "threefry2x32",
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Avals> {
        let op = self.name();
        arity(op, inputs, 4)?;
        let shape = &inputs.iter().find(|input| input.rank() > 0).unwrap_or(&inputs[0]).shape;
        for input in inputs {
            if input.dtype != DType::U32 || (input.rank() > 0 && input.shape != *shape) {
                return Err(Error::invalid(op, format!("needs u32 operands of one shape, got {inputs:?}")));
            }
        }
        let aval = Aval::new(DType::U32, shape);
        Ok([aval.clone(), aval].into_iter().collect())
    }
}
