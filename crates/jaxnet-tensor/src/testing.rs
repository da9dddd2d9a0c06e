//! What unit tests share: arbitrary numbers, the same in every run.

use crate::dtype::{DType, Element};
use crate::shape::{Dims, Shape};
use crate::tensor::Tensor;

/// A source of arbitrary numbers (SplitMix64).
pub(crate) struct Arbitrary(u64);

impl Arbitrary {
    pub fn new(seed: u64) -> Self {
        Arbitrary(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// A number less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1) as u64) as i64
    }

    pub fn coin(&mut self) -> bool {
        self.bits() & 1 == 0
    }

    /// A number in [-1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Sizes from 0 or 1 to `max`, of up to `rank` axes.
    pub fn shape(&mut self, rank: usize, min: usize, max: usize) -> Shape {
        (0..self.below(rank + 1)).map(|_| min + self.below(max + 1 - min)).collect()
    }

    pub fn permutation(&mut self, rank: usize) -> Dims {
        let mut axes: Dims = (0..rank).collect();
        for i in (1..rank).rev() {
            axes.swap(i, self.below(i + 1));
        }
        axes
    }

    /// Elements that are all over the dtype's range: floats in [-1, 1), integers of any bits.
    pub fn elements<T: Element>(&mut self, count: usize) -> Vec<T> {
        (0..count)
            .map(|_| match T::DTYPE {
                DType::Bool => T::from_i64((self.bits() & 1) as i64),
                dtype if dtype.is_float() => T::from_f64(self.unit()),
                _ => T::from_i64(self.bits() as i64),
            })
            .collect()
    }

    /// A tensor of such elements.
    pub fn tensor(&mut self, dtype: DType, shape: &Shape) -> Tensor {
        crate::with_dtype!(dtype, T => Tensor::from_slice(&self.elements::<T>(shape.size()), shape).unwrap())
    }
}

/// The elements' bytes, to compare exactly, NaN and the sign of zero included.
pub(crate) fn bytes(x: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; x.aval().bytes()];
    x.read_bytes(&mut bytes).unwrap();
    bytes
}

/// Every index of a shape in row-major order.
pub(crate) fn indices(shape: &Shape) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.clone();
    (0..shape.size()).map(move |flat| unravel(flat, &shape))
}

/// The index of the element at this place in row-major order.
pub(crate) fn unravel(flat: usize, shape: &Shape) -> Vec<usize> {
    shape.strides().iter().zip(shape.iter()).map(|(stride, size)| flat / stride % size).collect()
}

/// The place in row-major order of the element with this index.
pub(crate) fn ravel(index: &[usize], shape: &Shape) -> usize {
    shape.strides().iter().zip(index).map(|(stride, i)| stride * i).sum()
}
