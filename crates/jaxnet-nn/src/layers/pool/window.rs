//! Pooling by windows that slide.

use std::borrow::Cow;

use jaxnet_tensor::primitive::{WindowDims, WindowKind};
use jaxnet_tensor::{DType, Dims, OrRaise, Shape, Tensor, lax};

use super::super::spatial::{Layout, Padding, Windows};
use super::as_float;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

impl Windows {
    /// The windows over all axes of an input.
    fn over(&self, layout: &Layout) -> WindowDims {
        let around = |sizes: &Dims| -> Dims {
            let before = std::iter::repeat_n(1, layout.batch.rank());
            before.chain(sizes.iter().copied()).chain([1]).collect()
        };
        let mut padding = vec![(0, 0); layout.batch.rank()];
        padding.extend(&layout.padding);
        padding.push((0, 0));
        WindowDims { strides: around(&self.strides), padding, ..WindowDims::new(around(&self.size)) }
    }
}

/// Sums divided by how many elements of the input each window has.
#[track_caller]
fn average(x: &Tensor, windows: &Windows, layout: &Layout) -> Tensor {
    let x = as_float(x);
    let sum = lax::reduce_window(WindowKind::Sum, &x, &windows.over(layout)).or_raise();
    if layout.padding.iter().all(|&padding| padding == (0, 0)) {
        return sum / windows.size.iter().product::<usize>() as f64;
    }
    // Padding is not counted, so that it does not dilute the average at the edges.
    let spatial = &x.shape()[layout.batch.rank()..x.rank() - 1];
    let ones = Tensor::ones(spatial.iter().copied().chain([1]).collect::<Shape>());
    let alone = Layout { batch: Shape::scalar(), padding: layout.padding.clone() };
    let count = lax::reduce_window(WindowKind::Sum, &ones, &windows.over(&alone)).or_raise();
    // Where a window is all padding the average is 0, not NaN.
    sum / count.maximum(1.0).astype(x.dtype())
}

macro_rules! pool {
    ($(#[$doc:meta])* $Pool:ident, $name:literal, $run:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Pool {
            windows: Windows,
        }

        impl $Pool {
            /// Windows of these sizes along the spatial axes, which move by 1 and do not reach over the edges
            /// unless told otherwise, as in JAXnet.
            pub fn new<const N: usize>(window: [usize; N]) -> Self {
                $Pool { windows: Windows::new(&window) }
            }

            /// How far windows move along each spatial axis. (As far as the windows' sizes, they do not
            /// overlap.)
            pub fn strides<const N: usize>(self, strides: [usize; N]) -> Self {
                $Pool { windows: Windows { strides: strides[..].into(), ..self.windows } }
            }

            /// How far windows reach over the edges: `Padding::Same`, or so many places before and after each
            /// spatial axis, `[(1, 1), (0, 2)]`.
            pub fn padding(self, padding: impl Into<Padding>) -> Self {
                $Pool { windows: Windows { padding: padding.into(), ..self.windows } }
            }

            /// As a clone, since pooling has no parameters.
            pub fn fresh(&self) -> Self {
                self.clone()
            }
        }

        impl Module<Tensor> for $Pool {
            type Output = Tensor;

            fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
                let layout = self.windows.layout(cx, stringify!($Pool), x);
                let run: fn(&Tensor, &Windows, &Layout) -> Tensor = $run;
                run(x, &self.windows, &layout)
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

pool! {
    /// The maximum of each window over the spatial axes of an input of shape [batch.., spatial.., channels].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = MaxPool::new([2, 2]).strides([2, 2]);
    /// let x = Tensor::range(16).reshape([1, 4, 4, 1]);
    /// assert_eq!(pool.apply(&Params::empty(), &x).to_vec::<i32>(), [5, 7, 13, 15]);
    /// ```
    MaxPool, "max_pool", |x, windows, layout| {
        lax::reduce_window(WindowKind::Max, x, &windows.over(layout)).or_raise()
    }
}

pool! {
    /// The average of each window over the spatial axes of an input of shape [batch.., spatial.., channels]:
    /// of the elements that are really there, without padding.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = AvgPool::new([2]).padding(Padding::Same);
    /// let x = tensor![[1.0], [3.0], [8.0]];
    /// assert_eq!(pool.apply(&Params::empty(), &x).to_vec::<f32>(), [2.0, 5.5, 8.0]);
    /// ```
    AvgPool, "avg_pool", average
}

pool! {
    /// The sum of each window over the spatial axes of an input of shape [batch.., spatial.., channels].
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let pool = SumPool::new([2]);
    /// let x = tensor![[1.0], [3.0], [8.0]];
    /// assert_eq!(pool.apply(&Params::empty(), &x).to_vec::<f32>(), [4.0, 11.0]);
    /// ```
    SumPool, "sum_pool", |x, windows, layout| {
        let x = if x.dtype() == DType::Bool { x.astype(DType::I32) } else { x.clone() };
        lax::reduce_window(WindowKind::Sum, &x, &windows.over(layout)).or_raise()
    }
}
