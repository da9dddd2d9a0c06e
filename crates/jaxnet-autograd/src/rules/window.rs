//! Reductions over sliding windows.
//!
//! Sums are linear. The maximum and the minimum pass on the tangent of the element that they select,
//! which is a linear operation of its own, and so is its transpose: each is the other's transpose, so
//! that derivatives of any order stay within the family.

use jaxnet_tensor::primitive::{CompareOp, SelectKind, Window, WindowDims, WindowKind};
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{Aval, DType, Dims, Result, Shape, Tensor, lax};

use super::{Batches, Cotangents, Duals, aval_of, batched, dilated, dual, first_batch, linear_jvp, not_linear, scalar};
use crate::batch::move_batch;
use crate::linear::Operand;

pub(super) fn jvp(op: &Window, primals: &[Tensor], tangents: &[Option<Tensor>]) -> Result<Duals> {
    let select = match op {
        Window::ReduceWindow { kind: WindowKind::Sum, .. } => {
            return linear_jvp(&op.clone().into(), primals, tangents);
        }
        Window::ReduceWindow { kind: WindowKind::Max, .. } => Some(SelectKind::Max),
        Window::ReduceWindow { kind: WindowKind::Min, .. } => Some(SelectKind::Min),
        Window::SelectAndScatterAdd { .. } | Window::SelectAndGatherAdd { .. } => None,
    };
    let y = bind1(&op.clone().into(), primals)?;
    let tangent = match (&tangents[0], select) {
        (None, _) => None,
        (Some(t), Some(select)) => Some(lax::select_and_gather_add(select, t, &primals[0], op.window())?),
        // The operand only says which elements are selected, which small changes do not alter.
        (Some(t), None) => Some(bind1(&op.clone().into(), &[t.clone(), primals[1].clone()])?),
    };
    Ok(dual(y, tangent))
}

pub(super) fn transpose(op: &Window, ct: &Tensor, inputs: &[Operand<Aval>]) -> Result<Cotangents> {
    match (op, inputs) {
        (Window::ReduceWindow { kind: WindowKind::Sum, window }, [x]) => {
            Ok(vec![Some(sum_transpose(window, ct, &aval_of(x).shape)?)])
        }
        (Window::SelectAndScatterAdd { select, window }, [Operand::Linear(_), Operand::Known(operand)]) => {
            Ok(vec![Some(lax::select_and_gather_add(*select, ct, operand, window)?), None])
        }
        (Window::SelectAndGatherAdd { select, window }, [Operand::Linear(_), Operand::Known(operand)]) => {
            let has_dilations =
                window.base_dilation.iter().chain(&window.window_dilation).any(|&dilation| dilation != 1);
            let ct = if has_dilations {
                scatter_dilated(*select, window, ct, operand)?
            } else {
                lax::select_and_scatter_add(*select, ct, operand, window)?
            };
            Ok(vec![Some(ct), None])
        }
        _ => Err(not_linear(&op.clone().into())),
    }
}

/// Each element gets the sum of the cotangents of the windows that it is in: a sum over windows of the
/// cotangents, which are as far apart as the windows were.
fn sum_transpose(window: &WindowDims, ct: &Tensor, from: &Shape) -> Result<Tensor> {
    let before = |axis: usize| dilated(window.size[axis], window.window_dilation[axis]) - window.padding[axis].0 - 1;
    let after = |axis: usize| {
        let spread = dilated(ct.shape()[axis], window.strides[axis]);
        let reach = dilated(from[axis], window.base_dilation[axis]);
        reach + dilated(window.size[axis], window.window_dilation[axis]) - 1 - spread - before(axis)
    };
    let low: Vec<i64> = (0..from.rank()).map(before).collect();
    let high: Vec<i64> = (0..from.rank()).map(after).collect();
    let interior: Dims = window.strides.iter().map(|stride| stride - 1).collect();
    let padded = lax::pad(ct, &scalar(ct.dtype(), 0), &low, &high, &interior)?;
    let window = WindowDims {
        strides: window.base_dilation.clone(),
        padding: vec![(0, 0); from.rank()],
        base_dilation: Dims::from_elem(1, from.rank()),
        ..window.clone()
    };
    lax::reduce_window(WindowKind::Sum, &padded, &window)
}

