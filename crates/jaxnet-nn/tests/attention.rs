//! Attention and transformer blocks beside PyTorch's and Flax's numbers, which `fixtures/attention.py` wrote down.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/attention.json")).unwrap()
}

/// The script's parameters.
fn parameters(params: &Params) -> Params {
    params.map(|path, leaf| {
        let (name, kind) = path.rsplit_once('.').unwrap();
        let length = name.len() as f64;
        let shape = leaf.shape().clone();
        match kind {
            "kernel" => wave(shape, 1.1 + length * 0.13) * 0.5,
            "bias" => wave(shape, 0.3 + length * 0.07),
            "gamma" => wave(shape, 0.9 + length * 0.11),
            "beta" => wave(shape, 0.2 + length * 0.05),
            other => panic!("no parameter is called {other}"),
        }
    })
}

/// What a module gives with the script's parameters.
fn run<X: Tree>(net: &impl Module<X, Output = Tensor>, x: &X) -> Tensor {
    net.apply(&parameters(&net.init_params(Key::new(0), x)), x)
}

fn x() -> Tensor {
    wave([2, 5, 8], 0.7)
}

fn memory() -> Tensor {
    wave([2, 3, 8], 0.4)
}

/// Of keys, for each sequence.
fn key_mask() -> Tensor {
    tensor![[1, 1, 0, 1, 0], [1, 1, 1, 0, 0]].ne(0).reshape([2, 1, 1, 5])
}

#[test]
fn attention_gives_what_pytorch_gives() {
    let fixture = &fixture()["torch"];
    let (q, k, v) = (wave([2, 5, 4, 6], 0.7), wave([2, 3, 4, 6], 0.4), wave([2, 3, 4, 2], 0.9));
    assert_recorded(&dot_product_attention(&q, &k, &v, None), &fixture["plain"]);
    let numbers = wave([4, 5, 3], 0.6);
    assert_recorded(&dot_product_attention(&q, &k, &v, Some(&numbers)), &fixture["bias"]);
    let half = |t: &Tensor| t.i((.., .., ..2));
    assert_recorded(&dot_product_attention(&q, &half(&k), &half(&v), None), &fixture["grouped"]);
    assert_recorded(&dot_product_attention(&q, &q, &q, Some(&causal_mask(5, 5))), &fixture["causal"]);
    // Any axes before; none; no places at all.
    let one = dot_product_attention(&q.i(1), &k.i(1), &v.i(1), None);
    assert_near(&one, &recorded(&fixture["plain"]).i(1), 2e-5);
    let [a, b, c] = [&q, &k, &v].map(|t| t.expand_dims(0).repeat(3, 0));
    assert_near(&dot_product_attention(&a, &b, &c, None).i(2), &recorded(&fixture["plain"]), 2e-5);
    let nothing = dot_product_attention(&q, &k.i((.., ..0)), &v.i((.., ..0)), None);
    assert!(nothing.array_equal(Tensor::zeros([2, 5, 4, 2])));
    assert_eq!(dot_product_attention(&q.i((.., ..0)), &k, &v, None).shape().dims(), [2, 0, 4, 2]);
    // Who attends to nothing gets nothing, and has a derivative.
    let mask = tensor![true, false, true, true, true].reshape([5, 1]);
    let f = |q: Tensor| dot_product_attention(&q, &k, &v, Some(&mask));
    let (y, pull) = vjp(f, q.clone());
    assert!(y.i((.., 1)).eq(0).all().item::<bool>() && y.i((.., 2)).array_equal(f(q.clone()).i((.., 2))));
    let slope = pull(y.ones_like());
    assert!(slope.i((.., 1)).eq(0).all().item::<bool>() && slope.is_finite().all().item::<bool>());
}

