//! Devices by name, for command lines.

use jaxnet_tensor::{Device, Result};

/// A device by its name, such as `cpu`, `xla`, `torch:0` or `torch_cuda`.
///
/// # Errors
///
/// When there is none of that name, or this program was built without its engine.
pub fn by_name(name: &str) -> Result<Device> {
    name.parse()
}
