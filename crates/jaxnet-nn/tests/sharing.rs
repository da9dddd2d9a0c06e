//! Which uses of a module have the same parameters, and where those are.

use jaxnet_nn::prelude::*;

const KERNEL: &str = "dense.kernel";

fn parameter(name: &'static str) -> Parametrized<(), Tensor> {
    parametrized(name, |cx, (): &()| cx.param("p", [2], normal(1.0)))
}

#[test]
fn in_sequence() {
    let layer = Dense::new(3);
    let twice = sequential![layer.clone(), relu, layer.clone()];
    let x = Tensor::ones([2, 3]);
    let params = twice.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), [KERNEL, "dense.bias"]);
    let one = params.at("dense");
    let expected = layer.apply(&one, &relu(&layer.apply(&one, &x)));
    assert_eq!(twice.apply(&params, &x).to_vec::<f32>(), expected.to_vec::<f32>());
}

#[test]
fn within_a_function() {
    let layer = Dense::new(3);
    let net = parametrized("net", move |cx, x: &Tensor| (cx.call(&layer, x), cx.call(&layer.clone(), x)));
    let x = Tensor::ones([2, 3]);
    let params = net.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), [KERNEL, "dense.bias"]);
    let (a, b) = net.apply(&params, &x);
    assert_eq!(a.to_vec::<f32>(), b.to_vec::<f32>());
}

#[test]
fn fresh_layers_do_not() {
    let layer = Dense::new(3);
    let net = sequential![layer.clone(), layer.fresh(), layer.clone().named("other").fresh()];
    let params = net.init_params(Key::new(0), &Tensor::ones([2, 3]));
    assert_eq!(
        params.paths(),
        ["dense0.kernel", "dense0.bias", "dense1.kernel", "dense1.bias", "other.kernel", "other.bias"]
    );
    let conv = Conv::new(3, [1]);
    let net = sequential![conv.clone(), conv.fresh(), conv, BatchNorm::new().fresh()];
    assert_eq!(net.init(Key::new(0), &Tensor::ones([2, 3])).params.paths().len(), 6);
}

#[test]
fn across_parents_they_are_where_first_used() {
    let sub = Dense::new(3);
    let a = sequential![sub.clone(), relu];
    let b = sequential![sub, |x: &Tensor| x.sum()];
    let both = parametrized("net", move |cx, x: &Tensor| (cx.call(&a, x), cx.call(&b, x)));
    let x = Tensor::ones([2, 3]);
    let params = both.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), ["sequential0.dense.kernel", "sequential0.dense.bias"]);
    assert!(params.at("sequential1").is_empty());
    let (y, total) = both.apply(&params, &x);
    assert_eq!(y.shape().dims(), [2, 3]);
    let dense = params.at("sequential0.dense");
    assert_eq!(total.item::<f32>(), Dense::new(3).apply(&dense, &x).sum().item::<f32>());
}

#[test]
fn first_inside_then_directly() {
    let p = Parameter::new(|key| key.normal([2]));
    let wrapped = {
        let p = p.clone();
        parametrized("wrapped", move |cx, (): &()| cx.call(&p, &()))
    };
    let net = parametrized("net", move |cx, (): &()| (cx.call(&wrapped, &()), cx.call(&p, &())));
    let params = net.init_params(Key::new(0), &());
    assert_eq!(params.paths(), ["wrapped.parameter"]);
    let (a, b) = net.apply(&params, &());
    assert_eq!(a.to_vec::<f32>(), b.to_vec::<f32>());
}

#[test]
fn first_directly_then_deep_inside() {
    let p = parameter("shared");
    let mut deep = {
        let p = p.clone();
        parametrized("level", move |cx, (): &()| cx.call(&p, &()) * cx.param("scale", [], constant(2)))
    };
    for _ in 0..4 {
        let inner = deep.clone();
        deep = parametrized("level", move |cx, (): &()| cx.call(&inner, &()));
    }
    let net = parametrized("net", move |cx, (): &()| {
        let first = cx.call(&p, &());
        (first, cx.call(&deep, &()))
    });
    let params = net.init_params(Key::new(0), &());
    assert_eq!(params.paths(), ["shared.p", "level.level.level.level.level.scale"]);
    let (a, b) = net.apply(&params, &());
    assert_eq!((a * 2.0).to_vec::<f32>(), b.to_vec::<f32>());
}

#[test]
fn nets_of_one_layer_have_parameters_of_their_own() {
    let layer = Dense::new(2);
    let (a, b) = (sequential![layer.clone(), relu], sequential![layer, tanh]);
    let x = Tensor::ones([1, 2]);
    let (p, q) = (a.init_params(Key::new(0), &x), b.init_params(Key::new(1), &x));
    assert_ne!(p[KERNEL].to_vec::<f32>(), q[KERNEL].to_vec::<f32>());
    assert!(a.apply(&q, &x).allclose(relu(&b.apply(&q, &x).atanh()), 1e-4, 1e-5));
}

