//! Reductions.

use super::Tensor;
use crate::dtype::DType;
use crate::error::{OrRaise, Result};
use crate::lax;
use crate::primitive::{ArgKind, CumulativeKind, ReduceKind};
use crate::shape::{Dims, IntoAxes};

/// Puts reduced axes back with size 1.
fn keep(reduced: &Tensor, of: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let shape: crate::Shape =
        of.shape().iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect();
    lax::reshape(reduced, shape)
}

fn reduce(kind: ReduceKind, x: &Tensor, axes: impl IntoAxes, keepdims: bool) -> Result<Tensor> {
    let op = match kind {
        ReduceKind::Sum => "sum",
        ReduceKind::Prod => "prod",
        ReduceKind::Max => "max",
        ReduceKind::Min => "min",
        ReduceKind::And => "all",
        ReduceKind::Or => "any",
    };
    let axes = x.axes(op, axes)?;
    let x = match kind {
        // Booleans are counted, small integers become larger ones, and all are asked whether they are not 0, as in
        // numpy.
        ReduceKind::Sum | ReduceKind::Prod if x.dtype() == DType::Bool => lax::convert(x, DType::I32)?,
        ReduceKind::Sum | ReduceKind::Prod if x.dtype() == DType::U8 => lax::convert(x, DType::U32)?,
        ReduceKind::And | ReduceKind::Or => lax::convert(x, DType::Bool)?,
        _ => x.clone(),
    };
    let y = lax::reduce(kind, &x, &axes)?;
    if keepdims { keep(&y, &x, &axes) } else { Ok(y) }
}

macro_rules! reductions {
    ($($kind:ident, $what:literal, $all:ident, $axis:ident, $keepdims:ident;)*) => {
        /// # Reductions
        ///
        /// Each comes in three forms: over all elements; over some axes (`-1`, `[0, 2]`, `..`), which
        /// vanish; and over some axes, which stay with size 1 so that the result broadcasts against
        /// the operand.
        impl Tensor {$(
            #[doc = concat!($what, " of all elements.")]
            #[track_caller]
            pub fn $all(&self) -> Tensor {
                reduce(ReduceKind::$kind, self, .., false).or_raise()
            }

            #[doc = concat!($what, " of the elements along some axes, which vanish.")]
            #[track_caller]
            pub fn $axis(&self, axes: impl IntoAxes) -> Tensor {
                reduce(ReduceKind::$kind, self, axes, false).or_raise()
            }

            #[doc = concat!($what, " of the elements along some axes, which stay with size 1.")]
            #[track_caller]
            pub fn $keepdims(&self, axes: impl IntoAxes) -> Tensor {
                reduce(ReduceKind::$kind, self, axes, true).or_raise()
            }
        )*}
    };
}

reductions! {
    Sum, "The sum (0 of nothing; i32 of `bool`, and u32 of u8)", sum, sum_axis, sum_keepdims;
    Prod, "The product (1 of nothing; i32 of `bool`, and u32 of u8)", prod, prod_axis, prod_keepdims;
    Max, "The maximum (NaN if there is one, the least value of nothing)", max, max_axis, max_keepdims;
    Min, "The minimum (NaN if there is one, the greatest value of nothing)", min, min_axis, min_keepdims;
    And, "Whether all are true, or not 0,", all, all_axis, all_keepdims;
    Or, "Whether any is true, or not 0,", any, any_axis, any_keepdims;
}

/// # Statistics
impl Tensor {
    /// The mean of all elements, in floating point; NaN of nothing.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].mean().item::<f32>(), 2.0);
    /// ```
    #[track_caller]
    pub fn mean(&self) -> Tensor {
        mean(self, .., false).or_raise()
    }

