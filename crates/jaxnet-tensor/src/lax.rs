//! The primitives as strict functions.
//!
//! Unlike the methods of [`Tensor`] they neither broadcast (but for scalars beside other shapes in
//! elementwise operations) nor promote, and they return a [`Result`]. Layers, transforms and rules are
//! written with them; the names and parameters are those of XLA and of `jax.lax`.

use crate::aval::{Aval, Literal, Scalar};
use crate::dtype::DType;
use crate::error::Result;
use crate::primitive::{
    ArgKind, BinaryOp, CompareOp, Control, ConvGeneralDilated, CumulativeKind, DotGeneral, Elementwise, GatherDims,
    Index, Linalg, Random, Reduce, ReduceKind, ScatterDims, ScatterKind, SelectKind, ShapeOp, Sort, UnaryOp, Window,
    WindowDims, WindowKind,
};
use crate::shape::{Dims, Shape};
use crate::tensor::Tensor;
use crate::trace::{bind, bind1};

/// An elementwise operation on one operand.
///
/// # Errors
///
/// When it does not take the operand's dtype.
pub fn unary(op: UnaryOp, x: &Tensor) -> Result<Tensor> {
    bind1(&Elementwise::Unary(op).into(), std::slice::from_ref(x))
}

/// An elementwise operation on two operands of one shape and dtype.
///
/// # Errors
///
/// When shapes or dtypes differ or are not taken.
pub fn binary(op: BinaryOp, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    bind1(&Elementwise::Binary(op).into(), &[x.clone(), y.clone()])
}

/// A comparison of two operands of one shape and dtype.
///
/// # Errors
///
/// When shapes or dtypes differ.
pub fn compare(op: CompareOp, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    bind1(&Elementwise::Compare(op).into(), &[x.clone(), y.clone()])
}

/// `x` to a constant integer power.
///
/// # Errors
///
/// For integers with a negative exponent, and for booleans.
pub fn integer_pow(x: &Tensor, exponent: i32) -> Result<Tensor> {
    bind1(&Elementwise::IntegerPow(exponent).into(), std::slice::from_ref(x))
}

/// `on_true` where `pred` holds, `on_false` elsewhere.
///
/// # Errors
///
/// When `pred` is not boolean or the operands differ in shape or dtype.
pub fn select(pred: &Tensor, on_true: &Tensor, on_false: &Tensor) -> Result<Tensor> {
    bind1(&Elementwise::Select.into(), &[pred.clone(), on_true.clone(), on_false.clone()])
}

/// `x` where it is within `min` and `max`, otherwise the nearer of them.
///
/// # Errors
///
/// When the operands differ in shape or dtype.
pub fn clamp(min: &Tensor, x: &Tensor, max: &Tensor) -> Result<Tensor> {
    bind1(&Elementwise::Clamp.into(), &[min.clone(), x.clone(), max.clone()])
}

/// `x` in another dtype; `x` itself if it has that dtype, strongly, already.
///
/// # Errors
///
/// None that are known.
pub fn convert(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype && !x.is_weak() {
        return Ok(x.clone());
    }
    if let Some(literal) = x.literal()
        && (literal.dtype == dtype || !matches!((literal.value, dtype.is_integer()), (Scalar::Float(_), true)))
    {
        return Ok(Tensor::from(Literal { value: literal.value, dtype, weak: false }));
    }
    bind1(&Elementwise::Convert(dtype).into(), std::slice::from_ref(x))
}

/// The bits of `x` as another dtype of the same width.
///
/// # Errors
///
/// When the widths differ.
pub fn bitcast_convert(x: &Tensor, dtype: DType) -> Result<Tensor> {
    bind1(&Elementwise::BitcastConvert(dtype).into(), std::slice::from_ref(x))
}

