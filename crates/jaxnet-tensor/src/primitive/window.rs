//! Reductions over sliding windows.

use std::fmt::{self, Write};

use super::arity;
use crate::aval::Aval;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Dims, Shape};

/// The geometry of windows that slide over an array, one entry for each of its axes.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::primitive::{WindowDims, WindowKind};
/// use jaxnet_tensor::{Tensor, lax};
///
/// let x = Tensor::range(5);
/// let windows = WindowDims::new([3]).strides([2]).padding([(1, 1)]);
/// let sums = lax::reduce_window(WindowKind::Sum, &x, &windows)?;
/// assert_eq!(sums.to_vec::<i32>(), [0 + 1, 1 + 2 + 3, 3 + 4]);
/// # Ok::<(), jaxnet_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowDims {
    /// The number of elements in the window along each axis.
    pub size: Dims,
    /// How far the window moves.
    pub strides: Dims,
    /// How many neutral elements go before and after each axis; negative removes elements.
    pub padding: Vec<(i64, i64)>,
    /// The distance of neighbouring elements after holes were put between them: 1 for none.
    pub base_dilation: Dims,
    /// The distance of neighbouring elements in the window: 1 for no holes.
    pub window_dilation: Dims,
}

impl WindowDims {
    /// Windows without padding or holes that move by one.
    pub fn new(size: impl Into<Shape>) -> Self {
        let size = Dims::from(size.into());
        let ones = Dims::from_elem(1, size.len());
        WindowDims {
            strides: ones.clone(),
            padding: vec![(0, 0); size.len()],
            base_dilation: ones.clone(),
            window_dilation: ones,
            size,
        }
    }

    /// The windows, moving by other distances.
    pub fn strides(self, strides: impl Into<Shape>) -> Self {
        WindowDims { strides: strides.into().into(), ..self }
    }

    /// The windows, over an array with neutral elements before and after each axis; negative numbers
    /// remove elements.
    pub fn padding(self, padding: impl Into<Vec<(i64, i64)>>) -> Self {
        WindowDims { padding: padding.into(), ..self }
    }

    /// The windows, over an array with holes.
    pub fn base_dilation(self, dilation: impl Into<Shape>) -> Self {
        WindowDims { base_dilation: dilation.into().into(), ..self }
    }

    /// The windows with holes in them.
    pub fn window_dilation(self, dilation: impl Into<Shape>) -> Self {
        WindowDims { window_dilation: dilation.into().into(), ..self }
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.size.len()
    }

    /// The number of places for the window along each axis of an array of this shape.
    ///
    /// # Errors
    ///
    /// When the geometry does not fit the shape, with `op` as the operation to blame.
    pub fn output_shape(&self, op: &str, shape: &[usize]) -> Result<Shape> {
        let rank = self.rank();
        let lengths = [self.strides.len(), self.padding.len(), self.base_dilation.len(), self.window_dilation.len()];
        if lengths != [rank; 4] || shape.len() != rank {
            return Err(Error::invalid(
                op,
                format!("size, strides, padding and dilations need one entry for each axis of {shape:?}"),
            ));
        }
        (0..rank)
            .map(|axis| {
                let steps = [self.strides[axis], self.base_dilation[axis], self.window_dilation[axis]];
                if steps.contains(&0) || self.size[axis] == 0 {
                    return Err(Error::invalid(
                        op,
                        format!("axis {axis}: sizes, strides and dilations must be at least 1"),
                    ));
                }
                let dilated = |size: usize, by: usize| size.saturating_sub(1) as i64 * by as i64 + (size > 0) as i64;
                let (low, high) = self.padding[axis];
                let padded = dilated(shape[axis], self.base_dilation[axis]) + low + high;
                if padded < 0 {
                    return Err(Error::invalid(
                        op,
                        format!("axis {axis}: padding ({low}, {high}) leaves less than nothing of {shape:?}"),
                    ));
                }
                let window = dilated(self.size[axis], self.window_dilation[axis]);
                Ok(if padded < window { 0 } else { ((padded - window) / self.strides[axis] as i64 + 1) as usize })
            })
            .collect()
    }
}

