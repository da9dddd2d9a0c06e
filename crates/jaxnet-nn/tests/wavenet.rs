//! WaveNet beside JAX's numbers, which `fixtures/wavenet.py` wrote down, and a place at a time.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use serde_json::Value;

fn net() -> WaveNet {
    WaveNet::new([1, 2, 4, 1], 3).kernel(3).initial_kernel(4).channels(6).residual_channels(5).skip_channels(7)
}

/// The script's parameters.
fn parameters(params: &Params) -> Params {
    params.map(|path, leaf| {
        let (name, kind) = path.rsplit_once('.').unwrap();
        // Names are told apart by their length.
        let block = name.strip_prefix("block").and_then(|rest| rest.split_once('.'));
        let length = block.map_or(name.len(), |(i, part)| 6 + i.parse::<usize>().unwrap() + part.len()) as f64;
        let shape = leaf.shape().clone();
        if kind == "kernel" { wave(shape, 1.1 + length * 0.13) * 0.5 } else { wave(shape, 0.3 + length * 0.07) }
    })
}

#[test]
fn outputs_are_those_of_jax() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/wavenet.json")).unwrap();
    let x = wave([2, 25, 2], 0.7);
    let net = net();
    assert_eq!(net.receptive_field(), 20);
    let params = parameters(&net.init_params(Key::new(0), &x));
    let y = net.apply(&params, &x);
    assert_near(&y, &recorded(&fixture["valid"]), 1e-4);
    let padded = net.clone().padded().apply(&params, &x);
    assert_near(&padded, &recorded(&fixture["padded"]), 1e-4);
    assert_near(&padded.i((.., 19..)), &y, 1e-4);
    // One sequence, and several axes of them.
    assert_near(&net.apply(&params, &x.i(1)), &y.i(1), 1e-5);
    assert_near(&net.apply(&params, &x.expand_dims(0)).i(0), &y, 1e-5);
    check_vmap(&net, &params, &wave([3, 2, 22, 2], 0.3));
    // Of exactly one receptive field, of nothing.
    assert_eq!(net.apply(&params, &x.i((.., ..20))).shape().dims(), [2, 1, 3]);
    assert_eq!(net.clone().padded().apply(&params, &x.i((.., ..0))).shape().dims(), [2, 0, 3]);
    let small = WaveNet::new([1, 2], 2).channels(2).skip_channels(2).padded();
    check_module(&small, &wave([1, 4, 1], 0.7).astype(DType::F64), 1);
}

#[test]
fn blocks_are_those_of_the_net() {
    let x = wave([2, 9, 3], 0.7);
    let block = WaveNetBlock::new(4, 2).kernel(3).skip_channels(5);
    let params = block.init_params(Key::new(0), &x);
    assert_eq!(
        params.paths(),
        ["gate.kernel", "gate.bias", "residual.kernel", "residual.bias", "skip.kernel", "skip.bias"]
    );
    let (hidden, skip) = block.apply(&params, &x);
    assert_eq!((hidden.shape().dims(), skip.shape().dims()), (&[2, 5, 3][..], &[2, 5, 5][..]));
    let gate = |x: &Tensor| Conv::new(8, [3]).dilation([2]).apply(&params.at("gate"), x);
    let parts = gate(&x).split(2, -1);
    let units = parts[0].tanh() * parts[1].sigmoid();
    let expected = Conv::new(3, [1]).apply(&params.at("residual"), &units) + x.i((.., 4..));
    assert_near(&hidden, &expected, 1e-6);
    assert_near(&skip, &Conv::new(5, [1]).apply(&params.at("skip"), &units), 1e-6);
    let (all, skips) = block.clone().padded().apply(&params, &x);
    assert_near(&all.i((.., 4..)), &hidden, 1e-6);
    assert_eq!(skips.shape().dims(), [2, 9, 5]);
    let first = |f: fn((Tensor, Tensor)) -> Tensor| {
        let block = block.clone();
        parametrized("first", move |cx, x: &Tensor| f(cx.call(&block, x)))
    };
    check_module(&first(|(hidden, skip)| hidden.sum() + skip.square().sum()), &x.astype(DType::F64), 1);
}

