//! Convolution.

use jaxnet_tensor::primitive::{ConvDims, ConvGeneralDilated};
use jaxnet_tensor::{DType, Dims, Shape};

use super::{Case, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    let numbers = DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool);
    vec![Row::new("conv_general_dilated", Family::Conv, numbers, draw).reassociates().error(32.0)]
}

fn draw(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let spatial = source.pick(&[1, 1, 2, 2, 0]);
    let (feature_groups, batch_groups) = source.pick(&[(1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (1, 3)]);
    let rank = spatial + 2;
    let (lhs, rhs, out) = (source.permutation(rank), source.permutation(rank), source.permutation(rank));
    // Sizes of 0 are seldom, and never too many elements.
    let smallest = if source.once_in(8) { 0 } else { 1 };
    let (input, kernel) = (source.sizes(spatial, smallest, 5), source.sizes(spatial, 1, 3));
    let op = ConvGeneralDilated {
        dims: ConvDims {
            lhs_batch: lhs[0],
            lhs_feature: lhs[1],
            lhs_spatial: lhs[2..].into(),
            rhs_output_feature: rhs[0],
            rhs_input_feature: rhs[1],
            rhs_spatial: rhs[2..].into(),
            out_batch: out[0],
            out_feature: out[1],
            out_spatial: out[2..].into(),
        },
        strides: source.sizes(spatial, 1, 3),
        padding: (0..spatial).map(|_| (source.between(-2, 3), source.between(-2, 3))).collect(),
        lhs_dilation: source.sizes(spatial, 1, 3),
        rhs_dilation: source.sizes(spatial, 1, 3),
        feature_groups,
        batch_groups,
    };
    let mut size = || source.size(smallest, 2);
    let (batch, outputs, inputs) = (size() * batch_groups, size() * feature_groups * batch_groups, size());
    let lhs = arrange(&lhs, batch, inputs * feature_groups, &input);
    let rhs = arrange(&rhs, outputs, inputs, &kernel);
    let case = Case::new(op, [Operand::any(dtype, lhs), Operand::any(dtype, rhs)]).linear_in(&[0]).linear_in(&[1]);
    let results = case.infer().ok()?;
    // Mostly those that have results.
    (smallest == 0 || results[0].size() > 0).then_some(case)
}

/// The shape with these sizes along the axes.
fn arrange(axes: &Dims, first: usize, second: usize, rest: &Dims) -> Shape {
    let mut shape = vec![0; axes.len()];
    (shape[axes[0]], shape[axes[1]]) = (first, second);
    for (&axis, &size) in axes[2..].iter().zip(rest) {
        shape[axis] = size;
    }
    shape.into()
}
