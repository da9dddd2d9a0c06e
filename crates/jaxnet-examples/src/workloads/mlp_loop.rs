//! An epoch of the training of [`mlp`](super::mlp): 62 batches of 128, the whole in one compiled loop; what is reported
//! is a step of that.

use jaxnet_nn::prelude::*;
use jaxnet_optim::{Momentum, OptState, Optimizer};

use super::{Step, mlp, repeated};

/// How many batches of 128 there are in the 8,000 digits.
const STEPS: usize = 62;

pub(super) fn setup(device: &Device) -> Result<Step> {
    let loss = mlp::loss();
    let [init, images, labels] = Key::new(0).split_array();
    let batches = (images.uniform([STEPS, 128, 784]), labels.randint([STEPS, 128], 0, 10));

    let opt = Momentum::new(0.01, 0.9);
    let example = (batches.0.i(0), batches.1.i(0));
    let state = opt.init(loss.init_params(init, &example)).to_device(device)?;
    let batches = batches.to_device(device)?;
    let epoch = jit(move |(state, batches): (OptState, (Tensor, Tensor))| {
        let step = |state, batch| opt.update_and_get_loss(state, |params| loss.apply(&params, &batch));
        scan(step, state, batches)
    });
    Ok(repeated(state, move |state| epoch.call((state, batches.clone()))))
}
