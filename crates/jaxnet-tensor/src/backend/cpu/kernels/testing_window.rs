//! What the tests of the index, window and convolution kernels share.

use crate::dtype::Element;
use crate::tensor::Tensor;

/// A small generator of numbers that are the same in each run.
pub(super) struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: i64, high: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + ((self.0 >> 20) % (high - low + 1) as u64) as i64
    }

    /// Sizes of a random shape.
    pub fn shape(&mut self, rank: usize, low: i64, high: i64) -> Vec<usize> {
        (0..rank).map(|_| self.within(low, high) as usize).collect()
    }

    /// Small integers, so that sums are exact in every dtype.
    pub fn tensor<T: Element>(&mut self, shape: &[usize], low: i64, high: i64) -> Tensor {
        let elements: Vec<T> = (0..shape.iter().product()).map(|_| T::from_i64(self.within(low, high))).collect();
        Tensor::from_slice(&elements, shape).unwrap()
    }
}

/// All places in an array of this shape, in row-major order.
pub(super) fn places(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |places, &size| {
        places.iter().flat_map(|place| (0..size).map(move |i| [&place[..], &[i]].concat())).collect()
    })
}

/// The row-major number of a place.
pub(super) fn number(shape: &[usize], place: &[usize]) -> usize {
    place.iter().zip(shape).fold(0, |number, (&i, &size)| {
        assert!(i < size, "{place:?} in {shape:?}");
        number * size + i
    })
}