#[test]
fn layers_give_what_pytorch_and_flax_give() {
    let fixture = fixture();
    let (torch, flax) = (&fixture["torch"], &fixture["flax"]);
    let layer = MultiHeadAttention::new(4);
    assert_recorded(&run(&layer, &x()), &torch["layer"]);
    assert_recorded(&run(&layer.with_mask(), &(x(), key_mask())), &torch["layer_masked"]);
    assert_recorded(&run(&layer, &(x(), memory())), &torch["layer_memory"]);
    let layer = MultiHeadAttention::new(4).head_size(3).out_channels(5);
    assert_recorded(&run(&layer, &x()), &flax["layer"]);
    assert_recorded(&run(&layer.clone().causal(), &x()), &flax["layer_causal"]);
    assert_recorded(&run(&layer, &(x(), memory())), &flax["layer_memory"]);
    // As a mask of booleans and of numbers, together with the causal one.
    let mask = causal_mask(5, 5);
    assert_recorded(&run(&layer.with_mask(), &(x(), mask.clone())), &flax["layer_causal"]);
    let numbers = Tensor::zeros([5, 5]);
    assert_recorded(&run(&layer.clone().causal().with_mask(), &(x(), numbers)), &flax["layer_causal"]);
    assert_recorded(&run(&layer.causal().with_mask(), &(x(), mask)), &flax["layer_causal"]);

    for (name, post) in [("block", false), ("block_post_norm", true)] {
        let expected = |suffix: &str| &torch[format!("{name}{suffix}")];
        let make = |attention: MultiHeadAttention, activation| {
            let block = TransformerBlock::new(attention, 6).with_activation(activation);
            if post { block.post_norm() } else { block }
        };
        let attention = MultiHeadAttention::new(4);
        assert_recorded(&run(&make(attention.clone(), gelu_exact), &x()), expected(""));
        let causal = attention.clone().causal();
        assert_recorded(&run(&make(causal.clone(), gelu_exact), &x()), expected("_causal"));
        assert_recorded(&run(&make(causal, relu), &(x(), memory())), expected("_memory"));
        let memory_mask = tensor![[1, 1, 0], [1, 0, 1]].ne(0).reshape([2, 1, 1, 3]);
        let masked = make(attention, relu).with_mask();
        let inputs = ((x(), memory()), (key_mask(), memory_mask));
        assert_recorded(&run(&masked, &inputs), expected("_memory_masked"));
    }
}

#[test]
fn positions_are_those_of_the_papers() {
    let fixture = &fixture()["numpy"];
    let turned = rotary_positions(&wave([5, 2, 6], 0.7), &tensor![0, 1, 2, 7, 1000], 100.0);
    assert_near(&turned, &recorded(&fixture["rotary"]), 1e-4);
    assert_recorded(&sinusoidal_positions(7, 6), &fixture["sinusoidal"]);
    // Products depend on the distance only.
    let (q, k) = (wave([1, 1, 8], 0.7), wave([1, 1, 8], 0.4));
    let product = |i: i32, j: i32| {
        let at = |x: &Tensor, i: i32| rotary_positions(x, &tensor![i], 1e4);
        (at(&q, i) * at(&k, j)).sum().item::<f32>()
    };
    assert!((product(3, 1) - product(103, 101)).abs() < 1e-3 && (product(3, 1) - product(3, 2)).abs() > 1e-3);
    let each = Tensor::range(10).reshape([2, 5]);
    let x = wave([2, 5, 2, 4], 0.7);
    assert_near(&rotary_positions(&x, &each, 1e4).i(1), &rotary_positions(&x.i(1), &each.i(1), 1e4), 1e-6);
    assert_eq!(rotary_positions(&x.astype(DType::BF16), &each, 1e4).dtype(), DType::BF16);
}

