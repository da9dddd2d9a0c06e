//! Convolutions.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::primitive::{ConvDims, ConvGeneralDilated};
use jaxnet_tensor::{Dims, OrRaise, Shape, Tensor, lax, promote_types};

use super::Tag;
use super::spatial::{Padding, Windows};
use crate::init::{Init, Initializer, glorot_normal, normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A convolution with a learned kernel, channels last: inputs are of shape [batch.., spatial.., channels], with
/// any number of batch axes, and as many spatial axes as the kernel has sizes.
///
/// Parameters: `kernel` (spatial.., input channels / groups, output channels), drawn by [`glorot_normal`], and
/// `bias` (output channels), drawn by [`normal(1e-6)`](normal).
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = Conv::new(8, [3, 3]).strides([2, 2]).padding(Padding::Same);
/// let images = Tensor::ones([10, 28, 28, 1]);
/// let params = layer.init_params(Key::new(0), &images);
/// assert_eq!(params["kernel"].shape().dims(), [3, 3, 1, 8]);
/// assert_eq!(layer.apply(&params, &images).shape().dims(), [10, 14, 14, 8]);
///
/// // Along one spatial axis, without a batch.
/// let layer = Conv::new(8, [5]);
/// let signal = Tensor::ones([100, 2]);
/// let params = layer.init_params(Key::new(0), &signal);
/// assert_eq!(layer.apply(&params, &signal).shape().dims(), [96, 8]);
/// ```
#[derive(Clone)]
pub struct Conv {
    tag: Tag,
    out_channels: usize,
    windows: Windows,
    groups: usize,
    kernel_init: Init,
    bias_init: Option<Init>,
}

impl Conv {
    /// A convolution to so many channels with a kernel of these spatial sizes. Padding is
    /// [`Padding::Valid`], as in JAXnet.
    pub fn new<const N: usize>(out_channels: usize, kernel: [usize; N]) -> Self {
        Conv {
            tag: Tag::new("conv"),
            out_channels,
            windows: Windows::new(&kernel),
            groups: 1,
            kernel_init: Init::new(glorot_normal()),
            bias_init: Some(Init::new(normal(1e-6))),
        }
    }

    /// How far the kernel moves along each spatial axis; 1 otherwise.
    pub fn strides<const N: usize>(self, strides: [usize; N]) -> Self {
        Conv { windows: Windows { strides: strides[..].into(), ..self.windows }, ..self }
    }

    /// How far the kernel reaches over the edges: `Padding::Same`, or so many places before and after each
    /// spatial axis, `[(1, 1), (0, 2)]`.
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        Conv { windows: Windows { padding: padding.into(), ..self.windows }, ..self }
    }

    /// The distance of neighbours in the kernel along each spatial axis; 1 otherwise, for no holes.
    pub fn dilation<const N: usize>(self, dilation: [usize; N]) -> Self {
        Conv { windows: Windows { dilation: dilation[..].into(), ..self.windows }, ..self }
    }

    /// Splits input and output channels into so many groups with kernels of their own; as many as there are
    /// input channels make the convolution depthwise.
    pub fn groups(self, groups: usize) -> Self {
        Conv { groups, ..self }
    }

    /// The layer with another initializer of its kernel.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Conv { kernel_init: Init::new(init), ..self }
    }

    /// The layer with another initializer of its bias.
    pub fn with_bias_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Conv { bias_init: Some(Init::new(init)), ..self }
    }

    /// The layer without a bias.
    pub fn without_bias(self) -> Self {
        Conv { bias_init: None, ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Conv { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        Conv { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl Module<Tensor> for Conv {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let layout = self.windows.layout(cx, "Conv", x);
        let (groups, channels) = (self.groups, layout.channels);
        if groups == 0 || !channels.is_multiple_of(groups) || !self.out_channels.is_multiple_of(groups) {
            cx.fail(
                "Conv",
                format!(
                    "{groups} groups must divide the {channels} input channels (of {}) and the {} output channels",
                    x.shape(),
                    self.out_channels
                ),
            )
        }
        let rank = self.windows.size.len();
        let shape: Shape = self.windows.size.iter().copied().chain([channels / groups, self.out_channels]).collect();
        let kernel = cx.param("kernel", shape, self.kernel_init.clone());
        let y = convolve(x, &kernel, &self.parameters(rank, layout.padding), &layout.batch);
        match &self.bias_init {
            Some(init) => y + cx.param("bias", [self.out_channels], init.clone()),
            None => y,
        }
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

impl Conv {
    fn parameters(&self, rank: usize, padding: Vec<(i64, i64)>) -> ConvGeneralDilated {
        let spatial: Dims = (1..=rank).collect();
        ConvGeneralDilated {
            dims: ConvDims {
                lhs_batch: 0,
                lhs_feature: rank + 1,
                lhs_spatial: spatial.clone(),
                rhs_output_feature: rank + 1,
                rhs_input_feature: rank,
                rhs_spatial: (0..rank).collect(),
                out_batch: 0,
                out_feature: rank + 1,
                out_spatial: spatial,
            },
            strides: self.windows.strides.clone(),
            padding,
            lhs_dilation: Dims::from_elem(1, rank),
            rhs_dilation: self.windows.dilation.clone(),
            feature_groups: self.groups,
            batch_groups: 1,
        }
    }
}

/// Convolves with all batch axes taken as one, and operands of one dtype.
#[track_caller]
fn convolve(x: &Tensor, kernel: &Tensor, parameters: &ConvGeneralDilated, batch: &Shape) -> Tensor {
    let (dtype, _) = promote_types((x.dtype(), x.is_weak()), (kernel.dtype(), kernel.is_weak()));
    let rest = &x.shape()[batch.rank()..];
    let flat: Shape = std::iter::once(batch.size()).chain(rest.iter().copied()).collect();
    let x = lax::convert(x, dtype).and_then(|x| lax::reshape(&x, flat)).or_raise();
    let kernel = lax::convert(kernel, dtype).or_raise();
    let y = lax::conv_general_dilated(&x, &kernel, parameters).or_raise();
    let shape: Shape = batch.iter().chain(&y.shape()[1..]).copied().collect();
    lax::reshape(&y, shape).or_raise()
}
