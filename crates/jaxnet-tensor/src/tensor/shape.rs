//! Arranging elements anew.

use smallvec::SmallVec;

use super::{Tensor, normalize_axis};
use crate::error::{Error, OrRaise, Result, raise};
use crate::lax;
use crate::primitive::ShapeOp;
use crate::shape::{Dims, IntoAxes, Shape};
use crate::trace::bind1;

/// A shape to reshape to, in which one size may be left open: `[2, -1]`, or a [`Shape`] itself.
pub trait IntoSizes {
    /// The sizes, -1 for the open one.
    fn into_sizes(self) -> SmallVec<[isize; 6]>;
}

impl<const N: usize> IntoSizes for [isize; N] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        SmallVec::from_slice(&self)
    }
}

/// For literals, which are i32 where nothing tells them to be anything else.
impl<const N: usize> IntoSizes for [i32; N] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.iter().map(|&size| size as isize).collect()
    }
}

impl<const N: usize> IntoSizes for [usize; N] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.iter().map(|&size| size as isize).collect()
    }
}

impl IntoSizes for &[usize] {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.iter().map(|&size| size as isize).collect()
    }
}

impl IntoSizes for Vec<usize> {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.as_slice().into_sizes()
    }
}

impl IntoSizes for &Shape {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.dims().into_sizes()
    }
}

impl IntoSizes for Shape {
    fn into_sizes(self) -> SmallVec<[isize; 6]> {
        self.dims().into_sizes()
    }
}

/// # Shapes
impl Tensor {
    /// The same elements, in row-major order, in another shape. One size may be -1: it is what the
    /// others leave.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::range(6);
    /// assert_eq!(x.reshape([2, -1]).shape().dims(), [2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the sizes do not multiply to the number of elements.
    #[track_caller]
    pub fn reshape(&self, sizes: impl IntoSizes) -> Tensor {
        self.open_sizes(sizes.into_sizes()).and_then(|shape| lax::reshape(self, shape)).or_raise()
    }

    fn open_sizes(&self, sizes: SmallVec<[isize; 6]>) -> Result<Shape> {
        let fail = |why: &str| {
            Err(Error::invalid("reshape", format!("cannot reshape {} to {:?}: {why}", self.aval(), sizes.as_slice())))
        };
        if sizes.iter().any(|&size| size < -1) || sizes.iter().filter(|&&size| size == -1).count() > 1 {
            return fail("one size may be -1, the others must not be negative");
        }
        let known: usize = sizes.iter().filter(|&&size| size >= 0).map(|&size| size as usize).product();
        if !sizes.contains(&-1) {
            return if known == self.size() {
                Ok(sizes.iter().map(|&size| size as usize).collect())
            } else {
                fail(&format!("{} elements do not fill {known} places", self.size()))
            };
        }
        if known == 0 || !self.size().is_multiple_of(known) {
            return fail(&format!("{} elements cannot be split evenly", self.size()));
        }
        Ok(sizes.iter().map(|&size| if size == -1 { self.size() / known } else { size as usize }).collect())
    }

