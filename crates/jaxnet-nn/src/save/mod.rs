//! Trees in files.
//!
//! Files are in the safetensors format, which other tools read: a tensor for each leaf, named by its path. The
//! structure of the tree is among the metadata, so that [`load`] needs no model to tell what it reads.

mod data;
mod structure;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use jaxnet_tensor::{Aval, DType, Error, Key, Result, Structure, Tensor, Tree, files, tree};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use data::{Saved, dtype_of};
use structure::{Piece, names, pieces};

const FORMAT: &str = "safetensors";
/// Where the structure is among the metadata.
const STRUCTURE: &str = "jaxnet.structure";

/// Saves a tree, such as parameters, variables or the state of an optimizer.
///
/// The file is written under another name, brought to disk, and then takes the place of an old one, which stays
/// whole if anything goes wrong before.
///
/// # Errors
///
/// When the file cannot be written, or a tensor's values are not known (as in functions being compiled).
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let directory = tempfile::tempdir().unwrap();
/// let path = directory.path().join("params.safetensors");
/// let net = sequential![Dense::new(4), relu, Dense::new(2)];
/// let params = net.init_params(Key::new(0), &Tensor::zeros([1, 3]));
/// save(&params, &path)?;
/// let again: Params = load(&path)?;
/// assert_eq!(again["dense0.kernel"].to_vec::<f32>(), params["dense0.kernel"].to_vec::<f32>());
/// # Ok::<(), Error>(())
/// ```
pub fn save<T: Tree>(tree: &T, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let (leaves, structure) = tree::flatten(tree);
    let pieces = pieces(&structure);
    structure::check(&pieces, usize::MAX).map_err(|why| Error::format(FORMAT, format!("cannot be saved: {why}")))?;
    let text = serde_json::to_string(&pieces).map_err(|error| Error::format(FORMAT, error.to_string()))?;
    let metadata = HashMap::from([(STRUCTURE.to_string(), text)]);

    let failure = RefCell::new(None);
    files::replace(path, |new| {
        let views =
            names(&structure).into_iter().zip(&leaves).map(|(name, leaf)| (name, Saved { leaf, failure: &failure }));
        let written = safetensors::serialize_to_file(views, Some(metadata), new);
        if let Some(error) = failure.take() {
            return Err(error);
        }
        written.map_err(|error| Error::Io { path: path.into(), message: error.to_string() })
    })
}

/// Loads what [`save`] saved, as a tree of this type.
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let directory = tempfile::tempdir().unwrap();
/// let path = directory.path().join("pair.safetensors");
/// save(&(tensor![1, 2], tensor![0.5]), &path)?;
/// let (a, b): (Tensor, Tensor) = load(&path)?;
/// assert_eq!((a.to_vec::<i32>(), b.item::<f32>()), (vec![1, 2], 0.5));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
///
/// When the file cannot be read, is not whole, was not made by [`save`], or holds another type of tree, in which
/// case the error names the first part that differs. Types with fields that are no tensors (`#[tree(static)]`)
/// need [`load_like`].
pub fn load<T: Tree>(path: impl AsRef<Path>) -> Result<T> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
    let file = Contents::parse(path, &bytes)?;
    let Some(pieces) = &file.pieces else {
        return file.fail("it does not say what tree it holds, as it was not written by `save`; see `load_like`");
    };
    if let Some(text) = pieces.iter().find_map(Piece::fixed) {
        return file.fail(format!(
            "the tree has a field that is no tensor ({text}), which files do not hold; give one that has it to `load_like`"
        ));
    }
    let structure = structure::from_pieces(pieces, bytes.len()).map_or_else(|why| file.fail(why), Ok)?;
    let leaves = file.leaves(&structure, None)?;
    tree::unflatten(&structure, leaves)
}

