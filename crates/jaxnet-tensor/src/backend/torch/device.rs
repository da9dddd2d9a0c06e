//! libtorch's devices.

use std::sync::{Arc, OnceLock};

use super::TorchBackend;
use crate::device::Device;
use crate::error::{Error, Result};

/// The CPU, or one of CUDA's devices.
pub(crate) fn device(cuda: bool, index: usize) -> Result<Device> {
    static BACKENDS: [OnceLock<Arc<TorchBackend>>; 2] = [OnceLock::new(), OnceLock::new()];
    let backend = BACKENDS[cuda as usize].get_or_init(|| TorchBackend::new(cuda));
    let device = Device::new(backend.clone(), index);
    let count = if cuda { tch::Cuda::device_count().max(0) as usize } else { 1 };
    if index < count {
        return Ok(device);
    }
    let message = match (cuda, count) {
        (false, _) => "libtorch has one CPU device, torch:0".to_string(),
        (true, 0) if tch::utils::has_cuda() => "libtorch finds no GPU; `nvidia-smi` says which there are".to_string(),
        (true, 0) => "this libtorch is built for the CPU only; set LIBTORCH to one that is built for CUDA, such as \
                      the folder `torch` of the PyPI wheel, and build again"
            .to_string(),
        (true, count) => format!("libtorch finds {count} GPU(s)"),
    };
    Err(Error::device(device.to_string(), message))
}
