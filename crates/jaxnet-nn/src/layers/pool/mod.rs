//! Pooling: by windows that slide, over whole axes, and to sizes that are given.

mod adaptive;
mod global;
mod window;

pub use adaptive::{AdaptiveAvgPool, AdaptiveMaxPool, AdaptiveSumPool};
pub use global::{GlobalAvgPool, GlobalMaxPool, GlobalSumPool};
pub use window::{AvgPool, MaxPool, SumPool};

use jaxnet_tensor::Tensor;

use crate::scope::Scope;

/// The first of so many spatial axes of an input, which come before its channels.
#[track_caller]
fn first_spatial(cx: &Scope<'_>, kind: &str, spatial: usize, x: &Tensor) -> usize {
    if x.rank() < spatial + 1 {
        cx.fail(
            kind,
            format!(
                "needs an input of {spatial} spatial axes and then channels, after any batch axes; got shape {}",
                x.shape()
            ),
        )
    }
    x.rank() - 1 - spatial
}

/// As what averages of a tensor are computed.
#[track_caller]
fn as_float(x: &Tensor) -> Tensor {
    if x.dtype().is_float() { x.clone() } else { x.astype(x.dtype().to_float()) }
}
