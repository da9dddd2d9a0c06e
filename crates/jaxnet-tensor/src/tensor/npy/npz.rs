//! Several arrays in one file, as `numpy.savez` writes them: a zip archive of `.npy` files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Tensor;

const FORMAT: &str = "npz";

impl Tensor {
    /// Loads the arrays of a `.npz` file, as `numpy.savez` and `numpy.savez_compressed` write it, with their names, in
    /// the order of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not whole, or holds something other than arrays that
    /// [`load_npy`](Self::load_npy) takes; the error names which.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("line.npz");
    /// Tensor::save_npz(&path, [("slope", &tensor![1.0, 2.0]), ("offset", &tensor![3])])?;
    /// let arrays = Tensor::load_npz(&path)?;
    /// assert_eq!(arrays[1].0, "offset");
    /// assert_eq!(arrays[0].1.to_vec::<f32>(), [1.0, 2.0]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn load_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        Tensor::read_npz(BufReader::new(file)).map_err(|error| match error {
            Error::Format { format, message } => Error::format(format, format!("{}: {message}", path.display())),
            Error::Io { message, .. } => Error::Io { path: path.into(), message },
            other => other,
        })
    }

    /// Saves tensors under their names to one file that `numpy.load` reads. The file is written beside an old one,
    /// whose place it takes when it is whole. It is not compressed, as that of `numpy.savez`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, two tensors have one name, one is traced, or its device fails.
    pub fn save_npz<'a, N: AsRef<str>>(
        path: impl AsRef<Path>,
        tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
    ) -> Result<()> {
        let path = path.as_ref();
        files::replace(path, |new| {
            let file = File::create(new).map_err(|error| Error::io(path, &error))?;
            Tensor::write_npz(BufWriter::new(file), tensors).map_err(|error| match error {
                Error::Io { message, .. } => Error::Io { path: path.into(), message },
                other => other,
            })
        })
    }

    /// Reads the arrays of a file in the format of `.npz` files.
    ///
    /// # Errors
    ///
    /// As [`load_npz`](Self::load_npz).
    pub fn read_npz(reader: impl Read + Seek) -> Result<Vec<(String, Tensor)>> {
        let mut archive = ZipArchive::new(reader).map_err(broken)?;
        let mut found: Vec<(String, Tensor)> = Vec::with_capacity(archive.len().min(1 << 16));
        let mut names = HashSet::new();
        for i in 0..archive.len() {
            let mut entry = archive.by_index(i).map_err(broken)?;
            let of_entry = |error: Error, name: &str| match error {
                Error::Format { message, .. } => Error::format(FORMAT, format!("`{name}`: {message}")),
                other => other,
            };
            let full = entry.name().map_err(broken)?.into_owned();
            let Some(name) = full.strip_suffix(".npy") else {
                return Err(Error::format(FORMAT, format!("`{full}` is no array; those are called `.npy`")));
            };
            let tensor = Tensor::read_npy(&mut entry).map_err(|error| of_entry(error, name))?;
            // To the end, where the checksum is compared.
            let mut rest = [0];
            match entry.read(&mut rest) {
                Ok(0) => {}
                Ok(_) => return Err(Error::format(FORMAT, format!("`{name}`: more follows after the array"))),
                Err(error) => return Err(Error::format(FORMAT, format!("`{name}`: cannot be read: {error}"))),
            }
            if !names.insert(name.to_string()) {
                return Err(Error::format(FORMAT, format!("there are two arrays called `{name}`")));
            }
            found.push((name.to_string(), tensor));
        }
        Ok(found)
    }

    /// Writes tensors in the format of `.npz` files.
    ///
    /// ```
    /// use std::io::Cursor;
    /// use jaxnet_tensor::{Tensor, tensor};
    /// let mut file = Cursor::new(Vec::new());
    /// Tensor::write_npz(&mut file, [("x", &tensor![1, 2])])?;
    /// assert_eq!(Tensor::read_npz(file)?[0].1.to_vec::<i32>(), [1, 2]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`save_npz`](Self::save_npz).
    pub fn write_npz<'a, N: AsRef<str>>(
        writer: impl Write + Seek,
        tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
    ) -> Result<()> {
        let mut archive = ZipWriter::new(writer);
        let mut names = HashSet::new();
        for (name, tensor) in tensors {
            let name = name.as_ref();
            if name.is_empty() || !names.insert(name.to_string()) {
                let why = if name.is_empty() { "an array needs a name".into() } else { format!("two are `{name}`") };
                return Err(Error::format(FORMAT, why));
            }
            // Sizes beyond four gigabytes need a wider header, which must be said ahead.
            let large = tensor.size().saturating_mul(tensor.dtype().size()) > 1 << 31;
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
            archive.start_file(format!("{name}.npy"), options).map_err(broken)?;
            tensor.write_npy(&mut archive)?;
        }
        archive.finish().map_err(broken)?.flush().map_err(|error| Error::io("", &error))
    }
}

