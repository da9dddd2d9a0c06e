//! The ideas that are hardest to change later: transforms by value, capture, nesting, donation.

use jaxnet_autograd::*;
use jaxnet_tensor::{DType, Key, Tensor, Tree, tensor, try_catch};

fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.shape(), b.shape(), "{a} {b}");
    assert!(a.allclose(b, 1e-5, 1e-6), "{a} is not close to {b}");
}

fn f64s(values: &[f64]) -> Tensor {
    Tensor::from(values)
}

#[test]
fn derivatives_of_any_order() {
    let f = |x: Tensor| x.sin() * x.exp();
    let x = Tensor::scalar(0.7_f64);
    let first = grad(f);
    let second = grad(|x: Tensor| grad(f)(x));
    let third = grad(|x: Tensor| grad(|x: Tensor| grad(f)(x))(x));
    let (s, c, e) = (0.7_f64.sin(), 0.7_f64.cos(), 0.7_f64.exp());
    close(&first(x.clone()), &Tensor::scalar(e * (s + c)));
    close(&second(x.clone()), &Tensor::scalar(2.0 * e * c));
    close(&third(x.clone()), &Tensor::scalar(2.0 * e * (c - s)));
    // Forward over reverse, and reverse over forward.
    let one = Tensor::scalar(1.0_f64);
    close(&jvp(grad(f), x.clone(), one.clone()).1, &Tensor::scalar(2.0 * e * c));
    close(&grad(|x: Tensor| jvp(f, x, one.clone()).1)(x), &Tensor::scalar(2.0 * e * c));
}

#[test]
fn nested_differentiation_is_kept_apart() {
    // d/dx [x * d/dy (x + y)] is 1, not 2 (perturbation confusion).
    let f = |x: Tensor| {
        let inner = grad(|y: Tensor| &x + &y)(Tensor::from(1.0));
        &x * inner
    };
    assert_eq!(grad(f)(Tensor::from(1.0)).item::<f32>(), 1.0);
}

#[test]
fn outer_values_are_captured() {
    let z = f64s(&[1.0, 2.0, 3.0]);
    // By jit inside grad, grad inside jit, scan inside grad, cond inside vmap.
    let f = |x: Tensor| jit(|y: Tensor| (&x * y).sum()).call(z.clone());
    close(&grad(f)(z.clone()), &z);
    let g = jit(|x: Tensor| grad(|y: Tensor| (&x * y.square()).sum())(z.clone()));
    close(&g.call(z.clone()), &(z.square() * 2.0));
    let h = |x: Tensor| scan(|c: Tensor, y: Tensor| (c * &x + y, ()), Tensor::scalar(0.0_f64), z.clone()).0;
    // ((0 x + 1) x + 2) x + 3 at x = 2: 11, derivative 2 x + 2 = 6.
    close(&h(Tensor::scalar(2.0_f64)), &Tensor::scalar(11.0_f64));
    close(&grad(h)(Tensor::scalar(2.0_f64)), &Tensor::scalar(6.0_f64));
    close(&jit(grad(h)).call(Tensor::scalar(2.0_f64)), &Tensor::scalar(6.0_f64));
    close(&grad(jit(h))(Tensor::scalar(2.0_f64)), &Tensor::scalar(6.0_f64));
    let k = vmap(|x: Tensor| cond(x.gt(1.5), |a: Tensor| a * &x, |a: Tensor| a - &x, Tensor::scalar(10.0_f64)));
    close(&k(z), &f64s(&[9.0, 20.0, 30.0]));
}

