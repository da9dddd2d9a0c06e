//! libtorch's devices.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{TorchBackend, memory};
use crate::device::Device;
use crate::error::{Error, Result};

/// The version of libtorch that the bindings are made for.
const VERSION: &str = "2.13.0";

/// The CPU, or one of CUDA's devices.
pub(crate) fn device(cuda: bool, index: usize) -> Result<Device> {
    static BACKENDS: [OnceLock<Arc<TorchBackend>>; 2] = [OnceLock::new(), OnceLock::new()];
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let backend = BACKENDS[cuda as usize].get_or_init(|| TorchBackend::new(cuda));
    let device = Device::new(backend.clone(), index);
    let ready = READY.get_or_init(|| {
        check_version(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default())?;
        // Only now: another version may have another idea of what its memory comes from.
        memory::use_ours();
        Ok(())
    });
    if let Err(message) = ready {
        return Err(Error::device(device.to_string(), message.clone()));
    }
    let count = if cuda { tch::Cuda::device_count().max(0) as usize } else { 1 };
    if index < count {
        return Ok(device);
    }
    let has_cuda = cuda && tch::utils::has_cuda();
    Err(Error::device(device.to_string(), missing(cuda, has_cuda, count)))
}

/// Why there is no such device, and what to do.
fn missing(cuda: bool, has_cuda: bool, count: usize) -> String {
    match (cuda, count) {
        (false, _) => "libtorch has one CPU device; use `Device::torch(0)`".into(),
        (true, 0) if has_cuda => {
            "libtorch finds no GPU; `nvidia-smi -L` lists those that there are, if their driver is installed (and \
             CUDA_VISIBLE_DEVICES does not hide them)"
                .into()
        }
        (true, 0) => "this program is built with a libtorch for the CPU only; `cargo xtask setup torch-cuda` fetches \
                      one for CUDA and says how to build with it, or set LIBTORCH to your own and build again"
            .into(),
        (true, 1) => "libtorch finds one GPU; use `Device::torch_cuda(0)`".into(),
        (true, count) => {
            format!("libtorch finds {count} GPUs; use `Device::torch_cuda(0)` to `Device::torch_cuda({})`", count - 1)
        }
    }
}

/// That the libtorch which the system's loader has found is the one that the bindings are made for: another
/// may be found first, and would fail in strange ways. `maps` lists the files that this process has loaded;
/// where there is no such list, nothing is said.
fn check_version(maps: &str) -> Result<(), String> {
    let loaded = maps.lines().filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
    let library = loaded.into_iter().find(|path| path.file_name().is_some_and(|name| name == "libtorch_cpu.so"));
    let Some(root) = library.and_then(|library| library.parent()?.parent()) else { return Ok(()) };
    match version(root) {
        Some(found) if found != VERSION => Err(format!(
            "the libtorch that was loaded, {}, is version {found}, but this program needs {VERSION}; run `cargo xtask \
             setup torch`, or set LIBTORCH to a folder with that version, and build again (and remove other versions \
             from LD_LIBRARY_PATH)",
            root.display()
        )),
        _ => Ok(()),
    }
}

/// The version of the libtorch in a folder, if a file there says it.
fn version(root: &Path) -> Option<String> {
    let read = |file: PathBuf| std::fs::read_to_string(file).ok();
    let of_archive = || read(root.join("build-version"));
    let of_wheel = || {
        let text = read(root.join("version.py"))?;
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        Some(line.split('\'').nth(1)?.to_string())
    };
    let whole = of_archive().or_else(of_wheel)?;
    Some(whole.trim().split('+').next()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_are_not_there_are_refused_with_what_to_do() {
        let refused = |device: Result<Device>| device.unwrap_err().to_string();
        let message = refused(Device::torch(7));
        assert!(message.contains("torch:7") && message.contains("`Device::torch(0)`"), "{message}");
        // There may be GPUs, but not so many.
        let message = refused(Device::torch_cuda(99));
        assert!(message.contains("torch_cuda:99"), "{message}");
        if !tch::utils::has_cuda() {
            assert!(message.contains("cargo xtask setup torch-cuda"), "{message}");
        }
        assert!(missing(true, true, 0).contains("nvidia-smi -L"));
        assert!(missing(true, true, 1).contains("`Device::torch_cuda(0)`"));
        assert!(missing(true, true, 4).contains("`Device::torch_cuda(3)`"));
    }

    #[test]
    fn another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let maps = format!(
            "7f00-7f01 r-xp 00000000 00:00 0 [vdso]\n7f02-7f03 r-xp 00000000 08:01 42    /usr/lib/libc.so.6\n\
             7f04-7f05 r-xp 00000000 08:01 43    {}/lib/libtorch_cpu.so\n",
            root.display()
        );
        assert_eq!(check_version(""), Ok(()));
        assert_eq!(check_version(&maps), Ok(()), "nothing says which version it is");
        std::fs::write(root.join("version.py"), "from x import y\n__version__ = '2.9.1+cu130'\n").unwrap();
        let message = check_version(&maps).unwrap_err();
        let parts = ["2.9.1,", VERSION, "cargo xtask setup torch", "LIBTORCH", &root.display().to_string()];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        std::fs::write(root.join("build-version"), format!("{VERSION}+cpu\n")).unwrap();
        assert_eq!(check_version(&maps), Ok(()));
        std::fs::write(root.join("build-version"), "2.13.1").unwrap();
        assert!(check_version(&maps).is_err());
    }
}
