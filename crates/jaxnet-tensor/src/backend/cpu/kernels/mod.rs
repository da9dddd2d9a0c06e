//! One kernel file a family: dense inputs to dense outputs that the caller allocated.

mod conv;
mod dot;
mod elementwise;
mod index;
mod linalg;
mod numeric;
mod parallel;
mod random;
mod reduce;
mod shape;
mod sort;
mod taps;
#[cfg(test)]
mod testing_window;
mod window;

pub(crate) use elementwise::{Chunk, apply};
pub(crate) use index::update_slice;
#[cfg(feature = "torch")]
pub(crate) use random::random_bits;
pub(crate) use random::threefry;

use bytemuck::Pod;
use smallvec::SmallVec;

use super::CpuBuffer;
use crate::aval::{Aval, Literal};
use crate::backend::{BoxBuffer, Buffers, Operand, Value};
use crate::dtype::{DType, Element, as_bytes_mut};
use crate::error::{Error, Result};
use crate::primitive::{Primitive, ShapeOp};

/// An input of a kernel: dense elements in row-major order.
pub(crate) struct Input<'a> {
    /// Shape and dtype.
    pub aval: &'a Aval,
    data: Data<'a>,
}

enum Data<'a> {
    Buffer(&'a CpuBuffer),
    /// A scalar's bytes, in memory that is aligned for any dtype.
    Scalar(DType, [u64; 1]),
}

impl<'a> Input<'a> {
    /// An array.
    pub fn buffer(aval: &'a Aval, buffer: &'a CpuBuffer) -> Self {
        Input { aval, data: Data::Buffer(buffer) }
    }

    /// A scalar constant.
    pub fn literal(aval: &'a Aval, literal: &Literal) -> Self {
        Input { aval, data: Data::Scalar(literal.dtype, [u64::from_ne_bytes(literal.to_bytes())]) }
    }

    /// What a primitive was given.
    pub fn new(operand: &Operand<'a>) -> Self {
        let data = match operand.value {
            Value::Buffer(buffer) => Data::Buffer(CpuBuffer::of(buffer)),
            Value::Literal(literal) => return Input::literal(operand.aval, &literal),
        };
        Input { aval: operand.aval, data }
    }

    /// The elements.
    ///
    /// # Panics
    ///
    /// If `T` is not the dtype.
    pub fn slice<T: Element>(&self) -> &[T] {
        match &self.data {
            Data::Buffer(buffer) => buffer.as_slice(),
            Data::Scalar(dtype, word) => {
                assert_eq!(T::DTYPE, *dtype);
                // SAFETY: the word starts with one valid element of this dtype, written by
                // `Literal::to_bytes`, and is aligned for any.
                unsafe { std::slice::from_raw_parts(word.as_ptr().cast(), 1) }
            }
        }
    }

    /// The elements as words of their width, for kernels that only move them. (Storage is aligned for
    /// any dtype, so the cast cannot fail but for a wrong width.)
    ///
    /// # Panics
    ///
    /// If `W` is not as wide as the dtype.
    pub fn words<W: Pod>(&self) -> &[W] {
        let bytes = match &self.data {
            Data::Buffer(buffer) => buffer.bytes(),
            Data::Scalar(dtype, word) => &bytemuck::bytes_of(word)[..dtype.size()],
        };
        assert_eq!(size_of::<W>(), self.aval.dtype.size());
        bytemuck::cast_slice(bytes)
    }
}

impl Input<'_> {
    /// The buffer of an operand that is no scalar constant.
    fn held(&self) -> &CpuBuffer {
        match &self.data {
            Data::Buffer(buffer) => buffer,
            Data::Scalar(..) => unreachable!("a scalar has no axes to move"),
        }
    }

    /// The elements as bytes, aligned for the dtype.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Buffer(buffer) => buffer.bytes(),
            Data::Scalar(dtype, word) => &bytemuck::bytes_of(word)[..dtype.size()],
        }
    }
}

/// An output of a kernel: elements to fill in, all of them.
pub(crate) struct Output<'a> {
    /// Shape and dtype.
    pub aval: &'a Aval,
    /// The elements, arbitrary until written.
    pub buffer: &'a mut CpuBuffer,
}

impl Output<'_> {
    /// The elements.
    ///
    /// # Panics
    ///
    /// If `T` is not the dtype.
    pub fn slice<T: Element>(&mut self) -> &mut [T] {
        self.buffer.as_mut_slice()
    }

    /// The elements as bytes, aligned for the dtype; those of `bool` must stay 0 or 1.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut()
    }

    /// The elements as words of their width, for kernels that only move elements; see
    /// [`Input::words`]. Where the dtype is bool, words must come from elements, so that they are
    /// truth values.
    ///
    /// # Panics
    ///
    /// If `W` is not as wide as the dtype.
    pub fn words<W: Pod>(&mut self) -> &mut [W] {
        assert_eq!(size_of::<W>(), self.aval.dtype.size());
        crate::with_dtype!(self.aval.dtype, T => bytemuck::cast_slice_mut(as_bytes_mut(self.slice::<T>())))
    }
}

/// Runs a primitive into outputs that the caller allocated.
pub(crate) fn run(primitive: &Primitive, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) -> Result<()> {
    match primitive {
        Primitive::Elementwise(op) => elementwise::run(op, inputs, &mut outputs[0]),
        Primitive::Shape(op) => shape::run(op, inputs, &mut outputs[0]),
        Primitive::Reduce(op) => reduce::run(op, inputs, &mut outputs[0]),
        Primitive::Window(op) => window::run(op, inputs, &mut outputs[0]),
        Primitive::Dot(op) => dot::run(op, inputs, &mut outputs[0]),
        Primitive::Conv(op) => conv::run(op, inputs, &mut outputs[0]),
        Primitive::Index(op) => index::run(op, inputs, &mut outputs[0]),
        Primitive::Sort(op) => sort::run(op, inputs, outputs),
        Primitive::Linalg(op) => linalg::run(op, inputs, outputs),
        Primitive::Random(op) => random::run(op, inputs, outputs),
        Primitive::Control(op) => return Err(Error::invalid(op.name(), "is not for a backend to run by itself")),
    }
    Ok(())
}

/// Runs a primitive into new buffers.
pub(crate) fn execute(primitive: &Primitive, inputs: &[Operand<'_>], avals: &[Aval]) -> Result<Buffers> {
    if let (Primitive::Shape(ShapeOp::Reshape { .. }), [Operand { value: Value::Buffer(buffer), .. }]) =
        (primitive, inputs)
    {
        return Ok(std::iter::once(buffer.share()).collect());
    }
    let inputs: SmallVec<[Input<'_>; 4]> = inputs.iter().map(Input::new).collect();
    let mut buffers: SmallVec<[CpuBuffer; 1]> =
        avals.iter().map(|aval| CpuBuffer::try_with_dtype(aval.dtype, aval.size())).collect::<Result<_>>()?;
    let mut outputs: SmallVec<[Output<'_>; 1]> =
        avals.iter().zip(&mut buffers).map(|(aval, buffer)| Output { aval, buffer }).collect();
    run(primitive, &inputs, &mut outputs)?;
    drop(outputs);
    Ok(buffers.into_iter().map(|buffer| Box::new(buffer) as BoxBuffer).collect())
}
