//! An index brought to the axes of a tensor.

use super::argument::IndexArg;
use crate::aval::Literal;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::lax;
use crate::primitive::{BinaryOp, CompareOp};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// What is taken along an axis.
#[derive(Clone, Debug)]
pub(super) enum Pick {
    /// One element.
    At(usize),
    /// `count` elements from `start` on, in steps of `step`.
    Slice { start: usize, count: usize, step: i64 },
    /// The element at a place that is computed: a scalar, from 0 up if it is inside.
    Dynamic(Tensor),
    /// The elements at computed places.
    Array(Tensor),
}

/// An axis of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// A new one of size 1.
    New,
    /// What a slice leaves of the operand's.
    Slice(usize),
    /// One of those that the arrays of places have when broadcast.
    Place(usize),
}

/// What is taken along each axis of a tensor, and how the result is arranged.
pub(super) struct Plan {
    /// One for each axis.
    pub picks: Vec<Pick>,
    /// The shape that the arrays of places broadcast to.
    pub places: Shape,
    /// The result's axes.
    pub axes: Vec<Axis>,
}

impl Pick {
    /// The least place of a slice, which is its last if the step is negative.
    pub fn lowest(start: usize, count: usize, step: i64) -> usize {
        if step < 0 && count > 0 { start - (count - 1) * step.unsigned_abs() as usize } else { start }
    }
}

impl Plan {
    pub fn new(x: &Tensor, index: &[IndexArg]) -> Result<Plan> {
        let fail = |message: String| Err(Error::invalid("index", message));
        let taken = index.iter().filter(|arg| !matches!(arg, IndexArg::NewAxis | IndexArg::Ellipsis)).count();
        if taken > x.rank() {
            return fail(format!("{taken} axes are indexed, but {} has {}", x.aval(), x.rank()));
        }
        if index.iter().filter(|arg| matches!(arg, IndexArg::Ellipsis)).count() > 1 {
            return fail("only one entry can be `Ellipsis`".into());
        }
        let mut picks = Vec::with_capacity(x.rank());
        // The result's axes but those of places, and where in it (and whether only there) arrays are.
        let mut axes = Vec::new();
        let mut runs: Vec<usize> = Vec::new();
        let mut in_run = false;
        let ellipsis =
            if index.iter().any(|arg| matches!(arg, IndexArg::Ellipsis)) { None } else { Some(IndexArg::Ellipsis) };
        for arg in index.iter().chain(&ellipsis) {
            let axis = picks.len();
            match arg {
                IndexArg::NewAxis => axes.push(Axis::New),
                IndexArg::Ellipsis => {
                    for axis in axis..axis + x.rank() - taken {
                        picks.push(Pick::Slice { start: 0, count: x.shape()[axis], step: 1 });
                        axes.push(Axis::Slice(axis));
                    }
                }
                IndexArg::Slice { start, stop, step } => {
                    if *step == 0 {
                        return fail("the step of a range must not be 0".into());
                    }
                    picks.push(slice(*start, *stop, *step, x.shape()[axis]));
                    axes.push(Axis::Slice(axis));
                }
                IndexArg::At(i) => picks.push(Pick::At(element(*i, axis, x)?)),
                IndexArg::Array(places) => picks.push(computed(places, axis, x)?),
            }
            let advanced = matches!(arg, IndexArg::At(_) | IndexArg::Array(_));
            if advanced && !in_run {
                runs.push(axes.len());
            }
            in_run = advanced;
        }
        let places = broadcast(&picks)?;
        // As in numpy: axes of places are where the arrays are, or in front if those are not together.
        let at = if let [at] = runs[..] { at } else { 0 };
        axes.splice(at..at, (0..places.rank()).map(Axis::Place));
        Ok(Plan { picks, places, axes })
    }

    /// The result's shape.
    pub fn shape(&self) -> Shape {
        self.axes.iter().map(|&axis| self.size(axis)).collect()
    }

    /// The size of an axis of the result.
    pub fn size(&self, axis: Axis) -> usize {
        match axis {
            Axis::New => 1,
            Axis::Place(i) => self.places[i],
            Axis::Slice(axis) => match self.picks[axis] {
                Pick::Slice { count, .. } => count,
                _ => 1,
            },
        }
    }

