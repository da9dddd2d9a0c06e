//! Neural-network modules as pure functions: immutable parameters, explicit randomness and state.
//!
//! A model is a value without numbers in it. [`init_params`](Module::init_params) makes its parameters, an
//! immutable tree, and [`apply`](Module::apply) is a pure function of them, which any transform takes.
//!
//! ```
//! use jaxnet_nn::prelude::*;
//!
//! let net = sequential![Dense::new(8), relu, Dense::new(3), log_softmax];
//! let inputs = Key::new(1).normal([5, 4]);
//! let params = net.init_params(Key::new(0), &inputs);
//! println!("{params}"); // dense0.kernel: f32[4,8], …
//! assert_eq!(params["dense1.bias"].shape().dims(), [3]);
//!
//! let loss = |params: Params| -net.apply(&params, &inputs).max_axis(-1).mean();
//! let gradients = jit(grad(loss)).call(params.clone()); // a tree like `params`
//! assert_eq!(gradients.paths(), params.paths());
//! ```
//!
//! # The ideas
//!
//! - **A [`Module`] maps an input tree to an output tree** through a [`Scope`], which hands out parameters,
//!   keys and state. Plain functions of a reference are modules, so that activations need no wrapping.
//! - **Modules of one's own are functions**, made by [`parametrized`], that declare parameters and call
//!   submodules where they use them. [`Parameter`] is a module that is just one parameter.
//! - **Identity.** Every constructor makes a new module; clones are the same one and share parameters, and
//!   `fresh()` makes another of the same kind. Names are for reading: `dense`, or `dense0` and `dense1` where
//!   they clash.
//! - **Reuse by module.** Parameters trained through one model serve any other that contains the same
//!   modules: [`params_from`](Module::params_from), [`apply_from`](Module::apply_from).
//! - **State is data.** Modules that are random or have a memory are [`call`](Module::call)ed with [`Vars`] and a
//!   [`Mode`], and give new state back.
//!
//! ```
//! use jaxnet_nn::prelude::*;
//!
//! let net = sequential![Dense::new(8), tanh, Dense::new(1)];
//! let model = net.clone(); // the same module
//! let loss = parametrized("loss", move |cx, (x, y): &(Tensor, Tensor)| {
//!     let scale = cx.param("scale", [], ones());
//!     (cx.call(&model, x) * scale - y).square().mean()
//! });
//! let batch = (Key::new(1).normal([6, 3]), Tensor::ones([6, 1]));
//! let params = loss.init_params(Key::new(0), &batch);
//! assert!(params.paths().contains(&"scale".to_string()));
//!
//! // Trained through the loss, used alone.
//! let predictions = net.apply_from(&[loss.shaped(&batch).reuse(&params)], &batch.0);
//! assert_eq!(predictions.shape().dims(), [6, 1]);
//!
//! // Dropout needs a key, batch normalization keeps statistics.
//! let net = sequential![Dense::new(8), BatchNorm::new(), Dropout::new(0.5)];
//! let vars = net.init(Key::new(0), &batch.0);
//! let (_, state) = net.call(&vars, &batch.0, Mode::Train(Key::new(2)));
//! let y = net.call(&vars.with_state(state), &batch.0, Mode::Eval).0;
//! assert_eq!(y.shape().dims(), [6, 8]);
//! ```
//!
//! # Where to look
//!
//! [`prelude`] for what programs mostly need; layers such as [`Dense`], [`Conv`], [`BatchNorm`], [`Rnn`];
//! functions such as [`relu`], [`softmax_cross_entropy_with_integer_labels`]; [`mod@init`] for initializers;
//! [`Regularized`], [`Reparametrized`], [`Batched`], [`Residual`], [`Remat`], [`Frozen`] for what wraps models; [`save`] and [`load`] for files;
//! [`StateDict`] for parameters of PyTorch and Flax.
//! [`docs::jax_users`] has a table of equivalents for users of JAX, flax and optax.
#![deny(missing_docs)]

/// This file, by which errors tell apart what was raised in this crate.
const ROOT: &str = file!();

mod combinators;
pub mod docs;
mod functions;
mod import;
pub mod init;
mod layers;
mod module;
mod nets;
mod parametrized;
mod params;
mod precision;
mod save;
mod scope;
mod sequential;
mod summary;
pub mod train;
mod wrappers;

pub use combinators::{Batched, L2Regularized, Regularized, Reparametrized};
pub use functions::*;
pub use import::{Source, StateDict};
pub use layers::*;
pub use module::{Module, Reuse, Shaped};
pub use nets::*;
pub use parametrized::{Parameter, Parametrized, parametrized};
pub use params::{Params, Vars};
pub use precision::{LossScale, MixedPrecision};
pub use save::{load, load_like, save};
pub use scope::{Bound, Mode, ModuleId, Scope};
pub use sequential::Sequential;
pub use summary::{Summary, SummaryRow, summary};
pub use wrappers::{Frozen, Remat, Residual};

/// What programs that use this crate mostly need: `use jaxnet_nn::prelude::*`.
///
/// Initializers that are not here are in [`mod@crate::init`].
pub mod prelude {
    pub use crate::functions::*;
    pub use crate::init::{
        constant, glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, lecun_uniform, normal, ones,
        orthogonal, truncated_normal, uniform, zeros,
    };
    pub use crate::layers::*;
    pub use crate::nets::*;
    pub use crate::{
        Batched, Frozen, L2Regularized, LossScale, MixedPrecision, Mode, Module, Parameter, Parametrized, Params,
        Regularized, Remat, Reparametrized, Residual, Scope, Sequential, Vars, load, load_like, parametrized, save,
        sequential, summary,
    };
    pub use jaxnet_autograd::{
        checkpoint, cond, custom_jvp, custom_vjp, eval_shape, fori_loop, grad, grad_aux, hessian, hvp, jacfwd, jacrev,
        jit, jvp, scan, value_and_grad, value_and_grad_aux, vjp, vmap, vmap_axes, while_loop,
    };
    pub use jaxnet_tensor::{DType, Device, Error, Key, Result, Shape, Tensor, Tree, tensor, try_catch};
}

/// The README's code, compiled and run with the documented examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
