//! Against stable sorts of indices by a comparison written out.

use std::cmp::Ordering;

use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::lax;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::testing::{Arbitrary, bytes, indices};

/// Ascending: NaNs equal each other and are last, zeros are equal.
fn compare<T: Element>(a: T, b: T) -> Ordering {
    let nan = |x: T| T::DTYPE.is_float() && x.to_f64().is_nan();
    match (nan(a), nan(b)) {
        (false, false) => a.partial_cmp(&b).expect("neither is NaN"),
        (a, b) => a.cmp(&b),
    }
}

/// Elements with ties, NaNs of both signs and both zeros.
fn with_ties(random: &mut Arbitrary, dtype: DType, shape: &Shape) -> Tensor {
    crate::with_dtype!(dtype, T => {
        let range = 1 + random.below(shape.size() + 10);
        let elements: Vec<T> = (0..shape.size()).map(|_| match (random.below(20), T::DTYPE.is_float()) {
            (0, true) => T::from_f64(f64::NAN),
            (1, true) => T::from_f64(-f64::NAN),
            (2, true) => T::from_f64(-0.0),
            (3, true) => T::from_f64(0.0),
            (4, true) => T::from_f64(f64::INFINITY),
            (5, true) => T::from_f64(f64::NEG_INFINITY),
            _ => T::from_i64(random.below(range) as i64 - range as i64 / 2),
        }).collect();
        Tensor::from_slice(&elements, shape).unwrap()
    })
}

fn order_of<T: Element>(x: &[T], y: &[T]) -> Vec<Ordering> {
    x.iter().zip(y).map(|(&x, &y)| compare(x, y)).collect()
}

/// The order of the elements at `a` and at `b`, in an operand.
fn order(x: &Tensor, a: usize, b: usize) -> Ordering {
    crate::with_dtype!(x.dtype(), T => {
        let x = x.to_vec::<T>();
        order_of(&x[a..=a], &x[b..=b])[0]
    })
}

fn check_sort(operands: &[Tensor], axis: usize, keys: usize, descending: bool) {
    let results = lax::sort(operands, axis, keys, descending).unwrap();
    let shape = operands[0].shape();
    let stride = shape.strides()[axis];
    let starts = indices(shape).enumerate().filter(|(_, index)| index[axis] == 0).map(|(flat, _)| flat);
    for start in starts {
        let places: Vec<usize> = (0..shape[axis]).map(|i| start + i * stride).collect();
        let mut sorted = places.clone();
        sorted.sort_by(|&a, &b| {
            let ascending =
                operands[..keys].iter().fold(Ordering::Equal, |so_far, x| so_far.then_with(|| order(x, a, b)));
            if descending { ascending.reverse() } else { ascending }
        });
        for (x, y) in operands.iter().zip(&results) {
            let (from, to, width) = (bytes(x), bytes(y), x.dtype().size());
            for (&to_place, &from_place) in places.iter().zip(&sorted) {
                assert_eq!(
                    to[to_place * width..][..width],
                    from[from_place * width..][..width],
                    "sort of {operands:?} along {axis}, {keys} keys, descending {descending}"
                );
            }
        }
    }
}

#[test]
fn sorts_agree_with_a_stable_sort_of_places() {
    let mut random = Arbitrary::new(7);
    for round in 0..120 {
        let mut shape = random.shape(3, usize::from(round % 10 > 0), 6);
        if shape.rank() == 0 {
            shape = Shape::from([1 + random.below(60)]);
        }
        let axis = random.below(shape.rank());
        let dtype = DType::ALL[round % 9];
        let count = if random.coin() { 1 } else { 1 + random.below(4) };
        let operands: Vec<Tensor> = (0..count)
            .map(|i| {
                let dtype = if i == 0 { dtype } else { DType::ALL[random.below(9)] };
                with_ties(&mut random, dtype, &shape)
            })
            .collect();
        for descending in [false, true] {
            check_sort(&operands, axis, 1 + random.below(count), descending);
        }
    }
}

/// The same for one operand, without asking for each pair anew.
fn check_large<T: Element>(x: &Tensor, axis: usize, descending: bool) {
    let shape = x.shape().clone();
    let elements = x.to_vec::<T>();
    let sorted = lax::sort(std::slice::from_ref(x), axis, 1, descending).unwrap().remove(0);
    let iota = lax::iota(DType::I32, &shape, axis).unwrap();
    let both = lax::sort(&[x.clone(), iota], axis, 1, descending).unwrap();
    assert_eq!(bytes(&sorted), bytes(&both[0]));
    let places = both[1].to_vec::<i32>();
    let stride = shape.strides()[axis];
    for (start, _) in indices(&shape).enumerate().filter(|(_, index)| index[axis] == 0) {
        let mut expected: Vec<usize> = (0..shape[axis]).collect();
        expected.sort_by(|&a, &b| {
            let ascending = compare(elements[start + a * stride], elements[start + b * stride]);
            if descending { ascending.reverse() } else { ascending }
        });
        for (i, expected) in expected.into_iter().enumerate() {
            assert_eq!(places[start + i * stride] as usize, expected);
        }
    }
}