#[test]
fn transforms_nest() {
    let f = |x: Tensor| (x.tanh() * &x).sum();
    let x = tensor![[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]];
    let one_by_one: Vec<Tensor> = (0..3).map(|i| grad(f)(x.split(3, 0)[i].squeeze(0))).collect();
    let expected = Tensor::stack(&one_by_one, 0);
    close(&vmap(grad(f))(x.clone()), &expected);
    close(&jit(vmap(grad(f))).call(x.clone()), &expected);
    close(&vmap(jit(grad(jit(f))))(x.clone()), &expected);
    let scanned = |x: Tensor| scan(|c: Tensor, x: Tensor| (c.sin() + &x, c * x), Tensor::from(0.5), x).0;
    let per_row = vmap(grad(scanned));
    let expected: Vec<Tensor> = (0..3).map(|i| grad(scanned)(x.split(3, 0)[i].squeeze(0))).collect();
    close(&per_row(x.clone()), &Tensor::stack(&expected, 0));
    close(&jit(per_row).call(x.clone()), &Tensor::stack(&expected, 0));
    let second = |x: Tensor| hessian(scanned)(x);
    let expected: Vec<Tensor> = (0..3).map(|i| second(x.split(3, 0)[i].squeeze(0))).collect();
    close(&jit(vmap(second)).call(x), &Tensor::stack(&expected, 0));
}

#[test]
fn jacobians_through_branches() {
    let f = |x: Tensor| cond(x.sum().gt(0.0), |x: Tensor| x.square(), |x: Tensor| x.sin(), x);
    let x = tensor![1.0, 2.0];
    close(&jacfwd(f)(x.clone()), &tensor![[2.0, 0.0], [0.0, 4.0]]);
    close(&jacrev(f)(x.clone()), &tensor![[2.0, 0.0], [0.0, 4.0]]);
    close(&jit(jacrev(f)).call(-&x), &Tensor::diag(&(-&x).cos()));
    close(&jacfwd(jacrev(f))(x.clone()), &hessian(f)(x));
}

#[test]
fn loops_differentiate() {
    let power = |x: Tensor| fori_loop(0, 5, |_, y: Tensor| y * &x, Tensor::scalar(1.0_f64));
    close(&grad(power)(Tensor::scalar(2.0_f64)), &Tensor::scalar(80.0_f64));
    let doubling = |x: Tensor| while_loop(|y: Tensor| y.lt(100.0), |y: Tensor| y * 2.0, x);
    let (y, dy) = jvp(doubling, Tensor::scalar(3.0_f64), Tensor::scalar(1.0_f64));
    assert_eq!((y.item::<f64>(), dy.item::<f64>()), (192.0, 64.0));
    let (y, derivative) = linearize(doubling, Tensor::scalar(3.0_f64));
    assert_eq!((y.item::<f64>(), derivative(Tensor::scalar(2.0_f64)).item::<f64>()), (192.0, 128.0));
    let error = try_catch(|| grad(doubling)(Tensor::scalar(3.0_f64))).unwrap_err();
    assert!(error.to_string().contains("while_loop"), "{error}");
    let batched = vmap(doubling)(f64s(&[3.0, 99.0, 150.0]));
    close(&batched, &f64s(&[192.0, 198.0, 150.0]));
}

#[test]
fn checkpoint_changes_nothing_but_memory() {
    let f = |x: Tensor| x.sin().exp().sum();
    let x = tensor![0.3, 0.7];
    close(&grad(checkpoint(f))(x.clone()), &grad(f)(x.clone()));
    close(&jit(grad(checkpoint(f))).call(x.clone()), &grad(f)(x.clone()));
    close(&hessian(checkpoint(f))(x.clone()), &hessian(f)(x.clone()));
    close(&vmap(grad(checkpoint(|x: Tensor| x.sin())))(x.clone()), &x.cos());
}

