//! What PyTorch and Flax have trained gives here what it gives there; `fixtures/import.py` wrote the files.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use jaxnet_nn::{Source, StateDict};

fn file(name: &str) -> StateDict {
    StateDict::load(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// One part of the file, as the variables of a layer, and what it gives with them.
fn run<X: Tree>(
    file: &StateDict,
    source: Source,
    part: &str,
    net: &impl Module<X, Output = Tensor>,
    x: &X,
    name: impl Fn(&str) -> String,
) -> Tensor {
    let separator = if source == Source::PyTorch { "." } else { "/" };
    let own = |name: &str| !name.starts_with("output.") && name.split(separator).any(|here| here == part);
    let vars = file.filter(own).to_vars(&net.init(Key::new(7), x), source, name).unwrap();
    net.call(&vars, x, Mode::Eval).0
}

/// Channels last.
fn last(x: &Tensor) -> Tensor {
    x.move_axis(1, -1)
}

#[test]
fn from_pytorch() {
    let file = file("import_torch.safetensors");
    let output = |name: &str| file.get(&format!("output.{name}")).unwrap().clone();
    let flat = wave([2, 3], 0.7);
    let (image, line) = (last(&wave([2, 4, 5, 6], 0.7)), last(&wave([2, 4, 5], 0.7)));
    let (sequence, channels) = (wave([2, 5, 3], 0.7), wave([2, 5, 4], 0.7));
    let check = |part: &str, net: &dyn Fn(&str) -> Tensor| {
        let (y, mut expected) = (net(part), output(part));
        if ["conv", "up", "same_up", "norm", "group_norm", "prelu", "old_weight_norm"].contains(&part) {
            expected = last(&expected);
        }
        assert_near(&y, &expected, 2e-5);
    };
    macro_rules! check {
        ($part:literal, $net:expr, $x:expr) => {
            check!($part, $net, $x, |_: &str| $part.to_string())
        };
        ($part:literal, $net:expr, $x:expr, $name:expr) => {
            check($part, &|part| run(&file, Source::PyTorch, part, &$net, $x, $name))
        };
    }
    check!("dense", Dense::new(4), &flat);
    check!("conv", Conv::new(6, [3, 2]).strides([1, 2]).padding([(1, 1), (0, 0)]).groups(2), &image);
    let up = Conv::transposed(6, [3, 2]).strides([2, 2]).padding([(1, 2), (1, 1)]).groups(2);
    check!("up", up, &image, |_: &str| "transposed:up".to_string());
    let same_up = sequential![Conv::transposed(4, [3]).padding([(2, 2)])];
    check!("same_up", same_up, &line);
    check!("norm", BatchNorm::new(), &image);
    check!("layer_norm", LayerNorm::new(), &flat);
    check!("group_norm", GroupNorm::new(2), &line);
    check!("words", Embedding::new(5, 3), &tensor![[0, 4], [2, 2]]);
    check!("prelu", PRelu::new().per_channel(), &line);
    check!("old_weight_norm", Conv::new(3, [2]).weight_norm(1.0), &line);
    check!("weight_norm", Dense::new(4).weight_norm(1.0), &flat);
    check!("gru", Rnn::new(ResetAfterGruCell::new(2)), &sequence, |_: &str| "gru.*_l0".to_string());
    check!("bare_gru", Rnn::new(ResetAfterGruCell::new(2)), &sequence, |_: &str| "bare_gru.*_l0".to_string());
    check!("rnn", Rnn::new(RnnCell::new(2)), &sequence, |_: &str| "rnn.*_l0".to_string());
    let both = || Bidirectional::new(Rnn::new(LstmCell::new(2)), Rnn::new(LstmCell::new(2)));
    let direction = |module: &str| {
        let reverse = if module.contains("backward") { "_reverse" } else { "" };
        format!("lstm.*_l{}{reverse}", u8::from(module.starts_with("bidirectional1")))
    };
    check!("lstm", sequential![both(), both()], &sequence, direction);

    let attention = MultiHeadAttention::new(2);
    check!("attention", attention, &channels, |module: &str| join("attention", module));
    let pair = (channels.clone(), sequence.clone());
    check!("memory_attention", attention, &pair, |module: &str| join("memory_attention", module));
    let block = TransformerBlock::new(attention.clone(), 5).post_norm().with_activation(relu);
    check!("block", block, &channels, |module: &str| {
        let (first, rest) = module.split_once('.').unwrap_or((module, ""));
        let there = match first {
            "attention" => "self_attn",
            "attention_norm" => "norm1",
            "hidden_norm" => "norm2",
            "hidden" => "linear1",
            "out" => "linear2",
            other => other,
        };
        format!("block.{}", join(there, rest))
    });
}

fn join(module: &str, rest: &str) -> String {
    if rest.is_empty() { module.to_string() } else { format!("{module}.{rest}") }
}

#[test]
fn from_flax() {
    let file = file("import_flax.safetensors");
    let (flat, image, sequence) = (wave([2, 3], 0.7), wave([2, 5, 6, 4], 0.7), wave([2, 5, 3], 0.7));
    macro_rules! check {
        ($part:literal, $there:literal, $net:expr, $x:expr) => {
            let name = |module: &str| {
                let inner = module.rsplit('.').next().unwrap();
                let part = ["query", "key", "value", "out"].contains(&inner);
                join($there, if part { inner } else { "" })
            };
            let y = run(&file, Source::Flax, $there, &$net, $x, name);
            assert_near(&y, file.get(concat!("output.", $part)).unwrap(), 2e-5);
        };
    }
    check!("dense", "Dense_0", Dense::new(4), &flat);
    let conv = Conv::new(6, [3, 2]).strides([1, 2]).padding(Padding::Same).groups(2);
    check!("conv", "Conv_0", conv, &image);
    let up = Conv::transposed(6, [3, 2]).strides([2, 2]).padding(Padding::Same);
    check!("up", "ConvTranspose_0", up, &image);
    check!("norm", "BatchNorm_0", BatchNorm::new(), &image);
    check!("layer_norm", "LayerNorm_0", LayerNorm::new().epsilon(1e-6), &flat);
    check!("words", "Embed_0", Embedding::new(5, 3), &tensor![[0, 4], [2, 2]]);
    check!("prelu", "PReLU_0", PRelu::new(), &flat);
    check!("attention", "MultiHeadDotProductAttention_0", MultiHeadAttention::new(3), &sequence);
    check!("lstm", "LSTMCell_0", Rnn::new(LstmCell::new(2)), &sequence);
    check!("fast_lstm", "OptimizedLSTMCell_0", Rnn::new(LstmCell::new(2)), &sequence);
    check!("gru", "GRUCell_0", Rnn::new(ResetAfterGruCell::new(2)), &sequence);
    check!("rnn", "SimpleCell_0", Rnn::new(RnnCell::new(2)), &sequence);
}

#[test]
fn files_and_parts() {
    let whole = file("import_torch.safetensors");
    assert_eq!(whole.names().next(), Some("attention.in_proj_bias"));
    let dense = whole.filter(|name| name.starts_with("dense."));
    // As numpy's file; with a new last layer; in other dtypes.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dense.npz");
    Tensor::save_npz(&path, dense.names().map(|name| (name, dense.get(name).unwrap()))).unwrap();
    let dense = StateDict::load(&path).unwrap();
    let net = sequential![Dense::new(4), relu, Dense::new(7)];
    let vars = net.init(Key::new(0), &Tensor::zeros([1, 3]));
    let name = |module: &str| (module == "dense0").then(|| "dense".to_string());
    let found = dense.to_vars(&vars, Source::PyTorch, name).unwrap().params;
    assert!(found["dense0.kernel"].array_equal(dense.get("dense.weight").unwrap().t()));
    assert!(found["dense1.kernel"].array_equal(&vars.params["dense1.kernel"]));
    let halves = Vars::new(vars.params.map(|_, leaf| leaf.astype(DType::BF16)));
    let found = dense.to_vars(&halves, Source::PyTorch, name).unwrap().params;
    assert_eq!(found["dense0.bias"].dtype(), DType::BF16);
    // What training ran along is no parameter.
    let norm = whole.filter(|name| name.starts_with("norm."));
    let vars = BatchNorm::new().init(Key::new(0), &Tensor::zeros([1, 4]));
    let found = norm.to_vars(&vars, Source::PyTorch, |_| "norm".to_string()).unwrap();
    assert!(found.state["var"].array_equal(norm.get("norm.running_var").unwrap()));
}

#[test]
fn what_does_not_fit_is_refused() {
    let whole = file("import_torch.safetensors");
    let part = |part: &str| whole.filter(|name| name.starts_with(part));
    let why = |file: &StateDict, net: &dyn Fn() -> Vars, name: &str| {
        file.to_vars(&net(), Source::PyTorch, |_| name.to_string()).unwrap_err().to_string()
    };
    let dense = |size: usize| move || Dense::new(size).init(Key::new(0), &Tensor::zeros([1, 3]));
    let wrong = why(&part("dense."), &dense(4), "dens");
    assert!(wrong.starts_with("kernel:") && wrong.contains("`dens.weight`") && wrong.contains("dense.bias"), "{wrong}");
    let wrong = why(&part("dense."), &dense(5), "dense");
    assert!(wrong.contains("f32[3,5]") && wrong.contains("f32[3,4]"), "{wrong}");
    let both = whole.filter(|name| name.starts_with("dense.") || name.starts_with("rnn."));
    let wrong = why(&both, &dense(4), "dense");
    assert!(wrong.starts_with("rnn.bias_hh_l0") && wrong.contains("3 others") && wrong.contains("filter"), "{wrong}");
    let wrong = why(&part("conv."), &dense(4), "conv");
    assert!(wrong.contains("f32[6,2,3,2]"), "{wrong}");
    let cell = || Rnn::new(GruCell::new(2)).init(Key::new(0), &Tensor::zeros([1, 5, 3]));
    assert!(why(&part("gru."), &cell, "gru.*_l0").contains("not known"));
    let lstm = || Rnn::new(LstmCell::new(2)).init(Key::new(0), &Tensor::zeros([1, 5, 3]));
    assert!(why(&part("gru."), &lstm, "gru.*_l0").contains("f32[3,6]"));
    let cell = || Rnn::new(LstmCell::new(2)).init(Key::new(0), &Tensor::zeros([1, 5, 3]));
    let flax = file("import_flax.safetensors");
    let missing = flax.to_vars(&cell(), Source::Flax, |_| "GRUCell_1".to_string()).unwrap_err().to_string();
    assert!(missing.contains("`GRUCell_1.i.kernel`"), "{missing}");
    let error = StateDict::load("no.safetensors").unwrap_err().to_string();
    assert!(error.contains("no.safetensors"), "{error}");
}

#[test]
fn damaged_files_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.safetensors");
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/import_flax.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in (0..header).step_by(37).chain([header, whole.len() - 1]) {
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(StateDict::load(&path).is_err(), "cut off at {at}");
        let mut changed = whole.clone();
        changed[at] ^= 0x15;
        std::fs::write(&path, &changed).unwrap();
        // It may still be a file, of other names or shapes.
        let _ = StateDict::load(&path);
    }
}
