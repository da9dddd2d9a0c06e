//! Operations that arrange elements anew.

use jaxnet_tensor::primitive::ShapeOp;
use jaxnet_tensor::{DType, Dims, Shape};

use super::{Case, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    vec![
        row("broadcast_in_dim", broadcast_in_dim),
        row("reshape", reshape),
        row("transpose", |source, dtype| {
            let shape = source.shape(0..=4);
            let permutation = source.permutation(shape.rank());
            Some(of_one(ShapeOp::Transpose { permutation }, dtype, shape))
        }),
        row("reverse", |source, dtype| {
            let shape = source.shape(0..=3);
            let axes = source.subset(shape.rank());
            Some(of_one(ShapeOp::Reverse { axes }, dtype, shape))
        }),
        row("slice", slice),
        row("pad", pad),
        row("concatenate", concatenate),
        Row::new(
            "iota",
            Family::Shape,
            DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool),
            |source, dtype| {
                let shape = source.shape(1..=3);
                let axis = source.below(shape.rank());
                Some(Case::new(ShapeOp::Iota { dtype, shape, axis }, []))
            },
        ),
    ]
}

fn row(name: &'static str, draw: fn(&mut Source<'_>, DType) -> Option<Case>) -> Row {
    Row::new(name, Family::Shape, DType::ALL, draw)
}

/// A linear operation on one operand.
fn of_one(op: ShapeOp, dtype: DType, shape: Shape) -> Case {
    Case::new(op, [Operand::any(dtype, shape)]).linear_in(&[0])
}

fn broadcast_in_dim(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let shape = source.shape(0..=4);
    let dims = source.subset(shape.rank());
    let from: Shape = dims.iter().map(|&dim| if source.once_in(3) { 1 } else { shape[dim] }).collect();
    Some(of_one(ShapeOp::BroadcastInDim { shape, dims }, dtype, from))
}

fn reshape(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let from = source.shape(0..=3);
    // The same factors in another order, some of them multiplied, and axes of size 1 between them.
    let mut shape: Vec<usize> = Vec::new();
    for axis in source.permutation(from.rank()) {
        match shape.last_mut() {
            Some(last) if source.coin() => *last *= from[axis],
            _ => shape.push(from[axis]),
        }
    }
    if source.once_in(3) {
        let at = source.size(0, shape.len());
        shape.insert(at, 1);
    }
    Some(of_one(ShapeOp::Reshape { shape: shape.into() }, dtype, from))
}

fn slice(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let shape = source.shape(0..=3);
    let (mut starts, mut limits, mut strides) = (Dims::new(), Dims::new(), Dims::new());
    for &size in shape.iter() {
        let start = source.size(0, size);
        starts.push(start);
        limits.push(size - source.size(0, size - start));
        strides.push(source.size(1, 3));
    }
    Some(of_one(ShapeOp::Slice { starts, limits, strides }, dtype, shape))
}

fn pad(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let shape = source.shape(0..=3);
    let rank = shape.rank();
    let low = (0..rank).map(|_| source.between(-2, 2)).collect();
    let high = (0..rank).map(|_| source.between(-2, 2)).collect();
    let interior = source.sizes(rank, 0, 2);
    let operands = [Operand::any(dtype, shape), Operand::any(dtype, Shape::scalar())];
    Case::new(ShapeOp::Pad { low, high, interior }, operands).linear_in(&[0, 1]).if_it_fits()
}

fn concatenate(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let shape = source.shape(1..=3);
    let axis = source.below(shape.rank());
    let count = source.size(1, 4);
    let operands: Vec<Operand> = (0..count)
        .map(|_| {
            let mut shape = shape.clone();
            shape.dims_mut()[axis] = source.size(0, 3);
            Operand::any(dtype, shape)
        })
        .collect();
    let all: Vec<usize> = (0..count).collect();
    Some(Case::new(ShapeOp::Concatenate { axis }, operands).linear_in(&all))
}
