//! Convolutions.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::primitive::{ConvDims, ConvGeneralDilated};
use jaxnet_tensor::{Dims, Key, OrRaise, Shape, Tensor, lax, promote_types};

use super::Tag;
use super::norm::WeightNorm;
use super::spatial::{Padding, Windows};
use crate::init::{Init, Initializer, glorot_normal, normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A convolution with a learned kernel, channels last: inputs are of shape [batch.., spatial.., channels], with
/// any number of batch axes, and as many spatial axes as the kernel has sizes; or
/// [transposed](Self::transposed), or with [other axes](Self::dimension_numbers).
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
    transposed: bool,
    /// Where the axes are, if not channels last after any batch axes.
    dims: Option<ConvDims>,
    kernel_init: Init,
    bias_init: Option<Init>,
    weight_norm: Option<WeightNorm>,
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
            transposed: false,
            dims: None,
            kernel_init: Init::new(glorot_normal()),
            bias_init: Some(Init::new(normal(1e-6))),
            weight_norm: None,
        }
    }

    /// A transposed convolution (one with fractional strides) to so many channels with a kernel of these
    /// spatial sizes: [`strides`](Self::strides) make its result larger instead of smaller.
    ///
    /// As `jax.lax.conv_transpose` and Flax's `ConvTranspose`, which neither flip the kernel nor swap its
    /// channels: with `Padding::Same`, results are `stride` times as large as inputs; with `Padding::Valid`,
    /// `(n - 1) · stride + max(kernel, stride)`. Explicit padding is that of the input with `stride - 1` zeros
    /// between its elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = Conv::transposed(8, [3, 3]).strides([2, 2]).padding(Padding::Same);
    /// let images = Tensor::ones([10, 14, 14, 3]);
    /// let params = layer.init_params(Key::new(0), &images);
    /// assert_eq!(params["kernel"].shape().dims(), [3, 3, 3, 8]);
    /// assert_eq!(layer.apply(&params, &images).shape().dims(), [10, 28, 28, 8]);
    /// ```
    pub fn transposed<const N: usize>(out_channels: usize, kernel: [usize; N]) -> Self {
        Conv { tag: Tag::new("conv_transpose"), transposed: true, ..Conv::new(out_channels, kernel) }
    }

    /// Where the axes of input, kernel and result are, as `("NCHW", "OIHW", "NCHW")`: `N` batch, `C` channels,
    /// `I` and `O` input and output channels of the kernel, the other letters spatial axes, whose sizes, strides
    /// and so on are in the order of the kernel's string. The input has exactly one batch axis then. Initializers see the kernel with its channels last, whatever its layout.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = Conv::new(8, [3, 3]).dimension_numbers("NCHW", "OIHW", "NCHW");
    /// let images = Tensor::ones([10, 3, 28, 28]);
    /// let params = layer.init_params(Key::new(0), &images);
    /// assert_eq!(params["kernel"].shape().dims(), [8, 3, 3, 3]);
    /// assert_eq!(layer.apply(&params, &images).shape().dims(), [10, 8, 26, 26]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a letter is missing or there twice.
    #[track_caller]
    pub fn dimension_numbers(self, input: &str, kernel: &str, output: &str) -> Self {
        Conv { dims: Some(ConvDims::parse(input, kernel, output).or_raise()), ..self }
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

    /// The layer with its kernel split into directions, `kernel`, and lengths, `scale`: weight normalization
    /// (Salimans and Kingma 2016). For the inputs that the parameters are made with, each output channel has mean 0
    /// (unless the layer has no bias) and this standard deviation, usually 1; after that, `scale` and `bias` are
    /// parameters like others.
    ///
    /// The initializer of the bias does not count then.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = Conv::new(4, [3, 3]).weight_norm(1.0);
    /// let x = Key::new(1).normal([2, 8, 8, 3]) * 5.0 + 3.0;
    /// let params = layer.init_params(Key::new(0), &x);
    /// assert_eq!(params.paths(), ["kernel", "scale", "bias"]);
    /// let y = layer.apply(&params, &x);
    /// assert!(y.mean_axis([0, 1, 2]).allclose(Tensor::zeros([4]), 0.0, 1e-4));
    /// assert!(y.std_axis([0, 1, 2]).allclose(Tensor::ones([4]), 1e-3, 0.0));
    /// ```
    pub fn weight_norm(self, init_scale: f64) -> Self {
        Conv { weight_norm: Some(WeightNorm { init_scale }), ..self }
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
        let geometry = match self.geometry(x) {
            Ok(geometry) => geometry,
            Err(message) => cx.fail("Conv", message),
        };
        let Geometry { flat, batch, parameters } = geometry;
        let dims = &parameters.dims;
        let x = lax::reshape(x, flat).or_raise();
        let channels = x.shape()[dims.lhs_feature] / self.groups;
        let sizes = self.windows.size.iter().copied().chain([channels, self.out_channels]);
        let init = KernelInit { init: self.kernel_init.clone(), last: channels_last(dims) };
        let mut shape = Dims::from_elem(0, dims.spatial_rank() + 2);
        for (axis, size) in init.last.iter().zip(sizes) {
            shape[*axis] = size;
        }
        let kernel = cx.param("kernel", Shape::from(shape), init);
        let y = match (self.weight_norm, &self.bias_init) {
            (Some(norm), bias) => {
                let (kernel_axis, axis) = (dims.rhs_output_feature, dims.out_feature);
                norm.run(cx, &kernel, kernel_axis, axis, bias.is_some(), |kernel| convolve(&x, kernel, &parameters))
            }
            (None, Some(init)) => {
                let y = convolve(&x, &kernel, &parameters);
                let bias = cx.param("bias", [self.out_channels], init.clone());
                let mut shape = vec![1; y.rank()];
                shape[dims.out_feature] = self.out_channels;
                y + bias.reshape(shape)
            }
            (None, None) => convolve(&x, &kernel, &parameters),
        };
        let Some(batch) = batch else { return y };
        let shape: Shape = batch.iter().chain(&y.shape()[1..]).copied().collect();
        lax::reshape(&y, shape).or_raise()
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// A convolution laid out for one input.
struct Geometry {
    /// The input's shape with one batch axis.
    flat: Shape,
    /// The batch axes that become one, where they do.
    batch: Option<Shape>,
    parameters: ConvGeneralDilated,
}

impl Conv {
    /// Lays the convolution out, or says what is wrong with it or the input.
    fn geometry(&self, x: &Tensor) -> Result<Geometry, String> {
        let rank = self.windows.check()?;
        let (flat, batch, dims) = match &self.dims {
            None => {
                let (batch, rest) = x.shape().split_at(self.windows.batch_axes(x)?);
                let batch = Shape::from(batch);
                let flat = std::iter::once(batch.size()).chain(rest.iter().copied()).collect();
                (flat, Some(batch), channels_last_dims(rank))
            }
            Some(dims) if dims.spatial_rank() == rank && x.rank() == rank + 2 => {
                (x.shape().clone(), None, dims.clone())
            }
            Some(dims) => {
                return Err(format!(
                    "dimension numbers {dims} and a kernel of sizes {:?} need {rank} spatial axes, a batch and a \
                     channel axis, got an input of shape {}",
                    self.windows.size,
                    x.shape()
                ));
            }
        };
        let spatial: Dims = dims.lhs_spatial.iter().map(|&axis| flat[axis]).collect();
        let (groups, channels) = (self.groups, flat[dims.lhs_feature]);
        if groups == 0 || !channels.is_multiple_of(groups) || !self.out_channels.is_multiple_of(groups) {
            return Err(format!(
                "{groups} groups must divide the {channels} input channels (of {}) and the {} output channels",
                x.shape(),
                self.out_channels
            ));
        }
        let ones = Dims::from_elem(1, rank);
        let (padding, strides, lhs_dilation) = if self.transposed {
            (self.transposed_padding()?, ones, self.windows.strides.clone())
        } else {
            (self.windows.pad(&spatial)?, self.windows.strides.clone(), ones)
        };
        let parameters = ConvGeneralDilated {
            dims,
            strides,
            padding,
            lhs_dilation,
            rhs_dilation: self.windows.dilation.clone(),
            feature_groups: groups,
            batch_groups: 1,
        };
        Ok(Geometry { flat, batch, parameters })
    }

    /// That of `jax.lax.conv_transpose`.
    fn transposed_padding(&self) -> Result<Vec<(i64, i64)>, String> {
        let (span, strides) = (self.windows.span(), &self.windows.strides);
        if self.windows.padding == Padding::Valid {
            let pair = |(&span, &stride): (&usize, &usize)| {
                let total = span + stride - 2 + span.saturating_sub(stride);
                ((span - 1) as i64, (total - (span - 1)) as i64)
            };
            return Ok(span.iter().zip(strides).map(pair).collect());
        }
        self.windows.padding_or(|axis| {
            let total = span[axis] + strides[axis] - 2;
            let low = if strides[axis] > span[axis] - 1 { span[axis] - 1 } else { total.div_ceil(2) };
            (low, total - low)
        })
    }
}

fn channels_last_dims(rank: usize) -> ConvDims {
    let spatial: Dims = (1..=rank).collect();
    ConvDims {
        lhs_batch: 0,
        lhs_feature: rank + 1,
        lhs_spatial: spatial.clone(),
        rhs_output_feature: rank + 1,
        rhs_input_feature: rank,
        rhs_spatial: (0..rank).collect(),
        out_batch: 0,
        out_feature: rank + 1,
        out_spatial: spatial,
    }
}

/// The axes of a kernel in the order spatial.., input channels, output channels.
fn channels_last(dims: &ConvDims) -> Dims {
    dims.rhs_spatial.iter().copied().chain([dims.rhs_input_feature, dims.rhs_output_feature]).collect()
}

/// Draws a kernel with its channels last, which is what initializers know, and brings it into its layout.
struct KernelInit {
    init: Init,
    /// The kernel's axes in that order.
    last: Dims,
}

impl Initializer for KernelInit {
    fn initialize(&self, key: Key, shape: &Shape) -> Tensor {
        let kernel = self.init.initialize(key, &self.last.iter().map(|&axis| shape[axis]).collect());
        let mut back = Dims::from_elem(0, self.last.len());
        for (from, &axis) in self.last.iter().enumerate() {
            back[axis] = from;
        }
        lax::transpose(&kernel, &back).or_raise()
    }
}

/// Convolves operands of one dtype.
#[track_caller]
fn convolve(x: &Tensor, kernel: &Tensor, parameters: &ConvGeneralDilated) -> Tensor {
    let (dtype, _) = promote_types((x.dtype(), x.is_weak()), (kernel.dtype(), kernel.is_weak()));
    let (x, kernel) = (lax::convert(x, dtype).or_raise(), lax::convert(kernel, dtype).or_raise());
    lax::conv_general_dilated(&x, &kernel, parameters).or_raise()
}
