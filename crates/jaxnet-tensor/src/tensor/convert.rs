//! From and to Rust's own containers.

use std::sync::Arc;

use super::Tensor;
use crate::aval::Aval;
use crate::backend::Array;
use crate::device::Device;
use crate::dtype::{DType, Element, as_bytes, as_bytes_mut};
use crate::error::{Error, OrRaise, Result};
use crate::shape::Shape;

/// # Conversion
impl Tensor {
    /// A tensor of these elements, in row-major order.
    ///
    /// # Errors
    ///
    /// When their number does not fit the shape.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::from_slice(&[1_i64, 2, 3, 4], [2, 2])?;
    /// assert_eq!(x.t().to_vec::<i64>(), [1, 3, 2, 4]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn from_slice<T: Element>(elements: &[T], shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if elements.len() != shape.size() {
            return Err(Error::invalid(
                "from_slice",
                format!("{} elements do not fill shape {shape}, which has {}", elements.len(), shape.size()),
            ));
        }
        Tensor::from_bytes(&Aval::new(T::DTYPE, shape), as_bytes(elements))
    }

    /// A tensor of elements as bytes, in row-major order and the machine's byte order.
    pub(crate) fn from_bytes(aval: &Aval, bytes: &[u8]) -> Result<Tensor> {
        let device = Device::cpu();
        let buffer = device.backend().upload(device.index(), aval, bytes)?;
        Ok(Tensor::from_array(Arc::new(Array { aval: aval.clone(), device, committed: false, buffer })))
    }

    /// The elements in row-major order.
    ///
    /// # Panics
    ///
    /// If `T` is not the dtype, or the tensor is traced.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 2], [3, 4]].to_vec::<i32>(), [1, 2, 3, 4]);
    /// ```
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        self.try_to_vec().or_raise()
    }

    /// The elements in row-major order.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert!(tensor![1, 2].try_to_vec::<f32>().is_err());
    /// assert_eq!(tensor![1, 2].try_to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `T` is not the dtype, the tensor is traced, or its device fails.
    pub fn try_to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            return Err(Error::invalid(
                "to_vec",
                format!(
                    "the elements of {} are {}, not {}; convert them with `.astype` first",
                    self.aval(),
                    self.dtype(),
                    T::DTYPE
                ),
            ));
        }
        let mut elements = vec![T::default(); self.size()];
        self.read_bytes(as_bytes_mut(&mut elements))?;
        Ok(elements)
    }

    /// The one element, converted to `T` as by [`astype`](Self::astype).
    ///
    /// # Panics
    ///
    /// If there is not exactly one element, or the tensor is traced.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let loss: f64 = tensor![[0.5]].item();
    /// assert_eq!(loss, 0.5);
    /// ```
    #[track_caller]
    pub fn item<T: Element>(&self) -> T {
        self.to_scalar().or_raise()
    }

    /// The one element, as [`item`](Self::item).
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].sum().to_scalar::<f64>()?, 3.0);
    /// assert!(tensor![1, 2].to_scalar::<f64>().is_err());
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there is not exactly one element, the tensor is traced, or its device fails.
    pub fn to_scalar<T: Element>(&self) -> Result<T> {
        if self.size() != 1 {
            return Err(Error::invalid(
                "item",
                format!("{} has {} elements, not one; see `to_vec`", self.aval(), self.size()),
            ));
        }
        crate::with_dtype!(self.dtype(), S => {
            let mut value = [S::default()];
            self.read_bytes(as_bytes_mut(&mut value))?;
            Ok(crate::dtype::cast::<S, T>(value[0]))
        })
    }

    /// The elements, whatever their dtype, as f64.
    pub(crate) fn to_f64_vec(&self) -> Result<Vec<f64>> {
        crate::with_dtype!(self.dtype(), S => Ok(self.try_to_vec::<S>()?.into_iter().map(S::to_f64).collect()))
    }

    /// The elements as an `ndarray` array.
    ///
    /// # Errors
    ///
    /// When `T` is not the dtype, the tensor is traced, or its device fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let array = ndarray::arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]);
    /// let x = Tensor::from(array.view());
    /// assert_eq!(x.to_ndarray::<f32>()?, array.into_dyn());
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    pub fn to_ndarray<T: Element>(&self) -> Result<ndarray::ArrayD<T>> {
        let elements = self.try_to_vec()?;
        Ok(ndarray::ArrayD::from_shape_vec(self.shape().dims(), elements).expect("as many elements as places"))
    }
}

