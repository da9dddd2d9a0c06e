//! Losses of numbers and vectors.

use jaxnet_tensor::{DType, Tensor};

use super::super::activations::softplus;
use super::same_shapes;

/// The mean of the squared differences over all elements.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(mse(&tensor![1.0, 2.0], &tensor![1.0, 4.0]).item::<f32>(), 2.0);
/// ```
///
/// # Panics
///
/// If the shapes differ: broadcasting `[n, 1]` against `[n]` would compare every pair.
#[track_caller]
pub fn mse(predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("mse", "predictions", predictions, "targets", targets);
    (predictions - targets).square().mean()
}

/// The squared difference of each element. [`mse`] is its mean.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(squared_error(&tensor![1.0, 2.0], &tensor![1.0, 4.0]).to_vec::<f32>(), [0.0, 4.0]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn squared_error(predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("squared_error", "predictions", predictions, "targets", targets);
    (predictions - targets).square()
}

/// Half the squared difference of each element.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(l2_loss(&tensor![1.0, 2.0], &tensor![1.0, 4.0]).to_vec::<f32>(), [0.0, 2.0]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn l2_loss(predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("l2_loss", "predictions", predictions, "targets", targets);
    (predictions - targets).square() * 0.5
}

/// The absolute difference of each element.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(absolute_error(&tensor![1.0, 2.0], &tensor![1.0, 4.0]).to_vec::<f32>(), [0.0, 2.0]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[doc(alias = "l1_loss")]
#[track_caller]
pub fn absolute_error(predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("absolute_error", "predictions", predictions, "targets", targets);
    (predictions - targets).abs()
}

/// [`l2_loss`] of each element up to a difference of `delta`, and beyond that a straight line, which outliers
/// cannot bend much.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let losses = huber_loss(&tensor![0.5, 3.0], &tensor![0.0, 0.0], 1.0);
/// assert_eq!(losses.to_vec::<f32>(), [0.125, 2.5]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[doc(alias = "smooth_l1_loss")]
#[track_caller]
pub fn huber_loss(predictions: &Tensor, targets: &Tensor, delta: f64) -> Tensor {
    same_shapes("huber_loss", "predictions", predictions, "targets", targets);
    let error = (predictions - targets).abs();
    // A choice, so that the derivative is right at `delta` too.
    let near = error.le(delta);
    near.select(near.select(&error, 0).square() * 0.5, (&error - 0.5 * delta) * delta)
}

/// `log(cosh(predictions - targets))` of each element: like [`l2_loss`] near 0, like [`absolute_error`] far out.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let losses = log_cosh(&tensor![0.0, 1e4, 1.0], &tensor![0.0, 0.0, 0.0]);
/// assert!(losses.allclose(tensor![0.0, 1e4 - 2_f32.ln(), 1_f32.cosh().ln()], 1e-5, 1e-6));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn log_cosh(predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("log_cosh", "predictions", predictions, "targets", targets);
    let error = predictions - targets;
    softplus(&(&error * 2.0)) - error - std::f64::consts::LN_2
}

/// The cosine of the angle of vectors along the last axis, which vanishes; about 0 for vectors of zeros.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let (a, b) = (tensor![[1.0, 0.0], [2.0, 2.0]], tensor![[0.0, 3.0], [0.0, 1.0]]);
/// assert!(cosine_similarity(&a, &b).allclose(tensor![0.0, 0.5_f32.sqrt()], 1e-5, 1e-6));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn cosine_similarity(predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("cosine_similarity", "predictions", predictions, "targets", targets);
    let dtype = (predictions + targets).dtype().to_float();
    (directions(predictions) * directions(targets)).sum_axis(-1).astype(dtype)
}

/// Vectors of length 1 along the last axis, in f32 at least.
pub(super) fn directions(x: &Tensor) -> Tensor {
    let x = x.astype(if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 });
    let length = x.square().sum_keepdims(-1);
    // Directions of zeros are zeros, and have no infinite derivative.
    &x * length.maximum(1e-12).rsqrt()
}

/// 1 less the [`cosine_similarity`].
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert!(cosine_distance(&tensor![1.0, 2.0], &tensor![-2.0, -4.0]).allclose(2.0, 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn cosine_distance(predictions: &Tensor, targets: &Tensor) -> Tensor {
    1.0 - cosine_similarity(predictions, targets)
}
