//! Numbers to follow while training, in files.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jaxnet_tensor::{Error, Result};
use serde::Serialize;

/// A file to which each call adds a line with a JSON object.
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// An empty file, in place of one that may be there; its folder is made.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Metrics> {
        let path = path.into();
        create_parent(&path)?;
        let file = File::create(&path).map_err(|error| Error::io(&path, &error))?;
        Ok(Metrics { file, path })
    }

    /// Adds a line, which is in the file when this returns.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or the value is no JSON.
    pub fn write(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|error| Error::format("JSON", error.to_string()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| Error::io(&self.path, &error))
    }
}

/// Makes the folder that a file is to be in.
pub(crate) fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error)),
        None => Ok(()),
    }
}
