//! Sorting.

use super::{Operand, Tensor};
use crate::dtype::{DType, promote_types};
use crate::error::{Error, OrRaise, Result, raise};
use crate::lax;
use crate::primitive::GatherDims;

fn sort(op: &str, x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = x.axis(op, axis)?;
    Ok(lax::sort(std::slice::from_ref(x), axis, 1, descending)?.remove(0))
}

fn argsort(op: &str, x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = x.axis(op, axis)?;
    countable(op, x.shape()[axis])?;
    let places = lax::iota(DType::I32, x.shape(), axis)?;
    Ok(lax::sort(&[x.clone(), places], axis, 1, descending)?.remove(1))
}

/// Checks that indices up to `size` fit i32.
fn countable(op: &str, size: usize) -> Result<()> {
    if i32::try_from(size).is_ok() {
        return Ok(());
    }
    Err(Error::invalid(op, format!("indices into an axis of {size} elements do not fit i32")))
}

/// # Sorting
///
/// Sorts are stable: equal elements keep their order. NaN is greater than any number, and the two
/// zeros are equal.
impl Tensor {
    /// The elements along an axis from the least to the greatest.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![3, 1, 2].sort(0).to_vec::<i32>(), [1, 2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such axis.
    #[track_caller]
    pub fn sort(&self, axis: isize) -> Tensor {
        sort("sort", self, axis, false).or_raise()
    }

    /// The elements along an axis from the greatest (NaN first) to the least.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![3, 1, 2].sort_descending(0).to_vec::<i32>(), [3, 2, 1]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such axis.
    #[track_caller]
    pub fn sort_descending(&self, axis: isize) -> Tensor {
        sort("sort_descending", self, axis, true).or_raise()
    }

    /// The indices, in i32, that sort the elements along an axis.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.5, -1.0, 0.5].argsort(-1).to_vec::<i32>(), [1, 0, 2]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such axis.
    #[track_caller]
    pub fn argsort(&self, axis: isize) -> Tensor {
        argsort("argsort", self, axis, false).or_raise()
    }

    /// The indices, in i32, that sort the elements along an axis from the greatest to the least.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.5, -1.0, 0.5].argsort_descending(-1).to_vec::<i32>(), [0, 2, 1]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such axis.
    #[track_caller]
    pub fn argsort_descending(&self, axis: isize) -> Tensor {
        argsort("argsort_descending", self, axis, true).or_raise()
    }

    /// The `k` greatest elements along the last axis, from the greatest on, and their indices in i32.
    /// Of equal elements the first comes first.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let (values, indices) = tensor![[1, 7, 7], [5, 0, 2]].top_k(2);
    /// assert_eq!(values.to_vec::<i32>(), [7, 7, 5, 2]);
    /// assert_eq!(indices.to_vec::<i32>(), [1, 2, 0, 2]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there are fewer than `k`.
    #[track_caller]
    pub fn top_k(&self, k: usize) -> (Tensor, Tensor) {
        lax::top_k(self, k).or_raise()
    }

    /// Where each of `values` belongs in this vector, which must be sorted: the number of its elements
    /// that are less, in i32. Inserting them there keeps it sorted. (numpy's `searchsorted` from the
    /// left; NaN is greater than any number.)
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let edges = tensor![1, 2, 2, 3];
    /// assert_eq!(edges.searchsorted(tensor![2, 0, 9]).to_vec::<i32>(), [1, 0, 4]);
    /// ```
    ///
    /// # Panics
    ///
    /// If this tensor does not have exactly one axis.
    #[track_caller]
    pub fn searchsorted(&self, values: impl Operand) -> Tensor {
        searchsorted(self, values.into_tensor()).or_raise()
    }

    /// The median along an axis, which vanishes: the middle element, or the mean of the two in the
    /// middle; in floating point, and NaN where there is a NaN.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 9, 2], [4, 0, 1]].median(-1).to_vec::<f32>(), [2.0, 1.0]);
    /// assert_eq!(tensor![1.0, 9.0, 2.0, 4.0].median(0).item::<f32>(), 3.0);
    /// ```
    ///
    /// # Panics
    ///
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn median(&self, axis: isize) -> Tensor {
        let axis = self.axis("median", axis).or_raise();
        let size = self.shape()[axis];
        if size == 0 {
            raise(Error::invalid("median", format!("axis {axis} of {} is empty, so it has no median", self.aval())));
        }
        median(self, axis, size).or_raise()
    }
}

fn searchsorted(sorted: &Tensor, values: Tensor) -> Result<Tensor> {
    let &[size] = &sorted.shape()[..] else {
        return Err(Error::invalid(
            "searchsorted",
            format!("the sorted tensor must have one axis, got {}; `vmap` searches in several", sorted.aval()),
        ));
    };
    countable("searchsorted", size)?;
    let shape = values.shape().clone();
    let dtype = promote_types((sorted.dtype(), sorted.is_weak()), (values.dtype(), values.is_weak())).0;
    let (sorted, values) = (lax::convert(sorted, dtype)?, lax::convert(&values, dtype)?);
    let one_by_one =
        GatherDims { collapsed_slice_dims: [0][..].into(), start_index_map: [0][..].into(), ..Default::default() };
    // One binary search for all values, in powers of two: each step moves a value's count on if the
    // last of the elements that it would then count is less.
    let mut count = Tensor::full(&shape, 0, DType::I32);
    let mut step = if size == 0 { 0 } else { 1_usize << size.ilog2() };
    while step > 0 {
        let next = &count + step;
        // Where there is no such element, gather takes one at the end instead; it is not counted.
        let last = lax::reshape(&(&next - 1), shape.with_axis(shape.rank(), 1))?;
        let element = lax::gather(&sorted, &last, &one_by_one, &[1])?;
        let mut less = element.lt(&values);
        if dtype.is_float() {
            less = less | (values.is_nan() & element.eq(&element));
        }
        let found = less & next.le(size);
        count = found.select(&next, &count);
        step /= 2;
    }
    Ok(count)
}

