//! Running primitives on arrays right away.

use std::sync::Arc;

use smallvec::SmallVec;

use super::interpreter::not_runnable;
use super::{Array, Backend, Buffer, Operand, Value};
use crate::aval::Aval;
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::primitive::{Control, DebugAction, Primitive};
use crate::profile;
use crate::program::{self, Program, ProgramBuilder};
use crate::tensor::Tensor;
use crate::trace::Tensors;

/// Runs a primitive on the device of its operands, none of which is traced.
///
/// # Errors
///
/// When the operands do not fit the primitive or each other's devices, or the device fails.
pub(crate) fn execute(primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
    if let Primitive::Control(control) = primitive {
        return execute_control(control, inputs);
    }
    let avals: SmallVec<[&Aval; 4]> = inputs.iter().map(Tensor::aval).collect();
    let outputs = primitive.infer(&avals)?;
    let (device, committed) = common_device(primitive.name(), inputs, &numbered)?;
    let moved;
    let inputs = if needs_move(inputs, device) {
        moved = move_all(inputs, device)?;
        &moved[..]
    } else {
        inputs
    };
    let operands: SmallVec<[Operand<'_>; 4]> = inputs.iter().map(operand).collect();
    let _span = profile::span(|| primitive.name());
    let buffers = device.backend().execute(device.index(), primitive, &operands, &outputs)?;
    Ok(outputs
        .into_iter()
        .zip(buffers)
        .map(|(aval, buffer)| Tensor::from_array(Arc::new(Array { aval, device: device.clone(), committed, buffer })))
        .collect())
}

fn operand(tensor: &Tensor) -> Operand<'_> {
    let value = match tensor.array() {
        Some(array) => Value::Buffer(&*array.buffer),
        None => Value::Literal(*tensor.literal().expect("neither array nor traced")),
    };
    Operand { aval: tensor.aval(), value }
}

/// How errors name operands that have no names.
fn numbered(i: usize) -> String {
    format!("operand {i}")
}

