//! The losses of a run so far.

use jaxnet_tensor::tree::{Flattener, Unflattener};
use jaxnet_tensor::{DType, Result, Tensor, Tree};

/// Losses, one a step; in files, one tensor.
///
/// They are fetched from their device when somebody looks, so that the next step need not wait.
#[derive(Default)]
pub struct Losses {
    values: Vec<f32>,
    pending: Vec<Tensor>,
}

impl Losses {
    /// Adds the losses of one step, a scalar, or of several, an array.
    pub fn push(&mut self, losses: Tensor) {
        self.pending.push(losses);
    }

    /// All of them.
    pub fn values(&mut self) -> &[f32] {
        self.values.extend(fetched(&self.pending));
        self.pending.clear();
        &self.values
    }
}

fn fetched(pending: &[Tensor]) -> Vec<f32> {
    pending.iter().flat_map(|losses| losses.astype(DType::F32).to_vec::<f32>()).collect()
}

impl From<&[f32]> for Losses {
    fn from(values: &[f32]) -> Losses {
        Losses { values: values.to_vec(), pending: Vec::new() }
    }
}

impl Tree for Losses {
    fn flatten(&self, to: &mut Flattener) {
        let all = [self.values.clone(), fetched(&self.pending)].concat();
        to.leaf(&Tensor::from(all.as_slice()));
    }

    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        let values = Tensor::unflatten(from)?;
        Ok(Losses { values: values.try_to_vec()?, pending: Vec::new() })
    }
}
