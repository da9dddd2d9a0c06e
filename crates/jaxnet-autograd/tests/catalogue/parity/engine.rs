//! The engines that are compared with the CPU engine.

use jaxnet_tensor::{Device, Tensor};

use super::toy;
use crate::rows::Row;

/// An engine, by one of its devices.
pub struct Engine {
    pub device: Device,
    /// Whether running an operation by itself compiles it, which takes so long that few are tried.
    pub compiles: bool,
    /// The only rows to try, if not all.
    pub rows: Option<&'static [&'static str]>,
}

/// What is written for tests.
pub fn toy() -> Engine {
    Engine { device: toy::Toy::new().device(), compiles: false, rows: Some(&toy::CLAIMED) }
}

#[cfg(feature = "xla")]
pub fn xla() -> Engine {
    Engine { device: device("JAXNET_XLA_DEVICE", "xla:0"), compiles: true, rows: None }
}

#[cfg(feature = "torch")]
pub fn torch() -> Engine {
    Engine { device: device("JAXNET_TORCH_DEVICE", "torch:0"), compiles: false, rows: None }
}

/// The device that a variable names, as `cargo xtask test-gpu` sets it, or this one.
#[cfg(any(feature = "xla", feature = "torch"))]
fn device(variable: &str, usual: &str) -> Device {
    let name = std::env::var(variable).unwrap_or_else(|_| usual.into());
    name.parse().unwrap_or_else(|error| panic!("{variable}={name}: {error}"))
}

impl Engine {
    /// Whether a row is to be tried.
    pub fn tries(&self, row: &Row) -> bool {
        self.rows.is_none_or(|rows| rows.contains(&row.name))
    }

    /// A tensor brought to the engine.
    pub fn put(&self, x: &Tensor) -> Tensor {
        x.to(&self.device).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A tensor brought back.
    pub fn get(&self, x: &Tensor) -> Tensor {
        assert_eq!(x.device(), Some(&self.device), "the result is on another device");
        x.to(&Device::cpu()).unwrap_or_else(|error| panic!("{error}"))
    }
}
