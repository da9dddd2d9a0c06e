//! Optimizers, as pure functions: a state goes in, a fresh one comes out.
//!
//! An optimizer is a value that holds its constants: [`Sgd`], [`Momentum`], [`Adagrad`], [`Adadelta`], [`RmsProp`],
//! [`Adam`], [`AdamW`], [`Adamax`], [`NAdam`], [`RAdam`], [`Lamb`], [`Lars`], [`Lion`], [`Adafactor`], [`Sm3`],
//! [`Muon`]. What changes while training, parameters included, is in an [`OptState`], an ordinary tree: it can be
//! moved into a compiled function, carried through a `scan`, mapped by `vmap`, and saved. The methods are
//! those of the trait [`Optimizer`].
//!
//! The learning rate is a number, or a [`Schedule`] that is evaluated at the (traced) step.
//!
//! ```
//! use jaxnet_autograd::jit;
//! use jaxnet_optim::{Adam, OptState, Optimizer, cosine_decay, warmup};
//! use jaxnet_tensor::{Tensor, tensor};
//!
//! // Any tree of tensors: here a pair.
//! type Point = (Tensor, Tensor);
//! let loss = |(x, y): Point| (x - 3.0).square() + (y + 1.0).square();
//!
//! let opt = Adam::new(warmup(10, cosine_decay(0.2, 300, 0.0)));
//! let step = jit(|state: OptState<Point>| opt.update_and_get_loss(state, loss));
//! let mut state = opt.init((Tensor::from(0.0), Tensor::from(0.0)));
//! for _ in 0..300 {
//!     let (next, _loss) = step.call(state); // moved in: its memory is used again
//!     state = next;
//! }
//! let (x, y) = opt.params(&state);
//! assert!(x.isclose_within(3.0, 0.0, 0.05).item::<bool>() && y.isclose_within(-1.0, 0.0, 0.05).item::<bool>());
//! assert_eq!(opt.step(&state).item::<i32>(), 300);
//! ```
//!
//! Gradients that are computed otherwise go in by [`update_from_gradients`](Optimizer::update_from_gradients).
//!
//! # Putting rules together
//!
//! All optimizers are [`UpdateRule`]s, as is whatever changes gradients or updates; one of one's own implements that
//! trait, and is an [`Optimizer`] by it. There are two ways to put rules together.
//!
//! A **tuple** of rules is a rule: what one makes of the gradients is given to the next (`chain` of optax). Before an
//! optimizer go [`ClipByGlobalNorm`], [`ClipByNorm`], [`ClipByValue`], [`ClipByRms`], [`AdaptiveClip`],
//! [`WeightDecay`] (of L2 regularization), [`AddNoise`], [`Centralize`], [`Ema`]; after it [`Scale`] and [`Freeze`].
//! An optimizer of new parts is made of directions: [`Direction`], [`ScaleByTrustRatio`], [`ScaleByParamRms`] and
//! [`WeightDecay`], with [`ScaleByLearningRate`] at the end.
//!
//! A rule **around** a rule: [`MultiSteps`] accumulates gradients, [`ApplyIfFinite`] leaves some out, [`Lookahead`]
//! fetches parameters back, [`Averaged`] keeps their average, [`Masked`] and [`Partition`] choose parameters by path.
//!
//! ```
//! use jaxnet_optim::{Adam, Averaged, ClipByGlobalNorm, MultiSteps, Optimizer, WeightDecay};
//! use jaxnet_tensor::tensor;
//!
//! let rule = (ClipByGlobalNorm::new(1.0), WeightDecay::new(1e-4).mask(|path| path.ends_with("kernel")), Adam::new(0.1));
//! let opt = Averaged::ema(MultiSteps::new(rule, 4), 0.999);
//! let mut state = opt.init(tensor![1.0, -1.0]);
//! for _ in 0..8 {
//!     state = opt.update(state, |x| x.square().sum());
//! }
//! assert!(opt.params(&state).allclose(tensor![0.8, -0.8], 1e-3, 0.0));
//! assert!(opt.average(&state).allclose(tensor![1.0, -1.0], 1e-2, 0.0));
//! ```
#![deny(missing_docs)]

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod apply_if_finite;
mod averaged;
mod chain;
mod clip;
mod cycles;
mod decay;
mod gradients;
mod lamb;
mod lars;
mod lion;
mod lookahead;
mod moments;
mod multi_steps;
mod muon;
mod optimizer;
mod partition;
mod radam;
mod rms_prop;
mod rule;
mod scale;
mod schedule;
mod sgd;
mod slots;
mod sm3;
mod state;

pub use adadelta::Adadelta;
pub use adafactor::Adafactor;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW, NAdam};
pub use adamax::Adamax;
pub use apply_if_finite::ApplyIfFinite;
pub use averaged::Averaged;
pub use clip::{AdaptiveClip, ClipByGlobalNorm, ClipByNorm, ClipByRms, ClipByValue, clip_by_global_norm, global_norm};
pub use cycles::{
    Cycle, Interpolation, OneCycle, cosine_onecycle, join_schedules, linear_onecycle, piecewise_interpolate,
    piecewise_scale, sgdr, warmup_cosine_decay, warmup_exponential_decay,
};
pub use decay::WeightDecay;
pub use gradients::{AddNoise, Centralize, Ema};
pub use lamb::Lamb;
pub use lars::Lars;
pub use lion::Lion;
pub use lookahead::Lookahead;
pub use multi_steps::MultiSteps;
pub use muon::Muon;
pub use optimizer::Optimizer;
pub use partition::{Freeze, Masked, Partition};
pub use radam::RAdam;
pub use rms_prop::RmsProp;
pub use rule::{Leaves, UpdateRule};
pub use scale::{Direction, Scale, ScaleByLearningRate, ScaleByParamRms, ScaleByTrustRatio};
pub use schedule::{
    Schedule, constant, cosine_decay, exponential_decay, inverse_time_decay, linear, piecewise_constant,
    polynomial_decay, warmup,
};
pub use sgd::{Momentum, Sgd};
pub use slots::Slots;
pub use sm3::Sm3;
pub use state::OptState;

/// The README's code, compiled and run with the documented examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
