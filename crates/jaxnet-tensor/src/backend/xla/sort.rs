//! Sorting.

use std::sync::Arc;

use super::hlo::{Builder, Value};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::Sort;
use crate::shape::Shape;

pub(super) fn lower(b: &mut Builder<'_>, op: &Sort, inputs: &[Value], outputs: &[Aval]) -> Vec<Value> {
    match op {
        Sort::Sort { axis, keys, descending } => sort(b, inputs, *axis, &vec![*descending; *keys], true),
        Sort::TopK { k } => {
            let x = &inputs[0];
            let axis = x.rank() - 1;
            let places = b.iota(DType::I32, &x.shape, axis);
            // By places as well rather than stably: what XLA makes of a stable sort of which only the
            // beginning is used crashes its CPU compiler.
            let sorted = sort(b, &[x.clone(), places], axis, &[true, false], false);
            let starts = vec![0; x.rank()];
            let mut limits = x.shape.to_vec();
            limits[axis] = *k;
            let strides = vec![1; x.rank()];
            debug_assert_eq!(outputs.len(), 2);
            sorted.iter().map(|x| b.slice(x, &starts, &limits, &strides)).collect()
        }
    }
}

/// By the first operands, each from the greatest on or not.
fn sort(b: &mut Builder<'_>, inputs: &[Value], axis: usize, descending: &[bool], stable: bool) -> Vec<Value> {
    let dtypes: Vec<DType> = inputs.iter().map(|input| input.dtype).collect();
    let compare = comparator(b, &dtypes, descending);
    let attributes = format!("dimensions={{{axis}}}, is_stable={stable}, to_apply={compare}");
    let operands: Vec<&Value> = inputs.iter().collect();
    if let [x] = inputs {
        return vec![b.op("sort", x.dtype, &x.shape, &[x], &attributes)];
    }
    let types: Vec<_> = inputs.iter().map(|input| (input.dtype, input.shape.clone())).collect();
    b.tuple_op("sort", &types, &operands, &attributes)
}

/// Whether the left of two groups of elements comes first, by the first of them in turn. Parameters are pairs of the left and the right element of each operand.
fn comparator(b: &mut Builder<'_>, dtypes: &[DType], descending: &[bool]) -> Arc<str> {
    let parameters: Vec<(DType, Shape)> =
        dtypes.iter().flat_map(|&dtype| [(dtype, Shape::scalar()), (dtype, Shape::scalar())]).collect();
    let made: Result<_, std::convert::Infallible> = b.computation("comes_first", &parameters, |b, x| {
        let mut first: Option<Value> = None;
        for (pair, &descending) in x.chunks(2).zip(descending).rev() {
            let (left, right) = if descending { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
            let less = less(b, left, right);
            first = Some(match first {
                None => less,
                Some(rest) => {
                    let greater = self::less(b, right, left);
                    let not_after = b.not(&greater);
                    let rest = b.and(&not_after, &rest);
                    b.or(&less, &rest)
                }
            });
        }
        Ok(first.expect("at least one key"))
    });
    let Ok(made) = made;
    made
}

/// NaNs are equal, and greater than all else.
fn less(b: &mut Builder<'_>, x: &Value, y: &Value) -> Value {
    let less = b.compare("LT", x, y);
    if !x.dtype.is_float() {
        return less;
    }
    let x_number = b.compare("EQ", x, x);
    let y_nan = b.is_nan(y);
    let last = b.and(&x_number, &y_nan);
    b.or(&less, &last)
}
