//! Where tensors live.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use crate::backend::{Backend, cpu::CpuBackend};
use crate::error::{Error, Result};

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
    /// XLA logs errors only, or what the environment variable `TF_CPP_MIN_LOG_LEVEL` asks for.
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
    /// `libtpu.so`, and so on. The device is then called `xla_cuda:0`, and so on.
    ///
    /// # Errors
    ///
    /// When there is no such library or device, or the crate was built without its feature `xla`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::Device;
    ///
    /// let error = Device::xla_plugin("cuda", "/no/such/xla_cuda_plugin.so", 0).unwrap_err();
    /// assert!(error.to_string().contains("xla_cuda:0"));
    /// ```
    pub fn xla_plugin(name: &str, path: impl AsRef<Path>, index: usize) -> Result<Device> {
        #[cfg(feature = "xla")]
        return crate::backend::xla::plugin_device(name, path.as_ref(), index);
        #[cfg(not(feature = "xla"))]
        Err(without(&format!("xla_{name}:{index} of {}", path.as_ref().display()), "xla"))
    }

    /// The CPU device of the libtorch engine; there is one, with index 0.
    ///
    /// The library itself is loaded with the program, which does not start without it. Once a device of this engine is
    /// asked for, all of the library's new arrays on the host are in memory that is kept to be used again, up to an
    /// eighth of the machine's (`clear_caches` gives it back); a program that also calls the library by itself, on
    /// other threads, asks for the device before that.
    ///
    /// # Errors
    ///
    /// When there is no such device, the library that was loaded is of another version than the one that the
    /// bindings are made for, or the crate was built without its feature `torch`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Device, tensor};
    ///
    /// if let Ok(device) = Device::torch(0) {
    ///     let x = tensor![1.0, 2.0].to(&device)?;
    ///     assert_eq!((x * 2.0).to_vec::<f32>(), [2.0, 4.0]);
    /// }
    /// assert!(Device::torch(7).is_err());
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
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

    /// A device of an engine that is written outside this crate: [`Backend`] has an example.
    ///
    /// Devices of one engine are equal when their indices are. Two engines are two, even of one type and name, and
    /// tensors on them do not mix: make an engine once and keep it.
    pub fn new(backend: Arc<dyn Backend>, index: usize) -> Device {
        Device { backend, index }
    }

    /// Forgets what is compiled for this device, and gives the system the memory that waits to be used again; what
    /// is used again is compiled again.
    ///
    /// Some thousand programs are kept, those that were used last. That can be too many: on Linux, a process has
    /// room for 65,530 pieces of memory (`vm.max_map_count`), of which XLA's CPU devices take some for each loop
    /// that they compile. A process that compiles very many programs, each for a while, says when one is over.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::Device;
    ///
    /// Device::cpu().clear_caches();
    /// ```
    pub fn clear_caches(&self) {
        crate::program::forget(self);
        self.backend.clear_caches();
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

/// Devices by the names that they show: `cpu`, `xla:1`, `torch`, `torch_cuda:0`; without a number the first
/// one. A [PJRT plugin](Device::xla_plugin) is named with its library: `cuda=/path/xla_cuda_plugin.so:0`.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::Device;
///
/// assert_eq!("cpu:0".parse::<Device>()?, Device::cpu());
/// assert!("gpu".parse::<Device>().is_err());
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
impl FromStr for Device {
    type Err = Error;

    fn from_str(name: &str) -> Result<Device> {
        let (engine, index) = match name.rsplit_once(':') {
            Some((engine, digits)) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                let index = digits.parse();
                (engine, index.map_err(|_| Error::device(name, "no engine has so many devices"))?)
            }
            _ => (name, 0),
        };
        match engine.split_once('=') {
            Some((plugin, path)) => return Device::xla_plugin(plugin, path, index),
            None if engine == "cpu" && index == 0 => return Ok(Device::cpu()),
            None => {}
        }
        match engine {
            "cpu" => Err(Error::device(name, "the embedded engine has one device, cpu:0")),
            "xla" => Device::xla(index),
            "torch" => Device::torch(index),
            "torch_cuda" => Device::torch_cuda(index),
            _ => Err(Error::device(
                name,
                "there is no such engine; there are cpu, xla and torch, torch_cuda with libtorch's GPUs, and \
                 NAME=PATH with the path of a PJRT plugin's library, such as cuda=/path/xla_cuda_plugin.so",
            )),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        name.parse::<Device>().unwrap_err().to_string()
    }

    #[test]
    fn devices_have_names() {
        for name in ["cpu", "cpu:0"] {
            assert_eq!(name.parse::<Device>().unwrap(), Device::cpu());
        }
        assert!(refused("cpu:1").contains("cpu:0"));
        for name in ["", "gpu", "cpu:", "cpu:x", ":0", "Torch"] {
            assert!(refused(name).contains("there are cpu, xla and torch"), "{name}");
        }
        assert!(refused("torch:99999999999999999999999").contains("so many"));
        let plugin = refused("cuda=/no/such/plugin.so:1");
        assert!(plugin.contains("/no/such/plugin.so") && plugin.contains("cuda:1"), "{plugin}");
    }

    #[test]
    fn engines_that_are_not_built_say_which_feature() {
        let (xla, torch) = (("xla", cfg!(feature = "xla")), ("torch", cfg!(feature = "torch")));
        for (name, (feature, built)) in [("xla", xla), ("torch", torch), ("torch_cuda:0", torch), ("tpu=/x.so", xla)] {
            let result = name.parse::<Device>();
            if built {
                let there = result.is_ok_and(|device| device.to_string() == format!("{feature}:0"));
                assert_eq!(there, name == feature, "{name}");
                continue;
            }
            let message = result.unwrap_err().to_string();
            let parts = [&format!("`--features {feature}`"), &format!("`cargo xtask setup {feature}`")];
            assert!(parts.iter().all(|part| message.contains(*part)), "{message}");
        }
    }
}
