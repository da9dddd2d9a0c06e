//! Losses by scores that are no probabilities: of margins, and sparse ones.

use jaxnet_tensor::Tensor;

use super::super::activations::{sparse_plus, sparsemax};
use super::classes::for_labels;
use super::same_shapes;

/// `max(0, 1 - scores * targets)` for each element, where targets are 1 and -1.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(hinge_loss(&tensor![0.5, 3.0, 1.0], &tensor![1.0, 1.0, -1.0]).to_vec::<f32>(), [0.5, 0.0, 2.0]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn hinge_loss(scores: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("hinge_loss", "scores", scores, "targets", targets);
    (1.0 - scores * targets).maximum(0)
}

/// `max(0, -scores * targets)` for each element, where targets are 1 and -1: [`hinge_loss`] without a margin.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(perceptron_loss(&tensor![0.5, -3.0], &tensor![1.0, 1.0]).to_vec::<f32>(), [0.0, 3.0]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn perceptron_loss(scores: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("perceptron_loss", "scores", scores, "targets", targets);
    (-scores * targets).maximum(0)
}

/// By how much the score of the right class fails to exceed all others by 1, for each example: classes are along the
/// last axis of the scores, labels are integers (Crammer and Singer 2001).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let scores = tensor![[3.0, 1.0, 0.0], [0.5, 0.0, 0.0]];
/// assert_eq!(multiclass_hinge_loss(&scores, &tensor![0, 0]).to_vec::<f32>(), [0.0, 0.5]);
/// ```
///
/// # Panics
///
/// As [`softmax_cross_entropy_with_integer_labels`](super::softmax_cross_entropy_with_integer_labels).
#[track_caller]
pub fn multiclass_hinge_loss(scores: &Tensor, labels: &Tensor) -> Tensor {
    for_labels("multiclass_hinge_loss", scores, labels, |of_label| {
        let right = labels.one_hot(scores.dim(-1)).astype(scores.dtype());
        (scores + 1.0 - right).max_axis(-1) - of_label
    })
}

/// How far the score of the right class is below the greatest, for each example: classes are along the last axis of
/// the scores, labels are integers (Collins 2002).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let scores = tensor![[3.0, 1.0, 0.0], [0.5, 0.0, 2.0]];
/// assert_eq!(multiclass_perceptron_loss(&scores, &tensor![0, 0]).to_vec::<f32>(), [0.0, 1.5]);
/// ```
///
/// # Panics
///
/// As [`softmax_cross_entropy_with_integer_labels`](super::softmax_cross_entropy_with_integer_labels).
#[track_caller]
pub fn multiclass_perceptron_loss(scores: &Tensor, labels: &Tensor) -> Tensor {
    for_labels("multiclass_perceptron_loss", scores, labels, |of_label| scores.max_axis(-1) - of_label)
}

/// The loss of yes (1) and no (0) for each element that is 0 where a logit is on the right side by at least 1: that of
/// [`sparse_sigmoid`](super::super::sparse_sigmoid), as
/// [`sigmoid_binary_cross_entropy`](super::sigmoid_binary_cross_entropy) is that of `sigmoid` (Blondel et al. 2020,
/// section 4.4).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// assert_eq!(sparsemax_loss(&tensor![2.0, 0.0, 2.0], &tensor![1, 1, 0]).to_vec::<f32>(), [0.0, 0.25, 2.0]);
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn sparsemax_loss(logits: &Tensor, targets: &Tensor) -> Tensor {
    same_shapes("sparsemax_loss", "logits", logits, "targets", targets);
    sparse_plus(&targets.ne(0).select(-logits, logits))
}

/// The loss of [`sparsemax`](super::super::sparsemax), whose derivative is its probabilities less the right ones, for
/// each example: classes are along the last axis of the scores, labels are integers (Martins and Astudillo 2016).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let scores = tensor![[3.0, 1.0, 0.0], [0.0, 0.0, -5.0]];
/// assert_eq!(multiclass_sparsemax_loss(&scores, &tensor![0, 0]).to_vec::<f32>(), [0.0, 0.25]);
/// ```
///
/// # Panics
///
/// As [`softmax_cross_entropy_with_integer_labels`](super::softmax_cross_entropy_with_integer_labels).
#[track_caller]
pub fn multiclass_sparsemax_loss(scores: &Tensor, labels: &Tensor) -> Tensor {
    for_labels("multiclass_sparsemax_loss", scores, labels, |of_label| {
        let p = sparsemax(scores);
        // What has no probability counts nothing, even where the score is -inf.
        let above = p.gt(0).select(scores - of_label.expand_dims(-1), 0);
        (&p * above).sum_axis(-1) + (1.0 - p.square().sum_axis(-1)) * 0.5
    })
}
