//! The layers of PixelCNN++.

use std::borrow::Cow;

use jaxnet_tensor::{Error, Tensor, raise};

use crate::functions::concat_elu;
use crate::layers::{Conv, Dropout};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Images of shape [.., height, width, channels] a row further down: the first row is 0, the last one falls out.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let x = tensor![[[1.0], [2.0]], [[3.0], [4.0]]];
/// assert_eq!(down_shift(&x).to_vec::<f32>(), [0.0, 0.0, 1.0, 2.0]);
/// ```
///
/// # Panics
///
/// If there are less than three axes.
#[track_caller]
pub fn down_shift(x: &Tensor) -> Tensor {
    shift("down_shift", x, 3)
}

/// Images of shape [.., height, width, channels] a column further right: the first column is 0, the last one falls
/// out.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let x = tensor![[[1.0], [2.0]], [[3.0], [4.0]]];
/// assert_eq!(right_shift(&x).to_vec::<f32>(), [0.0, 1.0, 0.0, 3.0]);
/// ```
///
/// # Panics
///
/// If there are less than three axes.
#[track_caller]
pub fn right_shift(x: &Tensor) -> Tensor {
    shift("right_shift", x, 2)
}

#[track_caller]
fn shift(op: &str, x: &Tensor, axis_from_end: usize) -> Tensor {
    if x.rank() < 3 {
        let message = format!("needs images of shape [.., height, width, channels], got {}", x.shape());
        raise(Error::invalid(op, message));
    }
    let mut widths = vec![(0, 0); x.rank()];
    widths[x.rank() - axis_from_end] = (1, -1);
    x.pad(&widths, 0.0)
}

/// A convolution for images of shape [batch.., height, width, channels], whose result at a place depends on what is
/// above or in the same row ([`down`](Self::down)), or also not further right ([`down_right`](Self::down_right)), with
/// weight normalization from the first inputs.
///
/// Parameters: `kernel`, `scale` and `bias` of [`Conv::weight_norm`].
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let half = ShiftedConv::down(8, [2, 3]).strides([2, 2]);
/// let images = Key::new(1).normal([2, 6, 6, 3]);
/// let params = half.init_params(Key::new(0), &images);
/// let y = half.apply(&params, &images);
/// assert_eq!(y.shape().dims(), [2, 3, 3, 8]);
/// let double = ShiftedConv::down(3, [2, 3]).strides([2, 2]).transposed();
/// let params = double.init_params(Key::new(0), &y);
/// assert_eq!(double.apply(&params, &y).shape().dims(), [2, 6, 6, 3]);
/// ```
#[derive(Clone, Debug)]
pub struct ShiftedConv {
    id: ModuleId,
    channels: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    right: bool,
    transposed: bool,
    init_scale: f64,
}

impl ShiftedConv {
    /// To so many channels; of what the kernel sees, the last row is that of the result, the middle column its column.
    #[track_caller]
    pub fn down(channels: usize, kernel: [usize; 2]) -> Self {
        if kernel.contains(&0) {
            raise(Error::invalid("ShiftedConv", format!("the kernel {kernel:?} must be of size 1 at least")));
        }
        let id = ModuleId::new();
        ShiftedConv { id, channels, kernel, strides: [1, 1], right: false, transposed: false, init_scale: 1.0 }
    }

    /// To so many channels; of what the kernel sees, the last row and column are those of the result.
    #[track_caller]
    pub fn down_right(channels: usize, kernel: [usize; 2]) -> Self {
        ShiftedConv { right: true, ..ShiftedConv::down(channels, kernel) }
    }

    /// How far the kernel moves in each direction; 1 otherwise.
    ///
    /// # Panics
    ///
    /// If one is 0.
    #[track_caller]
    pub fn strides(self, strides: [usize; 2]) -> Self {
        if strides.contains(&0) {
            raise(Error::invalid("ShiftedConv", format!("strides {strides:?} must be at least 1")));
        }
        ShiftedConv { strides, ..self }
    }

    /// The transposed convolution, whose results are larger by the strides instead of smaller. A place's result depends
    /// on the places that it stems from, and what is above, or also not further right.
    pub fn transposed(self) -> Self {
        ShiftedConv { transposed: true, ..self }
    }

