//! Activations and losses beside the numbers of JAX, Optax and PyTorch, which `fixtures/losses.py` wrote down.

mod common;

use common::*;
use jaxnet_autograd::{GradCheck, check_grads};
use jaxnet_nn::prelude::*;
use serde_json::Value;

type Function = fn(&Tensor) -> Tensor;
type Loss<'a> = Box<dyn Fn(&Tensor) -> Tensor + 'a>;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/losses.json")).unwrap()
}

/// Values and derivatives in the script's direction.
#[track_caller]
fn check(name: &str, f: impl Fn(&Tensor) -> Tensor, x: &Tensor, expected: &Value) {
    let y = f(x);
    let weights = Tensor::range(y.size()).astype(DType::F32).cos().reshape(y.shape().dims());
    let slope = grad(|x: Tensor| (f(&x) * &weights).sum())(x.clone());
    for (what, found) in [("value", y), ("slope", slope)] {
        let expected = recorded(&expected[what]);
        assert!(found.allclose(&expected, 2e-5, 2e-5), "{name}, {what}: {found} is not {expected}");
    }
}

#[test]
fn activations() {
    let fixture = fixture();
    let x = Tensor::linspace(-8.0, 8.0, 33);
    let functions: [(&str, Function); 34] = [
        ("celu", celu),
        ("elu", elu),
        ("gelu", gelu),
        ("gelu_exact", gelu_exact),
        ("hard_sigmoid", hard_sigmoid),
        ("hard_silu", hard_silu),
        ("hard_swish", hard_swish),
        ("hard_tanh", hard_tanh),
        ("leaky_relu", leaky_relu),
        ("log_sigmoid", log_sigmoid),
        ("log_softmax", log_softmax),
        ("mish", mish),
        ("relu", relu),
        ("relu6", relu6),
        ("selu", selu),
        ("sigmoid", sigmoid),
        ("silu", silu),
        ("soft_sign", softsign),
        ("softmax", softmax),
        ("softplus", softplus),
        ("squareplus", squareplus),
        ("standardize", standardize),
        ("swish", swish),
        ("tanh", tanh),
        ("identity", identity),
        ("glu", glu),
        ("sparse_plus", sparse_plus),
        ("sparse_sigmoid", sparse_sigmoid),
        ("elu_alpha", |x| elu_alpha(x, 2.0)),
        ("celu_alpha", |x| celu_alpha(x, 2.0)),
        ("leaky_relu_slope", |x| leaky_relu_slope(x, 0.3)),
        ("softmax_axis", |x| softmax_axis(&x.reshape([3, 11]), 0).flatten()),
        ("log_softmax_axis", |x| log_softmax_axis(&x.reshape([3, 11]), 0).flatten()),
        ("standardize_axis", |x| standardize_axis(&x.reshape([3, 11]), 0).flatten()),
    ];
    let expected = &fixture["jax"]["activations"];
    assert_eq!(expected.as_object().unwrap().len(), functions.len());
    for (name, f) in functions {
        let at = if name == "glu" { x.i(..-1) } else { x.clone() };
        check(name, f, &at, &expected[name]);
    }
    assert_recorded(&mish(&x), &fixture["torch"]["mish"]);
    let prelu = PRelu::new();
    let params = prelu.init_params(Key::new(0), &x);
    assert_eq!(params["slope"].to_vec::<f32>(), [0.01]);
    assert_recorded(&prelu.apply(&params.with("slope", &Tensor::from(0.3)), &x), &fixture["torch"]["prelu"]);
    let per_channel = PRelu::new().per_channel();
    let x = wave([2, 3], 0.7);
    let params = per_channel.init_params(Key::new(0), &x).with("slope", &tensor![0.0, 1.0, 2.0]);
    let expected = x.ge(0).select(&x, &x * tensor![0.0, 1.0, 2.0]);
    assert_near(&per_channel.apply(&params, &x), &expected, 0.0);
    check_module(&per_channel, &(x.astype(DType::F64) + 0.1), 1);
    assert!(message(|| per_channel.init_params(Key::new(0), &Tensor::zeros([]))).contains("PRelu"));
}

