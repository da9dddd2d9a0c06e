//! What the example programs share: data loading, batches, progress, plots and metrics.
#![deny(missing_docs)]

pub mod data;
pub mod device;
pub mod idx;
pub mod metrics;
pub mod plot;
mod text;
pub mod workloads;

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps on standard error; nothing where that is not a terminal.
pub fn progress(steps: usize, title: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}").expect("a valid template");
    ProgressBar::new(steps as u64).with_style(style.progress_chars("=> ")).with_message(title)
}

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
