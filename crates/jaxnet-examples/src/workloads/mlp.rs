//! A training step of a perceptron: 784-1024-1024-10 with relu, softmax cross entropy of 128 rows with
//! integer labels, momentum of 0.9. Gradient and update are one compiled function; the state is donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::{Momentum, OptState, Optimizer};

use super::Step;

pub(super) fn setup(device: &Device) -> Result<Step> {
    let net = sequential![Dense::new(1024), relu, Dense::new(1024), relu, Dense::new(10)];
    let loss = parametrized("loss", move |cx, (x, labels): &(Tensor, Tensor)| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, x), labels).mean()
    });
    let [init, images, labels] = Key::new(0).split_array();
    let batch = (images.uniform([128, 784]), labels.randint([128], 0, 10));

    let opt = Momentum::new(0.01, 0.9);
    let mut state = Some(opt.init(loss.init_params(init, &batch)).to_device(device)?);
    let batch = batch.to_device(device)?;
    let step = jit(move |(state, batch): (OptState, (Tensor, Tensor))| {
        opt.update_and_get_loss(state, |params| loss.apply(&params, &batch))
    });
    Ok(Box::new(move || {
        let (next, loss) = step.call((state.take().expect("the state of the step before"), batch.clone()));
        loss.block_until_ready();
        state = Some(next);
    }))
}