#[test]
fn losses_give_what_optax_gives() {
    let fixture = fixture();
    let (a, b) = (wave([3, 5], 0.7) * 3.0 + 0.1, wave([3, 5], 1.3));
    let (p, hard) = (softmax(&b), b.gt(0).astype(DType::F32));
    let labels = tensor![4, 0, 2];
    let one_hot = labels.one_hot(5);
    let area = hard.expand_dims(0);
    let losses: Vec<(&str, Loss)> = vec![
        ("softmax_cross_entropy", Box::new(|x| softmax_cross_entropy(x, &p))),
        ("smoothed", Box::new(|x| softmax_cross_entropy(x, &smooth_labels(&one_hot, 0.1)))),
        ("integer", Box::new(|x| softmax_cross_entropy_with_integer_labels(x, &labels))),
        ("sigmoid", Box::new(|x| sigmoid_binary_cross_entropy(x, &p))),
        ("focal", Box::new(|x| sigmoid_focal_loss(x, &hard, 2.0))),
        ("focal_soft", Box::new(|x| sigmoid_focal_loss(x, &p, 1.5))),
        ("poly", Box::new(|x| poly_loss_cross_entropy(x, &one_hot, 2.0))),
        ("squared_error", Box::new(|x| squared_error(x, &b))),
        ("l2", Box::new(|x| l2_loss(x, &b))),
        ("absolute_error", Box::new(|x| absolute_error(x, &b))),
        ("huber", Box::new(|x| huber_loss(x, &b, 0.7))),
        ("log_cosh", Box::new(|x| log_cosh(x, &b))),
        ("hinge", Box::new(|x| hinge_loss(x, &(&hard * 2.0 - 1.0)))),
        ("kl", Box::new(|x| kl_divergence(&log_softmax(x), &p))),
        ("kl_log", Box::new(|x| kl_divergence_with_log_targets(&log_softmax(x), &p.log()))),
        ("generalized_kl", Box::new(|x| generalized_kl_divergence(x, &p))),
        ("perceptron", Box::new(|x| perceptron_loss(x, &(&hard * 2.0 - 1.0)))),
        ("multiclass_hinge", Box::new(|x| multiclass_hinge_loss(x, &labels))),
        ("multiclass_perceptron", Box::new(|x| multiclass_perceptron_loss(x, &labels))),
        ("sparsemax", Box::new(|x| sparsemax_loss(x, &hard))),
        ("multiclass_sparsemax", Box::new(|x| multiclass_sparsemax_loss(x, &labels))),
        ("triplet", Box::new(|x| triplet_margin_loss(x, &b, &b.flip(0), 0.5))),
        ("ntxent", Box::new(|x| ntxent(x, &tensor![1, 0, 1], 0.3))),
        ("dice", Box::new(|x| dice_loss(&softmax(x).expand_dims(1), &p.expand_dims(1), 1.0))),
        ("tversky", Box::new(|x| tversky_loss(&softmax(x).expand_dims(0), &area, 0.3, 0.7, 0.1).mean_axis(-1))),
        ("ranking", Box::new(|x| softmax_cross_entropy(x, &hard).mean())),
        ("cosine_similarity", Box::new(|x| cosine_similarity(x, &b))),
        ("cosine_distance", Box::new(|x| cosine_distance(x, &b))),
    ];
    let expected = &fixture["jax"]["losses"];
    assert_eq!(expected.as_object().unwrap().len(), losses.len());
    for (name, f) in losses {
        check(name, &f, &a, &expected[name]);
        // Other shapes are refused.
        assert!(message(|| f(&wave([2, 4], 1.0))).contains("4"), "{name}");
    }
}

