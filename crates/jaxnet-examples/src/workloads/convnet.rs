//! A training step of a small convolutional net on 128 images of 28 by 28: convolutions of 3 by 3 to 32 and
//! to 64 channels without padding, maxima of 2 by 2, dense 128, dense 10, relu in between; softmax cross
//! entropy with integer labels, Adam. Gradient and update are one compiled function; the state is donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::Adam;

use super::{Step, training};

pub(super) fn setup(device: &Device) -> Result<Step> {
    let net = sequential![
        Conv::new(32, [3, 3]),
        relu,
        Conv::new(64, [3, 3]),
        relu,
        MaxPool::new([2, 2]).strides([2, 2]),
        flatten,
        Dense::new(128),
        relu,
        Dense::new(10)
    ];
    let loss = parametrized("loss", move |cx, (x, labels): &(Tensor, Tensor)| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, x), labels).mean()
    });
    let [init, images, labels] = Key::new(0).split_array();
    let batch = (images.uniform([128, 28, 28, 1]), labels.randint([128], 0, 10));
    training(loss, Adam::new(1e-3), init, batch, device)
}
