//! Reductions over sliding windows.

use super::hlo::{Builder, Value};
use super::reduce::{Order, first_in_order, greatest, index_dtype, least, sum_dtype};
use crate::aval::{Aval, Scalar};
use crate::primitive::{SelectKind, Window, WindowDims, WindowKind};
use crate::shape::Shape;

pub(super) fn lower(b: &mut Builder<'_>, op: &Window, inputs: &[Value], output: &Aval) -> Value {
    match op {
        Window::ReduceWindow { kind, window } => reduce_window(b, *kind, window, &inputs[0], output),
        Window::SelectAndScatterAdd { select, window } => {
            select_and_scatter_add(b, *select, window, &inputs[0], &inputs[1])
        }
        Window::SelectAndGatherAdd { select, window } => {
            select_and_gather_add(b, *select, window, &inputs[0], &inputs[1], output)
        }
    }
}

/// The geometry as an attribute of HLO.
pub(super) fn attribute(window: &WindowDims) -> String {
    let join = |parts: Vec<String>| parts.join("x");
    let sizes = |sizes: &[usize]| join(sizes.iter().map(usize::to_string).collect());
    let mut parts = vec![format!("size={}", sizes(&window.size)), format!("stride={}", sizes(&window.strides))];
    parts.push(format!("pad={}", join(window.padding.iter().map(|(low, high)| format!("{low}_{high}")).collect())));
    for (name, dilation) in [("lhs_dilate", &window.base_dilation), ("rhs_dilate", &window.window_dilation)] {
        if dilation.iter().any(|&by| by != 1) {
            parts.push(format!("{name}={}", sizes(dilation)));
        }
    }
    format!("{{{}}}", parts.join(" "))
}

/// The operand with its padding and holes as elements, and windows over that.
fn padded(b: &mut Builder<'_>, window: &WindowDims, x: &Value, neutral: &Value) -> (Value, WindowDims) {
    let padding: Vec<_> = window
        .padding
        .iter()
        .zip(&window.base_dilation)
        .map(|(&(low, high), &dilation)| (low, high, dilation - 1))
        .collect();
    let rank = window.rank();
    let over = WindowDims { padding: vec![(0, 0); rank], ..window.clone() }.base_dilation(vec![1; rank]);
    (b.pad(x, neutral, &padding), over)
}

fn reduce_window(b: &mut Builder<'_>, kind: WindowKind, window: &WindowDims, x: &Value, output: &Aval) -> Value {
    if window.rank() == 0 {
        return x.clone();
    }
    let (neutral, dtype) = match kind {
        WindowKind::Sum => (Scalar::Int(0), sum_dtype(x.dtype)),
        WindowKind::Max => (least(x.dtype), x.dtype),
        WindowKind::Min => (greatest(x.dtype), x.dtype),
    };
    let combine = match kind {
        WindowKind::Sum => b.reducer("add", dtype),
        WindowKind::Max | WindowKind::Min => b.extreme_reducer(kind == WindowKind::Max, dtype),
    };
    b.within(dtype, x, |b, x| {
        let neutral = b.scalar(dtype, neutral);
        // Padding of all kinds is padding's business; what remains is what XLA has fast code for.
        let plain = window.padding.iter().all(|&(low, high)| low >= 0 && high >= 0)
            && window.base_dilation.iter().all(|&by| by == 1);
        let (x, window) = if plain { (x.clone(), window.clone()) } else { padded(b, window, x, &neutral) };
        let attributes = format!("window={}, to_apply={combine}", attribute(&window));
        b.op("reduce-window", dtype, &output.shape, &[&x, &neutral], &attributes)
    })
}

fn order(select: SelectKind) -> Order {
    match select {
        SelectKind::Max => Order::Greatest,
        SelectKind::Min => Order::Least,
    }
}

fn select_and_scatter_add(
    b: &mut Builder<'_>,
    select: SelectKind,
    window: &WindowDims,
    source: &Value,
    operand: &Value,
) -> Value {
    if window.rank() == 0 {
        return source.clone();
    }
    if source.shape.size() == 0 || operand.shape.size() == 0 {
        return b.zeros(operand.dtype, &operand.shape);
    }
    // The places of the selected elements, and a sum at each: HLO's own select-and-scatter takes neither
    // negative padding nor an order that depends on more than the elements.
    let places = selected_places(b, select, window, operand, &source.shape);
    let dtype = sum_dtype(operand.dtype);
    let size = operand.shape.size();
    let zeros = b.zeros(dtype, &Shape::from([size]));
    let indices = b.reshape(&places, &source.shape.with_axis(source.rank(), 1));
    let updates = b.convert(source, dtype);
    let combine = b.reducer("add", dtype);
    let attributes = format!(
        "update_window_dims={{}}, inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, \
         index_vector_dim={}, to_apply={combine}",
        source.rank()
    );
    let sums = b.op("scatter", dtype, &Shape::from([size]), &[&zeros, &indices, &updates], &attributes);
    let sums = b.reshape(&sums, &operand.shape);
    b.convert(&sums, operand.dtype)
}

/// The place in the operand of the element that each window selects; beyond the operand for windows of
/// padding only.
fn selected_places(
    b: &mut Builder<'_>,
    select: SelectKind,
    window: &WindowDims,
    operand: &Value,
    windows: &Shape,
) -> Value {
    let index = index_dtype(operand.shape.size());
    let places = b.places(index, &operand.shape);
    let worst = b.scalar(operand.dtype, order(select).worst(operand.dtype));
    let nowhere = b.scalar(index, greatest(index));
    let (x, over) = padded(b, window, operand, &worst);
    let (places, _) = padded(b, window, &places, &nowhere);
    let combine = first_in_order(b, order(select), &[operand.dtype, index]);
    let attributes = format!("window={}, to_apply={combine}", attribute(&over));
    let types = [(operand.dtype, windows.clone()), (index, windows.clone())];
    b.tuple_op("reduce-window", &types, &[&x, &places, &worst, &nowhere], &attributes).remove(1)
}

fn select_and_gather_add(
    b: &mut Builder<'_>,
    select: SelectKind,
    window: &WindowDims,
    tangent: &Value,
    operand: &Value,
    output: &Aval,
) -> Value {
    if window.rank() == 0 {
        return tangent.clone();
    }
    if output.size() == 0 || operand.shape.size() == 0 {
        return b.zeros(output.dtype, &output.shape);
    }
    let places = selected_places(b, select, window, operand, &output.shape);
    let size = operand.shape.size();
    let flat = b.reshape(tangent, &Shape::from([size]));
    let indices = b.reshape(&places, &output.shape.with_axis(output.rank(), 1));
    let attributes = format!(
        "offset_dims={{}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim={}, slice_sizes={{1}}",
        output.rank()
    );
    let found = b.op("gather", tangent.dtype, &output.shape, &[&flat, &indices], &attributes);
    // What only has padding is 0.
    let inside = b.compare_number("LT", &places, size as i64);
    let zero = b.scalar(tangent.dtype, 0_i64);
    b.select(&inside, &found, &zero)
}