#[test]
fn losses_at_the_ends() {
    let slope = |f: &dyn Fn(&Tensor) -> Tensor, x: Tensor| grad(|x: Tensor| f(&x).sum())(x);
    // Targets that are certain, and logits that are.
    let (far, yes) = (tensor![1e4, -1e4], tensor![1.0, 1.0]);
    for gamma in [0.0, 0.5, 2.0] {
        let y = sigmoid_focal_loss(&far, &yes, gamma).to_vec::<f32>();
        assert_eq!((y[0], y[1]), (0.0, 1e4), "{gamma}");
        assert!(slope(&|x| sigmoid_focal_loss(x, &yes, gamma), far.clone()).is_finite().all().item::<bool>());
        assert!(slope(&|x| sigmoid_focal_loss(x, &(1.0 - &yes), gamma), far.clone()).is_finite().all().item::<bool>());
    }
    let small = sigmoid_focal_loss(&tensor![20.0], &tensor![1.0], 1.0).item::<f64>();
    assert!((small / (-40.0_f64).exp() - 1.0).abs() < 1e-3, "{small}");
    // What cannot happen, and does not.
    let log = tensor![0.0, f32::NEG_INFINITY];
    assert_eq!(kl_divergence(&log, &tensor![1.0, 0.0]).item::<f32>(), 0.0);
    assert_eq!(kl_divergence_with_log_targets(&log, &log).item::<f32>(), 0.0);
    assert_eq!(slope(&|x| kl_divergence(x, &tensor![1.0, 0.0]), log.clone()).to_vec::<f32>(), [-1.0, 0.0]);
    assert_eq!(slope(&|t| kl_divergence(&log, t), tensor![1.0, 0.0]).to_vec::<f32>(), [1.0, 0.0]);
    assert_eq!(kl_divergence(&log, &tensor![0.5, 0.5]).item::<f32>(), f32::INFINITY);
    // Directions of nothing.
    let zero = tensor![0.0, 0.0];
    assert_eq!(cosine_similarity(&zero, &tensor![1.0, 0.0]).item::<f32>(), 0.0);
    assert!(slope(&|x| cosine_similarity(x, &tensor![1.0, 0.0]), zero).is_finite().all().item::<bool>());
    let big = tensor![3e4, 4e4].astype(DType::F16);
    let same = cosine_similarity(&big, &big);
    assert_eq!((same.dtype(), same.item::<f32>().round()), (DType::F16, 1.0));
    // Nothing of the same label, what has no probability, and what is nothing.
    let one = ntxent(&tensor![[1.0, 0.0], [0.0, 1.0]], &tensor![0, 1], 0.1);
    assert!(one.is_nan().item::<bool>());
    let sure = |x: &Tensor| ntxent(x, &tensor![0, 0, 1, 1], 0.01);
    let vectors = tensor![[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]];
    assert!(slope(&sure, vectors).is_finite().all().item::<bool>());
    let scores = tensor![[0.0, f32::NEG_INFINITY, -0.5]];
    assert_eq!(multiclass_sparsemax_loss(&scores, &tensor![0]).to_vec::<f32>(), [0.0625]);
    assert_eq!(sparsemax(&scores).to_vec::<f32>(), [0.75, 0.0, 0.25]);
    assert!(sparsemax(&tensor![0.0, f32::NAN]).is_nan().all().item::<bool>());
    let x = (wave([3, 5], 0.7) * 2.0).astype(DType::F64);
    check_grads(|x: Tensor| sparsemax_axis(&x, 0), x.clone(), GradCheck::default()).unwrap();
    assert_near(&vmap(|x: Tensor| sparsemax(&x))(x.clone()), &sparsemax(&x), 0.0);
    assert!(sparsemax_axis(&x, 0).sum_axis(0).allclose(1.0, 1e-12, 0.0));
    assert_eq!(sparsemax(&Tensor::zeros([0, 3])).shape().dims(), [0, 3]);
    let fast = jit(|labels: Tensor| multiclass_hinge_loss(&tensor![[0.0, 1.0], [0.0, 1.0]], &labels));
    let y = fast.call(tensor![0, 2]).to_vec::<f32>();
    assert!(y[0] == 2.0 && y[1].is_nan(), "{y:?}");
    assert_eq!(dice_loss(&Tensor::zeros([1, 4, 2]), &Tensor::zeros([1, 4, 2]), 1.0).to_vec::<f32>(), [0.0, 0.0]);
    // Far out and at the kinks.
    let x = tensor![1e4, -1e4, 0.7, 0.0];
    assert_eq!(slope(&|x| huber_loss(x, &x.zeros_like(), 0.7), x.clone()).to_vec::<f32>(), [0.7, -0.7, 0.7, 0.0]);
    assert_eq!(slope(&|x| log_cosh(x, &x.zeros_like()), x.clone()).to_vec::<f32>()[..2], [1.0, -1.0]);
    let second = grad(|x: Tensor| grad(|x: Tensor| log_cosh(&x, &x.zeros_like()))(x))(Tensor::from(0.0));
    assert!((second.item::<f64>() - 1.0).abs() < 1e-6);
}

