//! Statistics beyond means: quantiles, covariances, differences, counts.

use super::operators::{float, number};
use super::{Operand, Tensor, normalize_axis};
use crate::dtype::DType;
use crate::error::{Error, OrRaise, Result, raise};
use crate::lax;
use crate::primitive::ReduceKind;
use crate::shape::IntoAxes;

/// # More statistics
impl Tensor {
    /// The variance along some axes, which vanish, with the sum of squares divided by the number of
    /// elements less `ddof`: 1 gives the unbiased estimate from a sample.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 2.0, 3.0].var_ddof(.., 1).item::<f32>(), 1.0);
    /// ```
    #[track_caller]
    pub fn var_ddof(&self, axes: impl IntoAxes, ddof: usize) -> Tensor {
        let axes = self.axes("var_ddof", axes).or_raise();
        let x = float(self).or_raise();
        let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
        let centered = &x - x.mean_keepdims(&axes);
        centered.square().sum_axis(&axes) / count.saturating_sub(ddof) as f64
    }

    /// The standard deviation along some axes, which vanish: the root of [`var_ddof`](Self::var_ddof).
    #[track_caller]
    pub fn std_ddof(&self, axes: impl IntoAxes, ddof: usize) -> Tensor {
        self.var_ddof(axes, ddof).sqrt()
    }

    /// The covariances (unbiased) of variables, which are rows of observations: a matrix with a row and
    /// a column for each. A vector is one variable and gives a scalar.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]];
    /// assert_eq!(x.cov().to_vec::<f32>(), [1.0, -1.0, -1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there are not one or two axes.
    #[track_caller]
    pub fn cov(&self) -> Tensor {
        if !(1..=2).contains(&self.rank()) {
            let message = format!("needs a vector, or a matrix with a row for each variable, got {}", self.aval());
            raise(Error::invalid("cov", message));
        }
        let x = float(self).or_raise();
        let centered = &x - x.mean_keepdims(-1);
        centered.inner(&centered) / self.dim(-1).saturating_sub(1) as f64
    }

    /// The quantiles `q`, numbers in 0..=1, along an axis, which vanishes; the axes of `q` come first.
    /// Between two elements it is interpolated linearly. In floating point, and NaN where there is a NaN.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![3.0, 1.0, 2.0, 5.0];
    /// assert_eq!(x.quantile(0.5, 0).item::<f32>(), 2.5);
    /// assert_eq!(x.quantile(tensor![0.0, 1.0], 0).to_vec::<f32>(), [1.0, 5.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the axis does not exist or is empty, or a `q` that is known is not in 0..=1.
    #[track_caller]
    pub fn quantile(&self, q: impl Operand, axis: isize) -> Tensor {
        quantile("quantile", self, q.into_tensor(), axis).or_raise()
    }

    /// As [`quantile`](Self::quantile), of hundredths: `q` in 0..=100.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].percentile(50.0, 0).item::<f32>(), 2.0);
    /// ```
    #[track_caller]
    pub fn percentile(&self, q: impl Operand, axis: isize) -> Tensor {
        quantile("percentile", self, q.into_tensor() / 100.0, axis).or_raise()
    }

    /// The differences of neighbours along an axis, taken `n` times. Of booleans, whether they differ.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![1, 4, 9, 16];
    /// assert_eq!(x.diff(1, 0).to_vec::<i32>(), [3, 5, 7]);
    /// assert_eq!(x.diff(2, -1).to_vec::<i32>(), [2, 2]);
    /// ```
    #[track_caller]
    pub fn diff(&self, n: usize, axis: isize) -> Tensor {
        let axis = self.axis("diff", axis).or_raise();
        (0..n.min(self.shape()[axis])).fold(self.clone(), |x, _| {
            let size = x.shape()[axis];
            let part = |start, limit| lax::slice_axis(&x, axis, start, limit, 1).or_raise();
            let (before, after) = (part(0, size.saturating_sub(1)), part(size.min(1), size));
            if x.dtype() == DType::Bool { after.ne(before) } else { after - before }
        })
    }

    /// How many elements are not 0, in i32.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.0, 2.0, f32::NAN].count_nonzero().item::<i32>(), 2);
    /// ```
    #[track_caller]
    pub fn count_nonzero(&self) -> Tensor {
        self.count_nonzero_axis(..)
    }

