//! Against naive loops over every index, at random shapes and at those large enough to be split.

use crate::dtype::{DType, as_bytes};
use crate::lax;
use crate::shape::{Dims, Shape};
use crate::tensor::Tensor;
use crate::testing::{Arbitrary, bytes, indices, ravel};

/// Checks that the result at each index is the operand's element that `source` names, or `fill`.
#[track_caller]
fn check(what: &str, result: &Tensor, operand: &Tensor, fill: &[u8], source: impl Fn(&[usize]) -> Option<Vec<usize>>) {
    let (result_bytes, from, width) = (bytes(result), bytes(operand), operand.dtype().size());
    assert_eq!(result.dtype(), operand.dtype());
    for (flat, index) in indices(result.shape()).enumerate() {
        let expected = match source(&index) {
            Some(index) => &from[ravel(&index, operand.shape()) * width..][..width],
            None => fill,
        };
        let got = &result_bytes[flat * width..][..width];
        assert_eq!(got, expected, "{what} of {}: element {index:?}", operand.aval());
    }
}

fn check_transpose(x: &Tensor, permutation: &[usize]) {
    let y = lax::transpose(x, permutation).unwrap();
    check(&format!("transpose {permutation:?}"), &y, x, &[], |index| {
        let mut source = vec![0; index.len()];
        for (&axis, &i) in permutation.iter().zip(index) {
            source[axis] = i;
        }
        Some(source)
    });
}

fn check_broadcast(x: &Tensor, shape: &Shape, dims: &[usize]) {
    let y = lax::broadcast_in_dim(x, shape, dims).unwrap();
    assert_eq!(y.shape(), shape);
    check(&format!("broadcast to {shape} along {dims:?}"), &y, x, &[], |index| {
        Some(dims.iter().zip(x.shape().iter()).map(|(&dim, &size)| if size == 1 { 0 } else { index[dim] }).collect())
    });
}

fn check_reverse(x: &Tensor, axes: &[usize]) {
    let y = lax::reverse(x, axes).unwrap();
    check(&format!("reverse {axes:?}"), &y, x, &[], |index| {
        let turned = |axis: usize, i: usize| if axes.contains(&axis) { x.shape()[axis] - 1 - i } else { i };
        Some(index.iter().enumerate().map(|(axis, &i)| turned(axis, i)).collect())
    });
}

fn check_slice(x: &Tensor, starts: &[usize], limits: &[usize], strides: &[usize]) {
    let y = lax::slice(x, starts, limits, strides).unwrap();
    check(&format!("slice {starts:?} {limits:?} {strides:?}"), &y, x, &[], |index| {
        Some((0..index.len()).map(|axis| starts[axis] + index[axis] * strides[axis]).collect())
    });
}

fn check_pad(x: &Tensor, value: &Tensor, low: &[i64], high: &[i64], interior: &[usize]) {
    let y = lax::pad(x, value, low, high, interior).unwrap();
    check(&format!("pad {low:?} {high:?} {interior:?}"), &y, x, &bytes(value), |index| {
        let place = |axis: usize| -> Option<usize> {
            let (at, step) = (index[axis] as i64 - low[axis], interior[axis] as i64 + 1);
            (at >= 0 && at % step == 0 && at / step < x.shape()[axis] as i64).then_some((at / step) as usize)
        };
        (0..index.len()).map(place).collect()
    });
}

fn check_concatenate(xs: &[Tensor], axis: usize) {
    let y = lax::concatenate(xs, axis).unwrap();
    let mut start = 0;
    for x in xs {
        // Slices have been checked against loops.
        let (mut starts, mut limits) = (Dims::from_elem(0, x.rank()), Dims::from_slice(y.shape()));
        (starts[axis], limits[axis]) = (start, start + x.shape()[axis]);
        start = limits[axis];
        let part = lax::slice(&y, &starts, &limits, &Dims::from_elem(1, x.rank())).unwrap();
        assert_eq!(bytes(&part), bytes(x), "concatenate along {axis} of {}", x.aval());
    }
    assert_eq!(start, y.shape()[axis]);
}

