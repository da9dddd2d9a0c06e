//! What a convolution computes, whatever the layouts.

use crate::backend::cpu::kernels::taps::Axis;
use crate::primitive::ConvGeneralDilated;
use crate::shape::Shape;

/// A convolution as a sum of products, the layouts being strides.
///
/// For each group, example, output feature and place, it is the sum over input features and elements
/// of the kernel. Feature groups and batch groups differ in nothing but how far apart groups are.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    /// The number of groups.
    pub groups: usize,
    /// The examples in the result.
    pub batch: usize,
    /// The input features of a group.
    pub inputs: usize,
    /// The output features of a group.
    pub outputs: usize,
    /// The spatial axes.
    pub axes: Vec<Axis>,
    /// The input's strides, `outer` being that of examples and `inner` that of features.
    pub lhs: Strides,
    /// The kernel's strides, `outer` being that of output features and `inner` that of input features.
    pub rhs: Strides,
    /// The result's strides, `outer` being that of examples and `inner` that of features.
    pub out: Strides,
}

/// How far apart neighbours are in memory.
#[derive(Clone, Debug)]
pub(super) struct Strides {
    pub group: usize,
    pub outer: usize,
    pub inner: usize,
    pub spatial: Vec<usize>,
}

/// An axis of the result that is not that of features.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowAxis {
    /// The spatial axis, or `None` for that of examples.
    pub of: Option<usize>,
    pub size: usize,
    /// The distance of neighbours in the result.
    pub out: usize,
}

impl Geometry {
    pub fn new(op: &ConvGeneralDilated, lhs: &Shape, rhs: &Shape, out: &Shape) -> Self {
        let dims = &op.dims;
        let kernel: Vec<usize> = dims.rhs_spatial.iter().map(|&axis| rhs[axis]).collect();
        let window = op.window(&kernel);
        let axes = (0..kernel.len())
            .map(|i| Axis::of(&window, i, lhs[dims.lhs_spatial[i]], out[dims.out_spatial[i]]))
            .collect();
        let strides = |shape: &Shape, outer: usize, inner: usize, spatial: &[usize]| {
            let strides = shape.strides();
            Strides {
                group: 0,
                outer: strides[outer],
                inner: strides[inner],
                spatial: spatial.iter().map(|&axis| strides[axis]).collect(),
            }
        };
        let groups = op.feature_groups * op.batch_groups;
        let mut geometry = Geometry {
            groups,
            batch: out[dims.out_batch],
            inputs: rhs[dims.rhs_input_feature],
            outputs: rhs[dims.rhs_output_feature] / groups,
            axes,
            lhs: strides(lhs, dims.lhs_batch, dims.lhs_feature, &dims.lhs_spatial),
            rhs: strides(rhs, dims.rhs_output_feature, dims.rhs_input_feature, &dims.rhs_spatial),
            out: strides(out, dims.out_batch, dims.out_feature, &dims.out_spatial),
        };
        geometry.lhs.group = if op.batch_groups > 1 {
            geometry.batch * geometry.lhs.outer
        } else {
            geometry.inputs * geometry.lhs.inner
        };
        geometry.rhs.group = geometry.outputs * geometry.rhs.outer;
        geometry.out.group = geometry.outputs * geometry.out.inner;
        geometry
    }

    /// The axes of the result but for that of features, as they are nested in memory.
    pub fn rows(&self) -> Vec<RowAxis> {
        let batch = RowAxis { of: None, size: self.batch, out: self.out.outer };
        let spatial =
            (0..self.axes.len()).map(|i| RowAxis { of: Some(i), size: self.axes[i].output, out: self.out.spatial[i] });
        let mut rows: Vec<RowAxis> = std::iter::once(batch).chain(spatial).collect();
        rows.sort_by_key(|axis| std::cmp::Reverse(axis.out));
        rows
    }

    /// The number of places of the kernel.
    pub fn places(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    /// The number of elements of the kernel for one pair of features.
    pub fn kernel(&self) -> usize {
        self.axes.iter().map(|axis| axis.window).product()
    }
}
