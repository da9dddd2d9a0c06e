//! A compiled chain of elementwise operations, `sin(x)*exp(-x)+x*x-0.5`, over ten million f32.

use jaxnet_autograd::jit;
use jaxnet_tensor::{Device, Key, Result, Tensor};

use super::Step;

pub(super) fn setup(device: &Device) -> Result<Step> {
    let x = Key::new(0).uniform([10_000_000]).to(device)?;
    let chain = jit(|x: Tensor| x.sin() * (-&x).exp() + &x * &x - 0.5);
    Ok(Box::new(move || {
        chain.call(x.clone()).block_until_ready();
    }))
}
