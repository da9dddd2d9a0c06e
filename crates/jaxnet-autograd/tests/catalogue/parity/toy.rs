//! An engine written against what `jaxnet-tensor` makes public, as one from outside of the workspace would be: a
//! handful of operations on f32 in plain loops, the rest by `fallback`.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaxnet_tensor::backend::{Backend, BoxBuffer, Buffer, Buffers, Operand, Value, fallback};
use jaxnet_tensor::primitive::{BinaryOp, DotGeneral, Elementwise, Reduce, ReduceKind, ShapeOp, UnaryOp};
use jaxnet_tensor::{Aval, DType, Device, Error, Primitive, Result};

/// The rows whose operations it has, of f32.
pub const CLAIMED: [&str; 9] =
    ["add", "mul", "neg", "exp", "broadcast_in_dim", "reshape", "transpose", "reduce_sum", "dot_general"];

/// The largest array that fits, in bytes.
const ROOM: usize = 1 << 24;

pub struct Toy {
    /// How often it did not have an operation.
    pub fallbacks: AtomicUsize,
}

impl Toy {
    pub fn new() -> Arc<Toy> {
        Arc::new(Toy { fallbacks: AtomicUsize::new(0) })
    }

    pub fn device(self: &Arc<Self>) -> Device {
        Device::new(self.clone(), 0)
    }
}

/// An array as it came from the host.
#[derive(Debug)]
struct Bytes(Arc<[u8]>);

impl Buffer for Bytes {
    fn share(&self) -> BoxBuffer {
        Box::new(Bytes(self.0.clone()))
    }

    fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

fn bytes(buffer: &dyn Buffer) -> &[u8] {
    let any: &dyn Any = buffer;
    &any.downcast_ref::<Bytes>().expect("a buffer of this engine").0
}

impl Backend for Toy {
    fn name(&self) -> &str {
        "toy"
    }

    fn upload(&self, device: usize, aval: &Aval, bytes: &[u8]) -> Result<BoxBuffer> {
        if bytes.len() > ROOM {
            return Err(Error::device(format!("toy:{device}"), format!("has no room for {aval}")));
        }
        Ok(Box::new(Bytes(bytes.into())))
    }

    fn download(&self, buffer: &dyn Buffer, _aval: &Aval, to: &mut [u8]) -> Result<()> {
        to.copy_from_slice(bytes(buffer));
        Ok(())
    }

    fn execute(
        &self,
        device: usize,
        primitive: &Primitive,
        inputs: &[Operand<'_>],
        outputs: &[Aval],
    ) -> Result<Buffers> {
        let all_f32 = inputs.iter().map(|input| input.aval).chain(outputs).all(|aval| aval.dtype == DType::F32);
        let arrays: Vec<Array<'_>> = if all_f32 { inputs.iter().map(Array::of).collect() } else { Vec::new() };
        match if all_f32 { run(primitive, &arrays, &outputs[0]) } else { None } {
            Some(result) => {
                let bytes: Vec<u8> = result.into_iter().flat_map(f32::to_ne_bytes).collect();
                Ok(std::iter::once(self.upload(device, &outputs[0], &bytes)?).collect())
            }
            None => {
                self.fallbacks.fetch_add(1, Ordering::Relaxed);
                fallback(self, device, primitive, inputs, outputs)
            }
        }
    }
}

/// An operand as numbers.
struct Array<'a> {
    shape: &'a [usize],
    elements: Vec<f32>,
}

impl<'a> Array<'a> {
    fn of(operand: &Operand<'a>) -> Self {
        let elements = match operand.value {
            Value::Literal(literal) => vec![literal.to::<f32>()],
            Value::Buffer(buffer) => {
                let (numbers, _) = bytes(buffer).as_chunks::<4>();
                numbers.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
            }
        };
        Array { shape: &operand.aval.shape, elements }
    }

    fn at(&self, index: &[usize]) -> f32 {
        self.elements[place(self.shape, index)]
    }

