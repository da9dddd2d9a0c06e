//! Residual nets.

use std::borrow::Cow;

use jaxnet_tensor::{Error, Tensor, raise};

use crate::functions::relu;
use crate::init::{Distribution, Fan, variance_scaling, zeros};
use crate::layers::{BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A convolution as torchvision has it, for images, without bias.
fn conv(channels: usize, size: usize, stride: usize) -> Conv {
    let margin = size / 2;
    Conv::new(channels, [size, size])
        .strides([stride, stride])
        .padding([(margin, margin), (margin, margin)])
        .without_bias()
        .with_kernel_init(variance_scaling(2.0, Fan::Out, Distribution::Normal))
}

fn norm() -> BatchNorm {
    BatchNorm::new().momentum(0.9).unbiased_variance()
}

/// What a block gives at last: `relu` of the sum with the shortcut, which is a layer where shapes differ.
#[track_caller]
fn add_shortcut(cx: &mut Scope<'_>, x: &Tensor, y: &Tensor, stride: usize) -> Tensor {
    if stride == 1 && x.dim(-1) == y.dim(-1) {
        return relu(&(y + x));
    }
    let shortcut = cx.call_named("shortcut_conv", &conv(y.dim(-1), 1, stride), x);
    relu(&(y + cx.call_named("shortcut_norm", &norm(), &shortcut)))
}

#[track_caller]
fn check_images(cx: &Scope<'_>, kind: &str, x: &Tensor) {
    if x.rank() < 3 {
        cx.fail(kind, format!("needs images of shape [batch.., height, width, channels], got {}", x.shape()))
    }
}

macro_rules! block {
    ($(#[$doc:meta])* $Block:ident, $name:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Block {
            id: ModuleId,
            channels: usize,
            stride: usize,
            zero_last_gamma: bool,
        }

        impl $Block {
            /// With so many channels in its convolutions of 3x3.
            pub fn new(channels: usize) -> Self {
                $Block { id: ModuleId::new(), channels, stride: 1, zero_last_gamma: false }
            }

            /// How far apart the places are at which it gives results; 1 otherwise.
            ///
            /// # Panics
            ///
            /// If it is 0.
            #[track_caller]
            pub fn stride(self, stride: usize) -> Self {
                if stride == 0 {
                    raise(Error::invalid(stringify!($Block), "the stride must be at least 1, got 0"));
                }
                $Block { stride, ..self }
            }

            /// Whether the last `gamma` is 0 at first, by which the block gives its shortcut alone (Goyal et al. 2017).
            pub fn zero_last_gamma(self, zero: bool) -> Self {
                $Block { zero_last_gamma: zero, ..self }
            }

            /// Another block of the same kind, with parameters of its own.
            pub fn fresh(&self) -> Self {
                $Block { id: ModuleId::new(), ..self.clone() }
            }

            fn last_norm(&self) -> BatchNorm {
                if self.zero_last_gamma { norm().with_gamma_init(zeros()) } else { norm() }
            }
        }

        impl Module<Tensor> for $Block {
            type Output = Tensor;

            fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
                check_images(cx, stringify!($Block), x);
                let y = self.run(cx, x);
                add_shortcut(cx, x, &y, self.stride)
            }

            fn id(&self) -> Option<ModuleId> {
                Some(self.id)
            }

            fn name(&self) -> Cow<'_, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

block! {
    /// A residual block of two convolutions of 3x3 (He et al. 2015), for images of shape
    /// [batch.., height, width, channels].
    ///
    /// Parameters: those of [`Conv`] below `conv1`, `conv2`, of [`BatchNorm`] below `norm1`, `norm2`, and where the shape
    /// changes also `shortcut_conv` and `shortcut_norm`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let block = BasicBlock::new(8).stride(2);
    /// let images = Tensor::ones([2, 6, 6, 4]);
    /// let vars = block.init(Key::new(0), &images);
    /// assert_eq!(vars.params["shortcut_conv.kernel"].shape().dims(), [1, 1, 4, 8]);
    /// assert_eq!(block.call(&vars, &images, Mode::Eval).0.shape().dims(), [2, 3, 3, 8]);
    /// ```
    BasicBlock, "basic_block"
}

block! {
    /// A residual block of convolutions of 1x1, 3x3 and 1x1, the last of which gives four times as many channels (He
    /// et al. 2015), for images of shape [batch.., height, width, channels]. The stride is that of the 3x3, as in
    /// torchvision and what is called ResNet v1.5.
    ///
    /// Parameters: those of [`Conv`] below `conv1`, `conv2`, `conv3`, of [`BatchNorm`] below `norm1`, `norm2`, `norm3`, and
    /// where the shape changes also `shortcut_conv` and `shortcut_norm`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let block = Bottleneck::new(2);
    /// let images = Tensor::ones([2, 6, 6, 8]);
    /// let vars = block.init(Key::new(0), &images);
    /// assert_eq!(vars.params["conv3.kernel"].shape().dims(), [1, 1, 2, 8]);
    /// assert_eq!(block.call(&vars, &images, Mode::Eval).0.shape().dims(), [2, 6, 6, 8]);
    /// ```
    Bottleneck, "bottleneck"
}

impl BasicBlock {
    #[track_caller]
    fn run(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let y = cx.call_named("conv1", &conv(self.channels, 3, self.stride), x);
        let y = relu(&cx.call_named("norm1", &norm(), &y));
        let y = cx.call_named("conv2", &conv(self.channels, 3, 1), &y);
        cx.call_named("norm2", &self.last_norm(), &y)
    }
}

impl Bottleneck {
    #[track_caller]
    fn run(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let y = cx.call_named("conv1", &conv(self.channels, 1, 1), x);
        let y = relu(&cx.call_named("norm1", &norm(), &y));
        let y = cx.call_named("conv2", &conv(self.channels, 3, self.stride), &y);
        let y = relu(&cx.call_named("norm2", &norm(), &y));
        let y = cx.call_named("conv3", &conv(4 * self.channels, 1, 1), &y);
        cx.call_named("norm3", &self.last_norm(), &y)
    }
}

/// A residual net for images of shape [batch.., height, width, channels], as torchvision has it (He et al. 2015, with
/// strides in convolutions of 3x3): see [`resnet18`], [`resnet34`], [`resnet50`], [`resnet101`].
///
/// Parameters: `conv` and `norm`, then `layer1.block0`, … of [`BasicBlock`] or [`Bottleneck`], and `dense`. State: the
/// running statistics of each [`BatchNorm`], with momentum 0.9 (torchvision's 0.1 says the same) and the unbiased variance.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = ResNet::of_basic_blocks([1, 1]).width(8).classes(10);
/// let images = Tensor::ones([2, 32, 32, 3]);
/// let vars = net.init(Key::new(0), &images);
/// let (logits, state) = net.call(&vars, &images, Mode::Train(Key::new(1)));
/// assert_eq!(logits.shape().dims(), [2, 10]);
/// let features = net.features().call(&vars.with_state(state), &images, Mode::Eval).0;
/// assert_eq!(features.shape().dims(), [2, 4, 4, 16]);
/// ```
///
/// With what torchvision has trained:
///
/// ```no_run
/// use jaxnet_nn::prelude::*;
/// use jaxnet_nn::{Source, StateDict};
///
/// let (net, images) = (resnet50(), Tensor::zeros([1, 224, 224, 3]));
/// let vars = net.init(Key::new(0), &images);
/// let vars = StateDict::load("resnet50.safetensors")?.to_vars(&vars, Source::PyTorch, ResNet::torchvision_name)?;
/// let logits = net.call(&vars, &images, Mode::Eval).0;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResNet {
    id: ModuleId,
    blocks: Vec<usize>,
    bottlenecks: bool,
    width: usize,
    classes: usize,
    zero_last_gamma: bool,
    small_images: bool,
}

/// With 18 layers: two [`BasicBlock`]s of each width.
pub fn resnet18() -> ResNet {
    ResNet::of_basic_blocks([2, 2, 2, 2])
}

/// With 34 layers: 3, 4, 6 and 3 [`BasicBlock`]s.
pub fn resnet34() -> ResNet {
    ResNet::of_basic_blocks([3, 4, 6, 3])
}

/// With 50 layers: 3, 4, 6 and 3 [`Bottleneck`]s.
pub fn resnet50() -> ResNet {
    ResNet::of_bottlenecks([3, 4, 6, 3])
}

/// With 101 layers: 3, 4, 23 and 3 [`Bottleneck`]s.
pub fn resnet101() -> ResNet {
    ResNet::of_bottlenecks([3, 4, 23, 3])
}

impl ResNet {
    fn new(blocks: Vec<usize>, bottlenecks: bool) -> Self {
        let id = ModuleId::new();
        ResNet { id, blocks, bottlenecks, width: 64, classes: 1000, zero_last_gamma: false, small_images: false }
    }

    /// With so many [`BasicBlock`]s of each width, which doubles where height and width are halved.
    pub fn of_basic_blocks(blocks: impl Into<Vec<usize>>) -> Self {
        ResNet::new(blocks.into(), false)
    }

    /// With so many [`Bottleneck`]s of each width.
    pub fn of_bottlenecks(blocks: impl Into<Vec<usize>>) -> Self {
        ResNet::new(blocks.into(), true)
    }

    /// The channels of the first blocks; 64 otherwise.
    pub fn width(self, width: usize) -> Self {
        ResNet { width, ..self }
    }

    /// The number of classes; 1000 otherwise.
    pub fn classes(self, classes: usize) -> Self {
        ResNet { classes, ..self }
    }

    /// Whether each block gives its shortcut alone at first: see [`BasicBlock::zero_last_gamma`].
    pub fn zero_last_gamma(self, zero: bool) -> Self {
        ResNet { zero_last_gamma: zero, ..self }
    }

    /// For small images, as CIFAR's of 32x32: starts with a convolution of 3x3 without stride, and without pooling.
    pub fn small_images(self) -> Self {
        ResNet { small_images: true, ..self }
    }

    /// Another net of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        ResNet { id: ModuleId::new(), ..self.clone() }
    }

    /// The same net without its last layers: from images to their features, of shape [batch.., height, width, channels].
    pub fn features(&self) -> ResNetFeatures {
        ResNetFeatures(self.clone())
    }

    /// What a module of such a net is called in torchvision, for [`StateDict::to_vars`](crate::StateDict::to_vars).
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// assert_eq!(ResNet::torchvision_name("layer2.block0.shortcut_norm"), "layer2.0.downsample.1");
    /// ```
    pub fn torchvision_name(module: &str) -> String {
        let part = |part: &str| match part {
            "conv" => "conv1".to_string(),
            "norm" => "bn1".to_string(),
            "dense" => "fc".to_string(),
            "shortcut_conv" => "downsample.0".to_string(),
            "shortcut_norm" => "downsample.1".to_string(),
            other => match (other.strip_prefix("block"), other.strip_prefix("norm")) {
                (Some(number), _) => number.to_string(),
                (_, Some(number)) => format!("bn{number}"),
                _ => other.to_string(),
            },
        };
        module.split('.').map(part).collect::<Vec<_>>().join(".")
    }

    #[track_caller]
    fn run_features(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        check_images(cx, "ResNet", x);
        let start = if self.small_images { conv(self.width, 3, 1) } else { conv(self.width, 7, 2) };
        let y = cx.call_named("conv", &start, x);
        let mut y = relu(&cx.call_named("norm", &norm(), &y));
        if !self.small_images {
            y = cx.call(&MaxPool::new([3, 3]).strides([2, 2]).padding([(1, 1), (1, 1)]), &y);
        }
        for (i, &blocks) in self.blocks.iter().enumerate() {
            let (channels, zero) = (self.width << i, self.zero_last_gamma);
            y = cx.within(&format!("layer{}", i + 1), |cx| {
                (0..blocks).fold(y, |y, block| {
                    let stride = if block == 0 && i > 0 { 2 } else { 1 };
                    let name = format!("block{block}");
                    if self.bottlenecks {
                        let block = Bottleneck::new(channels).stride(stride).zero_last_gamma(zero);
                        cx.call_named(&name, &block, &y)
                    } else {
                        let block = BasicBlock::new(channels).stride(stride).zero_last_gamma(zero);
                        cx.call_named(&name, &block, &y)
                    }
                })
            });
        }
        y
    }
}

impl Module<Tensor> for ResNet {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let y = self.run_features(cx, x);
        let y = cx.call(&GlobalAvgPool::new(2), &y);
        let dense = Dense::new(self.classes)
            .with_kernel_init(variance_scaling(1.0 / 3.0, Fan::In, Distribution::Uniform))
            .with_bias_init(zeros());
        cx.call(&dense, &y)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("resnet")
    }
}

/// A residual net up to its features: see [`ResNet::features`].
#[derive(Clone, Debug)]
pub struct ResNetFeatures(ResNet);

impl Module<Tensor> for ResNetFeatures {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.0.run_features(cx, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("resnet")
    }
}
