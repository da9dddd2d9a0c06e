//! Scatter.
//!
//! `Set` and `Add` are linear in operand and updates together.

use jaxnet_tensor::primitive::{CompareOp, GatherDims, Index, ScatterDims, ScatterKind};
use jaxnet_tensor::{Aval, Dims, Result, Shape, Tensor, lax};

use super::{count_dtype, fitting, others};
use crate::batch::move_batch;
use crate::forward::jvp_leaves;
use crate::linear::Operand;
use crate::rules::{
    Batches, Cotangents, Duals, after_front, all_in_front, aval_of, batched, dual, is_linear, not_linear, scalar,
};

/// Where windows of the updates lie in the operand.
struct Windows<'a> {
    dims: &'a ScatterDims,
    indices: &'a Tensor,
    operand: &'a Shape,
    updates: &'a Shape,
    /// The size of a window along each axis of the operand.
    sizes: Dims,
}

impl<'a> Windows<'a> {
    fn new(dims: &'a ScatterDims, operand: &'a Shape, indices: &'a Tensor, updates: &'a Shape) -> Self {
        let mut sizes = Dims::from_elem(1, operand.rank());
        for (axis, &of) in dims.kept(operand.rank()).into_iter().zip(&dims.update_window_dims) {
            sizes[axis] = updates[of];
        }
        Windows { dims, indices, operand, updates, sizes }
    }

    /// Whether nothing is written, or there is nothing to write to.
    fn is_empty(&self) -> bool {
        self.operand.size() == 0 || self.updates.size() == 0
    }

    /// How many updates of one place there may be: the number of index vectors that may name it, since
    /// windows have each of their elements once.
    fn most_updates(&self) -> usize {
        let paired = &self.dims.scatter_indices_batching_dims;
        let vectors = &self.indices.shape()[..self.indices.rank() - 1];
        vectors.iter().enumerate().filter(|(axis, _)| !paired.contains(axis)).map(|(_, size)| size).product()
    }

    fn scatter(&self, kind: ScatterKind, operand: &Tensor, updates: &Tensor) -> Result<Tensor> {
        lax::scatter(kind, operand, self.indices, updates, self.dims)
    }

    /// For each element of the updates, what is at its place; anything where its window is left out.
    /// The windows are not empty.
    fn gather(&self, from: &Tensor) -> Result<Tensor> {
        let dims = GatherDims {
            offset_dims: self.dims.update_window_dims.clone(),
            collapsed_slice_dims: self.dims.inserted_window_dims.clone(),
            operand_batching_dims: self.dims.operand_batching_dims.clone(),
            start_indices_batching_dims: self.dims.scatter_indices_batching_dims.clone(),
            start_index_map: self.dims.scatter_dims_to_operand_dims.clone(),
        };
        lax::gather(from, self.indices, &dims, &self.sizes)
    }

    /// Whether each element of the updates is in a window that is not left out.
    fn fitting(&self) -> Result<Tensor> {
        let fits = fitting(self.indices, self.operand, &self.sizes, &self.dims.scatter_dims_to_operand_dims)?;
        lax::broadcast_in_dim(&fits, self.updates, &others(&self.dims.update_window_dims, self.updates.rank()))
    }

    /// Whether each element of the updates is what a `Set` leaves at its place, rather than another one
    /// of the same place, or none because its window is left out.
    ///
    /// All are set to numbers of their own; those that find theirs have won.
    fn winners(&self) -> Result<Tensor> {
        let dtype = count_dtype(self.updates.size());
        let numbers = lax::reshape(&lax::iota(dtype, self.updates.size(), 0)?, self.updates)?;
        let nobody = lax::full(&Aval::new(dtype, self.operand), -1)?;
        let won = self.scatter(ScatterKind::Set, &nobody, &numbers)?;
        lax::compare(CompareOp::Eq, &self.gather(&won)?, &numbers)
    }
}

