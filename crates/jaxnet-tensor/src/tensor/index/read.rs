//! Taking elements.

use super::argument::IndexArg;
use super::plan::{Axis, Pick, Plan};
use crate::error::Result;
use crate::lax;
use crate::primitive::GatherDims;
use crate::shape::{Dims, Shape};
use crate::tensor::Tensor;

pub(super) fn get(x: &Tensor, index: &[IndexArg]) -> Result<Tensor> {
    let plan = Plan::new(x, index)?;
    read(x, &plan)
}

/// Slices what is known, then takes what is computed, then arranges the result.
pub(super) fn read(x: &Tensor, plan: &Plan) -> Result<Tensor> {
    let sliced = known_slices(x, plan)?;
    let taken = if plan.is_unique() { at_scalars(&sliced, plan)? } else { at_arrays(&sliced, plan)? };
    lax::reshape(&taken, plan.shape())
}

/// The slices and single elements, the latter with axes of size 1.
fn known_slices(x: &Tensor, plan: &Plan) -> Result<Tensor> {
    let (mut starts, mut limits, mut strides) = (Dims::new(), Dims::new(), Dims::new());
    let mut reversed = Dims::new();
    for (axis, pick) in plan.picks.iter().enumerate() {
        let (start, limit, stride) = match *pick {
            Pick::At(place) => (place, place + 1, 1),
            Pick::Slice { start, count, step } => {
                let stride = step.unsigned_abs() as usize;
                let low = Pick::lowest(start, count, step);
                if step < 0 && count > 1 {
                    reversed.push(axis);
                }
                (low, if count == 0 { low } else { low + (count - 1) * stride + 1 }, stride)
            }
            Pick::Dynamic(_) | Pick::Array(_) => (0, x.shape()[axis], 1),
        };
        starts.push(start);
        limits.push(limit);
        // A stride that leads nowhere says nothing.
        strides.push(if limit - start <= 1 { 1 } else { stride });
    }
    let sliced = lax::slice(x, &starts, &limits, &strides)?;
    if reversed.is_empty() { Ok(sliced) } else { lax::reverse(&sliced, &reversed) }
}

/// The elements at scalar places, with axes of size 1.
fn at_scalars(x: &Tensor, plan: &Plan) -> Result<Tensor> {
    if plan.is_static() {
        return Ok(x.clone());
    }
    let dtype = plan.place_dtype(x.shape());
    let (mut starts, mut sizes) = (Vec::new(), Dims::from_slice(x.shape()));
    for (axis, pick) in plan.picks.iter().enumerate() {
        starts.push(match pick {
            Pick::Dynamic(place) => {
                sizes[axis] = 1;
                lax::convert(place, dtype)?
            }
            _ => lax::convert(&Tensor::from(0), dtype)?,
        });
    }
    lax::dynamic_slice(x, &starts, sizes)
}

/// The elements at arrays of places, the axes of slices and places in the result's order.
fn at_arrays(x: &Tensor, plan: &Plan) -> Result<Tensor> {
    if plan.shape().size() == 0 {
        // Nothing is taken, maybe from nothing.
        return lax::full(&x.aval().with_shape(plan.shape()), false);
    }
    // Axes of which a single element is left are out of the way.
    let kept: Vec<&Pick> = plan.picks.iter().filter(|pick| !matches!(pick, Pick::At(_))).collect();
    let axes = plan.picks.iter().enumerate().filter(|(_, pick)| !matches!(pick, Pick::At(_)));
    let x = lax::reshape(x, axes.map(|(axis, _)| x.shape()[axis]).collect::<Shape>())?;
    let dtype = plan.place_dtype(x.shape());
    let mut dims = GatherDims::default();
    let (mut components, mut sizes) = (Vec::new(), Dims::from_slice(x.shape()));
    for (axis, pick) in kept.into_iter().enumerate() {
        if let Pick::Dynamic(places) | Pick::Array(places) = pick {
            let places = lax::broadcast_to(&lax::convert(places, dtype)?, &plan.places)?;
            components.push(lax::reshape(&places, plan.places.with_axis(plan.places.rank(), 1))?);
            dims.start_index_map.push(axis);
            dims.collapsed_slice_dims.push(axis);
            sizes[axis] = 1;
        }
    }
    let result = plan.axes.iter().filter(|axis| **axis != Axis::New);
    dims.offset_dims = result.enumerate().filter(|(_, axis)| matches!(axis, Axis::Slice(_))).map(|(i, _)| i).collect();
    let indices = lax::concatenate(&components, plan.places.rank())?;
    lax::gather(&x, &indices, &dims, &sizes)
}
