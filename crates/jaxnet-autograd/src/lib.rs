//! Composable transforms.
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
