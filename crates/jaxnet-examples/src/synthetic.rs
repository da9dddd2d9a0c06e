//! Images that are made up, to have some of any size.

use jaxnet_nn::train::Dataset;
use jaxnet_tensor::{DType, Key, Result, Tensor};

use crate::data::Labeled;

/// Squares of random colours along each side of an image.
const SQUARES: usize = 8;

/// Mosaics of eight by eight random colours, each in a random class: nothing is to be learned but them.
///
/// ```
/// use jaxnet_examples::synthetic::Mosaics;
/// use jaxnet_nn::train::Dataset;
/// use jaxnet_tensor::Key;
///
/// let batch = Mosaics::new(Key::new(0), 100, 224, 1000).batch(&[3, 99])?;
/// assert_eq!(batch.images.shape().dims(), [2, 224, 224, 3]);
/// assert!(batch.images.i((.., ..28, ..28)).array_equal(&batch.images.i((.., ..1, ..1)).broadcast_to([2, 28, 28, 3])));
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
pub struct Mosaics {
    /// u8, of shape (count, 8, 8, 3).
    colors: Tensor,
    /// i32, of shape (count).
    labels: Tensor,
    size: usize,
}

impl Mosaics {
    /// So many images, of `size` by `size` pixels, in so many classes.
    pub fn new(key: Key, count: usize, size: usize, classes: usize) -> Mosaics {
        let (of_colors, of_labels) = key.split();
        let colors = (of_colors.uniform([count, SQUARES, SQUARES, 3]) * 256.0).floor().astype(DType::U8);
        Mosaics { colors, labels: of_labels.randint([count], 0, classes as i32), size }
    }
}

impl Dataset for Mosaics {
    type Batch = Labeled;

    fn rows(&self) -> usize {
        self.labels.dim(0)
    }

    /// Images u8, of shape (rows, size, size, 3), and classes i32.
    fn batch(&self, rows: &[usize]) -> Result<Labeled> {
        let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let rows = Tensor::from_slice(&rows, [rows.len()])?;
        let squares: Vec<i32> = (0..self.size).map(|place| (place * SQUARES / self.size) as i32).collect();
        let squares = Tensor::from_slice(&squares, [self.size])?;
        let images = self.colors.take(&rows, 0).take(&squares, 1).take(&squares, 2);
        Ok(Labeled { images, labels: self.labels.take(&rows, 0) })
    }
}