pub(super) fn jvp(
    kind: ScatterKind,
    dims: &ScatterDims,
    primals: &[Tensor],
    tangents: &[Option<Tensor>],
) -> Result<Duals> {
    let [x, indices, updates] = primals else { unreachable!("a scatter has three operands") };
    let y = lax::scatter(kind, x, indices, updates, dims)?;
    let (dx, du) = (&tangents[0], &tangents[2]);
    if dx.is_none() && du.is_none() {
        return Ok(dual(y, None));
    }
    let windows = Windows::new(dims, x.shape(), indices, updates.shape());
    let or_zeros = |t: &Option<Tensor>, x: &Tensor| t.clone().unwrap_or_else(|| x.zeros_like());
    let linear = match kind {
        // The same with the same winners, which do not depend on values.
        ScatterKind::Set => ScatterKind::Set,
        _ => ScatterKind::Add,
    };
    if windows.is_empty() || matches!(kind, ScatterKind::Set | ScatterKind::Add) {
        return Ok(dual(y, Some(windows.scatter(linear, &or_zeros(dx, x), &or_zeros(du, updates))?)));
    }
    let tangent = match kind {
        ScatterKind::Mul => {
            let primals = [x.clone(), updates.clone()];
            let (_, mut tangents) = jvp_leaves(
                |values| Ok(vec![product(&windows, &values[0], &values[1])?]),
                &primals,
                &[dx.clone(), du.clone()],
            )?;
            return Ok(dual(y, tangents.remove(0)));
        }
        _ => {
            // The mean of the tangents of all that are the extreme one, as in other reductions.
            let is_x = lax::compare(CompareOp::Eq, x, &y)?;
            let is_update = lax::compare(CompareOp::Eq, updates, &windows.gather(&y)?)?;
            let count = |is: &Tensor| lax::convert(is, count_dtype(updates.size()));
            let count = windows.scatter(ScatterKind::Add, &count(&is_x)?, &count(&is_update)?)?;
            let masked = |is: &Tensor, t: &Option<Tensor>, x: &Tensor| match t {
                Some(t) => lax::select(is, t, &scalar(t.dtype(), 0)),
                None => Ok(x.zeros_like()),
            };
            let sum = windows.scatter(linear, &masked(&is_x, dx, x)?, &masked(&is_update, du, updates)?)?;
            sum / lax::convert(&count, x.dtype())?
        }
    };
    Ok(dual(y, Some(tangent)))
}

/// A scatter that multiplies, out of operations that have derivatives.
///
/// Dividing the product by each factor would be wrong where one is zero. Instead updates are sorted by
/// their place, and multiplied with those of the same place before them, in steps that double the
/// distance; the last one of each place then has the product of all. That is right where factors are
/// zero, for derivatives of any order.
fn product(windows: &Windows<'_>, x: &Tensor, updates: &Tensor) -> Result<Tensor> {
    let (size, count) = (x.size(), updates.size());
    let (dtype, one) = (count_dtype(size), scalar(x.dtype(), 1));
    let numbers = lax::reshape(&lax::iota(dtype, size, 0)?, x.shape())?;
    let fits = windows.fitting()?;
    // Windows that are left out go to a place after the last one.
    let places = lax::select(&fits, &windows.gather(&numbers)?, &scalar(dtype, size as i64))?;
    let factors = lax::reshape(&lax::select(&fits, updates, &one)?, count)?;
    let operands = [lax::reshape(&places, count)?, lax::iota(count_dtype(count), count, 0)?];
    let [places, order] = &lax::sort(&operands, 0, 1, false)?[..] else { unreachable!("as many results as operands") };
    let of_elements = GatherDims {
        collapsed_slice_dims: Dims::from_elem(0, 1),
        start_index_map: Dims::from_elem(0, 1),
        ..GatherDims::default()
    };
    let mut product = lax::gather(&factors, &lax::reshape(order, [count, 1])?, &of_elements, &[1])?;
    let mut distance = 1;
    while distance < windows.most_updates() {
        let first = |x: &Tensor| lax::slice_axis(x, 0, 0, count - distance, 1);
        let rest = |x: &Tensor| lax::slice_axis(x, 0, distance, count, 1);
        let same = lax::compare(CompareOp::Eq, &first(places)?, &rest(places)?)?;
        let combined = rest(&product)? * lax::select(&same, &first(&product)?, &one)?;
        product = lax::concatenate(&[lax::slice_axis(&product, 0, 0, distance, 1)?, combined], 0)?;
        distance *= 2;
    }
    let to_elements = ScatterDims {
        inserted_window_dims: Dims::from_elem(0, 1),
        scatter_dims_to_operand_dims: Dims::from_elem(0, 1),
        ..ScatterDims::default()
    };
    let ones = lax::full(&Aval::new(x.dtype(), size), 1)?;
    let places = lax::reshape(places, [count, 1])?;
    let product = lax::scatter(ScatterKind::Set, &ones, &places, &product, &to_elements)?;
    Ok(x * lax::reshape(&product, x.shape())?)
}

