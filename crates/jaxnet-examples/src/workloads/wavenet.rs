//! A training step of a WaveNet: 20 layers with kernels of 2 and dilations of 1 to 512 twice, 32 channels, 512 skip
//! channels, a mixture of ten logistic distributions for each of 1000 outputs of one piece of sound; Adam. Gradient and
//! update are one compiled function; the state is donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::Adam;

use super::{Step, training};

/// The values of a sample.
const LEVELS: usize = 65536;
const MIXTURES: usize = 10;
const OUTPUTS: usize = 1000;

pub(super) fn setup(device: &Device) -> Result<Step> {
    let dilations: Vec<usize> = (0..20).map(|layer| 1 << (layer % 10)).collect();
    let net = WaveNet::new(dilations, 3 * MIXTURES).channels(32).skip_channels(512);
    let seen = net.receptive_field();
    let loss = parametrized("loss", move |cx, piece: &Tensor| {
        let outputs = cx.call(&net, &piece.i((.., ..-1)));
        discretized_logistic_mixture_loss(&outputs, &piece.i((.., seen as isize..)), LEVELS).mean()
    });
    let [init, sound] = Key::new(0).split_array();
    let piece = sound.uniform([1, seen + OUTPUTS, 1]) * 2.0 - 1.0;
    training(loss, Adam::new(1e-3), init, piece, device)
}
