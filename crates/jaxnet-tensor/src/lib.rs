//! Tensors, traced programs and devices: the foundation of JAXnet in Rust.
//!
//! A [`Tensor`] is an immutable array with a dtype and a shape that are known at run time: a cheap handle,
//! `Send + Sync`, without type parameters. Its methods have numpy's names, broadcast, and promote dtypes
//! as JAX does ([`promote_types`]); Rust numbers stand beside tensors as weakly typed scalars.
//!
//! ```
//! use jaxnet_tensor::{DType, Step, Tensor, tensor};
//!
//! let x = tensor![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
//! assert_eq!((x.shape().dims(), x.dtype()), (&[2, 3][..], DType::F32));
//! let y = (&x * 2.0 + 1.0).sum_axis(0); // over the rows
//! assert_eq!(y.to_vec::<f32>(), [12.0, 16.0, 20.0]);
//! assert_eq!(x.i((1, (..).step(-1))).to_vec::<f32>(), [6.0, 5.0, 4.0]); // `x[1, ::-1]`
//! assert_eq!(x.at((.., 0)).set(0.0).sum().item::<f32>(), 16.0); // a changed copy
//! println!("{x}");
//! ```
//!
//! # The ideas
//!
//! - **A closed set of primitives.** Every operation comes down to a [`Primitive`], with XLA's semantics;
//!   shapes and dtypes are checked in one place. [`lax`] has the primitives as strict functions that return
//!   a [`Result`]; [`Tensor`]'s methods broadcast and promote, then call them.
//! - **Tracing.** A tensor may stand for a value that is not known yet. Operations on it are handed to the
//!   [`trace`] that it belongs to: that is how `jaxnet-autograd` differentiates, batches and compiles. What
//!   is staged becomes a [`Program`], which can be printed and compared.
//! - **Engines are values.** A [`Device`] is of an engine that implements [`backend::Backend`]; the embedded
//!   CPU engine is always there.
//! - **Trees.** Whatever is made of tensors, tuples, vectors, maps and structs with `#[derive(Tree)]`, is a
//!   [`Tree`], which transforms, optimizers and files take as a whole.
//! - **Keys are spent.** Random numbers come from a [`Key`], which sampling consumes; they are those of
//!   `jax.random`, on every device.
//! - **Mistakes are told.** A wrong shape, dtype or axis panics at the line that made it, with a message that
//!   says how to mend it; [`try_catch`] makes it an [`Error`]. What depends on the world outside, files and
//!   devices, returns a [`Result`].
//!
//! ```
//! use jaxnet_tensor::{Key, Tensor, Tree, try_catch};
//!
//! #[derive(Tree)]
//! struct Batch {
//!     inputs: Tensor,
//!     labels: Tensor,
//! }
//!
//! let (a, b) = Key::new(0).split();
//! let batch = Batch { inputs: a.normal([8, 3]), labels: b.randint([8], 0, 10) };
//! assert_eq!(batch.leaves().len(), 2);
//!
//! let error = try_catch(|| batch.inputs.matmul(Tensor::zeros([4, 2]))).unwrap_err();
//! assert!(error.to_string().starts_with("matmul: f32[8,3] and f32[4,2]"));
//! ```
//!
//! # Where to look
//!
//! [`Tensor`] for what one computes with, [`s`], [`Step`], [`NewAxis`] and [`Ellipsis`] for indexing, [`Key`] for
//! random numbers, [`linalg`] for decompositions and equations, [`tree`] for trees, [`mod@files`] for writing files safely,
//! [`profile`] for where time goes, [`primitive`], [`program`],
//! [`trace`] and [`backend`] for what is below.
#![deny(missing_docs)]

mod aval;
pub mod backend;
mod device;
pub mod dtype;
mod error;
pub mod files;
mod key;
pub mod lax;
pub mod linalg;
mod memo;
pub mod primitive;
pub mod profile;
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
#[doc(hidden)]
pub use error::called_from;
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

/// The README's code, compiled and run with the documented examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
