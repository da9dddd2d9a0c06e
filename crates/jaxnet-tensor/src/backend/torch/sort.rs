//! Sorting.

use tch::{Kind, Tensor};

use super::convert::{Torch, kind, ordered};
use crate::aval::Aval;
use crate::primitive::Sort;

/// libtorch's stable sort has our order: NaN is greater than anything, and both zeros are equal.
pub(super) fn run(op: &Sort, inputs: &[&Tensor], avals: &[&Aval]) -> Torch<Vec<Tensor>> {
    match op {
        Sort::Sort { axis, keys, descending } => {
            if avals[0].size() == 0 {
                return Ok(inputs.iter().map(|x| x.shallow_clone()).collect());
            }
            let axis = *axis as i64;
            // From the least key to the greatest: each keeps the order of those before where it has equals.
            let mut order: Option<Tensor> = None;
            for (key, aval) in inputs[..*keys].iter().zip(avals).rev() {
                let key = ordered(key, aval.dtype)?;
                order = Some(match order {
                    None => key.f_sort_stable(true, axis, *descending)?.1,
                    Some(order) => {
                        let places = key.f_gather(axis, &order, false)?.f_sort_stable(true, axis, *descending)?.1;
                        order.f_gather(axis, &places, false)?
                    }
                });
            }
            let order = order.expect("inference asks for a key");
            inputs.iter().map(|x| x.f_gather(axis, &order, false)).collect()
        }
        Sort::TopK { k } => {
            let last = avals[0].rank() as i64 - 1;
            if avals[0].size() == 0 {
                let shape = |x: &Tensor| x.f_narrow(last, 0, *k as i64);
                let values = shape(inputs[0])?;
                let places = values.f_to_kind(Kind::Int)?;
                return Ok(vec![values, places]);
            }
            // A selection alone would not say which of equal elements come first.
            let order = ordered(inputs[0], avals[0].dtype)?.f_sort_stable(true, last, true)?.1;
            let order = order.f_narrow(last, 0, *k as i64)?;
            Ok(vec![inputs[0].f_gather(last, &order, false)?, order.f_to_kind(kind(crate::dtype::DType::I32))?])
        }
    }
}
