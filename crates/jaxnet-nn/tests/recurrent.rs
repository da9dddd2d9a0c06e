//! Recurrent layers beside PyTorch's numbers, which `fixtures/recurrent.py` wrote down.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use serde_json::Value;

/// The script's parameters.
fn parameters(params: &Params) -> Params {
    params.map(|path, leaf| {
        let by = if path.contains("backward") { 0.05 } else { 0.0 };
        let frequency = match path.rsplit('.').next().unwrap() {
            "input_kernel" => 1.3,
            "recurrent_kernel" => 2.1,
            "bias" => 0.3,
            "recurrent_bias" => 0.5,
            other => panic!("no parameter is called {other}"),
        };
        wave(leaf.shape().clone(), frequency + by)
    })
}

fn check<M: RecurrentCell>(cell: M, expected: &Value, split: fn(M::Carry) -> (Tensor, Option<Tensor>)) {
    let (x, lengths) = (wave([2, 5, 3], 0.7), tensor![5, 3]);
    let rnn = Rnn::new(cell);
    let params = parameters(&rnn.init_params(Key::new(0), &x));
    let compare = |(carry, y): (M::Carry, Tensor), expected: &Value| {
        let (hidden, cell) = split(carry);
        assert_recorded(&y, &expected["y"]);
        assert_recorded(&hidden, &expected["hidden"]);
        cell.inspect(|cell| assert_recorded(cell, &expected["cell"]));
    };
    assert_recorded(&rnn.apply(&params, &x), &expected["plain"]["y"]);
    compare(rnn.with_carry().apply(&params, &x), &expected["plain"]);
    let masked = rnn.with_lengths();
    assert_eq!(masked.init_params(Key::new(0), &(x.clone(), lengths.clone())).paths(), params.paths());
    compare(masked.apply(&params, &(x.clone(), lengths.clone())), &expected["lengths"]);
    let fast = jit(|(p, x): (Params, (Tensor, Tensor))| masked.apply(&p, &x));
    compare(fast.call((params.clone(), (x.clone(), lengths.clone()))), &expected["lengths"]);
}

/// With a cell for each direction.
fn check_both<M: RecurrentCell>(forward: M, backward: M, expected: &Value) {
    let x = wave([2, 5, 3], 0.7);
    let net = Bidirectional::new(Rnn::new(forward), Rnn::new(backward));
    let params = parameters(&net.init_params(Key::new(0), &x));
    assert_recorded(&net.apply(&params, &x), &expected["both"]["y"]);
    assert_recorded(&net.with_lengths().apply(&params, &(x, tensor![5, 3])), &expected["both_lengths"]["y"]);
}

#[test]
fn layers_give_what_pytorch_gives() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/recurrent.json")).unwrap();
    check(LstmCell::new(4), &fixture["lstm"], |(hidden, cell)| (hidden, Some(cell)));
    check(ResetAfterGruCell::new(4), &fixture["gru"], |carry| (carry, None));
    check(RnnCell::new(4), &fixture["rnn"], |carry| (carry, None));
    check_both(LstmCell::new(4), LstmCell::new(4), &fixture["lstm"]);
    check_both(ResetAfterGruCell::new(4), ResetAfterGruCell::new(4), &fixture["gru"]);
    check_both(RnnCell::new(4), RnnCell::new(4), &fixture["rnn"]);
    // One cell for both directions has one set of parameters.
    let cell = RnnCell::new(4);
    let net = Bidirectional::new(Rnn::new(cell.clone()), Rnn::new(cell));
    let paths = net.init_params(Key::new(0), &wave([2, 5, 3], 0.7)).paths();
    assert_eq!(paths.len(), 3, "{paths:?}");
}

#[test]
fn derivatives_are_right() {
    let x = wave([2, 3, 2], 0.7).astype(DType::F64);
    check_module(&Rnn::new(LstmCell::new(2)), &x, 2);
    check_module(&Rnn::new(ResetAfterGruCell::new(2)), &x, 1);
    check_module(&Rnn::new(GruCell::new(2)).reverse(), &x, 1);
    check_module(&Rnn::new(RnnCell::new(2)), &x, 2);
    let masked = Rnn::new(RnnCell::new(2)).with_lengths();
    let params = doubles(&masked.init_params(Key::new(0), &(x.clone(), tensor![3, 1])));
    let slope = grad(|x: Tensor| masked.apply(&params, &(x, tensor![3, 1])).1.sum())(x.clone());
    assert!(slope.i((1, 1..)).eq(0).all().item::<bool>() && slope.i((1, 0)).ne(0).any().item::<bool>());
    let layer = Rnn::new(LstmCell::new(2));
    let (params, batch) = (layer.init_params(Key::new(0), &wave([1, 3, 2], 0.7)), wave([4, 2, 3, 2], 0.7));
    check_vmap(&layer, &params, &batch);
}