#[test]
fn caches_give_what_the_whole_gives() {
    let layer = MultiHeadAttention::new(4).key_value_heads(2).causal().rotary(100.0);
    let block = TransformerBlock::new(layer.clone(), 6).gated().with_activation(silu).rms_norm().without_bias();
    let params = parameters(&block.init_params(Key::new(0), &x()));
    assert_eq!(params["attention.key.kernel"].shape().dims(), [8, 4]);
    let whole = block.apply(&params, &x());
    // In one compiled loop, from a start that is read at once.
    let generate = jit(|(params, x): (Params, Tensor)| {
        let step = |cache: KvCache, x: Tensor| block.with_cache().apply(&params, &(cache, x));
        let (cache, start) = step(block.cache(&x, 6), x.i((.., ..2)));
        let (cache, rest) = scan(step, cache, x.i((.., 2..)).move_axis(1, 0).expand_dims(2));
        (cache, Tensor::concatenate(&[start, rest.squeeze(2).move_axis(0, 1)], 1))
    });
    let (cache, y) = generate.call((params.clone(), x()));
    assert_near(&y, &whole, 1e-5);
    assert_eq!((cache.length.item::<i32>(), cache.max_length()), (5, 6));
    // Eagerly; for each of a batch by itself, which may be at different lengths.
    let cached = block.with_cache();
    let (eager, y) = cached.apply(&params, &(block.cache(&x(), 6), x()));
    assert_near(&y, &whole, 1e-5);
    assert_near(&eager.keys, &cache.keys, 1e-5);
    let lengths = tensor![3, 1];
    let next = |(length, x): (Tensor, Tensor)| {
        let (all, _) = cached.apply(&params, &(block.cache(&x, 6), x.clone()));
        let place = x.take(&length, 0).expand_dims(0);
        cached.apply(&params, &(KvCache { length, ..all }, place)).1
    };
    let each = vmap(next)((lengths, x()));
    assert_near(&each.i((0, 0)), &whole.i((0, 3)), 1e-5);
    assert_near(&each.i((1, 0)), &whole.i((1, 1)), 1e-5);
    // With a mask of what is in the cache, and with a memory.
    let mask = Tensor::range(6).ne(1);
    let full = block.with_mask().apply(&params, &(x(), mask.i(..5)));
    let layer_params = params.at("attention");
    let y = layer.with_cache().apply(&layer_params, &(layer.cache(&x(), 6), (x(), mask.clone()))).1;
    assert_near(&y, &layer.with_mask().apply(&layer_params, &(x(), mask.i(..5))), 1e-5);
    assert!(!full.allclose(&whole, 1e-3, 1e-3));
    let pair = (x(), memory());
    let params = parameters(&block.init_params(Key::new(0), &pair));
    let y = cached.apply(&params, &(block.cache(&x(), 5), pair.clone())).1;
    assert_near(&y, &block.apply(&params, &pair), 1e-5);
}

#[test]
fn derivatives_are_right() {
    let x = wave([2, 3, 4], 0.7).astype(DType::F64);
    check_module(&MultiHeadAttention::new(2).causal(), &x, 2);
    check_module(&MultiHeadAttention::new(2).key_value_heads(1).rotary(10.0), &x, 1);
    check_module(&MultiHeadAttention::new(2), &(x.clone(), x.i((.., ..2))), 1);
    check_module(&TransformerBlock::new(MultiHeadAttention::new(2).causal(), 3), &x, 1);
    check_module(&TransformerBlock::new(MultiHeadAttention::new(1), 3).post_norm().gated(), &x, 1);
    check_module(&PositionEmbedding::new(4), &x, 2);
    let layer = TransformerBlock::new(MultiHeadAttention::new(2).causal().rotary(10.0), 3);
    let batch = wave([3, 2, 4, 4], 0.7);
    let params = parameters(&layer.init_params(Key::new(0), &batch.i(0)));
    check_vmap(&layer, &params, &batch);
    assert_near(&layer.apply(&params, &batch).i((1, 1)), &layer.apply(&params, &batch.i((1, 1))), 1e-5);
}

#[test]
fn dropout_and_dtypes() {
    let layer = MultiHeadAttention::new(2).dropout(0.5);
    let block = TransformerBlock::new(layer.clone(), 6).dropout(0.5);
    let vars = block.init(Key::new(0), &x());
    let y = block.call(&vars, &x(), Mode::Eval).0;
    assert!(y.array_equal(block.apply(&vars.params, &x())));
    let train = |seed| block.call(&vars, &x(), Mode::Train(Key::new(seed))).0;
    assert!(train(1).array_equal(train(1)) && !train(1).allclose(train(2), 1e-3, 1e-3));
    // Weights are dropped and the others grow: the mean of many stays.
    let ones = Tensor::ones([64, 9, 8]);
    let vars = layer.init(Key::new(0), &ones);
    let (kept, dropped) = (layer.apply(&vars.params, &ones), layer.call(&vars, &ones, Mode::Train(Key::new(1))).0);
    assert!((dropped.mean_axis([0, 1]) - kept.i((0, 0))).abs().max().item::<f32>() < 0.1);
    for dtype in [DType::BF16, DType::F16, DType::F64] {
        let params = parameters(&layer.init_params(Key::new(0), &x())).map(|_, leaf| leaf.astype(dtype));
        let y = layer.apply(&params, &x().astype(dtype));
        assert_eq!(y.dtype(), dtype);
        let exact = layer.apply(&params.map(|_, leaf| leaf.astype(DType::F32)), &x());
        assert_near(&y.astype(DType::F32), &exact, if dtype == DType::F64 { 1e-4 } else { 5e-2 });
    }
    // In half precision, what would overflow as a product does not.
    let large = Tensor::full([3, 1, 64], 60, DType::F16);
    assert!(dot_product_attention(&large, &large, &large, None).array_equal(&large));
}