#[test]
fn caches_give_what_the_whole_gives() {
    let (net, x) = (net(), wave([2, 30, 2], 0.7));
    let params = parameters(&net.init_params(Key::new(0), &x));
    let whole = net.clone().padded().apply(&params, &x);
    // In one compiled loop, in parts of any length, for each by itself.
    let cached = net.with_cache();
    let all = jit(|(params, x): (Params, Tensor)| cached.apply(&params, &(net.cache(&x), x)).1);
    assert_near(&all.call((params.clone(), x.clone())), &whole, 1e-4);
    let mut cache = net.cache(&x);
    let mut at = 0;
    for length in [1, 2, 0, 7, 20] {
        let (next, y) = cached.apply(&params, &(cache, x.i((.., at..at + length))));
        assert_near(&y, &whole.i((.., at..at + length)), 1e-4);
        cache = next;
        at += length;
    }
    assert_eq!(cache.places.item::<i32>(), 30);
    let each = vmap(|x: Tensor| cached.apply(&params, &(net.cache(&x), x)).1)(x.clone());
    assert_near(&each, &whole, 1e-4);
    // Kernels of 1 keep nothing.
    let flat = WaveNet::new([1, 5], 2).kernel(1).initial_kernel(1).channels(3).skip_channels(4);
    let params = flat.init_params(Key::new(0), &x);
    let y = flat.with_cache().apply(&params, &(flat.cache(&x), x.clone())).1;
    assert_near(&y, &flat.apply(&params, &x), 1e-5);
}

#[test]
fn samples_are_drawn_from_the_outputs_before() {
    let (net, start) = (net(), wave([2, 23, 2], 0.7));
    let params = parameters(&net.init_params(Key::new(0), &start));
    // What is drawn depends on the output alone, so that the net on all of it tells whether it is right.
    let next = |y: &Tensor| y.i((jaxnet_tensor::Ellipsis, ..2)).sin();
    let sampler = net.sampler(6, move |_, y| next(y));
    let drawn =
        jit(|(params, x)| sampler.apply_with_key(&params, Key::new(1), &x)).call((params.clone(), start.clone()));
    assert_eq!(drawn.shape().dims(), [2, 6, 2]);
    let all = Tensor::concatenate(&[start.clone(), drawn.clone()], 1);
    let y = net.clone().padded().apply(&params, &all);
    assert_near(&next(&y.i((.., 22..28))), &drawn, 1e-4);
    // Noise differs from step to step and with the key; the same key gives the same.
    let noisy = net.sampler(50, |key, y| y.i((jaxnet_tensor::Ellipsis, ..2)) * 0.0 + key.normal([2, 2]));
    let draw = |seed| noisy.apply_with_key(&params, Key::new(seed), &start);
    assert!(draw(1).array_equal(draw(1)) && !draw(1).array_equal(draw(2)));
    assert!((draw(3).std().item::<f32>() - 1.0).abs() < 0.3);
    // Initialized by it, the net has the same parameters.
    assert_eq!(sampler.init_params(Key::new(0), &start).paths(), params.paths());
}

#[test]
fn what_does_not_fit_is_refused() {
    let (net, x) = (net(), wave([2, 25, 2], 0.7));
    let params = net.init_params(Key::new(0), &x);
    assert!(message(|| net.apply(&params, &x.i((.., ..19)))).contains("sees 20 places at once"));
    assert!(message(|| net.init_params(Key::new(0), &Tensor::zeros([3]))).contains("[batch.., time, channels]"));
    assert!(message(|| WaveNet::new([], 3)).contains("dilations"));
    assert!(message(|| WaveNet::new([1, 0], 3)).contains("[1, 0]"));
    assert!(message(|| WaveNet::new([1], 3).kernel(0)).contains("got 0"));
    assert!(message(|| WaveNetBlock::new(3, 0)).contains("dilation"));
    assert!(message(|| WaveNetBlock::new(3, 4).init_params(Key::new(0), &x.i((.., ..3)))).contains("5 places"));
    let cache = net.cache(&x.i(0));
    assert!(message(|| net.with_cache().apply(&params, &(cache, x.clone()))).contains("not one of this net"));
    let wrong = net.sampler(3, |_, y| y.clone());
    let wrong = message(|| wrong.apply_with_key(&params, Key::new(0), &x));
    assert!(wrong.contains("`draw` must give [2, 2]") && wrong.contains("f32[2,3]"), "{wrong}");
    let sampler = net.sampler(3, |_, y| y.i((.., ..2)));
    assert!(message(|| sampler.apply_with_key(&params, Key::new(0), &x.i((.., ..0)))).contains("at least one place"));
    assert!(message(|| sampler.apply(&params, &x)).contains("key"));
}
