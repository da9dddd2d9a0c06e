//! Layers: one file a family.

mod conv;
mod dense;
mod dropout;
mod norm;
mod pool;
mod recurrent;
mod spatial;

pub use conv::Conv;
pub use dense::Dense;
pub use dropout::Dropout;
pub use norm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm};
pub use pool::{AvgPool, MaxPool, SumPool};
pub use recurrent::{GruCell, RecurrentCell, Rnn};
pub use spatial::Padding;

use std::sync::Arc;

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
