//! Numbers to follow while training, in files.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jaxnet_tensor::{Error, Result, files};
use serde::Serialize;
use serde_json::Value;

/// A file to which each call adds a line with a JSON object.
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// The file, with the lines of an earlier run whose field `step` is at most this: 0 for none, as in a new
    /// run, or the step from which training goes on. The file and its folder are made where they are missing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read and written.
    pub fn open(path: impl Into<PathBuf>, step: u64) -> Result<Metrics> {
        let path = path.into();
        create_parent(&path)?;
        let fail = |error: std::io::Error| Error::io(&path, &error);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(fail)?,
        };
        let early = |line: &&str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["step"].as_u64().is_some_and(|of_line| of_line <= step)
        };
        // A line that was cut off, and all after it, is of no use.
        let kept: String = text.lines().take_while(early).flat_map(|line| [line, "\n"]).collect();
        if kept.is_empty() {
            File::create(&path).map_err(fail)?;
        } else if kept != text {
            files::replace(&path, |new| fs::write(new, &kept).map_err(|error| Error::io(new, &error)))?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(fail)?;
        Ok(Metrics { file, path })
    }

    /// Adds a line, which is in the file when this returns, and gives what it says.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or the value is no JSON.
    pub fn write(&mut self, value: &impl Serialize) -> Result<Value> {
        let value = serde_json::to_value(value).map_err(|error| Error::format("JSON", error.to_string()))?;
        self.file.write_all(format!("{value}\n").as_bytes()).map_err(|error| Error::io(&self.path, &error))?;
        Ok(value)
    }
}

/// Makes the folder that a file is to be in.
pub(crate) fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error)),
        None => Ok(()),
    }
}
