//! Where tensors live.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::backend::{Backend, cpu::CpuBackend};

/// A device of an engine, such as `cpu:0`. A cheap handle.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{Device, Tensor};
///
/// let x = Tensor::zeros([2]).to(&Device::cpu()).unwrap();
/// assert_eq!(x.device().unwrap().to_string(), "cpu:0");
/// ```
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn Backend>,
    index: usize,
}

impl Device {
    /// The embedded engine: always there, and where new tensors are.
    pub fn cpu() -> Device {
        Device::cpu_ref().clone()
    }

    pub(crate) fn cpu_ref() -> &'static Device {
        static CPU: OnceLock<Device> = OnceLock::new();
        CPU.get_or_init(|| Device::new(Arc::new(CpuBackend::new()), 0))
    }

    /// A device of an engine that is written outside this crate.
    ///
    /// Devices of one engine are equal when their indices are.
    pub fn new(backend: Arc<dyn Backend>, index: usize) -> Device {
        Device { backend, index }
    }

    /// The engine.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Which of the engine's devices it is.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && std::ptr::addr_eq(Arc::as_ptr(&self.backend), Arc::as_ptr(&other.backend))
    }
}

impl Eq for Device {}

impl std::hash::Hash for Device {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.backend).cast::<()>() as usize, self.index).hash(state);
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.backend.name(), self.index)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