#[test]
fn agrees_with_loops_at_random_shapes() {
    let mut random = Arbitrary::new(1);
    for round in 0..150 {
        let dtype = DType::ALL[round % DType::ALL.len()];
        let shape = random_shape(&mut random);
        let x = random.tensor(dtype, &shape);
        let rank = x.rank();
        check_transpose(&x, &random.permutation(rank));

        let axes: Dims = (0..rank).filter(|_| random.coin()).collect();
        check_reverse(&x, &axes);

        let limits: Dims = x.shape().iter().map(|&size| random.below(size + 1)).collect();
        let starts: Dims = limits.iter().map(|&limit| random.below(limit + 1)).collect();
        let strides: Dims = (0..rank).map(|_| 1 + random.below(3)).collect();
        check_slice(&x, &starts, &limits, &strides);

        let value = random.tensor(dtype, &Shape::scalar());
        let interior: Dims = (0..rank).map(|_| random.below(3) * random.below(2)).collect();
        let low: Vec<i64> = (0..rank).map(|_| random.between(-2, 3) * random.between(0, 1)).collect();
        let high: Vec<i64> = (0..rank)
            .map(|axis| {
                let size = x.shape()[axis];
                let without = size as i64 + (size.max(1) - 1) as i64 * interior[axis] as i64 + low[axis];
                (random.between(-2, 3) * random.between(0, 1)).max(-without)
            })
            .collect();
        check_pad(&x, &value, &low, &high, &interior);

        let sizes: Dims = x.shape().iter().map(|&size| if random.below(3) == 0 { 1 } else { size }).collect();
        let narrow = random.tensor(dtype, &Shape::from(sizes));
        let mut target = Dims::new();
        let mut dims = Dims::new();
        for &size in x.shape().iter() {
            if random.below(3) == 0 {
                target.push(random.below(4));
            }
            dims.push(target.len());
            target.push(size);
        }
        check_broadcast(&narrow, &Shape::from(target), &dims);

        if rank > 0 {
            let axis = random.below(rank);
            let parts: Vec<Tensor> = (0..1 + random.below(4))
                .map(|_| {
                    let mut shape = x.shape().clone();
                    shape.dims_mut()[axis] = random.below(5);
                    random.tensor(dtype, &shape)
                })
                .collect();
            check_concatenate(&parts, axis);
        }
    }
}

fn random_shape(random: &mut Arbitrary) -> Shape {
    match random.below(4) {
        // Large enough for whole tiles, with rests.
        0 => {
            let dims: Dims = (0..2 + random.below(2)).map(|_| 1 + random.below(40)).collect();
            Shape::from(dims)
        }
        1 => random.shape(5, 0, 6),
        _ => random.shape(5, 1, 6),
    }
}

#[test]
fn agrees_with_loops_where_work_is_split() {
    let mut random = Arbitrary::new(2);
    let x = random.tensor(DType::F32, &Shape::from([3, 250, 301]));
    check_transpose(&x, &[0, 2, 1]);
    check_transpose(&x, &[2, 1, 0]);
    check_transpose(&x, &[1, 0, 2]);
    check_reverse(&x, &[0, 2]);
    check_slice(&x, &[0, 1, 2], &[3, 250, 300], &[1, 1, 1]);
    check_slice(&x, &[0, 0, 1], &[3, 249, 301], &[2, 1, 2]);
    let value = Tensor::scalar(7.0_f32);
    check_pad(&x, &value, &[0, 1, -1], &[0, -2, 4], &[0, 0, 0]);
    check_pad(&x, &value, &[-1, 1, 0], &[1, 0, 0], &[1, 0, 0]);
    let matrix = random.tensor(DType::I64, &Shape::from([512, 384]));
    check_transpose(&matrix, &[1, 0]);
    let column = random.tensor(DType::F16, &Shape::from([300, 1]));
    check_broadcast(&column, &Shape::from([300, 500]), &[0, 1]);
    check_broadcast(&column, &Shape::from([2, 300, 200]), &[1, 2]);
    check_broadcast(&Tensor::from(true), &Shape::from([100_000]), &[]);
    let parts = [70, 1, 0, 200].map(|size| random.tensor(DType::U8, &Shape::from([400, size])));
    check_concatenate(&parts, 1);
    let parts = [70, 1, 0, 200].map(|size| random.tensor(DType::F64, &Shape::from([size, 1000])));
    check_concatenate(&parts, 0);
}

#[test]
fn reshaping_a_constant_copies_it() {
    // Eager reshapes share the buffer; a constant has none.
    let y = lax::reshape(&Tensor::scalar(5_i64), [1, 1]).unwrap();
    assert_eq!(y.to_vec::<i64>(), [5]);
}

#[test]
fn iota_counts_along_any_axis() {
    let count = |shape: &[usize], axis| lax::iota(DType::I32, Shape::from(shape), axis).unwrap().to_vec::<i32>();
    assert_eq!(count(&[2, 3], 0), [0, 0, 0, 1, 1, 1]);
    assert_eq!(count(&[2, 3], 1), [0, 1, 2, 0, 1, 2]);
    assert_eq!(count(&[2, 0], 0), [0_i32; 0]);
    for (shape, axis) in [([70_000, 1, 2], 0), ([1, 90_000, 1], 1), ([300, 20, 30], 1), ([2, 3, 70_000], 2)] {
        for (flat, x) in count(&shape, axis).into_iter().enumerate() {
            assert_eq!(x as usize, crate::testing::unravel(flat, &Shape::from(shape))[axis]);
        }
    }
    assert_eq!(lax::iota(DType::U8, [258], 0).unwrap().to_vec::<u8>()[255..], [255, 0, 1]);
    let halves = lax::iota(DType::BF16, [260], 0).unwrap().to_vec::<half::bf16>();
    assert_eq!(halves[257..].iter().map(|x| x.to_f32()).collect::<Vec<_>>(), [256.0, 258.0, 260.0]);
    assert_eq!(as_bytes(&lax::iota(DType::F64, [2], 0).unwrap().to_vec::<f64>()), as_bytes(&[0.0, 1.0]));
}
