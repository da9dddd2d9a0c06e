//! Sorting.

use jaxnet_tensor::DType;
use jaxnet_tensor::primitive::Sort;

use super::domain::{Domain, for_floats};
use super::{Case, Family, Operand, Row};

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("sort", Family::Sort, DType::ALL, |source, dtype| {
            let shape = source.shape(1..=3);
            let axis = source.below(shape.rank());
            let descending = source.coin();
            let distinct = for_floats(dtype, Domain::Distinct { part: 0, of: 1, cells: shape.size() });
            let first = Operand::new(dtype, &*shape, distinct.clone());
            let (keys, operands) = match source.below(4) {
                0 => (1, vec![first]),
                // What goes along: of this dtype and of another.
                1 => (1, vec![first, Operand::any(dtype, &*shape), Operand::any(DType::I32, &*shape)]),
                // The first key has few values, so that the second decides.
                2 => {
                    let few = Operand::new(DType::I32, &*shape, Domain::Integers(0, 1));
                    (2, vec![few, first, Operand::any(dtype, &*shape)])
                }
                _ => (2, vec![first, Operand::new(dtype, &*shape, distinct)]),
            };
            let along: Vec<usize> = (keys..operands.len()).filter(|&i| operands[i].aval.dtype.is_float()).collect();
            Some(Case::new(Sort::Sort { axis, keys, descending }, operands).linear_in(&along))
        }),
        Row::new("top_k", Family::Sort, DType::ALL, |source, dtype| {
            let shape = source.shape(1..=3);
            let k = source.size(0, shape[shape.rank() - 1]);
            let distinct = for_floats(dtype, Domain::Distinct { part: 0, of: 1, cells: shape.size() });
            Some(Case::new(Sort::TopK { k }, [Operand::new(dtype, shape, distinct)]))
        }),
    ]
}