/// Puts axis `i` of `x` at axis `dims[i]` of an array of this shape, repeating axes of size 1.
///
/// # Errors
///
/// When the shapes do not fit.
pub fn broadcast_in_dim(x: &Tensor, shape: impl Into<Shape>, dims: &[usize]) -> Result<Tensor> {
    let (shape, dims) = (shape.into(), Dims::from_slice(dims));
    if *x.shape() == shape && x.rank() == dims.len() && x.literal().is_none() {
        return Ok(x.clone());
    }
    bind1(&ShapeOp::BroadcastInDim { shape, dims }.into(), std::slice::from_ref(x))
}

/// Broadcasts by numpy's rules: axes are lined up from the last.
///
/// # Errors
///
/// When `x` does not broadcast to this shape.
pub fn broadcast_to(x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let Some(new) = shape.rank().checked_sub(x.rank()) else {
        return Err(crate::Error::invalid(
            "broadcast_to",
            format!("cannot broadcast shape {} to {shape}, which has fewer axes", x.shape()),
        ));
    };
    if x.shape().iter().zip(&shape[new..]).any(|(&from, &to)| from != to && from != 1) {
        return Err(crate::Error::invalid(
            "broadcast_to",
            format!(
                "cannot broadcast shape {} to {shape}; sizes must be equal or 1, counted from the last axis",
                x.shape()
            ),
        ));
    }
    broadcast_in_dim(x, shape, &(new..shape.rank()).collect::<Dims>())
}

/// The same elements, in row-major order, in another shape.
///
/// # Errors
///
/// When the sizes differ.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    if *x.shape() == shape {
        return Ok(x.clone());
    }
    bind1(&ShapeOp::Reshape { shape }.into(), std::slice::from_ref(x))
}

/// Axis `permutation[i]` becomes axis `i`.
///
/// # Errors
///
/// When `permutation` does not name each axis once.
pub fn transpose(x: &Tensor, permutation: &[usize]) -> Result<Tensor> {
    if permutation.len() == x.rank() && permutation.iter().enumerate().all(|(i, &axis)| i == axis) {
        return Ok(x.clone());
    }
    bind1(&ShapeOp::Transpose { permutation: permutation.into() }.into(), std::slice::from_ref(x))
}

/// Turns round the order along some axes.
///
/// # Errors
///
/// When an axis does not exist.
pub fn reverse(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    bind1(&ShapeOp::Reverse { axes: axes.into() }.into(), std::slice::from_ref(x))
}

/// Every `strides[i]`-th index from `starts[i]` until before `limits[i]`, along each axis.
///
/// # Errors
///
/// When that is not within `x`.
pub fn slice(x: &Tensor, starts: &[usize], limits: &[usize], strides: &[usize]) -> Result<Tensor> {
    let whole = starts.iter().all(|&start| start == 0) && limits == x.shape().dims() && strides.iter().all(|&s| s == 1);
    if whole && starts.len() == x.rank() && strides.len() == x.rank() {
        return Ok(x.clone());
    }
    let op = ShapeOp::Slice { starts: starts.into(), limits: limits.into(), strides: strides.into() };
    bind1(&op.into(), std::slice::from_ref(x))
}

/// A slice along one axis.
///
/// # Errors
///
/// When that is not within `x`.
pub fn slice_axis(x: &Tensor, axis: usize, start: usize, limit: usize, stride: usize) -> Result<Tensor> {
    let mut starts = Dims::from_elem(0, x.rank());
    let mut limits = Dims::from_slice(x.shape());
    let mut strides = Dims::from_elem(1, x.rank());
    if axis >= x.rank() {
        return Err(crate::Error::invalid("slice", format!("axis {axis} of {} does not exist", x.aval())));
    }
    (starts[axis], limits[axis], strides[axis]) = (start, limit, stride);
    slice(x, &starts, &limits, &strides)
}