#[test]
fn gradients_of_all_uses_add_up() {
    let layer = Dense::new(2).without_bias();
    let twice = sequential![layer.clone(), layer.clone()];
    let x = tensor![[1.0, 2.0]];
    let params = twice.init_params(Key::new(0), &x);
    let gradient = grad(|p: Params| twice.apply(&p, &x).sum())(params.clone());
    let kernel = params[KERNEL].clone();
    let expected = grad(|k: Tensor| x.matmul(&k).matmul(&k).sum())(kernel);
    assert!(gradient[KERNEL].allclose(&expected, 1e-5, 1e-6));
}

#[test]
fn inside_and_outside_of_loops() {
    // The loop's body uses the layer first; what comes after shares it, and the other way round.
    let layer = Dense::new(2);
    for loop_first in [true, false] {
        let layer = layer.clone();
        let body = {
            let layer = layer.clone();
            parametrized("body", move |cx, (carry, x): &(Tensor, Tensor)| {
                let next = cx.call(&layer, carry).tanh() + x * cx.param("scale", [], ones());
                (next.clone(), next)
            })
        };
        let net = parametrized("net", move |cx, x: &Tensor| {
            let before = if loop_first { None } else { Some(cx.call(&layer, &Tensor::ones([2]))) };
            let (last, _) = cx.scan(&body, Tensor::zeros([2]), x.clone());
            let after = cx.call(&layer, &last);
            before.map_or(after.clone(), |before| before + after)
        });
        let x = Tensor::ones([3, 2]);
        let params = net.init_params(Key::new(0), &x);
        let expected = if loop_first {
            ["body.dense.kernel", "body.dense.bias", "body.scale"]
        } else {
            ["dense.kernel", "dense.bias", "body.scale"]
        };
        assert_eq!(params.paths(), expected);
        let y = net.apply(&params, &x);
        let dense = |x: &Tensor| Dense::new(2).apply(&params.at(expected[0].rsplit_once('.').unwrap().0), x);
        let mut carry = Tensor::zeros([2]);
        for _ in 0..3 {
            carry = dense(&carry).tanh() + 1.0;
        }
        let mut expected = dense(&carry);
        if !loop_first {
            expected = expected + dense(&Tensor::ones([2]));
        }
        assert!(y.allclose(&expected, 1e-5, 1e-6), "{loop_first}");
        let gradient = grad(|p: Params| net.apply(&p, &x).sum())(params.clone());
        assert!(gradient.leaves().iter().all(|leaf| leaf.ne(0.0).any().item::<bool>()));
    }
}

#[test]
fn state_is_shared_as_parameters_are() {
    let counter = parametrized("counter", |cx, x: &Tensor| {
        let count = cx.state("count", || Tensor::scalar(0.0_f32));
        cx.set_state("count", &(&count + 1.0));
        x + count
    });
    let net = sequential![counter.clone(), counter.clone()];
    let x = Tensor::zeros([]);
    let vars = net.init(Key::new(0), &x);
    assert_eq!(vars.state.paths(), ["counter.count"]);
    let vars = vars.with_state(vars.state.map(|_, leaf| leaf.zeros_like()));
    let (y, state) = net.call(&vars, &x, Mode::Eval);
    assert_eq!(y.item::<f32>(), 1.0);
    assert_eq!(state["counter.count"].item::<f32>(), 2.0);
    let step = jit(|vars: Vars| {
        let (y, state) = net.call(&vars, &Tensor::zeros([]), Mode::Eval);
        (vars.with_state(state), y)
    });
    let (vars, _) = step.call(vars.with_state(state));
    assert_eq!(vars.state["counter.count"].item::<f32>(), 4.0);
    assert!(net.try_init_params(Key::new(0), &x).unwrap_err().to_string().contains("init"));

    // Through two loops, and once between them.
    let body = {
        let counter = counter.clone();
        parametrized("body", move |cx, (carry, x): &(Tensor, Tensor)| {
            let y = cx.call(&counter, x);
            (carry + &y, y)
        })
    };
    let net = parametrized("net", move |cx, x: &Tensor| {
        let (_, a) = cx.scan(&body, Tensor::scalar(0.0_f32), x.clone());
        let (_, between) = cx.call(&body, &(Tensor::scalar(0.0_f32), Tensor::scalar(0.0_f32)));
        let (_, b) = cx.scan(&body, Tensor::scalar(0.0_f32), x.clone());
        (a, between, b)
    });
    let x = Tensor::zeros([3]);
    let vars = net.init(Key::new(0), &x);
    assert_eq!(vars.state.paths(), ["body.counter.count"]);
    let vars = vars.with_state(vars.state.map(|_, leaf| leaf.zeros_like()));
    let ((a, between, b), state) = net.call(&vars, &x, Mode::Eval);
    assert_eq!(a.to_vec::<f32>(), [0.0, 1.0, 2.0]);
    assert_eq!(between.item::<f32>(), 3.0);
    assert_eq!(b.to_vec::<f32>(), [4.0, 5.0, 6.0]);
    assert_eq!(state["body.counter.count"].item::<f32>(), 7.0);
}
