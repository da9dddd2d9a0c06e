//! ConvGeneralDilated.

use jaxnet_tensor::primitive::ConvGeneralDilated;
use jaxnet_tensor::{Aval, Result, Tensor};

use super::{Batches, Cotangents, Duals};
use crate::linear::Operand;

#[allow(dead_code)]
pub(super) fn jvp(op: &ConvGeneralDilated, _primals: &[Tensor], _tangents: &[Option<Tensor>]) -> Result<Duals> {
    panic!("{op:?}")
}

#[allow(dead_code)]
pub(super) fn transpose(op: &ConvGeneralDilated, _ct: &Tensor, _inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    panic!("{op:?}")
}

pub(super) fn batch(op: &ConvGeneralDilated, _size: usize, _inputs: &[Tensor], _axes: &[Option<usize>]) -> Result<Batches> {
    panic!("{op:?}")
}
