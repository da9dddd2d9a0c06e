//! Derivatives and batches of sorting.

mod support;

use jaxnet_autograd::{grad, jvp, vjp, vmap};
use jaxnet_tensor::{DType, Tensor, lax, tensor};
use support::{Numbers, check_derivatives, check_vmap, values};

const SHAPES: [&[usize]; 6] = [&[1], &[5], &[0], &[3, 4], &[2, 0], &[2, 3, 4]];

#[test]
fn sorts_of_one_operand() {
    let mut numbers = Numbers::new(1);
    for shape in SHAPES {
        for axis in 0..shape.len() {
            for descending in [false, true] {
                let f = |x: Vec<Tensor>| lax::sort(&[&x[0] * (x[0].abs() + 1.0)], axis, 1, descending).unwrap();
                check_derivatives(&f, &[numbers.distinct(shape)], 2);
                let examples: Vec<_> = (0..3).map(|_| vec![numbers.distinct(shape)]).collect();
                check_vmap(&f, &examples);
            }
        }
    }
}

#[test]
fn sorts_of_several_operands() {
    let mut numbers = Numbers::new(2);
    for shape in SHAPES {
        for axis in 0..shape.len() {
            // The first key has few values, so that the second one decides; the others go along.
            for descending in [false, true] {
                let f = |x: Vec<Tensor>| {
                    let operands = [x[0].clone(), x[1].powi(3), x[2].powi(2), x[0].astype(DType::F64)];
                    lax::sort(&operands, axis, 2, descending).unwrap()
                };
                let mut example =
                    || vec![numbers.integers(shape, 0, 1), numbers.distinct(shape) + 3.0, numbers.tensor(shape)];
                check_derivatives(&f, &example(), 2);
                check_vmap(&f, &[example(), example()]);
            }
        }
    }
}

#[test]
fn sorting_is_stable_and_so_are_its_tangents() {
    let x = tensor![1.0, 0.0, 1.0, f32::NAN, -0.0, f32::NAN];
    let t = tensor![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    for (descending, expected) in [(false, [2.0, 5.0, 1.0, 3.0, 4.0, 6.0]), (true, [4.0, 6.0, 1.0, 3.0, 2.0, 5.0])] {
        let f = |x: Tensor| lax::sort(&[x], 0, 1, descending).unwrap().remove(0);
        assert_eq!(jvp(f, x.clone(), t.clone()).1.to_vec::<f32>(), expected, "descending {descending}");
    }
}

#[test]
fn the_greatest() {
    let mut numbers = Numbers::new(3);
    for shape in SHAPES {
        for k in 0..=*shape.last().unwrap() {
            let f = |x: Vec<Tensor>| {
                let (values, places) = lax::top_k(&(&x[0] * (x[0].abs() + 1.0)), k).unwrap();
                vec![values, places]
            };
            check_derivatives(&f, &[numbers.distinct(shape)], 2);
            let examples: Vec<_> = (0..3).map(|_| vec![numbers.distinct(shape)]).collect();
            check_vmap(&f, &examples);
        }
    }
    let (y, pullback) = vjp(|x: Tensor| lax::top_k(&x, 2).unwrap().0, tensor![[1.0, 7.0, 7.0], [5.0, 0.0, 6.0]]);
    assert_eq!(y.to_vec::<f32>(), [7.0, 7.0, 6.0, 5.0]);
    assert_eq!(pullback(tensor![[1.0, 2.0], [3.0, 4.0]]).to_vec::<f32>(), [0.0, 1.0, 2.0, 4.0, 0.0, 3.0]);
}

#[test]
fn integers_are_sorted_beside_what_is_differentiated() {
    let f = |x: Tensor| {
        let sorted = lax::sort(&[tensor![3, 1, 2], tensor![9, 8, 7]], 0, 1, false).unwrap();
        x * sorted[1].astype(DType::F32)
    };
    let (_, tangent) = jvp(f, tensor![1.0, 1.0, 1.0], tensor![1.0, 1.0, 1.0]);
    assert_eq!(tangent.to_vec::<f32>(), [8.0, 7.0, 9.0]);
}

#[test]
fn gradients_for_each_example() {
    let mut numbers = Numbers::new(4);
    let x = numbers.distinct([3, 5]);
    let f = |x: Tensor| {
        let sorted = lax::sort(&[x], 0, 1, false).unwrap().remove(0);
        (sorted.powi(2) * Tensor::range(5).astype(DType::F64)).sum()
    };
    let all = grad(|x: Tensor| vmap(f)(x).sum())(x.clone());
    assert_eq!(values(&vmap(grad(f))(x)), values(&all));
    assert!(values(&all).iter().any(|&element| element != 0.0));
}