#[test]
fn large_sorts_agree_too() {
    let mut random = Arbitrary::new(8);
    for shape in [vec![70_000], vec![20, 700], vec![700, 20], vec![2, 66_000]] {
        for descending in [false, true] {
            let x = with_ties(&mut random, DType::F32, &Shape::from(shape.clone()));
            (0..shape.len()).for_each(|axis| check_large::<f32>(&x, axis, descending));
        }
    }
}

#[test]
fn zeros_and_nans_keep_their_order() {
    let x = Tensor::from(vec![0.0_f32, f32::NAN, -0.0, -1.0, -f32::NAN, 0.0, f32::INFINITY]);
    let sorted = |descending| {
        let y = lax::sort(std::slice::from_ref(&x), 0, 1, descending).unwrap()[0].to_vec::<f32>();
        y.iter().map(|x| (x.to_bits() >> 16) as u16).collect::<Vec<_>>()
    };
    // The upper halves of the bits tell all of them apart.
    assert_eq!(sorted(false), [0xBF80, 0, 0x8000, 0, 0x7F80, 0x7FC0, 0xFFC0]);
    assert_eq!(sorted(true), [0x7FC0, 0xFFC0, 0x7F80, 0, 0x8000, 0, 0xBF80]);
}

#[test]
fn integers_sort_over_their_whole_range() {
    let sort = |x: Tensor, descending| lax::sort(&[x], 0, 1, descending).unwrap().remove(0);
    let x = || Tensor::from(vec![0, i64::MIN, i64::MAX, -1]);
    assert_eq!(sort(x(), false).to_vec::<i64>(), [i64::MIN, -1, 0, i64::MAX]);
    assert_eq!(sort(x(), true).to_vec::<i64>(), [i64::MAX, 0, -1, i64::MIN]);
    let x = || Tensor::from(vec![1_u32, u32::MAX, 0, 1 << 31]);
    assert_eq!(sort(x(), false).to_vec::<u32>(), [0, 1, 1 << 31, u32::MAX]);
    assert_eq!(sort(x(), true).to_vec::<u32>(), [u32::MAX, 1 << 31, 1, 0]);
    let halves = Tensor::from(vec![f16::MAX, f16::NEG_INFINITY, f16::NAN, f16::INFINITY]);
    assert_eq!(sort(halves, false).to_vec::<f16>()[..3], [f16::NEG_INFINITY, f16::MAX, f16::INFINITY]);
    let halves = Tensor::from(vec![bf16::MAX, bf16::MIN, bf16::INFINITY]);
    assert_eq!(sort(halves, true).to_vec::<bf16>(), [bf16::INFINITY, bf16::MAX, bf16::MIN]);
    // Second keys of the same range.
    let keys = [Tensor::from(vec![7_u8; 3]), Tensor::from(vec![0, i64::MAX, i64::MIN])];
    assert_eq!(lax::sort(&keys, 0, 2, true).unwrap()[1].to_vec::<i64>(), [i64::MAX, 0, i64::MIN]);
}

#[test]
fn top_k_is_the_beginning_of_a_descending_sort() {
    let mut random = Arbitrary::new(9);
    let shapes =
        [vec![1], vec![5], vec![3, 50], vec![2, 3, 9], vec![0, 4], vec![3, 5000], vec![40, 2000], vec![100_000]];
    for (i, shape) in shapes.into_iter().enumerate() {
        let shape = Shape::from(shape);
        let (axis, size) = (shape.rank() - 1, shape[shape.rank() - 1]);
        for dtype in DType::ALL {
            let x = with_ties(&mut random, dtype, &shape);
            let iota = lax::iota(DType::I32, &shape, axis).unwrap();
            let sorted = lax::sort(&[x.clone(), iota], axis, 1, true).unwrap();
            for k in [0, 1, 2, 300, size / 2 + i % 2, size] {
                let k = k.min(size);
                let (values, places) = lax::top_k(&x, k).unwrap();
                assert_eq!(bytes(&values), bytes(&lax::slice_axis(&sorted[0], axis, 0, k, 1).unwrap()));
                assert_eq!(bytes(&places), bytes(&lax::slice_axis(&sorted[1], axis, 0, k, 1).unwrap()));
            }
        }
    }
}
