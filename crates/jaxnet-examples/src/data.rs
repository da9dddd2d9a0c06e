//! Data sets, and batches of them.

use std::path::Path;

use jaxnet_tensor::{Error, Key, Result, Tensor, Tree};

use crate::idx;

/// Images with labels.
#[derive(Clone, Debug, Tree)]
pub struct Labeled {
    /// u8, of shape (images, 28, 28).
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

/// The rows of a data set, a tree whose leaves have an axis of one size in front, in batches.
///
/// All batches have the same size, so that a compiled function serves them all: the rows that are left
/// over are dropped. With another order in each epoch, other rows are.
///
/// ```
/// use jaxnet_examples::data::shuffled_batches;
/// use jaxnet_tensor::{Key, Tensor};
///
/// let data = (Tensor::range(10), Tensor::range(10) * 2);
/// let batches: Vec<_> = shuffled_batches(&data, 4, Key::new(0)).collect();
/// assert_eq!(batches.len(), 2);
/// assert_eq!((&batches[0].0 * 2).to_vec::<i32>(), batches[0].1.to_vec::<i32>());
/// ```
///
/// # Panics
///
/// If the batch size is 0, or the leaves differ in the size of their leading axes.
pub fn shuffled_batches<T: Tree>(data: &T, batch_size: usize, key: Key) -> impl ExactSizeIterator<Item = T> {
    let order = key.shuffled_range(rows(data)).to_vec::<i32>();
    let batches: Vec<Vec<i32>> = order.chunks_exact(batch_size).map(<[i32]>::to_vec).collect();
    gather(data, batches)
}

/// The rows of a data set in order, in batches of at most `batch_size`; the last one holds what is left.
///
/// # Panics
///
/// As [`shuffled_batches`].
pub fn ordered_batches<T: Tree>(data: &T, batch_size: usize) -> impl ExactSizeIterator<Item = T> {
    let order: Vec<i32> = (0..rows(data) as i32).collect();
    let batches: Vec<Vec<i32>> = order.chunks(batch_size).map(<[i32]>::to_vec).collect();
    gather(data, batches)
}

fn rows<T: Tree>(data: &T) -> usize {
    let sizes: Vec<usize> = data.leaves().iter().map(|leaf| leaf.dim(0)).collect();
    let first = *sizes.first().expect("a data set has at least one leaf");
    assert!(sizes.iter().all(|size| *size == first), "the leaves have different numbers of rows: {sizes:?}");
    first
}

fn gather<T: Tree>(data: &T, batches: Vec<Vec<i32>>) -> impl ExactSizeIterator<Item = T> {
    let data = data.map_leaves(|_, leaf| leaf.clone());
    batches.into_iter().map(move |rows| {
        let rows = Tensor::from_slice(&rows, rows.len()).expect("as many as there are");
        data.map_leaves(|_, leaf| leaf.take(&rows, 0))
    })
}
