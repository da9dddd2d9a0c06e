//! R.

use super::{Input, Output};
use crate::primitive::Reduce;

pub(super) fn run(op: &Reduce, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
