//! Batches of data sets.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use jaxnet_tensor::{Device, Error, Key, OrRaise, Result, Tensor, Tree, raise, try_catch};

/// Rows that are read by number.
///
/// Trees of tensors are data sets, whose rows are the slices along their leaves' leading axes. Implement it for
/// what is read from files as it is needed.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
/// use jaxnet_nn::train::{Dataset, Loader};
///
/// struct Squares;
///
/// impl Dataset for Squares {
///     type Batch = (Tensor, Tensor);
///
///     fn rows(&self) -> usize {
///         100
///     }
///
///     fn batch(&self, rows: &[usize]) -> Result<(Tensor, Tensor)> {
///         let x: Vec<f32> = rows.iter().map(|row| *row as f32).collect();
///         let x = Tensor::from_slice(&x, [rows.len()])?;
///         Ok((x.clone(), x.square()))
///     }
/// }
///
/// let (x, y) = Loader::new(Squares, 3).epoch(0).next().unwrap()?;
/// assert_eq!((x.to_vec::<f32>(), y.to_vec::<f32>()), (vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 4.0]));
/// # Ok::<(), Error>(())
/// ```
pub trait Dataset: Send + Sync + 'static {
    /// What a batch is.
    type Batch: Tree + Send;

    /// The number of rows.
    fn rows(&self) -> usize;

    /// These rows together, in this order.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn batch(&self, rows: &[usize]) -> Result<Self::Batch>;
}

impl<T: Tree + Send + Sync> Dataset for T {
    type Batch = T;

    /// # Panics
    ///
    /// If the tree has no leaves, or these differ in the size of their leading axes.
    fn rows(&self) -> usize {
        let leaves = self.leaves();
        let sizes: Vec<Option<&usize>> = leaves.iter().map(|leaf| leaf.shape().dims().first()).collect();
        match sizes.first() {
            Some(Some(first)) if sizes.iter().all(|size| size == &sizes[0]) => **first,
            _ => {
                let shapes: Vec<String> = leaves.iter().map(|leaf| leaf.aval().to_string()).collect();
                let message = format!(
                    "a tree is a data set when its leaves have leading axes of one size, its rows; these are [{}]",
                    shapes.join(", ")
                );
                raise(Error::invalid("Loader", message))
            }
        }
    }

    fn batch(&self, rows: &[usize]) -> Result<T> {
        let numbers: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let numbers = Tensor::from_slice(&numbers, [rows.len()])?;
        Ok(self.map_leaves(|_, leaf| leaf.take(&numbers, 0)))
    }
}

/// Batches of a [`Dataset`], epoch by epoch, made by a thread of their own while others are learned from.
///
/// All batches have the same size, so that a compiled function serves them all: rows that are left over are
/// dropped, others in each epoch where the order is drawn; [`keep_last`](Self::keep_last) makes a smaller batch
/// of them.
///
/// Nothing in it changes: which batches an epoch has follows from the data, the batch size and the key, so that
/// training which starts again in the middle sees what it would have seen.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
/// use jaxnet_nn::train::Loader;
///
/// let data = (Tensor::range(10), Tensor::range(10) * 2);
/// let loader = Loader::new(data, 4).shuffled(Key::new(0));
/// for epoch in 0..3 {
///     for batch in loader.epoch(epoch) {
///         let (x, y) = batch?;
///         assert_eq!((x * 2).to_vec::<i32>(), y.to_vec::<i32>());
///     }
/// }
/// assert_eq!(loader.len(), 2);
/// # Ok::<(), Error>(())
/// ```
pub struct Loader<D> {
    dataset: Arc<D>,
    rows: usize,
    batch_size: usize,
    key: Option<Key>,
    keep_last: bool,
    prefetch: usize,
    device: Option<Device>,
}

impl<D: Dataset> Loader<D> {
    /// Batches of the rows in order, of which two are made ahead.
    ///
    /// # Panics
    ///
    /// If the batch size is 0, or the leaves of a tree have different numbers of rows.
    #[track_caller]
    pub fn new(dataset: D, batch_size: usize) -> Loader<D> {
        if batch_size == 0 {
            raise(Error::invalid("Loader", "a batch size of 0; batches have at least one row"));
        }
        let rows = dataset.rows();
        Loader { dataset: Arc::new(dataset), rows, batch_size, key: None, keep_last: false, prefetch: 2, device: None }
    }

    /// In each epoch another order, which the key and the epoch's number decide.
    pub fn shuffled(self, key: Key) -> Self {
        Loader { key: Some(key), ..self }
    }

    /// The rows that are left over make a last, smaller batch.
    pub fn keep_last(self) -> Self {
        Loader { keep_last: true, ..self }
    }

    /// How many batches are made ahead. With 0, there is no thread, and a batch is made when it is asked for.
    pub fn prefetch(self, batches: usize) -> Self {
        Loader { prefetch: batches, ..self }
    }

