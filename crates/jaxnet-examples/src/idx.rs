//! The IDX format of MNIST and its relatives, plain or gzipped.
//!
//! A file holds one array: two zero bytes, a byte for the element type, one for the number of axes, their
//! sizes in 32 bits each, and the elements, all big-endian.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use jaxnet_tensor::{Element, Error, Result, Shape, Tensor};

/// More than any such data set has; a file that says it holds more is damaged or made to do damage.
const MAX_BYTES: usize = 1 << 30;

/// Reads an array of bytes (as u8), of 16- or 32-bit integers (as i32), or of floats (f32, f64).
///
/// # Errors
///
/// When the file cannot be read, or is not in the format: [`Error::Io`] and [`Error::Format`]. No more
/// memory is taken than the file really has data, whatever it says.
pub fn load(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let mut reader = BufReader::new(file);
    let start = reader.fill_buf().map_err(|error| Error::io(path, &error))?;
    let zipped = start.starts_with(&[0x1F, 0x8B]);
    let result = if zipped { read(MultiGzDecoder::new(reader)) } else { read(reader) };
    result.map_err(|problem| match problem {
        // What the decoder finds wrong with the data is not the system's fault.
        Problem::Io(error) if error.raw_os_error().is_some() => Error::io(path, &error),
        Problem::Io(error) => Error::format("IDX", format!("{}: {error}", path.display())),
        Problem::Format(message) => Error::format("IDX", format!("{}: {message}", path.display())),
    })
}

enum Problem {
    Io(std::io::Error),
    Format(String),
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Problem::Io(error)
    }
}

fn format<T>(message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Format(message.into()))
}

fn read(mut from: impl Read) -> Result<Tensor, Problem> {
    let mut magic = [0; 4];
    exactly(&mut from, &mut magic)?;
    let [0, 0, kind, rank] = magic else {
        return format(format!("starts with {magic:02x?}, not with two zero bytes; is it an IDX file?"));
    };
    let width = match kind {
        0x08 => 1,
        0x0B => 2,
        0x0C | 0x0D => 4,
        0x0E => 8,
        _ => return format(format!("element type 0x{kind:02x} is not known (0x08, 0x0b to 0x0e are)")),
    };
    let mut dims = Vec::new();
    for _ in 0..rank {
        let mut size = [0; 4];
        exactly(&mut from, &mut size)?;
        dims.push(u32::from_be_bytes(size) as usize);
    }
    let bytes = Shape::from(&dims).checked_size().and_then(|size| size.checked_mul(width));
    let Some(bytes) = bytes.filter(|&bytes| bytes <= MAX_BYTES) else {
        return format(format!("says that it holds {dims:?} elements, more than a gigabyte"));
    };
    // Grows with what is really there; one byte more, to see whether there is more.
    let mut data = Vec::new();
    from.take(bytes as u64 + 1).read_to_end(&mut data)?;
    if data.len() != bytes {
        let found = if data.len() < bytes { format!("only {}", data.len()) } else { "more".into() };
        return format(format!("says that it holds {bytes} bytes of elements ({dims:?}), but has {found}"));
    }
    let tensor = match kind {
        0x08 => Tensor::from_slice(&data, dims),
        0x0B => elements(&data, dims, |x| i32::from(i16::from_be_bytes(x))),
        0x0C => elements(&data, dims, i32::from_be_bytes),
        0x0D => elements(&data, dims, f32::from_be_bytes),
        _ => elements(&data, dims, f64::from_be_bytes),
    };
    tensor.or_else(|error| format(error.to_string()))
}

fn elements<T: Element, const N: usize>(data: &[u8], dims: Vec<usize>, f: impl Fn([u8; N]) -> T) -> Result<Tensor> {
    let (chunks, _) = data.as_chunks::<N>();
    let elements: Vec<T> = chunks.iter().map(|chunk| f(*chunk)).collect();
    Tensor::from_slice(&elements, dims)
}

fn exactly(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), Problem> {
    from.read_exact(bytes).or_else(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => format("ends within the header"),
        _ => Err(error.into()),
    })
}
