//! Activations.

use jaxnet_tensor::Tensor;

/// `max(x, 0)`.
#[track_caller]
pub fn relu(x: &Tensor) -> Tensor {
    x.maximum(0.0)
}

/// `log(softmax(x))` along the last axis.
#[track_caller]
pub fn log_softmax(x: &Tensor) -> Tensor {
    x - x.logsumexp_keepdims(-1)
}
