//! The libtorch engine: primitives become libtorch's operations.
//!
//! libtorch's own differentiation stays off. One file a family says how its primitives are computed, as in
//! [`primitive`](crate::primitive).

mod buffer;
mod conv;
mod convert;
mod device;
mod dot;
mod elementwise;
mod executable;
mod fuse;
mod in_place;
mod index;
mod linalg;
mod memory;
mod native;
mod random;
mod reduce;
mod shape;
mod sort;
mod window;

use std::sync::Arc;

use smallvec::SmallVec;
use tch::{TchError, Tensor};

pub(crate) use device::device;

use buffer::{Held, TorchBuffer, may_be_view};
use convert::Torch;
use executable::TorchExecutable;

use super::{Backend, BoxBuffer, Buffer, Buffers, Executable, Operand, Value};
use crate::aval::Aval;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::primitive::Primitive;
use crate::program::Program;

/// The libtorch engine on the CPU or on CUDA's devices.
pub struct TorchBackend {
    cuda: bool,
}

impl TorchBackend {
    fn new(cuda: bool) -> Arc<Self> {
        Arc::new(TorchBackend { cuda })
    }

    fn on(&self, device: usize) -> tch::Device {
        if self.cuda { tch::Device::Cuda(device) } else { tch::Device::Cpu }
    }

    fn fail(&self, device: usize, error: TchError) -> Error {
        Error::device(format!("{}:{device}", self.name()), message(error))
    }
}

impl Backend for TorchBackend {
    fn name(&self) -> &str {
        if self.cuda { "torch_cuda" } else { "torch" }
    }

    fn upload(&self, device: usize, aval: &Aval, bytes: &[u8]) -> Result<BoxBuffer> {
        let make = || {
            let tensor = Tensor::f_from_data_size(bytes, &convert::sizes(&aval.shape), convert::kind(aval.dtype))?;
            if self.cuda { tensor.f_to_device(self.on(device)) } else { Ok(tensor) }
        };
        make().map(|tensor| TorchBuffer::boxed(Held::new(tensor))).map_err(|error| self.fail(device, error))
    }

    fn download(&self, buffer: &dyn Buffer, aval: &Aval, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let tensor = &TorchBuffer::of(buffer).tensor;
        let mut read = || tensor.f_contiguous()?.f_to_device(tch::Device::Cpu)?.f_copy_data_u8(bytes, aval.size());
        read().map_err(|error| {
            let device = if let tch::Device::Cuda(index) = tensor.device() { index } else { 0 };
            self.fail(device, error)
        })
    }

    fn execute(
        &self,
        device: usize,
        primitive: &Primitive,
        inputs: &[Operand<'_>],
        outputs: &[Aval],
    ) -> Result<Buffers> {
        let literals: SmallVec<[Option<Tensor>; 3]> = inputs
            .iter()
            .map(|input| match input.value {
                Value::Buffer(_) => Ok(None),
                Value::Literal(literal) => convert::literal(&literal, self.on(device)).map(Some),
            })
            .collect::<Result<_, TchError>>()
            .map_err(|error| self.fail(device, error))?;
        let operands: SmallVec<[&Tensor; 3]> = inputs
            .iter()
            .zip(&literals)
            .map(|(input, literal)| match (input.value, literal) {
                (Value::Buffer(buffer), _) => &TorchBuffer::of(buffer).tensor,
                (Value::Literal(_), literal) => literal.as_ref().expect("made above"),
            })
            .collect();
        let avals: SmallVec<[&Aval; 3]> = inputs.iter().map(|input| input.aval).collect();
        let _without_autograd = tch::no_grad_guard();
        let results =
            run(primitive, &operands, &avals, outputs, self.on(device)).map_err(|error| self.fail(device, error))?;
        let first = match inputs.first().map(|input| input.value) {
            Some(Value::Buffer(buffer)) if may_be_view(primitive) => Some(TorchBuffer::of(buffer)),
            _ => None,
        };
        let held = |tensor| match first {
            Some(first) => first.view(tensor),
            None => Held::new(tensor),
        };
        Ok(results.into_iter().map(|tensor| TorchBuffer::boxed(held(tensor))).collect())
    }

    fn compile(&self, device: &Device, program: &Program) -> Result<Arc<dyn Executable>> {
        let on = self.on(device.index());
        Ok(Arc::new(TorchExecutable::new(device, on, &crate::program::simplify(program)?)?))
    }

    fn clear_caches(&self) {
        super::memory::give_back();
    }

    fn wait(&self, buffer: &dyn Buffer) -> Result<()> {
        if let tch::Device::Cuda(index) = TorchBuffer::of(buffer).tensor.device() {
            tch::Cuda::synchronize(index as i64);
        }
        Ok(())
    }
}

/// Runs a primitive, which is none of those that hold programs.
fn run(
    primitive: &Primitive,
    inputs: &[&Tensor],
    avals: &[&Aval],
    outputs: &[Aval],
    device: tch::Device,
) -> Torch<Vec<Tensor>> {
    let one = |result: Torch| result.map(|tensor| vec![tensor]);
    match primitive {
        Primitive::Elementwise(op) => one(elementwise::run(op, inputs, avals)),
        Primitive::Shape(op) => one(shape::run(op, inputs, &outputs[0], device)),
        Primitive::Reduce(op) => one(reduce::run(op, inputs[0], avals[0], &outputs[0])),
        Primitive::Window(op) => one(window::run(op, inputs, avals, &outputs[0])),
        Primitive::Dot(op) => one(dot::run(op, inputs, avals, &outputs[0])),
        Primitive::Conv(op) => one(conv::run(op, inputs, avals, &outputs[0])),
        Primitive::Index(op) => one(index::run(op, inputs, avals, &outputs[0])),
        Primitive::Sort(op) => sort::run(op, inputs, avals),
        Primitive::Linalg(op) => linalg::run(op, inputs, avals, outputs, device),
        Primitive::Random(op) => random::run(op, inputs, &outputs[0], device),
        Primitive::Control(op) => unreachable!("{} holds programs, which the caller runs", op.name()),
    }
}

/// What libtorch said, without its C++ backtrace.
fn message(error: TchError) -> String {
    let message = error.to_string();
    message.split("\nException raised from").next().unwrap_or_default().to_string()
}
