//! Pooling over whole axes.

use std::borrow::Cow;

use jaxnet_tensor::{Error, Tensor, raise};

use super::{as_float, first_spatial};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

macro_rules! global_pool {
    ($(#[$doc:meta])* $Pool:ident, $name:literal, $run:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Pool {
            spatial: usize,
        }

        impl $Pool {
            /// For inputs with so many spatial axes, which vanish.
            ///
            /// # Panics
            ///
            /// If there are none.
            #[track_caller]
            pub fn new(spatial_axes: usize) -> Self {
                if spatial_axes == 0 {
                    raise(Error::invalid(stringify!($Pool), "needs at least one spatial axis to pool over"));
                }
                $Pool { spatial: spatial_axes }
            }

            /// As a clone, since pooling has no parameters.
            pub fn fresh(&self) -> Self {
                self.clone()
            }
        }

        impl Module<Tensor> for $Pool {
            type Output = Tensor;

            fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
                let first = first_spatial(cx, stringify!($Pool), self.spatial, x);
                let axes: Vec<usize> = (first..x.rank() - 1).collect();
                if axes.iter().any(|&axis| x.shape()[axis] == 0) {
                    cx.fail(stringify!($Pool), format!("there is nothing to pool over in shape {}", x.shape()))
                }
                let run: fn(&Tensor, &[usize]) -> Tensor = $run;
                run(x, &axes)
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

global_pool! {
    /// The average over all spatial axes of an input of shape [batch.., spatial.., channels], for each channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = GlobalAvgPool::new(2);
    /// let images = Tensor::ones([10, 7, 7, 64]);
    /// assert_eq!(pool.apply(&Params::empty(), &images).shape().dims(), [10, 64]);
    /// ```
    GlobalAvgPool, "global_avg_pool", |x, axes| as_float(x).mean_axis(axes)
}

global_pool! {
    /// The maximum over all spatial axes of an input of shape [batch.., spatial.., channels], for each channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = GlobalMaxPool::new(1);
    /// let signal = tensor![[1, 5], [3, 2]];
    /// assert_eq!(pool.apply(&Params::empty(), &signal).to_vec::<i32>(), [3, 5]);
    /// ```
    GlobalMaxPool, "global_max_pool", |x, axes| x.max_axis(axes)
}

global_pool! {
    /// The sum over all spatial axes of an input of shape [batch.., spatial.., channels], for each channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = GlobalSumPool::new(1);
    /// let signal = tensor![[1, 5], [3, 2]];
    /// assert_eq!(pool.apply(&Params::empty(), &signal).to_vec::<i32>(), [4, 7]);
    /// ```
    GlobalSumPool, "global_sum_pool", |x, axes| x.sum_axis(axes)
}