fn ctc_case() -> (Tensor, Tensor, Tensor, Tensor) {
    let labels = tensor![[1, 2, 2, 3], [3, 1, 4, 0], [2, 0, 0, 0]];
    (wave([3, 9, 5], 0.7) * 2.0, tensor![9, 8, 3], labels, tensor![4, 3, 1])
}

#[test]
fn ctc_gives_what_optax_and_pytorch_give() {
    let (logits, steps, labels, lengths) = ctc_case();
    let fixture = fixture();
    for library in ["jax", "torch"] {
        check(library, |x| ctc_loss(x, &steps, &labels, &lengths, 0), &logits, &fixture[library]["ctc"]);
    }
    // Another blank is another name.
    let (moved, names) = (logits.roll(2, -1), (&labels + 2).modulo(5));
    let loss = ctc_loss(&logits, &steps, &labels, &lengths, 0);
    assert_near(&ctc_loss(&moved, &steps, &names, &lengths, 2), &loss, 1e-5);
    // Compiled, mapped, with more batch axes or none, and of wider integers.
    let f = |(x, s, l, n): (Tensor, Tensor, Tensor, Tensor)| ctc_loss(&x, &s, &l, &n, 0);
    let case = ctc_case();
    assert_near(&jit(f).call(case.clone()), &loss, 1e-5);
    assert_near(&vmap(f)(case.clone()), &loss, 1e-5);
    let deeper = f((logits.expand_dims(0), steps.expand_dims(0), labels.expand_dims(0), lengths.expand_dims(0)));
    assert_near(&deeper, &loss.expand_dims(0), 1e-5);
    let one = f((logits.i(1), steps.i(1), labels.i(1).astype(DType::I64), lengths.i(1).astype(DType::U8)));
    assert_near(&one, &loss.i(1), 1e-5);
}

