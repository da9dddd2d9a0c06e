//! Activations and other layers without parameters.
//!
//! Values and derivatives are those of `jax.nn`, at the kinks too: the derivative of [`relu`] at 0 is 0.
//! They neither overflow nor give NaN where the limit is a number, in value or derivative, for any finite
//! input.

use jaxnet_autograd::custom_jvp;
use jaxnet_tensor::{DType, Error, Tensor, raise};

/// `max(x, 0)`, with derivative 0 at 0.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(relu(&tensor![-1.0, 0.0, 2.0]).to_vec::<f32>(), [0.0, 0.0, 2.0]);
/// ```
#[track_caller]
pub fn relu(x: &Tensor) -> Tensor {
    // As a choice, since that of a maximum shares the derivative between equal operands; NaN stays NaN.
    x.le(0).select(0, x)
}

/// `min(max(x, 0), 6)`, with derivative 0 at 0 and 6.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(relu6(&tensor![-1.0, 3.0, 9.0]).to_vec::<f32>(), [0.0, 3.0, 6.0]);
/// ```
#[track_caller]
pub fn relu6(x: &Tensor) -> Tensor {
    x.ge(6).select(6, relu(x))
}

/// [`leaky_relu_slope`] with slope 0.01.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(leaky_relu(&tensor![-1.0, 2.0]).to_vec::<f32>(), [-0.01, 2.0]);
/// ```
#[track_caller]
pub fn leaky_relu(x: &Tensor) -> Tensor {
    leaky_relu_slope(x, 0.01)
}

/// `x` where that is at least 0, `slope * x` elsewhere.
#[track_caller]
pub fn leaky_relu_slope(x: &Tensor, slope: f64) -> Tensor {
    x.ge(0).select(x, x * slope)
}

/// [`elu_alpha`] with `alpha` 1.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert!(elu(&tensor![-1e9, 2.0]).allclose(tensor![-1.0, 2.0], 1e-6, 0.0));
/// ```
#[track_caller]
pub fn elu(x: &Tensor) -> Tensor {
    elu_alpha(x, 1.0)
}

/// `x` where that is positive, `alpha * (e^x - 1)` elsewhere.
#[track_caller]
pub fn elu_alpha(x: &Tensor, alpha: f64) -> Tensor {
    // The branch that is not taken must not overflow, since 0 * inf is NaN in the derivative.
    let positive = x.gt(0);
    positive.select(x, positive.select(0, x).expm1() * alpha)
}

/// The self-normalizing `1.0507 * elu_alpha(x, 1.6733)` of Klambauer et al. 2017.
#[track_caller]
pub fn selu(x: &Tensor) -> Tensor {
    elu_alpha(x, 1.673_263_242_354_377_2) * 1.050_700_987_355_480_5
}

/// [`celu_alpha`] with `alpha` 1.
#[track_caller]
pub fn celu(x: &Tensor) -> Tensor {
    celu_alpha(x, 1.0)
}

/// `x` where that is positive, `alpha * (e^(x / alpha) - 1)` elsewhere: smooth at 0 for every `alpha`.
#[track_caller]
pub fn celu_alpha(x: &Tensor, alpha: f64) -> Tensor {
    let positive = x.gt(0);
    positive.select(x, (positive.select(0, x) / alpha).expm1() * alpha)
}

/// `x` times the probability of less than `x` under the normal distribution, with its approximation by
/// `tanh`, as `jax.nn.gelu` has it by default; see [`gelu_exact`].
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert!(gelu(&tensor![-20.0, 0.0, 20.0]).allclose(tensor![0.0, 0.0, 20.0], 1e-6, 1e-6));
/// ```
#[track_caller]
pub fn gelu(x: &Tensor) -> Tensor {
    // The hyperbolic tangent is 1 or -1 to the last bit beyond, and the cube would overflow in half
    // precision.
    let inner = x.clip(-10.0, 10.0);
    let cubic = &inner + inner.powi(3) * 0.044715;
    x * (((cubic * (2.0 / std::f64::consts::PI).sqrt()).tanh() + 1.0) * 0.5)
}