#[test]
fn custom_rules_under_transforms() {
    let f = custom_jvp(|x: Tensor| x.sin(), |x: Tensor, t: Tensor| (x.sin(), t * x.cos() * 10.0));
    let x = tensor![0.3, 0.7];
    close(&grad(|x: Tensor| f(x).sum())(x.clone()), &(x.cos() * 10.0));
    close(&jit(grad(|x: Tensor| f(x).sum())).call(x.clone()), &(x.cos() * 10.0));
    close(&vmap(grad(|x: Tensor| f(x)))(x.clone()), &(x.cos() * 10.0));
    close(&grad(vmap_sum(&f))(x.clone()), &(x.cos() * 10.0));
    let g = custom_vjp(|x: Tensor| x.sin(), |x: Tensor| (x.sin(), x), |x: Tensor, ct: Tensor| ct * x.cos() * 3.0);
    close(&grad(|x: Tensor| g(x).sum())(x.clone()), &(x.cos() * 3.0));
    close(&jit(vmap(grad(|x: Tensor| g(x)))).call(x.clone()), &(x.cos() * 3.0));
    let second = grad(|x: Tensor| grad(|x: Tensor| g(x).sum())(x).sum());
    close(&second(x.clone()), &(-x.sin() * 3.0));
    let error = try_catch(|| jvp(|x: Tensor| g(x), x.clone(), x.clone())).unwrap_err();
    assert!(error.to_string().contains("custom_jvp"), "{error}");
    // What is wrong is told where the function was made.
    let wrong = custom_jvp(|x: Tensor| x.sin(), |x: Tensor, t: Tensor| (x.sum(), t));
    let error = try_catch(|| grad(|x: Tensor| wrong(x).sum())(x.clone())).unwrap_err().to_string();
    assert!(error.contains("the rule gives the value f32[]") && error.contains("made at crates"), "{error}");
}

fn vmap_sum<'a>(f: &'a impl Fn(Tensor) -> Tensor) -> impl Fn(Tensor) -> Tensor + 'a {
    move |x: Tensor| vmap(|x: Tensor| f(x))(x).sum()
}

#[test]
fn donation_is_ownership() {
    let f = jit(|x: Tensor| x + 1.0);
    let x = Tensor::ones([1000]);
    let kept = x.clone();
    assert!(f.call_strict(x).is_err());
    assert_eq!(kept.sum().item::<f32>(), 1000.0);
    let y = f.call_strict(kept).unwrap();
    assert_eq!(y.sum().item::<f32>(), 2000.0);
}

#[test]
fn keys_go_through_transforms() {
    let draw = |(key, x): (Key, Tensor)| key.normal([3]) + x;
    let expected = draw((Key::new(1), Tensor::from(1.0)));
    close(&jit(draw).call((Key::new(1), Tensor::from(1.0))), &expected);
    let keys = Key::new(2).split_batch(4);
    let batch = vmap(|key: Key| key.uniform([2]))(keys);
    let one_by_one: Vec<Tensor> = Key::new(2).split_n(4).into_iter().map(|key| key.uniform([2])).collect();
    close(&batch, &Tensor::stack(&one_by_one, 0));
    let error = try_catch(|| grad(|(_, x): (Key, Tensor)| x.sum())((Key::new(0), tensor![1.0]))).unwrap_err();
    assert!(error.to_string().contains("`0` is a random key"), "{error}");
}

#[derive(Tree)]
struct Model<T> {
    weight: T,
    steps: Option<Tensor>,
    #[tree(static)]
    power: i32,
}

#[test]
fn derived_trees_with_static_fields() {
    let f = jit(|model: Model<Tensor>| model.weight.powi(model.power).sum());
    let model = |power| Model { weight: tensor![2.0, 3.0], steps: None, power };
    assert_eq!(f.call(model(2)).item::<f32>(), 13.0);
    assert_eq!(f.call(model(3)).item::<f32>(), 35.0);
    assert_eq!(f.call(model(2)).item::<f32>(), 13.0);
    assert_eq!(f.trace_count(), 2);
    let gradient = grad(|model: Model<Tensor>| model.weight.powi(model.power).sum())(model(2));
    assert_eq!(gradient.weight.to_vec::<f32>(), [4.0, 6.0]);
    assert!(gradient.steps.is_none());
    let error = try_catch(|| grad(|m: Model<Tensor>| m.weight.sum())(Model { steps: Some(tensor![1]), ..model(1) }));
    assert!(error.err().unwrap().to_string().contains("`steps` is i32[1]"));
}

