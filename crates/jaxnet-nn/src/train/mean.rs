//! Means over batches.

use jaxnet_tensor::{DType, Tensor, Tree};

/// A mean of values that come batch by batch, as a tree: it may be carried through a compiled loop.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
/// use jaxnet_nn::train::Mean;
///
/// let batches = tensor![[1.0, 2.0], [3.0, 6.0]];
/// let mean = jit(|batches: Tensor| scan(|mean: Mean, x: Tensor| (mean.add(&x), ()), Mean::new(), batches).0);
/// assert_eq!(mean.call(batches).value().item::<f32>(), 3.0);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct Mean {
    // In f64, in which a count of elements goes on growing.
    total: Tensor,
    count: Tensor,
}

impl Mean {
    /// The mean of no values, which is not a number.
    pub fn new() -> Mean {
        Mean { total: Tensor::scalar(0_f64), count: Tensor::scalar(0_f64) }
    }

    /// With all elements of a tensor, of whatever dtype.
    #[must_use]
    pub fn add(&self, values: &Tensor) -> Mean {
        let total = &self.total + values.astype(DType::F64).sum();
        Mean { total, count: &self.count + values.size() as f64 }
    }

    /// With all elements of a tensor, each as often as its weight says: 0 for padding, 1 for the rest.
    #[must_use]
    #[track_caller]
    pub fn add_weighted(&self, values: &Tensor, weights: &Tensor) -> Mean {
        let (values, weights) = (values.astype(DType::F64), weights.astype(DType::F64).broadcast_to(values.shape()));
        Mean { total: &self.total + (values * &weights).sum(), count: &self.count + weights.sum() }
    }

    /// Of both means' values, as where they are from several devices.
    #[must_use]
    pub fn merge(&self, other: &Mean) -> Mean {
        Mean { total: &self.total + &other.total, count: &self.count + &other.count }
    }

    /// The mean, an f32 scalar; not a number where there were no values.
    pub fn value(&self) -> Tensor {
        (&self.total / &self.count).astype(DType::F32)
    }
}

impl Default for Mean {
    fn default() -> Self {
        Mean::new()
    }
}
