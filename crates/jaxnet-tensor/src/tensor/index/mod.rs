//! Indexing, as in numpy, and JAX's functional updates.

mod argument;
mod plan;
mod read;
#[cfg(test)]
mod tests;
mod update;

pub use argument::{Ellipsis, IndexArg, IntoIndex, NewAxis, Step, s};
pub use update::At;

use super::{Operand, Tensor};
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::primitive::GatherDims;
use crate::shape::{Dims, Shape};

/// # Indexing
impl Tensor {
    /// The elements that an index names, as numpy's and JAX's `x[index]`.
    ///
    /// The index is one entry or a tuple of them, each for the next axis; axes that are left stay whole:
    ///
    /// - an integer takes one element and drops the axis; negative ones count from the end;
    /// - a range (`a..b`, `..b`, `a..`, `..=b`, `..`) takes a part, its ends counted and clipped as in
    ///   Python; [`Step`] or [`s`] give it a step;
    /// - [`NewAxis`] adds an axis of size 1, [`Ellipsis`] stands for as many whole axes as are left;
    /// - an integer tensor takes the elements at its values, and its axes take the place of the axis.
    ///   Several are broadcast together; where entries that are no integers and no tensors lie between
    ///   them, their axes come first. Places that do not exist give the nearest that do. Scalar tensors
    ///   are the integers that are known only when a traced program runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Ellipsis, NewAxis, Step, Tensor, tensor};
    ///
    /// let x = Tensor::range(12).reshape([3, 4]);
    /// assert_eq!(x.i(-1).to_vec::<i32>(), [8, 9, 10, 11]);
    /// assert_eq!(x.i((1, 2)).item::<i32>(), 6);
    /// assert_eq!(x.i((.., 1..3)).shape().dims(), [3, 2]);
    /// assert_eq!(x.i((Ellipsis, 0)).to_vec::<i32>(), [0, 4, 8]);
    /// assert_eq!(x.i((.., NewAxis)).shape().dims(), [3, 1, 4]);
    /// assert_eq!(x.i((0, (..).step(-1))).to_vec::<i32>(), [3, 2, 1, 0]);
    /// let (rows, columns) = (tensor![2, 0], tensor![1, -1]);
    /// assert_eq!(x.i((&rows, &columns)).to_vec::<i32>(), [9, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there are more entries than axes, an integer is out of range, arrays do not broadcast, or a
    /// tensor is not of integers.
    #[track_caller]
    pub fn i(&self, index: impl IntoIndex) -> Tensor {
        read::get(self, &index.into_index()).or_raise()
    }

    /// The elements that an index names (see [`i`](Self::i)), to be changed in a copy:
    /// `x.at(index).set(values)`, `.add`, `.mul`, `.min`, `.max`, as in JAX.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::zeros([2, 3]).at((.., 1)).set(1.0);
    /// assert_eq!(x.to_vec::<f32>(), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    /// ```
    pub fn at(&self, index: impl IntoIndex) -> At {
        At { x: self.clone(), index: index.into_index() }
    }

    /// The slices at these places along an axis; the axes of `indices` take its place.
    ///
    /// Negative places count from the end; those that do not exist give the nearest that do.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let table = tensor![[1, 2], [3, 4], [5, 6]];
    /// assert_eq!(table.take(tensor![2, 0], 0).to_vec::<i32>(), [5, 6, 1, 2]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such axis, or the indices are not integers.
    #[track_caller]
    pub fn take(&self, indices: impl Operand, axis: isize) -> Tensor {
        let axis = self.axis("take", axis).or_raise();
        let mut index = vec![IndexArg::WHOLE; axis];
        index.push(IndexArg::Array(indices.into_tensor()));
        read::get(self, &index).or_raise()
    }

    /// The elements at places along an axis, of which there is an array for each of the other axes'
    /// places: `result[i, j] = x[indices[i, j], j]` for axis 0 of a matrix. The other axes broadcast.
    ///
    /// Negative places count from the end; those that do not exist give the nearest that do.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let logits = tensor![[0.1, 0.9], [0.7, 0.3]];
    /// let labels = tensor![[1], [0]];
    /// assert_eq!(logits.take_along_axis(&labels, -1).to_vec::<f32>(), [0.9, 0.7]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such axis, the indices are not integers, or their other axes do not broadcast
    /// against the tensor's.
    #[track_caller]
    pub fn take_along_axis(&self, indices: impl Operand, axis: isize) -> Tensor {
        take_along_axis(self, &indices.into_tensor(), axis).or_raise()
    }

