//! Making tensors.

use super::Tensor;
use crate::aval::{Aval, Literal, Scalar};
use crate::dtype::{DType, Element};
use crate::error::{Error, OrRaise, raise};
use crate::lax;
use crate::shape::Shape;

/// # Creation
impl Tensor {
    /// Zeros, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2]).to_vec::<f32>(), [0.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(shape, 0.0, DType::F32)
    }

    /// Ones, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::ones([2, 2]).sum().item::<f32>(), 4.0);
    /// ```
    #[track_caller]
    pub fn ones(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(shape, 1.0, DType::F32)
    }

    /// Copies of one value.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, Tensor};
    /// assert_eq!(Tensor::full([2], 7, DType::I32).to_vec::<i32>(), [7, 7]);
    /// ```
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: impl Into<Scalar>, dtype: DType) -> Tensor {
        lax::full(&Aval::new(dtype, shape), value).or_raise()
    }

    /// Zeros of the shape and dtype of this tensor.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].zeros_like().to_vec::<i32>(), [0, 0]);
    /// ```
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        lax::full(&self.aval().strong(), 0).or_raise()
    }

    /// Ones of the shape and dtype of this tensor.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![3.0, 4.0].ones_like().to_vec::<f32>(), [1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        lax::full(&self.aval().strong(), 1).or_raise()
    }

    /// A scalar of the dtype of `value`, not a weak one.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, Tensor};
    /// assert_eq!(Tensor::scalar(0.5_f64).dtype(), DType::F64);
    /// assert_eq!(Tensor::from(0.5).dtype(), DType::F32);
    /// ```
    pub fn scalar<T: Element>(value: T) -> Tensor {
        let scalar = match T::DTYPE {
            DType::Bool => Scalar::Bool(value.to_i64() != 0),
            dtype if dtype.is_float() => Scalar::Float(value.to_f64()),
            _ => Scalar::Int(value.to_i64()),
        };
        Tensor::from(Literal::new(scalar, T::DTYPE))
    }

    /// `start, start + step, …` until before `stop`, in i32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::arange(2, 9, 3).to_vec::<i32>(), [2, 5, 8]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `step` is 0, or the numbers do not fit i32.
    #[track_caller]
    pub fn arange(start: i64, stop: i64, step: i64) -> Tensor {
        if step == 0 {
            raise(Error::invalid("arange", "the step must not be 0"));
        }
        // Wide enough that nothing overflows before it is checked.
        let (first, end, by) = (start as i128, stop as i128, step as i128);
        let span = if step > 0 { end - first } else { first - end };
        let size = (span.max(0) as u128).div_ceil(by.unsigned_abs());
        let last = first + by * (size as i128 - 1);
        if size > 0 && [first, last].iter().any(|&number| i32::try_from(number).is_err()) {
            let message = format!("numbers from {start} until {stop} in steps of {step} do not fit i32");
            raise(Error::invalid("arange", format!("{message}; `linspace` counts in floats")));
        }
        if size == 0 {
            return lax::iota(DType::I32, 0, 0).or_raise();
        }
        lax::iota(DType::I32, size as usize, 0).or_raise() * step + start
    }

    /// `0, 1, …, size - 1`, in i32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::range(3).to_vec::<i32>(), [0, 1, 2]);
    /// ```
    #[track_caller]
    pub fn range(size: usize) -> Tensor {
        lax::iota(DType::I32, size, 0).or_raise()
    }

    /// `size` numbers from `start` to `stop`, both included, at equal distances, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 3).to_vec::<f32>(), [0.0, 0.5, 1.0]);
    /// ```
    #[track_caller]
    pub fn linspace(start: f64, stop: f64, size: usize) -> Tensor {
        if size < 2 {
            return Tensor::full([size], start, DType::F32);
        }
        let fraction = lax::iota(DType::F32, size, 0).or_raise() / (size - 1) as f64;
        // Both ends exactly, whatever the rounding in between.
        &fraction * stop + (1.0 - &fraction) * start
    }

    /// The identity matrix, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::eye(2).to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn eye(size: usize) -> Tensor {
        Tensor::eye_rect(size, size, 0)
    }

    /// Ones on the diagonal `k` above the main one (below it where negative), zeros elsewhere, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::eye_rect(2, 3, 1).to_vec::<f32>(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn eye_rect(rows: usize, columns: usize, k: i64) -> Tensor {
        let (row, column) = grid(rows, columns);
        (row + k).eq(column).astype(DType::F32)
    }

    /// Ones on and below the diagonal `k` above the main one, zeros elsewhere, in f32.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::tri(2, 3, 0).to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn tri(rows: usize, columns: usize, k: i64) -> Tensor {
        let (row, column) = grid(rows, columns);
        (row + k).ge(column).astype(DType::F32)
    }

    /// The elements on and below the diagonal `k` above the main one of the last two axes, zeros
    /// elsewhere.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 2], [3, 4]].tril(0).to_vec::<i32>(), [1, 0, 3, 4]);
    /// ```
    #[track_caller]
    pub fn tril(&self, k: i64) -> Tensor {
        let (row, column) = self.grid("tril");
        (row + k).ge(column).select(self, self.zeros_like())
    }

    /// The elements on and above the diagonal `k` above the main one of the last two axes, zeros
    /// elsewhere.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 2], [3, 4]].triu(1).to_vec::<i32>(), [0, 2, 0, 0]);
    /// ```
    #[track_caller]
    pub fn triu(&self, k: i64) -> Tensor {
        let (row, column) = self.grid("triu");
        (row + k).le(column).select(self, self.zeros_like())
    }

    #[track_caller]
    fn grid(&self, op: &str) -> (Tensor, Tensor) {
        match self.shape()[..] {
            [.., rows, columns] => grid(rows, columns),
            _ => raise(Error::invalid(op, format!("needs at least two axes, got {}", self.aval()))),
        }
    }

    /// One-hot rows: along a new last axis of size `classes`, 1 at the index that the element tells and
    /// 0 elsewhere (everywhere, for an index out of range), in f32.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 0].one_hot(2).to_vec::<f32>(), [0.0, 1.0, 1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the elements are not integers.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        if !self.dtype().is_integer() {
            raise(Error::invalid(
                "one_hot",
                format!("needs integers, got {}; convert them with `.astype`", self.aval()),
            ));
        }
        let class = lax::iota(self.dtype(), classes, 0).or_raise();
        let index = lax::reshape(self, self.shape().with_axis(self.rank(), 1)).or_raise();
        index.eq(class).astype(DType::F32)
    }
}

/// Row and column numbers that broadcast to a matrix.
#[track_caller]
fn grid(rows: usize, columns: usize) -> (Tensor, Tensor) {
    let count = |shape: [usize; 2], axis| lax::iota(DType::I32, shape, axis).or_raise();
    (count([rows, 1], 0), count([1, columns], 1))
}
