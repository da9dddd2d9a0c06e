//! Files in NumPy's format, and elements as the bytes of files.

mod header;
mod npz;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use half::{bf16, f16};
use header::Header;

use super::Tensor;
use crate::aval::Aval;
use crate::dtype::{DType, as_bytes};
use crate::error::{Error, Result};
use crate::files;

const FORMAT: &str = "npy";

/// # Files
///
/// NumPy has no bf16. The package `ml_dtypes`, which JAX uses, writes it as raw bytes of two (`V2`), and
/// so do these methods, which read it back as bf16; in NumPy, `.view(ml_dtypes.bfloat16)` does.
impl Tensor {
    /// Loads a tensor from a `.npy` file, as `numpy.save` writes it: versions 1 to 3, either byte order,
    /// C or Fortran order.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not whole or has more than one array, or its dtype is none that
    /// tensors have.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("x.npy");
    /// tensor![[1.0, 2.0], [3.0, 4.0]].save_npy(&path)?;
    /// assert_eq!(Tensor::load_npy(&path)?.to_vec::<f32>(), [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn load_npy(path: impl AsRef<Path>) -> Result<Tensor> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        let mut reader = BufReader::new(file);
        let mut read = || {
            let tensor = Tensor::read_npy(&mut reader)?;
            let mut more = [0];
            if matches!(reader.read(&mut more), Ok(1..)) {
                return fail("more follows after the array; `read_npy` reads several from one file");
            }
            Ok(tensor)
        };
        read().map_err(|error| match error {
            Error::Format { format, message } => Error::format(format, format!("{}: {message}", path.display())),
            other => other,
        })
    }

    /// Saves the tensor to a file that `numpy.load` reads. The file is written beside an old one, whose
    /// place it takes when it is whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, the tensor is traced, or its device fails.
    pub fn save_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        files::replace(path, |new| {
            let file = File::create(new).map_err(|error| Error::io(path, &error))?;
            self.write_npy(file).map_err(|error| match error {
                Error::Io { message, .. } => Error::Io { path: path.into(), message },
                other => other,
            })
        })
    }

    /// Reads one array in the format of `.npy` files. What comes after it is left to be read.
    ///
    /// # Errors
    ///
    /// As [`load_npy`](Self::load_npy).
    pub fn read_npy(mut reader: impl Read) -> Result<Tensor> {
        let header = Header::read(&mut reader)?;
        let wanted = header.bytes()?;
        // Grows with what is really there, so that a header that promises much does not cost as much.
        let mut bytes = Vec::new();
        let read = reader.take(wanted as u64).read_to_end(&mut bytes);
        if let Err(error) = read {
            return fail(format!("cannot be read: {error}"));
        }
        if bytes.len() < wanted {
            return fail(format!(
                "ends after {} of the {wanted} bytes that {} has; the file is not whole",
                bytes.len(),
                header.aval()
            ));
        }
        let size = header.dtype.size();
        if header.big_endian {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        if header.fortran_order {
            bytes = to_c_order(&bytes, &header.shape, size);
        }
        Tensor::from_le_bytes(&header.aval(), &bytes).or_else(|error| match error {
            Error::Format { message, .. } => fail(message),
            other => Err(other),
        })
    }

    /// Writes the tensor in the format of `.npy` files: version 1.0, in C order.
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// let mut file = Vec::new();
    /// tensor![1, 2].write_npy(&mut file)?;
    /// tensor![0.5].write_npy(&mut file)?;
    /// let mut rest = &file[..];
    /// assert_eq!(Tensor::read_npy(&mut rest)?.to_vec::<i32>(), [1, 2]);
    /// assert_eq!(Tensor::read_npy(&mut rest)?.to_vec::<f32>(), [0.5]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When writing fails, the tensor is traced, or its device fails.
    pub fn write_npy(&self, writer: impl Write) -> Result<()> {
        let bytes = self.to_le_bytes()?;
        let mut writer = BufWriter::new(writer);
        let mut write = || {
            writer.write_all(&header::write(self.aval()))?;
            writer.write_all(&bytes)?;
            writer.flush()
        };
        write().map_err(|error| Error::io("", &error))
    }

    /// The elements in row-major order as little-endian bytes, which is how files have them.
    ///
    /// # Errors
    ///
    /// When the tensor is traced, or its device fails.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 256].to_le_bytes()?, [1, 0, 0, 0, 0, 1, 0, 0]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn to_le_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = crate::with_dtype!(self.dtype(), T => as_bytes(&self.try_to_vec::<T>()?).to_vec());
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(self.dtype().size()).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }

    /// A tensor from its elements in row-major order as little-endian bytes.
    ///
    /// # Errors
    ///
    /// When there are too many or too few, or those of booleans are neither 0 nor 1.
    ///
    /// ```
    /// use jaxnet_tensor::{Aval, DType, Tensor};
    /// let x = Tensor::from_le_bytes(&Aval::new(DType::I32, [2]), &[1, 0, 0, 0, 0, 1, 0, 0])?;
    /// assert_eq!(x.to_vec::<i32>(), [1, 256]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn from_le_bytes(aval: &Aval, bytes: &[u8]) -> Result<Tensor> {
        fn elements<T, const N: usize>(bytes: &[u8], element: fn([u8; N]) -> T) -> Vec<T> {
            bytes.chunks_exact(N).map(|chunk| element(chunk.try_into().expect("chunks of N"))).collect()
        }
        let wanted = aval.shape.checked_size().and_then(|size| size.checked_mul(aval.dtype.size()));
        if wanted != Some(bytes.len()) {
            return Err(Error::format("bytes", format!("{} bytes are not those of {aval}", bytes.len())));
        }
        let shape = aval.shape.dims();
        match aval.dtype {
            DType::Bool => {
                if let Some(byte) = bytes.iter().find(|&&byte| byte > 1) {
                    return Err(Error::format("bytes", format!("the byte {byte} among booleans is neither 0 nor 1")));
                }
                Tensor::from_slice(&elements(bytes, |[byte]| byte == 1), shape)
            }
            DType::U8 => Tensor::from_slice(bytes, shape),
            DType::U32 => Tensor::from_slice(&elements(bytes, u32::from_le_bytes), shape),
            DType::I32 => Tensor::from_slice(&elements(bytes, i32::from_le_bytes), shape),
            DType::I64 => Tensor::from_slice(&elements(bytes, i64::from_le_bytes), shape),
            DType::BF16 => Tensor::from_slice(&elements(bytes, bf16::from_le_bytes), shape),
            DType::F16 => Tensor::from_slice(&elements(bytes, f16::from_le_bytes), shape),
            DType::F32 => Tensor::from_slice(&elements(bytes, f32::from_le_bytes), shape),
            DType::F64 => Tensor::from_slice(&elements(bytes, f64::from_le_bytes), shape),
        }
    }
}

fn fail<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::format(FORMAT, why))
}

/// Elements that have the first axis innermost, with the last axis innermost.
fn to_c_order(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut result = Vec::with_capacity(bytes.len());
    // How far neighbours along each axis are from each other in `bytes`.
    let strides: Vec<usize> = shape
        .iter()
        .scan(size, |stride, &size| {
            let this = *stride;
            *stride *= size.max(1);
            Some(this)
        })
        .collect();
    let mut index = vec![0; shape.len()];
    let mut place = 0;
    while result.len() < bytes.len() {
        result.extend_from_slice(&bytes[place..place + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            place -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    result
}