/// `select_and_scatter_add` for windows with dilations, which that operation does not take: a strided
/// slice for each element of the window, among which each window's first extreme one is found, and as
/// many cotangents padded back to their places.
fn scatter_dilated(select: SelectKind, window: &WindowDims, ct: &Tensor, operand: &Tensor) -> Result<Tensor> {
    let rank = operand.rank();
    if ct.size() == 0 || operand.size() == 0 {
        return Ok(operand.zeros_like());
    }
    let (low, high): (Vec<i64>, Vec<i64>) = window.padding.iter().copied().unzip();
    let interior: Dims = window.base_dilation.iter().map(|dilation| dilation - 1).collect();
    // Only which element is selected matters, which has no derivative.
    let operand = &lax::stop_gradient(operand)?;
    let padded = lax::pad(operand, &scalar(operand.dtype(), 0), &low, &high, &interior)?;
    // Padding and holes are never selected.
    let element = lax::full(&Aval::new(DType::Bool, operand.shape()), true)?;
    let element = lax::pad(&element, &Tensor::from(false), &low, &high, &interior)?;

    let sizes = Shape::from(window.size.clone());
    let offset = |k: usize| -> Dims {
        let strides = sizes.strides();
        (0..rank).map(|axis| k / strides[axis] % sizes[axis] * window.window_dilation[axis]).collect()
    };
    let end = |start: &Dims| -> Dims {
        (0..rank).map(|axis| start[axis] + (ct.shape()[axis] - 1) * window.strides[axis] + 1).collect()
    };
    let compare = match select {
        SelectKind::Max => CompareOp::Gt,
        SelectKind::Min => CompareOp::Lt,
    };
    let nowhere = scalar(DType::I32, -1);
    let mut chosen = lax::broadcast_in_dim(&nowhere, ct.shape(), &[])?;
    let mut best = lax::full(&Aval::new(operand.dtype(), ct.shape()), 0)?;
    for k in 0..sizes.size() {
        let start = offset(k);
        let x = lax::slice(&padded, &start, &end(&start), &window.strides)?;
        let is_element = lax::slice(&element, &start, &end(&start), &window.strides)?;
        let extremer = lax::compare(compare, &x, &best)? | (x.is_nan() & !best.is_nan());
        let wins = is_element & (extremer | lax::compare(CompareOp::Eq, &chosen, &nowhere)?);
        best = lax::select(&wins, &x, &best)?;
        chosen = lax::select(&wins, &scalar(DType::I32, k as i64), &chosen)?;
    }

    let zero = scalar(ct.dtype(), 0);
    let between: Dims = window.strides.iter().map(|stride| stride - 1).collect();
    let mut sum: Option<Tensor> = None;
    for k in 0..sizes.size() {
        let here = lax::compare(CompareOp::Eq, &chosen, &scalar(DType::I32, k as i64))?;
        let start = offset(k);
        let before: Vec<i64> = start.iter().map(|&start| start as i64).collect();
        let after: Vec<i64> =
            padded.shape().iter().zip(end(&start)).map(|(&size, end)| size as i64 - end as i64).collect();
        let part = lax::pad(&lax::select(&here, ct, &zero)?, &zero, &before, &after, &between)?;
        sum = super::add(sum, Some(part));
    }
    let sum = sum.expect("a window has elements");
    let negated = |widths: &[i64]| -> Vec<i64> { widths.iter().map(|width| -width).collect() };
    let sum = lax::pad(&sum, &zero, &negated(&low), &negated(&high), &vec![0; rank])?;
    lax::slice(&sum, &vec![0; rank], sum.shape(), &window.base_dilation)
}

/// One more axis, along which windows have one element.
pub(super) fn batch(op: &Window, size: usize, inputs: &[Tensor], axes: &[Option<usize>]) -> Result<Batches> {
    let at = first_batch(axes);
    let inputs = inputs.iter().zip(axes).map(|(x, from)| move_batch(x, size, *from, at)).collect::<Result<Vec<_>>>()?;
    let mut op = op.clone();
    let (Window::ReduceWindow { window, .. }
    | Window::SelectAndScatterAdd { window, .. }
    | Window::SelectAndGatherAdd { window, .. }) = &mut op;
    for list in [&mut window.size, &mut window.strides, &mut window.base_dilation, &mut window.window_dilation] {
        list.insert(at, 1);
    }
    window.padding.insert(at, (0, 0));
    Ok(batched(bind1(&op.into(), &inputs)?, at))
}
