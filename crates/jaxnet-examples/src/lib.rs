//! What the example programs share: data loading, batches, progress, plots and metrics.
//!
//! The programs are `mnist_classifier`, `mnist_vae`, `ocr_rnn`, `policy_gradient`, `bayesian_mnist`, `wavenet`, `pixelcnn` and
//! `resnet50`; [`demo`] is what their training loops have in common.
#![deny(missing_docs)]

pub mod audio;
pub mod cart_pole;
pub mod cifar;
pub mod data;
pub mod demo;
pub mod device;
pub mod folder;
pub mod idx;
pub mod image;
pub mod metrics;
pub mod plot;
pub mod synthetic;
mod text;
pub mod workloads;

/// Code of pages that no published crate can compile and run by itself: this package has all crates, and
/// is not published, so that it may refer to files outside of it.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../jaxnet-derive/README.md")]
    struct Derive;

    #[doc = include_str!("../../jaxnet-nn/docs/jax_users.md")]
    struct JaxUsers;
}
