//! Timelines of what runs, which [Perfetto](https://ui.perfetto.dev) opens.
//!
//! While a [`Profile`] is being taken, operations, compiling, compiled programs and, on the engines `cpu` and `torch`,
//! the steps within these write down when they began and ended; so does what is put into [`span`]s. XLA's programs are
//! one piece each, and begin before they are done where the engine works ahead of the host: `block_until_ready` in a
//! span tells how long.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::files;

static RECORDING: AtomicBool = AtomicBool::new(false);
static EVENTS: Mutex<Vec<Event>> = Mutex::new(Vec::new());
/// What times are counted from.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How many pieces are kept, about 300 MB of them.
const MOST: usize = 1 << 22;

struct Event {
    name: Cow<'static, str>,
    thread: u64,
    /// Since the origin.
    start: Instant,
    end: Instant,
}

/// A profile that is being taken, of all threads of this process, until it is saved or dropped.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::profile::{Profile, span};
/// use jaxnet_tensor::tensor;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("profile.json");
/// let profile = Profile::start()?;
/// {
///     let _span = span(|| "two operations");
///     (tensor![1.0, 2.0].sin() * 2.0).block_until_ready();
/// }
/// profile.save(&path)?;
/// let text = std::fs::read_to_string(&path).unwrap();
/// assert!(text.contains("two operations") && text.contains("sin"));
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Profile(());

impl Profile {
    /// Starts to write down what runs. The first four million pieces are kept.
    ///
    /// # Errors
    ///
    /// When another profile is being taken.
    pub fn start() -> Result<Profile> {
        LazyLock::force(&ORIGIN);
        match RECORDING.swap(true, Ordering::Relaxed) {
            false => Ok(Profile(())),
            true => {
                Err(Error::invalid("Profile::start", "another profile is being taken; save or drop that one first"))
            }
        }
    }

    /// Writes what has run since the start as a file in Chrome's trace event format (JSON), which Perfetto opens.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(self, path: impl AsRef<Path>) -> Result<()> {
        RECORDING.store(false, Ordering::Relaxed);
        let events = std::mem::take(&mut *events());
        files::replace(path, |new| {
            let write = || -> std::io::Result<()> {
                let mut file = BufWriter::new(std::fs::File::create(new)?);
                file.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
                for (i, event) in events.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    let start = (event.start - *ORIGIN).as_nanos() as f64 / 1e3;
                    let duration = (event.end - event.start).as_nanos() as f64 / 1e3;
                    write!(
                        file,
                        "{comma}\n{{\"ph\":\"X\",\"pid\":0,\"tid\":{},\"ts\":{start},\"dur\":{duration},\"name\":{}}}",
                        event.thread,
                        quoted(&event.name)
                    )?;
                }
                file.write_all(b"\n]}\n")?;
                file.flush()
            };
            write().map_err(|error| Error::io(new, &error))
        })
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        RECORDING.store(false, Ordering::Relaxed);
        events().clear();
    }
}

/// A piece of a profile, which ends when this is dropped. Where no profile is being taken, it costs next to nothing.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<(Cow<'static, str>, Instant)>);

/// Begins a piece of a profile with a name, which is only asked for where a profile is being taken.
///
/// # Examples
///
/// ```
/// let epoch = 3;
/// let _span = jaxnet_tensor::profile::span(|| format!("epoch {epoch}"));
/// ```
#[inline]
pub fn span<N: Into<Cow<'static, str>>>(name: impl FnOnce() -> N) -> Span {
    Span(if RECORDING.load(Ordering::Relaxed) { Some((name().into(), Instant::now())) } else { None })
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let Some((name, start)) = self.0.take() {
            record(name, start);
        }
    }
}

#[cold]
fn record(name: Cow<'static, str>, start: Instant) {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static THREAD: Cell<u64> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
    }
    let event = Event { name, thread: THREAD.get(), start, end: Instant::now() };
    let mut events = events();
    // A span may end after its profile.
    if RECORDING.load(Ordering::Relaxed) && events.len() < MOST {
        events.push(event);
    }
}

fn events() -> MutexGuard<'static, Vec<Event>> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => write!(quoted, "\\u{:04x}", c as u32).expect("memory"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aval::Aval;
    use crate::dtype::DType;
    use crate::program::{self, stage::stage};
    use crate::tensor::Tensor;

    #[test]
    fn a_profile_has_programs_with_their_steps_and_spans() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile.json");
        let staged = stage(&[Aval::new(DType::F32, [4, 4])], |x| Ok(vec![x[0].matmul(&x[0]).sort(0)])).unwrap();
        drop(span(|| "before"));
        let profile = Profile::start().unwrap();
        assert!(Profile::start().unwrap_err().to_string().contains("another profile"));
        let outer = span(|| "a \"program\"\n");
        program::run(&staged.program, vec![Tensor::ones([4, 4])]).unwrap();
        drop(outer);
        let late = span(|| "too late");
        profile.save(&path).unwrap();
        drop(late);

        let text = std::fs::read_to_string(&path).unwrap();
        for name in ["dot_general", "sort", "compile", "run", r#""a \"program\"\u000a""#] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
        assert!(!text.contains("before") && !text.contains("too late"), "{text}");
        drop(Profile::start().unwrap());
        assert!(events().is_empty());
    }
}
