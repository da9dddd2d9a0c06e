//! Fully connected layers.

use std::borrow::Cow;

use jaxnet_tensor::Tensor;

use crate::init::{glorot_normal, normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// `x @ kernel + bias` along the last axis.
#[derive(Clone)]
pub struct Dense {
    id: ModuleId,
    out_dim: usize,
}

impl Dense {
    /// A layer with so many outputs.
    pub fn new(out_dim: usize) -> Self {
        Dense { id: ModuleId::new(), out_dim }
    }
}

impl Module<Tensor> for Dense {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let kernel = cx.param("kernel", [x.dim(-1), self.out_dim], glorot_normal());
        let bias = cx.param("bias", [self.out_dim], normal(1e-2));
        x.matmul(&kernel) + bias
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("dense")
    }
}
