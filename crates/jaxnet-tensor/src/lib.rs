//! Tensors, traced programs and devices.
#![deny(missing_docs)]

mod aval;
pub mod backend;
mod device;
pub mod dtype;
mod error;
pub mod files;
mod key;
pub mod lax;
mod memo;
pub mod primitive;
pub mod program;
mod shape;
mod tensor;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod tree;

pub use aval::{Aval, Literal, Scalar};
pub use device::Device;
pub use dtype::{DType, Element, promote_types};
pub use error::{Error, OrRaise, Result, raise, try_catch};
pub use jaxnet_derive::Tree;
pub use key::Key;
pub use memo::Memo;
pub use primitive::Primitive;
pub use program::Program;
pub use shape::{Dims, IntoAxes, Shape, inverse_permutation};
pub use tensor::{
    At, ContractAxes, Ellipsis, IndexArg, IntoIndex, IntoSizes, NestedArray, NewAxis, Operand, Step, Tensor, s,
};
pub use tree::{Structure, Tree};

// The derive names this crate by its outside name.
extern crate self as jaxnet_tensor;
