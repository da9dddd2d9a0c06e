//! Convolution.

use std::fmt::{self, Write};

use super::{WindowDims, arity, check_axes};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, Shape};

/// Where the batch, feature and spatial axes are in a convolution's operands and result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvDims {
    /// The input's batch axis.
    pub lhs_batch: usize,
    /// The input's feature axis.
    pub lhs_feature: usize,
    /// The input's spatial axes, in the order of the strides, the padding and the dilations.
    pub lhs_spatial: Dims,
    /// The kernel's output feature axis.
    pub rhs_output_feature: usize,
    /// The kernel's input feature axis.
    pub rhs_input_feature: usize,
    /// The kernel's spatial axes, in the order of the input's.
    pub rhs_spatial: Dims,
    /// The result's batch axis.
    pub out_batch: usize,
    /// The result's feature axis.
    pub out_feature: usize,
    /// The result's spatial axes, in the order of the input's.
    pub out_spatial: Dims,
}

impl ConvDims {
    /// Reads strings such as `("NHWC", "HWIO", "NHWC")`: `N` batch, `C` feature, `O` and `I` output and
    /// input feature of the kernel; the other letters, spatial axes, in the order of the kernel's string, as in
    /// JAX.
    ///
    /// # Errors
    ///
    /// When a letter is missing or there twice.
    pub fn parse(lhs: &str, rhs: &str, out: &str) -> Result<Self> {
        let op = "conv_general_dilated";
        let find = |text: &str, letter: char| {
            let mut found = text.chars().enumerate().filter(|&(_, c)| c == letter).map(|(axis, _)| axis);
            match (found.next(), found.next()) {
                (Some(axis), None) => Ok(axis),
                _ => Err(Error::invalid(
                    op,
                    format!(
                        "dimension numbers {text:?} must have {letter:?} once (as in \"NHWC\", \"HWIO\", \"NHWC\")"
                    ),
                )),
            }
        };
        let spatial: Vec<char> = rhs.chars().filter(|letter| !"OI".contains(*letter)).collect();
        let all = |text: &str| spatial.iter().map(|&letter| find(text, letter)).collect::<Result<Dims>>();
        let dims = ConvDims {
            lhs_batch: find(lhs, 'N')?,
            lhs_feature: find(lhs, 'C')?,
            lhs_spatial: all(lhs)?,
            rhs_output_feature: find(rhs, 'O')?,
            rhs_input_feature: find(rhs, 'I')?,
            rhs_spatial: all(rhs)?,
            out_batch: find(out, 'N')?,
            out_feature: find(out, 'C')?,
            out_spatial: all(out)?,
        };
        if [lhs, rhs, out].iter().any(|text| text.chars().count() != spatial.len() + 2) {
            return Err(Error::invalid(
                op,
                format!("dimension numbers {lhs:?}, {rhs:?}, {out:?} differ in their spatial axes"),
            ));
        }
        Ok(dims)
    }

    /// The number of spatial axes.
    pub fn spatial_rank(&self) -> usize {
        self.lhs_spatial.len()
    }

    /// Batch, feature, then spatial axes of the input: the permutation to "NC…".
    pub fn lhs_permutation(&self) -> Dims {
        [self.lhs_batch, self.lhs_feature].into_iter().chain(self.lhs_spatial.iter().copied()).collect()
    }

    /// Output feature, input feature, then spatial axes of the kernel: the permutation to "OI…".
    pub fn rhs_permutation(&self) -> Dims {
        [self.rhs_output_feature, self.rhs_input_feature].into_iter().chain(self.rhs_spatial.iter().copied()).collect()
    }

    /// Batch, feature, then spatial axes of the result: the permutation to "NC…".
    pub fn out_permutation(&self) -> Dims {
        [self.out_batch, self.out_feature].into_iter().chain(self.out_spatial.iter().copied()).collect()
    }
}