    /// Whether all places are known and no element is taken twice.
    pub fn is_static(&self) -> bool {
        self.picks.iter().all(|pick| matches!(pick, Pick::At(_) | Pick::Slice { .. }))
    }

    /// Whether no element is taken twice.
    pub fn is_unique(&self) -> bool {
        !self.picks.iter().any(|pick| matches!(pick, Pick::Array(_)))
    }

    /// The dtype in which places along different axes can stand side by side.
    pub fn place_dtype(&self, shape: &[usize]) -> DType {
        let wide = |pick: &Pick| match pick {
            Pick::Dynamic(places) | Pick::Array(places) => matches!(places.dtype(), DType::I64 | DType::U32),
            _ => false,
        };
        let large = shape.iter().any(|&size| i32::try_from(size).is_err());
        if large || self.picks.iter().any(wide) { DType::I64 } else { DType::I32 }
    }
}

fn element(i: i64, axis: usize, x: &Tensor) -> Result<usize> {
    let size = x.shape()[axis] as i64;
    let place = if i < 0 { i + size } else { i };
    if (0..size).contains(&place) {
        return Ok(place as usize);
    }
    let range = match size {
        0 => "it is empty".into(),
        _ => format!("places are 0..={} or {}..=-1", size - 1, -size),
    };
    Err(Error::invalid("index", format!("there is no element {i} along axis {axis} of {}; {range}", x.aval())))
}

/// Clips a slice to an axis, as Python does.
fn slice(start: Option<i64>, stop: Option<i64>, step: i64, size: usize) -> Pick {
    let size = size as i64;
    // Going backwards, the places that a slice can begin and end at are shifted by one.
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let clip = |place: i64| (if place < 0 { place.saturating_add(size) } else { place }).clamp(low, high);
    let first = start.map_or(if step > 0 { low } else { high }, clip);
    let limit = stop.map_or(if step > 0 { high } else { low }, clip);
    let distance = if step > 0 { limit - first } else { first - limit };
    let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as usize;
    Pick::Slice { start: if count == 0 { 0 } else { first as usize }, count, step }
}

/// Places from a tensor.
fn computed(places: &Tensor, axis: usize, x: &Tensor) -> Result<Pick> {
    if places.dtype() == DType::Bool {
        return Err(Error::invalid(
            "index",
            format!(
                "a mask ({}) would give a shape that depends on its values; use `mask.select(x, 0.0)` to keep the shape",
                places.aval()
            ),
        ));
    }
    if !places.dtype().is_integer() {
        return Err(Error::invalid(
            "index",
            format!("places must be integers, got {}; convert them with `.astype`", places.aval()),
        ));
    }
    let size = x.shape()[axis];
    if size == 0 && places.size() > 0 {
        return Err(Error::invalid("index", format!("axis {axis} of {} has no elements to index", x.aval())));
    }
    let places = from_end(places, size)?;
    Ok(if places.rank() == 0 { Pick::Dynamic(places) } else { Pick::Array(places) })
}

/// Places with those that are negative counted from the end of an axis.
pub(super) fn from_end(places: &Tensor, size: usize) -> Result<Tensor> {
    if !places.dtype().is_signed_integer() {
        return Ok(places.clone());
    }
    let constant =
        |value: i64| Tensor::from(Literal { value: value.into(), dtype: places.dtype(), weak: places.is_weak() });
    if let Some(literal) = places.literal() {
        let place = literal.to::<i64>();
        return Ok(if place < 0 { constant(place + size as i64) } else { places.clone() });
    }
    let negative = lax::compare(CompareOp::Lt, places, &constant(0))?;
    let counted = lax::binary(BinaryOp::Add, places, &constant(size as i64))?;
    lax::select(&negative, &counted, places)
}

fn broadcast(picks: &[Pick]) -> Result<Shape> {
    let mut shape = Shape::scalar();
    for pick in picks {
        if let Pick::Array(places) = pick {
            shape = shape.broadcast(places.shape()).ok_or_else(|| {
                Error::invalid(
                    "index",
                    format!("arrays of places of shapes {shape} and {} do not broadcast", places.shape()),
                )
            })?;
        }
    }
    Ok(shape)
}
