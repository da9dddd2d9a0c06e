//! XLA's devices.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use xla::{PjRtClient, PluginOption};

use super::XlaBackend;
use crate::device::Device;
use crate::error::{Error, Result};

/// More than any machine has.
const MOST: usize = 64;

/// Plugins whose clients can be made for one device of several, by the option `visible_devices`.
const ONE_OF_SEVERAL: [&str; 2] = ["cuda", "rocm"];

/// How clients are made: one for each device, since XLA's bindings run programs on the first device of a
/// client.
pub(super) enum Source {
    /// XLA's own CPU devices; `XLA_FLAGS=--xla_force_host_platform_device_count=…` says how many.
    Cpu,
    /// A PJRT plugin: a library that brings the devices. XLA knows it by the name `registered`.
    Plugin { plugin: String, path: String, registered: String },
}

impl Source {
    fn is_plugin(&self, name: &str, library: &str) -> bool {
        matches!(self, Source::Plugin { plugin, path, .. } if plugin == name && path == library)
    }
}

/// The clients of a backend, made when first asked for.
pub(super) struct Clients {
    source: Source,
    /// The first half of the devices' names.
    name: String,
    made: Box<[OnceLock<PjRtClient>]>,
    /// Held while making one: plugins' registry is not made for several threads.
    making: Mutex<()>,
}

impl Clients {
    pub fn new(source: Source) -> Self {
        let name = match &source {
            Source::Cpu => "xla".into(),
            Source::Plugin { plugin, .. } => format!("xla_{plugin}"),
        };
        Clients { source, name, made: (0..MOST).map(|_| OnceLock::new()).collect(), making: Mutex::new(()) }
    }

    /// The client of a device that [`open`](Self::open) has made.
    pub fn get(&self, device: usize) -> Result<&PjRtClient> {
        self.made.get(device).and_then(OnceLock::get).ok_or_else(|| {
            self.error(device, "was not opened; `Device::xla` and `Device::xla_plugin` open devices".into())
        })
    }

    /// Whether programs have run when XLA returns from running them.
    pub fn on_host(&self) -> bool {
        matches!(self.source, Source::Cpu)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn error(&self, device: usize, message: String) -> Error {
        Error::device(format!("{}:{device}", self.name), message)
    }

    /// Makes the client of a device, if that is not done yet.
    pub fn open(&self, device: usize) -> Result<()> {
        let Some(slot) = self.made.get(device) else {
            return Err(self.error(device, format!("there are never more than {MOST} devices")));
        };
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.get().is_none() {
            quiet();
            let client = match &self.source {
                Source::Cpu => open_cpu(device),
                Source::Plugin { plugin, path, registered } => open_plugin(plugin, path, registered, device),
            };
            // Nobody else sets it while the lock is held.
            let _ = slot.set(client.map_err(|message| self.error(device, message))?);
        }
        Ok(())
    }
}

fn open_cpu(device: usize) -> Result<PjRtClient, String> {
    compile_in_one_part();
    let client = PjRtClient::cpu().map_err(|error| format!("XLA could not open it: {}", message(error)))?;
    let count = client.addressable_device_count();
    if device >= count {
        return Err(format!(
            "XLA has {count} CPU device(s); set XLA_FLAGS=--xla_force_host_platform_device_count={} before the process \
             starts to have more",
            device + 1
        ));
    }
    Ok(client)
}

fn open_plugin(plugin: &str, path: &str, registered: &str, device: usize) -> Result<PjRtClient, String> {
    if !Path::new(path).is_file() {
        return Err(format!(
            "there is no file {path}; it must be the library of a PJRT plugin, such as xla_cuda_plugin.so of the \
             wheel jax-cuda13-pjrt (`pip install jax-cuda13-pjrt`)"
        ));
    }
    let one = [("visible_devices", PluginOption::IntList(vec![device as i64]))];
    let options: &[_] = if ONE_OF_SEVERAL.contains(&plugin) { &one } else { &[] };
    let client = PjRtClient::plugin_with_options(registered, path, options)
        .map_err(|error| format!("XLA could not open it with {path}: {}", message(error)))?;
    let count = client.addressable_device_count();
    // Programs run on a client's first device, which is the one that was asked for where it is the only one.
    let found = if options.is_empty() { device < count } else { count == 1 };
    if !found {
        return Err(format!("{path} has {count} device(s)"));
    }
    if options.is_empty() && device > 0 {
        return Err(format!(
            "only the first device of this plugin can be opened; the environment can make another one the first, for \
             instance by TPU_VISIBLE_CHIPS={device}"
        ));
    }
    Ok(client)
}

/// A CPU device of XLA.
pub(crate) fn device(index: usize) -> Result<Device> {
    static BACKEND: OnceLock<Arc<XlaBackend>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| XlaBackend::new(Source::Cpu));
    backend.clients().open(index)?;
    Ok(Device::new(backend.clone(), index))
}

