//! A training step of three stacked GRUs of 200 units, PyTorch's and Flax's, which read 10 sequences of 14 places with
//! 128 numbers each, and of a dense layer to 26 classes of each place; softmax cross entropy with integer labels,
//! RMSProp. Gradient and update are one compiled function; the state is donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::RmsProp;

use super::{Step, training};

pub(super) fn setup(device: &Device) -> Result<Step> {
    let layer = || Rnn::new(ResetAfterGruCell::new(200));
    let net = sequential![layer(), layer(), layer(), Dense::new(26)];
    let loss = parametrized("loss", move |cx, (x, labels): &(Tensor, Tensor)| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, x), labels).mean()
    });
    let [init, inputs, labels] = Key::new(0).split_array();
    let batch = (inputs.uniform([10, 14, 128]), labels.randint([10, 14], 0, 26));
    training(loss, RmsProp::new(1e-3), init, batch, device)
}
