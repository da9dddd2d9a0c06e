//! Scatter.
//!
//! `Set` and `Add` are linear in operand and updates together. The tangents of the others are sums of
//! tangents of operand and updates, each times a factor, so that they are an `Add` of tangents.

use jaxnet_tensor::primitive::{CompareOp, GatherDims, Index, ScatterDims, ScatterKind};
use jaxnet_tensor::{Aval, Dims, Result, Shape, Tensor, lax};

use super::{count_dtype, fitting, others};
use crate::batch::move_batch;
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
            let factors = product_derivative(&windows, x, updates)?;
            let times = |t: &Option<Tensor>, x: &Tensor, factor: &Tensor| t.as_ref().map_or(x.zeros_like(), |t| t * factor);
            windows.scatter(linear, &times(dx, x, &factors.0), &times(du, updates, &factors.1))?
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

/// For each element of the operand, and of the updates, the product of all other factors of the same
/// place.
///
/// That is the product of the factors that are not zero, without the element itself, times the product
/// of those that are zero. Of these there may be none; one, which is then their sum; or several, whose
/// product is zero and has derivative zero. This makes derivatives right up to the second order, and
/// those of any order where at most two factors of a place are zero. (Dividing the product by the
/// element costs an overflow where the product overflows.)
fn product_derivative(windows: &Windows<'_>, x: &Tensor, updates: &Tensor) -> Result<(Tensor, Tensor)> {
    let (zero, one) = (scalar(x.dtype(), 0), scalar(x.dtype(), 1));
    let is_zero = |v: &Tensor| lax::compare(CompareOp::Eq, v, &zero);
    let (x_zero, update_zero) = (is_zero(x)?, is_zero(updates)?);
    let (x_other, update_other) = (lax::select(&x_zero, &one, x)?, lax::select(&update_zero, &one, updates)?);
    let product = windows.scatter(ScatterKind::Mul, &x_other, &update_other)?;
    // Zero in value, but not in derivative.
    let only_zeros = |is_zero: &Tensor, v: &Tensor| lax::select(is_zero, v, &zero);
    let (x_null, update_null) = (only_zeros(&x_zero, x)?, only_zeros(&update_zero, updates)?);
    let null = windows.scatter(ScatterKind::Add, &x_null, &update_null)?;
    let dtype = count_dtype(updates.size());
    let count = |is_zero: &Tensor| lax::convert(is_zero, dtype);
    let (x_count, update_count) = (count(&x_zero)?, count(&update_zero)?);
    let zeros = windows.scatter(ScatterKind::Add, &x_count, &update_count)?;

    // From all factors of an element's place, and what the element itself adds to them.
    let without = |[product, null, zeros]: [&Tensor; 3], other: &Tensor, own_null: &Tensor, own_count: &Tensor| {
        let zeros = zeros - own_count;
        let none = lax::compare(CompareOp::Eq, &zeros, &scalar(dtype, 0))?;
        let single = lax::compare(CompareOp::Eq, &zeros, &scalar(dtype, 1))?;
        let product = product / other;
        let with_zero = lax::select(&single, &(&product * (null - own_null)), &zero)?;
        lax::select(&none, &product, &with_zero)
    };
    let of_x = without([&product, &null, &zeros], &x_other, &x_null, &x_count)?;
    let [product, null, zeros] = [windows.gather(&product)?, windows.gather(&null)?, windows.gather(&zeros)?];
    let of_updates = without([&product, &null, &zeros], &update_other, &update_null, &update_count)?;
    Ok((of_x, of_updates))
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
