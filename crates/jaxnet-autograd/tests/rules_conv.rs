//! Derivatives and batches of convolutions.

mod support;

use jaxnet_autograd::{grad, vjp, vmap};
use jaxnet_tensor::primitive::{ConvDims, ConvGeneralDilated};
use jaxnet_tensor::{Dims, Primitive, Shape, Tensor, lax, tensor};
use support::{Numbers, check_derivatives, check_vmap, values};

fn conv(op: &ConvGeneralDilated) -> impl Fn(Vec<Tensor>) -> Vec<Tensor> {
    |x| vec![lax::conv_general_dilated(&x[0], &x[1], op).unwrap()]
}

/// How many groups, of which kind.
#[derive(Clone, Copy)]
enum Groups {
    None,
    Feature(usize),
    Batch(usize),
}

/// An arbitrary convolution with the shapes of its input and its kernel.
fn arbitrary(
    numbers: &mut Numbers,
    spatial: usize,
    groups: Groups,
    smallest: usize,
) -> (ConvGeneralDilated, [Shape; 2]) {
    loop {
        let (feature_groups, batch_groups) = match groups {
            Groups::None => (1, 1),
            Groups::Feature(groups) => (groups, 1),
            Groups::Batch(groups) => (1, groups),
        };
        let rank = spatial + 2;
        let mut permutation = || {
            let mut axes: Dims = (0..rank).collect();
            for i in (1..rank).rev() {
                axes.swap(i, numbers.size(0, i));
            }
            axes
        };
        let (lhs, rhs, out) = (permutation(), permutation(), permutation());
        let mut sizes = |low, high| -> Dims { (0..spatial).map(|_| numbers.size(low, high)).collect() };
        let (input, kernel) = (sizes(smallest, 5), sizes(1, 3));
        let (strides, lhs_dilation, rhs_dilation) = (sizes(1, 3), sizes(1, 3), sizes(1, 3));
        let op = ConvGeneralDilated {
            dims: ConvDims {
                lhs_batch: lhs[0],
                lhs_feature: lhs[1],
                lhs_spatial: lhs[2..].into(),
                rhs_output_feature: rhs[0],
                rhs_input_feature: rhs[1],
                rhs_spatial: rhs[2..].into(),
                out_batch: out[0],
                out_feature: out[1],
                out_spatial: out[2..].into(),
            },
            strides,
            padding: (0..spatial).map(|_| (numbers.between(-2, 3), numbers.between(-2, 3))).collect(),
            lhs_dilation,
            rhs_dilation,
            feature_groups,
            batch_groups,
        };
        let shape = |axes: &Dims, first: usize, second: usize, rest: &Dims| -> Shape {
            let mut shape = vec![0; rank];
            (shape[axes[0]], shape[axes[1]]) = (first, second);
            for (&axis, &size) in axes[2..].iter().zip(rest) {
                shape[axis] = size;
            }
            shape.into()
        };
        let (batch, outputs) = (numbers.size(smallest, 2), numbers.size(smallest, 2));
        let inputs = numbers.size(smallest, 2);
        let lhs = shape(&lhs, batch * batch_groups, inputs * feature_groups, &input);
        let rhs = shape(&rhs, outputs * feature_groups * batch_groups, inputs, &kernel);
        let avals = [lhs.clone(), rhs.clone()].map(|shape| jaxnet_tensor::Aval::new(jaxnet_tensor::DType::F64, shape));
        let fits = Primitive::from(op.clone()).infer(&avals.iter().collect::<Vec<_>>());
        // Mostly convolutions that have results.
        if fits.is_ok_and(|results| smallest == 0 || results[0].size() > 0) {
            return (op, [lhs, rhs]);
        }
    }
}

const GROUPS: [Groups; 5] = [Groups::None, Groups::Feature(2), Groups::Batch(2), Groups::Feature(3), Groups::Batch(3)];

#[test]
fn derivatives() {
    let mut numbers = Numbers::new(1);
    for round in 0..150 {
        let (op, shapes) = arbitrary(&mut numbers, round % 3, GROUPS[round / 3 % 5], 1);
        check_derivatives(&conv(&op), &shapes.map(|shape| numbers.tensor(shape)), 2);
    }
}

#[test]
fn derivatives_of_empty_ones() {
    let mut numbers = Numbers::new(2);
    for round in 0..60 {
        let (op, shapes) = arbitrary(&mut numbers, round % 3, GROUPS[round / 3 % 5], 0);
        check_derivatives(&conv(&op), &shapes.map(|shape| numbers.tensor(shape)), 1);
    }
}

#[test]
fn batches() {
    let mut numbers = Numbers::new(3);
    for round in 0..60 {
        let (op, shapes) = arbitrary(&mut numbers, round % 3, GROUPS[round / 3 % 5], (round / 15 != 3) as usize);
        let mut example = || shapes.iter().map(|shape| numbers.tensor(shape)).collect::<Vec<_>>();
        check_vmap(&conv(&op), &[example(), example(), example()]);
    }
}

#[test]
fn gradients_for_each_example() {
    let mut numbers = Numbers::new(4);
    let mut nonzero = 0;
    for round in 0..20 {
        let (op, [lhs, rhs]) = arbitrary(&mut numbers, 2, GROUPS[round % 5], 1);
        let f = |(x, kernel): (Tensor, Tensor)| lax::conv_general_dilated(&x, &kernel, &op).unwrap().square().sum();
        let (x, kernel) = (numbers.tensor(lhs.with_axis(0, 3)), numbers.tensor(rhs.with_axis(0, 3)));
        // The sum of all examples has the gradient of each at its place; products over the batch are
        // added up in another order.
        let (dx, dkernel) = vmap(grad(f))((x.clone(), kernel.clone()));
        let (all_dx, all_dkernel) = grad(|both: (Tensor, Tensor)| vmap(f)(both).sum())((x, kernel));
        assert!(dx.allclose(&all_dx, 1e-12, 1e-12));
        assert!(dkernel.allclose(&all_dkernel, 1e-12, 1e-12));
        nonzero += values(&dkernel).iter().any(|&element| element != 0.0) as usize;
    }
    // In some, the kernel meets nothing but padding and holes.
    assert!(nonzero >= 10, "{nonzero}");
}

#[test]
fn by_hand() {
    // Two places of a kernel of two over three elements.
    let op = ConvGeneralDilated {
        dims: ConvDims::parse("NWC", "WIO", "NWC").unwrap(),
        strides: vec![1].into(),
        padding: vec![(0, 0)],
        lhs_dilation: vec![1].into(),
        rhs_dilation: vec![1].into(),
        feature_groups: 1,
        batch_groups: 1,
    };
    let f = |(x, kernel): (Tensor, Tensor)| lax::conv_general_dilated(&x, &kernel, &op).unwrap();
    let x = tensor![1.0, 2.0, 3.0].reshape([1, 3, 1]);
    let kernel = tensor![10.0, 20.0].reshape([2, 1, 1]);
    let (y, pullback) = vjp(f, (x, kernel));
    assert_eq!(y.to_vec::<f32>(), [50.0, 80.0]);
    let (dx, dkernel) = pullback(tensor![1.0, 100.0].reshape([1, 2, 1]));
    assert_eq!(dx.to_vec::<f32>(), [10.0, 1020.0, 2000.0]);
    assert_eq!(dkernel.to_vec::<f32>(), [201.0, 302.0]);
}