pub(super) fn transpose(
    kind: ScatterKind,
    dims: &ScatterDims,
    ct: &Tensor,
    inputs: &[Operand<Aval>],
) -> Result<Cotangents> {
    let (ScatterKind::Set | ScatterKind::Add, [operand, Operand::Known(indices), updates]) = (kind, inputs) else {
        return Err(not_linear(&Index::Scatter { kind, dims: dims.clone() }.into()));
    };
    let updates_shape = &aval_of(updates).shape;
    let windows = Windows::new(dims, ct.shape(), indices, updates_shape);
    if windows.is_empty() {
        return Ok(vec![is_linear(operand).then(|| ct.clone()), None, None]);
    }
    let of_operand = match (is_linear(operand), kind) {
        (false, _) => None,
        // What was written over has no part in the result.
        (true, ScatterKind::Set) => {
            let zeros = lax::full(&Aval::new(ct.dtype(), updates_shape), 0)?;
            Some(windows.scatter(ScatterKind::Set, ct, &zeros)?)
        }
        (true, _) => Some(ct.clone()),
    };
    let of_updates = if is_linear(updates) {
        let part = if kind == ScatterKind::Set { windows.winners()? } else { windows.fitting()? };
        Some(lax::select(&part, &windows.gather(ct)?, &scalar(ct.dtype(), 0))?)
    } else {
        None
    };
    Ok(vec![of_operand, None, of_updates])
}

pub(super) fn batch(
    kind: ScatterKind,
    dims: &ScatterDims,
    size: usize,
    inputs: &[Tensor],
    axes: &[Option<usize>],
) -> Result<Batches> {
    let mut dims = ScatterDims {
        update_window_dims: after_front(&dims.update_window_dims),
        inserted_window_dims: after_front(&dims.inserted_window_dims),
        operand_batching_dims: after_front(&dims.operand_batching_dims),
        scatter_dims_to_operand_dims: after_front(&dims.scatter_dims_to_operand_dims),
        ..dims.clone()
    };
    if axes[1].is_none() {
        // All examples' windows are at the same places, so that the batch is a part of each window.
        dims.update_window_dims.insert(0, 0);
        let operand = move_batch(&inputs[0], size, axes[0], 0)?;
        let updates = move_batch(&inputs[2], size, axes[2], 0)?;
        return Ok(batched(lax::scatter(kind, &operand, &inputs[1], &updates, &dims)?, 0));
    }
    dims.operand_batching_dims.insert(0, 0);
    dims.scatter_indices_batching_dims = after_front(&dims.scatter_indices_batching_dims);
    dims.scatter_indices_batching_dims.insert(0, 0);
    let inputs = all_in_front(size, inputs, axes)?;
    Ok(batched(lax::scatter(kind, &inputs[0], &inputs[1], &inputs[2], &dims)?, 0))
}
