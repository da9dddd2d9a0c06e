//! Layers: one file a family.

mod attention;
mod conv;
mod dense;
mod dropout;
mod embedding;
mod norm;
mod pool;
mod prelu;
mod recurrent;
mod spatial;

pub use attention::{
    AttentionWithCache, AttentionWithMask, KvCache, MultiHeadAttention, PositionEmbedding, TransformerBlock,
    TransformerBlockWithCache, TransformerBlockWithMask,
};
pub use conv::Conv;
pub use dense::Dense;
pub use dropout::Dropout;
pub use embedding::{Attend, Embedding};
pub use norm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm};
pub use pool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AdaptiveSumPool, AvgPool, GlobalAvgPool, GlobalMaxPool, GlobalSumPool, MaxPool,
    SumPool,
};
pub use prelu::PRelu;
pub use recurrent::{
    Bidirectional, GruCell, LstmCell, RecurrentCell, ResetAfterGruCell, Rnn, RnnCell, RnnFromCarry, RnnWithCarry,
    RnnWithLengths, Stacked,
};
pub use spatial::Padding;

use std::sync::Arc;

use jaxnet_tensor::Tensor;

use crate::scope::ModuleId;

/// What each layer with parameters is: its identity, and what its place in parameter trees is called.
#[derive(Clone)]
struct Tag {
    id: ModuleId,
    name: Arc<str>,
}

impl Tag {
    fn new(name: &str) -> Self {
        Tag { id: ModuleId::new(), name: name.into() }
    }

    fn fresh(&self) -> Self {
        Tag { id: ModuleId::new(), name: self.name.clone() }
    }

    fn named(&self, name: impl Into<Arc<str>>) -> Self {
        Tag { id: self.id, name: name.into() }
    }
}

/// Axes of an input, as positive numbers in order, or what is wrong with them.
fn places(axes: &[isize], x: &Tensor) -> Result<Vec<usize>, String> {
    let rank = x.rank() as isize;
    let mut found = Vec::new();
    for &axis in axes {
        let place = if axis < 0 { axis + rank } else { axis };
        if place < 0 || place >= rank || found.contains(&(place as usize)) {
            return Err(format!("axes {axes:?} must each be one of the {rank} axes of the input {}, once", x.aval()));
        }
        found.push(place as usize);
    }
    found.sort_unstable();
    Ok(found)
}
