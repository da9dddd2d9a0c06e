//! Tensors with some elements changed.

use super::argument::IndexArg;
use super::plan::{Axis, Pick, Plan};
use super::read;
use crate::dtype::{DType, promote_types};
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::primitive::{BinaryOp, ScatterDims, ScatterKind};
use crate::shape::{Dims, Shape};
use crate::tensor::{Operand, Tensor};

/// Some elements of a tensor, to be changed in a copy of it; see [`Tensor::at`].
#[derive(Clone, Debug)]
pub struct At {
    pub(super) x: Tensor,
    pub(super) index: Vec<IndexArg>,
}

impl At {
    /// The tensor with these elements replaced.
    ///
    /// Where arrays of places name an element several times, the last update in row-major order stays.
    /// Updates at computed places that do not exist are dropped. The values are broadcast to the shape
    /// that [`Tensor::i`] gives.
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// let x = tensor![1, 2, 3, 4];
    /// assert_eq!(x.at(1..3).set(0).to_vec::<i32>(), [1, 0, 0, 4]);
    /// assert_eq!(x.at(-1).set(9).to_vec::<i32>(), [1, 2, 3, 9]);
    /// assert_eq!(x.at(tensor![3, 0]).set(tensor![7, 8]).to_vec::<i32>(), [8, 2, 3, 7]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Tensor::i`], and if the values do not broadcast or are of a dtype that the tensor's would
    /// be promoted to, such as floats for an integer tensor.
    #[track_caller]
    pub fn set(&self, values: impl Operand) -> Tensor {
        update(ScatterKind::Set, &self.x, &self.index, &values.into_tensor()).or_raise()
    }

    /// The tensor with the values added to these elements, all of them where one is named several times.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![1, 2, 3];
    /// assert_eq!(x.at(tensor![0, 2, 0]).add(10).to_vec::<i32>(), [21, 2, 13]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`set`](Self::set), and for booleans.
    #[track_caller]
    pub fn add(&self, values: impl Operand) -> Tensor {
        update(ScatterKind::Add, &self.x, &self.index, &values.into_tensor()).or_raise()
    }

    /// The tensor with these elements multiplied by the values.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].at(1..).mul(10).to_vec::<i32>(), [1, 20, 30]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn mul(&self, values: impl Operand) -> Tensor {
        update(ScatterKind::Mul, &self.x, &self.index, &values.into_tensor()).or_raise()
    }

    /// The tensor with these elements replaced by the values where those are less.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].at(..).min(2).to_vec::<i32>(), [1, 2, 2]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn min(&self, values: impl Operand) -> Tensor {
        update(ScatterKind::Min, &self.x, &self.index, &values.into_tensor()).or_raise()
    }

    /// The tensor with these elements replaced by the values where those are greater.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].at(..).max(2).to_vec::<i32>(), [2, 2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn max(&self, values: impl Operand) -> Tensor {
        update(ScatterKind::Max, &self.x, &self.index, &values.into_tensor()).or_raise()
    }

    /// These elements, as [`Tensor::i`].
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2, 3].at(-1).get().item::<i32>(), 3);
    /// ```
    #[track_caller]
    pub fn get(&self) -> Tensor {
        read::get(&self.x, &self.index).or_raise()
    }
}

fn update(kind: ScatterKind, x: &Tensor, index: &[IndexArg], values: &Tensor) -> Result<Tensor> {
    let op = match kind {
        ScatterKind::Set => "at.set",
        ScatterKind::Add => "at.add",
        ScatterKind::Mul => "at.mul",
        ScatterKind::Min => "at.min",
        ScatterKind::Max => "at.max",
    };
    let plan = Plan::new(x, index)?;
    let values = fitting(op, kind, x, values)?;
    let shape = plan.shape();
    if values.shape().broadcast(&shape).as_ref() != Some(&shape) {
        return Err(Error::invalid(
            op,
            format!("values {} do not broadcast to the indexed shape {shape}", values.aval()),
        ));
    }
    let values = lax::broadcast_to(&values, &shape)?;
    if shape.size() == 0 {
        return Ok(x.clone());
    }
    if !plan.is_unique() {
        return scatter(kind, x, &plan, &values);
    }
    // No element is named twice: combined first, what remains is to put the results in place.
    let combine = |op: BinaryOp| lax::binary(op, &read::read(x, &plan)?, &values);
    let values = match kind {
        ScatterKind::Set => values,
        ScatterKind::Add => combine(BinaryOp::Add)?,
        ScatterKind::Mul => combine(BinaryOp::Mul)?,
        ScatterKind::Min => combine(BinaryOp::Min)?,
        ScatterKind::Max => combine(BinaryOp::Max)?,
    };
    if plan.is_static() && plan.picks.iter().all(|pick| !is_strided(pick)) {
        return write_block(x, &plan, &values);
    }
    scatter(ScatterKind::Set, x, &plan, &values)
}

