//! Small pieces for training loops, which stay plain loops in your hands.
//!
//! [`Loader`] makes batches, [`Checkpoints`] keeps the state of training in files, [`Mean`] follows how it
//! goes, and [`EarlyStopping`] says when it goes no further. Each works without the others.
//!
//! What a run needs to go on as if it had never stopped is one tree: the optimizer's state, which counts the
//! steps, and whatever else the loop carries. The batches follow from the number of steps, random keys from it
//! and the seed.
//!
//! ```
//! use jaxnet_nn::prelude::*;
//! use jaxnet_nn::train::{Checkpoints, Loader};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let xs = Key::new(1).normal([20, 3]);
//! let data = (xs.clone(), xs.sum_axis(-1).expand_dims(-1));
//!
//! let train = |epochs: usize, folder: &std::path::Path| -> Result<Vec<f32>> {
//!     let loader = Loader::new(data.map_leaves(|_, leaf| leaf.clone()), 4).shuffled(Key::new(2));
//!     let checkpoints = Checkpoints::new(folder)?.keep(2);
//!     let gradient = jit(grad(|(w, x, y): (Tensor, Tensor, Tensor)| (x.matmul(&w) - y).square().mean()));
//!     let (mut step, mut w) = match checkpoints.latest()? {
//!         Some((step, w)) => (step as usize, w),
//!         None => (0, Tensor::zeros([3, 1])),
//!     };
//!     while step < epochs * loader.len() {
//!         for batch in loader.rest_of_epoch(step) {
//!             let (x, y) = batch?;
//!             w = &w - 0.1 * gradient.call((w.clone(), x, y)).0;
//!             step += 1;
//!         }
//!         checkpoints.save(step as u64, &w)?;
//!     }
//!     Ok(w.to_vec())
//! };
//! let (all, parts) = (folder.path().join("all"), folder.path().join("parts"));
//! let once = train(4, &all)?;
//! train(2, &parts)?;
//! assert_eq!(train(4, &parts)?, once); // to the last bit
//! # Ok::<(), Error>(())
//! ```

mod checkpoints;
mod early_stopping;
mod loader;
mod mean;

pub use checkpoints::Checkpoints;
pub use early_stopping::EarlyStopping;
pub use loader::{Batches, Dataset, Loader};
pub use mean::Mean;