fn broken(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Error::io("", &error),
        error => Error::format(FORMAT, format!("not a whole archive: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{DType, tensor};

    fn written(tensors: &[(&str, Tensor)]) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        Tensor::write_npz(&mut file, tensors.iter().map(|(name, tensor)| (name, tensor))).unwrap();
        file.into_inner()
    }

    fn why(bytes: &[u8]) -> String {
        Tensor::read_npz(Cursor::new(bytes)).unwrap_err().to_string()
    }

    #[test]
    fn arrays_come_back() {
        let tensors = [
            ("a", tensor![[1.0, 2.0]]),
            ("dir/b.c", tensor![true, false]),
            ("half", tensor![0.5; dtype = DType::BF16]),
            ("none", Tensor::zeros([0, 3])),
            ("scalar", Tensor::scalar(7_i64)),
        ];
        let again = Tensor::read_npz(Cursor::new(written(&tensors))).unwrap();
        assert_eq!(again.len(), tensors.len());
        for ((name, x), (name_again, y)) in tensors.iter().zip(&again) {
            assert_eq!((*name, x.aval()), (name_again.as_str(), y.aval()));
            assert!(x.array_equal(y));
        }
        assert!(Tensor::read_npz(Cursor::new(written(&[]))).unwrap().is_empty());
    }

    /// `numpy.savez_compressed(path, x=numpy.arange(3, dtype="<f4"), y=numpy.array([[True]]))`, NumPy 2.4.
    #[test]
    fn numpy_files_are_read() {
        let bytes = include_bytes!("compressed.npz");
        let found = Tensor::read_npz(Cursor::new(bytes)).unwrap();
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(found[0].1.to_vec::<f32>(), [0.0, 1.0, 2.0]);
        assert_eq!((found[1].1.dtype(), found[1].1.shape().dims()), (DType::Bool, &[1, 1][..]));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(why(b"").contains("not a whole archive"));
        assert!(why(b"\x93NUMPY").contains("not a whole archive"));
        let whole = written(&[("x", tensor![1.0, 2.0]), ("y", tensor![3.0])]);
        // Cut off or with any byte changed it is refused or gives arrays, and never panics.
        for at in 0..whole.len() {
            assert!(Tensor::read_npz(Cursor::new(&whole[..at])).is_err(), "{at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x41;
            let _ = Tensor::read_npz(Cursor::new(&changed));
        }
        // The checksum tells that data has changed.
        let data = whole.windows(4).position(|bytes| bytes == 2_f32.to_le_bytes()).unwrap();
        let mut changed = whole.clone();
        changed[data] ^= 1;
        assert!(why(&changed).contains("`x`"), "{}", why(&changed));

        let mut file = Cursor::new(Vec::new());
        let x = tensor![1.0];
        let twice = Tensor::write_npz(&mut file, [("x", &x), ("x", &x)]).unwrap_err().to_string();
        assert!(twice.contains("two are `x`"));
        assert!(Tensor::write_npz(&mut file, [("", &x)]).is_err());
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("notes.txt", SimpleFileOptions::default()).unwrap();
        archive.write_all(b"hello").unwrap();
        assert!(why(&archive.finish().unwrap().into_inner()).contains("`notes.txt` is no array"));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.npz");
        let x = tensor![1.0];
        Tensor::save_npz(&path, [("x", &x)]).unwrap();
        assert!(Tensor::save_npz(&path, [("x", &x), ("x", &x)]).is_err());
        assert_eq!(Tensor::load_npz(&path).unwrap().len(), 1);
        let missing = Tensor::load_npz(directory.path().join("no.npz")).unwrap_err();
        assert!(missing.to_string().contains("no.npz"), "{missing}");
        std::fs::write(&path, b"PK").unwrap();
        assert!(Tensor::load_npz(&path).unwrap_err().to_string().contains("x.npz"));
    }
}
