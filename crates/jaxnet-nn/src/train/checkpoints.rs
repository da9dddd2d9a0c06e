//! Files from which training goes on.

use std::fs;
use std::path::{Path, PathBuf};

use jaxnet_tensor::{Error, Result, Tree};

use crate::save::{load, load_like, save};

const START: &str = "checkpoint-";
const END: &str = ".safetensors";

/// A folder with the state of training at some steps.
///
/// A checkpoint is one file, made by [`save`], which is there whole or not at all, whenever the
/// program or the machine dies. One program at a time writes to a folder.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
/// use jaxnet_nn::train::Checkpoints;
///
/// let folder = tempfile::tempdir().unwrap();
/// let checkpoints = Checkpoints::new(folder.path())?.keep(2).keep_every(100);
/// for step in [100, 150, 200, 250, 300] {
///     checkpoints.save(step, &Tensor::from(step as i32))?;
/// }
/// assert_eq!(checkpoints.steps()?, [100, 200, 250, 300]);
/// let (step, state) = checkpoints.latest::<Tensor>()?.unwrap();
/// assert_eq!((step, state.item::<i32>()), (300, 300));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    keep_every: Option<u64>,
}

impl Checkpoints {
    /// A folder, which is made if it is not there. All checkpoints are kept.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or read.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Checkpoints> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, &error))?;
        let checkpoints = Checkpoints { folder, keep: usize::MAX, keep_every: None };
        checkpoints.steps()?;
        Ok(checkpoints)
    }

    /// Keeps so many of the latest, at least one: when there is a new one, older ones are removed.
    pub fn keep(self, count: usize) -> Self {
        Checkpoints { keep: count.max(1), ..self }
    }

    /// Keeps those whose step is a multiple of this, however old.
    pub fn keep_every(self, steps: u64) -> Self {
        Checkpoints { keep_every: Some(steps.max(1)), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a step.
    pub fn path(&self, step: u64) -> PathBuf {
        // With zeros in front, so that names sort as steps do.
        self.folder.join(format!("{START}{step:010}{END}"))
    }

    /// The steps of which there are checkpoints, in order.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let mut steps = Vec::new();
        for name in self.names()? {
            let digits = name.strip_prefix(START).and_then(|rest| rest.strip_suffix(END));
            if let Some(step) = digits.and_then(|digits| digits.parse().ok()) {
                // Only names that are made here: another spelling of a number is somebody else's file.
                if self.path(step).file_name().is_some_and(|own| own.to_str() == Some(&name)) {
                    steps.push(step);
                }
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Saves a tree, in place of an earlier one of this step; then removes what need not be kept.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, in which case all older checkpoints are still there.
    pub fn save<T: Tree>(&self, step: u64, tree: &T) -> Result<PathBuf> {
        let path = self.path(step);
        save(tree, &path)?;
        let steps = self.steps()?;
        let old = &steps[..steps.len().saturating_sub(self.keep)];
        let kept = |other: &&u64| **other == step || self.keep_every.is_some_and(|every| other.is_multiple_of(every));
        for other in old.iter().filter(|other| !kept(other)) {
            self.remove(&self.path(*other))?;
        }
        // What a program that died while saving has left behind.
        for name in self.names()?.iter().filter(|name| name.starts_with(".jaxnet-")) {
            self.remove(&self.folder.join(name))?;
        }
        Ok(path)
    }

    /// The step and tree of the latest checkpoint, if there is one.
    ///
    /// # Errors
    ///
    /// As [`load`].
    pub fn latest<T: Tree>(&self) -> Result<Option<(u64, T)>> {
        let latest = self.steps()?.last().copied();
        latest.map(|step| Ok((step, self.load(step)?))).transpose()
    }

    /// As [`latest`](Self::latest), of a tree like this one, whose values do not matter: for trees with fields
    /// that are no tensors, and to see at once that a checkpoint is of another model.
    ///
    /// # Errors
    ///
    /// As [`load_like`].
    pub fn latest_like<T: Tree>(&self, template: &T) -> Result<Option<(u64, T)>> {
        let latest = self.steps()?.last().copied();
        latest.map(|step| Ok((step, load_like(self.path(step), template)?))).transpose()
    }

    /// The tree of a step.
    ///
    /// # Errors
    ///
    /// As [`load`].
    pub fn load<T: Tree>(&self, step: u64) -> Result<T> {
        load(self.path(step))
    }

    fn names(&self) -> Result<Vec<String>> {
        let fail = |error: std::io::Error| Error::io(&self.folder, &error);
        let entries = fs::read_dir(&self.folder).map_err(fail)?;
        let names = entries.map(|entry| Ok(entry.map_err(fail)?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|error| Error::io(path, &error))
    }
}
