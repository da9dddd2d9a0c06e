//! Composable transforms.
#![deny(missing_docs)]

mod batch;
mod forward;
mod function;
mod linear;
mod programs;
mod reverse;
mod rules;

pub use batch::{BatchAxes, IntoBatchAxes, vmap, vmap_axes};
pub use forward::jvp;
pub use function::Function;
pub use reverse::{grad, grad_aux, linearize, value_and_grad, value_and_grad_aux, vjp};

/// A compiled function.
pub struct Jit;
