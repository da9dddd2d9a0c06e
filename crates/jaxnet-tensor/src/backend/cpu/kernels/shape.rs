//! Shape.

use super::{Input, Output};
use crate::primitive::ShapeOp;

pub(super) fn run(op: &ShapeOp, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
