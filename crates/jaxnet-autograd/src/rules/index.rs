//! Index.

use jaxnet_tensor::primitive::Index;
use jaxnet_tensor::{Aval, Result, Tensor};

use super::{Batches, Cotangents, Duals};
use crate::linear::Operand;

#[allow(dead_code)]
pub(super) fn jvp(op: &Index, _primals: &[Tensor], _tangents: &[Option<Tensor>]) -> Result<Duals> {
    panic!("{op:?}")
}

#[allow(dead_code)]
pub(super) fn transpose(op: &Index, _ct: &Tensor, _inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    panic!("{op:?}")
}

pub(super) fn batch(op: &Index, _size: usize, _inputs: &[Tensor], _axes: &[Option<usize>]) -> Result<Batches> {
    panic!("{op:?}")
}
