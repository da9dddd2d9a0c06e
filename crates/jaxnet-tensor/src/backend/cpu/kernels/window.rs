//! W.

use super::{Input, Output};
use crate::primitive::Window;

pub(super) fn run(op: &Window, _inputs: &[Input<'_>], _output: &mut Output<'_>) {
    panic!("{op:?}")
}
