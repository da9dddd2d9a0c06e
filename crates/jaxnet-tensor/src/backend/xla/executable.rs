//! Compiled programs.

use std::sync::Arc;

use smallvec::SmallVec;
use xla::{HloModuleProto, PjRtBuffer, PjRtLoadedExecutable, XlaComputation};

use super::lower;
use super::{XlaBackend, XlaBuffer, element_type, message};
use crate::aval::Aval;
use crate::backend::{Backend, BoxBuffer, Executable};
use crate::error::{Error, Result};
use crate::program::Program;

/// A module that XLA has compiled for a device.
pub(super) struct XlaExecutable {
    /// None for a program without results, of which there is nothing to run.
    executable: Option<PjRtLoadedExecutable>,
    device: usize,
    /// The device's name, for errors.
    name: String,
    /// What the inputs are whose memory XLA uses again.
    taken: SmallVec<[Option<Aval>; 4]>,
}

impl XlaExecutable {
    pub fn compile(
        backend: &XlaBackend,
        device: usize,
        name: &str,
        program: &Program,
        donated: &[bool],
    ) -> Result<Self> {
        let mut taken: SmallVec<[Option<Aval>; 4]> = SmallVec::from_elem(None, program.inputs().len());
        for (_, input) in lower::aliases(program, donated) {
            taken[input] = Some(program.input_avals()[input].clone());
        }
        let mut compiled =
            XlaExecutable { executable: None, device, name: format!("{}:{device}", backend.name()), taken };
        if program.outputs().is_empty() {
            return Ok(compiled);
        }
        let text = lower::module(name, program, donated)?;
        log::debug!(target: "jaxnet::xla", "compiling for {}:\n{text}", compiled.name);
        let client = backend.clients().get(device)?;
        let compile = || {
            let proto = HloModuleProto::parse_and_return_unverified_module(text.as_bytes())?;
            client.compile(&XlaComputation::from_proto(&proto))
        };
        compiled.executable = Some(compile().map_err(|error| {
            Error::device(&*compiled.name, format!("XLA does not compile this program: {}\n{text}", message(error)))
        })?);
        Ok(compiled)
    }

    /// Runs it; inputs whose memory it takes must be held by nobody else.
    pub fn execute(&self, inputs: &[XlaBuffer]) -> Result<Vec<XlaBuffer>> {
        let Some(executable) = &self.executable else { return Ok(Vec::new()) };
        let inputs: SmallVec<[&PjRtBuffer; 4]> = inputs.iter().map(|input| &*input.buffer).collect();
        let mut results = executable
            .execute_b(&inputs)
            .map_err(|error| Error::device(&*self.name, format!("running a program: {}", message(error))))?;
        let results = results.pop().unwrap_or_default();
        Ok(results.into_iter().map(|buffer| XlaBuffer { device: self.device, buffer: Arc::new(buffer) }).collect())
    }

    /// Copies of inputs that XLA would take though somebody else holds them too.
    fn keep_shared(&self, inputs: &mut [XlaBuffer]) -> Result<()> {
        for (input, taken) in inputs.iter_mut().zip(&self.taken) {
            if let Some(aval) = taken
                && Arc::strong_count(&input.buffer) > 1
            {
                let copy = copy(&input.buffer, aval);
                input.buffer = Arc::new(copy.map_err(|error| Error::device(&*self.name, message(error)))?);
            }
        }
        Ok(())
    }
}

/// By way of the host. (From bytes, since XLA reads a literal after the call that passes it has returned.)
fn copy(buffer: &PjRtBuffer, aval: &Aval) -> xla::Result<PjRtBuffer> {
    let mut bytes = vec![0; aval.bytes()];
    if !bytes.is_empty() {
        buffer.to_literal_sync()?.copy_untyped_to(&mut bytes)?;
    }
    buffer.client().buffer_from_host_raw_bytes(element_type(aval.dtype), &bytes, &aval.shape, None)
}

impl Executable for XlaExecutable {
    fn run(&self, inputs: Vec<BoxBuffer>) -> Result<Vec<BoxBuffer>> {
        let mut inputs: SmallVec<[XlaBuffer; 4]> = inputs.into_iter().map(XlaBuffer::from_box).collect();
        self.keep_shared(&mut inputs)?;
        Ok(self.execute(&inputs)?.into_iter().map(|buffer| Box::new(buffer) as BoxBuffer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::xla::client::Source;
    use crate::dtype::DType;
    use crate::lax;
    use crate::primitive::{BinaryOp, ReduceKind};
    use crate::program::stage::stage;

    /// What XLA has taken it does not give back, which is how one sees that it has.
    #[test]
    fn donated_inputs_give_their_memory_away_and_others_do_not() {
        let backend = XlaBackend::new(Source::Cpu);
        backend.clients().open(0).unwrap();
        let aval = Aval::new(DType::F32, [1000]);
        let staged = stage(&[aval.clone(), aval.clone()], |x| {
            let sum = lax::reduce(ReduceKind::Sum, &x[1], &[0])?;
            Ok(vec![sum, lax::binary(BinaryOp::Mul, &x[0], &x[1])?])
        });
        let program = staged.unwrap().program;
        for (donated, taken) in [
            ([false, false], [false, false]),
            ([true, false], [true, false]),
            ([false, true], [false, true]),
            // There is one result of this shape.
            ([true, true], [true, false]),
        ] {
            let compiled = XlaExecutable::compile(&backend, 0, "program", &program, &donated).unwrap();
            let new = |x: f32| backend.upload_bytes(0, &aval, bytemuck::cast_slice(&[x; 1000])).unwrap();
            let inputs = [new(2.0), new(3.0)];
            let results = compiled.execute(&inputs).unwrap();
            let read = |x: &XlaBuffer| x.buffer.to_literal_sync().and_then(|x| x.to_vec::<f32>());
            assert_eq!(read(&results[0]).unwrap(), [3000.0]);
            assert_eq!(read(&results[1]).unwrap(), [6.0; 1000]);
            assert_eq!([0, 1].map(|i| read(&inputs[i]).is_err()), taken, "{donated:?}");
            // An input that somebody else holds keeps its value also where the program takes it.
            let (x, y) = (new(2.0), new(3.0));
            let boxes: Vec<BoxBuffer> = vec![Box::new(x.clone()), Box::new(y.clone())];
            let results = compiled.run(boxes).unwrap();
            assert_eq!(read(XlaBuffer::of(&*results[1])).unwrap(), [6.0; 1000]);
            assert_eq!((read(&x).unwrap(), read(&y).unwrap()), (vec![2.0; 1000], vec![3.0; 1000]));
        }
    }
}
