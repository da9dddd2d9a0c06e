//! The binary files of CIFAR-10: colour images of 32 by 32 pixels, in ten classes.
//!
//! A file holds images one after the other: a byte for the class, and 1024 bytes each for red, green and blue, row by
//! row.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jaxnet_tensor::{Error, Result, Tensor};

use crate::data::Labeled;

const SIZE: usize = 32;
const PIXELS: usize = SIZE * SIZE;
/// The bytes of an image, with its class.
const RECORD: usize = 1 + 3 * PIXELS;
/// A file of the data set has 30 megabytes.
const MAX_BYTES: usize = 1 << 30;

/// CIFAR-10: images u8 of shape (images, 32, 32, 3), and classes i32.
#[derive(Clone, Debug)]
pub struct Cifar10 {
    /// What to train on.
    pub train: Labeled,
    /// What to test with.
    pub test: Labeled,
}

impl Cifar10 {
    /// Reads `data_batch_1.bin`, … as far as there are any, and `test_batch.bin`, from a folder.
    ///
    /// # Errors
    ///
    /// When the first of these or the last is missing, or one is not of whole images or has classes beyond ten.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_examples::cifar::Cifar10;
    ///
    /// let folder = tempfile::tempdir().unwrap();
    /// let image = [&[7], &[255; 1024][..], &[0; 1024], &[128; 1024]].concat();
    /// std::fs::write(folder.path().join("data_batch_1.bin"), image.repeat(2)).unwrap();
    /// std::fs::write(folder.path().join("test_batch.bin"), &image).unwrap();
    /// let data = Cifar10::load(folder.path())?;
    /// assert_eq!(data.train.images.shape().dims(), [2, 32, 32, 3]);
    /// assert_eq!(data.train.labels.to_vec::<i32>(), [7, 7]);
    /// assert_eq!(data.test.images.to_vec::<u8>()[..6], [255, 0, 128, 255, 0, 128]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn load(folder: impl AsRef<Path>) -> Result<Cifar10> {
        let folder = folder.as_ref();
        let batch = |i: usize| folder.join(format!("data_batch_{i}.bin"));
        let batches: Vec<PathBuf> = (1..).map(batch).take_while(|path| path.exists()).collect();
        let train = if batches.is_empty() { vec![batch(1)] } else { batches };
        Ok(Cifar10 { train: read(&train)?, test: read(&[folder.join("test_batch.bin")])? })
    }
}

fn read(paths: &[PathBuf]) -> Result<Labeled> {
    let (mut labels, mut images) = (Vec::new(), Vec::new());
    for path in paths {
        for (i, record) in bytes(path)?.chunks_exact(RECORD).enumerate() {
            if record[0] > 9 {
                let message = format!("image {i} is of class {}, but the last one is 9", record[0]);
                return Err(wrong(path, &message));
            }
            labels.push(i32::from(record[0]));
            images.extend((0..PIXELS).flat_map(|pixel| [0, 1, 2].map(|color| record[1 + color * PIXELS + pixel])));
        }
    }
    let count = labels.len();
    Ok(Labeled {
        images: Tensor::from_slice(&images, [count, SIZE, SIZE, 3])?,
        labels: Tensor::from_slice(&labels, [count])?,
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let fail = |error| Error::io(path, &error);
    let mut data = Vec::new();
    File::open(path).map_err(fail)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut data).map_err(fail)?;
    match data.len() {
        0 => Err(wrong(path, "the file is empty")),
        length if length > MAX_BYTES => Err(wrong(path, "more than a gigabyte; CIFAR-10's files have 30 megabytes")),
        length if !length.is_multiple_of(RECORD) => {
            let (whole, rest) = (length / RECORD, length % RECORD);
            let message = format!("an image has {RECORD} bytes, but after {whole} images there are {rest} bytes more");
            Err(wrong(path, &format!("{message}; was it cut off, or is it CIFAR-100 or the version for Python?")))
        }
        _ => Ok(data),
    }
}

fn wrong(path: &Path, message: &str) -> Error {
    Error::format("CIFAR-10", format!("{}: {message}", path.display()))
}
