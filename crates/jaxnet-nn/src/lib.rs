//! Neural-network modules as pure functions.
#![deny(missing_docs)]

mod combinators;
mod functions;
pub mod init;
mod layers;
mod module;
mod parametrized;
mod params;
mod save;
mod scope;
mod sequential;

pub use combinators::{Batched, L2Regularized, Regularized, Reparametrized};
pub use functions::*;
pub use layers::*;
pub use module::{Module, Reuse, Shaped};
pub use parametrized::{Parameter, Parametrized, parametrized};
pub use params::{Params, Vars};
pub use save::{load, load_like, save};
pub use scope::{Bound, Mode, ModuleId, Scope};
pub use sequential::Sequential;

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
    pub use crate::{
        Batched, L2Regularized, Mode, Module, Parameter, Parametrized, Params, Regularized, Reparametrized, Scope,
        Sequential, Vars, load, load_like, parametrized, save, sequential,
    };
    pub use jaxnet_autograd::{
        checkpoint, cond, custom_jvp, custom_vjp, eval_shape, fori_loop, grad, grad_aux, hessian, hvp, jacfwd, jacrev,
        jit, jvp, scan, value_and_grad, value_and_grad_aux, vjp, vmap, vmap_axes, while_loop,
    };
    pub use jaxnet_tensor::{DType, Device, Error, Key, Result, Shape, Tensor, Tree, tensor, try_catch};
}
