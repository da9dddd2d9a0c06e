//! The tensor, and what people type.
//!
//! One file a family, as in [`primitive`](crate::primitive); methods broadcast and promote, then call
//! the strict functions of [`lax`](crate::lax).

mod contract;
mod convert;
mod create;
mod display;
mod dot;
mod einsum;
mod elementwise;
mod index;
mod npy;
mod numeric;
mod operators;
mod reduce;
mod search;
mod shape;
mod sort;
mod statistics;

use std::fmt;
use std::sync::Arc;

pub use contract::ContractAxes;
pub use convert::NestedArray;
pub use index::{At, Ellipsis, IndexArg, IntoIndex, NewAxis, Step, s};
pub use operators::Operand;
pub use shape::IntoSizes;

use crate::aval::{Aval, Literal};
use crate::backend::{Array, download};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, OrRaise, Result, raise};
use crate::shape::{Dims, IntoAxes, Shape};
use crate::trace::Traced;

/// An immutable array of numbers or truth values, on a device or in a trace.
///
/// A tensor is a cheap handle: cloning it shares the elements. Operations give new tensors; where
/// nobody else holds an operand that is passed by value to a compiled function, its memory is used
/// again.
///
/// Methods broadcast and promote as in numpy and JAX. A mistake in shapes, dtypes or axes panics at
/// the line that made it, with a message that says how to mend it; [`try_catch`](crate::try_catch)
/// turns the panic into an [`Error`].
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let x = tensor![[1.0, 2.0], [3.0, 4.0]];
/// let y = (&x * 2.0 + 1.0).sum_axis(0);
/// assert_eq!(y.to_vec::<f32>(), [10.0, 14.0]);
/// ```
#[derive(Clone)]
pub struct Tensor(Repr);

#[derive(Clone)]
enum Repr {
    /// A constant without a device.
    Literal(Literal),
    Array(Arc<Array>),
    Traced(Arc<Traced>),
}

impl Tensor {
    /// Shape and dtype.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3]).aval().to_string(), "f32[2,3]");
    /// ```
    pub fn aval(&self) -> &Aval {
        match &self.0 {
            Repr::Literal(literal) => literal.aval(),
            Repr::Array(array) => &array.aval,
            Repr::Traced(traced) => &traced.aval,
        }
    }

    /// The sizes of the axes.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3]).shape().dims(), [2, 3]);
    /// ```
    pub fn shape(&self) -> &Shape {
        &self.aval().shape
    }

    /// The element type.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, tensor};
    /// assert_eq!(tensor![1, 2].dtype(), DType::I32);
    /// ```
    pub fn dtype(&self) -> DType {
        self.aval().dtype
    }

