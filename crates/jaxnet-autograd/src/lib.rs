//! Function transforms in the manner of JAX: derivatives, batching, compilation, loops.
//!
//! A transform takes a function from a [`Tree`](jaxnet_tensor::Tree) to a tree, by value, and gives another
//! function, so that transforms nest in any order and depth. Several arguments are a tuple; what is
//! captured by a closure is constant to the transform, also when it is traced by an outer one.
//!
//! ```
//! use jaxnet_autograd::{grad, jit, value_and_grad, vmap};
//! use jaxnet_tensor::{Tensor, tensor};
//!
//! let f = |(x, scale): (Tensor, Tensor)| (x.sin() * scale).sum();
//! let (value, (by_x, by_scale)) = value_and_grad(f)((tensor![0.0, 1.0], Tensor::from(2.0)));
//! assert_eq!(by_x.i(0).item::<f32>(), 2.0);
//! assert!(by_scale.isclose(value / 2.0).item::<bool>());
//!
//! let per_example = jit(vmap(grad(|x: Tensor| x.powi(3).sum())));
//! let rows = tensor![[1.0, 2.0], [3.0, 4.0]];
//! assert_eq!(per_example.call(rows).to_vec::<f32>(), [3.0, 12.0, 27.0, 48.0]);
//! ```
//!
//! # What there is
//!
//! - **Derivatives**: [`grad`], [`value_and_grad`], both with an auxiliary output ([`grad_aux`],
//!   [`value_and_grad_aux`]); [`jvp`], [`vjp`], [`linearize`]; [`jacfwd`], [`jacrev`], [`hessian`],
//!   [`hessian_tree`], [`hvp`]. Of any order, through every loop and branch. [`check_grads`] compares them
//!   with differences.
//! - **Batches**: [`vmap`] and [`vmap_axes`] run a function for each slice at once.
//! - **Compilation**: [`jit`] traces a function once for each signature and runs the compiled program from
//!   then on; [`eval_shape`] finds shapes without computing.
//! - **Control flow** that depends on values: [`cond`], [`switch`], [`scan`], [`map`], [`fori_loop`],
//!   [`while_loop`]. Rust's own `if` and `for` do where values are known, and are unrolled in programs.
//! - **Control of derivatives**: [`stop_gradient`], [`checkpoint`] (memory for time), [`custom_jvp`] and
//!   [`custom_vjp`].
//! - **Looking inside** of compiled programs: [`debug_print`], [`check_nan`], and [`Jit::program`].
//!
//! ```
//! use jaxnet_autograd::{cond, fori_loop, grad, jit};
//! use jaxnet_tensor::{Tensor, tensor};
//!
//! // A root by Newton's method, in a compiled loop that can be differentiated.
//! let root = |x: Tensor| fori_loop(0, 10, |_, y: Tensor| (&y + &x / &y) * 0.5, x.clone());
//! assert!((jit(root).call(Tensor::from(2.0)) - 2_f64.sqrt()).abs().item::<f32>() < 1e-6);
//! assert!((jit(grad(root)).call(Tensor::from(4.0)) - 0.25).abs().item::<f32>() < 1e-6);
//!
//! let safe_log = |x: Tensor| cond(x.gt(0.0), |x: Tensor| x.log(), |x: Tensor| x.zeros_like(), x);
//! assert_eq!(grad(safe_log)(Tensor::from(-1.0)).item::<f32>(), 0.0);
//! ```
//!
//! # How it works
//!
//! Each transform is an interpreter of `jaxnet-tensor`'s primitives. Forward mode runs each primitive's jvp
//! rule; reverse mode transposes the linear part of that; batching has a rule for each primitive. Loops,
//! branches and compiled functions are primitives that hold programs, which transforms turn into programs.
#![deny(missing_docs)]

mod batch;
mod check;
mod custom;
mod debug;
mod forward;
mod function;
mod jacobian;
mod jit;
mod linear;
mod loops;
mod programs;
mod reverse;
mod rules;

pub use batch::{BatchAxes, IntoBatchAxes, vmap, vmap_axes};
pub use check::{GradCheck, check_grads};
pub use custom::{custom_jvp, custom_vjp};
pub use debug::{check_nan, check_nans, debug_print};
pub use forward::jvp;
pub use function::Function;
pub use jacobian::{Hessian, hessian, hessian_tree, hvp, jacfwd, jacrev};
pub use jit::{Jit, eval_shape, jit};
pub use loops::{checkpoint, cond, fori_loop, map, scan, scan_n, scan_reverse, switch, while_loop};
pub use reverse::{grad, grad_aux, linearize, value_and_grad, value_and_grad_aux, vjp};

/// The tensor as it is, with derivative zero.
///
/// ```
/// use jaxnet_autograd::{grad, stop_gradient};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = |x: Tensor| (stop_gradient(&x) * x).sum();
/// assert_eq!(grad(f)(tensor![3.0]).item::<f32>(), 3.0);
/// ```
#[track_caller]
pub fn stop_gradient(x: &jaxnet_tensor::Tensor) -> jaxnet_tensor::Tensor {
    x.stop_gradient()
}

/// The README's code, compiled and run with the documented examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
