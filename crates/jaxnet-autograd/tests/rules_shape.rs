//! Derivatives and batches of operations that arrange elements, of reductions and of matrix products.

mod support;

use jaxnet_tensor::primitive::{CumulativeKind, ReduceKind};
use jaxnet_tensor::{Tensor, lax};
use support::{Numbers, check_derivatives, check_vmap};

type F<'a> = &'a dyn Fn(Vec<Tensor>) -> Vec<Tensor>;

/// Checks derivatives to second order, and vmap with each choice of batched operands.
fn check(f: F<'_>, shapes: &[&[usize]], seed: u64) {
    let mut numbers = Numbers::new(seed);
    let mut example = || shapes.iter().map(|shape| numbers.distinct(*shape)).collect::<Vec<_>>();
    check_derivatives(&f, &example(), 2);
    check_vmap(&f, &[example(), example()]);
}

/// Makes a function nonlinear, so that second derivatives are not all zero.
fn bend(x: &Tensor) -> Tensor {
    x * (x.square() + 1.0)
}

#[test]
fn shapes() {
    check(&|x| vec![lax::broadcast_in_dim(&bend(&x[0]), [2, 3, 4], &[0, 2]).unwrap()], &[&[2, 1]], 1);
    check(&|x| vec![lax::broadcast_in_dim(&bend(&x[0]), [3, 2], &[]).unwrap()], &[&[]], 2);
    check(&|x| vec![bend(&lax::reshape(&x[0], [3, 2]).unwrap())], &[&[2, 3]], 3);
    check(&|x| vec![bend(&lax::transpose(&x[0], &[2, 0, 1]).unwrap())], &[&[2, 3, 4]], 4);
    check(&|x| vec![bend(&lax::reverse(&x[0], &[1]).unwrap())], &[&[2, 3]], 5);
    check(&|x| vec![bend(&lax::slice(&x[0], &[1, 0], &[6, 3], &[2, 2]).unwrap())], &[&[7, 4]], 6);
    check(&|x| vec![bend(&lax::slice(&x[0], &[2], &[2], &[1]).unwrap())], &[&[4]], 7);
    for (low, high, interior) in [([1, 0], [2, 3], [0, 1]), ([-1, 2], [0, -1], [2, 0]), ([0, -2], [-1, 1], [0, 1])] {
        check(&|x| vec![bend(&lax::pad(&x[0], &x[1], &low, &high, &interior).unwrap())], &[&[3, 4], &[]], 8);
    }
    check(
        &|x| vec![bend(&lax::concatenate(&[x[0].clone(), x[1].clone(), x[0].clone()], 1).unwrap())],
        &[&[2, 3], &[2, 1]],
        9,
    );
}

#[test]
fn reductions() {
    for (i, kind) in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min].into_iter().enumerate() {
        for axes in [&[][..], &[0], &[1], &[0, 2], &[0, 1, 2]] {
            check(&|x| vec![lax::reduce(kind, &bend(&x[0]), axes).unwrap()], &[&[2, 3, 2]], i as u64);
        }
        if matches!(kind, ReduceKind::Sum | ReduceKind::Prod) {
            check(&|x| vec![lax::reduce(kind, &x[0], &[1]).unwrap()], &[&[2, 0]], 7);
        }
    }
    // The maximum of nothing is -inf whatever the tangent of nothing.
    let empty = Tensor::zeros([2, 0]);
    let (y, dy) = jaxnet_autograd::jvp(|x: Tensor| x.max_axis(1), empty.clone(), empty);
    assert_eq!(y.to_vec::<f32>(), [f32::NEG_INFINITY; 2]);
    assert_eq!(dy.to_vec::<f32>(), [0.0; 2]);
}

#[test]
fn products_with_zeros() {
    let x = Tensor::from([2.0_f64, 0.0, 3.0, 0.0]);
    let f: F<'_> = &|x| vec![lax::reduce(ReduceKind::Prod, &x[0], &[0]).unwrap()];
    check_derivatives(&f, std::slice::from_ref(&x), 2);
    let f: F<'_> = &|x| vec![lax::cumulative(CumulativeKind::Prod, &x[0], 0, false).unwrap()];
    check_derivatives(&f, &[x], 2);
}

#[test]
fn cumulative_reductions() {
    use CumulativeKind::*;
    for kind in [Sum, Prod, Max, Min, LogSumExp] {
        for reverse in [false, true] {
            for axis in 0..2 {
                check(&|x| vec![lax::cumulative(kind, &bend(&x[0]), axis, reverse).unwrap()], &[&[3, 5]], 3);
            }
        }
    }
}

#[test]
fn matrix_products() {
    type Case = (&'static [usize], &'static [usize], [&'static [usize]; 2], [&'static [usize]; 2]);
    let cases: [Case; 7] = [
        (&[3, 4], &[4, 2], [&[1], &[0]], [&[], &[]]),
        (&[4, 3], &[2, 4], [&[0], &[1]], [&[], &[]]),
        (&[4], &[4], [&[0], &[0]], [&[], &[]]),
        (&[2], &[3], [&[], &[]], [&[], &[]]),
        (&[2, 3, 4], &[2, 4, 2], [&[2], &[1]], [&[0], &[0]]),
        (&[3, 2, 4], &[4, 3, 2], [&[2], &[0]], [&[1], &[2]]),
        (&[2, 3, 4, 2], &[2, 3, 2, 4], [&[1, 3], &[1, 0]], [&[0], &[2]]),
    ];
    for (i, (a, b, contracting, batch)) in cases.into_iter().enumerate() {
        let f: F<'_> = &|x| {
            vec![lax::dot_general(&bend(&x[0]), &x[1], (contracting[0], contracting[1]), (batch[0], batch[1])).unwrap()]
        };
        check(f, &[a, b], i as u64);
    }
}
