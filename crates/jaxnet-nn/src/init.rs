//! Initializers.

use jaxnet_tensor::{Key, Shape, Tensor};

/// Makes a parameter of a shape from a key.
pub trait Initializer {
    /// The parameter.
    fn initialize(&self, key: Key, shape: &Shape) -> Tensor;
}

impl<F: Fn(Key, &Shape) -> Tensor> Initializer for F {
    fn initialize(&self, key: Key, shape: &Shape) -> Tensor {
        self(key, shape)
    }
}

/// Normally distributed with this standard deviation.
pub fn normal(std: f64) -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    move |key: Key, shape: &Shape| key.normal(shape) * std
}

/// Zeros.
pub fn zeros() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    |_: Key, shape: &Shape| Tensor::zeros(shape)
}

/// Glorot normal.
pub fn glorot_normal() -> impl Fn(Key, &Shape) -> Tensor + Clone + Send + Sync + 'static {
    |key: Key, shape: &Shape| {
        let rank = shape.rank();
        let field: usize = shape[..rank.saturating_sub(2)].iter().product();
        let (fan_in, fan_out) = (shape[rank - 2] * field, shape[rank - 1] * field);
        key.normal(shape) * (2.0 / (fan_in + fan_out) as f64).sqrt()
    }
}
