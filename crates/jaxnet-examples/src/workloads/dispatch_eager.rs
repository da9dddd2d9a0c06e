//! What an operation costs beside its arithmetic: a thousand times `x + 1` on four f32, uncompiled.

use std::hint::black_box;

use jaxnet_tensor::{Device, Result, Tensor};

use super::Step;

pub(super) fn setup(device: &Device) -> Result<Step> {
    let x = Tensor::from([1f32, 2.0, 3.0, 4.0]).to(device)?;
    Ok(Box::new(move || {
        for _ in 0..1000 {
            black_box(&x + 1.0);
        }
        (&x + 1.0).block_until_ready();
    }))
}
