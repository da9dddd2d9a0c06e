//! WaveNet: sequences by dilated convolutions that see the past only.

mod cache;
mod sample;

pub use cache::{WaveNetCache, WaveNetWithCache};
pub use sample::WaveNetSampler;

use std::borrow::Cow;

use jaxnet_tensor::{Error, Tensor, raise};

use crate::functions::relu;
use crate::layers::Conv;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// The sizes of one block.
#[derive(Clone, Copy, Debug)]
struct Block {
    kernel: usize,
    dilation: usize,
    /// Of the gated units.
    channels: usize,
    skip_channels: usize,
}

impl Block {
    /// How many places fewer than the input a result has.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }

    /// The gated units, after so many zeros before the first place.
    #[track_caller]
    fn units(&self, cx: &mut Scope<'_>, x: &Tensor, dilation: usize, zeros: usize) -> Tensor {
        let conv = Conv::new(2 * self.channels, [self.kernel]).dilation([dilation]).padding([(zeros, 0)]);
        let both = cx.call_named("gate", &conv, x).split(2, -1);
        both[0].tanh() * both[1].sigmoid()
    }

    /// What is added to the input.
    #[track_caller]
    fn residual(&self, cx: &mut Scope<'_>, units: &Tensor, channels: usize) -> Tensor {
        cx.call_named("residual", &Conv::new(channels, [1]), units)
    }

    #[track_caller]
    fn skip(&self, cx: &mut Scope<'_>, units: &Tensor) -> Tensor {
        cx.call_named("skip", &Conv::new(self.skip_channels, [1]), units)
    }
}

/// The last places.
#[track_caller]
fn last(x: &Tensor, places: usize) -> Tensor {
    let rest: Vec<Tensor> = x.split_at(&[x.dim(-2) - places], -2);
    rest[1].clone()
}

/// A residual block of WaveNet (van den Oord et al. 2016), from sequences of shape [batch.., time, channels] to
/// `(hidden, skip)`: a dilated convolution makes units `tanh(a) * sigmoid(b)`, of which convolutions of 1 make what is
/// added to the input, `hidden`, and what goes on to the output, `skip`.
///
/// Results are `(kernel - 1) * dilation` places shorter than inputs, unless [`padded`](Self::padded).
///
/// Parameters: those of [`Conv`] below `gate` (`a` and `b` side by side), `residual` and `skip`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let block = WaveNetBlock::new(16, 4).skip_channels(32);
/// let x = Tensor::ones([2, 100, 8]);
/// let params = block.init_params(Key::new(0), &x);
/// let (hidden, skip) = block.apply(&params, &x);
/// assert_eq!((hidden.shape().dims(), skip.shape().dims()), (&[2, 96, 8][..], &[2, 96, 32][..]));
/// ```
#[derive(Clone, Debug)]
pub struct WaveNetBlock {
    id: ModuleId,
    block: Block,
    padded: bool,
}

impl WaveNetBlock {
    /// With so many gated units at each place, and this distance of neighbours in its kernel of 2.
    ///
    /// # Panics
    ///
    /// If the dilation is 0.
    #[track_caller]
    pub fn new(channels: usize, dilation: usize) -> Self {
        if dilation == 0 {
            raise(Error::invalid("WaveNetBlock", "the dilation must be at least 1, got 0"));
        }
        let block = Block { kernel: 2, dilation, channels, skip_channels: channels };
        WaveNetBlock { id: ModuleId::new(), block, padded: false }
    }

    /// The size of the kernel; 2 otherwise.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn kernel(self, kernel: usize) -> Self {
        if kernel == 0 {
            raise(Error::invalid("WaveNetBlock", "the kernel must be of size 1 at least, got 0"));
        }
        WaveNetBlock { block: Block { kernel, ..self.block }, ..self }
    }

    /// The channels of what goes on to the output; as many as there are units otherwise.
    pub fn skip_channels(self, channels: usize) -> Self {
        WaveNetBlock { block: Block { skip_channels: channels, ..self.block }, ..self }
    }

    /// With zeros before the first place, so that results are as long as inputs.
    pub fn padded(self) -> Self {
        WaveNetBlock { padded: true, ..self }
    }

    /// Another block of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        WaveNetBlock { id: ModuleId::new(), ..self.clone() }
    }
}

impl Module<Tensor> for WaveNetBlock {
    type Output = (Tensor, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> (Tensor, Tensor) {
        let reach = self.block.reach();
        check(cx, "WaveNetBlock", x, if self.padded { 0 } else { reach + 1 });
        let units = self.block.units(cx, x, self.block.dilation, if self.padded { reach } else { 0 });
        let hidden = self.block.residual(cx, &units, x.dim(-1)) + last(x, units.dim(-2));
        (hidden, self.block.skip(cx, &units))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("wavenet_block")
    }
}

#[track_caller]
fn check(cx: &Scope<'_>, kind: &str, x: &Tensor, places: usize) {
    if x.rank() < 2 {
        cx.fail(kind, format!("needs inputs of shape [batch.., time, channels], got {}", x.shape()))
    }
    if x.dim(-2) < places {
        cx.fail(kind, format!("sees {places} places at once, got {} of {}; see `padded`", x.dim(-2), x.aval()))
    }
}

/// WaveNet (van den Oord et al. 2016), as JAXnet has it: from sequences of shape [batch.., time, channels] to
/// outputs for each place, which depend on the [`receptive_field`](Self::receptive_field) of places until there.
///
/// Inputs go through a convolution and then blocks, see [`WaveNetBlock`]; what these pass on is added up, and goes
/// through two convolutions of 1, each after [`relu`]. Outputs are `receptive_field - 1` places fewer than inputs, unless
/// [`padded`](Self::padded). The output at a place usually says what the next one is.
///
/// Parameters: those of [`Conv`] below `conv`, of blocks below `block0`, …, of [`Conv`] below `out1` and `out2`. (The last
/// block adds nothing to its input, which nobody sees.)
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// // Mixtures of five logistic distributions for the next value of a signal.
/// let net = WaveNet::new([1, 2, 4, 8], 15).channels(8).skip_channels(16);
/// assert_eq!(net.receptive_field(), 17);
/// let signal = Key::new(1).uniform([2, 100, 1]) * 2.0 - 1.0;
/// let inner = net.clone();
/// let loss = parametrized("loss", move |cx, signal: &Tensor| {
///     let seen = inner.receptive_field();
///     let outputs = cx.call(&inner, &signal.i((.., ..-1)));
///     discretized_logistic_mixture_loss(&outputs, &signal.i((.., seen as isize..)), 256).mean()
/// });
/// let params = loss.init_params(Key::new(0), &signal);
/// assert!(loss.apply(&params, &signal).item::<f32>() > 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct WaveNet {
    id: ModuleId,
    dilations: Vec<usize>,
    kernel: usize,
    initial_kernel: usize,
    residual_channels: usize,
    channels: usize,
    skip_channels: usize,
    out_channels: usize,
    padded: bool,
}

