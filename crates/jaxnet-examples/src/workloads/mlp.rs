//! A training step of a perceptron: 784-1024-1024-10 with relu, softmax cross entropy of 128 rows with
//! integer labels, momentum of 0.9. Gradient and update are one compiled function; the state is donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::Momentum;

use super::{Step, training};

pub(super) fn setup(device: &Device) -> Result<Step> {
    let [init, images, labels] = Key::new(0).split_array();
    let batch = (images.uniform([128, 784]), labels.randint([128], 0, 10));
    training(loss(), Momentum::new(0.01, 0.9), init, batch, device)
}

pub(super) fn loss() -> Parametrized<(Tensor, Tensor), Tensor> {
    let net = sequential![Dense::new(1024), relu, Dense::new(1024), relu, Dense::new(10)];
    parametrized("loss", move |cx, (x, labels): &(Tensor, Tensor)| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, x), labels).mean()
    })
}
