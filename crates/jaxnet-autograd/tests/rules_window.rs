//! Derivatives and batches of reductions over sliding windows.

mod support;

use jaxnet_autograd::{grad, jvp, vjp, vmap};
use jaxnet_tensor::lax;
use jaxnet_tensor::primitive::{SelectKind, WindowDims, WindowKind};
use jaxnet_tensor::{Tensor, tensor};
use support::{Numbers, check_derivatives, check_vmap, values};

/// Windows of every kind of geometry that fit, over an array of this shape.
fn windows(numbers: &mut Numbers, shape: &[usize], dilated: bool) -> WindowDims {
    loop {
        let mut sizes = |low, high| shape.iter().map(|_| numbers.size(low, high)).collect();
        let mut window = WindowDims { strides: sizes(1, 3), ..WindowDims::new(sizes(1, 3)) };
        if dilated {
            (window.base_dilation, window.window_dilation) = (sizes(1, 3), sizes(1, 3));
        }
        window.padding = shape.iter().map(|_| (numbers.between(-1, 2), numbers.between(-1, 2))).collect();
        if window.output_shape("test", shape).is_ok() {
            return window;
        }
    }
}

fn shapes() -> [Vec<usize>; 6] {
    [vec![], vec![1], vec![0], vec![6], vec![4, 5], vec![2, 3, 3]]
}

/// `f` with something of its operand's values in its derivative.
fn squared(x: &Tensor) -> Tensor {
    x * x
}

#[test]
fn sums() {
    let mut numbers = Numbers::new(1);
    for round in 0..60 {
        let shape = &shapes()[round % 6];
        let window = windows(&mut numbers, shape, round % 2 == 0);
        let f = |x: Vec<Tensor>| vec![lax::reduce_window(WindowKind::Sum, &squared(&x[0]), &window).unwrap()];
        check_derivatives(&f, &[numbers.tensor(shape)], 2);
        let examples: Vec<_> = (0..3).map(|_| vec![numbers.tensor(shape)]).collect();
        check_vmap(&f, &examples);
    }
}

#[test]
fn sum_by_hand() {
    // Windows 01, 23 of five elements: the last is in none.
    let window = WindowDims { strides: vec![2].into(), ..WindowDims::new(vec![2]) };
    let f = |x: Tensor| lax::reduce_window(WindowKind::Sum, &x, &window).unwrap();
    let (y, pullback) = vjp(f, tensor![1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(y.to_vec::<f32>(), [3.0, 7.0]);
    assert_eq!(pullback(tensor![10.0, 20.0]).to_vec::<f32>(), [10.0, 10.0, 20.0, 20.0, 0.0]);
}

#[test]
fn extremes() {
    let mut numbers = Numbers::new(2);
    for round in 0..60 {
        let shape = &shapes()[round % 6];
        let window = windows(&mut numbers, shape, round % 2 == 0);
        let kind = if round % 4 < 2 { WindowKind::Max } else { WindowKind::Min };
        // Without the padding's infinities, whose differences are no numbers.
        let f = |x: Vec<Tensor>| {
            let y = lax::reduce_window(kind, &(&x[0] * (x[0].abs() + 1.0)), &window).unwrap();
            vec![y.is_finite().select(&y, 0.0)]
        };
        check_derivatives(&f, &[numbers.distinct(shape)], 2);
        let examples: Vec<_> = (0..3).map(|_| vec![numbers.distinct(shape)]).collect();
        check_vmap(&f, &examples);
    }
}

#[test]
fn the_first_of_equal_elements_and_nan_are_selected() {
    let x = tensor![1.0, 3.0, 3.0, f32::NAN, 2.0, f32::NAN];
    let t = tensor![1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    for dilation in [1, 2] {
        let window = WindowDims { window_dilation: vec![dilation].into(), ..WindowDims::new(vec![2]) };
        let f = |x: Tensor| lax::reduce_window(WindowKind::Max, &x, &window).unwrap();
        let (tangents, cotangents): (&[f32], &[f32]) = if dilation == 1 {
            (&[2.0, 2.0, 8.0, 8.0, 32.0], &[0.0, 2.0, 0.0, 2.0, 0.0, 1.0])
        } else {
            (&[4.0, 8.0, 4.0, 8.0], &[0.0, 0.0, 2.0, 2.0, 0.0, 0.0])
        };
        assert_eq!(jvp(f, x.clone(), t.clone()).1.to_vec::<f32>(), tangents);
        let (y, pullback) = vjp(f, x.clone());
        assert_eq!(pullback(y.ones_like()).to_vec::<f32>(), cotangents);
    }
}

#[test]
fn windows_of_padding_alone_select_nothing() {
    for dilation in [1, 2] {
        let window =
            WindowDims { padding: vec![(3, 0)], base_dilation: vec![dilation].into(), ..WindowDims::new(vec![2]) };
        // Infinities are elements all the same.
        let x = tensor![f32::NEG_INFINITY, f32::NEG_INFINITY];
        let f = |x: Tensor| lax::reduce_window(WindowKind::Max, &x, &window).unwrap();
        let (y, pullback) = vjp(f, x);
        let ct = Tensor::range(y.size()).astype(y.dtype()) + 1.0;
        let expected = if dilation == 1 { [7.0, 0.0] } else { [7.0, 5.0] };
        assert_eq!(pullback(ct).to_vec::<f32>(), expected, "dilation {dilation}");
    }
}

#[test]
fn selecting_operations() {
    let mut numbers = Numbers::new(3);
    for round in 0..60 {
        let shape = &shapes()[round % 6];
        let dilated = round % 4 < 2;
        let window = windows(&mut numbers, shape, dilated);
        let select = if round % 2 == 0 { SelectKind::Max } else { SelectKind::Min };
        let gather = |x: Vec<Tensor>| {
            vec![lax::select_and_gather_add(select, &squared(&x[0]), &squared(&(&x[1] + 2.0)), &window).unwrap()]
        };
        check_derivatives(&gather, &[numbers.tensor(shape), numbers.distinct(shape)], 2);
        let examples: Vec<_> = (0..3).map(|_| vec![numbers.tensor(shape), numbers.distinct(shape)]).collect();
        check_vmap(&gather, &examples);
        if dilated {
            continue;
        }
        let source = window.output_shape("test", shape).unwrap();
        let scatter = |x: Vec<Tensor>| {
            vec![lax::select_and_scatter_add(select, &squared(&x[0]), &squared(&(&x[1] + 2.0)), &window).unwrap()]
        };
        check_derivatives(&scatter, &[numbers.tensor(&source), numbers.distinct(shape)], 2);
        let examples: Vec<_> = (0..3).map(|_| vec![numbers.tensor(&source), numbers.distinct(shape)]).collect();
        check_vmap(&scatter, &examples);
    }
}

#[test]
fn gradients_for_each_example() {
    let mut numbers = Numbers::new(4);
    let window = WindowDims { strides: vec![1, 2].into(), ..WindowDims::new(vec![2, 2]) };
    let f = |x: Tensor| squared(&lax::reduce_window(WindowKind::Max, &x, &window).unwrap()).sum();
    let x = numbers.distinct([3, 4, 5]);
    let all = grad(|x: Tensor| vmap(f)(x).sum())(x.clone());
    assert_eq!(values(&vmap(grad(f))(x)), values(&all));
    assert!(values(&all).iter().any(|&element| element != 0.0));
}
