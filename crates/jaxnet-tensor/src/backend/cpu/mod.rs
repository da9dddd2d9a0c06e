//! The embedded engine.

mod buffer;
mod compile;
mod gemm;
mod kernels;
pub(crate) mod math;

use std::sync::Arc;

pub use buffer::CpuBuffer;
#[cfg(feature = "torch")]
pub(crate) use kernels::random_bits;

use super::{Backend, BoxBuffer, Buffer, Buffers, Executable, Operand};
use crate::aval::{Aval, Literal, Scalar};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::{Elementwise, Primitive};
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

    fn execute(
        &self,
        _device: usize,
        primitive: &Primitive,
        inputs: &[Operand<'_>],
        outputs: &[Aval],
    ) -> Result<Buffers> {
        kernels::execute(primitive, inputs, outputs)
    }

    fn compile(&self, _device: &Device, program: &Program) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(compile::CpuExecutable::new(&crate::program::simplify(program)?)?))
    }

    fn clear_caches(&self) {
        super::memory::give_back();
    }
}

/// The value of an operation on constants.
pub(crate) fn scalar(op: &Elementwise, inputs: &[Literal], dtype: DType) -> Option<Scalar> {
    let avals: Vec<Aval> = inputs.iter().map(|literal| literal.aval().clone()).collect();
    let operands: Vec<Operand<'_>> = inputs
        .iter()
        .zip(&avals)
        .map(|(literal, aval)| Operand { aval, value: super::Value::Literal(*literal) })
        .collect();
    let results = kernels::execute(&op.clone().into(), &operands, &[Aval::scalar(dtype)]).ok()?;
    let buffer = CpuBuffer::of(&*results[0]);
    Some(crate::with_dtype!(dtype, T => crate::program::scalar_of(buffer.as_slice::<T>()[0])))
}
