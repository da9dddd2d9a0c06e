//! Reductions over whole axes, and cumulative ones.

use std::fmt::{self, Write};

use super::{arity, check_axes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Dims;

/// A reduction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Combines all elements along some axes, which vanish.
    Reduce {
        /// How to combine.
        kind: ReduceKind,
        /// Which axes, in any order.
        axes: Dims,
    },
    /// The index of the greatest or least element along an axis, which vanishes: the first such
    /// index, and that of the first NaN where there is one.
    Arg {
        /// Which.
        kind: ArgKind,
        /// The axis.
        axis: usize,
        /// The integer dtype of the result.
        dtype: DType,
    },
    /// Combines each element with all before it along an axis.
    Cumulative {
        /// How to combine.
        kind: CumulativeKind,
        /// The axis.
        axis: usize,
        /// Combine with all after it instead.
        reverse: bool,
    },
}

/// How a reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Sum; 0 of nothing.
    Sum,
    /// Product; 1 of nothing.
    Prod,
    /// Maximum, NaN if there is one; the least value of the dtype (-inf for floats) of nothing.
    Max,
    /// Minimum, NaN if there is one; the greatest value of the dtype (inf for floats) of nothing.
    Min,
    /// Bitwise or logical and; all bits set of nothing.
    And,
    /// Bitwise or logical or; 0 of nothing.
    Or,
}

/// Which element's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ArgKind {
    Max,
    Min,
}

/// How a cumulative reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum CumulativeKind {
    Sum,
    Prod,
    Max,
    Min,
    /// `log(sum(exp(x)))`, without overflow.
    LogSumExp,
}

impl Reduce {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Reduce::Reduce { kind, .. } => match kind {
                ReduceKind::Sum => "reduce_sum",
                ReduceKind::Prod => "reduce_prod",
                ReduceKind::Max => "reduce_max",
                ReduceKind::Min => "reduce_min",
                ReduceKind::And => "reduce_and",
                ReduceKind::Or => "reduce_or",
            },
            Reduce::Arg { kind: ArgKind::Max, .. } => "argmax",
            Reduce::Arg { kind: ArgKind::Min, .. } => "argmin",
            Reduce::Cumulative { kind, .. } => match kind {
                CumulativeKind::Sum => "cumsum",
                CumulativeKind::Prod => "cumprod",
                CumulativeKind::Max => "cummax",
                CumulativeKind::Min => "cummin",
                CumulativeKind::LogSumExp => "cumlogsumexp",
            },
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Reduce::Reduce { axes, .. } => write!(f, "axes={axes:?}"),
            Reduce::Arg { axis, dtype, .. } => write!(f, "axis={axis} dtype={dtype}"),
            Reduce::Cumulative { axis, reverse, .. } => write!(f, "axis={axis} reverse={reverse}"),
        }
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        arity(self.name(), inputs, 1)?;
        let input = inputs[0];
        let refuse = || {
            Err(Error::invalid(
                self.name(),
                format!("does not take {} operands; convert them with `.astype`", input.dtype),
            ))
        };
        match self {
            Reduce::Reduce { kind, axes } => {
                check_axes(self.name(), "axes", axes, input.rank())?;
                let accepted = match kind {
                    ReduceKind::Sum | ReduceKind::Prod => input.dtype != DType::Bool,
                    ReduceKind::Max | ReduceKind::Min => true,
                    ReduceKind::And | ReduceKind::Or => !input.dtype.is_float(),
                };
                if !accepted {
                    return refuse();
                }
                Ok(input.with_shape(input.shape.without_axes(axes)))
            }
            Reduce::Arg { axis, dtype, .. } => {
                check_axes(self.name(), "axis", &[*axis], input.rank())?;
                if input.shape[*axis] == 0 {
                    return Err(Error::invalid(
                        self.name(),
                        format!("axis {axis} of {} is empty, so it has no such element", input.shape),
                    ));
                }
                if !dtype.is_integer() {
                    return Err(Error::invalid(
                        self.name(),
                        format!("an index cannot be {dtype}; use an integer dtype"),
                    ));
                }
                Ok(Aval::new(*dtype, input.shape.without_axis(*axis)))
            }
            Reduce::Cumulative { kind, axis, .. } => {
                check_axes(self.name(), "axis", &[*axis], input.rank())?;
                let accepted = match kind {
                    CumulativeKind::LogSumExp => input.dtype.is_float(),
                    _ => input.dtype != DType::Bool,
                };
                if !accepted {
                    return refuse();
                }
                Ok(input.clone())
            }
        }
    }
}
