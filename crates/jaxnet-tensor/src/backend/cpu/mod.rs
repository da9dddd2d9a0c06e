//! The embedded engine.

mod buffer;
mod gemm;
mod kernels;
mod math;

use std::sync::Arc;

pub use buffer::CpuBuffer;

use super::{Backend, BoxBuffer, Buffer, Buffers, Executable, Interpreter, Operand};
use crate::aval::Aval;
use crate::device::Device;
use crate::error::Result;
use crate::primitive::Primitive;
use crate::program::Program;

/// The embedded engine: arrays in the host's memory, kernels in Rust.
#[derive(Default)]
pub struct CpuBackend;

impl CpuBackend {
    /// The engine.
    pub fn new() -> Self {
        CpuBackend
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn upload(&self, _device: usize, aval: &Aval, bytes: &[u8]) -> Result<BoxBuffer> {
        Ok(Box::new(CpuBuffer::from_bytes(aval.dtype, bytes)))
    }

    fn download(&self, buffer: &dyn Buffer, _aval: &Aval, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(CpuBuffer::of(buffer).bytes());
        Ok(())
    }

    fn execute(&self, _device: usize, primitive: &Primitive, inputs: &[Operand<'_>], outputs: &[Aval]) -> Result<Buffers> {
        kernels::execute(primitive, inputs, outputs)
    }

    fn compile(&self, _device: usize, program: &Program, _donated: &[bool]) -> Result<Arc<dyn Executable>> {
        Ok(Interpreter::compile(Device::cpu_ref(), program))
    }
}
