//! A training step of a variational autoencoder, JAXnet's: 784-512-512-10 and back with relu, a Gaussian of
//! ten latent variables of which one sample is drawn, 32 black and white images, momentum of 0.9. Gradient,
//! sample and update are one compiled function; the state is donated.

use jaxnet_nn::prelude::*;
use jaxnet_optim::{Momentum, OptState, Optimizer};

use super::{Step, repeated};

pub(super) fn setup(device: &Device) -> Result<Step> {
    let loss = negative_elbo();
    let [init, images, noise] = Key::new(0).split_array();
    let images = images.bernoulli(0.3, [32, 784]);

    let opt = Momentum::new(1e-3, 0.9);
    let params = loss.init(init, &images).params;
    let state = opt.init(params).to_device(device)?;
    let (images, noise) = (images.to_device(device)?, noise.to_device(device)?);
    let step = jit(move |(state, images): (OptState, Tensor)| {
        let key = noise.fold_in(opt.step(&state));
        opt.update_and_get_loss(state, |params| loss.apply_with_key(&params, key.duplicate(), &images))
    });
    Ok(repeated(state, move |state| step.call((state, images.clone()))))
}

fn negative_elbo() -> Parametrized<Tensor, Tensor> {
    let trunk = sequential![Dense::new(512), relu, Dense::new(512), relu];
    let (mean, variance) = (Dense::new(10), sequential![Dense::new(10), softplus]);
    let decoder = sequential![Dense::new(512), relu, Dense::new(512), relu, Dense::new(784)];
    parametrized("loss", move |cx, images: &Tensor| {
        let hidden = cx.call(&trunk, &images.astype(DType::F32));
        let (mean, variance) = (cx.call(&mean, &hidden), cx.call(&variance, &hidden));
        let latent = &mean + variance.sqrt() * cx.random_key().normal(mean.shape());
        let logits = cx.call(&decoder, &latent);
        // log(1 + e^-l) where a pixel is on, log(1 + e^l) where it is off.
        let reconstruction = softplus(&(images.select(-1.0, 1.0) * logits)).sum();
        let divergence = -0.5 * (1.0 + variance.log() - mean.square() - variance).sum();
        (reconstruction + divergence) / images.dim(0) as f64
    })
}
