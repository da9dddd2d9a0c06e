//! The seam between tensors and the engines that run them.
//!
//! An engine implements [`Backend`]: moving data, running one primitive, and compiling programs. For the
//! last there is an [`Interpreter`], which runs the equations one by one.

pub mod cpu;
mod execute;
mod fallback;
mod interpreter;
mod memory;
pub mod portable;
#[cfg(feature = "torch")]
pub mod torch;
#[cfg(feature = "xla")]
pub mod xla;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

pub(crate) use execute::{common_device, debug, download, execute, move_all};
pub use fallback::fallback;
pub use interpreter::Interpreter;
pub(crate) use interpreter::not_runnable;

use crate::aval::{Aval, Literal};
use crate::device::Device;
use crate::error::Result;
use crate::primitive::Primitive;
use crate::program::Program;

/// An engine that holds arrays and runs primitives on them.
///
/// Arrays are dense, in row-major order and immutable; only donated inputs of compiled programs may be
/// written to.
///
/// # Examples
///
/// An engine that holds arrays as bytes and runs nothing by itself: [`fallback`] runs single primitives, and
/// [`Interpreter`] programs, unless the engine has a [`compile`](Self::compile). From here it grows, an operation at
/// a time. The `match` on what it has ends in that call, so that it has new primitives, too.
///
/// ```
/// use std::sync::Arc;
///
/// use jaxnet_tensor::backend::{Backend, BoxBuffer, Buffer, Buffers, Operand, fallback};
/// use jaxnet_tensor::program::{self, stage::stage};
/// use jaxnet_tensor::{Aval, Device, Primitive, Result, tensor};
///
/// #[derive(Debug)]
/// struct Bytes(Arc<[u8]>);
///
/// impl Buffer for Bytes {
///     fn share(&self) -> BoxBuffer {
///         Box::new(Bytes(self.0.clone()))
///     }
///     fn is_unique(&self) -> bool {
///         Arc::strong_count(&self.0) == 1
///     }
/// }
///
/// struct Mine;
///
/// impl Backend for Mine {
///     fn name(&self) -> &str {
///         "mine"
///     }
///     fn upload(&self, _: usize, _: &Aval, bytes: &[u8]) -> Result<BoxBuffer> {
///         Ok(Box::new(Bytes(bytes.into())))
///     }
///     fn download(&self, buffer: &dyn Buffer, _: &Aval, bytes: &mut [u8]) -> Result<()> {
///         let any: &dyn std::any::Any = buffer;
///         bytes.copy_from_slice(&any.downcast_ref::<Bytes>().expect("a buffer of this engine").0);
///         Ok(())
///     }
///     fn execute(
///         &self,
///         device: usize,
///         primitive: &Primitive,
///         inputs: &[Operand<'_>],
///         outputs: &[Aval],
///     ) -> Result<Buffers> {
///         fallback(self, device, primitive, inputs, outputs)
///     }
/// }
///
/// let device = Device::new(Arc::new(Mine), 0);
/// let x = tensor![1.0, 2.0].to(&device)?;
/// let y = &x * 2.0 + &x;
/// assert_eq!(y.device().unwrap().to_string(), "mine:0");
///
/// let staged = stage(&[x.aval().clone()], |x| Ok(vec![&x[0] * 2.0 + &x[0]]))?;
/// let compiled = program::run(&staged.program, vec![x])?;
/// assert_eq!((y.to_vec::<f32>(), compiled[0].to_vec::<f32>()), (vec![3.0, 6.0], vec![3.0, 6.0]));
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
pub trait Backend: Send + Sync + 'static {
    /// The engine's name, such as `"cpu"`: the first half of a device's name.
    fn name(&self) -> &str;

    /// Copies elements from the host to a device. `bytes` has the elements in row-major order in the
    /// machine's byte order.
    ///
    /// # Errors
    ///
    /// When the device refuses, for instance for lack of memory.
    fn upload(&self, device: usize, aval: &Aval, bytes: &[u8]) -> Result<BoxBuffer>;

    /// Copies elements to the host, into exactly as many bytes as there are, in the form that
    /// [`upload`](Self::upload) gets them in.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn download(&self, buffer: &dyn Buffer, aval: &Aval, bytes: &mut [u8]) -> Result<()>;

    /// Runs a primitive, which is none of those that hold programs. `outputs` has what
    /// [`Primitive::infer`] says of the operands.
    ///
    /// # Errors
    ///
    /// When the engine does not have the primitive, or fails.
    fn execute(
        &self,
        device: usize,
        primitive: &Primitive,
        inputs: &[Operand<'_>],
        outputs: &[Aval],
    ) -> Result<Buffers>;

    /// Makes a program ready to run on one of the engine's devices.
    ///
    /// Engines without a compiler leave it to the [`Interpreter`], which calls [`execute`](Self::execute) for each
    /// equation. Those that have one may still leave programs to it that [have effects](Program::has_effect), since
    /// these happen on the host.
    ///
    /// # Errors
    ///
    /// When the engine cannot run it.
    fn compile(&self, device: &Device, program: &Program) -> Result<Arc<dyn Executable>> {
        Ok(Interpreter::compile(device, program))
    }

    /// Waits until a buffer has been computed. Engines that work ahead of the host override it.
    ///
    /// # Errors
    ///
    /// When computing it failed.
    fn wait(&self, _buffer: &dyn Buffer) -> Result<()> {
        Ok(())
    }

    /// Gives back what the engine keeps for later besides the programs that others hold: primitives that it has
    /// compiled, memory that it has not returned. Engines that keep such things override it.
    fn clear_caches(&self) {}
}

/// An array on a device, in the engine's own form.
pub trait Buffer: Any + Send + Sync + fmt::Debug {
    /// Another handle to the same memory.
    fn share(&self) -> BoxBuffer;

    /// Whether nobody else shares its memory, so that it may be used again when donated.
    fn is_unique(&self) -> bool;
}

/// An owned array on a device.
pub type BoxBuffer = Box<dyn Buffer>;

/// The results of a primitive, mostly one.
pub type Buffers = SmallVec<[BoxBuffer; 1]>;

/// An operand of a primitive.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    /// What it is.
    pub aval: &'a Aval,
    /// Its value.
    pub value: Value<'a>,
}

/// The value of an operand.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// An array on the device.
    Buffer(&'a dyn Buffer),
    /// A scalar constant.
    Literal(Literal),
}

/// A compiled program.
pub trait Executable: Send + Sync {
    /// Runs the program on inputs of its signature. Those that are [unique](Buffer::is_unique) may be overwritten:
    /// that is what donating them is.
    ///
    /// # Errors
    ///
    /// When the engine fails, or a check inside the program does.
    fn run(&self, inputs: Vec<BoxBuffer>) -> Result<Vec<BoxBuffer>>;
}

/// An array on a device: what a tensor holds when nothing is being traced.
#[derive(Debug)]
pub(crate) struct Array {
    /// Shape and dtype.
    pub aval: Aval,
    /// Where it is.
    pub device: Device,
    /// Whether someone put it there on purpose; others follow the operands they meet.
    pub committed: bool,
    /// The elements.
    pub buffer: BoxBuffer,
}
