//! Rules of differentiation in special places, against numbers found by hand: what the catalogue of
//! operations (`tests/catalogue`) does not draw, or could not tell right from wrong.

use jaxnet_autograd::{GradCheck, check_grads, custom_jvp, grad, jit, jvp, scan, vjp};
use jaxnet_tensor::primitive::{
    ConvDims, ConvGeneralDilated, CumulativeKind, GatherDims, ReduceKind, ScatterDims, ScatterKind, WindowDims,
    WindowKind,
};
use jaxnet_tensor::{DType, Tensor, lax, tensor, try_catch};

fn f64s(values: &[f64]) -> Tensor {
    Tensor::from(values)
}

#[test]
fn clamping_to_bounds_the_wrong_way_round_gives_the_upper_one() {
    let f = |(min, x, max): (Tensor, Tensor, Tensor)| lax::clamp(&min, &x, &max).unwrap().sum();
    let argument = (tensor![3.0, 3.0, 0.0], tensor![0.0, 4.0, 1.0], tensor![1.0, 1.0, 2.0]);
    assert_eq!(lax::clamp(&argument.0, &argument.1, &argument.2).unwrap().to_vec::<f32>(), [1.0, 1.0, 1.0]);
    let (min, x, max) = grad(f)(argument);
    assert_eq!(min.to_vec::<f32>(), [0.0, 0.0, 0.0]);
    assert_eq!(x.to_vec::<f32>(), [0.0, 0.0, 1.0]);
    assert_eq!(max.to_vec::<f32>(), [1.0, 1.0, 0.0]);
}

#[test]
fn the_extreme_of_nothing_is_a_constant() {
    // It is -inf whatever the tangent of nothing.
    let empty = Tensor::zeros([2, 0]);
    let (y, dy) = jvp(|x: Tensor| x.max_axis(1), empty.clone(), empty);
    assert_eq!(y.to_vec::<f32>(), [f32::NEG_INFINITY; 2]);
    assert_eq!(dy.to_vec::<f32>(), [0.0; 2]);
}

#[test]
fn products_with_zeros() {
    let x = f64s(&[2.0, 0.0, 3.0, 0.0]);
    let check = GradCheck { order: 3, tolerance: 1e-4, ..GradCheck::default() };
    check_grads(|x: Tensor| lax::reduce(ReduceKind::Prod, &x, &[0]).unwrap(), x.clone(), check).unwrap();
    let gradient = grad(|x: Tensor| lax::reduce(ReduceKind::Prod, &x, &[0]).unwrap())(f64s(&[2.0, 0.0, 3.0]));
    assert_eq!(gradient.to_vec::<f64>(), [0.0, 6.0, 0.0]);
    check_grads(|x: Tensor| lax::cumulative(CumulativeKind::Prod, &x, 0, false).unwrap(), x, check).unwrap();
}

