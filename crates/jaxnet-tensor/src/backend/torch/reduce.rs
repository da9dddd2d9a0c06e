//! Reductions.

use tch::{TchError, Tensor};

use super::convert::{kind, sizes};
use super::missing;
use crate::aval::Aval;
use crate::error::Result;
use crate::primitive::{Reduce, ReduceKind};

pub(super) fn run(
    op: &Reduce,
    input: &Tensor,
    _aval: &Aval,
    output: &Aval,
) -> Result<std::result::Result<Tensor, TchError>> {
    match op {
        // libtorch reduces all axes where none is named.
        Reduce::Reduce { axes, .. } if axes.is_empty() => Ok(input.f_alias_copy()),
        Reduce::Reduce { kind: ReduceKind::Sum, axes } => {
            Ok(input.f_sum_dim_intlist(sizes(axes), false, kind(output.dtype)))
        }
        other => Err(missing(other.name())),
    }
}
