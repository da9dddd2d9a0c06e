//! Layers: one file a family.

mod dense;

pub use dense::Dense;