    /// The number of axes.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3]).rank(), 2);
    /// ```
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The number of elements.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3]).size(), 6);
    /// ```
    pub fn size(&self) -> usize {
        self.shape().size()
    }

    /// The size of an axis; negative axes count from the end.
    ///
    /// # Panics
    ///
    /// If there is no such axis.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::zeros([3, 5]);
    /// assert_eq!((x.dim(0), x.dim(-1)), (3, 5));
    /// ```
    #[track_caller]
    pub fn dim(&self, axis: isize) -> usize {
        self.shape()[self.axis("dim", axis).or_raise()]
    }

    /// Whether the dtype is weak, as that of Rust numbers is; see [`promote_types`](crate::promote_types).
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// assert!(Tensor::from(1.0).is_weak() && !tensor![1.0].is_weak());
    /// ```
    pub fn is_weak(&self) -> bool {
        self.aval().weak
    }

    /// The device, or `None` for a constant that follows its operands and for a traced value.
    pub fn device(&self) -> Option<&Device> {
        self.array().map(|array| &array.device)
    }

    /// Whether the tensor stands for a value that is only known when the traced program runs.
    pub fn is_traced(&self) -> bool {
        matches!(self.0, Repr::Traced(_))
    }

    /// A copy on another device, where it stays: operations with tensors that are on a device only by
    /// default happen there.
    ///
    /// # Errors
    ///
    /// When a device fails, or the tensor is traced.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Device, Tensor};
    /// let x = Tensor::ones([2]).to(&Device::cpu())?;
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn to(&self, device: &Device) -> Result<Tensor> {
        let aval = self.aval().clone();
        let buffer = match &self.0 {
            Repr::Array(array) if array.device == *device => array.buffer.share(),
            Repr::Traced(traced) => {
                return Err(Error::Trace(format!(
                    "to: a traced {aval} is not on a device: what `{}` traces runs where its arguments are; move \
                     those with `.to(&device)?` or `.to_device(&device)?` before the call",
                    traced.transform()
                )));
            }
            _ => {
                let mut bytes = vec![0; aval.bytes()];
                self.read_bytes(&mut bytes)?;
                device.backend().upload(device.index(), &aval, &bytes)?
            }
        };
        Ok(Tensor::from_array(Arc::new(Array { aval, device: device.clone(), committed: true, buffer })))
    }

    /// The same tensor where `other` was put, unless somebody put this one somewhere: how a constant follows
    /// an operand that it does not meet.
    ///
    /// # Errors
    ///
    /// When a device fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Device, tensor};
    /// let there = tensor![1.0, 2.0].to(&Device::cpu())?;
    /// assert_eq!(tensor![3.0].beside(&there)?.device(), there.device());
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn beside(&self, other: &Tensor) -> Result<Tensor> {
        let Some(place) = other.array().filter(|array| array.committed) else { return Ok(self.clone()) };
        match &self.0 {
            Repr::Traced(_) => Ok(self.clone()),
            Repr::Array(array) if array.committed => Ok(self.clone()),
            Repr::Array(_) | Repr::Literal(_) => self.to(&place.device),
        }
    }

    /// Waits until the elements have been computed, which engines do ahead of the host.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::ones([100, 100]);
    /// let start = std::time::Instant::now();
    /// let y = x.matmul(&x).block_until_ready();
    /// println!("{:?}", start.elapsed());
    /// ```
    ///
    /// # Panics
    ///
    /// If computing them failed, or the tensor is traced.
    #[track_caller]
    pub fn block_until_ready(self) -> Tensor {
        match &self.0 {
            Repr::Array(array) => array.device.backend().wait(&*array.buffer).or_raise(),
            Repr::Literal(_) => {}
            Repr::Traced(_) => raise(self.not_concrete("block_until_ready")),
        }
        self
    }

    /// A tensor from what a backend holds.
    pub(crate) fn from_array(array: Arc<Array>) -> Tensor {
        Tensor(Repr::Array(array))
    }

    pub(crate) fn from_traced(traced: Traced) -> Tensor {
        Tensor(Repr::Traced(Arc::new(traced)))
    }

    pub(crate) fn array(&self) -> Option<&Array> {
        match &self.0 {
            Repr::Array(array) => Some(array),
            _ => None,
        }
    }

    pub(crate) fn into_array(self) -> Result<Arc<Array>, Tensor> {
        match self.0 {
            Repr::Array(array) => Ok(array),
            other => Err(Tensor(other)),
        }
    }

    /// Whether somebody else holds the same elements on a device, so that their memory cannot be used
    /// again; also asks other engines' buffers.
    pub fn is_shared(&self) -> bool {
        match &self.0 {
            Repr::Array(array) => Arc::strong_count(array) > 1 || !array.buffer.is_unique(),
            _ => false,
        }
    }

    /// The traced value that this tensor is, if it is one.
    pub fn traced(&self) -> Option<&Traced> {
        match &self.0 {
            Repr::Traced(traced) => Some(traced),
            _ => None,
        }
    }

    /// The constant that this tensor is, if it is a scalar without a device.
    pub fn literal(&self) -> Option<&Literal> {
        match &self.0 {
            Repr::Literal(literal) => Some(literal),
            _ => None,
        }
    }

    /// Where what the handle points to is in memory; clones share it.
    pub(crate) fn address(&self) -> usize {
        match &self.0 {
            Repr::Literal(literal) => std::ptr::from_ref(literal) as usize,
            Repr::Array(array) => Arc::as_ptr(array) as usize,
            Repr::Traced(traced) => Arc::as_ptr(traced) as usize,
        }
    }

    /// The elements in row-major order and the machine's byte order.
    pub(crate) fn read_bytes(&self, bytes: &mut [u8]) -> Result<()> {
        match &self.0 {
            Repr::Literal(literal) => {
                bytes.copy_from_slice(&literal.to_bytes()[..bytes.len()]);
                Ok(())
            }
            Repr::Array(array) => download(array.device.backend(), &*array.buffer, &array.aval, bytes),
            Repr::Traced(_) => Err(self.not_concrete("reading a value")),
        }
    }

    fn not_concrete(&self, what: &str) -> Error {
        let transform = self.traced().map_or("transform", Traced::transform);
        Error::Trace(format!(
            "{what}: the value of a traced {} is not known while `{transform}` traces the function; use \
             `cond`, `select` or `while_loop` where code depends on it, `debug_print` to look at it, or \
             return it from the function",
            self.aval()
        ))
    }

    /// The index of an axis that may be negative.
    pub(crate) fn axis(&self, op: &str, axis: isize) -> Result<usize> {
        normalize_axis(op, axis, self.rank(), self.shape())
    }

    /// The indices of some axes.
    pub(crate) fn axes(&self, op: &str, axes: impl IntoAxes) -> Result<Dims> {
        match axes.into_axes() {
            None => Ok((0..self.rank()).collect()),
            Some(axes) => axes.iter().map(|&axis| self.axis(op, axis)).collect(),
        }
    }
}

/// The index of an axis of a tensor with `rank` axes; `shape` is for the message.
pub(crate) fn normalize_axis(op: &str, axis: isize, rank: usize, shape: &[usize]) -> Result<usize> {
    let index = if axis < 0 { axis + rank as isize } else { axis };
    if (0..rank as isize).contains(&index) {
        return Ok(index as usize);
    }
    let message = match rank {
        0 => format!("axis {axis} of a scalar does not exist"),
        _ => format!(
            "axis {axis} of shape {shape:?} does not exist; axes are {}..={} or {}..={}",
            0,
            rank - 1,
            -(rank as isize),
            -1
        ),
    };
    Err(Error::invalid(op, message))
}

impl From<Literal> for Tensor {
    fn from(literal: Literal) -> Self {
        Tensor(Repr::Literal(literal))
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Traced(traced) => fmt::Debug::fmt(traced, f),
            _ => write!(f, "tensor({self}, {})", self.aval()),
        }
    }
}