    /// How many elements are not 0 along some axes, which vanish, in i32.
    #[track_caller]
    pub fn count_nonzero_axis(&self, axes: impl IntoAxes) -> Tensor {
        let count = || {
            let axes = self.axes("count_nonzero", axes)?;
            lax::reduce(ReduceKind::Sum, &lax::convert(&lax::convert(self, DType::Bool)?, DType::I32)?, &axes)
        };
        count().or_raise()
    }

    /// The average of the elements along an axis, weighted: by a weight for each place along it, or for
    /// each element.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 5.0].average(tensor![3.0, 1.0], 0).item::<f32>(), 2.0);
    /// ```
    ///
    /// # Panics
    ///
    /// If the weights have another shape.
    #[track_caller]
    pub fn average(&self, weights: impl Operand, axis: isize) -> Tensor {
        let axis = self.axis("average", axis).or_raise();
        let mut weights = weights.into_tensor();
        if *weights.shape() != *self.shape() {
            if weights.shape()[..] != [self.shape()[axis]] {
                let message = format!(
                    "the weights {} must have the shape of {} or of its axis {axis}",
                    weights.aval(),
                    self.aval()
                );
                raise(Error::invalid("average", message));
            }
            let after = self.rank() - 1 - axis;
            weights = (0..after).fold(weights, |weights, _| weights.expand_dims(-1));
        }
        let weights = number(&weights).or_raise().broadcast_to(self.shape());
        let axis = axis as isize;
        (self * &weights).sum_axis(axis) / weights.sum_axis(axis)
    }

    /// Coordinates on a grid: for vectors x, y, … of sizes m, n, …, tensors of shape [m, n, …] in which
    /// each varies along its own axis. (numpy's `meshgrid(…, indexing="ij")`.)
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// let grid = Tensor::meshgrid(&[tensor![1, 2], tensor![3, 4, 5]]);
    /// assert_eq!(grid[0].to_vec::<i32>(), [1, 1, 1, 2, 2, 2]);
    /// assert_eq!(grid[1].to_vec::<i32>(), [3, 4, 5, 3, 4, 5]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a tensor has more than one axis.
    #[track_caller]
    pub fn meshgrid(tensors: &[Tensor]) -> Vec<Tensor> {
        if let Some(x) = tensors.iter().find(|x| x.rank() > 1) {
            raise(Error::invalid("meshgrid", format!("needs vectors, got {}; `flatten` makes one", x.aval())));
        }
        let shape: crate::Shape = tensors.iter().map(Tensor::size).collect();
        let along = |(axis, x): (usize, &Tensor)| lax::broadcast_in_dim(&x.flatten(), &shape, &[axis]).or_raise();
        tensors.iter().enumerate().map(along).collect()
    }

    /// The plane of two axes turned by 90 degrees `k` times, from the first axis towards the second.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[1, 2], [3, 4]];
    /// assert_eq!(x.rot90(1, (0, 1)).to_vec::<i32>(), [2, 4, 1, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the axes do not exist or are the same.
    #[track_caller]
    pub fn rot90(&self, k: i64, axes: (isize, isize)) -> Tensor {
        let [a, b] =
            [axes.0, axes.1].map(|axis| normalize_axis("rot90", axis, self.rank(), self.shape()).or_raise() as isize);
        if a == b {
            raise(Error::invalid("rot90", format!("needs two axes of {}, got {} twice", self.aval(), axes.0)));
        }
        match k.rem_euclid(4) {
            0 => self.clone(),
            1 => self.flip(b).swap_axes(a, b),
            2 => self.flip([a, b]),
            _ => self.swap_axes(a, b).flip(b),
        }
    }
}