#[test]
fn what_does_not_fit_is_refused() {
    let q = Tensor::zeros([2, 5, 4, 6]);
    let attend = |k: [usize; 4], v: [usize; 4]| {
        message(|| dot_product_attention(&q, &Tensor::zeros(k), &Tensor::zeros(v), None))
    };
    assert!(attend([2, 3, 4, 5], [2, 3, 4, 6]).contains("queries and keys differ in features"));
    assert!(attend([2, 3, 3, 6], [2, 3, 3, 6]).contains("a multiple of those of the keys"));
    assert!(attend([1, 3, 4, 6], [1, 3, 4, 6]).contains("[2, 5, 4, 6]"));
    assert!(message(|| dot_product_attention(&q.i((0, 0)), &q, &q, None)).contains("ranks"));
    let wrong = message(|| dot_product_attention(&q, &q, &q, Some(&Tensor::zeros([2, 5]))));
    assert!(wrong.contains("f32[2,5]") && wrong.contains("[2, 4, 5, 5]"), "{wrong}");
    assert!(message(|| rotary_positions(&Tensor::zeros([5, 2, 3]), &Tensor::range(5), 1e4)).contains("even"));
    assert!(message(|| rotary_positions(&q, &Tensor::range(4), 1e4)).contains("broadcast"));

    assert!(message(|| MultiHeadAttention::new(0)).contains("at least one head"));
    assert!(message(|| MultiHeadAttention::new(4).key_value_heads(3)).contains("evenly"));
    let init = |layer: MultiHeadAttention, x: &Tensor| message(|| layer.init_params(Key::new(0), x));
    assert!(init(MultiHeadAttention::new(3), &x()).contains("head_size"));
    assert!(init(MultiHeadAttention::new(2), &Tensor::zeros([8])).contains("[batch.., sequence, channels]"));
    assert!(init(MultiHeadAttention::new(8).rotary(1e4), &x()).contains("even"));
    let pair = (x(), Tensor::zeros([3, 3, 8]));
    assert!(message(|| MultiHeadAttention::new(2).init_params(Key::new(0), &pair)).contains("memory"));
    let block = TransformerBlock::new(MultiHeadAttention::new(2), 4);
    assert!(message(|| block.init_params(Key::new(0), &Tensor::zeros([8]))).contains("TransformerBlock"));

    let layer = MultiHeadAttention::new(2).causal();
    let params = layer.init_params(Key::new(0), &x());
    let cached =
        |layer: &MultiHeadAttention, cache: KvCache| message(|| layer.with_cache().apply(&params, &(cache, x())));
    assert!(cached(&MultiHeadAttention::new(2), layer.cache(&x(), 9)).contains("causal"));
    assert!(cached(&layer, layer.cache(&x().i(0), 9)).contains("not one for inputs"));
    assert!(cached(&layer, layer.cache(&x(), 4)).contains("room for 4 places"));
    let two = KvCache { length: Tensor::scalar(2), ..layer.cache(&x(), 6) };
    assert!(cached(&layer, two.clone()).contains("2 and 5 more"));
    let y = jit(|cache: KvCache| layer.with_cache().apply(&params, &(cache, x())).1).call(two);
    assert!(y.is_nan().all().item::<bool>());

    let positions = PositionEmbedding::new(4);
    assert!(message(|| positions.init_params(Key::new(0), &x())).contains("4 places"));
    assert!(message(|| positions.init_params(Key::new(0), &(x(), tensor![0, 1]))).contains("broadcast"));
    assert!(message(|| positions.init_params(Key::new(0), &(x(), tensor![0, 1, 2, 3, 4]))).contains("4 is none"));
}
