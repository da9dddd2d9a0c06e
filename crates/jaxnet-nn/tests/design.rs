//! The calls that the design promises, as written there. (Optimizers are another crate's.)

use jaxnet_nn::prelude::*;

fn dense(out_dim: usize) -> Parametrized<Tensor, Tensor> {
    parametrized("dense", move |cx, x: &Tensor| {
        let kernel = cx.param("kernel", [x.dim(-1), out_dim], glorot_normal());
        let bias = cx.param("bias", [out_dim], normal(1e-2));
        x.matmul(&kernel) + bias
    })
}

fn learnable_scale() -> Parametrized<Tensor, Tensor> {
    parametrized("learnable_scale", |cx, p: &Tensor| p * cx.param("scale", [], ones()))
}

#[test]
fn a_model_is_a_value() {
    let net = sequential![Conv::new(2, [3, 3]), relu, flatten, Dense::new(4), log_softmax];

    let inputs = Tensor::zeros([3, 5, 5, 1]);
    let params = net.init_params(Key::new(0), &inputs);
    assert_eq!(params["dense.bias"].shape().dims(), [4]);
    let output = net.apply(&params, &inputs);
    let fast = jit(|(p, x): (Params, Tensor)| net.apply(&p, &x));
    let compiled = fast.call((params.clone(), inputs.clone()));
    assert!(compiled.allclose(&output, 1e-5, 1e-6));
    let text = fast.program(&(params.clone(), inputs.clone())).to_string();
    assert!(text.contains("conv_general_dilated"), "{text}");
    assert_eq!(params.paths(), ["conv.kernel", "conv.bias", "dense.kernel", "dense.bias"]);
}

#[test]
fn transforms_nest_around_models() {
    let net = sequential![dense(3), tanh, dense(4), log_softmax];
    let inputs = Key::new(1).normal([6, 5]);
    let targets = Tensor::range(6).modulo(4).one_hot(4);
    let params = net.init_params(Key::new(0), &inputs);
    let batch = (inputs.clone(), targets);

    let model = net.clone();
    let loss = parametrized("loss", move |cx, (x, targets): &(Tensor, Tensor)| -(cx.call(&model, x) * targets).mean());
    let loss_params = loss.init_params(Key::new(0), &batch);
    let grads = grad(|p: Params| loss.apply(&p, &batch))(loss_params.clone());
    let (l, again) = value_and_grad(|p: Params| loss.apply(&p, &batch))(loss_params.clone());
    assert_eq!(grads.paths(), loss_params.paths());
    assert!(l.item::<f32>() > 0.0);
    for (a, b) in grads.leaves().iter().zip(again.leaves()) {
        assert!(a.allclose(&b, 1e-6, 1e-7) && a.is_finite().all().item::<bool>());
    }
    // Per example: as a loop over the examples.
    let per_example = vmap(|x: Tensor| grad(|p: Params| net.apply(&p, &x).mean())(params.clone()))(inputs.clone());
    assert_eq!(per_example["dense0.kernel"].shape().dims(), [6, 5, 3]);
    let third = inputs.i(2);
    let one = grad(|p: Params| net.apply(&p, &third).mean())(params.clone());
    assert!(per_example["dense0.kernel"].i(2).allclose(&one["dense0.kernel"], 1e-4, 1e-6));
    let curvature = jit(hessian(|x: Tensor| (&x * &x).sum()));
    assert!(curvature.call(tensor![1.0, 2.0]).allclose(Tensor::eye(2) * 2.0, 1e-6, 0.0));

    let regularized = L2Regularized::new(loss.clone(), 0.1);
    let penalized = regularized.apply_from(&[loss.reuse(&loss_params)], &batch);
    let squares: f32 = loss_params.leaves().iter().map(|p| p.square().sum().item::<f32>()).sum();
    assert!((penalized.item::<f32>() - l.item::<f32>() - 0.05 * squares).abs() < 1e-4);
    let scaled = Reparametrized::new(net.clone(), learnable_scale);
    let scaled_params = scaled.init_params(Key::new(0), &inputs);
    assert_eq!(scaled_params.paths().len(), 8);

    let example = batch.clone();
    let predictions = net.apply_from(&[loss.shaped(&example).reuse(&loss_params)], &inputs);
    assert_eq!(predictions.to_vec::<f32>(), net.apply(&loss_params.at("sequential"), &inputs).to_vec::<f32>());
}

#[test]
fn randomness_and_state_go_in_and_come_out() {
    let net = sequential![Dense::new(8), BatchNorm::new(), relu, Dropout::new(0.5), Dense::new(1)];
    let inputs = Key::new(1).normal([16, 3]);
    let vars = net.init(Key::new(0), &inputs);
    let (y, new_state) = net.call(&vars, &inputs, Mode::Train(Key::new(2)));
    let (again, _) = net.call(&vars, &inputs, Mode::Train(Key::new(2)));
    assert_eq!(y.to_vec::<f32>(), again.to_vec::<f32>());
    assert_ne!(y.to_vec::<f32>(), net.call(&vars, &inputs, Mode::Train(Key::new(3))).0.to_vec::<f32>());
    assert_eq!(new_state.paths(), vars.state.paths());
    let vars = vars.with_state(new_state);
    let y = net.call(&vars, &inputs, Mode::Eval).0;
    assert_eq!(y.to_vec::<f32>(), net.call(&vars, &inputs, Mode::Eval).0.to_vec::<f32>());
    // Where state is needed, the error names the call that has it.
    let error = net.try_apply(&vars.params, &inputs).unwrap_err().to_string();
    assert!(error.contains("call"), "{error}");
    // All of it in one file.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.safetensors");
    save(&vars, &path).unwrap();
    let loaded: Vars = load(&path).unwrap();
    assert_eq!(net.call(&loaded, &inputs, Mode::Eval).0.to_vec::<f32>(), y.to_vec::<f32>());
    let inputs = inputs.to(&Device::cpu()).unwrap();
    assert_eq!(net.call(&loaded, &inputs, Mode::Eval).0.to_vec::<f32>(), y.to_vec::<f32>());
}
