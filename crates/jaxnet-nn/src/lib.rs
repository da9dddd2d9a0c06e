//! Neural-network modules as pure functions.
#![deny(missing_docs)]

mod functions;
pub mod init;
mod layers;
mod module;
mod parametrized;
mod params;
mod scope;
mod sequential;

pub use functions::{log_softmax, relu};
pub use layers::Dense;
pub use module::{Module, Reuse, Shaped};
pub use parametrized::{Parameter, Parametrized, parametrized};
pub use params::{Params, Vars};
pub use scope::{Bound, Mode, ModuleId, Scope};
pub use sequential::Sequential;

/// What programs that use this crate mostly need.
pub mod prelude {
    pub use crate::init::{glorot_normal, normal, zeros};
    pub use crate::{
        Dense, Mode, Module, Parameter, Parametrized, Params, Scope, Sequential, Vars, log_softmax, parametrized, relu,
        sequential,
    };
    pub use jaxnet_autograd::{grad, hessian, jit, value_and_grad, vmap};
    pub use jaxnet_tensor::{DType, Device, Error, Key, Result, Tensor, Tree, tensor};
}
