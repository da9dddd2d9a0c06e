//! Regularized, reparametrized and batched modules: alone, as parts, nested, and across loops.

use jaxnet_nn::prelude::*;

fn loss_of<M: Module<Tensor, Output = Tensor>>(net: &M) -> Parametrized<Tensor, Tensor> {
    let net = net.clone();
    parametrized("loss", move |cx, x: &Tensor| cx.call(&net, x).square().mean())
}

fn scaled() -> Parametrized<Tensor, Tensor> {
    parametrized("learnable_scale", |cx, p: &Tensor| p * cx.param("scale", [], constant(2)))
}

fn half_squares(params: &Params) -> f32 {
    params.leaves().iter().map(|leaf| leaf.square().sum().item::<f32>() * 0.5).sum()
}

fn close(a: f32, b: f32) {
    assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} is not {b}");
}

fn x() -> Tensor {
    tensor![[1.0, -2.0, 0.5], [0.1, 3.0, 1.0]]
}

#[test]
fn penalties_are_of_every_parameter_once() {
    let layer = Dense::new(3).with_bias_init(normal(1.0));
    // The same layer three times, and a parameter of the loss itself.
    let loss = {
        let net = sequential![layer.clone(), layer.clone(), sequential![tanh, layer.clone()]];
        parametrized("loss", move |cx, x: &Tensor| cx.call(&net, x).mean() * cx.param("weight", [], constant(3)))
    };
    let regularized = L2Regularized::new(loss.clone(), 0.1);
    let params = regularized.init_params(Key::new(0), &x());
    assert_eq!(params.paths(), ["model.sequential.dense.kernel", "model.sequential.dense.bias", "model.weight"]);
    let plain = loss.apply(&params.at("model"), &x()).item::<f32>();
    close(regularized.apply(&params, &x()).item(), plain + 0.1 * half_squares(&params));
    let gradient = grad(|p: Params| regularized.apply(&p, &x()))(params.clone());
    let of_plain = grad(|p: Params| loss.apply(&p, &x()))(params.at("model"));
    for ((path, g), ((_, h), (_, p))) in gradient.iter().zip(of_plain.iter().zip(params.iter())) {
        assert!(g.allclose(&(h + &p * 0.1), 1e-5, 1e-6), "{path}");
    }
    // Without parameters there is nothing to add.
    let plain = Regularized::new(|x: &Tensor| x.sum(), |p: &Tensor| p.square());
    assert_eq!(plain.apply(&Params::empty(), &tensor![1.0, 2.0]).item::<f32>(), 3.0);
}

#[test]
fn penalties_reach_into_loops_batches_and_checkpoints() {
    let cell = GruCell::new(3);
    let rnn = loss_of(&Rnn::new(cell.clone()));
    let sequences = Tensor::ones([2, 4, 5]);
    let regularized = L2Regularized::new(rnn.clone(), 1.0);
    let params = regularized.init_params(Key::new(0), &sequences);
    let plain = rnn.apply(&params.at("model"), &sequences).item::<f32>();
    close(regularized.apply(&params, &sequences).item(), plain + half_squares(&params));

    let inner = Dense::new(2);
    let through = {
        let inner = inner.clone();
        parametrized("through", move |cx, x: &Tensor| {
            let a = cx.vmap(&inner, x.clone(), 0);
            let b = cx.checkpoint(&inner, x.clone());
            a + b + cx.call(&inner, x)
        })
    };
    let loss = loss_of(&through);
    let regularized = L2Regularized::new(loss.clone(), 1.0);
    let params = regularized.init_params(Key::new(0), &x());
    assert_eq!(params.paths().len(), 2);
    let plain = loss.apply(&params.at("model"), &x()).item::<f32>();
    close(regularized.apply(&params, &x()).item(), plain + half_squares(&params));
    // The gradient is there, compiled or not.
    let gradient = grad(|p: Params| regularized.apply(&p, &x()))(params.clone());
    let fast = jit(|p: Params| grad(|p: Params| regularized.apply(&p, &x()))(p)).call(params);
    for ((path, a), (_, b)) in gradient.iter().zip(fast.iter()) {
        assert!(a.allclose(&b, 1e-5, 1e-6), "{path}");
    }
}

