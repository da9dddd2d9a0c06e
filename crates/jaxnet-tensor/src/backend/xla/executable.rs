//! Compiled programs.

use std::sync::Arc;

use smallvec::SmallVec;
use xla::{HloModuleProto, PjRtBuffer, PjRtLoadedExecutable, XlaComputation};

use super::lower;
use super::{XlaBackend, XlaBuffer, message};
use crate::aval::Aval;
use crate::backend::{Backend, BoxBuffer, Buffer, Executable};
use crate::error::{Error, Result};
use crate::memo::Memo;
use crate::profile;
use crate::program::Program;

/// A program on a device of XLA's. It is compiled when it first runs, and again where results may take other inputs'
/// memory, since that is part of a module.
pub(super) struct XlaProgram {
    backend: Arc<XlaBackend>,
    device: usize,
    program: Program,
    /// Of which inputs a result could take the memory.
    may_alias: Vec<bool>,
    /// For each set of such inputs that nobody else holds.
    modules: Memo<Vec<bool>, Arc<XlaExecutable>>,
}

/// Others are forgotten; there are as many as subsets of the inputs.
const MOST_MODULES: usize = 16;

impl XlaProgram {
    pub fn new(backend: Arc<XlaBackend>, device: usize, program: &Program) -> Self {
        let has_result = |aval: &Aval| program.output_avals().any(|result| result.matches(aval));
        let may_alias = program.input_avals().iter().map(has_result).collect();
        XlaProgram { backend, device, program: program.clone(), may_alias, modules: Memo::new(MOST_MODULES) }
    }
}

impl Executable for XlaProgram {
    fn run(&self, inputs: Vec<BoxBuffer>) -> Result<Vec<BoxBuffer>> {
        let inputs: SmallVec<[XlaBuffer; 4]> = inputs.into_iter().map(XlaBuffer::from_box).collect();
        // What is unique stays so, since nobody else has a handle to share.
        let donated = inputs.iter().zip(&self.may_alias).map(|(input, may)| *may && input.is_unique()).collect();
        let module = self.modules.get_or_try_insert(donated, |donated| {
            let (count, name) = (self.program.equations().len(), self.backend.name());
            let _span = profile::span(|| format!("compile {count} equations for {name}:{}", self.device));
            XlaExecutable::compile(&self.backend, self.device, "program", &self.program, donated).map(Arc::new)
        })?;
        Ok(module.execute(&inputs)?.into_iter().map(|buffer| Box::new(buffer) as BoxBuffer).collect())
    }
}

/// A module that XLA has compiled for a device.
pub(super) struct XlaExecutable {
    /// None for a program without results, of which there is nothing to run.
    executable: Option<PjRtLoadedExecutable>,
    device: usize,
    /// The device's name, for errors.
    name: String,
}

impl XlaExecutable {
    pub fn compile(
        backend: &XlaBackend,
        device: usize,
        name: &str,
        program: &Program,
        donated: &[bool],
    ) -> Result<Self> {
        let mut compiled = XlaExecutable { executable: None, device, name: format!("{}:{device}", backend.name()) };
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
        let whole = XlaProgram::new(backend.clone(), 0, &program);
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
            // Inputs that somebody else holds keep their values.
            let (x, y) = (new(2.0), new(3.0));
            let kept = [(&x, donated[0]), (&y, donated[1])].map(|(x, donated)| (!donated).then(|| x.clone()));
            let results = whole.run(vec![Box::new(x), Box::new(y)]).unwrap();
            assert_eq!(read(XlaBuffer::of(&*results[1])).unwrap(), [6.0; 1000]);
            let kept = kept.map(|kept| kept.map(|x| read(&x).unwrap()[999]));
            assert_eq!(kept, [(!donated[0]).then_some(2.0), (!donated[1]).then_some(3.0)]);
        }
    }
}
