//! The engines that are compared with the CPU engine.

use jaxnet_tensor::{Device, Tensor};

/// An engine, by one of its devices.
pub struct Engine {
    pub device: Device,
    /// Whether running an operation by itself compiles it, which takes so long that few are tried.
    pub compiles: bool,
}

#[cfg(feature = "xla")]
pub fn xla() -> Engine {
    Engine { device: Device::xla(0).expect("the XLA engine"), compiles: true }
}

#[cfg(feature = "torch")]
pub fn torch() -> Engine {
    Engine { device: Device::torch(0).expect("the libtorch engine"), compiles: false }
}

impl Engine {
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
