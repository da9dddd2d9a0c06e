//! Convolution, which is linear in each operand: its transposes and batches are convolutions with the
//! roles of axes exchanged.

use jaxnet_tensor::primitive::{ConvDims, ConvGeneralDilated};
use jaxnet_tensor::{Aval, Dims, Primitive, Result, Shape, Tensor, lax};

use super::{Batches, Cotangents, batched, dilated, not_linear};
use crate::batch::move_batch;
use crate::linear::Operand;

pub(super) fn transpose(op: &ConvGeneralDilated, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    match inputs {
        // Without results nothing flows back; the convolutions below would have empty kernels.
        [Operand::Linear(_), Operand::Known(_)] | [Operand::Known(_), Operand::Linear(_)] if ct.size() == 0 => {
            Ok(vec![None, None])
        }
        [Operand::Linear(x), Operand::Known(kernel)] => Ok(vec![Some(of_lhs(op, ct, x, kernel)?), None]),
        [Operand::Known(x), Operand::Linear(kernel)] => Ok(vec![None, Some(of_rhs(op, ct, x, kernel)?)]),
        _ => Err(not_linear(&op.clone().into())),
    }
}

/// The spatial sizes, after dilation, of an input, a kernel and a result.
struct Spatial {
    lhs: Vec<i64>,
    rhs: Vec<i64>,
    out: Vec<i64>,
}

impl Spatial {
    fn new(op: &ConvGeneralDilated, lhs: &Shape, rhs: &Shape, out: &Shape) -> Self {
        let sizes = |shape: &Shape, axes: &Dims, by: &Dims| {
            axes.iter().zip(by).map(|(&axis, &by)| dilated(shape[axis], by)).collect()
        };
        Spatial {
            lhs: sizes(lhs, &op.dims.lhs_spatial, &op.lhs_dilation),
            rhs: sizes(rhs, &op.dims.rhs_spatial, &op.rhs_dilation),
            out: sizes(out, &op.dims.out_spatial, &op.strides),
        }
    }
}

/// The cotangent of the input: the result's, as far apart as the strides were, convolved with the
/// reversed kernel whose feature axes are exchanged.
fn of_lhs(op: &ConvGeneralDilated, ct: &Tensor, x: &Aval, kernel: &Tensor) -> Result<Tensor> {
    let dims = &op.dims;
    let sizes = Spatial::new(op, &x.shape, kernel.shape(), ct.shape());
    let padding = (0..dims.spatial_rank())
        .map(|i| {
            let before = sizes.rhs[i] - op.padding[i].0 - 1;
            (before, sizes.lhs[i] + sizes.rhs[i] - 1 - sizes.out[i] - before)
        })
        .collect();
    let reversed = lax::reverse(kernel, &dims.rhs_spatial)?;
    // Groups, of either kind, are groups of the result's features; they move to what is now the
    // kernel's output features.
    let groups = op.feature_groups.max(op.batch_groups);
    let reversed = if groups == 1 {
        reversed
    } else {
        let (outputs, inputs) = (dims.rhs_output_feature, dims.rhs_input_feature);
        fold(&split(&reversed, outputs, groups)?, outputs, inputs)?
    };
    let transposed = ConvGeneralDilated {
        dims: ConvDims {
            lhs_batch: dims.out_batch,
            lhs_feature: dims.out_feature,
            lhs_spatial: dims.out_spatial.clone(),
            rhs_output_feature: dims.rhs_input_feature,
            rhs_input_feature: dims.rhs_output_feature,
            rhs_spatial: dims.rhs_spatial.clone(),
            out_batch: dims.lhs_batch,
            out_feature: dims.lhs_feature,
            out_spatial: dims.lhs_spatial.clone(),
        },
        strides: op.lhs_dilation.clone(),
        padding,
        lhs_dilation: op.strides.clone(),
        rhs_dilation: op.rhs_dilation.clone(),
        feature_groups: groups,
        batch_groups: 1,
    };
    let result = lax::conv_general_dilated(ct, &reversed, &transposed)?;
    if op.batch_groups == 1 {
        return Ok(result);
    }
    // Groups of the batch have come out as groups of features.
    fold(&split(&result, dims.lhs_feature, groups)?, dims.lhs_feature, dims.lhs_batch)
}

