//! Losses, and what one measures beside them.

use jaxnet_tensor::{Element, Error, OrRaise, Result, Tensor, raise, with_dtype};

use super::activations::{log_softmax, shifted, softplus};

/// The cross entropy of `softmax(logits)` relative to target probabilities (one-hot ones, for instance), for
/// each example: classes are along the last axis, which vanishes. Take the mean for a loss.
///
/// Targets of probability 0 count nothing, even where the logit is -inf.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let logits = tensor![[0.0, 0.0], [1e4, -1e4]];
/// let targets = tensor![[0.5, 0.5], [0.0, 1.0]];
/// let losses = softmax_cross_entropy(&logits, &targets).to_vec::<f32>();
/// assert_eq!(losses, [std::f32::consts::LN_2, 2e4]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn softmax_cross_entropy(logits: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("softmax_cross_entropy", "logits", logits, "targets", targets);
    let log = log_softmax(logits);
    -targets.eq(0).select(0, log * targets).sum_axis(-1)
}

/// The cross entropy of `softmax(logits)` relative to the right classes, as integers, for each example: the
/// logits have one axis more, the last, along which classes are. Take the mean for a loss.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let losses = softmax_cross_entropy_with_integer_labels(&tensor![[0.0, 0.0], [1e4, -1e4]], &tensor![1, 0]);
/// assert_eq!(losses.to_vec::<f32>(), [std::f32::consts::LN_2, 0.0]);
/// ```
///
/// # Panics
///
/// If the shapes do not fit, or labels are not integers or none of the classes. Where the labels' values are
/// not known yet, as in compiled functions, a label that is no class makes the loss NaN instead.
#[track_caller]
pub fn softmax_cross_entropy_with_integer_labels(logits: &Tensor, labels: &Tensor) -> Tensor {
    let op = "softmax_cross_entropy_with_integer_labels";
    let classes = check_labels(op, logits, labels).or_raise();
    let logits = shifted(logits, -1);
    let of_label = if classes == 0 {
        // There is nothing to take; as no label is a class, there are no examples.
        logits.sum_axis(-1)
    } else {
        logits.take_along_axis(labels.expand_dims(-1), -1).squeeze(-1)
    };
    let loss = logits.exp().sum_axis(-1).log() - of_label;
    if !labels.is_traced() {
        return loss;
    }
    (labels.ge(0) & labels.lt(classes as i32)).select(loss, f64::NAN)
}

/// The cross entropy of `sigmoid(logits)` relative to probabilities (or to 0 and 1), for each element.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let losses = sigmoid_binary_cross_entropy(&tensor![1e4, -1e4, 0.0], &tensor![1.0, 1.0, 0.5]);
/// assert_eq!(losses.to_vec::<f32>(), [0.0, 1e4, std::f32::consts::LN_2]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn sigmoid_binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("sigmoid_binary_cross_entropy", "logits", logits, "targets", targets);
    // softplus(-x) is -log(sigmoid(x)), and softplus(x) that of 1 - sigmoid(x).
    softplus(&-logits) * targets + softplus(logits) * (1.0 - targets)
}

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

/// The share of examples whose greatest logit, or probability, is that of the label: classes are along the
/// last axis of the logits, labels are integers.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let logits = tensor![[0.1, 0.9], [0.8, 0.2]];
/// assert_eq!(accuracy(&logits, &tensor![1, 1]).item::<f32>(), 0.5);
/// ```
///
/// # Panics
///
/// If the shapes do not fit, or labels are not integers or none of the classes.
#[track_caller]
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Tensor {
    check_labels("accuracy", logits, labels).or_raise();
    logits.argmax(-1).eq(labels).mean()
}

#[track_caller]
fn same_shapes(op: &str, a_name: &str, a: &Tensor, b_name: &str, b: &Tensor) {
    if a.shape() != b.shape() {
        raise(Error::invalid(
            op,
            format!(
                "{a_name} of shape {} and {b_name} of shape {} must have the same shape; reshape one of them",
                a.shape(),
                b.shape()
            ),
        ));
    }
}

/// Checks shapes, and values where they are known; gives the number of classes.
fn check_labels(op: &str, logits: &Tensor, labels: &Tensor) -> Result<usize> {
    let fail = |message: String| Err(Error::invalid(op, message));
    if !labels.dtype().is_integer() {
        return fail(format!(
            "labels must be integers, got {}; convert them with `.astype(DType::I32)`, or one-hot targets with \
             `.argmax(-1)`",
            labels.aval()
        ));
    }
    let Some((&classes, examples)) = logits.shape().split_last() else {
        return fail("logits need an axis of classes, got a scalar".into());
    };
    if *examples != **labels.shape() {
        return fail(format!(
            "logits of shape {} need labels of shape {examples:?}, got {}",
            logits.shape(),
            labels.shape()
        ));
    }
    if labels.is_traced() {
        return Ok(classes);
    }
    let found: Vec<i64> = with_dtype!(labels.dtype(), T => {
        labels.try_to_vec::<T>()?.into_iter().map(Element::to_i64).collect()
    });
    match found.into_iter().find(|&label| label < 0 || label >= classes as i64) {
        Some(wrong) => fail(format!("label {wrong} is none of the {classes} classes, which are counted from 0")),
        None => Ok(classes),
    }
}
