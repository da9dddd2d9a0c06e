//! Sorting.

use std::fmt::{self, Write};

use super::{Avals, arity, check_axes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A sorting operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// Sorts operands of one shape together along an axis, stably.
    ///
    /// The first `keys` operands are compared in turn. As in JAX, NaNs equal each other and are greater
    /// than anything else, and both zeros are equal.
    Sort {
        /// The axis.
        axis: usize,
        /// How many operands take part in comparisons, at least one.
        keys: usize,
        /// From the greatest to the least; equal elements still keep their order.
        descending: bool,
    },
    /// The `k` greatest elements along the last axis, from the greatest on, and their indices (i32);
    /// of equal elements the first comes first.
    TopK {
        /// How many.
        k: usize,
    },
}

impl Sort {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Sort::Sort { .. } => "sort",
            Sort::TopK { .. } => "top_k",
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Sort::Sort { axis, keys, descending } => {
                write!(f, "axis={axis} keys={keys} descending={descending}")
            }
            Sort::TopK { k } => write!(f, "k={k}"),
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Avals> {
        match self {
            Sort::Sort { axis, keys, .. } => {
                let Some(first) = inputs.first() else {
                    return Err(Error::invalid("sort", "needs at least one operand"));
                };
                check_axes("sort", "axis", &[*axis], first.rank())?;
                if inputs.iter().any(|input| input.shape != first.shape) {
                    return Err(Error::invalid("sort", format!("operands {inputs:?} must have one shape")));
                }
                if *keys == 0 || *keys > inputs.len() {
                    return Err(Error::invalid("sort", format!("cannot compare {keys} of {} operands", inputs.len())));
                }
                Ok(inputs.iter().map(|&input| input.clone()).collect())
            }
            Sort::TopK { k } => {
                arity("top_k", inputs, 1)?;
                let input = inputs[0];
                if input.rank() == 0 || *k > input.shape[input.rank() - 1] {
                    return Err(Error::invalid(
                        "top_k",
                        format!("the last axis of {} does not have {k} elements", input.shape),
                    ));
                }
                let mut shape = input.shape.clone();
                shape.dims_mut()[input.rank() - 1] = *k;
                Ok([input.with_shape(&shape), Aval::new(DType::I32, shape)].into_iter().collect())
            }
        }
    }
}
