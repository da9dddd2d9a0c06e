//! Normalization beside Flax's and PyTorch's numbers, which `fixtures/norms.py` wrote down.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/norms.json")).unwrap()
}

fn x() -> Tensor {
    wave([2, 3, 2, 6], 0.7)
}

/// What a layer gives with the scripts' parameters, of those that it has.
fn run(layer: &impl Module<Tensor, Output = Tensor>) -> Tensor {
    let params = layer.init_params(Key::new(0), &x()).map(|path, leaf| {
        let frequency = if path.ends_with("gamma") { 1.3 } else { 2.1 };
        wave(leaf.shape().clone(), frequency)
    });
    layer.apply(&params, &x())
}

#[test]
fn layers_give_what_flax_and_pytorch_give() {
    let fixture = fixture();
    let (flax, torch) = (&fixture["flax"], &fixture["torch"]);
    for (name, y) in [
        ("layer_norm", run(&LayerNorm::new())),
        ("layer_norm_axes", run(&LayerNorm::new().axis([-1, 1]))),
        ("layer_norm_bare", run(&LayerNorm::new().epsilon(1e-2).center(false).scale(false))),
        ("rms_norm", run(&RmsNorm::new())),
        ("group_norm", run(&GroupNorm::new(3))),
        ("group_norm_one", run(&GroupNorm::new(1).epsilon(1e-3))),
        ("instance_norm", run(&InstanceNorm::new())),
    ] {
        assert_recorded(&y, &flax[name]);
        if !torch[name].is_null() {
            assert_recorded(&y, &torch[name]);
        }
    }
    let dense = Dense::new(3).weight_norm(1.0);
    let params = dense.init_params(Key::new(0), &wave([5, 4], 0.7));
    let params = params.with("kernel", &wave([4, 3], 2.1)).with("scale", &wave([3], 1.3)).with("bias", &wave([3], 0.3));
    assert_recorded(&dense.apply(&params, &wave([5, 4], 0.7)), &torch["weight_norm"]);
}

#[test]
fn batches_are_normalized_as_by_flax_and_pytorch() {
    let fixture = fixture();
    let (mean, var) = (wave([6], 0.4), wave([6], 0.6) + 2.0);
    let layer = BatchNorm::new().momentum(0.9);
    for (library, layer) in [("flax", layer.clone()), ("torch", layer.unbiased_variance())] {
        let expected = &fixture[library]["batch_norm"];
        let vars = layer.init(Key::new(0), &x());
        let params = vars.params.with("gamma", &wave([6], 1.3)).with("beta", &wave([6], 2.1));
        let mut vars = Vars { state: vars.state.with("mean", &mean).with("var", &var), params };
        // Two steps of training, and the layer after them.
        for (i, batch) in [x(), x().i(..1) * 2.0 + 1.0].iter().enumerate() {
            let (y, state) = layer.call(&vars, batch, Mode::Train(Key::new(1)));
            assert_recorded(&y, &expected["outputs"][i]);
            vars = vars.with_state(state);
        }
        assert_recorded(&layer.call(&vars, &x(), Mode::Eval).0, &expected["outputs"][2]);
        assert_recorded(&vars.state["mean"], &expected["mean"]);
        assert_recorded(&vars.state["var"], &expected["var"]);
    }
}

#[test]
fn derivatives_are_right() {
    let x = wave([2, 3, 4], 0.7).astype(DType::F64);
    check_module(&LayerNorm::new(), &x, 2);
    check_module(&LayerNorm::new().axis([0, 2]), &x, 1);
    check_module(&RmsNorm::new(), &x, 2);
    check_module(&GroupNorm::new(2), &x, 2);
    check_module(&InstanceNorm::new(), &x, 1);
    check_module(&Dense::new(2).weight_norm(1.0), &x, 2);
    check_module(&Conv::new(2, [2]).weight_norm(0.5).padding(Padding::Same), &x, 1);
    check_module(&Conv::new(2, [2]).weight_norm(1.0).without_bias(), &x, 1);
}

