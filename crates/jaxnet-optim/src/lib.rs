//! Optimizers, as pure functions: a state goes in, a fresh one comes out.
//!
//! An optimizer ([`Sgd`], [`Momentum`], [`Adam`], [`RmsProp`]) is a value that holds its constants. What
//! changes while training, parameters included, is in an [`OptState`], an ordinary tree: it can be moved
//! into a compiled function, carried through a `scan`, mapped by `vmap`, and saved. The methods are
//! those of the trait [`Optimizer`].
//!
//! The learning rate is a number, or a [`Schedule`] that is evaluated at the (traced) step.
//!
//! An optimizer of one's own implements [`UpdateRule`], and becomes an [`Optimizer`] by that.
#![deny(missing_docs)]
#![doc = "\n# Example\n"]
#![doc = include_str!("../README.md")]

mod adam;
mod clip;
mod optimizer;
mod rms_prop;
mod rule;
mod schedule;
mod sgd;
mod state;

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
pub use state::OptState;
