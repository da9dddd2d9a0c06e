//! Where tensors live.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::backend::{Backend, cpu::CpuBackend};
#[cfg(not(all(feature = "xla", feature = "torch")))]
use crate::error::Error;
use crate::error::Result;

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

    /// A device of the XLA engine: one of XLA's CPU devices.
    ///
    /// There is one, or as many as the environment variable `XLA_FLAGS` has in
    /// `--xla_force_host_platform_device_count=…` when the process starts. Accelerators come as
    /// [plugins](Self::xla_plugin).
    ///
    /// # Errors
    ///
    /// When there is no such device, or the crate was built without its feature `xla`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Device, tensor};
    ///
    /// if let Ok(device) = Device::xla(0) {
    ///     let x = tensor![1.0, 2.0].to(&device)?;
    ///     assert_eq!((x * 2.0).to_vec::<f32>(), [2.0, 4.0]);
    /// }
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn xla(index: usize) -> Result<Device> {
        #[cfg(feature = "xla")]
        return crate::backend::xla::device(index);
        #[cfg(not(feature = "xla"))]
        Err(without(&format!("xla:{index}"), "xla"))
    }

    /// A device of a PJRT plugin, a library that brings XLA to an accelerator: the name `"cuda"` and the
    /// path of `xla_cuda_plugin.so` (from the wheel `jax-cuda12-pjrt` or `jax-cuda13-pjrt`), `"tpu"` and
    /// `libtpu.so`, and so on.
    ///
    /// # Errors
    ///
    /// When there is no such library or device, or the crate was built without its feature `xla`.
    pub fn xla_plugin(name: &str, path: impl AsRef<Path>, index: usize) -> Result<Device> {
        #[cfg(feature = "xla")]
        return crate::backend::xla::plugin_device(name, path.as_ref(), index);
        #[cfg(not(feature = "xla"))]
        Err(without(&format!("{name}:{index} of {}", path.as_ref().display()), "xla"))
    }

    /// The CPU device of the libtorch engine; there is one, with index 0.
    ///
    /// # Errors
    ///
    /// When there is no such device, or the crate was built without its feature `torch`.
    pub fn torch(index: usize) -> Result<Device> {
        #[cfg(feature = "torch")]
        return crate::backend::torch::device(false, index);
        #[cfg(not(feature = "torch"))]
        Err(without(&format!("torch:{index}"), "torch"))
    }

    /// A GPU of the libtorch engine, with a libtorch that is built for CUDA.
    ///
    /// # Errors
    ///
    /// When there is no such device, or the crate was built without its feature `torch`.
    pub fn torch_cuda(index: usize) -> Result<Device> {
        #[cfg(feature = "torch")]
        return crate::backend::torch::device(true, index);
        #[cfg(not(feature = "torch"))]
        Err(without(&format!("torch_cuda:{index}"), "torch"))
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

/// The error of an engine that was left out of the build.
#[cfg(not(all(feature = "xla", feature = "torch")))]
fn without(device: &str, feature: &str) -> Error {
    Error::device(
        device,
        format!(
            "this program was built without the feature `{feature}` of jaxnet-tensor; build it with `--features \
             {feature}` (after `cargo xtask setup {feature}`, which fetches the native library)"
        ),
    )
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
