//! D.

use super::{Input, Output};
use crate::primitive::DotGeneral;

pub(super) fn run(op: &DotGeneral, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