    /// Moves batches to a device, ahead, too.
    pub fn to_device(self, device: &Device) -> Self {
        Loader { device: Some(device.clone()), ..self }
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        if self.keep_last { self.rows.div_ceil(self.batch_size) } else { self.rows / self.batch_size }
    }

    /// Whether there are no batches: fewer rows than a batch has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: usize) -> Batches<D> {
        self.batches(epoch, 0)
    }

    /// What an epoch still has after so many batches since the start of training. At the end of an epoch, that
    /// is the whole next one.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// use jaxnet_nn::train::Loader;
    ///
    /// let loader = Loader::new(Tensor::range(9), 3).shuffled(Key::new(0));
    /// let fourth = loader.epoch(1).next().unwrap()?;
    /// let (later, rest) = (loader.rest_of_epoch(3).next().unwrap()?, loader.rest_of_epoch(4));
    /// assert_eq!(later.to_vec::<i32>(), fourth.to_vec::<i32>());
    /// assert_eq!(rest.len(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn rest_of_epoch(&self, step: usize) -> Batches<D> {
        match self.len() {
            0 => self.batches(0, 0),
            count => self.batches(step / count, step % count),
        }
    }

    fn batches(&self, epoch: usize, first: usize) -> Batches<D> {
        let order: Vec<usize> = match &self.key {
            None => (0..self.rows).collect(),
            Some(key) => {
                let order = key.fold_in(epoch as i64).shuffled_range(self.rows);
                order.to_vec::<i32>().into_iter().map(|row| row as usize).collect()
            }
        };
        let reader = Reader {
            dataset: self.dataset.clone(),
            order,
            batch_size: self.batch_size,
            device: self.device.clone(),
            left: first..self.len(),
        };
        let left = reader.left.len();
        let source = if self.prefetch == 0 { Source::Here(reader) } else { ahead(reader, self.prefetch) };
        Batches { source, left }
    }
}

impl<D> fmt::Debug for Loader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("rows", &self.rows)
            .field("batch_size", &self.batch_size)
            .field("shuffled", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

/// The batches of an epoch, made by [`Loader::epoch`].
///
/// Each is an `Err` where it could not be read; the next one may be tried then.
pub struct Batches<D: Dataset> {
    source: Source<D>,
    left: usize,
}

enum Source<D: Dataset> {
    Here(Reader<D>),
    /// The receiver goes first when it ends early, which ends the thread.
    Ahead(Option<Receiver<Result<D::Batch>>>, Option<JoinHandle<()>>),
}

struct Reader<D> {
    dataset: Arc<D>,
    order: Vec<usize>,
    batch_size: usize,
    device: Option<Device>,
    left: Range<usize>,
}

impl<D: Dataset> Reader<D> {
    fn next(&mut self) -> Option<Result<D::Batch>> {
        let start = self.left.next()? * self.batch_size;
        let rows = &self.order[start..self.order.len().min(start + self.batch_size)];
        // What numeric code raises is an error of this batch, too.
        let batch = try_catch(|| self.dataset.batch(rows)).and_then(|batch| batch);
        Some(batch.and_then(|batch| match &self.device {
            Some(device) => batch.to_device(device),
            None => Ok(batch),
        }))
    }
}

fn ahead<D: Dataset>(mut reader: Reader<D>, batches: usize) -> Source<D> {
    // One is held by the thread while it waits.
    let (sender, receiver) = sync_channel(batches - 1);
    let work = move || {
        while let Some(batch) = reader.next() {
            if sender.send(batch).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("batches".into()).spawn(work);
    let thread = thread.map_err(|error| Error::invalid("Loader", format!("no thread to make batches: {error}")));
    Source::Ahead(Some(receiver), Some(thread.or_raise()))
}

impl<D: Dataset> Iterator for Batches<D> {
    type Item = Result<D::Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match &mut self.source {
            Source::Here(reader) => reader.next(),
            Source::Ahead(receiver, thread) => {
                let batch = receiver.as_ref().and_then(|receiver| receiver.recv().ok());
                // At the end: by a panic, perhaps, which goes on here.
                let ended = if batch.is_none() { thread.take() } else { None };
                if let Some(Err(payload)) = ended.map(JoinHandle::join) {
                    resume_unwind(payload);
                }
                batch
            }
        };
        self.left = self.left.saturating_sub(1);
        batch
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<D: Dataset> ExactSizeIterator for Batches<D> {}
impl<D: Dataset> FusedIterator for Batches<D> {}

impl<D: Dataset> Drop for Batches<D> {
    fn drop(&mut self) {
        if let Source::Ahead(receiver, thread) = &mut self.source {
            *receiver = None;
            if let Some(thread) = thread.take() {
                // What it panicked with was not asked for.
                let _ = catch_unwind(AssertUnwindSafe(|| thread.join()));
            }
        }
    }
}