#[test]
fn mistakes_say_how_to_mend_them() {
    let message = |f: &dyn Fn()| try_catch(f).unwrap_err().to_string();
    let traced_value = message(&|| {
        jit(|x: Tensor| if x.item::<f32>() > 0.0 { x } else { -x }).call(Tensor::from(1.0));
    });
    assert!(traced_value.contains("cond"), "{traced_value}");
    let not_scalar = message(&|| {
        grad(|x: Tensor| x)(tensor![1.0, 2.0]);
    });
    assert!(not_scalar.contains("f32[2]") && not_scalar.contains("jacrev"), "{not_scalar}");
    assert!(not_scalar.contains("tests/transforms.rs:"), "{not_scalar}");
    let integer = message(&|| {
        grad(|x: Tensor| x.sum())(tensor![1]);
    });
    assert!(integer.contains("i32[1]"), "{integer}");
    let mut escaped = None;
    let _ = grad(|x: Tensor| x.sum())(tensor![1.0]);
    let cell = std::cell::RefCell::new(&mut escaped);
    jit(|x: Tensor| {
        **cell.borrow_mut() = Some(x.clone());
        x
    })
    .call(tensor![1.0]);
    let error = try_catch(|| escaped.unwrap() + 1.0).unwrap_err().to_string();
    assert!(error.contains("has ended"), "{error}");
    let carry = message(&|| {
        scan(|c: Tensor, x: Tensor| (Tensor::stack(&[c, x], 0), ()), Tensor::from(0.0), tensor![1.0]);
    });
    assert!(carry.contains("f32[]") && carry.contains("f32[2]"), "{carry}");
}

#[test]
fn weakly_typed_carries_take_the_bodys_dtype() {
    let xs = tensor![1.0, 2.0].astype(DType::F64);
    let (sum, _) = scan(|c: Tensor, x: Tensor| (c + x, ()), Tensor::from(0.0), xs);
    assert_eq!(sum.dtype(), DType::F64);
    assert_eq!(sum.item::<f64>(), 3.0);
}

#[test]
fn programs_made_in_a_loop_are_equal() {
    let program = || jit(|x: Tensor| x.sin() * 2.0).program(&tensor![1.0]);
    assert_eq!(program(), program());
}

#[test]
fn eval_shape_computes_nothing() {
    let y = eval_shape(|x: Tensor| x.matmul(x.t()), &Tensor::zeros([3, 4]));
    assert_eq!(y.shape().dims(), [3, 3]);
    assert!(try_catch(|| y.to_vec::<f32>()).is_err());
}

/// The rows of a matrix.
fn rows(x: &Tensor) -> Vec<Tensor> {
    x.split(x.dim(0), 0).iter().map(|row| row.squeeze(0)).collect()
}

fn each(f: impl Fn(Tensor) -> Tensor, x: &Tensor) -> Tensor {
    Tensor::stack(&rows(x).into_iter().map(f).collect::<Vec<_>>(), 0)
}

#[test]
fn loops_nest_in_every_transform() {
    // c_{i+1} = sin(c_i) x_i, so that the derivative by x_i goes through all later steps.
    let f = |x: Tensor| scan(|c: Tensor, x: Tensor| (c.sin() * x, c), Tensor::scalar(0.5_f64), x).0;
    let x = f64s(&[0.4, -1.2, 0.9]);
    let by_hand = {
        let (c0, x) = (0.5_f64, [0.4_f64, -1.2, 0.9]);
        let (c1, c2) = (c0.sin() * x[0], (c0.sin() * x[0]).sin() * x[1]);
        let (d2, d1) = (x[2] * c2.cos(), x[2] * c2.cos() * x[1] * c1.cos());
        f64s(&[d1 * c0.sin(), d2 * c1.sin(), c2.sin()])
    };
    close(&grad(f)(x.clone()), &by_hand);
    close(&grad(jit(f))(x.clone()), &by_hand);
    close(&jit(grad(jit(f))).call(x.clone()), &by_hand);
    let saved = |x: Tensor| {
        let step = checkpoint(|(c, x): (Tensor, Tensor)| c.sin() * x);
        scan(|c: Tensor, x: Tensor| (step((c.clone(), x)), c), Tensor::scalar(0.5_f64), x).0
    };
    close(&grad(saved)(x.clone()), &by_hand);
    close(&jit(grad(saved)).call(x.clone()), &by_hand);
    close(&hessian(saved)(x.clone()), &hessian(f)(x.clone()));
    let batch = Tensor::stack(&[x.clone(), -&x, &x * 0.3], 0);
    close(&vmap(f)(batch.clone()), &each(f, &batch));
    close(&vmap_axes(f, 1, 0)(batch.t()), &each(f, &batch));
    close(&vmap(grad(saved))(batch.clone()), &each(grad(f), &batch));
    close(&jit(vmap(hessian(saved))).call(batch.clone()), &each(hessian(f), &batch));
    // A scan whose steps are batched, differentiated and compiled.
    let over = |x: Tensor| {
        scan(
            |c: Tensor, row: Tensor| (c + jit(vmap(grad(f))).call(row).sum(), ()),
            x.zeros_like().sum(),
            Tensor::stack(&[x.reshape([1, 3]), -x.reshape([1, 3])], 0),
        )
        .0
    };
    let expected = grad(f)(x.clone()).sum() + grad(f)(-&x).sum();
    close(&over(x.clone()), &expected);
    let second = hessian(f)(x.clone()).sum_axis(0) - hessian(f)(-&x).sum_axis(0);
    close(&grad(over)(x), &second);
}

