//! Plain functions that are layers, and losses: one file a group.

mod activations;
mod losses;

pub use activations::*;
pub use losses::*;