/// The cotangent of the kernel: the input convolved with the result's cotangent, where batch and
/// features are exchanged, so that sums are over the batch.
fn of_rhs(op: &ConvGeneralDilated, ct: &Tensor, x: &Tensor, kernel: &Aval) -> Result<Tensor> {
    let dims = &op.dims;
    let sizes = Spatial::new(op, x.shape(), &kernel.shape, ct.shape());
    let padding = (0..dims.spatial_rank())
        .map(|i| {
            let before = op.padding[i].0;
            (before, sizes.out[i] - sizes.lhs[i] + sizes.rhs[i] - before - 1)
        })
        .collect();
    let transposed = ConvGeneralDilated {
        dims: ConvDims {
            lhs_batch: dims.lhs_feature,
            lhs_feature: dims.lhs_batch,
            lhs_spatial: dims.lhs_spatial.clone(),
            rhs_output_feature: dims.out_feature,
            rhs_input_feature: dims.out_batch,
            rhs_spatial: dims.out_spatial.clone(),
            out_batch: dims.rhs_input_feature,
            out_feature: dims.rhs_output_feature,
            out_spatial: dims.rhs_spatial.clone(),
        },
        strides: op.rhs_dilation.clone(),
        padding,
        lhs_dilation: op.lhs_dilation.clone(),
        rhs_dilation: op.strides.clone(),
        feature_groups: op.batch_groups,
        batch_groups: op.feature_groups,
    };
    lax::conv_general_dilated(x, ct, &transposed)
}

/// Axis `axis` as two: `parts`, and what is in each.
fn split(x: &Tensor, axis: usize, parts: usize) -> Result<Tensor> {
    let mut shape = Dims::from_slice(x.shape());
    shape[axis] /= parts;
    shape.insert(axis, parts);
    lax::reshape(x, shape)
}

/// Makes axis `from` the outer part of axis `into`, which is counted without it.
fn fold(x: &Tensor, from: usize, into: usize) -> Result<Tensor> {
    let mut permutation: Dims = (0..x.rank()).filter(|&axis| axis != from).collect();
    permutation.insert(into, from);
    let mut shape = x.shape().without_axis(from);
    shape.dims_mut()[into] *= x.shape()[from];
    lax::reshape(&lax::transpose(x, &permutation)?, shape)
}

/// The batch becomes a part of an axis along which the convolution does not mix anything: the
/// convolution's own batch where only the input differs between examples, output features where only
/// the kernel does, and groups where both do.
pub(super) fn batch(
    op: &ConvGeneralDilated,
    size: usize,
    inputs: &[Tensor],
    axes: &[Option<usize>],
) -> Result<Batches> {
    let [x, kernel] = inputs else { unreachable!("a convolution has two operands") };
    let dims = &op.dims;
    if size == 0 {
        return empty(op, inputs, axes);
    }
    let groups = op.feature_groups.max(op.batch_groups);
    match (axes[0], axes[1]) {
        (Some(a), Some(b)) => {
            let (into, op) = if op.batch_groups > 1 {
                (dims.lhs_batch, ConvGeneralDilated { batch_groups: op.batch_groups * size, ..op.clone() })
            } else {
                (dims.lhs_feature, ConvGeneralDilated { feature_groups: op.feature_groups * size, ..op.clone() })
            };
            let kernel = fold(kernel, b, dims.rhs_output_feature)?;
            let y = lax::conv_general_dilated(&fold(x, a, into)?, &kernel, &op)?;
            Ok(batched(split(&y, dims.out_feature, size)?, dims.out_feature))
        }
        (Some(a), None) => {
            let x = fold_within(x, a, dims.lhs_batch, op.batch_groups, size)?;
            let y = lax::conv_general_dilated(&x, kernel, op)?;
            Ok(batched(split(&y, dims.out_batch, size)?, dims.out_batch))
        }
        (None, Some(b)) => {
            let kernel = fold_within(kernel, b, dims.rhs_output_feature, groups, size)?;
            let y = lax::conv_general_dilated(x, &kernel, op)?;
            let at = dims.out_feature;
            if groups == 1 {
                return Ok(batched(split(&y, at, size)?, at));
            }
            // Features are by group, example, feature in the group; the groups belong to the latter.
            let y = split(&split(&y, at, groups)?, at + 1, size)?;
            Ok(batched(fold(&y, at, at + 1)?, at))
        }
        (None, None) => unreachable!("at least one operand is batched"),
    }
}

/// Makes the batch a part of axis `into` of an example, inside of the groups that are its outer part.
fn fold_within(x: &Tensor, from: usize, into: usize, groups: usize, size: usize) -> Result<Tensor> {
    if groups == 1 {
        return fold(x, from, into);
    }
    let x = split(&move_batch(x, size, Some(from), 0)?, into + 1, groups)?;
    // Now batch, …, groups, what is in each group, ….
    fold(&fold(&x, 0, into + 1)?, into, into)
}

/// No examples at all, of which there would be no groups.
fn empty(op: &ConvGeneralDilated, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let example = |(x, axis): (&Tensor, &Option<usize>)| match axis {
        Some(axis) => x.aval().with_shape(x.shape().without_axis(*axis)),
        None => x.aval().clone(),
    };
    let examples: Vec<Aval> = inputs.iter().zip(axes).map(example).collect();
    let results = Primitive::from(op.clone()).infer(&examples.iter().collect::<Vec<_>>())?;
    let result = results[0].with_shape(results[0].shape.with_axis(0, 0));
    Ok(batched(lax::full(&result, 0)?, 0))
}