#[test]
fn ctc_is_a_probability() {
    // Of all sequences of up to three labels that three steps over two labels can give, by brute force.
    let logits = wave([3, 3], 0.7).astype(DType::F64);
    let p = softmax(&logits).to_vec::<f64>();
    let mut by_hand = std::collections::HashMap::new();
    for path in 0..27 {
        let path = [path / 9, path / 3 % 3, path % 3];
        let mut labels = path.to_vec();
        labels.dedup();
        labels.retain(|&label| label != 0);
        *by_hand.entry(labels).or_insert(0.0) += (0..3).map(|t| p[t * 3 + path[t]]).product::<f64>();
    }
    let loss = |labels: &[usize]| {
        let padded: Vec<i32> = labels.iter().map(|&l| l as i32).chain(std::iter::repeat(0)).take(3).collect();
        let length = Tensor::from(labels.len() as i32);
        ctc_loss(&logits, &Tensor::from(3), &Tensor::from(padded), &length, 0).item::<f64>()
    };
    for (labels, p) in &by_hand {
        assert!((loss(labels) + p.ln()).abs() < 1e-10, "{labels:?}");
    }
    assert_eq!((loss(&[1, 1, 2]), loss(&[1, 1, 1])), (f64::INFINITY, f64::INFINITY));
    let (value, slope) =
        value_and_grad(|x: Tensor| ctc_loss(&x, &tensor![2, 3], &tensor![[1, 1], [1, 2]], &tensor![2, 2], 0).sum())(
            wave([2, 3, 3], 0.7),
        );
    assert_eq!(value.item::<f32>(), f32::INFINITY);
    assert!(slope.i(0).eq(0).all().item::<bool>() && slope.i(1).is_finite().all().item::<bool>());
    let f = |x: Tensor| ctc_loss(&x, &Tensor::from(3), &tensor![1, 2], &Tensor::from(2), 0);
    check_grads(f, logits, GradCheck { order: 2, tolerance: 1e-4, ..GradCheck::default() }).unwrap();
    // Nothing at all is certain; no labels are blanks only.
    let none = Tensor::zeros([0]).astype(DType::I32);
    let zero = Tensor::from(0);
    assert_eq!(ctc_loss(&Tensor::zeros([0, 3]), &zero, &none, &zero, 0).item::<f32>(), 0.0);
    let blanks = ctc_loss(&Tensor::zeros([2, 3]), &Tensor::from(2), &none, &zero, 0).item::<f64>();
    assert!((blanks - 9_f64.ln()).abs() < 1e-6);
    // Classes that are ruled out.
    let ruled = tensor![[0.0, f32::NEG_INFINITY, 0.0], [0.0, f32::NEG_INFINITY, 0.0]];
    let y = |label: i32| ctc_loss(&ruled, &Tensor::from(2), &Tensor::from([label]), &Tensor::from(1), 0).item::<f32>();
    assert_eq!(y(1), f32::INFINITY);
    assert!((y(2) - (4.0_f32 / 3.0).ln()).abs() < 1e-5);
}

#[test]
fn ctc_refuses_what_does_not_fit() {
    let (logits, steps, labels, lengths) = ctc_case();
    assert!(message(|| ctc_loss(&logits, &steps, &labels, &tensor![4, 3], 0)).contains("label_lengths [2]"));
    assert!(message(|| ctc_loss(&logits, &tensor![10, 8, 3], &labels, &lengths, 0)).contains("length of 10"));
    assert!(message(|| ctc_loss(&logits, &steps, &labels, &lengths, 5)).contains("blank 5"));
    assert!(message(|| ctc_loss(&logits, &steps, &labels, &lengths, 2)).contains("is the blank"));
    assert!(message(|| ctc_loss(&logits, &steps, &(&labels + 3), &lengths, 0)).contains("label 5"));
    assert!(message(|| ctc_loss(&logits, &steps, &labels.astype(DType::F32), &lengths, 0)).contains("integers"));
    let f = |(x, l): (Tensor, Tensor)| ctc_loss(&x, &steps, &l, &lengths, 0);
    assert_eq!(jit(f).call((logits, labels.at((0, 1)).set(7))).is_nan().to_vec::<bool>(), [true, false, false]);
}