/// An operation on sliding windows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// Combines the elements of each window. Padding and holes are neutral.
    ReduceWindow {
        /// How to combine.
        kind: WindowKind,
        /// The windows.
        window: WindowDims,
    },
    /// `(source, operand)`: adds each element of `source`, which has one for each window over
    /// `operand`, to the place of the selected element of that window, in zeros of `operand`'s shape.
    /// No dilations.
    SelectAndScatterAdd {
        /// Which element of the window.
        select: SelectKind,
        /// The windows.
        window: WindowDims,
    },
    /// `(tangent, operand)`: takes from each window of `tangent` the element at the place that is
    /// selected in the same window of `operand`; 0 where that is padding.
    SelectAndGatherAdd {
        /// Which element of the window.
        select: SelectKind,
        /// The windows.
        window: WindowDims,
    },
}

/// How a window is combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum WindowKind {
    Sum,
    Max,
    Min,
}

/// Which element of a window is selected: the first of the greatest or least (NaN counts as both).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SelectKind {
    Max,
    Min,
}

impl Window {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Window::ReduceWindow { kind: WindowKind::Sum, .. } => "reduce_window_sum",
            Window::ReduceWindow { kind: WindowKind::Max, .. } => "reduce_window_max",
            Window::ReduceWindow { kind: WindowKind::Min, .. } => "reduce_window_min",
            Window::SelectAndScatterAdd { .. } => "select_and_scatter_add",
            Window::SelectAndGatherAdd { .. } => "select_and_gather_add",
        }
    }

    /// The windows.
    pub fn window(&self) -> &WindowDims {
        match self {
            Window::ReduceWindow { window, .. }
            | Window::SelectAndScatterAdd { window, .. }
            | Window::SelectAndGatherAdd { window, .. } => window,
        }
    }

    pub(super) fn parameters(&self, f: &mut String) -> fmt::Result {
        match self {
            Window::ReduceWindow { .. } => {}
            Window::SelectAndScatterAdd { select, .. } | Window::SelectAndGatherAdd { select, .. } => {
                write!(f, "select={} ", if *select == SelectKind::Max { "max" } else { "min" })?;
            }
        }
        let window = self.window();
        write!(f, "size={:?} strides={:?} padding={:?}", window.size, window.strides, window.padding)?;
        if window.base_dilation.iter().any(|&dilation| dilation != 1) {
            write!(f, " base_dilation={:?}", window.base_dilation)?;
        }
        if window.window_dilation.iter().any(|&dilation| dilation != 1) {
            write!(f, " window_dilation={:?}", window.window_dilation)?;
        }
        Ok(())
    }

    pub(super) fn infer(&self, inputs: &[&Aval]) -> Result<Aval> {
        let op = self.name();
        let fail = |message: String| Err(Error::invalid(op, message));
        match self {
            Window::ReduceWindow { window, .. } => {
                arity(op, inputs, 1)?;
                if inputs[0].dtype == DType::Bool {
                    return fail("does not take bool operands; convert them with `.astype`".into());
                }
                Ok(inputs[0].with_shape(window.output_shape(op, &inputs[0].shape)?))
            }
            Window::SelectAndScatterAdd { window, .. } => {
                arity(op, inputs, 2)?;
                if window.base_dilation.iter().chain(&window.window_dilation).any(|&dilation| dilation != 1) {
                    return fail("does not take dilations".into());
                }
                let (source, operand) = (inputs[0], inputs[1]);
                let windows = window.output_shape(op, &operand.shape)?;
                if source.shape != windows || source.dtype != operand.dtype || source.dtype == DType::Bool {
                    return fail(format!(
                        "the source {source} must have one number of the operand's dtype for each window, {windows} of {operand}"
                    ));
                }
                Ok(operand.strong())
            }
            Window::SelectAndGatherAdd { window, .. } => {
                arity(op, inputs, 2)?;
                let (tangent, operand) = (inputs[0], inputs[1]);
                if !tangent.matches(operand) || tangent.dtype == DType::Bool {
                    return fail(format!(
                        "needs two operands of one shape and numeric dtype, got {tangent} and {operand}"
                    ));
                }
                Ok(operand.with_shape(window.output_shape(op, &operand.shape)?).strong())
            }
        }
    }
}