/// The values in the tensor's dtype, which must be able to hold them.
fn fitting(op: &str, kind: ScatterKind, x: &Tensor, values: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool && kind != ScatterKind::Set {
        return Err(Error::invalid(op, format!("does not take booleans ({}); convert them with `.astype`", x.aval())));
    }
    let (dtype, weak) = promote_types((x.dtype(), x.is_weak()), (values.dtype(), values.is_weak()));
    if dtype != x.dtype() {
        return Err(Error::invalid(
            op,
            format!("values {} do not fit into {} without loss; convert one with `.astype`", values.aval(), x.aval()),
        ));
    }
    if values.dtype() == dtype && values.is_weak() == weak {
        return Ok(values.clone());
    }
    lax::convert(values, dtype)
}

/// Whether this is a slice whose elements are not neighbours.
fn is_strided(pick: &Pick) -> bool {
    matches!(*pick, Pick::Slice { count, step, .. } if count > 1 && step.abs() != 1)
}

/// The axes of the values that run backwards in the tensor turned round, but for those of strided
/// slices, whose places are written out.
fn forwards(plan: &Plan, values: &Tensor, strided_too: bool) -> Result<Tensor> {
    let backwards = |axis: &Axis| match *axis {
        Axis::Slice(axis) => {
            let pick = &plan.picks[axis];
            matches!(pick, Pick::Slice { step: ..0, count: 2.., .. }) && (strided_too || !is_strided(pick))
        }
        _ => false,
    };
    let axes: Dims = plan.axes.iter().enumerate().filter(|(_, axis)| backwards(axis)).map(|(i, _)| i).collect();
    if axes.is_empty() { Ok(values.clone()) } else { lax::reverse(values, &axes) }
}

/// Values of the indexed shape at neighbouring places that are known.
fn write_block(x: &Tensor, plan: &Plan, values: &Tensor) -> Result<Tensor> {
    let dtype = plan.place_dtype(x.shape());
    let (mut starts, mut block) = (Vec::new(), Dims::new());
    for pick in &plan.picks {
        let (start, count) = match *pick {
            Pick::Slice { start, count, step } => (Pick::lowest(start, count, step), count),
            Pick::At(place) => (place, 1),
            Pick::Dynamic(_) | Pick::Array(_) => unreachable!("only for places that are known"),
        };
        starts.push(lax::convert(&Tensor::from(start), dtype)?);
        block.push(count);
    }
    let block = lax::reshape(&forwards(plan, values, true)?, block)?;
    if block.shape() == x.shape() {
        return Ok(block);
    }
    lax::dynamic_update_slice(x, &block, &starts)
}

/// Values of the indexed shape combined in at any places.
fn scatter(kind: ScatterKind, x: &Tensor, plan: &Plan, values: &Tensor) -> Result<Tensor> {
    // Windows are made of the slices of neighbours; strided ones have an index vector for each place.
    let values = forwards(plan, values, false)?;
    let axes: Vec<Axis> = plan.axes.iter().copied().filter(|axis| *axis != Axis::New).collect();
    let updates = lax::reshape(&values, axes.iter().map(|&axis| plan.size(axis)).collect::<Shape>())?;
    let in_window = |axis: &Axis| matches!(*axis, Axis::Slice(axis) if !is_strided(&plan.picks[axis]));
    let vectors: Vec<Axis> = axes.iter().copied().filter(|axis| !in_window(axis)).collect();
    let batch: Shape = vectors.iter().map(|&axis| plan.size(axis)).collect();
    let mut dims = ScatterDims {
        update_window_dims: (0..axes.len()).filter(|&i| in_window(&axes[i])).collect(),
        ..ScatterDims::default()
    };
    let dtype = plan.place_dtype(x.shape());
    let constant = |place: usize| lax::convert(&Tensor::from(place), dtype);
    let vector_axis = |of: Axis| vectors.iter().position(|&axis| axis == of).expect("an axis of the index vectors");
    let mut components = Vec::new();
    for (axis, pick) in plan.picks.iter().enumerate() {
        if !matches!(pick, Pick::Slice { .. }) || is_strided(pick) {
            dims.inserted_window_dims.push(axis);
        }
        let places = match pick {
            Pick::At(place) => lax::broadcast_to(&constant(*place)?, &batch)?,
            &Pick::Slice { start, count, step } if is_strided(pick) => {
                let counts = lax::iota(dtype, &batch, vector_axis(Axis::Slice(axis)))?;
                let step = lax::convert(&Tensor::from(step), dtype)?;
                debug_assert!(count > 1);
                lax::binary(BinaryOp::Add, &lax::binary(BinaryOp::Mul, &counts, &step)?, &constant(start)?)?
            }
            &Pick::Slice { count, .. } if count == x.shape()[axis] => continue,
            &Pick::Slice { start, count, step } => {
                lax::broadcast_to(&constant(Pick::lowest(start, count, step))?, &batch)?
            }
            Pick::Dynamic(place) => lax::broadcast_to(&lax::convert(place, dtype)?, &batch)?,
            Pick::Array(places) => {
                let places = lax::broadcast_to(&lax::convert(places, dtype)?, &plan.places)?;
                let to: Dims = (0..plan.places.rank()).map(|i| vector_axis(Axis::Place(i))).collect();
                lax::broadcast_in_dim(&places, &batch, &to)?
            }
        };
        components.push(lax::reshape(&places, batch.with_axis(batch.rank(), 1))?);
        dims.scatter_dims_to_operand_dims.push(axis);
    }
    let indices = lax::concatenate(&components, batch.rank())?;
    lax::scatter(kind, x, &indices, &updates, &dims)
}
