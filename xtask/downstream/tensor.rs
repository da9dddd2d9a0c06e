//! What someone writes who depends on `jaxnet-tensor` alone.

use jaxnet_tensor::{Device, Error, Tensor, tensor};

fn main() -> Result<(), Error> {
    let mut devices = vec![Device::cpu()];
    if cfg!(feature = "xla") {
        devices.push(Device::xla(0)?);
    }
    if cfg!(feature = "torch") {
        devices.push(Device::torch(0)?);
    }
    for device in devices {
        let x = tensor![[1.0, 2.0], [3.0, 4.0]].to(&device)?;
        let y: Tensor = x.matmul(&x) + 1.0;
        assert_eq!(y.to_vec::<f32>(), [8.0, 11.0, 16.0, 23.0], "on {device}");
        println!("{device}: {}", y.to_string().replace('\n', ""));
    }
    for (engine, built, device) in
        [("xla", cfg!(feature = "xla"), Device::xla(0)), ("torch", cfg!(feature = "torch"), Device::torch(0))]
    {
        if let (false, Err(error)) = (built, &device) {
            assert!(error.to_string().contains(&format!("--features {engine}")), "{error}");
        }
        assert_eq!(device.is_ok(), built, "{engine}");
    }
    Ok(())
}
