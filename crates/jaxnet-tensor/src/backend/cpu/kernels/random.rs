//! Random.

use super::{Input, Output};
use crate::primitive::Random;

pub(super) fn run(op: &Random, _inputs: &[Input<'_>], _outputs: &mut [Output<'_>]) {
    panic!("{op:?}")
}