/// `x` times the probability of less than `x` under the normal distribution.
#[track_caller]
pub fn gelu_exact(x: &Tensor) -> Tensor {
    x * ((x * -std::f64::consts::FRAC_1_SQRT_2).erfc() * 0.5)
}

/// `x * sigmoid(x)`, also called swish.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert!(silu(&tensor![0.0, 20.0]).allclose(tensor![0.0, 20.0], 1e-6, 0.0));
/// ```
#[doc(alias = "swish")]
#[track_caller]
pub fn silu(x: &Tensor) -> Tensor {
    x * x.sigmoid()
}

/// [`silu`] by its other name.
#[track_caller]
pub fn swish(x: &Tensor) -> Tensor {
    silu(x)
}

/// `log(1 + e^x)`, a smooth [`relu`].
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(softplus(&tensor![-1e4, 1e4]).to_vec::<f32>(), [0.0, 1e4]);
/// assert_eq!(grad(|x: Tensor| softplus(&x).sum())(tensor![-1e4, 0.0, 1e4]).to_vec::<f32>(), [0.0, 0.5, 1.0]);
/// ```
#[track_caller]
pub fn softplus(x: &Tensor) -> Tensor {
    fn value(x: &Tensor) -> Tensor {
        x.maximum(0.0) + (-x.abs()).exp().log1p()
    }
    let x = if x.dtype().is_float() { x.clone() } else { x.astype(x.dtype().to_float()) };
    if !x.is_traced() {
        return value(&x);
    }
    // The value is put together from pieces whose higher derivatives are wrong at 0.
    custom_jvp(|x: Tensor| value(&x), |x: Tensor, t: Tensor| (value(&x), t * x.sigmoid()))(x)
}

/// `x / (1 + |x|)`.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(softsign(&tensor![-1.0, 3.0]).to_vec::<f32>(), [-0.5, 0.75]);
/// ```
#[track_caller]
pub fn softsign(x: &Tensor) -> Tensor {
    x / (x.abs() + 1)
}

/// `1 / (1 + e^-x)`.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(sigmoid(&tensor![0.0, 200.0]).to_vec::<f32>(), [0.5, 1.0]);
/// ```
#[track_caller]
pub fn sigmoid(x: &Tensor) -> Tensor {
    x.sigmoid()
}

/// `log(sigmoid(x))`, which does not lose small probabilities.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(log_sigmoid(&tensor![-1e4, 1e4]).to_vec::<f32>(), [-1e4, 0.0]);
/// ```
#[track_caller]
pub fn log_sigmoid(x: &Tensor) -> Tensor {
    -softplus(&-x)
}

/// The hyperbolic tangent.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(tanh(&tensor![0.0, 200.0]).to_vec::<f32>(), [0.0, 1.0]);
/// ```
#[track_caller]
pub fn tanh(x: &Tensor) -> Tensor {
    x.tanh()
}

/// `x` clipped to `-1..=1`.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(hard_tanh(&tensor![-3.0, 0.5, 2.0]).to_vec::<f32>(), [-1.0, 0.5, 1.0]);
/// ```
#[track_caller]
pub fn hard_tanh(x: &Tensor) -> Tensor {
    x.gt(1).select(1, x.lt(-1).select(-1, x))
}

/// `relu6(x + 3) / 6`, a [`sigmoid`] in three pieces.
#[track_caller]
pub fn hard_sigmoid(x: &Tensor) -> Tensor {
    relu6(&(x + 3.0)) / 6.0
}

/// `x * hard_sigmoid(x)`, a [`silu`] in three pieces.
#[track_caller]
pub fn hard_swish(x: &Tensor) -> Tensor {
    x * hard_sigmoid(x)
}

/// [`hard_swish`] by its other name.
#[track_caller]
pub fn hard_silu(x: &Tensor) -> Tensor {
    hard_swish(x)
}

/// `(x + sqrt(x² + 4)) / 2`, a [`relu`] that is smooth like [`softplus`], without a logarithm (Barron 2021).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(squareplus(&tensor![-1.5, 0.0, 1.5]).to_vec::<f32>(), [0.5, 1.0, 2.0]);
/// ```
#[track_caller]
pub fn squareplus(x: &Tensor) -> Tensor {
    // By the larger of x and 2, since a square overflows in half precision.
    let large = x.abs().maximum(2.0).stop_gradient();
    let root = ((x / &large).square() + (2.0 / &large).square()).sqrt() * &large;
    (root + x) * 0.5
}

