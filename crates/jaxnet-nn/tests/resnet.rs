//! Residual nets beside torchvision's numbers, which `fixtures/resnet.py` wrote down.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use jaxnet_nn::{Source, StateDict};
use jaxnet_tensor::Step;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/resnet.json")).unwrap()
}

/// The script's numbers that look random: a hash of the name and the place.
fn drawn(name: &str, size: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().zip(1_u32..).map(|(byte, i)| i * u32::from(byte)).sum::<u32>().wrapping_mul(40503);
    (0..size as u32).map(move |i| {
        let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(seed);
        h = (h ^ (h >> 16)).wrapping_mul(2_246_822_519);
        h = (h ^ (h >> 13)).wrapping_mul(3_266_489_917);
        f64::from(h ^ (h >> 16)) / f64::from(1_u32 << 31) - 1.0
    })
}

/// The script's weights, as a file of PyTorch has them.
fn weights(name: &str, shape: &[usize]) -> Tensor {
    let change: &dyn Fn(f64) -> f64 = if shape.len() > 1 {
        let scale = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        &move |u| u * scale
    } else if name.ends_with("running_var") {
        &|u| 1.0 + 0.5 * u
    } else if name.ends_with("weight") {
        &|u| 0.8 + 0.3 * u
    } else {
        &|u| 0.2 * u
    };
    let values: Vec<f32> = drawn(name, shape.iter().product()).map(|u| change(u) as f32).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// Variables of these shapes with the script's weights, by way of a file of PyTorch.
fn from_torchvision(template: &Vars) -> Vars {
    let mut tensors = Vec::new();
    for (path, leaf) in template.params.iter().chain(template.state.iter()) {
        let (module, name) = path.rsplit_once('.').unwrap();
        let there = match name {
            "kernel" | "gamma" => "weight",
            "bias" | "beta" => "bias",
            "mean" => "running_mean",
            "var" => "running_var",
            other => panic!("no parameter is called {other}"),
        };
        let mut shape = leaf.shape().to_vec();
        let rank = shape.len();
        if rank > 1 {
            shape = [shape[rank - 1], shape[rank - 2]].into_iter().chain(shape[..rank - 2].iter().copied()).collect();
        }
        let there = format!("{}.{there}", ResNet::torchvision_name(module));
        tensors.push((there.clone(), weights(&there, &shape)));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.npz");
    Tensor::save_npz(&path, tensors.iter().map(|(name, x)| (name, x))).unwrap();
    StateDict::load(path).unwrap().to_vars(template, Source::PyTorch, ResNet::torchvision_name).unwrap()
}

/// What `init` gives, without numbers.
fn shapes<X: Tree>(net: &impl Module<X>, x: &X) -> Vars {
    eval_shape(|x: X| net.init(Key::new(0), &x), x)
}

#[test]
fn whole_nets_give_what_torchvision_gives() {
    let fixture = fixture();
    let images = wave([2, 40, 48, 3], 0.7);
    let nets =
        [("resnet18", resnet18()), ("resnet34", resnet34()), ("resnet50", resnet50()), ("resnet101", resnet101())];
    for (name, net) in nets {
        let expected = &fixture[name];
        let vars = shapes(&net, &images);
        assert_eq!(vars.params.size() as u64, expected["parameters"].as_u64().unwrap(), "{name}");
        if expected["logits"].is_null() {
            continue;
        }
        let vars = from_torchvision(&vars);
        let logits = net.call(&vars, &images, Mode::Eval).0;
        let (logits, expected) = (logits.i((.., (..).step(50))), recorded(&expected["logits"]));
        let error = (&logits - &expected).abs().max() / expected.abs().max();
        assert!(error.item::<f32>() < 1e-4, "{name}: {error}");
    }
}

fn check_block(block: &impl Module<Tensor, Output = Tensor>, expected: &Value) {
    let x = wave([2, 5, 6, 4], 0.7);
    let vars = from_torchvision(&shapes(block, &x));
    let (y, state) = block.call(&vars, &x, Mode::Train(Key::new(0)));
    assert_near(&y, &recorded(&expected["y"]), 1e-4);
    assert_near(&state["norm1.mean"], &recorded(&expected["mean"]), 1e-5);
    assert_near(&state["norm1.var"], &recorded(&expected["var"]), 1e-5);
    let weighted = |(params, x): (Params, Tensor)| {
        let vars = Vars { params, ..vars.clone() };
        let y = block.call(&vars, &x, Mode::Train(Key::new(0))).0;
        (&y * wave(y.shape().clone(), 0.4)).sum()
    };
    let (slope, by_x) = grad(weighted)((vars.params.clone(), x.clone()));
    assert_near(&by_x, &recorded(&expected["x_gradient"]), 1e-3);
    assert_near(&slope["conv2.kernel"], &recorded(&expected["conv_gradient"]), 1e-3);
    // Compiled, and for each of a batch of batches by itself.
    let compiled = jit(|(vars, x): (Vars, Tensor)| block.call(&vars, &x, Mode::Train(Key::new(0))));
    let (fast, fast_state) = compiled.call((vars.clone(), x.clone()));
    assert_near(&fast, &y, 1e-4);
    assert_near(&fast_state["norm1.var"], &state["norm1.var"], 1e-5);
    let xs = wave([3, 2, 5, 6, 4], 0.3);
    let each = vmap(|x: Tensor| block.call(&vars, &x, Mode::Train(Key::new(0))))(xs.clone());
    let alone = block.call(&vars, &xs.i(2), Mode::Train(Key::new(0)));
    assert_near(&each.0.i(2), &alone.0, 1e-4);
    assert_near(&each.1["norm1.var"].i(2), &alone.1["norm1.var"], 1e-5);
}

#[test]
fn blocks_give_what_torchvision_gives_in_training() {
    let fixture = fixture();
    check_block(&BasicBlock::new(6).stride(2), &fixture["basic"]);
    check_block(&Bottleneck::new(3).stride(2), &fixture["bottleneck"]);
}

#[test]
fn options() {
    let x = wave([2, 8, 8, 3], 0.7);
    for net in [ResNet::of_basic_blocks([1, 2]), ResNet::of_bottlenecks([2])] {
        let net = net.width(4).classes(5).zero_last_gamma(true).small_images();
        let vars = net.init(Key::new(0), &x);
        assert_eq!(vars.params["conv.kernel"].shape().dims(), [3, 3, 3, 4]);
        let last = if vars.params.get("layer1.block0.norm3").is_some() { "norm3" } else { "norm2" };
        assert!(vars.params[&*format!("layer1.block0.{last}.gamma")].eq(0).all().item::<bool>());
        let (y, state) = net.call(&vars, &x, Mode::Train(Key::new(0)));
        assert_eq!(y.shape().dims(), [2, 5]);
        assert_eq!(state.paths(), vars.state.paths());
        // Features come with the whole net's parameters, and any batch axes.
        let features = net.features().call(&vars, &x, Mode::Eval).0;
        let dense = Dense::new(5).apply(&vars.params.at("dense"), &features.mean_axis([1, 2]));
        assert_near(&dense, &net.call(&vars, &x, Mode::Eval).0, 1e-5);
        assert_eq!(net.call(&vars, &x.i(0), Mode::Eval).0.shape().dims(), [5]);
        assert_near(&net.call(&vars, &x.expand_dims(0), Mode::Eval).0.i(0), &dense, 1e-5);
    }
    assert!(
        message(|| resnet18().init(Key::new(0), &Tensor::zeros([8, 3]))).contains("[batch.., height, width, channels]")
    );
    assert!(message(|| BasicBlock::new(4).stride(0)).contains("at least 1"));
    // Parameters are trained as a whole: the loss falls.
    let net = ResNet::of_basic_blocks([1, 1]).width(4).classes(2).small_images();
    let x = Key::new(1).normal([8, 6, 6, 1]) + Tensor::range(8).modulo(2).reshape([8, 1, 1, 1]) * 2.0;
    let labels = Tensor::range(8).modulo(2);
    let loss = |vars: Vars| {
        let (y, state) = net.call(&vars, &x, Mode::Train(Key::new(0)));
        (softmax_cross_entropy_with_integer_labels(&y, &labels).mean(), state)
    };
    let epoch = jit(|vars: Vars| {
        let step = |vars: Vars, _: Tensor| {
            let (state, params) = (vars.state.clone(), vars.params.clone());
            let f = |params: Params| loss(Vars { params, state: state.clone() });
            let ((value, state), slope) = value_and_grad_aux(f)(params.clone());
            let mut slope = slope.leaves().into_iter();
            (Vars { params: params.map(|_, leaf| leaf - slope.next().unwrap() * 0.1), state }, value)
        };
        scan(step, vars, Tensor::range(15))
    });
    let (vars, losses) = epoch.call(net.init(Key::new(2), &x));
    assert!(losses.i(-1).item::<f32>() < 0.5 * losses.i(0).item::<f32>(), "{losses}");
    assert!(vars.state["norm.mean"].ne(0).all().item::<bool>());
}
