//! Compiling and running programs on devices.

use std::sync::{Arc, OnceLock};

use super::Program;
use crate::backend::{Array, BoxBuffer, Executable};
use crate::backend::{common_device, move_all};
use crate::device::Device;
use crate::error::Result;
use crate::memo::Memo;
use crate::tensor::Tensor;

/// What an executable is compiled for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    program: Program,
    device: Device,
    donated: Vec<bool>,
}

/// Compiles a program, or finds it compiled, and runs it on arrays.
///
/// Inputs that nobody else holds may be overwritten. The results are on the inputs' device.
///
/// # Errors
///
/// When the inputs are on several devices, or the engine cannot compile or run the program.
pub fn run(program: &Program, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let (device, committed) = common_device("jit", &inputs)?;
    let device = device.clone();
    let mut inputs = move_all_owned(inputs, &device)?;
    let donated: Vec<bool> = inputs.iter_mut().map(|input| input.is_unique()).collect();
    let executable = compile(program, &device, donated)?;
    let buffers = inputs.into_iter().map(|input| buffer(input, &device)).collect::<Result<_>>()?;
    let results = executable.run(buffers)?;
    Ok(program
        .output_avals()
        .zip(results)
        .map(|(aval, buffer)| Tensor::from_array(Arc::new(Array { aval, device: device.clone(), committed, buffer })))
        .collect())
}

fn move_all_owned(inputs: Vec<Tensor>, device: &Device) -> Result<Vec<Tensor>> {
    let elsewhere = |input: &Tensor| input.array().is_some_and(|array| array.device != *device);
    if inputs.iter().any(elsewhere) { move_all(&inputs, device) } else { Ok(inputs) }
}

fn compile(program: &Program, device: &Device, donated: Vec<bool>) -> Result<Arc<dyn Executable>> {
    static CACHE: OnceLock<Memo<Key, Arc<dyn Executable>>> = OnceLock::new();
    let cache = CACHE.get_or_init(|| Memo::new(4096));
    let key = Key { program: program.clone(), device: device.clone(), donated };
    cache.get_or_try_insert(key, |key| device.backend().compile(device.index(), program, &key.donated))
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
