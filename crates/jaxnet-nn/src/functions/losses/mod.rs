//! Losses: of classes, scores and areas, of numbers and vectors, of sequences and of pictures.

mod classes;
mod ctc;
mod embeddings;
mod margins;
mod mixture;
mod regression;
mod segmentation;

pub use classes::{
    accuracy, calibration_error, generalized_kl_divergence, kl_divergence, kl_divergence_with_log_targets,
    poly_loss_cross_entropy, sigmoid_binary_cross_entropy, sigmoid_focal_loss, smooth_labels, softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
};
pub use ctc::ctc_loss;
pub use embeddings::*;
pub use margins::*;
pub use mixture::{discretized_logistic_mixture_loss, sample_logistic_mixture};
pub use regression::*;
pub use segmentation::*;

use jaxnet_tensor::{Error, Tensor, raise};

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