#[test]
fn thirds_of_compiled_and_branching_functions() {
    // x^5 / 60: third derivative x^2.
    let f = jit(|x: Tensor| x.powi(5) / 60.0);
    let third = grad(|x: Tensor| grad(|x: Tensor| grad(|x: Tensor| f.call(x))(x))(x));
    close(&third(Tensor::scalar(3.0_f64)), &Tensor::scalar(9.0_f64));
    let g = |x: Tensor| {
        cond(x.gt(0.0), |x: Tensor| checkpoint(|x: Tensor| x.powi(5) / 60.0)(x), |x: Tensor| x.powi(4) / 24.0, x)
    };
    let third = jit(grad(grad(grad(g))));
    close(&third.call(Tensor::scalar(3.0_f64)), &Tensor::scalar(9.0_f64));
    close(&third.call(Tensor::scalar(-3.0_f64)), &Tensor::scalar(-3.0_f64));
    close(&vmap(grad(grad(grad(g))))(f64s(&[3.0, -3.0])), &f64s(&[9.0, -3.0]));
    // The Hessian of a compiled function, and by every pair of modes.
    let h = jit(|x: Tensor| (x.sin() * x.prod()).sum());
    let x = f64s(&[0.3, 0.8, -0.6]);
    let expected = jacfwd(jacfwd(|x: Tensor| h.call(x)))(x.clone());
    close(&hessian(|x: Tensor| h.call(x))(x.clone()), &expected);
    close(&jacrev(jacrev(|x: Tensor| h.call(x)))(x.clone()), &expected);
    close(&jit(jacrev(jacfwd(|x: Tensor| h.call(x)))).call(x.clone()), &expected);
    // Off the diagonal: d2/dx_i dx_j of (sum sin) x_0 x_1 x_2.
    let sum = 0.3_f64.sin() + 0.8_f64.sin() + (-0.6_f64).sin();
    let by_hand = sum * -0.6 + 0.3_f64.cos() * 0.3 * -0.6 + 0.8_f64.cos() * 0.8 * -0.6;
    close(&expected.i((0, 1)), &Tensor::scalar(by_hand));
}

