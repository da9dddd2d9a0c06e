//! What an engine does not have.

use smallvec::SmallVec;

use super::{Backend, BoxBuffer, Buffers, Operand, Value};
use crate::aval::Aval;
use crate::device::Device;
use crate::error::Result;
use crate::primitive::Primitive;

/// Runs a primitive on the embedded engine, for an engine that does not have it: the operands come to the host, and
/// the results go to the device. [`Backend::execute`] may end in this call.
///
/// It is as right as the embedded engine, and as slow as the way there and back. What can be said in primitives that
/// the engine has is faster so, as [`portable`](super::portable) says decompositions of matrices.
///
/// # Errors
///
/// When moving or running fails.
///
/// # Examples
///
/// [`Backend`] has one.
pub fn fallback(
    backend: &dyn Backend,
    device: usize,
    primitive: &Primitive,
    inputs: &[Operand<'_>],
    outputs: &[Aval],
) -> Result<Buffers> {
    let host = Device::cpu_ref().backend();
    let here = |input: &Operand<'_>| match input.value {
        Value::Buffer(buffer) => {
            let mut bytes = vec![0; input.aval.bytes()];
            backend.download(buffer, input.aval, &mut bytes)?;
            host.upload(0, input.aval, &bytes).map(Some)
        }
        Value::Literal(_) => Ok(None),
    };
    let copies = inputs.iter().map(here).collect::<Result<SmallVec<[Option<BoxBuffer>; 3]>>>()?;
    let operands: SmallVec<[Operand<'_>; 3]> = inputs
        .iter()
        .zip(&copies)
        .map(|(input, copy)| Operand {
            aval: input.aval,
            value: copy.as_ref().map_or(input.value, |copy| Value::Buffer(&**copy)),
        })
        .collect();
    let results = host.execute(0, primitive, &operands, outputs)?;
    let there = |(result, aval): (BoxBuffer, &Aval)| {
        let mut bytes = vec![0; aval.bytes()];
        host.download(&*result, aval, &mut bytes)?;
        backend.upload(device, aval, &bytes)
    };
    results.into_iter().zip(outputs).map(there).collect()
}