    /// All elements along one axis, in row-major order.
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// assert_eq!(Tensor::zeros([2, 3]).flatten().shape().dims(), [6]);
    /// ```
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        lax::reshape(self, self.size()).or_raise()
    }

    /// The tensor without these axes, which must be of size 1; `..` removes all that are.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::zeros([1, 3, 1]);
    /// assert_eq!(x.squeeze(-1).shape().dims(), [1, 3]);
    /// assert_eq!(x.squeeze(..).shape().dims(), [3]);
    /// ```
    #[track_caller]
    pub fn squeeze(&self, axes: impl IntoAxes) -> Tensor {
        let axes: Dims = match axes.into_axes() {
            None => (0..self.rank()).filter(|&axis| self.shape()[axis] == 1).collect(),
            Some(axes) => axes.iter().map(|&axis| self.axis("squeeze", axis)).collect::<Result<_>>().or_raise(),
        };
        if let Some(axis) = axes.iter().find(|&&axis| self.shape()[axis] != 1) {
            raise(Error::invalid("squeeze", format!("axis {axis} of {} is not of size 1", self.aval())));
        }
        lax::reshape(self, self.shape().without_axes(&axes)).or_raise()
    }

    /// The tensor with a new axis of size 1 at this place of the result.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::zeros([3]);
    /// assert_eq!(x.expand_dims(0).shape().dims(), [1, 3]);
    /// assert_eq!(x.expand_dims(-1).shape().dims(), [3, 1]);
    /// ```
    #[track_caller]
    pub fn expand_dims(&self, axis: isize) -> Tensor {
        let axis = normalize_axis("expand_dims", axis, self.rank() + 1, self.shape()).or_raise();
        lax::reshape(self, self.shape().with_axis(axis, 1)).or_raise()
    }

    /// Repeats axes of size 1, and adds axes in front, to get this shape.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].broadcast_to([2, 2]).to_vec::<i32>(), [1, 2, 1, 2]);
    /// ```
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Tensor {
        lax::broadcast_to(self, &shape.into()).or_raise()
    }

    /// The axes in another order: axis `permutation[i]` becomes axis `i`.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).transpose([2, 0, 1]).shape().dims(), [4, 2, 3]);
    /// ```
    #[track_caller]
    pub fn transpose(&self, permutation: impl IntoAxes) -> Tensor {
        self.axes("transpose", permutation).and_then(|permutation| lax::transpose(self, &permutation)).or_raise()
    }

    /// The axes in reverse order, as numpy's `.T`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 2, 3], [4, 5, 6]].t().to_vec::<i32>(), [1, 4, 2, 5, 3, 6]);
    /// ```
    #[track_caller]
    pub fn t(&self) -> Tensor {
        lax::transpose(self, &(0..self.rank()).rev().collect::<Dims>()).or_raise()
    }

    /// The last two axes exchanged.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([7, 2, 3]).mt().shape().dims(), [7, 3, 2]);
    /// ```
    #[track_caller]
    pub fn mt(&self) -> Tensor {
        self.swap_axes(-2, -1)
    }

    /// Two axes exchanged.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).swap_axes(0, -1).shape().dims(), [4, 3, 2]);
    /// ```
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Tensor {
        let mut permutation: Dims = (0..self.rank()).collect();
        permutation.swap(self.axis("swap_axes", a).or_raise(), self.axis("swap_axes", b).or_raise());
        lax::transpose(self, &permutation).or_raise()
    }

    /// An axis moved to another place; the others keep their order.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// assert_eq!(Tensor::zeros([2, 3, 4]).move_axis(0, -1).shape().dims(), [3, 4, 2]);
    /// ```
    #[track_caller]
    pub fn move_axis(&self, from: isize, to: isize) -> Tensor {
        let (from, to) = (self.axis("move_axis", from).or_raise(), self.axis("move_axis", to).or_raise());
        let mut permutation: Dims = (0..self.rank()).filter(|&axis| axis != from).collect();
        permutation.insert(to, from);
        lax::transpose(self, &permutation).or_raise()
    }

    /// The order along some axes turned round.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[1, 2], [3, 4]];
    /// assert_eq!(x.flip(1).to_vec::<i32>(), [2, 1, 4, 3]);
    /// assert_eq!(x.flip(..).to_vec::<i32>(), [4, 3, 2, 1]);
    /// ```
    #[track_caller]
    pub fn flip(&self, axes: impl IntoAxes) -> Tensor {
        self.axes("flip", axes).and_then(|axes| lax::reverse(self, &axes)).or_raise()
    }

    /// The elements along an axis moved by `shift` places, those that fall off coming in again.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].roll(1, 0).to_vec::<i32>(), [3, 1, 2]);
    /// ```
    #[track_caller]
    pub fn roll(&self, shift: i64, axis: isize) -> Tensor {
        let axis = self.axis("roll", axis).or_raise();
        let size = self.shape()[axis];
        if size == 0 {
            return self.clone();
        }
        let split = size - shift.rem_euclid(size as i64) as usize;
        let part = |start, limit| lax::slice_axis(self, axis, start, limit, 1).or_raise();
        lax::concatenate(&[part(split, size), part(0, split)], axis).or_raise()
    }

    /// `value` before and after the elements of each axis: `[(low, high), …]`; negative numbers remove
    /// elements.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].pad(&[(1, 0)], 9).to_vec::<i32>(), [9, 1, 2]);
    /// ```
    #[track_caller]
    pub fn pad(&self, widths: &[(i64, i64)], value: impl super::Operand) -> Tensor {
        let value = value.into_tensor().astype(self.dtype());
        let (low, high): (Vec<_>, Vec<_>) = widths.iter().copied().unzip();
        lax::pad(self, &value, &low, &high, &vec![0; widths.len()]).or_raise()
    }

    /// The tensors one after the other along an axis. Dtypes are promoted.
    ///
    /// ```
    /// use jaxnet_tensor::{tensor, Tensor};
    /// let x = Tensor::concatenate(&[tensor![1, 2], tensor![3]], 0);
    /// assert_eq!(x.to_vec::<i32>(), [1, 2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there are none, or they differ in more than the size of that axis.
    #[track_caller]
    pub fn concatenate(tensors: &[Tensor], axis: isize) -> Tensor {
        let tensors = same_dtype("concatenate", tensors).or_raise();
        let axis = tensors[0].axis("concatenate", axis).or_raise();
        lax::concatenate(&tensors, axis).or_raise()
    }

    /// Tensors of one shape along a new axis at this place of the result.
    ///
    /// ```
    /// use jaxnet_tensor::{tensor, Tensor};
    /// let x = Tensor::stack(&[tensor![1, 2], tensor![3, 4]], -1);
    /// assert_eq!(x.to_vec::<i32>(), [1, 3, 2, 4]);
    /// ```
    #[track_caller]
    pub fn stack(tensors: &[Tensor], axis: isize) -> Tensor {
        let tensors = same_dtype("stack", tensors).or_raise();
        let axis = normalize_axis("stack", axis, tensors[0].rank() + 1, tensors[0].shape()).or_raise();
        if let Some(other) = tensors.iter().find(|x| x.shape() != tensors[0].shape()) {
            raise(Error::invalid(
                "stack",
                format!("the tensors must have one shape, got {} and {}", tensors[0].aval(), other.aval()),
            ));
        }
        let rows: Vec<Tensor> = tensors.iter().map(|x| x.expand_dims(axis as isize)).collect();
        lax::concatenate(&rows, axis).or_raise()
    }

    /// Parts of equal size along an axis.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let parts = Tensor::range(6).split(3, 0);
    /// assert_eq!(parts[2].to_vec::<i32>(), [4, 5]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the axis cannot be split evenly.
    #[track_caller]
    pub fn split(&self, parts: usize, axis: isize) -> Vec<Tensor> {
        let index = self.axis("split", axis).or_raise();
        let size = self.shape()[index];
        if parts == 0 || !size.is_multiple_of(parts) {
            raise(Error::invalid(
                "split",
                format!("axis {axis} of {} cannot be split into {parts} equal parts; see `split_at`", self.aval()),
            ));
        }
        let places: Vec<usize> = (1..parts).map(|i| i * (size / parts)).collect();
        self.split_at(&places, axis)
    }

    /// The parts of an axis before, between and after these indices.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let parts = Tensor::range(5).split_at(&[1, 3], 0);
    /// assert_eq!(parts[1].to_vec::<i32>(), [1, 2]);
    /// ```
    #[track_caller]
    pub fn split_at(&self, indices: &[usize], axis: isize) -> Vec<Tensor> {
        let axis = self.axis("split_at", axis).or_raise();
        let size = self.shape()[axis];
        if !indices.is_sorted() || indices.last().is_some_and(|&last| last > size) {
            raise(Error::invalid(
                "split_at",
                format!(
                    "the indices {indices:?} must ascend, up to {size}, the size of axis {axis} of {}",
                    self.aval()
                ),
            ));
        }
        let ends = indices.iter().copied().chain([size]);
        let starts = [0].into_iter().chain(indices.iter().copied());
        starts.zip(ends).map(|(start, end)| lax::slice_axis(self, axis, start, end, 1).or_raise()).collect()
    }

    /// The tensor `repetitions[i]` times along each axis `i`; axes are lined up from the last.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].tile(&[2]).to_vec::<i32>(), [1, 2, 1, 2]);
    /// ```
    #[track_caller]
    pub fn tile(&self, repetitions: &[usize]) -> Tensor {
        let rank = self.rank().max(repetitions.len());
        let pad = |sizes: &[usize]| -> Dims {
            std::iter::repeat_n(1, rank - sizes.len()).chain(sizes.iter().copied()).collect()
        };
        let (sizes, repetitions) = (pad(self.shape()), pad(repetitions));
        let interleaved = |a: &Dims, b: &Dims| -> Shape { a.iter().zip(b).flat_map(|(&a, &b)| [a, b]).collect() };
        let ones = Dims::from_elem(1, rank);
        let x = lax::reshape(self, interleaved(&ones, &sizes)).or_raise();
        let x = lax::broadcast_to(&x, &interleaved(&repetitions, &sizes)).or_raise();
        let result: Shape = sizes.iter().zip(&repetitions).map(|(&size, &times)| size * times).collect();
        lax::reshape(&x, result).or_raise()
    }

    /// Each element along an axis so many times in a row.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].repeat(2, 0).to_vec::<i32>(), [1, 1, 2, 2]);
    /// ```
    #[track_caller]
    pub fn repeat(&self, times: usize, axis: isize) -> Tensor {
        let axis = self.axis("repeat", axis).or_raise();
        let x = lax::reshape(self, self.shape().with_axis(axis + 1, 1)).or_raise();
        let x = lax::broadcast_to(&x, &self.shape().with_axis(axis + 1, times)).or_raise();
        let mut shape = self.shape().clone();
        shape.dims_mut()[axis] *= times;
        lax::reshape(&x, shape).or_raise()
    }

    /// The diagonal `k` above the main one of the last two axes, as the last axis of the result.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[1, 2, 3], [4, 5, 6]];
    /// assert_eq!(x.diagonal(0).to_vec::<i32>(), [1, 5]);
    /// assert_eq!(x.diagonal(1).to_vec::<i32>(), [2, 6]);
    /// ```
    #[track_caller]
    pub fn diagonal(&self, k: i64) -> Tensor {
        let [.., rows, columns] = self.shape()[..] else {
            raise(Error::invalid("diagonal", format!("needs at least two axes, got {}", self.aval())))
        };
        let (row, column) = ((-k).max(0) as usize, k.max(0) as usize);
        let size = rows.saturating_sub(row).min(columns.saturating_sub(column));
        let mut shape = self.shape().to_vec();
        shape.truncate(self.rank() - 2);
        // Flattened, the elements of a diagonal are `columns + 1` apart.
        let flat = self.reshape([&shape[..], &[rows * columns]].concat());
        let start = row * columns + column;
        let limit = if size == 0 { start } else { start + (size - 1) * (columns + 1) + 1 };
        let axis = flat.rank() - 1;
        let limit = limit.min(rows * columns).max(start.min(rows * columns));
        lax::slice_axis(&flat, axis, start.min(rows * columns), limit, columns + 1).or_raise()
    }

    /// A matrix with these elements on its diagonal; for each row along the last axis, of more than one.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].diag().to_vec::<i32>(), [1, 0, 0, 2]);
    /// ```
    #[track_caller]
    pub fn diag(&self) -> Tensor {
        let Some(&size) = self.shape().last() else {
            raise(Error::invalid("diag", "needs at least one axis, got a scalar"))
        };
        let on_diagonal = Tensor::eye(size).astype(crate::DType::Bool);
        on_diagonal.select(self.expand_dims(-1), self.zeros_like().expand_dims(-1))
    }
}

fn same_dtype(op: &str, tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    let Some((dtype, _)) = tensors.iter().map(|x| (x.dtype(), x.is_weak())).reduce(crate::promote_types) else {
        return Err(Error::invalid(op, "needs at least one tensor"));
    };
    tensors.iter().map(|x| lax::convert(x, dtype)).collect()
}

impl Tensor {
    /// Counts 0, 1, … along an axis of this shape.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, Tensor};
    /// assert_eq!(Tensor::iota(DType::I32, [2, 3], 0).to_vec::<i32>(), [0, 0, 0, 1, 1, 1]);
    /// ```
    #[track_caller]
    pub fn iota(dtype: crate::DType, shape: impl Into<Shape>, axis: isize) -> Tensor {
        let shape = shape.into();
        let axis = normalize_axis("iota", axis, shape.rank(), &shape).or_raise();
        bind1(&ShapeOp::Iota { dtype, shape, axis }.into(), &[]).or_raise()
    }
}