fn median(x: &Tensor, axis: usize, size: usize) -> Result<Tensor> {
    let x = lax::convert(x, x.dtype().to_float())?;
    let sorted = lax::sort(std::slice::from_ref(&x), axis, 1, false)?.remove(0);
    let element = |index| {
        let slice = lax::slice_axis(&sorted, axis, index, index + 1, 1)?;
        lax::reshape(&slice, x.shape().without_axis(axis))
    };
    let (low, high, last) = (element((size - 1) / 2)?, element(size / 2)?, element(size - 1)?);
    // Halved before they are added, so that the sum is finite where both are.
    let middle = if size % 2 == 1 { low } else { low * 0.5 + high * 0.5 };
    // NaNs have been sorted to the end.
    Ok(last.is_nan().select(last, middle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::try_catch;
    use crate::testing::Arbitrary;
    use crate::{Shape, tensor};

    #[test]
    fn sorts_along_any_axis() {
        let x = tensor![[3, 1, 2], [0, 5, 4]];
        assert_eq!(x.sort(-1).to_vec::<i32>(), [1, 2, 3, 0, 4, 5]);
        assert_eq!(x.sort(0).to_vec::<i32>(), [0, 1, 2, 3, 5, 4]);
        assert_eq!(x.sort_descending(1).to_vec::<i32>(), [3, 2, 1, 5, 4, 0]);
        assert_eq!(x.argsort(0).to_vec::<i32>(), [1, 0, 0, 0, 1, 1]);
        assert_eq!(x.argsort_descending(-1).to_vec::<i32>(), [0, 2, 1, 1, 2, 0]);
        assert_eq!(tensor![true, false, true].argsort(0).to_vec::<i32>(), [1, 0, 2]);
        assert_eq!(Tensor::from(Vec::<f32>::new()).argsort(0).shape().dims(), [0]);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |f: &dyn Fn() -> Tensor| try_catch(f).unwrap_err().to_string();
        assert_eq!(
            message(&|| tensor![1].sort(1)),
            "sort: axis 1 of shape [1] does not exist; axes are 0..=0 or -1..=-1"
        );
        assert_eq!(message(&|| Tensor::from(1).argsort(0)), "argsort: axis 0 of a scalar does not exist");
        assert!(message(&|| tensor![1, 2].top_k(3).0).contains("[2] does not have 3 elements"));
        assert!(
            message(&|| tensor![[1]].searchsorted(1)).starts_with("searchsorted: the sorted tensor must have one axis")
        );
        assert!(message(&|| Tensor::from(Vec::<i32>::new()).median(0)).contains("empty"));
    }

    #[test]
    fn searchsorted_counts_what_is_less() {
        let mut random = Arbitrary::new(10);
        for size in [0, 1, 2, 3, 4, 7, 8, 9, 31, 100] {
            let mut sorted: Vec<f32> = (0..size).map(|_| random.between(-9, 9) as f32).collect();
            sorted.sort_by(f32::total_cmp);
            let values: Vec<f32> = (0..60).map(|_| random.between(-22, 22) as f32 / 2.0).collect();
            let counts: Vec<i32> =
                values.iter().map(|value| sorted.iter().filter(|x| *x < value).count() as i32).collect();
            let values = Tensor::from_slice(&values, [3, 4, 5]).unwrap();
            let found = Tensor::from(sorted).searchsorted(&values);
            assert_eq!(found.shape(), &Shape::from([3, 4, 5]));
            assert_eq!(found.to_vec::<i32>(), counts);
        }
        let with_nan = tensor![-1.0, -0.0, 2.0, f32::NAN, f32::NAN];
        let found = with_nan.searchsorted(tensor![0.0, f32::INFINITY, f32::NAN]);
        assert_eq!(found.to_vec::<i32>(), [1, 3, 3]);
        // Scalars, and dtypes that are promoted.
        assert_eq!(tensor![1, 2, 3].searchsorted(2.5).item::<i32>(), 2);
        assert_eq!(tensor![false, true].searchsorted(true).item::<i32>(), 1);
    }

    #[test]
    fn medians() {
        let inf = f32::INFINITY;
        assert_eq!(tensor![[5.0, 1.0], [2.0, 9.0], [3.0, inf]].median(0).to_vec::<f32>(), [3.0, 9.0]);
        assert_eq!(tensor![inf, inf, 0.0, -inf].median(0).item::<f32>(), inf);
        assert_eq!(tensor![f32::MAX, f32::MAX].median(0).item::<f32>(), f32::MAX);
        assert!(tensor![1.0, f32::NAN, 2.0].median(0).item::<f32>().is_nan());
        assert_eq!(tensor![1, 2, 3, 5].median(-1).item::<f32>(), 2.5);
    }
}
