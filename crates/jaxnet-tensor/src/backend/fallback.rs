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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::Buffer;
    use crate::dtype::DType;
    use crate::{Tensor, lax, tensor};

    /// An engine for which 2 is true.
    struct Twos;

    impl Backend for Twos {
        fn name(&self) -> &str {
            "twos"
        }

        fn upload(&self, _device: usize, aval: &Aval, bytes: &[u8]) -> Result<BoxBuffer> {
            Device::cpu_ref().backend().upload(0, aval, bytes)
        }

        fn download(&self, buffer: &dyn Buffer, aval: &Aval, bytes: &mut [u8]) -> Result<()> {
            Device::cpu_ref().backend().download(buffer, aval, bytes)?;
            if aval.dtype == DType::Bool {
                bytes.iter_mut().for_each(|byte| *byte *= 2);
            }
            Ok(())
        }

        fn execute(&self, device: usize, op: &Primitive, inputs: &[Operand<'_>], outputs: &[Aval]) -> Result<Buffers> {
            fallback(self, device, op, inputs, outputs)
        }
    }

    #[test]
    fn operands_go_and_all_results_come_back() {
        let device = Device::new(Arc::new(Twos), 3);
        let x = tensor![[2.0, -1.0, 5.0]].to(&device).unwrap();
        let (values, places) = lax::top_k(&x, 2).unwrap();
        assert_eq!((values.device(), places.device()), (Some(&device), Some(&device)));
        assert_eq!((values.to_vec::<f32>(), places.to_vec::<i32>()), (vec![5.0, 2.0], vec![2, 0]));
        // With a constant, and of nothing.
        assert_eq!((&x * 2.0).to_vec::<f32>(), [4.0, -2.0, 10.0]);
        assert_eq!((Tensor::zeros([0, 2]).to(&device).unwrap() + 1.0).shape().dims(), [0, 2]);
    }

    /// Whatever engines take for true, Rust gets its own `true`.
    #[test]
    fn truth_values_are_zeros_and_ones() {
        let device = Device::new(Arc::new(Twos), 0);
        let x = tensor![true, false].to(&device).unwrap();
        let bytes = |x: Vec<bool>| x.into_iter().map(|x| x as u8).collect::<Vec<_>>();
        assert_eq!(bytes(x.to_vec()), [1, 0]);
        assert_eq!(bytes((!&x).to_vec()), [0, 1]);
        assert_eq!(x.sum().item::<i32>(), 1);
        assert_eq!(x.i(0).item::<i64>(), 1);
    }
}
