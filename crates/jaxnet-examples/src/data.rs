//! Data sets, and batches of them.

use std::path::Path;

use jaxnet_tensor::{Error, Result, Tensor, Tree};

use crate::idx;

/// Images with labels.
#[derive(Clone, Debug, Tree)]
pub struct Labeled {
    /// u8, of shape (images, height, width), or with a last axis of colours: (images, 28, 28) for MNIST.
    pub images: Tensor,
    /// i32, of shape (images).
    pub labels: Tensor,
}

impl Labeled {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.dim(0)
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first so many images, or all where there are fewer.
    pub fn first(&self, count: usize) -> Labeled {
        self.map_leaves(|_, leaf| leaf.i(..count.min(self.len())))
    }
}

/// The MNIST data set of handwritten digits, or one in its format.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// What to train on.
    pub train: Labeled,
    /// What to test with.
    pub test: Labeled,
}

impl Mnist {
    /// 8,000 digits to train on and 2,000 to test with, from the original 70,000, which come with this crate.
    ///
    /// # Errors
    ///
    /// When the crate's folder is not where it was built.
    pub fn bundled() -> Result<Mnist> {
        Mnist::load(concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist-10k"))
    }

    /// Reads the four files, under their usual names and gzipped or not, from a folder.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, images are not of 28 by 28 pixels, labels are no digits, or
    /// there are not as many labels as images.
    pub fn load(folder: impl AsRef<Path>) -> Result<Mnist> {
        let folder = folder.as_ref();
        Ok(Mnist { train: labeled(folder, "train")?, test: labeled(folder, "t10k")? })
    }
}

fn labeled(folder: &Path, name: &str) -> Result<Labeled> {
    let read = |kind: &str| {
        let plain = folder.join(format!("{name}-{kind}-ubyte"));
        idx::load(if plain.exists() { plain } else { folder.join(format!("{name}-{kind}-ubyte.gz")) })
    };
    let (images, labels) = (read("images-idx3")?, read("labels-idx1")?);
    let wrong = |message: String| Err(Error::format("MNIST", format!("{} ({name}): {message}", folder.display())));
    match (images.aval().to_string(), labels.aval().to_string(), images.shape().dims()) {
        (_, _, [count, 28, 28]) if labels.shape().dims() == [*count] && *count > 0 => {}
        (images, labels, _) => {
            return wrong(format!("needs images u8[n,28,28] and labels u8[n] with n > 0, found {images} and {labels}"));
        }
    }
    let (Ok(_), Ok(numbers)) = (images.try_to_vec::<u8>(), labels.try_to_vec::<u8>()) else {
        return wrong(format!("pixels and labels must be bytes, not {} and {}", images.dtype(), labels.dtype()));
    };
    if let Some(label) = numbers.iter().find(|label| **label > 9) {
        return wrong(format!("there is a label {label}, but digits end at 9"));
    }
    Ok(Labeled { images, labels: labels.astype(jaxnet_tensor::DType::I32) })
}