#[test]
fn penalties_are_parts_and_nest() {
    let (a, b) = (Dense::new(3), Dense::new(2));
    let part = Regularized::new(loss_of(&a), |p: &Tensor| p.abs());
    let net = {
        let (part, b) = (part.clone(), b.clone());
        parametrized("net", move |cx, x: &Tensor| cx.call(&part, x) + cx.call(&b, x).sum())
    };
    let whole = L2Regularized::new(net.clone(), 1.0);
    let params = whole.init_params(Key::new(0), &x());
    assert_eq!(
        params.paths(),
        [
            "model.regularized.model.dense.kernel",
            "model.regularized.model.dense.bias",
            "model.dense.kernel",
            "model.dense.bias"
        ]
    );
    let absolute: f32 = params.at("model.regularized").leaves().iter().map(|p| p.abs().sum().item::<f32>()).sum();
    let plain = loss_of(&a).apply(&params.at("model.regularized.model"), &x()).item::<f32>()
        + b.apply(&params.at("model.dense"), &x()).sum().item::<f32>();
    close(whole.apply(&params, &x()).item(), plain + absolute + half_squares(&params));
    // Twice around one loss counts twice.
    let twice = L2Regularized::new(L2Regularized::new(loss_of(&a), 1.0), 1.0);
    let params = twice.init_params(Key::new(0), &x());
    assert_eq!(params.paths()[0], "model.model.dense.kernel");
    let plain = loss_of(&a).apply(&params.at("model.model"), &x()).item::<f32>();
    close(twice.apply(&params, &x()).item(), plain + 2.0 * half_squares(&params));
}

#[test]
fn every_parameter_is_replaced() {
    let net = sequential![Dense::new(4).with_bias_init(normal(1.0)), relu, sequential![Dense::new(2)]];
    let with_scales = Reparametrized::new(net.clone(), scaled);
    let params = with_scales.init_params(Key::new(0), &x());
    assert_eq!(
        params.paths(),
        [
            "model.dense.kernel",
            "model.dense.bias",
            "model.sequential.dense.kernel",
            "model.sequential.dense.bias",
            "learnable_scale0.scale",
            "learnable_scale1.scale",
            "learnable_scale2.scale",
            "learnable_scale3.scale"
        ]
    );
    let params = params.with("learnable_scale2.scale", &Tensor::scalar(-3.0_f32));
    let expected = params.at("model").map(|path, p| if path == "sequential.dense.kernel" { p * -3.0 } else { p * 2.0 });
    let y = with_scales.apply(&params, &x());
    assert!(y.allclose(net.apply(&expected, &x()), 1e-5, 1e-6));
    let gradient = grad(|p: Params| with_scales.apply(&p, &x()).sum())(params);
    assert!(gradient["learnable_scale3.scale"].ne(0.0).item::<bool>());
}

#[test]
fn the_model_may_start_as_it_would() {
    let net = Dense::new(4).with_bias_init(normal(1.0));
    let halved = Reparametrized::new(net.clone(), scaled).with_init(|p| p * 0.5);
    let params = halved.init_params(Key::new(0), &x());
    let plain = net.init_params(Key::new(0), &x());
    assert_eq!((&params["model.kernel"] * 2.0).to_vec::<f32>(), plain["kernel"].to_vec::<f32>());
    // Nested: the inner's is undone first.
    let nested =
        Reparametrized::new(Reparametrized::new(net.clone(), || |p: &Tensor| p + 1.0).with_init(|p| p - 1.0), || {
            |p: &Tensor| p * 4.0
        })
        .with_init(|p| p / 4.0);
    let params = nested.init_params(Key::new(0), &x());
    assert_eq!(params.paths(), ["model.model.kernel", "model.model.bias"]);
    assert!(params["model.model.kernel"].allclose((&plain["kernel"] - 1.0) / 4.0, 1e-5, 1e-6));
    assert!(nested.apply(&params, &x()).allclose(net.apply(&plain, &x()), 1e-5, 1e-5));
}

