//! Generalized matrix products, as batched ones.

use tch::Tensor;

use super::convert::{Torch, sizes};
use crate::aval::Aval;
use crate::primitive::DotGeneral;
use crate::shape::Dims;

pub(super) fn run(op: &DotGeneral, inputs: &[&Tensor], avals: &[&Aval], output: &Aval) -> Torch {
    let (lhs, rhs) = (avals[0], avals[1]);
    let lhs_free = DotGeneral::free(lhs.rank(), &op.lhs_contracting, &op.lhs_batch);
    let rhs_free = DotGeneral::free(rhs.rank(), &op.rhs_contracting, &op.rhs_batch);
    let size = |aval: &Aval, axes: &[usize]| axes.iter().map(|&axis| aval.shape[axis] as i64).product::<i64>();
    let batch = size(lhs, &op.lhs_batch);
    let (m, k, n) = (size(lhs, &lhs_free), size(lhs, &op.lhs_contracting), size(rhs, &rhs_free));
    let matrices = |x: &Tensor, axes: [&Dims; 3], shape: [i64; 3]| {
        let order: Vec<i64> = axes.iter().flat_map(|axes| sizes(axes)).collect();
        x.f_permute(order)?.f_reshape(shape)
    };
    let left = matrices(inputs[0], [&op.lhs_batch, &lhs_free, &op.lhs_contracting], [batch, m, k])?;
    let right = matrices(inputs[1], [&op.rhs_batch, &op.rhs_contracting, &rhs_free], [batch, k, n])?;
    // One matrix is not a batch: libtorch takes other, faster ways then.
    let product = if op.lhs_batch.is_empty() {
        left.f_squeeze_dim(0)?.f_mm(&right.f_squeeze_dim(0)?)?
    } else {
        left.f_bmm(&right)?
    };
    product.f_reshape(sizes(&output.shape))
}