#[test]
fn sums_of_windows() {
    // Windows 01, 23 of five elements: the last is in none.
    let window = WindowDims { strides: vec![2].into(), ..WindowDims::new(vec![2]) };
    let f = |x: Tensor| lax::reduce_window(WindowKind::Sum, &x, &window).unwrap();
    let (y, pullback) = vjp(f, tensor![1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(y.to_vec::<f32>(), [3.0, 7.0]);
    assert_eq!(pullback(tensor![10.0, 20.0]).to_vec::<f32>(), [10.0, 10.0, 20.0, 20.0, 0.0]);
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
fn a_convolution() {
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

/// Index vectors of one component that name elements of a vector.
fn elements() -> ScatterDims {
    ScatterDims {
        inserted_window_dims: vec![0].into(),
        scatter_dims_to_operand_dims: vec![0].into(),
        ..ScatterDims::default()
    }
}

#[test]
fn the_last_of_several_updates_gets_the_cotangent() {
    let dims = elements();
    let indices = tensor![[1], [3], [1], [-1], [4]];
    let f = |(x, u): (Tensor, Tensor)| lax::scatter(ScatterKind::Set, &x, &indices, &u, &dims).unwrap();
    let (y, pullback) = vjp(f, (tensor![1.0, 2.0, 3.0, 4.0], tensor![10.0, 20.0, 30.0, 40.0, 50.0]));
    assert_eq!(y.to_vec::<f32>(), [1.0, 30.0, 3.0, 20.0]);
    let (dx, du) = pullback(tensor![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(dx.to_vec::<f32>(), [1.0, 0.0, 3.0, 0.0]);
    assert_eq!(du.to_vec::<f32>(), [0.0, 4.0, 2.0, 0.0, 0.0]);
    let tangent = (tensor![1.0, 2.0, 3.0, 4.0], tensor![5.0, 6.0, 7.0, 8.0, 9.0]);
    let (_, dy) = jvp(f, (tensor![1.0, 2.0, 3.0, 4.0], tensor![10.0, 20.0, 30.0, 40.0, 50.0]), tangent);
    assert_eq!(dy.to_vec::<f32>(), [1.0, 7.0, 3.0, 6.0]);
}

#[test]
fn gathers_read_inside_and_their_cotangents_go_there() {
    let dims =
        GatherDims { collapsed_slice_dims: vec![0].into(), start_index_map: vec![0].into(), ..GatherDims::default() };
    for dtype in [DType::I32, DType::I64, DType::U8, DType::U32] {
        let indices = tensor![[7], [1], [200]].astype(dtype);
        let f = |x: Tensor| lax::gather(&x, &indices, &dims, &[1]).unwrap();
        let (y, pullback) = vjp(f, tensor![1.0, 2.0, 3.0]);
        assert_eq!(y.to_vec::<f32>(), [3.0, 2.0, 3.0]);
        assert_eq!(pullback(tensor![1.0, 10.0, 100.0]).to_vec::<f32>(), [0.0, 10.0, 101.0], "{dtype}");
    }
    // An axis that is longer than the dtype of the indices can tell.
    let f = |x: Tensor| lax::gather(&x, &tensor![[255]].astype(DType::U8), &dims, &[1]).unwrap();
    let (_, pullback) = vjp(f, Tensor::range(300).astype(DType::F32));
    let ct = pullback(tensor![1.0]).to_vec::<f32>();
    assert_eq!((ct[255], ct.iter().sum::<f32>()), (1.0, 1.0));
}

#[test]
fn scattered_products_with_zeros() {
    let dims = elements();
    // Place 0: no zero; 1: the operand; 2: one update; 3: both an update and the operand; 4: two
    // updates; the last index is outside.
    let indices = tensor![[0], [0], [1], [2], [2], [3], [4], [4], [4], [5]];
    let zeros = [[2.0, 3.0, 5.0, 0.0, 7.0, 0.0, 0.0, 0.0, 11.0, 0.0]];
    let updates = Tensor::constant(zeros, Some(DType::F64)).reshape([-1]);
    let operand = Tensor::constant([1.5, 0.0, 2.5, 0.0, 3.5], Some(DType::F64));
    let f = |x: Vec<Tensor>| lax::scatter(ScatterKind::Mul, &x[0], &indices, &x[1], &dims).unwrap();
    let check = GradCheck { order: 3, tolerance: 1e-4, ..GradCheck::default() };
    check_grads(f, vec![operand.clone(), updates.clone()], check).unwrap();
    let gradient = grad(|x: Vec<Tensor>| f(x).sum())(vec![operand, updates]);
    assert_eq!(gradient[0].to_vec::<f64>(), [6.0, 5.0, 0.0, 0.0, 0.0]);
    assert_eq!(gradient[1].to_vec::<f64>(), [4.5, 3.0, 0.0, 17.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn equal_extremes_share_the_tangent() {
    let dims = elements();
    let indices = tensor![[0], [0], [1], [1], [9]];
    let f = |(x, u): (Tensor, Tensor)| lax::scatter(ScatterKind::Max, &x, &indices, &u, &dims).unwrap();
    let (y, pullback) = vjp(f, (tensor![1.0, 2.0, 3.0], tensor![1.0, 1.0, 5.0, 5.0, 9.0]));
    assert_eq!(y.to_vec::<f32>(), [1.0, 5.0, 3.0]);
    let (dx, du) = pullback(tensor![3.0, 4.0, 5.0]);
    assert_eq!(dx.to_vec::<f32>(), [1.0, 0.0, 5.0]);
    assert_eq!(du.to_vec::<f32>(), [1.0, 1.0, 2.0, 2.0, 0.0]);
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
fn integers_are_sorted_beside_what_is_differentiated() {
    let f = |x: Tensor| {
        let sorted = lax::sort(&[tensor![3, 1, 2], tensor![9, 8, 7]], 0, 1, false).unwrap();
        x * sorted[1].astype(DType::F32)
    };
    let (_, tangent) = jvp(f, tensor![1.0, 1.0, 1.0], tensor![1.0, 1.0, 1.0]);
    assert_eq!(tangent.to_vec::<f32>(), [8.0, 7.0, 9.0]);
}

#[test]
fn of_equal_greatest_elements_the_first_gets_the_cotangent() {
    let (y, pullback) = vjp(|x: Tensor| lax::top_k(&x, 2).unwrap().0, tensor![[1.0, 7.0, 7.0], [5.0, 0.0, 6.0]]);
    assert_eq!(y.to_vec::<f32>(), [7.0, 7.0, 6.0, 5.0]);
    assert_eq!(pullback(tensor![[1.0, 2.0], [3.0, 4.0]]).to_vec::<f32>(), [0.0, 1.0, 2.0, 4.0, 0.0, 3.0]);
}

#[test]
fn tangents_may_be_zero_but_not_constant() {
    // A function that is flat as far as derivatives go, in branches and by itself.
    let flat = custom_jvp(|x: Tensor| x.sign(), |x: Tensor, t: Tensor| (x.sign(), t.zeros_like()));
    assert_eq!(grad(|x: Tensor| flat(x).sum())(tensor![2.0]).to_vec::<f32>(), [0.0]);
    let in_loop = |x: Tensor| scan(|c: Tensor, y: Tensor| (flat(c.clone()) * y, c), x, tensor![3.0, 5.0]).1.sum();
    assert_eq!(grad(in_loop)(Tensor::from(2.0)).item::<f32>(), 1.0);
    let wrong = custom_jvp(|x: Tensor| x.sin(), |x: Tensor, _: Tensor| (x.sin(), x.cos()));
    for differentiated in [&(|| grad(|x: Tensor| wrong(x).sum())(tensor![2.0])) as &dyn Fn() -> Tensor, &|| {
        jit(grad(|x: Tensor| wrong(x).sum())).call(tensor![2.0])
    }] {
        let error = try_catch(differentiated).unwrap_err();
        assert!(error.to_string().contains("does not depend on the tangents"), "{error}");
    }
}

#[test]
fn carries_that_start_anew_pass_no_derivative() {
    // The carry of each step is that of nothing before it.
    let f = |(c, xs): (Tensor, Tensor)| scan(|c: Tensor, x: Tensor| (x.stop_gradient(), c * 2.0), c, xs).1.sum();
    let (dc, dxs) = grad(f)((Tensor::from(1.0), tensor![3.0, 4.0]));
    assert_eq!((dc.item::<f32>(), dxs.to_vec::<f32>()), (2.0, vec![0.0, 0.0]));
}

#[test]
fn one_value_goes_through_a_barrier_twice() {
    // Compiled, the second taker of the memory found it gone.
    let f = |x: Tensor| {
        let twice = lax::optimization_barrier(&[&x * 2.0, &x * 2.0]).unwrap();
        &twice[0] + &twice[1]
    };
    assert_eq!(jit(f).call(tensor![1.0, 2.0]).to_vec::<f32>(), [4.0, 8.0]);
}
