//! Sort.

use jaxnet_tensor::primitive::Sort;
use jaxnet_tensor::{Aval, Result, Tensor};

use super::{Batches, Cotangents, Duals};
use crate::linear::Operand;

#[allow(dead_code)]
pub(super) fn jvp(op: &Sort, _primals: &[Tensor], _tangents: &[Option<Tensor>]) -> Result<Duals> {
    panic!("{op:?}")
}

#[allow(dead_code)]
pub(super) fn transpose(op: &Sort, _ct: &Tensor, _inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    panic!("{op:?}")
}

pub(super) fn batch(op: &Sort, _size: usize, _inputs: &[Tensor], _axes: &[Option<usize>]) -> Result<Batches> {
    panic!("{op:?}")
}