    /// The standard deviation of results for the first inputs; 1 otherwise.
    pub fn init_scale(self, init_scale: f64) -> Self {
        ShiftedConv { init_scale, ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        ShiftedConv { id: ModuleId::new(), ..self.clone() }
    }

    fn conv(&self) -> Conv {
        let [(above, below), (left, right)] = [0, 1].map(|axis| {
            let (kernel, stride) = (self.kernel[axis], self.strides[axis]);
            // How many places further right or down the kernel reaches than its result.
            let beyond = if axis == 1 && !self.right { (kernel - 1) / 2 } else { 0 };
            let before = kernel - 1 - beyond;
            if self.transposed { (before, stride - 1 + beyond) } else { (before, beyond) }
        });
        let conv = if self.transposed {
            Conv::transposed(self.channels, self.kernel)
        } else {
            Conv::new(self.channels, self.kernel)
        };
        conv.strides(self.strides).padding([(above, below), (left, right)]).weight_norm(self.init_scale)
    }
}

impl Module<Tensor> for ShiftedConv {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if x.rank() < 3 {
            cx.fail(
                "ShiftedConv",
                format!("needs images of shape [batch.., height, width, channels], got {}", x.shape()),
            )
        }
        // In this module's own place.
        self.conv().forward(cx, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("shifted_conv")
    }
}

/// A gated residual block of PixelCNN++: `x + a * sigmoid(b)`, where two [`ShiftedConv`]s, after [`concat_elu`] each, make
/// `a` and `b`. As a module of `(x, aside)` a convolution of 1x1 brings in what another layer gave, of the same height
/// and width.
///
/// Parameters: those of [`ShiftedConv`] below `conv1` and `conv2`, of [`Conv`] with weight normalization below `aside`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let block = GatedResnet::down().dropout(0.5);
/// let x = Key::new(1).normal([2, 6, 6, 4]);
/// let inputs = (x.clone(), Key::new(2).normal([2, 6, 6, 7]));
/// let vars = block.init(Key::new(0), &inputs);
/// assert_eq!(vars.params["aside.kernel"].shape().dims(), [1, 1, 14, 4]);
/// let y = block.call(&vars, &inputs, Mode::Train(Key::new(3))).0;
/// assert_eq!(y.shape(), x.shape());
/// ```
#[derive(Clone, Debug)]
pub struct GatedResnet {
    id: ModuleId,
    right: bool,
    dropout: f64,
}

impl GatedResnet {
    /// Of convolutions that see what is above and in the same row, with kernels of 2x3.
    pub fn down() -> Self {
        GatedResnet { id: ModuleId::new(), right: false, dropout: 0.0 }
    }

    /// Of convolutions that see what is above and not further right, with kernels of 2x2.
    pub fn down_right() -> Self {
        GatedResnet { right: true, ..GatedResnet::down() }
    }

    /// In training, drops this share of units between the convolutions.
    ///
    /// # Panics
    ///
    /// If the rate is not in `0..=1`.
    #[track_caller]
    pub fn dropout(self, rate: f64) -> Self {
        // Which says so if it is not.
        let _ = Dropout::new(rate);
        GatedResnet { dropout: rate, ..self }
    }

    /// Another block of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        GatedResnet { id: ModuleId::new(), ..self.clone() }
    }

    fn conv(&self, channels: usize) -> ShiftedConv {
        if self.right { ShiftedConv::down_right(channels, [2, 2]) } else { ShiftedConv::down(channels, [2, 3]) }
    }

    #[track_caller]
    fn run(&self, cx: &mut Scope<'_>, x: &Tensor, aside: Option<&Tensor>) -> Tensor {
        if x.rank() < 3 {
            cx.fail(
                "GatedResnet",
                format!("needs images of shape [batch.., height, width, channels], got {}", x.shape()),
            )
        }
        let channels = x.dim(-1);
        let mut y = cx.call_named("conv1", &self.conv(channels), &concat_elu(x));
        if let Some(aside) = aside {
            if aside.rank() != x.rank() || aside.shape()[..x.rank() - 1] != x.shape()[..x.rank() - 1] {
                let message =
                    format!("needs {} and what is aside alike but for channels, got {}", x.shape(), aside.shape());
                cx.fail("GatedResnet", message)
            }
            let nin = Conv::new(channels, [1, 1]).weight_norm(1.0);
            y = y + cx.call_named("aside", &nin, &concat_elu(aside));
        }
        let y = cx.call(&Dropout::new(self.dropout), &concat_elu(&y));
        let parts = cx.call_named("conv2", &self.conv(2 * channels).init_scale(0.1), &y).split(2, -1);
        x + &parts[0] * parts[1].sigmoid()
    }
}

impl Module<Tensor> for GatedResnet {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.run(cx, x, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("gated_resnet")
    }
}

impl Module<(Tensor, Tensor)> for GatedResnet {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, (x, aside): &(Tensor, Tensor)) -> Tensor {
        self.run(cx, x, Some(aside))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("gated_resnet")
    }
}
