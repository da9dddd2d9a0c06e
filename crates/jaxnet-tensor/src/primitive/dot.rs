//! The generalized matrix product.

use std::fmt::{self, Write};

use super::{arity, check_axes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Dims;

/// Contracts axes of two operands, with others as batch axes.
///
/// The result's axes are the batch axes in the given order, the remaining ones of the left operand,
/// then the remaining ones of the right one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DotGeneral {
    /// The left operand's contracted axes.
    pub lhs_contracting: Dims,
    /// The right operand's contracted axes, paired with the left's.
    pub rhs_contracting: Dims,
    /// The left operand's batch axes.
    pub lhs_batch: Dims,
    /// The right operand's batch axes, paired with the left's.
    pub rhs_batch: Dims,
}

impl DotGeneral {
    /// The axes of an operand that are neither contracted nor batch axes.
    pub fn free(rank: usize, contracting: &[usize], batch: &[usize]) -> Dims {
        (0..rank).filter(|axis| !contracting.contains(axis) && !batch.contains(axis)).collect()
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        write!(f, "contracting=({:?}, {:?})", self.lhs_contracting, self.rhs_contracting)?;
        if !self.lhs_batch.is_empty() {
            write!(f, " batch=({:?}, {:?})", self.lhs_batch, self.rhs_batch)?;
        }
        Ok(())
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        let op = "dot_general";
        arity(op, inputs, 2)?;
        let (lhs, rhs) = (inputs[0], inputs[1]);
        if lhs.dtype != rhs.dtype || lhs.dtype == DType::Bool {
            return Err(Error::invalid(
                op,
                format!("needs two operands of one numeric dtype, got {} and {}", lhs.dtype, rhs.dtype),
            ));
        }
        let both = |a: &[usize], b: &[usize]| -> Dims { a.iter().chain(b).copied().collect() };
        check_axes(op, "left axes", &both(&self.lhs_contracting, &self.lhs_batch), lhs.rank())?;
        check_axes(op, "right axes", &both(&self.rhs_contracting, &self.rhs_batch), rhs.rank())?;
        for (what, left, right) in
            [("contracted", &self.lhs_contracting, &self.rhs_contracting), ("batch", &self.lhs_batch, &self.rhs_batch)]
        {
            let sizes = |aval: &Aval, axes: &Dims| -> Dims { axes.iter().map(|&axis| aval.shape[axis]).collect() };
            if left.len() != right.len() || sizes(lhs, left) != sizes(rhs, right) {
                return Err(Error::invalid(
                    op,
                    format!(
                        "{what} axes {left:?} of {} and {right:?} of {} do not have the same sizes",
                        lhs.shape, rhs.shape
                    ),
                ));
            }
        }
        let shape = self
            .lhs_batch
            .iter()
            .map(|&axis| lhs.shape[axis])
            .chain(Self::free(lhs.rank(), &self.lhs_contracting, &self.lhs_batch).iter().map(|&axis| lhs.shape[axis]))
            .chain(Self::free(rhs.rank(), &self.rhs_contracting, &self.rhs_batch).iter().map(|&axis| rhs.shape[axis]))
            .collect();
        Ok(Aval { dtype: lhs.dtype, shape, weak: lhs.weak && rhs.weak })
    }
}
