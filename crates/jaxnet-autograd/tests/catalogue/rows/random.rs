//! Random bits.

use jaxnet_tensor::primitive::Random;
use jaxnet_tensor::{DType, Shape};

use super::{Case, Domain, Family, Operand, Row};

pub fn rows() -> Vec<Row> {
    vec![Row::new("threefry2x32", Family::Random, [DType::U32], |source, dtype| {
        let shape = source.shape(0..=3);
        let shapes: Vec<Shape> =
            (0..4).map(|_| if source.once_in(3) { Shape::scalar() } else { shape.clone() }).collect();
        Some(Case::new(Random::Threefry2x32, shapes.into_iter().map(|shape| Operand::new(dtype, shape, Domain::Bits))))
    })]
}
