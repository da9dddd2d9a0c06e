//! Sort.

use super::{Input, Output};
use crate::primitive::Sort;

pub(super) fn run(op: &Sort, _inputs: &[Input<'_>], _outputs: &mut [Output<'_>]) {
    panic!("{op:?}")
}