fn quantile(op: &str, x: &Tensor, q: Tensor, axis: isize) -> Result<Tensor> {
    let axis = x.axis(op, axis)?;
    let size = x.shape()[axis];
    if size == 0 {
        return Err(Error::invalid(op, format!("axis {axis} of {} is empty, so it has no quantiles", x.aval())));
    }
    if !q.is_traced() && q.to_f64_vec()?.iter().any(|q| !(0.0..=1.0).contains(q)) {
        return Err(Error::invalid(op, "a quantile must be in 0..=1, a percentile in 0..=100"));
    }
    let x = float(x)?.move_axis(axis as isize, 0);
    let sorted = lax::sort(std::slice::from_ref(&x), 0, 1, false)?.remove(0);
    // Places in half precision would not reach far.
    let places = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let place = lax::convert(&q, places)? * (size - 1) as f64;
    let (low, high) = (place.floor(), place.ceil());
    let take = |place: &Tensor| sorted.take(place.astype(DType::I32), 0);
    let mut weight = (&place - &low).astype(x.dtype());
    for _ in 1..x.rank() {
        weight = weight.expand_dims(-1);
    }
    let (low, high) = (take(&low), take(&high));
    // Equal infinities would give NaN.
    let between = low.eq(&high).select(&low, &low * (1.0 - &weight) + &high * &weight);
    // NaNs have been sorted to the end.
    let last = lax::slice_axis(&sorted, 0, size - 1, size, 1)?.squeeze(0);
    Ok(last.is_nan().select(last, between))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::try_catch;
    use crate::tensor;

    /// numpy's and JAX's numbers: sums that half precision cannot hold, of means that it can.
    #[test]
    fn means_of_half_precision() {
        let half = |n: i32| Tensor::range(n as usize).astype(DType::F16);
        assert_eq!(half(1000).mean().to_f64_vec().unwrap(), [499.5]);
        assert_eq!(half(1000).reshape([2, 500]).mean_axis(1).to_f64_vec().unwrap(), [249.5, 749.5]);
        assert_eq!(Tensor::ones([100_000]).astype(DType::F16).mean().to_f64_vec().unwrap(), [1.0]);
        assert_eq!(half(200).var().to_f64_vec().unwrap(), [3334.0]);
        assert_eq!(half(200).std().to_f64_vec().unwrap(), [57.75]);
        assert_eq!(Tensor::ones([3000]).astype(DType::BF16).mean().to_f64_vec().unwrap(), [1.0]);
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = tensor![1.0, 2.0].astype(dtype);
            assert_eq!([x.mean().dtype(), x.var().dtype(), x.std().dtype()], [dtype; 3]);
        }
        assert!(Tensor::zeros([0]).astype(DType::F16).mean().item::<f32>().is_nan());
    }

    #[test]
    fn small_integers_add_up_to_larger_ones() {
        let x = Tensor::full([28, 28], 255, DType::U8);
        assert_eq!((x.sum().dtype(), x.sum().item::<u32>()), (DType::U32, 199_920));
        assert_eq!(x.sum_axis(0).to_vec::<u32>(), [7140; 28]);
        assert_eq!(tensor![200, 100; dtype = DType::U8].prod().item::<u32>(), 20_000);
        assert_eq!(x.max().dtype(), DType::U8);
    }

    #[test]
    fn quantiles() {
        let inf = f32::INFINITY;
        let x = tensor![[4.0, 1.0, 3.0], [9.0, inf, inf]];
        let q = tensor![[0.0, 0.25], [0.5, 1.0]];
        let y = x.quantile(&q, 1);
        assert_eq!(y.shape().dims(), [2, 2, 2]);
        assert_eq!(y.to_vec::<f32>(), [1.0, 9.0, 2.0, inf, 3.0, inf, 4.0, inf]);
        assert_eq!(x.quantile(0.75, 0).to_vec::<f32>(), [7.75, inf, inf]);
        assert_eq!(tensor![5].quantile(0.3, 0).item::<f32>(), 5.0);
        assert_eq!(tensor![1, 2].percentile(tensor![25, 100], -1).to_vec::<f32>(), [1.25, 2.0]);
        assert!(tensor![1.0, f32::NAN].quantile(0.0, 0).item::<f32>().is_nan());
        assert_eq!(tensor![1.0, 2.0].astype(DType::F16).quantile(0.5, 0).dtype(), DType::F16);
        assert_eq!(Tensor::zeros([3, 0]).quantile(0.5, 0).shape().dims(), [0]);
        let message = |f: &dyn Fn() -> Tensor| try_catch(f).unwrap_err().to_string();
        assert!(message(&|| tensor![1.0].quantile(1.5, 0)).contains("in 0..=1"));
        assert!(message(&|| tensor![1.0].quantile(f32::NAN, 0)).contains("in 0..=1"));
        assert!(message(&|| Tensor::zeros([0]).quantile(0.5, 0)).contains("is empty"));
        assert!(message(&|| tensor![1.0].percentile(50, 1)).starts_with("percentile: axis 1"));
    }

    #[test]
    fn variances_and_covariances() {
        let x = tensor![[1.0, 2.0, 4.0], [0.0, 5.0, 1.0]];
        assert!(x.var_ddof(1, 1).allclose(tensor![2.333_333, 7.0], 1e-5, 0.0));
        assert!(x.var_ddof(.., 0).allclose(x.var(), 1e-6, 0.0));
        assert!(x.std_ddof([0], 0).allclose(x.std_axis(0), 1e-6, 0.0));
        assert!(x.cov().allclose(tensor![[2.333_333, 0.0], [0.0, 7.0]], 1e-5, 1e-6));
        assert!(x.i(0).cov().allclose(2.333_333, 1e-5, 0.0));
        assert!(tensor![1.0].cov().item::<f32>().is_nan());
        assert!(try_catch(|| Tensor::from(1.0).cov()).unwrap_err().to_string().contains("needs a vector"));
    }

    #[test]
    fn differences() {
        let x = tensor![[1, 4, 2], [0, 0, 7]];
        assert_eq!(x.diff(1, 1).to_vec::<i32>(), [3, -2, 0, 7]);
        assert_eq!(x.diff(1, 0).to_vec::<i32>(), [-1, -4, 5]);
        assert_eq!(x.diff(0, 0).to_vec::<i32>(), x.to_vec::<i32>());
        assert_eq!(x.diff(9, 0).shape().dims(), [0, 3]);
        assert_eq!(Tensor::zeros([0]).diff(1, 0).shape().dims(), [0]);
        assert_eq!(tensor![true, false, false].diff(1, 0).to_vec::<bool>(), [true, false]);
    }

    #[test]
    fn counts_and_averages() {
        let x = tensor![[0, 3, 0], [1, 0, 2]];
        assert_eq!(x.count_nonzero().item::<i32>(), 3);
        assert_eq!(x.count_nonzero_axis(0).to_vec::<i32>(), [1, 1, 1]);
        assert_eq!(Tensor::zeros([0]).count_nonzero().item::<i32>(), 0);
        assert_eq!(Tensor::from(-0.0).count_nonzero().item::<i32>(), 0);
        assert_eq!(x.average(tensor![1, 3], 0).to_vec::<f32>(), [0.75, 0.75, 1.5]);
        assert_eq!(x.average(tensor![[1, 1, 2], [1, 1, 0]], 1).to_vec::<f32>(), [0.75, 0.5]);
        let error = try_catch(|| x.average(tensor![1, 2, 3], 0)).unwrap_err();
        assert!(error.to_string().contains("i32[3] must have the shape of i32[2,3] or of its axis 0"), "{error}");
    }

    #[test]
    fn grids_and_turns() {
        let grid = Tensor::meshgrid(&[tensor![1, 2], Tensor::from(3.0), Tensor::zeros([0])]);
        assert!(grid.iter().all(|x| x.shape().dims() == [2, 1, 0]));
        assert!(Tensor::meshgrid(&[]).is_empty());
        let x = Tensor::range(6).reshape([2, 3]);
        assert_eq!(x.rot90(1, (0, 1)).to_vec::<i32>(), [2, 5, 1, 4, 0, 3]);
        assert_eq!(x.rot90(2, (0, -1)).to_vec::<i32>(), [5, 4, 3, 2, 1, 0]);
        assert_eq!(x.rot90(-1, (0, 1)).to_vec::<i32>(), [3, 0, 4, 1, 5, 2]);
        assert_eq!(x.rot90(1, (1, 0)).to_vec::<i32>(), x.rot90(3, (0, 1)).to_vec::<i32>());
        assert_eq!(x.rot90(4, (0, 1)).to_vec::<i32>(), x.to_vec::<i32>());
        assert!(try_catch(|| x.rot90(1, (0, -2))).unwrap_err().to_string().contains("twice"));
    }
}
