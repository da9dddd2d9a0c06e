//! XLA's devices.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use xla::{PjRtClient, PluginOption};

use super::XlaBackend;
use crate::device::Device;
use crate::error::{Error, Result};

/// More than any machine has.
const MOST: usize = 64;

/// How clients are made: one for each device, since XLA's bindings run programs on the first device of a
/// client.
pub(super) enum Source {
    /// XLA's own CPU devices; `XLA_FLAGS=--xla_force_host_platform_device_count=…` says how many.
    Cpu,
    /// A PJRT plugin: a library that brings the devices.
    Plugin { name: String, path: String },
}

/// The clients of a backend, made when first asked for.
pub(super) struct Clients {
    source: Source,
    made: Box<[OnceLock<PjRtClient>]>,
    /// Held while making one: plugins' registry is not made for several threads.
    making: Mutex<()>,
}

impl Clients {
    pub fn new(source: Source) -> Self {
        Clients { source, made: (0..MOST).map(|_| OnceLock::new()).collect(), making: Mutex::new(()) }
    }

    /// The client of a device that [`open`](Self::open) has made.
    pub fn get(&self, device: usize) -> Result<&PjRtClient> {
        self.made.get(device).and_then(OnceLock::get).ok_or_else(|| {
            Error::device(format!("{}:{device}", self.name()), "was not opened; `Device::xla` opens devices")
        })
    }

    /// Whether values can be read from a device's memory as they are there.
    pub fn on_host(&self) -> bool {
        matches!(self.source, Source::Cpu)
    }

    pub fn name(&self) -> &str {
        match &self.source {
            Source::Cpu => "xla",
            Source::Plugin { name, .. } => name,
        }
    }

    fn open(&self, device: usize) -> Result<()> {
        let fail = |message: String| Err(Error::device(format!("{}:{device}", self.name()), message));
        let Some(slot) = self.made.get(device) else {
            return fail(format!("there are never more than {MOST} devices"));
        };
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.get().is_some() {
            return Ok(());
        }
        quiet();
        if self.on_host() {
            compile_in_one_part();
        }
        let made = match &self.source {
            Source::Cpu => PjRtClient::cpu(),
            Source::Plugin { name, path } => {
                if !Path::new(path).exists() {
                    return fail(format!("there is no file {path}; it must be the library of a PJRT plugin"));
                }
                // Plugins whose clients take one device of several say so by this option; others have one.
                let one = [("visible_devices", PluginOption::IntList(vec![device as i64]))];
                let options: &[_] = if device > 0 || name == "cuda" { &one } else { &[] };
                PjRtClient::plugin_with_options(name, path, options)
            }
        };
        let client = match made {
            Ok(client) => client,
            Err(error) => return fail(format!("XLA could not open it: {}", message(error))),
        };
        if self.on_host() && device >= client.addressable_device_count() {
            return fail(format!(
                "XLA has {} CPU device(s); set XLA_FLAGS=--xla_force_host_platform_device_count={} before the \
                 process starts to have more",
                client.addressable_device_count(),
                device + 1
            ));
        }
        // Nobody else sets it while the lock is held.
        let _ = slot.set(client);
        Ok(())
    }
}

/// A CPU device of XLA.
pub(crate) fn device(index: usize) -> Result<Device> {
    static BACKEND: OnceLock<Arc<XlaBackend>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| XlaBackend::new(Source::Cpu));
    backend.clients().open(index)?;
    Ok(Device::new(backend.clone(), index))
}

/// A device of a PJRT plugin.
pub(crate) fn plugin_device(name: &str, path: &Path, index: usize) -> Result<Device> {
    static BACKENDS: Mutex<Option<HashMap<String, Arc<XlaBackend>>>> = Mutex::new(None);
    let named = format!("{name}:{index}");
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Error::device(named, format!("{name:?} is no name of a plugin; use letters, such as \"cuda\"")));
    }
    let path = path.display().to_string();
    let backend = {
        let mut backends = BACKENDS.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || XlaBackend::new(Source::Plugin { name: name.into(), path: path.clone() });
        backends.get_or_insert_default().entry(name.to_lowercase()).or_insert_with(make).clone()
    };
    if let Source::Plugin { path: first, .. } = &backend.clients().source
        && *first != path
    {
        return Err(Error::device(named, format!("{name} was first asked for as {first}; it cannot also be {path}")));
    }
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
    const FLAG: &str = "--xla_cpu_parallel_codegen_split_count";
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let flags = std::env::var("XLA_FLAGS").unwrap_or_default();
        if !flags.contains(FLAG) {
            // SAFETY: Rust's own readers and writers of the environment exclude each other. XLA, which has
            // no other way to be told, reads it when the client is made, on this thread and after this.
            #[allow(unsafe_code)]
            unsafe {
                std::env::set_var("XLA_FLAGS", format!("{flags} {FLAG}=1").trim_start());
            }
        }
    });
}

/// What XLA said, without the backtrace that its bindings add.
pub(super) fn message(error: xla::Error) -> String {
    match error {
        xla::Error::XlaError { msg, .. } => msg,
        other => other.to_string(),
    }
}
