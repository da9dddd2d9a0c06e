//! Against NumPy, and updates against a loop.

use super::*;
use crate::dtype::{DType, Element};
use crate::error::try_catch;
use crate::shape::Shape;
use crate::tensor;

fn a(shape: impl Into<Shape>, places: &[i32]) -> Tensor {
    Tensor::from_slice(places, shape).unwrap()
}

fn x() -> Tensor {
    Tensor::from_slice(&(0..24).collect::<Vec<i32>>(), [2, 3, 4]).unwrap()
}

/// An index of an array of shape [2, 3, 4], and what NumPy 2 gives for it when the elements count up:
/// the shape and the elements.
struct Case {
    text: &'static str,
    index: Vec<IndexArg>,
    shape: &'static [usize],
    elements: &'static [i32],
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    macro_rules! cases {
        ($($index:expr => $shape:expr, $elements:expr;)*) => {
            vec![$(Case { text: stringify!($index), index: $index.into_index(), shape: &$shape, elements: &$elements }),*]
        };
    }
    cases! {
        1 => [3, 4], [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        -1 => [3, 4], [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        (1, -1) => [4], [20, 21, 22, 23];
        (0, 2, 3) => [], [11];
        .. => [2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        1.. => [1, 3, 4], [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        ..-1 => [1, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        (.., 1..) => [2, 2, 4], [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
        (.., ..=1) => [2, 2, 4], [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 18, 19];
        (.., ..=-1) => [2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        (.., -2..) => [2, 2, 4], [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
        (.., -2..-1) => [2, 1, 4], [4, 5, 6, 7, 16, 17, 18, 19];
        (.., -100..100) => [2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        (.., s(Some(2), Some(1), 1)) => [2, 0, 4], [];
        (.., .., 1..=2) => [2, 3, 2], [1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22];
        (.., .., (..).step(2)) => [2, 3, 2], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22];
        (.., .., (..).step(-1)) => [2, 3, 4], [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16, 23, 22, 21, 20];
        (.., .., (..).step(-3)) => [2, 3, 2], [3, 0, 7, 4, 11, 8, 15, 12, 19, 16, 23, 20];
        (.., .., s(Some(3), Some(0), -2)) => [2, 3, 2], [3, 1, 7, 5, 11, 9, 15, 13, 19, 17, 23, 21];
        (.., .., (1..).step(-1)) => [2, 3, 2], [1, 0, 5, 4, 9, 8, 13, 12, 17, 16, 21, 20];
        (.., .., (..1).step(-1)) => [2, 3, 2], [3, 2, 7, 6, 11, 10, 15, 14, 19, 18, 23, 22];
        (.., .., (1..100).step(2)) => [2, 3, 2], [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23];
        (.., .., (0..3).step(-1)) => [2, 3, 0], [];
        (.., .., s(Some(-2), Some(-5), -1)) => [2, 3, 3], [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 18, 17, 16, 22, 21, 20];
        (Ellipsis, 0) => [2, 3], [0, 4, 8, 12, 16, 20];
        (0, Ellipsis) => [3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        (0, Ellipsis, 1) => [3], [1, 5, 9];
        (0, 1, 2, Ellipsis) => [], [6];
        (Ellipsis, NewAxis) => [2, 3, 4, 1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        (NewAxis, 1, NewAxis, .., 2) => [1, 1, 3], [14, 18, 22];
        (.., NewAxis, 1) => [2, 1, 4], [4, 5, 6, 7, 16, 17, 18, 19];
        NewAxis => [1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        Ellipsis => [2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        () => [2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
        &a([2], &[1, 0]) => [2, 3, 4], [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        (.., &a([3], &[2, 0, -1])) => [2, 3, 4], [8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11, 20, 21, 22, 23, 12, 13, 14, 15, 20, 21, 22, 23];
        (&a([2], &[1, 0]), &a([2], &[2, 1])) => [2, 4], [20, 21, 22, 23, 4, 5, 6, 7];
        (&a([2], &[1, 0]), .., &a([2], &[2, 1])) => [2, 3], [14, 18, 22, 1, 5, 9];
        (.., &a([2], &[1, 0]), &a([2], &[2, 1])) => [2, 2], [6, 1, 18, 13];
        (.., &a([2, 1], &[1, 0]), &a([3], &[2, 1, 3])) => [2, 2, 3], [6, 5, 7, 2, 1, 3, 18, 17, 19, 14, 13, 15];
        (0, .., &a([2], &[1, 3])) => [2, 3], [1, 5, 9, 3, 7, 11];
        (0, &a([2], &[1, 2])) => [2, 4], [4, 5, 6, 7, 8, 9, 10, 11];
        (&a([2], &[1, 0]), .., 1) => [2, 3], [13, 17, 21, 1, 5, 9];
        (.., 1, &a([2], &[1, 3])) => [2, 2], [5, 7, 17, 19];
        (.., NewAxis, &a([2], &[1, 2])) => [2, 1, 2, 4], [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
        (.., &a([2], &[1, 2]), NewAxis) => [2, 2, 1, 4], [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
        (.., &a([2], &[1, 2]), NewAxis, 0) => [2, 2, 1], [4, 16, 8, 20];
        (&a([2], &[1, 0]), NewAxis, &a([2], &[1, 2])) => [2, 1, 4], [16, 17, 18, 19, 8, 9, 10, 11];
        (1, Ellipsis, &a([2], &[1, 2])) => [2, 3], [13, 17, 21, 14, 18, 22];
        (&a([1], &[1]), Ellipsis, 1, 0) => [1], [16];
        (.., (..).step(-1), &a([2], &[1, 2])) => [2, 3, 2], [9, 10, 5, 6, 1, 2, 21, 22, 17, 18, 13, 14];
        (&a([2, 2], &[0, 1, 1, 0]), (..).step(2), 1..3) => [2, 2, 2, 2], [1, 2, 9, 10, 13, 14, 21, 22, 13, 14, 21, 22, 1, 2, 9, 10];
        (.., &a([0], &[])) => [2, 0, 4], [];
        (&a([2], &[0, 1]), &a([2], &[0, 1]), &a([2, 1], &[-1, 0])) => [2, 2], [3, 19, 0, 16];
        (2.., &a([2], &[0, 1])) => [0, 2, 4], [];
        &a([1, 1, 1], &[-2]) => [1, 1, 1, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        (&a([2], &[0, 1]), 1, .., NewAxis) => [2, 4, 1], [4, 5, 6, 7, 16, 17, 18, 19];
    }
}

#[test]
fn reading_agrees_with_numpy() {
    for case in cases() {
        let y = x().i(case.index);
        assert_eq!((y.shape().dims(), &y.to_vec::<i32>()[..]), (case.shape, case.elements), "{}", case.text);
    }
}

/// Combines values in one after the other at the places that an index names.
fn naive(x: &Tensor, places: &Tensor, values: &[i32], combine: impl Fn(i32, i32) -> i32) -> Vec<i32> {
    let mut result = x.to_vec::<i32>();
    for (&place, &value) in places.to_vec::<i32>().iter().zip(values) {
        result[place as usize] = combine(result[place as usize], value);
    }
    result
}

#[test]
fn updates_write_where_reading_reads() {
    let x = x();
    for case in cases() {
        let places = x.i(case.index.clone());
        let values: Vec<i32> = (0..places.size() as i32).map(|i| 100 + i * 7).collect();
        let v = Tensor::from_slice(&values, places.shape()).unwrap();
        let at = x.at(case.index);
        let check = |result: Tensor, combine: &dyn Fn(i32, i32) -> i32| {
            assert_eq!(result.to_vec::<i32>(), naive(&x, &places, &values, combine), "{}", case.text);
        };
        check(at.set(&v), &|_, new| new);
        check(at.add(&v), &|old, new| old + new);
        check(at.mul(&v), &|old, new| old.wrapping_mul(new));
        check(at.max(&v), &|old, new| old.max(new));
        let values: Vec<i32> = values.iter().map(|value| value - 110).collect();
        let v = Tensor::from_slice(&values, places.shape()).unwrap();
        assert_eq!(at.min(&v).to_vec::<i32>(), naive(&x, &places, &values, i32::min), "{}", case.text);
        let all = vec![5; places.size()];
        assert_eq!(at.set(5).to_vec::<i32>(), naive(&x, &places, &all, |_, new| new), "{}", case.text);
        assert_eq!(at.get().to_vec::<i32>(), case.elements, "{}", case.text);
    }
}

#[test]
fn values_broadcast() {
    let z = Tensor::from_slice(&[0; 6], [2, 3]).unwrap();
    assert_eq!(z.at((.., 1..)).set(tensor![7, 8]).to_vec::<i32>(), [0, 7, 8, 0, 7, 8]);
    assert_eq!(z.at((.., &a([2], &[0, 2]))).set(tensor![[7], [8]]).to_vec::<i32>(), [7, 0, 7, 8, 0, 8]);
    assert!(try_catch(|| z.at((.., 1..)).set(tensor![1, 2, 3])).unwrap_err().to_string().contains("[3]"));
    // More axes than are indexed are not squeezed away.
    assert!(try_catch(|| z.at((0, 1..)).set(tensor![[1, 2]])).is_err());
}

#[test]
fn the_last_of_several_updates_stays() {
    let z = Tensor::from_slice(&[0; 3], [3]).unwrap();
    assert_eq!(z.at(a([4], &[2, 0, 2, 0])).set(tensor![1, 2, 3, 4]).to_vec::<i32>(), [4, 0, 3]);
}

#[test]
fn scalar_tensors_are_dynamic_integers() {
    let x = x();
    for (place, row) in [(1, 1), (-1, 2), (-3, 0), (7, 2), (-9, 0)] {
        let scalars = [a(Shape::scalar(), &[place]), Tensor::from(place), Tensor::scalar(place as i64)];
        for scalar in scalars {
            let expected = x.i((.., row));
            let y = x.i((.., &scalar));
            assert_eq!((y.shape(), y.to_vec::<i32>()), (expected.shape(), expected.to_vec()), "{place}");
            let y = x.i((1, &scalar, (..).step(-2)));
            assert_eq!(y.to_vec::<i32>(), x.i((1, row, (..).step(-2))).to_vec::<i32>(), "{place}");
            // A scalar beside an array is a part of the array's index.
            let y = x.i((.., &scalar, a([2], &[0, 3])));
            assert_eq!(y.to_vec::<i32>(), x.i((.., row, (..).step(3))).to_vec::<i32>(), "{place}");
            assert_eq!(x.i((&scalar, .., a([2], &[0, 3]))).shape().dims(), [2, 3]);
            // Writes outside are dropped.
            let written = x.at((.., &scalar)).add(100).to_vec::<i32>();
            let inside = (-3..3).contains(&place);
            assert_eq!(written, if inside { x.at((.., row)).add(100) } else { x.clone() }.to_vec::<i32>(), "{place}");
        }
    }
}

#[test]
fn places_outside_are_clamped_for_reads_and_dropped_for_writes() {
    let x = tensor![10, 20, 30];
    let places = a([5], &[-4, -3, 2, 3, 100]);
    assert_eq!(x.i(&places).to_vec::<i32>(), [10, 10, 30, 30, 30]);
    assert_eq!(x.at(&places).add(1).to_vec::<i32>(), [11, 20, 31]);
    assert_eq!(x.at(&places).set(0).to_vec::<i32>(), [0, 20, 0]);
    let large = Tensor::from_slice(&[u32::MAX, 1], [2]).unwrap();
    assert_eq!(x.i(&large).to_vec::<i32>(), [30, 20]);
    assert_eq!(x.at(&large).set(0).to_vec::<i32>(), [10, 0, 30]);
    // Of different dtypes, too.
    let y = tensor![[1, 2], [3, 4]];
    let rows = Tensor::from_slice(&[1_u8, 0], [2]).unwrap();
    let columns = Tensor::from_slice(&[-1_i64, i64::MAX], [2]).unwrap();
    assert_eq!(y.i((&rows, &columns)).to_vec::<i32>(), [4, 2]);
    assert_eq!(y.at((&rows, &columns)).set(0).to_vec::<i32>(), [1, 2, 3, 0]);
}

#[test]
fn mistakes_say_what_is_wrong() {
    let x = x();
    let message = |f: &dyn Fn() -> Tensor| try_catch(f).unwrap_err().to_string();
    assert!(message(&|| x.i(2)).contains("no element 2 along axis 0"), "{}", message(&|| x.i(2)));
    assert!(message(&|| x.i((.., -4))).contains("places are 0..=2 or -3..=-1"));
    assert!(message(&|| x.i((0, 0, 0, 0))).contains("4 axes are indexed"));
    assert!(message(&|| x.i((Ellipsis, Ellipsis))).contains("Ellipsis"));
    assert!(message(&|| x.i(tensor![0.0])).contains("integers"));
    assert!(message(&|| x.i(tensor![true, false])).contains("mask"));
    assert!(message(&|| x.i((a([2], &[0, 1]), a([3], &[0, 1, 2])))).contains("broadcast"));
    assert!(message(&|| x.i((..).step(0))).contains("step"));
    assert!(message(&|| x.i(IndexArg::Slice { start: None, stop: None, step: 0 })).contains("step"));
    assert!(message(&|| Tensor::zeros([0, 2]).i(0)).contains("empty"));
    assert!(message(&|| Tensor::zeros([0, 2]).i(tensor![0])).contains("no elements"));
    assert!(message(&|| x.at(0).set(0.5)).contains("without loss"));
    assert!(message(&|| tensor![true].at(0).add(true)).contains("booleans"));
    assert!(message(&|| x.take(tensor![0.5], 0)).contains("integers"));
    assert!(message(&|| x.take_along_axis(tensor![0], 0)).contains("as many axes"));
    assert!(message(&|| x.dynamic_slice([0, 0], [1, 1, 1])).contains("start along each axis"));
}

#[test]
fn taking() {
    let x = x();
    for (axis, expected) in [(0, x.i(a([2, 1], &[1, 0]))), (-1, x.i((Ellipsis, a([2, 1], &[1, 0]))))] {
        let y = x.take(a([2, 1], &[1, 0]), axis);
        assert_eq!((y.shape(), y.to_vec::<i32>()), (expected.shape(), expected.to_vec()));
    }
    assert_eq!(x.take(1, 1).shape().dims(), [2, 4]);
    assert_eq!(x.take(a([0], &[]), 1).shape().dims(), [2, 0, 4]);

    let y = x.take_along_axis(a([1, 1, 4], &[0, 2, -1, -3]), 1);
    assert_eq!(y.shape().dims(), [2, 1, 4]);
    assert_eq!(y.to_vec::<i32>(), [0, 9, 10, 3, 12, 21, 22, 15]);
    // The tensor broadcasts as well.
    let y = tensor![[1, 2, 3]].take_along_axis(a([2, 2], &[0, 2, 1, 1]), 1);
    assert_eq!(y.to_vec::<i32>(), [1, 3, 2, 2]);
    assert_eq!(Tensor::zeros([0, 3]).take_along_axis(a([0, 1], &[]), 1).shape().dims(), [0, 1]);
}

#[test]
fn every_dtype_is_indexed() {
    for dtype in DType::ALL {
        crate::with_dtype!(dtype, T => {
            let of = |xs: &[i64]| xs.iter().map(|&x| T::from_i64(x)).collect::<Vec<T>>();
            let x = Tensor::from_slice(&of(&[1, 0, 1, 1]), [4]).unwrap();
            assert_eq!(x.i(a([2], &[1, -1])).to_vec::<T>(), of(&[0, 1]), "{dtype}");
            assert_eq!(x.i((..).step(-1)).to_vec::<T>(), of(&[1, 1, 0, 1]), "{dtype}");
            let one = Tensor::from_slice(&of(&[1]), [1]).unwrap();
            assert_eq!(x.at(a([1], &[1])).set(&one).to_vec::<T>(), of(&[1; 4]), "{dtype}");
            assert_eq!(x.at(1).set(true).to_vec::<T>(), of(&[1; 4]), "{dtype}");
        });
    }
}

#[test]
fn dynamic_slices() {
    let x = x();
    let start = a(Shape::scalar(), &[-1]);
    let y = x.dynamic_slice([&start, &Tensor::from(1), &start], [1, 2, 2]);
    // The last start, 3, leaves no room for 2.
    assert_eq!(y.to_vec::<i32>(), x.i((1.., 1.., 2..)).to_vec::<i32>());
    let y = x.dynamic_update_slice(tensor![[[7, 8]]], [0, 0, -2]);
    assert_eq!(y.to_vec::<i32>(), x.at((0, 0, 2..)).set(tensor![7, 8]).to_vec::<i32>());
    assert_eq!(Tensor::from(3).dynamic_slice([0; 0], Shape::scalar()).item::<i32>(), 3);
}
