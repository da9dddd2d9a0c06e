//! Devices by name, for command lines.

use jaxnet_tensor::{Device, Error, Result};

/// The first device of the engine `cpu`, `xla` or `torch`.
///
/// # Errors
///
/// When this program was built without the engine.
pub fn by_name(engine: &str) -> Result<Device> {
    match engine {
        "cpu" => Ok(Device::cpu()),
        "xla" => Device::xla(0),
        "torch" => Device::torch(0),
        _ => Err(Error::device(engine, "there is no such engine; there are cpu, xla and torch")),
    }
}