#[test]
fn logistic_mixtures_are_those_of_pixelcnn() {
    let expected = &fixture()["jax"]["mixture"];
    let x = recorded(&expected["values"]);
    let double = |x: Tensor| x.astype(DType::F64);
    for convert in [|x: Tensor| x, double] {
        let parameters = convert(wave([2, 3, 20], 0.7) * 2.0);
        assert_recorded(&discretized_logistic_mixture_loss(&parameters, &x, 256), &expected["colors"]);
        let (parameters, grey) = (convert(wave([7, 9], 0.7) * 9.0), recorded(&expected["greys"]));
        assert_recorded(&discretized_logistic_mixture_loss(&parameters, &grey, 16), &expected["grey"]);
    }
    // All levels together are certain, by channel and in the chain of three.
    for levels in [2, 16, 256] {
        let x = Tensor::linspace(-1.0, 1.0, levels).expand_dims(-1).astype(DType::F64);
        let parameters = wave([9], 1.1).astype(DType::F64).broadcast_to([levels, 9]);
        let sum = (-discretized_logistic_mixture_loss(&parameters, &x, levels)).exp().sum().item::<f64>();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
    let line = Tensor::linspace(-1.0, 1.0, 5).astype(DType::F64);
    let all = Tensor::stack(&Tensor::meshgrid(&[line.clone(), line.clone(), line]), -1);
    let parameters = (wave([20], 1.1).astype(DType::F64)).broadcast_to([5, 5, 5, 20]);
    let sum = (-discretized_logistic_mixture_loss(&parameters, &all, 5)).exp().sum().item::<f64>();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    // Derivatives; and numbers far out.
    let f = |p: Tensor| discretized_logistic_mixture_loss(&p, &x.astype(DType::F64), 256);
    let check = GradCheck { order: 1, tolerance: 1e-4, ..GradCheck::default() };
    check_grads(f, wave([2, 3, 20], 0.7).astype(DType::F64), check).unwrap();
    let (value, slope) =
        value_and_grad(|p: Tensor| discretized_logistic_mixture_loss(&p, &x, 256).sum())(wave([2, 3, 20], 0.7) * 1e3);
    assert!(value.is_finite().item::<bool>() && slope.is_finite().all().item::<bool>());
}

#[test]
fn samples_of_logistic_mixtures_are_as_likely_as_they_should_be() {
    let (levels, count) = (5, 20000);
    let parameters = tensor![0.4, -0.5, -0.6, 0.3, -1.5, -1.0];
    let drawn = sample_logistic_mixture(Key::new(0), &parameters.broadcast_to([count, 6]), 1);
    assert_eq!(drawn.shape().dims(), [count, 1]);
    let line = Tensor::linspace(-1.0, 1.0, levels);
    let p = (-discretized_logistic_mixture_loss(&parameters.broadcast_to([levels, 6]), &line.expand_dims(-1), levels))
        .exp();
    let nearest = ((drawn + 1.0) * 2.0).round();
    for level in 0..levels {
        let share = nearest.eq(level as f64).mean().item::<f64>();
        assert!((share - p.i(level as isize).item::<f64>()).abs() < 0.015, "{level}: {share}");
    }
    // Green follows red where its coefficient says so.
    let logits_means_scales = tensor![0.0, 0.0, -2.0, 3.0, 0.0, -7.0, 0.0, 0.0, -7.0, 0.0];
    let drawn = sample_logistic_mixture(Key::new(0), &logits_means_scales.broadcast_to([500, 10]), 3);
    let (red, green, blue) = (drawn.i((.., 0)), drawn.i((.., 1)), drawn.i((.., 2)));
    assert!((green - &red * 3_f64.tanh()).abs().max().item::<f64>() < 0.02);
    assert!(blue.abs().max().item::<f64>() < 0.02 && red.std().item::<f64>() > 0.1);
    let op =
        |channels, shape: &[usize]| message(|| sample_logistic_mixture(Key::new(0), &Tensor::zeros(shape), channels));
    assert!(op(2, &[10]).contains("1 or 3 channels") && op(3, &[4, 15]).contains("[4, 15]"));
    assert!(
        message(|| discretized_logistic_mixture_loss(&Tensor::zeros([4, 10]), &Tensor::zeros([5, 3]), 256))
            .contains("same axes")
    );
    assert!(
        message(|| discretized_logistic_mixture_loss(&Tensor::zeros([10]), &Tensor::zeros([3]), 1)).contains("two")
    );
}