#[test]
fn any_batch_axes_carries_and_dtypes() {
    let cells = [3, 2].map(LstmCell::new);
    let net = Rnn::new(Stacked::new(cells.clone()));
    let x = wave([2, 3, 5, 4], 0.7);
    let params = parameters(&net.init_params(Key::new(0), &x));
    assert_eq!(params.paths()[3], "stacked.lstm_cell1.input_kernel");
    let (carry, y) = net.with_carry().apply(&params, &x);
    assert_eq!((y.shape().dims(), carry[0].1.shape().dims()), (&[2, 3, 5, 2][..], &[2, 3, 3][..]));
    // As with one batch axis or none, as two nets in sequence, and as a sequence in two parts.
    let (flat, flat_y) = net.with_carry().apply(&params, &x.reshape([6, 5, 4]));
    assert_near(&flat_y.reshape([2, 3, 5, 2]), &y, 1e-6);
    assert_near(&flat[1].1.reshape([2, 3, 2]), &carry[1].1, 1e-6);
    let (one, one_y) = net.with_carry().apply(&params, &x.i((1, 2)));
    assert_near(&one_y, &y.i((1, 2)), 1e-6);
    assert_near(&one[1].1, &carry[1].1.i((1, 2)), 1e-6);
    let stack = sequential![Rnn::new(cells[0].clone()), Rnn::new(cells[1].clone())];
    assert_near(&stack.apply_from(&[net.reuse(&params)], &x), &y, 1e-6);
    let (half, before) = net.with_carry().apply(&params, &x.i((.., .., ..2)));
    let (end, after) = net.from_carry().apply(&params, &(half, x.i((.., .., 2..))));
    assert_near(&Tensor::concatenate(&[before, after], -2), &y, 1e-6);
    assert_near(&end[1].0, &carry[1].0, 1e-6);
    // Each sequence is the same alone, up to its length.
    let lengths = tensor![[5, 3, 0], [1, 2, 4]];
    let (carry, y) = net.with_lengths().apply(&params, &(x.clone(), lengths.clone()));
    for (i, length) in lengths.to_vec::<i32>().into_iter().enumerate() {
        let (at, length) = ((i as isize / 3, i as isize % 3), length as isize);
        let (alone, alone_y) = net.with_carry().apply(&params, &x.i((at.0, at.1, ..length)));
        assert_near(&y.i((at.0, at.1, ..length)), &alone_y, 1e-6);
        assert!(y.i((at.0, at.1, length..)).eq(0).all().item::<bool>());
        assert_near(&carry[1].1.i(at), &alone[1].1, 1e-6);
    }
    let zeros = net.with_lengths().apply(&params, &(x.i((0, 0)), Tensor::scalar(2))).1;
    assert_near(&zeros, &y.i((0, 0)).at(2..).set(0.0), 1.0);
    let first = Stacked::new(cells).initial_carry([2, 3]);
    let again = net.from_carry().apply(&params, &(first, (x.clone(), lengths)));
    assert_near(&again.1, &y, 1e-6);
    // What is computed with is what inputs and parameters have in common.
    for (input, weight, expected) in [
        (DType::BF16, DType::BF16, DType::BF16),
        (DType::BF16, DType::F32, DType::F32),
        (DType::F32, DType::BF16, DType::F32),
        (DType::F64, DType::F32, DType::F64),
    ] {
        let params = params.map(|_, leaf| leaf.astype(weight));
        let y = net.apply(&params, &x.i(0).astype(input));
        assert_eq!(y.dtype(), expected, "{input} with {weight}");
    }
}

#[test]
fn parameters_of_gates_are_drawn_apart() {
    let x = (Tensor::zeros([1, 64]), Tensor::zeros([1, 32]));
    let params = ResetAfterGruCell::new(64).init_params(Key::new(0), &x);
    assert_eq!(params.paths(), ["input_kernel", "recurrent_kernel", "bias", "recurrent_bias"]);
    // Of 32 inputs and 64 outputs, not 192.
    let variance = params["input_kernel"].var().item::<f64>();
    assert!((variance * 96.0 / 2.0 - 1.0).abs() < 0.05, "{variance}");
    for gate in params["recurrent_kernel"].split(3, -1) {
        assert_near(&gate.matmul(gate.t()), &Tensor::eye(64), 1e-4);
    }
    let bias = LstmCell::new(2).with_bias_init(ones()).with_kernel_init(zeros()).with_recurrent_init(zeros());
    let carry = LstmCell::new(2).initial_carry(1);
    let params = bias.init_params(Key::new(0), &(carry, x.1));
    assert_eq!((params["bias"].sum().item::<f32>(), params["input_kernel"].sum().item::<f32>()), (8.0, 0.0));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (rnn, x) = (Rnn::new(LstmCell::new(2)), Tensor::zeros([2, 5, 3]));
    let params = rnn.init_params(Key::new(0), &x);
    let lengths = |l: Tensor| message(|| rnn.with_lengths().apply(&params, &(x.clone(), l)));
    assert!(lengths(tensor![1, 2, 3]).contains("integers of shape [2]"));
    assert!(lengths(tensor![1.0, 2.0]).contains("f32[2]"));
    assert!(message(|| rnn.with_carry().apply(&params, &Tensor::zeros([5]))).contains("[batch.., sequence, channels]"));
    let carry = (Tensor::zeros([2, 3]), Tensor::zeros([2, 2]));
    let wrong = message(|| LstmCell::new(2).init_params(Key::new(0), &(carry, Tensor::zeros([2, 3]))));
    assert!(wrong.contains("LstmCell") && wrong.contains("[batch.., 2]"), "{wrong}");
    let shared = Rnn::with_initial_carry(|(n, x): &(Tensor, Tensor)| (n + 1.0, x.clone()), |_| Tensor::zeros([]));
    let wrong = message(|| shared.with_lengths().apply(&Params::empty(), &(x.clone(), tensor![5, 3])));
    assert!(wrong.contains("first axes are the batch"), "{wrong}");
}
