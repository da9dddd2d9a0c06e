//! PixelCNN++: images by convolutions that see what is above and to the left only.

mod blocks;
mod sample;

pub use blocks::{GatedResnet, ShiftedConv, down_shift, right_shift};
pub use sample::PixelCnnSampler;

use std::borrow::Cow;

use jaxnet_tensor::{Error, Shape, Tensor, raise};

use crate::functions::elu;
use crate::layers::Conv;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// How often height and width are halved, and doubled again, plus one.
const STAGES: usize = 3;

/// PixelCNN++ (Salimans et al. 2017), as OpenAI's code and JAXnet have it: from images of shape
/// [batch.., height, width, channels], with values in -1..1 and 1 or 3 channels, to the parameters of a mixture of
/// logistic distributions for each pixel, which depend on the pixels above and to the left of it only:
/// [`discretized_logistic_mixture_loss`](crate::discretized_logistic_mixture_loss) takes them.
///
/// Height and width must be divisible by 4. All convolutions have weight normalization, which the images that
/// parameters are made with start: give a batch of real ones to [`init_params`](Module::init_params).
///
/// Parameters: those of [`ShiftedConv`] and [`GatedResnet`] below `start_u`, `start_ul_down`, `start_ul_right`, `up0.u0`,
/// `up0.ul0`, …, `up0.half_u`, `up0.half_ul`, …, `down0.u0`, …, `down0.double_u`, …, and of [`Conv`] below `out`: `u` sees the
/// rows above, `ul` also what is to the left.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = PixelCnn::new(5).filters(4).resnets(1).dropout(0.5);
/// let images = Key::new(1).uniform([2, 8, 8, 1]) * 2.0 - 1.0;
/// let inner = net.clone();
/// let loss = parametrized("loss", move |cx, images: &Tensor| {
///     discretized_logistic_mixture_loss(&cx.call(&inner, images), images, 256).mean()
/// });
/// let vars = loss.init(Key::new(0), &images);
/// let nats = loss.call(&vars, &images, Mode::Train(Key::new(2))).0;
/// assert!(nats.item::<f32>() > 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct PixelCnn {
    id: ModuleId,
    mixtures: usize,
    filters: usize,
    resnets: usize,
    dropout: f64,
}

impl PixelCnn {
    /// With mixtures of so many distributions, 160 filters, and 5 residual blocks between steps of resolution, without
    /// dropout.
    pub fn new(mixtures: usize) -> Self {
        PixelCnn { id: ModuleId::new(), mixtures, filters: 160, resnets: 5, dropout: 0.0 }
    }

    /// The channels of what goes through blocks; 160 otherwise.
    pub fn filters(self, filters: usize) -> Self {
        PixelCnn { filters, ..self }
    }

    /// How many residual blocks there are between steps of resolution; 5 otherwise.
    pub fn resnets(self, resnets: usize) -> Self {
        PixelCnn { resnets, ..self }
    }

    /// In training, drops this share of units in blocks.
    ///
    /// # Panics
    ///
    /// If the rate is not in `0..=1`.
    #[track_caller]
    pub fn dropout(self, rate: f64) -> Self {
        if !(0.0..=1.0).contains(&rate) {
            raise(Error::invalid("PixelCnn", format!("the rate of units to drop must be in 0..=1, got {rate}")));
        }
        PixelCnn { dropout: rate, ..self }
    }

    /// Another net of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        PixelCnn { id: ModuleId::new(), ..self.clone() }
    }

    #[track_caller]
    fn check(&self, cx: &Scope<'_>, x: &Tensor) {
        let factor = 1 << (STAGES - 1);
        if x.rank() < 3 || ![1, 3].contains(&x.dim(-1)) {
            let shape = x.shape();
            cx.fail("PixelCnn", format!("needs images of shape [batch.., height, width, 1 or 3 channels], got {shape}"))
        }
        if !x.dim(-3).is_multiple_of(factor) || !x.dim(-2).is_multiple_of(factor) {
            cx.fail("PixelCnn", format!("needs images whose height and width {factor} divides, got {}", x.shape()))
        }
    }

    #[track_caller]
    fn run(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.check(cx, x);
        let channels = x.dim(-1);
        let dtype = if x.dtype().is_float() { x.dtype() } else { x.dtype().to_float() };
        // By a channel of ones, convolutions tell the image from what is beyond its edges.
        let border: Shape = x.shape()[..x.rank() - 1].iter().copied().chain([1]).collect();
        let x = Tensor::concatenate(&[x.astype(dtype), Tensor::ones(border).astype(dtype)], -1);
        let down = |size: [usize; 2]| ShiftedConv::down(self.filters, size);
        let right = |size: [usize; 2]| ShiftedConv::down_right(self.filters, size);
        let (down_block, right_block) = (
            |_: usize| GatedResnet::down().dropout(self.dropout),
            |_: usize| GatedResnet::down_right().dropout(self.dropout),
        );

        let u = down_shift(&cx.call_named("start_u", &down([2, 3]), &x));
        let above = down_shift(&cx.call_named("start_ul_down", &down([1, 3]), &x));
        let left = right_shift(&cx.call_named("start_ul_right", &right([2, 1]), &x));
        let (mut us, mut uls) = (vec![u.clone()], vec![above + left]);
        let (mut u, mut ul) = (u, uls[0].clone());
        for stage in 0..STAGES {
            cx.within(&format!("up{stage}"), |cx| {
                for i in 0..self.resnets {
                    u = cx.call_named(&format!("u{i}"), &down_block(i), &u);
                    ul = cx.call_named(&format!("ul{i}"), &right_block(i), &(ul.clone(), u.clone()));
                    us.push(u.clone());
                    uls.push(ul.clone());
                }
                if stage + 1 < STAGES {
                    u = cx.call_named("half_u", &down([2, 3]).strides([2, 2]), &u);
                    ul = cx.call_named("half_ul", &right([2, 2]).strides([2, 2]), &ul);
                    us.push(u.clone());
                    uls.push(ul.clone());
                }
            });
        }
        // What the way up gave last is where the way down starts.
        us.pop();
        uls.pop();
        for stage in 0..STAGES {
            cx.within(&format!("down{stage}"), |cx| {
                for i in 0..self.resnets + usize::from(stage > 0) {
                    let (other_u, other_ul) = (us.pop().expect("as many as there were"), uls.pop().expect("likewise"));
                    u = cx.call_named(&format!("u{i}"), &down_block(i), &(u.clone(), other_u));
                    let aside = Tensor::concatenate(&[u.clone(), other_ul], -1);
                    ul = cx.call_named(&format!("ul{i}"), &right_block(i), &(ul.clone(), aside));
                }
                if stage + 1 < STAGES {
                    u = cx.call_named("double_u", &down([2, 3]).strides([2, 2]).transposed(), &u);
                    ul = cx.call_named("double_ul", &right([2, 2]).strides([2, 2]).transposed(), &ul);
                }
            });
        }
        let parameters = if channels == 1 { 3 } else { 10 };
        cx.call_named("out", &Conv::new(parameters * self.mixtures, [1, 1]).weight_norm(1.0), &elu(&ul))
    }
}

impl Module<Tensor> for PixelCnn {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.run(cx, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("pixelcnn")
    }
}