#[test]
fn batches_and_dtypes() {
    let x = wave([4, 3, 2, 6], 0.7);
    let layer = LayerNorm::new();
    check_vmap(&layer, &layer.init_params(Key::new(0), &x), &x);
    let layer = RmsNorm::new();
    check_vmap(&layer, &layer.init_params(Key::new(0), &x), &x);
    let layer = BatchNorm::batch_statistics().momentum(0.5);
    let vars = layer.init(Key::new(0), &x);
    assert_eq!(vars.state.paths(), Vec::<String>::new());
    check_vmap(&layer, &vars.params, &x);
    check_vmap(&PRelu::new(), &PRelu::new().init_params(Key::new(0), &x), &x);
    // One example alone has no batch axis; two axes may be the batch.
    let (one, layer, two) = (GroupNorm::new(3).batch_axes(0), GroupNorm::new(3), GroupNorm::new(3).batch_axes(2));
    let params = layer.init_params(Key::new(0), &x);
    check_vmap(&one, &params, &x);
    let mapped = vmap(|x: Tensor| one.apply(&params, &x))(x.clone());
    assert_near(&mapped, &layer.apply(&params, &x), 1e-5);
    let places = x.reshape([12, 2, 6]);
    assert_near(&two.apply(&params, &x).reshape([12, 2, 6]), &layer.apply(&params, &places), 1e-5);
    // Empty ones; half precision with parameters in f32, and in its own.
    assert_eq!(layer.apply(&params, &Tensor::zeros([0, 3, 6])).shape().dims(), [0, 3, 6]);
    let far = (Key::new(1).normal([64, 32]) * 16.0 + 512.0).astype(DType::F16);
    for layer in [LayerNorm::new(), LayerNorm::new().scale(false).center(false)] {
        let params = layer.init_params(Key::new(0), &far);
        let y = layer.apply(&params, &far);
        assert_eq!(y.dtype(), if params.is_empty() { DType::F16 } else { DType::F32 });
        assert!((y.astype(DType::F32).var().item::<f64>() - 1.0).abs() < 1e-2);
        let halves = params.map(|_, leaf| leaf.astype(DType::F16));
        assert_eq!(layer.apply(&halves, &far).dtype(), DType::F16);
    }
    let layer = BatchNorm::batch_statistics().with_gamma_init(constant(2));
    let params = layer.init_params(Key::new(0), &far);
    assert_eq!((params["gamma"].i(0).item::<f32>(), layer.apply(&params, &far).dtype()), (2.0, DType::F32));
    let halves = params.map(|_, leaf| leaf.astype(DType::F16));
    let y = layer.apply(&halves, &far);
    assert!(y.dtype() == DType::F16 && (y.astype(DType::F32).std().item::<f64>() - 2.0).abs() < 1e-2);
    let y = RmsNorm::new().scale(false).apply(&Params::empty(), &tensor![1, -1]);
    assert_eq!((y.dtype(), y.to_vec::<f32>()[1].round()), (DType::F32, -1.0));
}

#[test]
fn weights_are_normalized_for_the_first_inputs() {
    let x = Key::new(1).normal([4, 7, 6, 3]) * 5.0 - 2.0;
    let axes = [0, 1, 2];
    for (conv, scale) in [
        (Conv::new(5, [3, 2]).weight_norm(0.5), 0.5),
        (Conv::transposed(5, [3, 3]).strides([2, 2]).weight_norm(1.0), 1.0),
        (Conv::new(6, [3, 3]).groups(3).padding(Padding::Same).weight_norm(2.0), 2.0),
    ] {
        let params = conv.init_params(Key::new(0), &x);
        let y = conv.apply(&params, &x);
        assert_near(&y.mean_axis(axes), &Tensor::zeros([y.dim(-1)]), 1e-4);
        assert_near(&y.std_axis(axes), &Tensor::full([y.dim(-1)], scale, DType::F32), 1e-3);
        // The length of the kernel's directions does not count.
        let longer = params.with("kernel", &(&params["kernel"] * 3.0));
        assert_near(&conv.apply(&longer, &x), &y, 1e-4);
    }
    // Each layer of a net sees what those before give, also when the making is compiled.
    let net = sequential![Dense::new(8).weight_norm(1.0), tanh, Dense::new(3).weight_norm(1.0)];
    let x = Key::new(1).normal([32, 4]) * 9.0 + 1.0;
    let params = jit(|x: Tensor| net.init_params(Key::new(0), &x)).call(x.clone());
    let y = net.apply(&params, &x);
    assert_near(&y.std_axis(0), &Tensor::ones([3]), 1e-3);
    assert_near(&y.mean_axis(0), &Tensor::zeros([3]), 1e-4);
    // In another layout, channels are along other axes.
    let first = Conv::new(5, [3, 2]).dimension_numbers("NCHW", "OIHW", "NCHW").weight_norm(1.0);
    let x = Key::new(1).normal([4, 3, 7, 6]) + 2.0;
    let params = first.init_params(Key::new(0), &x);
    assert_eq!(params["scale"].shape().dims(), [5]);
    assert_near(&first.apply(&params, &x).std_axis([0, 2, 3]), &Tensor::ones([5]), 1e-3);
}

#[test]
fn what_does_not_fit_is_refused() {
    let init = |layer: GroupNorm, x: &Tensor| message(|| layer.init_params(Key::new(0), x));
    let x = Tensor::zeros([2, 6]);
    assert!(init(GroupNorm::new(4), &x).contains("4 groups must divide the 6 channels"));
    assert!(init(GroupNorm::new(0), &x).contains("0 groups"));
    let rank = init(InstanceNorm::new(), &Tensor::zeros([6]));
    assert!(rank.contains("InstanceNorm") && rank.contains("batch_axes") && rank.contains("[6]"), "{rank}");
    assert!(message(|| LayerNorm::new().init_params(Key::new(0), &Tensor::zeros([]))).contains("LayerNorm"));
    assert!(message(|| RmsNorm::new().axis([0, -2]).init_params(Key::new(0), &x)).contains("once"));
    let layer = LayerNorm::new();
    let params = layer.init_params(Key::new(0), &x);
    assert!(message(|| layer.apply(&params, &Tensor::zeros([2, 5]))).contains("gamma"));
}
