//! Optimizers, as pure functions: a state goes in, a fresh one comes out.
//!
//! An optimizer ([`Sgd`], [`Momentum`], [`Adagrad`], [`RmsProp`], [`Adam`], [`Sm3`]) is a value that holds its constants. What
//! changes while training, parameters included, is in an [`OptState`], an ordinary tree: it can be moved
//! into a compiled function, carried through a `scan`, mapped by `vmap`, and saved. The methods are
//! those of the trait [`Optimizer`].
//!
//! The learning rate is a number, or a [`Schedule`] that is evaluated at the (traced) step.
//!
//! An optimizer of one's own implements [`UpdateRule`], and becomes an [`Optimizer`] by that.
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
//! Gradients that are computed otherwise go in by
//! [`update_from_gradients`](Optimizer::update_from_gradients), perhaps after [`clip_by_global_norm`].
#![deny(missing_docs)]

mod adagrad;
mod adam;
mod clip;
mod optimizer;
mod rms_prop;
mod rule;
mod schedule;
mod sgd;
mod sm3;
mod state;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use clip::{clip_by_global_norm, global_norm};
pub use optimizer::Optimizer;
pub use rms_prop::RmsProp;
pub use rule::{Slots, UpdateRule};
pub use schedule::{
    Schedule, constant, cosine_decay, exponential_decay, inverse_time_decay, piecewise_constant, polynomial_decay,
    warmup,
};
pub use sgd::{Momentum, Sgd};
pub use sm3::Sm3;
pub use state::OptState;

/// The README's code, compiled and run with the documented examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