    /// The mean along some axes, which vanish.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1.0, 2.0], [3.0, 4.0]].mean_axis(0).to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn mean_axis(&self, axes: impl IntoAxes) -> Tensor {
        mean(self, axes, false).or_raise()
    }

    /// The mean along some axes, which stay with size 1.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[1.0, 2.0], [3.0, 4.0]];
    /// assert_eq!((&x - x.mean_keepdims(1)).to_vec::<f32>(), [-0.5, 0.5, -0.5, 0.5]);
    /// ```
    #[track_caller]
    pub fn mean_keepdims(&self, axes: impl IntoAxes) -> Tensor {
        mean(self, axes, true).or_raise()
    }

    /// The variance of all elements: the mean square of the distance from the mean.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 3.0].var().item::<f32>(), 1.0);
    /// ```
    #[track_caller]
    pub fn var(&self) -> Tensor {
        var(self, .., false).or_raise()
    }

    /// The variance along some axes, which vanish.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1.0, 3.0], [2.0, 2.0]].var_axis(-1).to_vec::<f32>(), [1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn var_axis(&self, axes: impl IntoAxes) -> Tensor {
        var(self, axes, false).or_raise()
    }

    /// The variance along some axes, which stay with size 1.
    #[track_caller]
    pub fn var_keepdims(&self, axes: impl IntoAxes) -> Tensor {
        var(self, axes, true).or_raise()
    }

    /// The standard deviation of all elements, the root of the [variance](Self::var).
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 5.0].std().item::<f32>(), 2.0);
    /// ```
    #[track_caller]
    pub fn std(&self) -> Tensor {
        self.var().sqrt()
    }

    /// The standard deviation along some axes, which vanish.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1.0, 5.0], [2.0, 2.0]].std_axis(-1).to_vec::<f32>(), [2.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn std_axis(&self, axes: impl IntoAxes) -> Tensor {
        self.var_axis(axes).sqrt()
    }

    /// The standard deviation along some axes, which stay with size 1.
    #[track_caller]
    pub fn std_keepdims(&self, axes: impl IntoAxes) -> Tensor {
        self.var_keepdims(axes).sqrt()
    }

    /// `log(sum(exp(x)))` of all elements, without overflow; -inf of nothing.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1000.0, f32::NEG_INFINITY].logsumexp().item::<f32>(), 1000.0);
    /// ```
    #[track_caller]
    pub fn logsumexp(&self) -> Tensor {
        logsumexp(self, .., false).or_raise()
    }

    /// `log(sum(exp(x)))` along some axes, which vanish.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[0.0, 0.0], [1e4, -1e4]];
    /// assert!(x.logsumexp_axis(1).allclose(tensor![2_f32.ln(), 1e4], 1e-6, 0.0));
    /// ```
    #[track_caller]
    pub fn logsumexp_axis(&self, axes: impl IntoAxes) -> Tensor {
        logsumexp(self, axes, false).or_raise()
    }

    /// `log(sum(exp(x)))` along some axes, which stay with size 1.
    #[track_caller]
    pub fn logsumexp_keepdims(&self, axes: impl IntoAxes) -> Tensor {
        logsumexp(self, axes, true).or_raise()
    }

    /// The index along an axis, in i32, of the first greatest element (of the first NaN, if there is
    /// one).
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 5, 5], [7, 0, 0]].argmax(-1).to_vec::<i32>(), [1, 0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the axis is empty.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Tensor {
        self.axis("argmax", axis).and_then(|axis| lax::arg_reduce(ArgKind::Max, self, axis, DType::I32)).or_raise()
    }

    /// The index along an axis, in i32, of the first least element (of the first NaN, if there is one).
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[4, 1], [0, 0]].argmin(-1).to_vec::<i32>(), [1, 0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the axis is empty.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Tensor {
        self.axis("argmin", axis).and_then(|axis| lax::arg_reduce(ArgKind::Min, self, axis, DType::I32)).or_raise()
    }
}

macro_rules! cumulative {
    ($($(#[$doc:meta])* $method:ident => $kind:ident;)*) => {
        /// # Cumulative reductions
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, axis: isize) -> Tensor {
                let x = if self.dtype() == DType::Bool { self.astype(DType::I32) } else { self.clone() };
                x.axis(stringify!($method), axis)
                    .and_then(|axis| lax::cumulative(CumulativeKind::$kind, &x, axis, false))
                    .or_raise()
            }
        )*}
    };
}

cumulative! {
    /// The sum of each element and all before it along an axis.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].cumsum(0).to_vec::<i32>(), [1, 3, 6]);
    /// ```
    cumsum => Sum;
    /// The product of each element and all before it along an axis.
    cumprod => Prod;
    /// The maximum of each element and all before it along an axis.
    cummax => Max;
    /// The minimum of each element and all before it along an axis.
    cummin => Min;
    /// `log(sum(exp(x)))` of each element and all before it along an axis, without overflow.
    cumlogsumexp => LogSumExp;
}

fn count(x: &Tensor, axes: &[usize]) -> f64 {
    axes.iter().map(|&axis| x.shape()[axis]).product::<usize>() as f64
}

fn mean(x: &Tensor, axes: impl IntoAxes, keepdims: bool) -> Result<Tensor> {
    let axes = x.axes("mean", axes)?;
    let wide = wide(x)?;
    let y = lax::reduce(ReduceKind::Sum, &wide, &axes)? / count(x, &axes);
    let y = lax::convert(&y, x.dtype().to_float())?;
    if keepdims { keep(&y, x, &axes) } else { Ok(y) }
}

/// In a dtype in which sums of many are not too much where their mean is not: f32 for half precision, and integers.
fn wide(x: &Tensor) -> Result<Tensor> {
    lax::convert(x, if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 })
}

fn var(x: &Tensor, axes: impl IntoAxes, keepdims: bool) -> Result<Tensor> {
    let axes: Dims = x.axes("var", axes)?;
    let wide = wide(x)?;
    let centered = &wide - mean(&wide, &axes, true)?;
    lax::convert(&mean(&centered.square(), &axes, keepdims)?, x.dtype().to_float())
}

fn logsumexp(x: &Tensor, axes: impl IntoAxes, keepdims: bool) -> Result<Tensor> {
    let axes = x.axes("logsumexp", axes)?;
    let x = lax::convert(x, x.dtype().to_float())?;
    // The shift only guards against overflow, so it takes no part in derivatives; where it is
    // infinite, subtracting it would give NaN.
    let max = keep(&lax::reduce(ReduceKind::Max, &x, &axes)?, &x, &axes)?.stop_gradient();
    let shift = max.is_finite().select(&max, max.zeros_like());
    let sum = lax::reduce(ReduceKind::Sum, &(&x - &shift).exp(), &axes)?;
    let y = keep(&sum, &x, &axes)?.log() + shift;
    if keepdims { Ok(y) } else { lax::reshape(&y, x.shape().without_axes(&axes)) }
}
