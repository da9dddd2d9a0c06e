//! Losses: of classes, of numbers, of sequences and of pictures.

mod classes;
mod ctc;
mod mixture;
mod regression;

pub use classes::*;
pub use ctc::ctc_loss;
pub use mixture::{discretized_logistic_mixture_loss, sample_logistic_mixture};
pub use regression::*;

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
