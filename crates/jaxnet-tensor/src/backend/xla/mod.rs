//! The XLA engine: programs become HLO modules, which XLA compiles.
//!
//! A program becomes one module, as text; [`Program`]s and single primitives take the same way. One file a
//! family says how its primitives become HLO instructions, as in [`primitive`](crate::primitive).

mod client;
mod control;
mod conv;
mod dot;
mod elementwise;
mod executable;
mod hlo;
mod index;
mod instructions;
mod linalg;
mod lower;
mod random;
mod reduce;
mod shape;
mod sort;
mod special;
mod window;

use std::fmt;
use std::sync::{Arc, Weak};

use smallvec::SmallVec;
use xla::{ElementType, PjRtBuffer};

use client::{Clients, Source, message};
pub(crate) use client::{device, plugin_device};
use executable::{XlaExecutable, XlaProgram};

use super::{Backend, BoxBuffer, Buffer, Buffers, Executable, Interpreter, Operand, Value};
use crate::aval::{Aval, Literal};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::memo::Memo;
use crate::primitive::Primitive;
use crate::program::{Program, ProgramBuilder};
use crate::shape::Shape;

/// The XLA engine on one platform: XLA's own CPU devices, or those of a PJRT plugin.
pub struct XlaBackend {
    clients: Clients,
    /// Compiled primitives: compiling one takes a thousand times as long as running it.
    primitives: Memo<Signature, Arc<XlaExecutable>>,
    /// For programs, which compile later.
    this: Weak<XlaBackend>,
}

/// What a primitive is compiled for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Signature {
    device: usize,
    primitive: Primitive,
    inputs: SmallVec<[(DType, Shape); 3]>,
}

impl XlaBackend {
    fn new(source: Source) -> Arc<Self> {
        Arc::new_cyclic(|this| XlaBackend {
            clients: Clients::new(source),
            primitives: Memo::new(4096),
            this: this.clone(),
        })
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn fail(&self, device: usize, error: xla::Error) -> Error {
        Error::device(format!("{}:{device}", self.name()), message(error))
    }

    /// The text of the HLO module that a program becomes, for reading. Its results may take the memory of donated
    /// inputs; an input without a flag is not donated.
    ///
    /// # Errors
    ///
    /// When the program cannot be a module: when it prints or checks values on the host.
    pub fn hlo_text(program: &Program, donated: &[bool]) -> Result<String> {
        lower::module("program", program, donated)
    }

    fn primitive(&self, signature: Signature) -> Result<Arc<XlaExecutable>> {
        self.primitives.get_or_try_insert(signature, |signature| {
            let mut builder = ProgramBuilder::new();
            let inputs: Vec<_> =
                signature.inputs.iter().map(|(dtype, shape)| builder.input(Aval::new(*dtype, shape))).collect();
            let results = builder.equation(signature.primitive.clone(), inputs)?;
            let program = builder.finish(&results);
            let name = signature.primitive.name();
            XlaExecutable::compile(self, signature.device, name, &program, &[]).map(Arc::new)
        })
    }

    fn literal(&self, device: usize, literal: &Literal) -> Result<XlaBuffer> {
        self.upload_bytes(device, literal.aval(), &literal.to_bytes()[..literal.dtype.size()])
    }

    fn upload_bytes(&self, device: usize, aval: &Aval, bytes: &[u8]) -> Result<XlaBuffer> {
        let client = self.clients.get(device)?;
        let buffer = client
            .buffer_from_host_raw_bytes(element_type(aval.dtype), bytes, &aval.shape, None)
            .map_err(|error| self.fail(device, error))?;
        Ok(XlaBuffer { device, buffer: Arc::new(buffer) })
    }
}

impl Backend for XlaBackend {
    fn name(&self) -> &str {
        self.clients.name()
    }

    fn upload(&self, device: usize, aval: &Aval, bytes: &[u8]) -> Result<BoxBuffer> {
        Ok(Box::new(self.upload_bytes(device, aval, bytes)?))
    }

    fn clear_caches(&self) {
        self.primitives.retain(|_| false);
    }

    fn download(&self, buffer: &dyn Buffer, _aval: &Aval, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let XlaBuffer { device, buffer } = XlaBuffer::of(buffer);
        let mut read = || buffer.to_literal_sync()?.copy_untyped_to(bytes);
        read().map_err(|error| self.fail(*device, error))
    }

    fn execute(
        &self,
        device: usize,
        primitive: &Primitive,
        inputs: &[Operand<'_>],
        _outputs: &[Aval],
    ) -> Result<Buffers> {
        let signature = Signature {
            device,
            primitive: primitive.clone(),
            inputs: inputs.iter().map(|input| (input.aval.dtype, input.aval.shape.clone())).collect(),
        };
        let executable = self.primitive(signature)?;
        let inputs = inputs.iter().map(|input| match input.value {
            Value::Buffer(buffer) => Ok(XlaBuffer::of(buffer).clone()),
            Value::Literal(literal) => self.literal(device, &literal),
        });
        let inputs: SmallVec<[XlaBuffer; 3]> = inputs.collect::<Result<_>>()?;
        let results = executable.execute(&inputs)?;
        Ok(results.into_iter().map(|buffer| Box::new(buffer) as BoxBuffer).collect())
    }

    fn compile(&self, device: &Device, program: &Program) -> Result<Arc<dyn Executable>> {
        if program.has_effect() {
            // Printing and checking happen on the host, between operations.
            return Ok(Interpreter::compile(device, program));
        }
        let this = self.this.upgrade().expect("devices hold their engine");
        Ok(Arc::new(XlaProgram::new(this, device.index(), program)))
    }

    fn wait(&self, buffer: &dyn Buffer) -> Result<()> {
        let XlaBuffer { device, buffer } = XlaBuffer::of(buffer);
        if self.clients.on_host() {
            // These devices work before they return.
            return Ok(());
        }
        buffer.to_literal_sync().map(|_| ()).map_err(|error| self.fail(*device, error))
    }
}

/// An array of XLA's.
#[derive(Clone)]
pub(super) struct XlaBuffer {
    device: usize,
    buffer: Arc<PjRtBuffer>,
}

impl XlaBuffer {
    fn of(buffer: &dyn Buffer) -> &XlaBuffer {
        let any: &dyn std::any::Any = buffer;
        any.downcast_ref().expect("a buffer of the XLA engine")
    }

    fn from_box(buffer: BoxBuffer) -> XlaBuffer {
        let any: Box<dyn std::any::Any> = buffer;
        *any.downcast().expect("a buffer of the XLA engine")
    }
}

impl Buffer for XlaBuffer {
    fn share(&self) -> BoxBuffer {
        Box::new(self.clone())
    }

    fn is_unique(&self) -> bool {
        Arc::strong_count(&self.buffer) == 1
    }
}

impl fmt::Debug for XlaBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XlaBuffer(device {})", self.device)
    }
}

fn element_type(dtype: DType) -> ElementType {
    match dtype {
        DType::Bool => ElementType::Pred,
        DType::U8 => ElementType::U8,
        DType::U32 => ElementType::U32,
        DType::I32 => ElementType::S32,
        DType::I64 => ElementType::S64,
        DType::BF16 => ElementType::Bf16,
        DType::F16 => ElementType::F16,
        DType::F32 => ElementType::F32,
        DType::F64 => ElementType::F64,
    }
}