/// Adds `low`, `high` and `interior` copies of a scalar before, after and between elements; negative
/// numbers remove elements.
///
/// # Errors
///
/// When more would be removed than there is, or `value` is no scalar of the same dtype.
pub fn pad(x: &Tensor, value: &Tensor, low: &[i64], high: &[i64], interior: &[usize]) -> Result<Tensor> {
    let zero = |sizes: &[i64]| sizes.iter().all(|&size| size == 0);
    if zero(low) && zero(high) && interior.iter().all(|&size| size == 0) && low.len() == x.rank() {
        return Ok(x.clone());
    }
    let op = ShapeOp::Pad { low: low.into(), high: high.into(), interior: interior.into() };
    bind1(&op.into(), &[x.clone(), value.clone()])
}

/// Arrays one after the other along an axis.
///
/// # Errors
///
/// When there are none, or they differ in more than the size of that axis.
pub fn concatenate(xs: &[Tensor], axis: usize) -> Result<Tensor> {
    if let [x] = xs
        && axis < x.rank()
    {
        return Ok(x.clone());
    }
    bind1(&ShapeOp::Concatenate { axis }.into(), xs)
}

/// Counts 0, 1, … along an axis.
///
/// # Errors
///
/// When the axis does not exist or the dtype is bool.
pub fn iota(dtype: DType, shape: impl Into<Shape>, axis: usize) -> Result<Tensor> {
    bind1(&ShapeOp::Iota { dtype, shape: shape.into(), axis }.into(), &[])
}

/// An array of copies of a scalar.
///
/// # Errors
///
/// None that are known.
pub fn full(aval: &Aval, value: impl Into<Scalar>) -> Result<Tensor> {
    let scalar = Tensor::from(Literal { value: value.into(), dtype: aval.dtype, weak: aval.weak });
    broadcast_in_dim(&scalar, &aval.shape, &[])
}

/// Combines all elements along some axes.
///
/// # Errors
///
/// When an axis does not exist or the dtype is not taken.
pub fn reduce(kind: ReduceKind, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    bind1(&Reduce::Reduce { kind, axes: axes.into() }.into(), std::slice::from_ref(x))
}

/// The index of the first greatest or least element along an axis.
///
/// # Errors
///
/// When the axis does not exist or is empty, or the index dtype is none.
pub fn arg_reduce(kind: ArgKind, x: &Tensor, axis: usize, dtype: DType) -> Result<Tensor> {
    bind1(&Reduce::Arg { kind, axis, dtype }.into(), std::slice::from_ref(x))
}

/// Combines each element with all before it, or after it, along an axis.
///
/// # Errors
///
/// When the axis does not exist or the dtype is not taken.
pub fn cumulative(kind: CumulativeKind, x: &Tensor, axis: usize, reverse: bool) -> Result<Tensor> {
    bind1(&Reduce::Cumulative { kind, axis, reverse }.into(), std::slice::from_ref(x))
}

/// Combines the elements of sliding windows.
///
/// # Errors
///
/// When the windows do not fit.
pub fn reduce_window(kind: WindowKind, x: &Tensor, window: &WindowDims) -> Result<Tensor> {
    bind1(&Window::ReduceWindow { kind, window: window.clone() }.into(), std::slice::from_ref(x))
}

/// Adds each element of `source` at the selected place of its window over `operand`, in zeros.
///
/// # Errors
///
/// When the windows do not fit.
pub fn select_and_scatter_add(
    select: SelectKind,
    source: &Tensor,
    operand: &Tensor,
    window: &WindowDims,
) -> Result<Tensor> {
    bind1(&Window::SelectAndScatterAdd { select, window: window.clone() }.into(), &[source.clone(), operand.clone()])
}

/// Takes from each window of `tangent` the element at the place selected in the window of `operand`.
///
/// # Errors
///
/// When the windows do not fit.
pub fn select_and_gather_add(
    select: SelectKind,
    tangent: &Tensor,
    operand: &Tensor,
    window: &WindowDims,
) -> Result<Tensor> {
    bind1(&Window::SelectAndGatherAdd { select, window: window.clone() }.into(), &[tangent.clone(), operand.clone()])
}