#[test]
fn factories_may_share_one_module() {
    let scale = scaled();
    let net = sequential![Dense::new(4), Dense::new(2)];
    let shared = Reparametrized::new(net.clone(), move || scale.clone());
    let params = shared.init_params(Key::new(0), &x());
    assert_eq!(params.paths()[4..], ["learnable_scale.scale"]);
    let expected = params.at("model").map(|_, p| p * 2.0);
    assert!(shared.apply(&params, &x()).allclose(net.apply(&expected, &x()), 1e-5, 1e-6));
}

#[test]
fn replaced_parts_stand_beside_others() {
    let shared = Dense::new(3).without_bias();
    let part = Reparametrized::new(sequential![shared.clone(), tanh], || |p: &Tensor| p * 2.0);
    let net = sequential![part.clone(), shared.clone(), part.clone()];
    let params = net.init_params(Key::new(0), &x());
    // Shared with the plain use, which has the parameter as it is.
    assert_eq!(params.paths(), ["reparametrized.model.dense.kernel"]);
    let kernel = params["reparametrized.model.dense.kernel"].clone();
    let doubled = |x: &Tensor| x.matmul(&kernel * 2.0).tanh();
    let expected = doubled(&doubled(&x()).matmul(&kernel));
    assert!(net.apply(&params, &x()).allclose(&expected, 1e-5, 1e-6));
}

#[test]
fn replacement_reaches_into_loops() {
    // The scales are told apart below, so that each must reach the parameter that it belongs to.
    let inner = Dense::new(3).without_bias();
    let cell = {
        let inner = inner.clone();
        parametrized("cell", move |cx, (carry, x): &(Tensor, Tensor)| {
            let a = cx.param("a", [3], normal(1.0));
            let h = cx.call(&inner, carry);
            let b = cx.param("b", [3], normal(1.0));
            let next = (h + x * a + b).tanh();
            (next.clone(), next)
        })
    };
    let net = {
        let cell = cell.clone();
        parametrized("net", move |cx, x: &Tensor| cx.scan(&cell, Tensor::zeros([3]), x.clone()).1)
    };
    let with_scales = Reparametrized::new(net.clone(), scaled);
    let params = with_scales.init_params(Key::new(0), &x());
    let names = ["model.cell.a", "model.cell.dense.kernel", "model.cell.b"];
    let scales = ["learnable_scale0.scale", "learnable_scale1.scale", "learnable_scale2.scale"];
    assert_eq!(params.paths(), [names, scales].concat());
    let params = params.with(scales[1], &Tensor::scalar(0.5_f32)).with(scales[2], &Tensor::scalar(-1.0_f32));
    let expected = params.at("model").map(|path, p| match path {
        "cell.a" => p * 2.0,
        "cell.b" => -p,
        _ => p * 0.5,
    });
    assert!(with_scales.apply(&params, &x()).allclose(net.apply(&expected, &x()), 1e-5, 1e-6));
    let gradient = grad(|p: Params| with_scales.apply(&p, &x()).sum())(params.clone());
    assert!(gradient.leaves().iter().all(|g| g.ne(0.0).any().item::<bool>()));
    // Penalties of what is inside, outside and in between.
    let inside = Reparametrized::new(L2Regularized::new(loss_of(&net), 1.0), scaled);
    let outside = L2Regularized::new(Reparametrized::new(loss_of(&net), scaled), 1.0);
    let model = |params: &Params, place: &str| params.at(place).map(|_, p| p * 2.0);
    let params = inside.init_params(Key::new(0), &x());
    let doubled = model(&params, "model.model");
    let plain = loss_of(&net).apply(&doubled, &x()).item::<f32>();
    close(inside.apply(&params, &x()).item(), plain + half_squares(&doubled));
    let params = outside.init_params(Key::new(0), &x());
    let plain = loss_of(&net).apply(&model(&params, "model.model"), &x()).item::<f32>();
    close(outside.apply(&params, &x()).item(), plain + half_squares(&params));
}

#[test]
fn replacements_nest() {
    let net = Dense::new(2).with_bias_init(normal(1.0));
    let nested = Reparametrized::new(Reparametrized::new(net.clone(), scaled), || |p: &Tensor| p + 1.0);
    let params = nested.init_params(Key::new(0), &x());
    assert_eq!(
        params.paths(),
        ["model.model.kernel", "model.model.bias", "model.learnable_scale0.scale", "model.learnable_scale1.scale"]
    );
    // The outer replaces the inner's scales, too.
    let expected = params.at("model.model").map(|_, p| (p + 1.0) * 3.0);
    assert!(nested.apply(&params, &x()).allclose(net.apply(&expected, &x()), 1e-5, 1e-6));
}

