//! I.

use super::{Input, Output};
use crate::primitive::Index;

pub(super) fn run(op: &Index, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