/// 0 up to -1, `(x + 1)² / 4` up to 1, and `x` beyond: a [`softplus`] that is 0 and straight at its ends. Its derivative is
/// [`sparse_sigmoid`].
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(sparse_plus(&tensor![-2.0, 0.0, 1.0, 3.0]).to_vec::<f32>(), [0.0, 0.25, 1.0, 3.0]);
/// ```
#[track_caller]
pub fn sparse_plus(x: &Tensor) -> Tensor {
    // Clipped, so that what is not chosen has no infinite square.
    let middle = (x.clip(-1.0, 1.0) + 1.0).square() * 0.25;
    x.ge(1).select(x, x.le(-1).select(0, middle))
}

/// 0 up to -1, `(x + 1) / 2` up to 1, and 1 beyond: a [`sigmoid`] that reaches its ends (Martins and Astudillo 2016).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(sparse_sigmoid(&tensor![-2.0, 0.0, 0.5, 3.0]).to_vec::<f32>(), [0.0, 0.5, 0.75, 1.0]);
/// ```
#[track_caller]
pub fn sparse_sigmoid(x: &Tensor) -> Tensor {
    // Not `clip`, whose derivative at the kinks is 0: half the slope, as in JAX.
    (x + 1.0).maximum(0.0).minimum(2.0) * 0.5
}

/// `x` as it is.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(identity(&tensor![-1.0, 2.0]).to_vec::<f32>(), [-1.0, 2.0]);
/// ```
pub fn identity(x: &Tensor) -> Tensor {
    x.clone()
}

/// `x * tanh(softplus(x))`.
#[track_caller]
pub fn mish(x: &Tensor) -> Tensor {
    x * softplus(x).tanh()
}

/// [`glu_axis`] along the last axis.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(glu(&tensor![3.0, 4.0, 0.0, 0.0]).to_vec::<f32>(), [1.5, 2.0]);
/// ```
#[track_caller]
pub fn glu(x: &Tensor) -> Tensor {
    glu_axis(x, -1)
}

/// The first half along an axis times the [`sigmoid`] of the second.
///
/// # Panics
///
/// If there is no such axis, or its size is odd.
#[track_caller]
pub fn glu_axis(x: &Tensor, axis: isize) -> Tensor {
    let size = x.dim(axis);
    if !size.is_multiple_of(2) {
        raise(Error::invalid(
            "glu",
            format!("axis {axis} of {} has {size} elements, which is odd; it is split into halves", x.aval()),
        ));
    }
    let halves = x.split_at(&[size / 2], axis);
    &halves[0] * halves[1].sigmoid()
}

/// [`elu`] of the input and of what is its negative, one after the other along the last axis (Shang et al. 2016).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(concat_elu(&tensor![2.0, 0.0]).to_vec::<f32>()[..2], [2.0, 0.0]);
/// assert_eq!(concat_elu(&Tensor::ones([5, 3])).shape().dims(), [5, 6]);
/// ```
///
/// # Panics
///
/// If the input is a scalar.
#[track_caller]
pub fn concat_elu(x: &Tensor) -> Tensor {
    elu(&Tensor::concatenate(&[x.clone(), -x], -1))
}

/// [`softmax_axis`] along the last axis.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(softmax(&tensor![1e4, 1e4, 0.0]).to_vec::<f32>(), [0.5, 0.5, 0.0]);
/// ```
#[track_caller]
pub fn softmax(x: &Tensor) -> Tensor {
    softmax_axis(x, -1)
}

/// `e^x`, divided by its sum along an axis.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let x = Tensor::zeros([4, 3]);
/// assert_eq!(softmax_axis(&x, 0).i(0).to_vec::<f32>(), [0.25; 3]);
/// ```
#[track_caller]
pub fn softmax_axis(x: &Tensor, axis: isize) -> Tensor {
    let exp = shifted(x, axis).exp();
    &exp / exp.sum_keepdims(axis)
}