#[test]
fn loops_with_conditions_of_examples() {
    // Halvings until at most 1, counted: each example stops at its own step.
    let halvings = |x: Tensor| {
        while_loop(
            |(_, x): (Tensor, Tensor)| x.gt(1.0),
            |(n, x): (Tensor, Tensor)| (n + 1, x * 0.5),
            (Tensor::from(0), x),
        )
    };
    let (count, rest) = vmap(halvings)(f64s(&[0.5, 1.5, 7.0, 100.0]));
    assert_eq!(count.to_vec::<i32>(), [0, 1, 3, 7]);
    close(&rest, &f64s(&[0.5, 0.75, 0.875, 0.78125]));
    let rest = |x: Tensor| halvings(x).1;
    let slope = vmap(|x: Tensor| jvp(rest, x.clone(), x.ones_like()).1);
    close(&slope(f64s(&[0.5, 1.5, 7.0, 100.0])), &f64s(&[1.0, 0.5, 0.125, 1.0 / 128.0]));
    close(&jacfwd(vmap(rest))(f64s(&[1.5, 7.0])), &f64s(&[0.5, 0.0, 0.0, 0.125]).reshape([2, 2]));
    // A limit from outside, which differs between examples.
    let to = |(limit, x): (Tensor, Tensor)| while_loop(|y: Tensor| y.lt(&limit), |y: Tensor| y * 2.0, x);
    let limits = f64s(&[10.0, 1.0, 100.0]);
    close(&vmap_axes(to, (0, None), 0)((limits.clone(), Tensor::scalar(3.0_f64))), &f64s(&[12.0, 3.0, 192.0]));
    close(&jit(vmap(to)).call((limits, f64s(&[1.0, 2.0, 60.0]))), &f64s(&[16.0, 2.0, 120.0]));
}

#[test]
fn keys_in_batches_and_loops() {
    let draw = |key: Key| key.normal([2]);
    let expected: Vec<Tensor> = Key::new(5).split_n(3).into_iter().map(draw).collect();
    let expected = Tensor::stack(&expected, 0);
    close(&jit(vmap(draw)).call(Key::new(5).split_batch(3)), &expected);
    close(&map(draw, Key::new(5).split_batch(3)), &expected);
    // A key for each example and one for all.
    let noisy = |(key, x): (Key, Tensor)| grad(|x: Tensor| (x * key.duplicate().normal([])).sum())(x);
    let each_key = vmap(noisy)((Key::new(6).split_batch(4), Tensor::ones([4])));
    let one_key = vmap_axes(noisy, (None, Some(0)), 0)((Key::new(6), Tensor::ones([4])));
    let single: Vec<f32> = Key::new(6).split_n(4).into_iter().map(|key| key.normal([]).item()).collect();
    assert_eq!(each_key.to_vec::<f32>(), single);
    assert_eq!(one_key.to_vec::<f32>(), [Key::new(6).normal([]).item::<f32>(); 4]);
}

#[test]
fn branches_may_differ_in_what_depends_on_the_operand() {
    // One branch gives a constant, or no function of a part of the operand: its derivative is zero.
    let f = |x: Tensor| cond(x.gt(0.0), |x: Tensor| x.log(), |_: Tensor| Tensor::scalar(0_f32), x);
    for (x, slope) in [(-1.0, 0.0), (2.0, 0.5)] {
        let x = Tensor::scalar(x as f32);
        assert_eq!(grad(f)(x.clone()).item::<f32>(), slope);
        assert_eq!(jit(grad(f)).call(x.clone()).item::<f32>(), slope);
        assert_eq!(jvp(f, x.clone(), Tensor::scalar(1_f32)).1.item::<f32>(), slope);
        assert_eq!(grad(|x: Tensor| grad(f)(x))(x).item::<f32>(), -slope * slope);
    }
    let slopes = vmap(grad(f))(tensor![-1.0, 2.0]);
    assert_eq!(slopes.to_vec::<f32>(), [0.0, 0.5]);
    let pick =
        |(x, y): (Tensor, Tensor)| cond(x.gt(y.clone()), |p: (Tensor, Tensor)| p.0, |p: (Tensor, Tensor)| p.1, (x, y));
    let (by_x, by_y) = grad(pick)((Tensor::from(1.0), Tensor::from(2.0)));
    assert_eq!((by_x.item::<f32>(), by_y.item::<f32>()), (0.0, 1.0));
}

/// Takes many minutes where compiling takes the cube of the chain's length.
#[test]
fn long_chains_compile() {
    let f = |x: Tensor| (0..3000).fold(x, |x, _| (x * 0.999).sin());
    let x = Tensor::from(1.0);
    close(&jit(f).call(x.clone()), &f(x.clone()));
    assert!(jit(grad(f)).call(x).item::<f32>() > 0.0);
}
