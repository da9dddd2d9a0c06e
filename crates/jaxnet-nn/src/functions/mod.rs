//! Plain functions that are layers, and losses: one file a group.

mod activations;
mod attention;
mod losses;

pub use activations::*;
pub(crate) use attention::attention_with;
pub use attention::{causal_mask, dot_product_attention, padding_mask, rotary_positions, sinusoidal_positions};
pub use losses::*;