/// Axes as letters: spatial ones are `0`, `1`, ….
impl fmt::Display for ConvDims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = |first: (usize, char), second: (usize, char), spatial: &Dims| {
            let mut letters = vec![' '; spatial.len() + 2];
            letters[first.0] = first.1;
            letters[second.0] = second.1;
            for (i, &axis) in spatial.iter().enumerate() {
                letters[axis] = char::from_digit(i as u32, 36).unwrap_or('?');
            }
            letters.into_iter().collect::<String>()
        };
        write!(
            f,
            "{}_{}->{}",
            layout((self.lhs_batch, 'b'), (self.lhs_feature, 'f'), &self.lhs_spatial),
            layout((self.rhs_output_feature, 'o'), (self.rhs_input_feature, 'i'), &self.rhs_spatial),
            layout((self.out_batch, 'b'), (self.out_feature, 'f'), &self.out_spatial),
        )
    }
}

/// A convolution (a cross-correlation, as everywhere in deep learning) of an input with a kernel.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::primitive::{ConvDims, ConvGeneralDilated};
/// use jaxnet_tensor::{Tensor, lax};
///
/// let (images, kernel) = (Tensor::ones([2, 5, 5, 3]), Tensor::ones([3, 3, 3, 8]));
/// let dims = ConvDims::parse("NHWC", "HWIO", "NHWC")?;
/// let convolution = ConvGeneralDilated::new(dims).strides([2, 2]).padding([(1, 1), (1, 1)]);
/// let y = lax::conv_general_dilated(&images, &kernel, &convolution)?;
/// assert_eq!(y.shape().dims(), [2, 3, 3, 8]);
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvGeneralDilated {
    /// The layouts.
    pub dims: ConvDims,
    /// How far the kernel moves along each spatial axis.
    pub strides: Dims,
    /// Zeros before and after each spatial axis; negative removes elements.
    pub padding: Vec<(i64, i64)>,
    /// The distance of the input's neighbours after zeros were put between them: 1 for none.
    pub lhs_dilation: Dims,
    /// The distance of the kernel's neighbours: 1 for no holes.
    pub rhs_dilation: Dims,
    /// Splits the input's features, and the kernel's output features, into independent groups.
    pub feature_groups: usize,
    /// Splits the input's batch, and the kernel's output features, into groups convolved pairwise.
    pub batch_groups: usize,
}

impl ConvGeneralDilated {
    /// A convolution without padding, holes or groups that moves by one.
    pub fn new(dims: ConvDims) -> Self {
        let ones = Dims::from_elem(1, dims.spatial_rank());
        ConvGeneralDilated {
            strides: ones.clone(),
            padding: vec![(0, 0); ones.len()],
            lhs_dilation: ones.clone(),
            rhs_dilation: ones,
            feature_groups: 1,
            batch_groups: 1,
            dims,
        }
    }

    /// The convolution, moving by other distances along the spatial axes.
    pub fn strides(self, strides: impl Into<Shape>) -> Self {
        ConvGeneralDilated { strides: strides.into().into(), ..self }
    }

    /// The convolution of an input with zeros before and after its spatial axes; negative numbers remove
    /// elements.
    pub fn padding(self, padding: impl Into<Vec<(i64, i64)>>) -> Self {
        ConvGeneralDilated { padding: padding.into(), ..self }
    }

    /// The convolution of an input with holes (a transposed convolution).
    pub fn lhs_dilation(self, dilation: impl Into<Shape>) -> Self {
        ConvGeneralDilated { lhs_dilation: dilation.into().into(), ..self }
    }

    /// The convolution with a kernel with holes.
    pub fn rhs_dilation(self, dilation: impl Into<Shape>) -> Self {
        ConvGeneralDilated { rhs_dilation: dilation.into().into(), ..self }
    }

    /// The convolution of features in so many independent groups.
    pub fn feature_groups(self, groups: usize) -> Self {
        ConvGeneralDilated { feature_groups: groups, ..self }
    }

