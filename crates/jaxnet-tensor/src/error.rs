//! The one error type, and how numeric code reports a mistake at its caller's line.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

/// What can go wrong.
///
/// Functions that depend on the outside world (devices, files, libraries) return it. Numeric methods
/// panic with its message at the line that called them; [`try_catch`] and the `try_` methods turn
/// that panic back into the error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation got operands or parameters that it cannot take.
    #[error("{op}: {message}")]
    Invalid {
        /// The operation.
        op: String,
        /// What is wrong, and how to mend it.
        message: String,
    },
    /// A traced value was used in a way that only concrete values allow, or outside its trace.
    #[error("{0}")]
    Trace(String),
    /// Something has no derivative of the kind that was asked for.
    #[error("{0}")]
    Differentiation(String),
    /// A tree does not have the structure, shapes or dtypes that were expected.
    #[error("{path}: {message}", path = if .path.is_empty() { "tree" } else { .path })]
    Tree {
        /// Where in the tree.
        path: String,
        /// What differs.
        message: String,
    },
    /// A device is not there, or failed.
    #[error("device {device}: {message}")]
    Device {
        /// The device's name.
        device: String,
        /// What happened, and the command that mends it where there is one.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}: {message}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// Data is not in the format that it should be in.
    #[error("{format}: {message}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong with the data.
        message: String,
    },
    /// An error in a function that was made elsewhere, such as the one that `grad` returns.
    #[error("{error}\n  in the function that `{maker}` made at {place}")]
    Within {
        /// What happened.
        error: Box<Error>,
        /// What made the function.
        maker: &'static str,
        /// Where it was made.
        place: &'static panic::Location<'static>,
    },
    /// A computation gave NaN or an infinity while checks for them were on.
    #[error("{0}")]
    NotFinite(String),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An operation got what it cannot take.
    pub fn invalid(op: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Invalid { op: op.into(), message: message.into() }
    }

    /// A tree is not as expected at `path`.
    pub fn tree(path: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Tree { path: path.into(), message: message.into() }
    }

    /// A file could not be read or written.
    pub fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Error::Io { path: path.into(), message: error.to_string() }
    }

    /// Data is not in its format.
    pub fn format(format: &'static str, message: impl Into<String>) -> Self {
        Error::Format { format, message: message.into() }
    }

    /// A device is not there, or failed.
    pub fn device(device: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Device { device: device.into(), message: message.into() }
    }
}

thread_local! {
    /// How many `try_catch` are on this thread's stack, and the error that the innermost is to return.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
    /// Where the code that [`called_from`] runs was called, and the folder of its files.
    static CALLED: Cell<Option<(&'static str, &'static panic::Location<'static>)>> = const { Cell::new(None) };
}

/// Panics with the error's message at the caller's line; inside [`try_catch`], unwinds to it instead.
#[track_caller]
#[cold]
pub fn raise(error: Error) -> ! {
    if CATCHING.get() > 0 {
        // Unwinds without calling the panic hook: the error is about to be a value again.
        panic::resume_unwind(Box::new(error))
    }
    match CALLED.get() {
        Some((folder, place)) if panic::Location::caller().file().starts_with(folder) => {
            panic!("{error}\n  in the call at {place}")
        }
        _ => panic!("{error}"),
    }
}

/// Runs code of a crate that calls what users gave it through closures and trait objects, through which
/// the caller's line does not come: an error raised in a file of the crate tells the place of the call, too.
/// `file` is any file at the root of the crate's sources, as `file!()` says it.
#[doc(hidden)]
#[track_caller]
pub fn called_from<T>(file: &'static str, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<(&'static str, &'static panic::Location<'static>)>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CALLED.set(self.0);
        }
    }
    let folder = &file[..file.rfind(['/', '\\']).map_or(0, |end| end + 1)];
    let (place, outer) = (panic::Location::caller(), CALLED.get());
    // A call from within the crate has been called from somewhere, too.
    let known = outer.filter(|_| place.file().starts_with(folder));
    let _restore = Restore(CALLED.replace(known.or(Some((folder, place)))));
    f()
}

/// Unwraps a result of numeric code, by [`raise`].
pub trait OrRaise<T> {
    /// The value, or a panic with the error's message at the caller's line.
    #[track_caller]
    fn or_raise(self) -> T;
}

impl<T> OrRaise<T> for Result<T> {
    #[inline]
    #[track_caller]
    fn or_raise(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => raise(error),
        }
    }
}

/// Runs numeric code and returns the [`Error`] with which it would have panicked.
///
/// Other panics pass through. Needs unwinding: under `panic = "abort"` the process ends instead.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{try_catch, Tensor};
///
/// let error = try_catch(|| Tensor::zeros([2]) + Tensor::zeros([3])).unwrap_err();
/// assert!(error.to_string().contains("[2]"));
/// ```
pub fn try_catch<T>(f: impl FnOnce() -> T) -> Result<T> {
    struct Depth;
    impl Drop for Depth {
        fn drop(&mut self) {
            CATCHING.set(CATCHING.get() - 1);
        }
    }
    CATCHING.set(CATCHING.get() + 1);
    let depth = Depth;
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    drop(depth);
    result.map_err(|payload| match payload.downcast::<Error>() {
        Ok(error) => *error,
        Err(other) => panic::resume_unwind(other),
    })
}