/// A device of a PJRT plugin.
pub(crate) fn plugin_device(plugin: &str, path: &Path, index: usize) -> Result<Device> {
    static BACKENDS: Mutex<Vec<Arc<XlaBackend>>> = Mutex::new(Vec::new());
    let fail = |message: String| Err(Error::device(format!("xla_{plugin}:{index}"), message));
    if plugin.is_empty() || !plugin.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return fail(format!("{plugin:?} is no name of a plugin; use small letters, such as \"cuda\""));
    }
    let path = path.display().to_string();
    let backend = {
        let mut backends = BACKENDS.lock().unwrap_or_else(PoisonError::into_inner);
        match backends.iter().find(|backend| backend.clients().source.is_plugin(plugin, &path)) {
            Some(known) => known.clone(),
            None => {
                // XLA keeps a library under its name for as long as the process runs.
                let registered = format!("{plugin}_{}", backends.len());
                let new = XlaBackend::new(Source::Plugin { plugin: plugin.into(), path, registered });
                backends.push(new.clone());
                new
            }
        }
    };
    backend.clients().open(index)?;
    Ok(Device::new(backend, index))
}

/// Keeps XLA from writing to the terminal anything less than errors, unless the environment asks for more.
fn quiet() {
    if std::env::var_os("TF_CPP_MIN_LOG_LEVEL").is_none() {
        xla::set_min_log_level(xla::TfLogLevel::Error);
    }
}

/// Keeps XLA from splitting modules into parts that it compiles in parallel: before it does so it prints
/// them, which crashes in TensorFlow's libraries for sorts and some other programs. Whoever sets the flag
/// knows better.
fn compile_in_one_part() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let flags = std::env::var("XLA_FLAGS").unwrap_or_default();
        if let Some(flags) = in_one_part(&flags) {
            // SAFETY: Rust's own readers and writers of the environment exclude each other. XLA, which has
            // no other way to be told, reads it when the client is made, on this thread and after this.
            #[allow(unsafe_code)]
            unsafe {
                std::env::set_var("XLA_FLAGS", flags);
            }
        }
    });
}

/// The flags with one more, if they lack it. As for XLA, what does not begin with a dash names a file of flags; one
/// that cannot be read is left to XLA.
fn in_one_part(flags: &str) -> Option<String> {
    const FLAG: &str = "--xla_cpu_parallel_codegen_split_count";
    let flags = match flags.trim() {
        "" => String::new(),
        flags if flags.starts_with('-') => flags.into(),
        file => std::fs::read_to_string(file).ok()?.trim().into(),
    };
    (!flags.contains(FLAG)).then(|| format!("{flags} {FLAG}=1").trim_start().into())
}

/// What XLA said, without the backtrace that its bindings add.
pub(super) fn message(error: xla::Error) -> String {
    match error {
        xla::Error::XlaError { msg, .. } => msg,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_kept_when_one_is_added() {
        let one = "--xla_cpu_parallel_codegen_split_count=1";
        assert_eq!(in_one_part("").unwrap(), one);
        assert_eq!(in_one_part(" --xla_a=2").unwrap(), format!("--xla_a=2 {one}"));
        assert_eq!(in_one_part("--xla_cpu_parallel_codegen_split_count=8 --xla_a=2"), None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags");
        std::fs::write(&file, "--xla_a=2\n--xla_b\n").unwrap();
        assert_eq!(in_one_part(file.to_str().unwrap()).unwrap(), format!("--xla_a=2\n--xla_b {one}"));
        assert_eq!(in_one_part("no such file"), None);
    }
}
