//! Pooling, embeddings and spatial dropout.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use serde_json::Value;

fn apply(layer: &impl Module<Tensor, Output = Tensor>, x: &Tensor) -> Tensor {
    layer.apply(&Params::empty(), x)
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/pooling.json")).unwrap()
}

/// What the pools of a case give, by the names of the script.
fn windows<const N: usize>(case: &Value, x: &Tensor) -> [(&'static str, Tensor); 3] {
    let sizes = |name: &str| <[usize; N]>::try_from(numbers(&case[name])).unwrap();
    let (window, strides, padding) = (sizes("window"), sizes("strides"), padding(&case["padding"]));
    [
        ("average", apply(&AvgPool::new(window).strides(strides).padding(padding.clone()), x)),
        ("max", apply(&MaxPool::new(window).strides(strides).padding(padding.clone()), x)),
        ("sum", apply(&SumPool::new(window).strides(strides).padding(padding), x)),
    ]
}

#[test]
fn windows_give_what_flax_gives() {
    for case in fixture()["flax"].as_array().unwrap() {
        let x = wave(numbers(&case["input"]), 0.7);
        let pools = match x.rank() - 2 {
            1 => windows::<1>(case, &x),
            2 => windows::<2>(case, &x),
            _ => windows::<3>(case, &x),
        };
        for (name, y) in pools {
            assert_recorded(&y, &case[name]);
        }
    }
}

#[test]
fn adaptive_pools_give_what_pytorch_gives() {
    let fixture = &fixture()["torch"];
    for (average, name) in [(true, "average"), (false, "max")] {
        for case in fixture[name].as_array().unwrap() {
            let x = wave(numbers(&case["input"]), 0.7);
            let y = match (numbers(&case["sizes"])[..].to_vec().as_slice(), average) {
                (&[a], true) => apply(&AdaptiveAvgPool::new([a]), &x),
                (&[a], false) => apply(&AdaptiveMaxPool::new([a]), &x),
                (&[a, b], true) => apply(&AdaptiveAvgPool::new([a, b]), &x),
                (&[a, b], false) => apply(&AdaptiveMaxPool::new([a, b]), &x),
                (&[a, b, c], true) => apply(&AdaptiveAvgPool::new([a, b, c]), &x),
                (&[a, b, c], false) => apply(&AdaptiveMaxPool::new([a, b, c]), &x),
                _ => unreachable!("one to three axes"),
            };
            assert_recorded(&y, &case["output"]);
        }
    }
}

#[test]
fn pools_over_all_and_their_derivatives() {
    let x = wave([2, 3, 4, 5], 0.7);
    assert_near(&apply(&GlobalAvgPool::new(2), &x), &x.mean_axis([1, 2]), 1e-6);
    assert_near(&apply(&GlobalMaxPool::new(1), &x), &x.max_axis(2), 0.0);
    assert_near(&apply(&GlobalSumPool::new(2), &x), &x.sum_axis([1, 2]), 1e-6);
    // Parts of an axis of three: the first two elements, and the last two.
    let (first, last) = (x.i((.., ..2)).sum_axis([1, 2]), x.i((.., 1..)).sum_axis([1, 2]));
    assert_near(&apply(&AdaptiveSumPool::new([2, 1]), &x), &Tensor::stack(&[first, last], 1).expand_dims(2), 1e-6);
    assert_near(&apply(&AdaptiveAvgPool::new([1, 1]), &x), &x.mean_keepdims([1, 2]), 1e-6);
    assert_near(&apply(&AdaptiveMaxPool::new([3, 4]), &x), &x, 0.0);
    let deep = x.astype(DType::F64);
    check_module(&GlobalAvgPool::new(2), &deep, 2);
    check_module(&GlobalMaxPool::new(2), &deep, 1);
    check_module(&AdaptiveAvgPool::new([2, 3]), &deep, 1);
    check_module(&AdaptiveMaxPool::new([2, 3]), &deep, 1);
    check_vmap(&GlobalMaxPool::new(2), &Params::empty(), &x);
    check_vmap(&AdaptiveAvgPool::new([2, 3]), &Params::empty(), &x);
    check_vmap(&AdaptiveMaxPool::new([2, 3]), &Params::empty(), &x);
    check_vmap(&GlobalAvgPool::new(2), &Params::empty(), &x);
    check_vmap(&MaxPool::new([2, 3]).strides([1, 2]).padding(Padding::Same), &Params::empty(), &x);
    check_vmap(&AvgPool::new([2, 3]).padding(Padding::Same), &Params::empty(), &x);
    check_vmap(&SumPool::new([2]), &Params::empty(), &x);
    // Integers have averages; no examples have none.
    assert_eq!(apply(&GlobalAvgPool::new(1), &tensor![[1], [2]]).to_vec::<f32>(), [1.5]);
    assert_eq!(apply(&GlobalMaxPool::new(1), &Tensor::zeros([0, 3, 2])).shape().dims(), [0, 2]);
}

#[test]
fn pools_refuse_what_does_not_fit() {
    assert!(message(|| GlobalAvgPool::new(0)).contains("spatial axis"));
    let rank = message(|| apply(&GlobalMaxPool::new(2), &Tensor::zeros([3, 4])));
    assert!(rank.contains("GlobalMaxPool") && rank.contains("[3, 4]"), "{rank}");
    assert!(message(|| apply(&GlobalAvgPool::new(1), &Tensor::zeros([2, 0, 4]))).contains("nothing"));
    assert!(message(|| apply(&AdaptiveAvgPool::new([0]), &Tensor::zeros([2, 4]))).contains("at least 1"));
    assert!(message(|| apply(&AdaptiveMaxPool::new([2]), &Tensor::zeros([0, 4]))).contains("nothing"));
}

#[test]
fn embeddings() {
    let layer = Embedding::new(5, 3);
    let ids = tensor![[4, 0], [2, 2]];
    let params = layer.init_params(Key::new(0), &ids);
    let y = layer.apply(&params, &ids);
    assert_eq!(y.shape().dims(), [2, 2, 3]);
    for (place, id) in [((0, 0), 4), ((0, 1), 0), ((1, 1), 2)] {
        assert_eq!(y.i(place).to_vec::<f32>(), params["embedding"].i(id).to_vec::<f32>());
    }
    assert_eq!(layer.apply(&params, &Tensor::scalar(3_u8)).shape().dims(), [3]);
    assert_eq!(layer.apply(&params, &Tensor::zeros([0]).astype(DType::I32)).shape().dims(), [0, 3]);
    check_vmap(&layer, &params, &ids);
    // The derivative counts how often a vector is used.
    let slopes = grad(|p: Params| layer.apply(&p, &ids).sum())(params.clone());
    assert_eq!(slopes["embedding"].i((.., 0)).to_vec::<f32>(), [1.0, 0.0, 2.0, 0.0, 1.0]);
    let variance = Embedding::new(1000, 16).init_params(Key::new(0), &ids)["embedding"].var().item::<f64>();
    assert!((variance * 16.0 - 1.0).abs() < 0.05);
    // Numbers that are none.
    assert!(message(|| layer.apply(&params, &tensor![5])).contains("5 is none of the 5 numbers"));
    assert!(message(|| layer.apply(&params, &tensor![0, -1])).contains("-1"));
    assert!(message(|| layer.apply(&params, &tensor![1.0])).contains("integers"));
    let fast = jit(|(p, x): (Params, Tensor)| layer.apply(&p, &x));
    let y = fast.call((params.clone(), tensor![4, 5, -1]));
    assert_eq!(y.is_nan().all_axis(-1).to_vec::<bool>(), [false, true, true]);
    let y = fast.call((params.clone(), tensor![4_u8, 255]));
    assert_eq!(y.is_nan().all_axis(-1).to_vec::<bool>(), [false, true]);
    let many = Embedding::new(300, 1);
    let p = many.init_params(Key::new(0), &ids);
    let fast = jit(|(p, x): (Params, Tensor)| many.apply(&p, &x));
    assert!(!fast.call((p, tensor![255_u8, 7])).is_nan().any().item::<bool>());
}

#[test]
fn embeddings_may_be_attended() {
    let layer = Embedding::new(5, 3);
    let (ids, x) = (tensor![1, 4], wave([2, 3], 0.7));
    let params = layer.init_params(Key::new(0), &ids);
    let expected = x.matmul(params["embedding"].t());
    assert_near(&layer.attend().apply(&params, &x), &expected, 1e-6);
    // Tied in a net, in any order, with the derivatives of both uses.
    let net = sequential![layer.clone(), layer.attend()];
    let tied = net.init_params(Key::new(0), &ids);
    assert_eq!(tied.paths(), ["embedding.embedding"]);
    let e = &tied["embedding.embedding"];
    assert_near(&net.apply(&tied, &ids), &e.i(&ids).matmul(e.t()), 1e-6);
    let (found, expected) = (
        grad(|p: Params| net.apply(&p, &ids).sum())(tied.clone()),
        grad(|e: Tensor| e.i(&ids).matmul(e.t()).sum())(e.clone()),
    );
    assert_near(&found["embedding.embedding"], &expected, 1e-5);
    let back = sequential![layer.attend(), |y: &Tensor| y.argmax(-1), layer.clone()];
    assert_eq!(back.init_params(Key::new(0), &x).paths(), ["embedding.embedding"]);
    assert!(message(|| layer.attend().apply(&params, &wave([2, 4], 1.0))).contains("3 features"));
}

#[test]
fn dropout_of_whole_channels() {
    let layer = Dropout::spatial(0.25, 1);
    let x = Tensor::ones([50, 7, 40]);
    let (y, _) = layer.call(&Vars::default(), &x, Mode::Train(Key::new(0)));
    assert!(y.min_axis(1).array_equal(y.max_axis(1)));
    let kept = y.i((.., 0));
    assert!((kept.mean().item::<f64>() - 1.0).abs() < 0.05);
    assert!(kept.to_vec::<f32>().iter().all(|&y| y == 0.0 || y == 4.0 / 3.0));
    assert_eq!(layer.call(&Vars::default(), &x, Mode::Eval).0.to_vec::<f32>(), x.to_vec::<f32>());
    let whole = Dropout::new(0.5).broadcast([1, -1]);
    let (y, _) = whole.call(&Vars::default(), &x, Mode::Train(Key::new(0)));
    assert!(y.min_axis([1, 2]).array_equal(y.max_axis([1, 2])));
    let wrong = message(|| Dropout::spatial(0.5, 3).call(&Vars::default(), &x, Mode::Train(Key::new(0))));
    assert!(wrong.contains("Dropout") && wrong.contains("-4"), "{wrong}");
}