#[test]
fn batches_share_parameters() {
    let one = sequential![|x: &Tensor| x - x.mean(), Dense::new(4), |x: &Tensor| x.cumsum(0)];
    for axis in [0, 1, -1] {
        let net = Batched::new(one.clone(), axis);
        let x = x();
        let params = net.init_params(Key::new(0), &x);
        assert_eq!(params.paths(), ["model.dense.kernel", "model.dense.bias"]);
        let y = net.apply(&params, &x);
        let size = x.dim(axis);
        assert_eq!(y.shape().dims(), [size, 4]);
        for i in 0..size {
            let example = x.move_axis(axis, 0).i(i as isize);
            assert!(y.i(i as isize).allclose(one.apply(&params.at("model"), &example), 1e-5, 1e-6));
        }
    }
    // Nested, in a sequence, with its gradient; inputs that are trees.
    let net = sequential![Batched::new(Batched::new(one.clone(), 0), 0), flatten, Dense::new(1)];
    let x = Tensor::ones([2, 3, 5]);
    let params = net.init_params(Key::new(0), &x);
    assert_eq!(params.paths()[0], "batched.model.model.dense.kernel");
    assert_eq!(net.apply(&params, &x).shape().dims(), [2, 1]);
    let gradient = grad(|p: Params| net.apply(&p, &x).sum())(params.clone());
    assert_eq!(gradient.paths(), params.paths());
    let pair = Batched::new(
        parametrized("pair", |cx, (a, b): &(Tensor, Tensor)| (a * cx.param("w", [], constant(2)), a + b)),
        0,
    );
    let input = (tensor![1.0, 2.0], tensor![10.0, 20.0]);
    let (a, b) = pair.apply(&pair.init_params(Key::new(0), &input), &input);
    assert_eq!((a.to_vec::<f32>(), b.to_vec::<f32>()), (vec![2.0, 4.0], vec![11.0, 22.0]));
    // An empty batch, and one that has state.
    assert_eq!(
        Batched::new(one.clone(), 0).apply(&params.at("batched.model"), &Tensor::zeros([0, 5])).shape().dims(),
        [0, 4]
    );
    let error = try_catch(|| Batched::new(BatchNorm::new(), 0).init(Key::new(0), &Tensor::zeros([2, 5]))).unwrap_err();
    assert!(error.to_string().contains("state"), "{error}");
}

#[test]
fn all_together() {
    let net = Batched::new(Reparametrized::new(sequential![Dense::new(3), tanh], scaled), 0);
    let loss = L2Regularized::new(loss_of(&sequential![net.clone(), Dense::new(1)]), 0.5);
    let params = loss.init_params(Key::new(0), &x());
    let values = loss.apply(&params, &x()).item::<f32>();
    let model = params.at("model.sequential");
    let dense = model.at("batched.model.model").map(|_, p| p * 2.0);
    let hidden = sequential![Dense::new(3), tanh].apply(&dense, &x());
    let plain = Dense::new(1).apply(&model.at("dense"), &hidden).square().mean().item::<f32>();
    close(values, plain + 0.5 * half_squares(&params));
    // Parts lend and borrow as everywhere.
    let y = net.apply_from(&[loss.reuse(&params)], &x());
    assert!(y.allclose(&hidden, 1e-5, 1e-6));
}

#[test]
fn state_passes_through() {
    let net = sequential![Dense::new(3), BatchNorm::new(), |x: &Tensor| x.square().mean()];
    let loss = L2Regularized::new(Reparametrized::new(net, scaled), 0.1);
    let vars = loss.init(Key::new(0), &x());
    assert_eq!(vars.state.paths(), ["model.model.batch_norm.mean", "model.model.batch_norm.var"]);
    let (_, state) = loss.call(&vars, &x(), Mode::Train(Key::new(1)));
    assert_ne!(state.leaves()[0].to_vec::<f32>(), vars.state.leaves()[0].to_vec::<f32>());
}
