//! Compiling and running programs on devices.

use std::sync::{Arc, OnceLock};

use super::Program;
use crate::backend::{Array, BoxBuffer, Executable};
use crate::backend::{common_device, move_all};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::memo::Memo;
use crate::profile;
use crate::tensor::Tensor;

/// What an executable is compiled for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    program: Program,
    device: Device,
}

/// Compiles a program, or finds it compiled, and runs it on arrays.
///
/// Inputs that nobody else holds may be overwritten. The results are on the inputs' device.
///
/// # Errors
///
/// When the inputs are not what the program takes, or are on several devices, or when the engine cannot
/// compile or run the program.
pub fn run(program: &Program, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
    run_named(program, inputs, &|i| format!("operand {i}"))
}

/// As [`run`], with names of the inputs for errors.
///
/// # Errors
///
/// As [`run`].
pub fn run_named(program: &Program, inputs: Vec<Tensor>, name: &dyn Fn(usize) -> String) -> Result<Vec<Tensor>> {
    check(program, &inputs)?;
    let (device, committed) = common_device("jit", &inputs, name)?;
    let device = device.clone();
    let inputs = move_all_owned(inputs, &device)?;
    let executable = compile(program, &device)?;
    let buffers = inputs.into_iter().map(|input| buffer(input, &device)).collect::<Result<_>>()?;
    let _span = profile::span(|| format!("run {} equations on {device}", program.equations().len()));
    let results = executable.run(buffers)?;
    Ok(program
        .output_avals()
        .zip(results)
        .map(|(aval, buffer)| Tensor::from_array(Arc::new(Array { aval, device: device.clone(), committed, buffer })))
        .collect())
}

/// Engines take it for granted.
fn check(program: &Program, inputs: &[Tensor]) -> Result<()> {
    let avals = program.input_avals();
    if inputs.len() != avals.len() {
        return Err(Error::invalid("program", format!("takes {} inputs, got {}", avals.len(), inputs.len())));
    }
    match inputs.iter().zip(avals).position(|(input, aval)| !input.aval().matches(aval)) {
        None => Ok(()),
        Some(i) => {
            let message = format!("input {i} must be {}, got {}", avals[i], inputs[i].aval());
            Err(Error::invalid("program", message))
        }
    }
}

fn move_all_owned(inputs: Vec<Tensor>, device: &Device) -> Result<Vec<Tensor>> {
    let elsewhere = |input: &Tensor| input.array().is_some_and(|array| array.device != *device);
    if inputs.iter().any(elsewhere) { move_all(&inputs, device) } else { Ok(inputs) }
}

/// Compiled programs.
fn cache() -> &'static Memo<Key, Arc<dyn Executable>> {
    static CACHE: OnceLock<Memo<Key, Arc<dyn Executable>>> = OnceLock::new();
    CACHE.get_or_init(|| Memo::new(4096))
}

/// Forgets the programs that are compiled for a device.
pub(crate) fn forget(device: &Device) {
    cache().retain(|key| key.device != *device);
}

fn compile(program: &Program, device: &Device) -> Result<Arc<dyn Executable>> {
    let key = Key { program: program.clone(), device: device.clone() };
    cache().get_or_try_insert(key, |_| {
        let _span = profile::span(|| format!("compile {} equations for {device}", program.equations().len()));
        device.backend().compile(device, program)
    })
}

fn buffer(input: Tensor, device: &Device) -> Result<BoxBuffer> {
    match input.into_array() {
        Ok(array) => Ok(match Arc::try_unwrap(array) {
            Ok(array) => array.buffer,
            Err(array) => array.buffer.share(),
        }),
        Err(input) => {
            let literal = input.literal().expect("neither array nor traced");
            let bytes = &literal.to_bytes()[..literal.dtype.size()];
            device.backend().upload(device.index(), literal.aval(), bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aval::Aval;
    use crate::dtype::DType;
    use crate::program::stage::stage;

    #[test]
    fn inputs_of_another_signature_are_refused() {
        let program = stage(&[Aval::new(DType::F32, [2])], |x| Ok(vec![&x[0] + 1.0])).unwrap().program;
        let refused = |inputs: Vec<Tensor>| run(&program, inputs).unwrap_err().to_string();
        assert!(refused(vec![]).contains("takes 1 inputs, got 0"));
        assert!(refused(vec![Tensor::zeros([3])]).contains("input 0 must be f32[2], got f32[3]"));
        assert!(refused(vec![Tensor::full([2], 1, DType::I32)]).contains("got i32[2]"));
        assert_eq!(run(&program, vec![Tensor::zeros([2])]).unwrap()[0].to_vec::<f32>(), [1.0, 1.0]);
    }

    #[test]
    fn what_is_compiled_can_be_forgotten() {
        let program = stage(&[Aval::new(DType::F32, [5])], |x| Ok(vec![&x[0] * 3.0])).unwrap().program;
        let run = || run(&program, vec![Tensor::ones([5])]).unwrap()[0].to_vec::<f32>();
        let key = Key { program: program.clone(), device: Device::cpu() };
        let kept = || cache().get(&key).is_some();
        assert_eq!((run(), kept()), (vec![3.0; 5], true));
        forget(&Device::cpu());
        assert!(!kept());
        assert_eq!(run(), [3.0; 5]);
    }
}