    /// Of an elementwise operation, whose operands are as large as the result or scalars.
    fn element(&self, i: usize) -> f32 {
        self.elements[if self.shape.is_empty() { 0 } else { i }]
    }
}

/// The result of an operation, if it is one that this engine has.
fn run(primitive: &Primitive, inputs: &[Array<'_>], output: &Aval) -> Option<Vec<f32>> {
    let each = |f: &dyn Fn(usize) -> f32| Some((0..output.size()).map(f).collect());
    let from = |f: &dyn Fn(&[usize]) -> f32| Some(indices(&output.shape).map(|index| f(&index)).collect());
    let x = inputs.first()?;
    match primitive {
        Primitive::Elementwise(Elementwise::Unary(UnaryOp::Neg)) => each(&|i| -x.element(i)),
        Primitive::Elementwise(Elementwise::Unary(UnaryOp::Exp)) => each(&|i| x.element(i).exp()),
        Primitive::Elementwise(Elementwise::Binary(BinaryOp::Add)) => each(&|i| x.element(i) + inputs[1].element(i)),
        Primitive::Elementwise(Elementwise::Binary(BinaryOp::Mul)) => each(&|i| x.element(i) * inputs[1].element(i)),
        Primitive::Shape(ShapeOp::Reshape { .. }) => Some(x.elements.clone()),
        Primitive::Shape(ShapeOp::BroadcastInDim { dims, .. }) => from(&|index| {
            let along = |(&size, &axis): (&usize, &usize)| if size == 1 { 0 } else { index[axis] };
            x.at(&x.shape.iter().zip(dims).map(along).collect::<Vec<_>>())
        }),
        Primitive::Shape(ShapeOp::Transpose { permutation }) => from(&|index| {
            let mut of_x = vec![0; index.len()];
            for (i, &axis) in permutation.iter().enumerate() {
                of_x[axis] = index[i];
            }
            x.at(&of_x)
        }),
        Primitive::Reduce(Reduce::Reduce { kind: ReduceKind::Sum, axes }) => {
            let mut sums = vec![0.0; output.size()];
            for (index, element) in indices(x.shape).zip(&x.elements) {
                let kept: Vec<usize> = (0..index.len()).filter(|axis| !axes.contains(axis)).map(|i| index[i]).collect();
                sums[place(&output.shape, &kept)] += element;
            }
            Some(sums)
        }
        Primitive::Dot(op) => {
            let y = &inputs[1];
            let contracted: Vec<usize> = op.lhs_contracting.iter().map(|&axis| x.shape[axis]).collect();
            from(&|index| {
                let product = |k: Vec<usize>| {
                    let (of_x, of_y) = operands_of(op, x.shape.len(), y.shape.len(), index, &k);
                    x.at(&of_x) * y.at(&of_y)
                };
                indices(&contracted).map(product).sum()
            })
        }
        _ => None,
    }
}

/// Which elements of the operands meet in an element of a product: the result's axes are those of the batch, of the
/// left operand and of the right one.
fn operands_of(op: &DotGeneral, left: usize, right: usize, index: &[usize], k: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let operand = |rank: usize, contracting: &[usize], batch: &[usize], free_from: usize| {
        let mut of_operand = vec![0; rank];
        let places = contracting.iter().zip(k).chain(batch.iter().zip(index));
        places.for_each(|(&axis, &i)| of_operand[axis] = i);
        let free = DotGeneral::free(rank, contracting, batch);
        free.iter().zip(&index[free_from..]).for_each(|(&axis, &i)| of_operand[axis] = i);
        of_operand
    };
    let batch = op.lhs_batch.len();
    let lefts = left - batch - op.lhs_contracting.len();
    (
        operand(left, &op.lhs_contracting, &op.lhs_batch, batch),
        operand(right, &op.rhs_contracting, &op.rhs_batch, batch + lefts),
    )
}

/// All indices into an array, in row-major order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut rest: usize| {
        let mut index = vec![0; shape.len()];
        for (i, &size) in index.iter_mut().zip(&shape).rev() {
            (*i, rest) = (rest % size, rest / size);
        }
        index
    })
}

/// Where an element is in row-major order.
fn place(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |place, (size, i)| place * size + i)
}

mod tests {
    use jaxnet_autograd::{grad, jit, vmap};
    use jaxnet_tensor::{Tensor, program, tensor, try_catch};

    use super::super::primitives::draw;
    use super::*;
    use crate::rows::rows;

    #[test]
    fn what_it_claims_it_has() {
        let toy = Toy::new();
        for row in rows().iter().filter(|row| CLAIMED.contains(&row.name)) {
            for drawn in draw("toy", row, &[DType::F32], 4) {
                let inputs: Vec<Tensor> =
                    drawn.case.values(drawn.seed).iter().map(|x| x.to(&toy.device()).unwrap()).collect();
                drawn.case.run(&inputs);
                program::run(&drawn.case.program(), inputs).unwrap();
            }
            assert_eq!(toy.fallbacks.load(Ordering::Relaxed), 0, "{} fell back", row.name);
        }
    }

    #[test]
    fn what_it_lacks_falls_back() {
        let toy = Toy::new();
        let x = tensor![0.5, 1.0].to(&toy.device()).unwrap();
        let y = jit(vmap(grad(|x: Tensor| x.sin() * &x))).call(x);
        assert_eq!(y.device().unwrap().to_string(), "toy:0");
        assert!(toy.fallbacks.load(Ordering::Relaxed) > 0);
        let expected = [0.5_f32, 1.0].map(|x| x.sin() + x * x.cos());
        assert!(y.to_vec::<f32>().iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-6), "{y}");
    }

    #[test]
    fn other_devices_and_its_errors_are_told() {
        let toy = Toy::new().device();
        let (x, y) = (tensor![1.0].to(&toy).unwrap(), tensor![1.0].to(&Device::cpu()).unwrap());
        let error = try_catch(|| &x + &y).unwrap_err().to_string();
        assert!(error.contains("toy:0") && error.contains("cpu:0") && error.contains(".to(&device)"), "{error}");
        let error = Tensor::zeros([ROOM]).to(&toy).unwrap_err().to_string();
        assert!(error.contains("toy:0") && error.contains("no room"), "{error}");
    }
}
