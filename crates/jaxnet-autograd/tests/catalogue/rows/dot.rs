//! The generalized matrix product.

use jaxnet_tensor::primitive::DotGeneral;
use jaxnet_tensor::{DType, Dims};

use super::{Case, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    let numbers = DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool);
    vec![
        Row::new("dot_general", Family::Dot, numbers, |source, dtype| Some(draw(source, dtype)))
            .reassociates()
            .error(24.0),
    ]
}

fn draw(source: &mut Source<'_>, dtype: DType) -> Case {
    let counts = [0, 1, 1, 2];
    let (batch, contracting) = (source.pick(&[0, 0, 1, 2]), source.pick(&counts));
    let (left, right) = (source.pick(&counts), source.pick(&counts));
    let mut sizes =
        |count: usize| -> Vec<usize> { (0..count).map(|_| source.pick(&[1, 2, 2, 3, 3, 4, 5, 0])).collect() };
    let (batch, contracting, left, right) = (sizes(batch), sizes(contracting), sizes(left), sizes(right));
    // Each operand has its batch, contracted and free axes in an order of its own.
    let mut operand = |free: &[usize]| -> (Vec<usize>, Dims, Dims) {
        let all = [&batch[..], &contracting[..], free].concat();
        let order = source.permutation(all.len());
        let place = |i: usize| order.iter().position(|&axis| axis == i).expect("a permutation");
        let shape = order.iter().map(|&axis| all[axis]).collect();
        let batch_axes = (0..batch.len()).map(place).collect();
        (shape, batch_axes, (batch.len()..batch.len() + contracting.len()).map(place).collect())
    };
    let (lhs, lhs_batch, lhs_contracting) = operand(&left);
    let (rhs, rhs_batch, rhs_contracting) = operand(&right);
    let op = DotGeneral { lhs_contracting, rhs_contracting, lhs_batch, rhs_batch };
    Case::new(op, [Operand::any(dtype, lhs), Operand::any(dtype, rhs)]).linear_in(&[0]).linear_in(&[1])
}