/// Along one axis.
impl<T: Element> From<Vec<T>> for Tensor {
    fn from(elements: Vec<T>) -> Self {
        Tensor::from(elements.as_slice())
    }
}

/// Along one axis.
impl<T: Element> From<&[T]> for Tensor {
    #[track_caller]
    fn from(elements: &[T]) -> Self {
        Tensor::from_slice(elements, elements.len()).or_raise()
    }
}

impl<T: Element, D: ndarray::Dimension> From<ndarray::ArrayView<'_, T, D>> for Tensor {
    #[track_caller]
    fn from(array: ndarray::ArrayView<'_, T, D>) -> Self {
        let shape = Shape::from(array.shape());
        match array.as_slice() {
            Some(elements) => Tensor::from_slice(elements, shape),
            None => Tensor::from_slice(&array.iter().copied().collect::<Vec<T>>(), shape),
        }
        .or_raise()
    }
}

impl<T: Element, D: ndarray::Dimension> From<ndarray::Array<T, D>> for Tensor {
    #[track_caller]
    fn from(array: ndarray::Array<T, D>) -> Self {
        Tensor::from(array.view())
    }
}

/// Arrays of arrays of numbers, to any depth.
pub trait NestedArray {
    /// The type of the numbers.
    type Element: Element;
    /// Adds the shape, from the outermost array on.
    fn shape(dims: &mut Vec<usize>);
    /// Adds the numbers in row-major order.
    fn elements(&self, elements: &mut Vec<Self::Element>);
}

impl<T: Element> NestedArray for T {
    type Element = T;
    fn shape(_: &mut Vec<usize>) {}
    fn elements(&self, elements: &mut Vec<T>) {
        elements.push(*self);
    }
}

impl<A: NestedArray, const N: usize> NestedArray for [A; N] {
    type Element = A::Element;
    fn shape(dims: &mut Vec<usize>) {
        dims.push(N);
        A::shape(dims);
    }
    fn elements(&self, elements: &mut Vec<A::Element>) {
        self.iter().for_each(|row| row.elements(elements));
    }
}

/// The dtype is that of the numbers, so that `[1.0, 2.0]` is f64; see [`tensor!`](crate::tensor!) for
/// constants in f32.
impl<A: NestedArray, const N: usize> From<[A; N]> for Tensor {
    #[track_caller]
    fn from(array: [A; N]) -> Self {
        let (mut dims, mut elements) = (Vec::new(), Vec::new());
        <[A; N]>::shape(&mut dims);
        array.elements(&mut elements);
        Tensor::from_slice(&elements, dims).or_raise()
    }
}

/// A tensor of constants: `tensor![1.0, 2.0]`, `tensor![[1, 2], [3, 4]]`, or of another dtype,
/// `tensor![[1, 2], [3, 4]; dtype = DType::U8]`.
///
/// Like constants in JAX, floating-point numbers make f32 and integers i32 unless told otherwise;
/// numbers with a type of their own other than `f64` keep it.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{tensor, DType};
///
/// assert_eq!(tensor![1.0, 2.0].dtype(), DType::F32);
/// assert_eq!(tensor![[1, 2, 3], [4, 5, 6]].shape().dims(), [2, 3]);
/// assert_eq!(tensor![true, false].dtype(), DType::Bool);
/// assert_eq!(tensor![0.1; dtype = DType::F64].item::<f64>(), 0.1);
/// ```
#[macro_export]
macro_rules! tensor {
    ($($element:expr),* $(,)?) => {
        $crate::Tensor::constant([$($element),*], ::core::option::Option::None)
    };
    ($($element:expr),* $(,)?; dtype = $dtype:expr) => {
        $crate::Tensor::constant([$($element),*], ::core::option::Option::Some($dtype))
    };
}

impl Tensor {
    /// What [`tensor!`](crate::tensor!) makes.
    #[doc(hidden)]
    #[track_caller]
    pub fn constant<A: NestedArray, const N: usize>(array: [A; N], dtype: Option<DType>) -> Tensor {
        let (mut dims, mut elements) = (Vec::new(), Vec::new());
        <[A; N]>::shape(&mut dims);
        array.elements(&mut elements);
        let default = if A::Element::DTYPE == DType::F64 { DType::F32 } else { A::Element::DTYPE };
        let dtype = dtype.unwrap_or(default);
        // Converted here rather than by an operation, so that it is a constant while a program is traced.
        crate::with_dtype!(dtype, T => {
            let elements: Vec<T> = elements.into_iter().map(crate::dtype::cast::<A::Element, T>).collect();
            Tensor::from_slice(&elements, dims).or_raise()
        })
    }
}