/// The device on which to run, and whether its result is committed to it.
pub(crate) fn common_device<'a>(
    op: &str,
    inputs: &'a [Tensor],
    name: &dyn Fn(usize) -> String,
) -> Result<(&'a Device, bool)> {
    let mut found: Option<(usize, &'a Array)> = None;
    for (i, array) in inputs.iter().enumerate().filter_map(|(i, input)| Some((i, input.array()?))) {
        match found {
            None => found = Some((i, array)),
            Some((first, other)) if array.committed && other.committed => {
                if array.device != other.device {
                    return Err(Error::invalid(
                        op,
                        format!(
                            "{} ({}) is on {} and {} ({}) on {}; move one with `.to(&device)?`, \
                             or a whole tree with `.to_device(&device)?`",
                            name(first),
                            other.aval,
                            other.device,
                            name(i),
                            array.aval,
                            array.device
                        ),
                    ));
                }
            }
            Some((_, other)) if array.committed && !other.committed => found = Some((i, array)),
            Some(_) => {}
        }
    }
    Ok(found.map_or((Device::cpu_ref(), false), |(_, array)| (&array.device, array.committed)))
}

fn needs_move(inputs: &[Tensor], device: &Device) -> bool {
    inputs.iter().any(|input| input.array().is_some_and(|array| array.device != *device))
}

/// The operands that have no device of their own, brought to this one.
pub(crate) fn move_all(inputs: &[Tensor], device: &Device) -> Result<Vec<Tensor>> {
    inputs
        .iter()
        .map(|input| match input.array() {
            Some(array) if array.device != *device => input.to(device),
            _ => Ok(input.clone()),
        })
        .collect()
}

fn execute_control(control: &Control, inputs: &[Tensor]) -> Result<Tensors> {
    let avals: SmallVec<[&Aval; 4]> = inputs.iter().map(Tensor::aval).collect();
    control_signature(control, &avals)?;
    let run = |program: &Program, inputs: &[Tensor]| -> Result<Tensors> {
        Ok(program::run(program, inputs.to_vec())?.into())
    };
    match control {
        Control::OptimizationBarrier | Control::StopGradient => Ok(inputs.iter().cloned().collect()),
        Control::Debug(action) => {
            let (device, _) = common_device(control.name(), inputs, &numbered)?;
            let operands: SmallVec<[Operand<'_>; 4]> = inputs.iter().map(operand).collect();
            debug(device, action, &operands)?;
            Ok(inputs.iter().cloned().collect())
        }
        Control::CustomLinear { .. } => Err(not_runnable()),
        Control::Call { program, .. }
        | Control::Checkpoint { program }
        | Control::CustomJvp { body: program, .. }
        | Control::CustomVjp { body: program, .. }
        | Control::Composite { body: program, .. } => run(program, inputs),
        Control::Cond { branches } => {
            // Where the index is counts, too: the results are where a compiled branch would leave them.
            let (device, committed) = common_device(control.name(), inputs, &numbered)?;
            let index = inputs[0].to_scalar::<i32>()?.clamp(0, branches.len() as i32 - 1);
            let put = |input: &Tensor| if committed { input.to(device) } else { Ok(input.clone()) };
            run(&branches[index as usize], &inputs[1..].iter().map(put).collect::<Result<Vec<_>>>()?)
        }
        Control::While { .. } | Control::Scan { .. } => {
            let mut builder = ProgramBuilder::new();
            let operands: Vec<_> = avals.iter().map(|aval| builder.input((*aval).clone())).collect();
            let results = builder.equation(control.clone().into(), operands)?;
            run(&builder.finish(&results), inputs)
        }
    }
}

fn control_signature(control: &Control, avals: &[&Aval]) -> Result<()> {
    Primitive::from(control.clone()).infer(avals).map(|_| ())
}

/// [`Backend::download`] from an engine that may be anybody's: truth values other than 0 and 1, which Rust's `bool`
/// must never be, become 1.
pub(crate) fn download(backend: &dyn Backend, buffer: &dyn Buffer, aval: &Aval, bytes: &mut [u8]) -> Result<()> {
    backend.download(buffer, aval, bytes)?;
    if aval.dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte = (*byte != 0) as u8);
    }
    Ok(())
}

/// The value of a scalar operand of an integer or bool dtype.
pub(crate) fn scalar_to_i64(device: &Device, operand: &Operand<'_>) -> Result<i64> {
    let buffer = match operand.value {
        Value::Literal(literal) => return Ok(literal.to::<i64>()),
        Value::Buffer(buffer) => buffer,
    };
    crate::with_dtype!(operand.aval.dtype, T => {
        let mut value = [T::default()];
        download(device.backend(), buffer, operand.aval, crate::dtype::as_bytes_mut(&mut value))?;
        Ok(value[0].to_i64())
    })
}

/// Does on the host what a debug primitive asks for.
pub(crate) fn debug(device: &Device, action: &DebugAction, operands: &[Operand<'_>]) -> Result<()> {
    let tensor = |operand: &Operand<'_>| match operand.value {
        Value::Literal(literal) => Tensor::from(literal),
        Value::Buffer(buffer) => Tensor::from_array(Arc::new(Array {
            aval: operand.aval.clone(),
            device: device.clone(),
            committed: false,
            buffer: buffer.share(),
        })),
    };
    match action {
        DebugAction::Print(text) => {
            let mut parts = text.split("{}");
            let mut message = parts.next().unwrap_or_default().to_string();
            let mut values = operands.iter();
            for part in parts {
                match values.next() {
                    Some(operand) => message.push_str(&tensor(operand).to_string()),
                    None => message.push_str("{}"),
                }
                message.push_str(part);
            }
            println!("{message}");
            Ok(())
        }
        DebugAction::CheckNan(what) => {
            let value = tensor(&operands[0]);
            if !value.dtype().is_float() {
                return Ok(());
            }
            let nan = value.to_f64_vec()?.iter().filter(|x| x.is_nan()).count();
            if nan == 0 {
                return Ok(());
            }
            Err(Error::NotFinite(format!("{what}: {nan} of {} elements of {} are NaN", value.size(), value.aval())))
        }
    }
}
