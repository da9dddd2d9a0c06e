//! Elementwise.

use super::{Input, Output};
use crate::primitive::Elementwise;

pub(super) fn run(op: &Elementwise, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
