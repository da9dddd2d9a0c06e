//! A training step of torchvision's resnet50 on 8 images of 224 by 224 with 1000 classes: softmax cross entropy with
//! integer labels, running statistics, momentum of 0.9. Gradient and update are one compiled function; the state is
//! donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::{Momentum, OptState, Optimizer};

use super::{Step, repeated};

/// A net in training.
#[derive(Tree)]
struct Training {
    params: OptState,
    statistics: Params,
}

pub(super) fn setup(device: &Device) -> Result<Step> {
    let net = resnet50();
    let loss = parametrized("loss", move |cx, (x, labels): &(Tensor, Tensor)| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, x), labels).mean()
    });
    let [init, images, labels, key] = Key::new(0).split_array();
    let batch = (images.uniform([8, 224, 224, 3]), labels.randint([8], 0, 1000));

    let opt = Momentum::new(0.01, 0.9);
    let vars = loss.init(init, &batch);
    let training = Training { params: opt.init(vars.params), statistics: vars.state }.to_device(device)?;
    let (batch, key) = (batch.to_device(device)?, key.to_device(device)?);
    let step = jit(move |(training, batch): (Training, (Tensor, Tensor))| {
        let Training { params, statistics } = training;
        let mode = || Mode::Train(key.duplicate());
        let (params, value, statistics) = opt
            .update_with(params, |params| loss.call(&Vars::new(params).with_state(statistics.clone()), &batch, mode()));
        (Training { params, statistics }, value)
    });
    Ok(repeated(training, move |training| step.call((training, batch.clone()))))
}