/// Loads a tree of the same structure, shapes and dtypes as `template`, whose values do not matter. Fields that
/// are no tensors are taken from there. What was put on a device there is put there again.
///
/// Reads files of other tools, too, if their tensors have the paths of the template's leaves as names.
///
/// # Errors
///
/// When the file cannot be read, is not whole, or holds something else; the error names the first path that
/// differs.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let directory = tempfile::tempdir().unwrap();
/// let path = directory.path().join("params.safetensors");
/// let make = |size| Dense::new(size).init_params(Key::new(0), &Tensor::zeros([1, 3]));
/// save(&make(2), &path)?;
/// load_like(&path, &make(2))?;
/// let error = load_like(&path, &make(4)).unwrap_err();
/// assert_eq!(error.to_string(), "kernel: expected f32[3,4], the file has f32[3,2]");
/// # Ok::<(), Error>(())
/// ```
pub fn load_like<T: Tree>(path: impl AsRef<Path>, template: &T) -> Result<T> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
    let file = Contents::parse(path, &bytes)?;
    let (leaves, structure) = tree::flatten(template);
    if let Some(found) = &file.pieces {
        structure::compare(&pieces(&structure), found)?;
    }
    let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
    let loaded = file.leaves(&structure, Some(&avals))?;
    let loaded = loaded.iter().zip(&leaves).map(|(loaded, leaf)| loaded.beside(leaf)).collect::<Result<_>>()?;
    tree::unflatten(&structure, loaded)
}

/// All tensors of a file in the format, by whichever tool it was written.
pub(crate) fn load_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
    let file = Contents::parse(path, &bytes)?;
    file.tensors.names().into_iter().map(|name| Ok((name.to_string(), file.tensor(name)?))).collect()
}

/// A file that has been read.
struct Contents<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    /// The structure, if the file says it.
    pieces: Option<Vec<Piece>>,
}

impl<'a> Contents<'a> {
    fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let fail = |error: String| Error::format(FORMAT, format!("{}: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| fail(error.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| fail(error.to_string()))?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(STRUCTURE));
        let pieces = text
            .map(|text| serde_json::from_str(text))
            .transpose()
            .map_err(|error| fail(format!("its structure is not readable: {error}")))?;
        Ok(Contents { path, tensors, pieces })
    }

    fn fail<T>(&self, why: impl AsRef<str>) -> Result<T> {
        Err(Error::format(FORMAT, format!("{}: {}", self.path.display(), why.as_ref())))
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>> {
        self.tensors.tensor(name).map_err(|_| Error::tree(name, "the file does not have it"))
    }

    fn aval(&self, name: &str) -> Result<Aval> {
        let view = self.view(name)?;
        match dtype_of(view.dtype()) {
            Some(dtype) => Ok(Aval::new(dtype, view.shape())),
            None => self.fail(format!("`{name}` is of dtype {}, which tensors cannot be", view.dtype())),
        }
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let (aval, view) = (self.aval(name)?, self.view(name)?);
        Tensor::from_le_bytes(&aval, view.data()).or_else(|error| match error {
            Error::Format { message, .. } => self.fail(format!("`{name}`: {message}")),
            other => Err(other),
        })
    }

    /// The leaves of a structure, which are all that the file must hold.
    fn leaves(&self, structure: &Structure, expected: Option<&[Aval]>) -> Result<Vec<Tensor>> {
        let (names, keys) = (names(structure), structure.keys());
        if self.tensors.len() > names.len() {
            let wanted: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
            let mut extra: Vec<&str> = self.tensors.names().into_iter().filter(|name| !wanted.contains(name)).collect();
            extra.sort_unstable();
            return Err(Error::tree(
                extra.first().copied().unwrap_or(""),
                "the file has this, the expected tree does not",
            ));
        }
        let leaf = |(i, name): (usize, &String)| {
            let found = self.aval(name)?;
            let wanted = match expected {
                Some(expected) => expected[i].strong(),
                // A batch of keys has more axes.
                None if keys[i] && !(found.dtype == DType::U32 && found.shape.last() == Some(&2)) => Key::aval(),
                None => found.clone(),
            };
            if wanted != found {
                return Err(Error::tree(name, format!("expected {wanted}, the file has {found}")));
            }
            self.tensor(name)
        };
        names.iter().enumerate().map(leaf).collect()
    }
}