/// [`log_softmax_axis`] along the last axis.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let x = tensor![[1.0, 2.0], [1000.0, -1000.0]];
/// assert!(log_softmax(&x).exp().sum_axis(-1).allclose(1.0, 1e-6, 0.0));
/// ```
#[track_caller]
pub fn log_softmax(x: &Tensor) -> Tensor {
    log_softmax_axis(x, -1)
}

/// `log(softmax(x))`, which does not lose small probabilities.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert!(log_softmax_axis(&Tensor::zeros([2, 3]), 0).allclose(-(2_f64.ln()), 1e-6, 0.0));
/// ```
#[track_caller]
pub fn log_softmax_axis(x: &Tensor, axis: isize) -> Tensor {
    let shifted = shifted(x, axis);
    let normalizer = shifted.exp().sum_keepdims(axis).log();
    shifted - normalizer
}

/// [`sparsemax_axis`] along the last axis.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(sparsemax(&tensor![0.5, 0.0, -1.0]).to_vec::<f32>(), [0.75, 0.25, 0.0]);
/// ```
#[track_caller]
pub fn sparsemax(x: &Tensor) -> Tensor {
    sparsemax_axis(x, -1)
}

/// The probabilities along an axis that are nearest to `x`: a [`softmax`] that gives 0 to what is far below the greatest
/// (Martins and Astudillo 2016).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let x = tensor![[0.0, 3.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]];
/// assert_eq!(sparsemax_axis(&x, 0).t().to_vec::<f32>(), [0.25, 0.25, 0.25, 0.25, 1.0, 0.0, 0.0, 0.0]);
/// ```
#[track_caller]
pub fn sparsemax_axis(x: &Tensor, axis: isize) -> Tensor {
    let x = shifted(x, axis);
    let dtype = x.dtype();
    let x = x.astype(if dtype == DType::F64 { DType::F64 } else { DType::F32 });
    // Which elements have a probability follows from the sums of the greatest one, two, …; it has no derivative.
    let sorted = x.stop_gradient().sort_descending(axis);
    let sums = sorted.cumsum(axis);
    let counts = sorted.ones_like().cumsum(axis);
    let there = (sorted * &counts + 1.0).gt(&sums);
    let count = there.astype(x.dtype()).sum_keepdims(axis);
    // Sums fall, since no element is above 0 now: the last that is there is the least.
    let least = (there.select(&sums, f64::INFINITY).min_keepdims(axis) - 1.0) / &count;
    let support = !x.le(least); // NaN is, and stays.
    let threshold = (support.select(&x, 0).sum_keepdims(axis) - 1.0) / count;
    support.select(x - threshold, 0).astype(dtype)
}

/// `x` less its maximum along an axis, which changes no softmax and has no part in its derivative.
#[track_caller]
pub(super) fn shifted(x: &Tensor, axis: isize) -> Tensor {
    let x = if x.dtype().is_float() { x.clone() } else { x.astype(x.dtype().to_float()) };
    &x - x.max_keepdims(axis).stop_gradient()
}

/// [`standardize_axis`] along the last axis.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert!(standardize(&tensor![1.0, 3.0]).allclose(tensor![-1.0, 1.0], 1e-3, 0.0));
/// ```
#[track_caller]
pub fn standardize(x: &Tensor) -> Tensor {
    standardize_axis(x, -1)
}

/// `x` less its mean along an axis, divided by the standard deviation; 1e-5 is added to the variance.
#[track_caller]
pub fn standardize_axis(x: &Tensor, axis: isize) -> Tensor {
    let centered = x - x.mean_keepdims(axis);
    let variance = centered.square().mean_keepdims(axis);
    centered * (variance + 1e-5).rsqrt()
}

/// The axes after the first as one.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(flatten(&Tensor::zeros([2, 3, 4])).shape().dims(), [2, 12]);
/// ```
///
/// # Panics
///
/// If `x` is a scalar.
#[track_caller]
pub fn flatten(x: &Tensor) -> Tensor {
    let Some((&first, rest)) = x.shape().split_first() else {
        raise(Error::invalid("flatten", "a scalar has no leading axis to keep; see `Tensor::flatten`"));
    };
    x.reshape([first, rest.iter().product::<usize>()])
}