/// Contracts axes of two arrays, with others as batch axes.
///
/// # Errors
///
/// When paired axes differ in size.
pub fn dot_general(
    x: &Tensor,
    y: &Tensor,
    contracting: (&[usize], &[usize]),
    batch: (&[usize], &[usize]),
) -> Result<Tensor> {
    let op = DotGeneral {
        lhs_contracting: contracting.0.into(),
        rhs_contracting: contracting.1.into(),
        lhs_batch: batch.0.into(),
        rhs_batch: batch.1.into(),
    };
    bind1(&op.into(), &[x.clone(), y.clone()])
}

/// Convolves an input with a kernel.
///
/// # Errors
///
/// When sizes or groups do not fit.
pub fn conv_general_dilated(input: &Tensor, kernel: &Tensor, parameters: &ConvGeneralDilated) -> Result<Tensor> {
    bind1(&parameters.clone().into(), &[input.clone(), kernel.clone()])
}

/// A slice of `operand` for each index vector; slices are moved inside the operand.
///
/// # Errors
///
/// When the axes do not fit.
pub fn gather(operand: &Tensor, indices: &Tensor, dims: &GatherDims, slice_sizes: &[usize]) -> Result<Tensor> {
    let op = Index::Gather { dims: dims.clone(), slice_sizes: slice_sizes.into() };
    bind1(&op.into(), &[operand.clone(), indices.clone()])
}

/// `operand` with windows of `updates` combined in at each index vector; windows that reach out of the
/// operand are left out.
///
/// # Errors
///
/// When the axes do not fit.
pub fn scatter(
    kind: ScatterKind,
    operand: &Tensor,
    indices: &Tensor,
    updates: &Tensor,
    dims: &ScatterDims,
) -> Result<Tensor> {
    let op = Index::Scatter { kind, dims: dims.clone() };
    bind1(&op.into(), &[operand.clone(), indices.clone(), updates.clone()])
}

/// A slice at computed starts, moved inside the operand where it would reach out.
///
/// # Errors
///
/// When the sizes do not fit.
pub fn dynamic_slice(operand: &Tensor, starts: &[Tensor], sizes: impl Into<Shape>) -> Result<Tensor> {
    let inputs: Vec<Tensor> = std::iter::once(operand).chain(starts).cloned().collect();
    bind1(&Index::DynamicSlice { sizes: sizes.into() }.into(), &inputs)
}

/// `operand` with `update` written at computed starts, moved inside where it would reach out.
///
/// # Errors
///
/// When the sizes or dtypes do not fit.
pub fn dynamic_update_slice(operand: &Tensor, update: &Tensor, starts: &[Tensor]) -> Result<Tensor> {
    let inputs: Vec<Tensor> = [operand, update].into_iter().chain(starts).cloned().collect();
    bind1(&Index::DynamicUpdateSlice.into(), &inputs)
}

/// Sorts arrays of one shape together along an axis, by the first `keys` of them, stably.
///
/// # Errors
///
/// When the shapes differ or the axis does not exist.
pub fn sort(operands: &[Tensor], axis: usize, keys: usize, descending: bool) -> Result<Vec<Tensor>> {
    Ok(bind(&Sort::Sort { axis, keys, descending }.into(), operands)?.into_vec())
}

/// The `k` greatest elements along the last axis, and their indices.
///
/// # Errors
///
/// When there are fewer than `k`.
pub fn top_k(x: &Tensor, k: usize) -> Result<(Tensor, Tensor)> {
    let mut results = bind(&Sort::TopK { k }.into(), std::slice::from_ref(x))?.into_iter();
    Ok((results.next().expect("two results"), results.next().expect("two results")))
}

/// The lower triangular `L` with `L Lᵀ = a`, of whose matrices the lower triangle is read.
///
/// # Errors
///
/// When `a` is not of square matrices of f32 or f64.
pub fn cholesky(a: &Tensor) -> Result<Tensor> {
    bind1(&Linalg::Cholesky.into(), std::slice::from_ref(a))
}

