//! Losses by the probabilities of classes, or of yes and no, and what one measures beside them.

use jaxnet_tensor::{DType, Element, Error, OrRaise, Result, Tensor, with_dtype};

use super::super::activations::{log_sigmoid, log_softmax, shifted, softmax, softplus};
use super::same_shapes;

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
    let logits = &shifted(logits, -1);
    for_labels("softmax_cross_entropy_with_integer_labels", logits, labels, |of_label| {
        logits.exp().sum_axis(-1).log() - of_label
    })
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

/// The focal loss of Lin et al. 2017, for each element: [`sigmoid_binary_cross_entropy`] times
/// `(1 - p)^gamma`, where `p` is the probability that the logit gives to what is right, so that what is nearly right
/// already counts less. `gamma` is usually 2, and 0 for no difference.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let (logits, targets) = (tensor![0.0, 1e4], tensor![1.0, 1.0]);
/// let losses = sigmoid_focal_loss(&logits, &targets, 2.0).to_vec::<f32>();
/// assert_eq!(losses, [0.25 * std::f32::consts::LN_2, 0.0]);
/// ```
///
/// To weigh the two classes differently, multiply with `targets * alpha + (1.0 - targets) * (1.0 - alpha)`.
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn sigmoid_focal_loss(logits: &Tensor, targets: &Tensor, gamma: f64) -> Tensor {
    same_shapes("sigmoid_focal_loss", "logits", logits, "targets", targets);
    let loss = sigmoid_binary_cross_entropy(logits, targets);
    // log(1 - p) with what has no weight left out, so that small probabilities are not lost to rounding.
    let (log_yes, log_no) = (log_sigmoid(logits), log_sigmoid(&-logits));
    let (yes, no) = (targets.eq(1), targets.eq(0));
    let most = yes.select(&log_no, no.select(&log_yes, log_yes.maximum(&log_no))).stop_gradient();
    let share = |left_out: &Tensor, log: Tensor| left_out.select(0, log - &most).exp();
    let wrong = share(&yes, log_yes) * (1.0 - targets) + share(&no, log_no) * targets;
    ((wrong.log() + &most) * gamma).exp() * loss
}

/// Target probabilities (one-hot ones, for instance) moved by `alpha` towards equal ones: `(1 - alpha) * targets +
/// alpha / classes`, with classes along the last axis. Use it with [`softmax_cross_entropy`].
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let labels = tensor![2, 0];
/// let smooth = smooth_labels(&labels.one_hot(4), 0.2);
/// assert!(smooth.allclose(tensor![[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If the targets are a scalar.
#[track_caller]
pub fn smooth_labels(targets: &Tensor, alpha: f64) -> Tensor {
    targets * (1.0 - alpha) + alpha / targets.dim(-1) as f64
}

/// [`softmax_cross_entropy`] plus `epsilon` times the probability of what is wrong (Leng et al. 2022), for each
/// example: classes are along the last axis, which vanishes. `epsilon` is usually 2.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let losses = poly_loss_cross_entropy(&tensor![[0.0, 0.0]], &tensor![[0.0, 1.0]], 2.0);
/// assert!(losses.allclose(tensor![2_f64.ln() + 1.0], 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn poly_loss_cross_entropy(logits: &Tensor, targets: &Tensor, epsilon: f64) -> Tensor {
    same_shapes("poly_loss_cross_entropy", "logits", logits, "targets", targets);
    let wrong = (targets * (1.0 - softmax(logits))).sum_axis(-1);
    softmax_cross_entropy(logits, targets) + wrong * epsilon
}

