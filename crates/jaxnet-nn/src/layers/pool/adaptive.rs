//! Pooling to sizes that are given.

use std::borrow::Cow;

use jaxnet_tensor::{Dims, OrRaise, Tensor, lax};

use super::{as_float, first_spatial};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Reduces an axis to so many parts, as equal as they can be: as in PyTorch, part `i` of `n` elements starts
/// at `i * n / parts`, rounded down, and ends before `(i + 1) * n / parts`, rounded up, so that parts overlap
/// where they do not come out even.
#[track_caller]
fn reduce_parts(x: &Tensor, axis: usize, parts: usize, reduce: fn(&Tensor, isize) -> Tensor) -> Tensor {
    let size = x.shape()[axis];
    if size == parts {
        return x.clone();
    }
    if size.is_multiple_of(parts) {
        let mut split = x.shape().to_vec();
        split.splice(axis..=axis, [parts, size / parts]);
        return reduce(&x.reshape(split), axis as isize + 1);
    }
    let part = |i: usize| {
        let (start, end) = (i * size / parts, ((i + 1) * size).div_ceil(parts));
        reduce(&lax::slice_axis(x, axis, start, end, 1).or_raise(), axis as isize)
    };
    Tensor::stack(&(0..parts).map(part).collect::<Vec<_>>(), axis as isize)
}

macro_rules! adaptive_pool {
    ($(#[$doc:meta])* $Pool:ident, $name:literal, $prepare:expr, $reduce:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Pool {
            sizes: Dims,
        }

        impl $Pool {
            /// To these sizes of the spatial axes.
            pub fn new<const N: usize>(sizes: [usize; N]) -> Self {
                $Pool { sizes: sizes[..].into() }
            }

            /// As a clone, since pooling has no parameters.
            pub fn fresh(&self) -> Self {
                self.clone()
            }
        }

        impl Module<Tensor> for $Pool {
            type Output = Tensor;

            fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
                let first = first_spatial(cx, stringify!($Pool), self.sizes.len(), x);
                if self.sizes.is_empty() || self.sizes.contains(&0) {
                    cx.fail(
                        stringify!($Pool),
                        format!("sizes {:?} must be those of at least one spatial axis, each at least 1", self.sizes),
                    )
                }
                if x.shape()[first..x.rank() - 1].contains(&0) {
                    cx.fail(stringify!($Pool), format!("there is nothing to pool over in shape {}", x.shape()))
                }
                let prepare: fn(&Tensor) -> Tensor = $prepare;
                self.sizes.iter().enumerate().fold(prepare(x), |y, (i, &parts)| {
                    reduce_parts(&y, first + i, parts, $reduce)
                })
            }

            fn id(&self) -> Option<ModuleId> {
                None
            }

            fn name(&self) -> Cow<'_, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

adaptive_pool! {
    /// Averages over an input of shape [batch.., spatial.., channels], to given sizes of the spatial axes, whatever
    /// they were.
    ///
    /// Each axis is cut into as equal parts as it can be, which overlap where they do not come out even, as in
    /// PyTorch.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = AdaptiveAvgPool::new([2]);
    /// let x = tensor![[1.0], [3.0], [8.0]];
    /// assert_eq!(pool.apply(&Params::empty(), &x).to_vec::<f32>(), [2.0, 5.5]);
    /// ```
    AdaptiveAvgPool, "adaptive_avg_pool", as_float, |x, axis| x.mean_axis(axis)
}

adaptive_pool! {
    /// Maxima over an input of shape [batch.., spatial.., channels], to given sizes of the spatial axes, whatever
    /// they were.
    ///
    /// Each axis is cut into as equal parts as it can be, which overlap where they do not come out even, as in
    /// PyTorch.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = AdaptiveMaxPool::new([2, 1]);
    /// let images = Tensor::range(12).reshape([3, 4, 1]);
    /// assert_eq!(pool.apply(&Params::empty(), &images).to_vec::<i32>(), [7, 11]);
    /// ```
    AdaptiveMaxPool, "adaptive_max_pool", Tensor::clone, |x, axis| x.max_axis(axis)
}

adaptive_pool! {
    /// Sums over an input of shape [batch.., spatial.., channels], to given sizes of the spatial axes, whatever they
    /// were.
    ///
    /// Each axis is cut into as equal parts as it can be, which overlap where they do not come out even, as those of
    /// [`AdaptiveAvgPool`].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = AdaptiveSumPool::new([2]);
    /// let x = tensor![[1], [3], [8]];
    /// assert_eq!(pool.apply(&Params::empty(), &x).to_vec::<i32>(), [4, 11]);
    /// ```
    AdaptiveSumPool, "adaptive_sum_pool", Tensor::clone, |x, axis| x.sum_axis(axis)
}