impl WaveNet {
    /// With a block for each of these dilations, and so many outputs at each place.
    ///
    /// # Panics
    ///
    /// If there are no dilations, or one is 0.
    #[track_caller]
    pub fn new(dilations: impl Into<Vec<usize>>, out_channels: usize) -> Self {
        let dilations = dilations.into();
        if dilations.is_empty() || dilations.contains(&0) {
            let message = format!("needs blocks with dilations of at least 1, got {dilations:?}");
            raise(Error::invalid("WaveNet", message));
        }
        WaveNet {
            id: ModuleId::new(),
            dilations,
            kernel: 2,
            initial_kernel: 2,
            residual_channels: 32,
            channels: 32,
            skip_channels: 512,
            out_channels,
            padded: false,
        }
    }

    /// The channels of blocks, of their units as of what goes through; 32 otherwise.
    pub fn channels(self, channels: usize) -> Self {
        WaveNet { channels, residual_channels: channels, ..self }
    }

    /// The channels of what goes through blocks, if they are others than those of the units.
    pub fn residual_channels(self, channels: usize) -> Self {
        WaveNet { residual_channels: channels, ..self }
    }

    /// The channels of what goes on from blocks to the output; 512 otherwise.
    pub fn skip_channels(self, channels: usize) -> Self {
        WaveNet { skip_channels: channels, ..self }
    }

    /// The size of kernels, that of the first convolution apart; 2 otherwise.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn kernel(self, kernel: usize) -> Self {
        if kernel == 0 {
            raise(Error::invalid("WaveNet", "kernels must be of size 1 at least, got 0"));
        }
        WaveNet { kernel, ..self }
    }

    /// The size of the first convolution's kernel; 2 otherwise.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn initial_kernel(self, kernel: usize) -> Self {
        if kernel == 0 {
            raise(Error::invalid("WaveNet", "kernels must be of size 1 at least, got 0"));
        }
        WaveNet { initial_kernel: kernel, ..self }
    }

    /// With zeros before the first place in every convolution, so that outputs are as long as inputs.
    pub fn padded(self) -> Self {
        WaveNet { padded: true, ..self }
    }

    /// Another net of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        WaveNet { id: ModuleId::new(), ..self.clone() }
    }

    /// How many places an output depends on, its own and those before.
    pub fn receptive_field(&self) -> usize {
        self.dilations.iter().sum::<usize>() * (self.kernel - 1) + self.initial_kernel
    }

    fn block(&self, i: usize) -> Block {
        let WaveNet { kernel, channels, skip_channels, .. } = *self;
        Block { kernel, dilation: self.dilations[i], channels, skip_channels }
    }

    fn first(&self) -> Conv {
        Conv::new(self.residual_channels, [self.initial_kernel])
    }

    /// What the outputs are made of is added up.
    #[track_caller]
    fn outputs(&self, cx: &mut Scope<'_>, skips: &Tensor) -> Tensor {
        let y = cx.call_named("out1", &Conv::new(self.skip_channels, [1]), &relu(skips));
        cx.call_named("out2", &Conv::new(self.out_channels, [1]), &relu(&y))
    }
}

impl Module<Tensor> for WaveNet {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        check(cx, "WaveNet", x, if self.padded { 0 } else { self.receptive_field() });
        let zeros = |reach: usize| if self.padded { reach } else { 0 };
        let places = if self.padded { x.dim(-2) } else { x.dim(-2) - self.receptive_field() + 1 };
        let first = self.first().padding([(zeros(self.initial_kernel - 1), 0)]);
        let mut hidden = cx.call_named("conv", &first, x);
        let mut skips: Option<Tensor> = None;
        for i in 0..self.dilations.len() {
            let (block, is_last) = (self.block(i), i + 1 == self.dilations.len());
            let skip = cx.within(&format!("block{i}"), |cx| {
                let units = block.units(cx, &hidden, block.dilation, zeros(block.reach()));
                if !is_last {
                    let channels = hidden.dim(-1);
                    hidden = block.residual(cx, &units, channels) + last(&hidden, units.dim(-2));
                }
                // Only what is part of the output is made.
                block.skip(cx, &last(&units, places))
            });
            skips = Some(match skips {
                None => skip,
                Some(skips) => skips + skip,
            });
        }
        self.outputs(cx, &skips.expect("there are blocks"))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("wavenet")
    }
}