/// The `x` with `op(a) x = b`, or `x op(a) = b`, where `a` is triangular; see [`Linalg::TriangularSolve`].
///
/// # Errors
///
/// When `a` is not of square matrices of f32 or f64, or `b` does not fit.
pub fn triangular_solve(a: &Tensor, b: &Tensor, op: Linalg) -> Result<Tensor> {
    bind1(&op.into(), &[a.clone(), b.clone()])
}

/// The `x` with `a x = b`, or `aᵀ x = b`.
///
/// # Errors
///
/// When `a` is not of square matrices of f32 or f64, or `b` does not fit.
pub fn linear_solve(a: &Tensor, b: &Tensor, transpose_a: bool) -> Result<Tensor> {
    bind1(&Linalg::Solve { transpose_a }.into(), &[a.clone(), b.clone()])
}

/// The LU decomposition with partial pivoting: `(lu, pivots, permutation)`, see [`Linalg::Lu`].
///
/// # Errors
///
/// When `a` is not of matrices of f32 or f64.
pub fn lu(a: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let mut results = bind(&Linalg::Lu.into(), std::slice::from_ref(a))?.into_iter();
    let mut next = || results.next().expect("three results");
    Ok((next(), next(), next()))
}

/// The QR decomposition `(q, r)`, see [`Linalg::Qr`].
///
/// # Errors
///
/// When `a` is not of matrices of f32 or f64.
pub fn qr(a: &Tensor, full_matrices: bool) -> Result<(Tensor, Tensor)> {
    let mut results = bind(&Linalg::Qr { full_matrices }.into(), std::slice::from_ref(a))?.into_iter();
    Ok((results.next().expect("two results"), results.next().expect("two results")))
}

/// Eigenvectors and eigenvalues `(v, w)` of symmetric matrices, of which one triangle is read; see
/// [`Linalg::Eigh`].
///
/// # Errors
///
/// When `a` is not of square matrices of f32 or f64.
pub fn eigh(a: &Tensor, lower: bool) -> Result<(Tensor, Tensor)> {
    let mut results = bind(&Linalg::Eigh { lower }.into(), std::slice::from_ref(a))?.into_iter();
    Ok((results.next().expect("two results"), results.next().expect("two results")))
}

/// The singular value decomposition `(s, u, vt)`, see [`Linalg::Svd`].
///
/// # Errors
///
/// When `a` is not of matrices of f32 or f64.
pub fn svd(a: &Tensor, full_matrices: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let op = Linalg::Svd { full_matrices, compute_uv: true };
    let mut results = bind(&op.into(), std::slice::from_ref(a))?.into_iter();
    let mut next = || results.next().expect("three results");
    Ok((next(), next(), next()))
}

/// Singular values, from the greatest to the least.
///
/// # Errors
///
/// When `a` is not of matrices of f32 or f64.
pub fn singular_values(a: &Tensor) -> Result<Tensor> {
    bind1(&Linalg::Svd { full_matrices: false, compute_uv: false }.into(), std::slice::from_ref(a))
}

/// The Threefry-2x32 cipher on u32 words: key `(k0, k1)`, counter `(x0, x1)`.
///
/// # Errors
///
/// When an operand is not u32 or shapes differ.
pub fn threefry2x32(key: (&Tensor, &Tensor), counter: (&Tensor, &Tensor)) -> Result<(Tensor, Tensor)> {
    let inputs = [key.0, key.1, counter.0, counter.1].map(Tensor::clone);
    let mut results = bind(&Random::Threefry2x32.into(), &inputs)?.into_iter();
    Ok((results.next().expect("two results"), results.next().expect("two results")))
}

/// The tensors as they are, where the compiler must not look through.
///
/// # Errors
///
/// None that are known.
pub fn optimization_barrier(xs: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(bind(&Control::OptimizationBarrier.into(), xs)?.into_vec())
}

/// The tensor as it is, with derivative zero.
///
/// # Errors
///
/// None that are known.
pub fn stop_gradient(x: &Tensor) -> Result<Tensor> {
    bind1(&Control::StopGradient.into(), std::slice::from_ref(x))
}
