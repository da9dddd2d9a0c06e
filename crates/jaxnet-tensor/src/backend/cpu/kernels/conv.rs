//! C.

use super::{Input, Output};
use crate::primitive::ConvGeneralDilated;

pub(super) fn run(op: &ConvGeneralDilated, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