    /// The part of this shape that starts at computed places, one for each axis.
    ///
    /// Negative starts count from the end; where the part would reach out of the tensor, it is moved
    /// inside.
    ///
    /// ```
    /// use jaxnet_tensor::Tensor;
    /// let x = Tensor::range(5);
    /// assert_eq!(x.dynamic_slice([1], [2]).to_vec::<i32>(), [1, 2]);
    /// assert_eq!(x.dynamic_slice([9], [2]).to_vec::<i32>(), [3, 4]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the sizes do not fit, or the starts are not an integer scalar for each axis.
    #[track_caller]
    pub fn dynamic_slice<S: Operand>(&self, starts: impl IntoIterator<Item = S>, sizes: impl Into<Shape>) -> Tensor {
        let starts = starts.into_iter().map(Operand::into_tensor).collect();
        self.starts("dynamic_slice", starts).and_then(|starts| lax::dynamic_slice(self, &starts, sizes)).or_raise()
    }

    /// The tensor with `update` written at computed places, one for each axis.
    ///
    /// Negative starts count from the end; where the update would reach out of the tensor, it is moved
    /// inside.
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// let x = Tensor::range(5);
    /// assert_eq!(x.dynamic_update_slice(tensor![8, 9], [1]).to_vec::<i32>(), [0, 8, 9, 3, 4]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the update does not fit or is of another dtype, or the starts are not an integer scalar for
    /// each axis.
    #[track_caller]
    pub fn dynamic_update_slice<S: Operand>(
        &self,
        update: impl Operand,
        starts: impl IntoIterator<Item = S>,
    ) -> Tensor {
        let (op, update) = ("dynamic_update_slice", update.into_tensor());
        let starts = starts.into_iter().map(Operand::into_tensor).collect();
        self.starts(op, starts).and_then(|starts| lax::dynamic_update_slice(self, &update, &starts)).or_raise()
    }

    /// Starts in one dtype, negative ones counted from the end.
    fn starts(&self, op: &str, starts: Vec<Tensor>) -> Result<Vec<Tensor>> {
        if starts.len() != self.rank() || starts.iter().any(|start| start.rank() != 0 || !start.dtype().is_integer()) {
            let avals: Vec<_> = starts.iter().map(Tensor::aval).collect();
            return Err(Error::invalid(
                op,
                format!("needs an integer scalar as the start along each axis of {}, got {avals:?}", self.aval()),
            ));
        }
        starts.iter().zip(self.shape().iter()).map(|(start, &size)| plan::from_end(start, size)).collect()
    }
}

fn take_along_axis(x: &Tensor, indices: &Tensor, axis: isize) -> Result<Tensor> {
    let op = "take_along_axis";
    let axis = x.axis(op, axis)?;
    let fail =
        |what: &str| Err(Error::invalid(op, format!("{} along axis {axis} of {}: {what}", indices.aval(), x.aval())));
    if !indices.dtype().is_integer() {
        return fail("indices must be integers; convert them with `.astype`");
    }
    if indices.rank() != x.rank() {
        return fail("needs as many axes as the tensor has");
    }
    let Some(others) = x.shape().without_axis(axis).broadcast(&indices.shape().without_axis(axis)) else {
        return fail("the other axes do not broadcast");
    };
    let result = others.with_axis(axis, indices.shape()[axis]);
    let size = x.shape()[axis];
    if result.size() == 0 {
        return lax::full(&x.aval().with_shape(result), false);
    }
    if size == 0 {
        return fail("there is nothing to take");
    }
    let x = lax::broadcast_to(x, &others.with_axis(axis, size))?;
    let places = lax::broadcast_to(&plan::from_end(indices, size)?, &result)?;
    let places = lax::reshape(&places, result.with_axis(result.rank(), 1))?;
    let batching: Dims = (0..x.rank()).filter(|&other| other != axis).collect();
    let dims = GatherDims {
        offset_dims: Dims::new(),
        collapsed_slice_dims: Dims::from_elem(axis, 1),
        operand_batching_dims: batching.clone(),
        start_indices_batching_dims: batching,
        start_index_map: Dims::from_elem(axis, 1),
    };
    lax::gather(&x, &places, &dims, &Dims::from_elem(1, x.rank()))
}
