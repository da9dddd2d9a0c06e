//! Writing files so that nothing is lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file anew, or leaves an old one as it was: `write` gets the path of a new, empty file beside
/// it, which is brought to disk and then takes the place of an old one.
///
/// The old file's permissions are kept, and a link stays a link, to what is new.
///
/// # Errors
///
/// That of `write`, or when the directory or the file cannot be written. Whatever happens, there is
/// either the old file or the whole new one.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{Error, files};
///
/// let directory = tempfile::tempdir().unwrap();
/// let path = directory.path().join("notes.txt");
/// files::replace(&path, |new| std::fs::write(new, "first").map_err(|error| Error::io(new, &error)))?;
/// let failed: Result<(), Error> = files::replace(&path, |_| Err(Error::format("text", "not today")));
/// assert!(failed.is_err());
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
/// # Ok::<(), Error>(())
/// ```
pub fn replace(path: impl AsRef<Path>, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    let io = |error: &std::io::Error| Error::io(path, error);
    // A link stays one: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    if !directory.is_dir() {
        return Err(Error::Io {
            path: path.into(),
            message: format!("there is no folder {}; create it first (`std::fs::create_dir_all`)", directory.display()),
        });
    }
    let temporary = temporary_file(&directory).map_err(|error| io(&error))?;
    let permissions =
        fs::metadata(&target).or_else(|_| temporary.as_file().metadata()).map_err(|error| io(&error))?.permissions();
    let temporary = temporary.into_temp_path();
    write(&temporary)?;
    // To disk before it takes the old one's name, so that a crash leaves the one or the other.
    let finish = || {
        fs::set_permissions(&temporary, permissions)?;
        File::open(&temporary)?.sync_all()
    };
    finish().map_err(|error| io(&error))?;
    temporary.persist(&target).map_err(|error| io(&error.error))?;
    #[cfg(unix)]
    File::open(&directory).and_then(|directory| directory.sync_all()).map_err(|error| io(&error))?;
    Ok(())
}

fn temporary_file(directory: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".jaxnet-");
    #[cfg(unix)]
    {
        // What new files of the user have, instead of the owner's only.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}
