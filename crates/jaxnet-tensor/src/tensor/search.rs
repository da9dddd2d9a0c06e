//! Results whose shape depends on the values, which need values that are known.

use std::cmp::Ordering;

use super::Tensor;
use crate::dtype::Element;
use crate::error::{Error, OrRaise, Result};

/// # Searching
///
/// How much there is to find depends on the values, so these methods work on concrete tensors only, not
/// inside of `jit` and other transforms that trace.
impl Tensor {
    /// The places of the elements that are not 0, in row-major order: for each axis a vector of indices,
    /// in i32.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let places = tensor![[0, 5], [6, 0]].nonzero();
    /// assert_eq!(places[0].to_vec::<i32>(), [0, 1]);
    /// assert_eq!(places[1].to_vec::<i32>(), [1, 0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the tensor is traced.
    #[track_caller]
    pub fn nonzero(&self) -> Vec<Tensor> {
        nonzero(self).or_raise()
    }

    /// The elements without repetitions, sorted. NaNs count as one and come last.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![3, 1, 3, 2].unique().to_vec::<i32>(), [1, 2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the tensor is traced.
    #[track_caller]
    pub fn unique(&self) -> Tensor {
        self.unique_counts().0
    }

    /// The elements without repetitions, as [`unique`](Self::unique), and how often each is there, in
    /// i32.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let (values, counts) = tensor![3, 1, 3].unique_counts();
    /// assert_eq!(values.to_vec::<i32>(), [1, 3]);
    /// assert_eq!(counts.to_vec::<i32>(), [1, 2]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the tensor is traced.
    #[track_caller]
    pub fn unique_counts(&self) -> (Tensor, Tensor) {
        crate::with_dtype!(self.dtype(), T => unique::<T>(self)).or_raise()
    }
}

fn nonzero(x: &Tensor) -> Result<Vec<Tensor>> {
    if x.shape().iter().any(|&size| i32::try_from(size).is_err()) {
        return Err(Error::invalid("nonzero", format!("indices into {} do not fit i32", x.aval())));
    }
    let flags: Vec<bool> = crate::with_dtype!(x.dtype(), T => {
        x.try_to_vec::<T>()?.into_iter().map(|x| x != T::default()).collect()
    });
    let places: Vec<usize> = flags.iter().enumerate().filter(|(_, flag)| **flag).map(|(place, _)| place).collect();
    let along = |(&size, stride): (&usize, usize)| {
        Tensor::from(places.iter().map(|place| (place / stride % size) as i32).collect::<Vec<i32>>())
    };
    // An axis of size 0 has no places, so that nothing is divided by it.
    Ok(x.shape().iter().zip(x.shape().strides()).map(along).collect())
}

fn unique<T: Element>(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let mut elements = x.try_to_vec::<T>()?;
    if i32::try_from(elements.len()).is_err() {
        return Err(Error::invalid("unique", format!("counts of {} do not fit i32", x.aval())));
    }
    let is_nan = |x: &T| T::DTYPE.is_float() && x.partial_cmp(x).is_none();
    let order = |a: &T, b: &T| a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
    elements.sort_by(order);
    let runs = || elements.chunk_by(|a, b| order(a, b) == Ordering::Equal);
    let values: Vec<T> = runs().map(|run| run[0]).collect();
    let counts: Vec<i32> = runs().map(|run| run.len() as i32).collect();
    Ok((Tensor::from(values), Tensor::from(counts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::try_catch;
    use crate::{DType, tensor};

    #[test]
    fn places_and_values() {
        let x = tensor![[0.0, f32::NAN, -1.0], [2.0, -0.0, 0.0]];
        let places = x.nonzero();
        assert_eq!(places.iter().map(Tensor::to_vec::<i32>).collect::<Vec<_>>(), [[0, 0, 1], [1, 2, 0]]);
        assert!(Tensor::zeros([2, 0, 3]).nonzero().iter().all(|x| x.shape().dims() == [0]));
        assert_eq!(tensor![true, false, true].nonzero()[0].to_vec::<i32>(), [0, 2]);
        assert!(Tensor::from(1).nonzero().is_empty());
        // They are an index of what was found.
        let index: Vec<crate::IndexArg> = places.into_iter().map(Into::into).collect();
        assert_eq!(x.i(index).shape().dims(), [3]);
    }

    #[test]
    fn what_is_there() {
        let (values, counts) = tensor![2.0, f32::NAN, 0.0, -0.0, f32::NAN, -1.0].unique_counts();
        assert_eq!(values.i(..3).to_vec::<f32>(), [-1.0, 0.0, 2.0]);
        assert!(values.i(3).item::<f32>().is_nan());
        assert_eq!(counts.to_vec::<i32>(), [1, 2, 1, 2]);
        assert_eq!(tensor![[true, false], [true, true]].unique().to_vec::<bool>(), [false, true]);
        for dtype in DType::ALL {
            assert_eq!(Tensor::zeros([0, 3]).astype(dtype).unique().shape().dims(), [0]);
            let x = Tensor::full([3], 1, dtype).unique_counts();
            assert_eq!((x.0.dtype(), x.0.shape().dims(), x.1.to_vec::<i32>()), (dtype, &[1][..], vec![3]));
        }
        assert_eq!(Tensor::from(3).unique().to_vec::<i32>(), [3]);
    }

    #[test]
    fn traced_values_are_not_known() {
        let aval = tensor![1, 2].aval().clone();
        let error = crate::program::stage::stage(&[aval], |x| Ok(vec![try_catch(|| x[0].unique())?])).err().unwrap();
        assert!(error.to_string().contains("not known"), "{error}");
    }
}