    /// The convolution of batches in so many groups, each with its own output features.
    pub fn batch_groups(self, groups: usize) -> Self {
        ConvGeneralDilated { batch_groups: groups, ..self }
    }

    /// The windows that the kernel, of these spatial sizes, makes over the spatial axes.
    pub fn window(&self, kernel: &[usize]) -> WindowDims {
        WindowDims {
            size: kernel.into(),
            strides: self.strides.clone(),
            padding: self.padding.clone(),
            base_dilation: self.lhs_dilation.clone(),
            window_dilation: self.rhs_dilation.clone(),
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        write!(f, "dims={} strides={:?} padding={:?}", self.dims, self.strides, self.padding)?;
        for (name, dilation) in [("lhs_dilation", &self.lhs_dilation), ("rhs_dilation", &self.rhs_dilation)] {
            if dilation.iter().any(|&by| by != 1) {
                write!(f, " {name}={dilation:?}")?;
            }
        }
        for (name, groups) in [("feature_groups", self.feature_groups), ("batch_groups", self.batch_groups)] {
            if groups != 1 {
                write!(f, " {name}={groups}")?;
            }
        }
        Ok(())
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        let op = "conv_general_dilated";
        arity(op, inputs, 2)?;
        let fail = |message: String| Err(Error::invalid(op, message));
        let (lhs, rhs, dims) = (inputs[0], inputs[1], &self.dims);
        let rank = dims.spatial_rank() + 2;
        if lhs.rank() != rank || rhs.rank() != rank {
            return fail(format!("input {lhs} and kernel {rhs} must both have {rank} axes ({dims})"));
        }
        for permutation in [dims.lhs_permutation(), dims.rhs_permutation(), dims.out_permutation()] {
            check_axes(op, "dimension numbers", &permutation, rank)?;
            if permutation.len() != rank {
                return fail(format!("dimension numbers {permutation:?} do not name {rank} axes"));
            }
        }
        if lhs.dtype != rhs.dtype || lhs.dtype == DType::Bool {
            return fail(format!(
                "needs two operands of one numeric dtype, got {} and {}; convert one with `.astype`",
                lhs.dtype, rhs.dtype
            ));
        }
        let (batch, features) = (lhs.shape[dims.lhs_batch], lhs.shape[dims.lhs_feature]);
        let (outputs, inputs) = (rhs.shape[dims.rhs_output_feature], rhs.shape[dims.rhs_input_feature]);
        let (groups, batch_groups) = (self.feature_groups, self.batch_groups);
        if groups == 0 || batch_groups == 0 || (groups > 1 && batch_groups > 1) {
            return fail(format!("cannot have {groups} feature groups and {batch_groups} batch groups: one must be 1"));
        }
        if features != inputs * groups {
            return fail(format!(
                "input {lhs} has {features} features, but kernel {rhs} takes {inputs} for each of {groups} groups ({dims})"
            ));
        }
        if outputs % (groups * batch_groups) != 0 || batch % batch_groups != 0 {
            return fail(format!(
                "{outputs} output features and a batch of {batch} cannot be split into {} groups",
                groups * batch_groups
            ));
        }
        let lhs_spatial: Dims = dims.lhs_spatial.iter().map(|&axis| lhs.shape[axis]).collect();
        let rhs_spatial: Dims = dims.rhs_spatial.iter().map(|&axis| rhs.shape[axis]).collect();
        let spatial = self.window(&rhs_spatial).output_shape(op, &lhs_spatial)?;
        let mut shape = Dims::from_elem(0, rank);
        shape[dims.out_batch] = batch / batch_groups;
        shape[dims.out_feature] = outputs;
        for (&axis, &size) in dims.out_spatial.iter().zip(spatial.iter()) {
            shape[axis] = size;
        }
        Ok(Aval { dtype: lhs.dtype, shape: shape.into(), weak: lhs.weak && rhs.weak })
    }
}