/// The Kullback-Leibler divergence of target probabilities from predicted ones, which are given as logarithms, for
/// each distribution along the last axis: `Σ targets * (log(targets) - log_predictions)`.
///
/// Targets of probability 0 count nothing, even where the prediction is 0.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let predictions = tensor![[0.5, 0.5], [0.9, 0.1]].log();
/// let divergence = kl_divergence(&predictions, &tensor![[1.0, 0.0], [0.9, 0.1]]);
/// assert!(divergence.allclose(tensor![2_f64.ln(), 0.0], 1e-6, 1e-6));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn kl_divergence(log_predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("kl_divergence", "log_predictions", log_predictions, "targets", targets);
    let none = targets.eq(0);
    let log = none.select(1, targets).log() - none.select(0, log_predictions);
    (targets * log).sum_axis(-1)
}

/// As [`kl_divergence`], with the targets given as logarithms too.
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn kl_divergence_with_log_targets(log_predictions: &Tensor, log_targets: &Tensor) -> Tensor {
    same_shapes("kl_divergence_with_log_targets", "log_predictions", log_predictions, "log_targets", log_targets);
    let none = log_targets.eq(f64::NEG_INFINITY);
    let log = none.select(0, log_targets) - none.select(0, log_predictions);
    (log_targets.exp() * log).sum_axis(-1)
}

/// [`kl_divergence`] of what need not be probabilities, with `exp(log_predictions) - targets` added: the Bregman
/// divergence of `x log(x) - x`, which is at least 0 for any positive numbers and 0 only where they are equal.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let divergence = generalized_kl_divergence(&tensor![2.0, 3.0].log(), &tensor![1.0, 3.0]);
/// assert!(divergence.allclose(1.0 - 2_f64.ln(), 1e-6, 1e-6));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn generalized_kl_divergence(log_predictions: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("generalized_kl_divergence", "log_predictions", log_predictions, "targets", targets);
    kl_divergence(log_predictions, targets) + (log_predictions.exp() - targets).sum_axis(-1)
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

/// The expected calibration error: by how much the confidence of predictions differs from how often they are
/// right, on average over `bins` equal ranges of confidence, weighted by the number of predictions in each; an
/// f32 scalar. Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3.
///
/// Takes probabilities along the last axis, and integer labels.
///
/// # Panics
///
/// As [`accuracy`], and if `bins` is 0.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// // Sure of all, and right about three of four.
/// let probabilities = tensor![[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
/// let error = calibration_error(&probabilities, &tensor![0, 0, 1, 0], 10);
/// assert_eq!(error.item::<f32>(), 0.25);
/// ```
#[track_caller]
pub fn calibration_error(probabilities: &Tensor, labels: &Tensor, bins: usize) -> Tensor {
    check_labels("calibration_error", probabilities, labels).or_raise();
    if bins == 0 {
        let error = Error::invalid("calibration_error", "0 bins; there must be at least one");
        Err(error).or_raise()
    }
    let confidence = probabilities.max_axis(-1).astype(DType::F32).flatten();
    let right = probabilities.argmax(-1).eq(labels).astype(DType::F32).flatten();
    // Ranges are open below and closed above, as in the paper.
    let bin = ((&confidence * bins as f64).ceil() - 1.0).clip(0.0, bins as f64 - 1.0).astype(DType::I32);
    let differences = (confidence - right).expand_dims(-1) * bin.one_hot(bins);
    differences.sum_axis(0).abs().sum() / labels.size().max(1) as f64
}

/// What `loss` makes of the scores of the right classes: checked where labels are known, NaN elsewhere.
#[track_caller]
pub(super) fn for_labels(op: &str, scores: &Tensor, labels: &Tensor, loss: impl FnOnce(Tensor) -> Tensor) -> Tensor {
    let classes = check_labels(op, scores, labels).or_raise();
    let of_label = if classes == 0 {
        // There is nothing to take; as no label is a class, there are no examples.
        scores.sum_axis(-1)
    } else {
        scores.take_along_axis(labels.expand_dims(-1), -1).squeeze(-1)
    };
    let loss = loss(of_label);
    if !labels.is_traced() {
        return loss;
    }
    (labels.ge(0) & labels.lt(classes as i32)).select(loss, f64::NAN)
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
