//! Activations, losses and initializers against their definitions, at their kinks and far out.

mod common;

use common::assert_recorded;
use jaxnet_nn::init::{Distribution, Fan, Initializer, variance_scaling};
use jaxnet_nn::prelude::*;

type Function = fn(&Tensor) -> Tensor;

fn erf(x: f64) -> f64 {
    Tensor::scalar(x).erf().item()
}

fn log1pexp(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid_of(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// An activation, its definition, and its derivative at 0 as JAX has it.
type Row = (&'static str, Function, fn(f64) -> f64, f64);

fn activations() -> Vec<Row> {
    let selu_scale = 1.0507009873554805;
    vec![
        ("relu", relu, |x| x.max(0.0), 0.0),
        ("relu6", relu6, |x| x.clamp(0.0, 6.0), 0.0),
        ("leaky_relu", leaky_relu, |x| if x >= 0.0 { x } else { 0.01 * x }, 1.0),
        ("elu", elu, |x| if x > 0.0 { x } else { x.exp_m1() }, 1.0),
        (
            "selu",
            selu,
            |x| 1.0507009873554805 * if x > 0.0 { x } else { 1.6732632423543772 * x.exp_m1() },
            selu_scale * 1.6732632423543772,
        ),
        ("celu", celu, |x| if x > 0.0 { x } else { x.exp_m1() }, 1.0),
        (
            "gelu",
            gelu,
            |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
            0.5,
        ),
        ("gelu_exact", gelu_exact, |x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())), 0.5),
        ("silu", silu, |x| x * sigmoid_of(x), 0.5),
        ("swish", swish, |x| x * sigmoid_of(x), 0.5),
        ("softplus", softplus, log1pexp, 0.5),
        ("softsign", softsign, |x| x / (1.0 + x.abs()), 1.0),
        ("sigmoid", sigmoid, sigmoid_of, 0.25),
        ("log_sigmoid", log_sigmoid, |x| -log1pexp(-x), 0.5),
        ("tanh", tanh, f64::tanh, 1.0),
        ("hard_tanh", hard_tanh, |x| x.clamp(-1.0, 1.0), 1.0),
        ("hard_sigmoid", hard_sigmoid, |x| (x + 3.0).clamp(0.0, 6.0) / 6.0, 1.0 / 6.0),
        ("hard_swish", hard_swish, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0, 0.5),
        ("hard_silu", hard_silu, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0, 0.5),
        ("squareplus", squareplus, |x| if x >= 0.0 { (x + x.hypot(2.0)) / 2.0 } else { 2.0 / (x.hypot(2.0) - x) }, 0.5),
        ("identity", identity, |x| x, 1.0),
        ("mish", mish, |x| x * log1pexp(x).tanh(), 0.6),
    ]
}

fn derivative(f: Function, x: &Tensor) -> Tensor {
    grad(|x: Tensor| f(&x).sum())(x.clone())
}

#[test]
fn activations_are_as_defined() {
    let x: Vec<f64> = vec![-20.0, -7.5, -2.9, -1.5, -0.7, -1e-3, 0.0, 1e-3, 0.3, 0.9, 1.7, 2.5, 5.0, 8.0, 20.0];
    for (name, f, definition, _) in activations() {
        for dtype in [DType::F32, DType::F64] {
            let tolerance = if dtype == DType::F32 { 1e-5 } else { 1e-12 };
            let t = Tensor::from(x.clone()).astype(dtype);
            let y = f(&t);
            assert_eq!(y.dtype(), dtype, "{name}");
            let slopes = derivative(f, &t).astype(DType::F64).to_vec::<f64>();
            for ((&x, y), slope) in x.iter().zip(y.astype(DType::F64).to_vec::<f64>()).zip(slopes) {
                let expected = definition(x);
                assert!(
                    (y - expected).abs() <= tolerance * expected.abs().max(1.0),
                    "{name}({x}): {y}, not {expected}"
                );
                if x != 0.0 {
                    let numeric = (definition(x + 1e-5) - definition(x - 1e-5)) / 2e-5;
                    assert!(
                        (slope - numeric).abs() <= 1e-4 * numeric.abs().max(1.0),
                        "{name}'({x}): {slope}, not {numeric}"
                    );
                }
            }
        }
        // In sequences; half precision stays; nothing becomes nothing.
        assert_eq!(sequential![f].apply(&Params::empty(), &Tensor::ones([2, 0])).shape().dims(), [2, 0]);
        assert_eq!(f(&Tensor::ones([3]).astype(DType::BF16)).dtype(), DType::BF16, "{name}");
        assert_eq!(f(&Tensor::ones([])).rank(), 0, "{name}");
    }
}

#[test]
fn derivatives_at_kinks_are_those_of_jax() {
    for (name, f, _, slope) in activations() {
        let found = derivative(f, &tensor![0.0]).item::<f64>();
        assert!((found - slope).abs() < 1e-6, "{name}'(0): {found}, not {slope}");
    }
    assert_eq!(derivative(relu6, &tensor![6.0, 5.9, 6.1]).to_vec::<f32>(), [0.0, 1.0, 0.0]);
    assert_eq!(derivative(hard_tanh, &tensor![-1.0, 1.0, 1.5, -1.5]).to_vec::<f32>(), [1.0, 1.0, 0.0, 0.0]);
    // The second derivative, which pieces do not give away.
    let second = grad(|x: Tensor| grad(|x: Tensor| softplus(&x))(x))(Tensor::scalar(0.0_f32));
    assert!((second.item::<f64>() - 0.25).abs() < 1e-6);
    let mapped = vmap(|x: Tensor| softplus(&x))(tensor![-1.0, 1.0]);
    assert!(mapped.allclose(softplus(&tensor![-1.0, 1.0]), 1e-6, 0.0));
}

#[test]
fn activations_stay_numbers_far_out() {
    for (name, f, definition, _) in activations() {
        for (dtype, far) in
            [(DType::F32, 1e4), (DType::F64, 1e4), (DType::F16, 1e4), (DType::BF16, 1e4), (DType::F32, 1e18)]
        {
            for x in [far, -far] {
                let t = Tensor::scalar(x).astype(dtype);
                let (y, slope) = (f(&t).item::<f64>(), derivative(f, &t).item::<f64>());
                let expected = definition(x);
                assert!(
                    (y - expected).abs() <= 2e-2 * expected.abs().max(1.0),
                    "{name}({x}) in {dtype}: {y}, not {expected}"
                );
                let limit = ((definition(x + 1.0) - definition(x - 1.0)) / 2.0).clamp(-2.0, 2.0);
                let limit = if far > 1e17 { limit.round() } else { limit };
                assert!(slope.is_finite(), "{name}'({x}) in {dtype}: {slope}");
                if far < 1e17 {
                    assert!((slope - limit).abs() < 2e-2, "{name}'({x}) in {dtype}: {slope}, not {limit}");
                }
            }
        }
    }
    // Limits at infinity, where there are any; NaN stays.
    let ends = tensor![f32::NEG_INFINITY, f32::INFINITY];
    for (f, low, high) in [
        (relu as Function, 0.0, f32::INFINITY),
        (elu, -1.0, f32::INFINITY),
        (softplus, 0.0, f32::INFINITY),
        (sigmoid, 0.0, 1.0),
        (log_sigmoid, f32::NEG_INFINITY, 0.0),
        (hard_tanh, -1.0, 1.0),
        (hard_sigmoid, 0.0, 1.0),
        (relu6, 0.0, 6.0),
    ] {
        assert_eq!(f(&ends).to_vec::<f32>(), [low, high]);
        assert!(!derivative(f, &ends).is_nan().any().item::<bool>());
    }
    for (name, f, ..) in activations() {
        assert!(f(&tensor![f32::NAN]).item::<f32>().is_nan(), "{name}");
    }
}

#[test]
fn softmax_of_anything() {
    let x = tensor![[1.0, 2.0, 3.0], [1e4, -1e4, 0.0], [f32::NEG_INFINITY, 0.0, 0.0]];
    let y = softmax(&x);
    let e: Vec<f64> = [1.0, 2.0, 3.0].map(f64::exp).to_vec();
    let first = e.iter().map(|x| x / e.iter().sum::<f64>()).collect::<Vec<_>>();
    for (a, b) in y.i(0).to_vec::<f32>().iter().zip(&first) {
        assert!((*a as f64 - b).abs() < 1e-6);
    }
    assert_eq!(y.i(1).to_vec::<f32>(), [1.0, 0.0, 0.0]);
    assert_eq!(y.i(2).to_vec::<f32>(), [0.0, 0.5, 0.5]);
    // Small differences of large numbers are not lost.
    let near = log_softmax(&tensor![1e4, 1e4 + 1.0]).to_vec::<f32>();
    assert!((near[0] + 1.0_f32.exp().ln_1p()).abs() < 1e-5, "{near:?}");
    assert_eq!(log_softmax(&tensor![1e4, -1e4]).to_vec::<f32>(), [0.0, -2e4]);
    // The derivative of each: diag(y) - y yᵀ, and 1 - y.
    let row = tensor![0.3, -1.0, 2.0];
    let y = softmax(&row);
    let jacobian = jacrev(|x: Tensor| softmax(&x))(row.clone());
    let outer = y.expand_dims(-1) * y.expand_dims(0);
    assert!(jacobian.allclose(y.diag() - outer, 1e-5, 1e-6));
    let jacobian = jacrev(|x: Tensor| log_softmax(&x))(row);
    assert!(jacobian.allclose(Tensor::eye(3) - y.expand_dims(0), 1e-5, 1e-6));
    for f in [softmax as Function, log_softmax] {
        let weights = tensor![1.0, 2.0, 3.0];
        let slopes = grad(|x: Tensor| (f(&x).max_keepdims(-1) * &weights).sum())(x.clone());
        assert!(slopes.is_finite().all().item::<bool>());
    }
    // Another axis; integers; empty.
    let x = Key::new(0).normal([2, 3]);
    let columns = softmax_axis(&x, 0);
    assert!(columns.sum_axis(0).allclose(Tensor::ones([3]), 1e-6, 0.0));
    assert!(log_softmax_axis(&x, 0).allclose(columns.log(), 1e-5, 1e-6));
    assert_eq!(softmax(&tensor![1, 1]).to_vec::<f32>(), [0.5, 0.5]);
    assert_eq!(softmax(&Tensor::zeros([2, 0])).shape().dims(), [2, 0]);
}

#[test]
fn functions_of_axes() {
    let x = tensor![[1.0, 2.0, 0.0, 1000.0], [3.0, 4.0, 0.0, -1000.0]];
    assert_eq!(glu(&x).to_vec::<f32>(), [0.5, 2.0, 1.5, 0.0]);
    assert_eq!(glu_axis(&x, 0).shape().dims(), [1, 4]);
    assert!(try_catch(|| glu(&Tensor::zeros([2, 3]))).unwrap_err().to_string().contains("odd"));
    let y = standardize(&(Key::new(0).normal([5, 100]) * 7.0 + 1000.0));
    assert!(y.mean_axis(-1).allclose(Tensor::zeros([5]), 0.0, 1e-4));
    assert!(y.std_axis(-1).allclose(Tensor::ones([5]), 1e-3, 0.0));
    assert!(standardize_axis(&x, 0).i(0).allclose(-standardize_axis(&x, 0).i(1), 1e-5, 1e-6));
    assert_eq!(flatten(&Tensor::zeros([4])).shape().dims(), [4, 1]);
    assert_eq!(flatten(&Tensor::zeros([0, 2, 3])).shape().dims(), [0, 6]);
    assert!(try_catch(|| flatten(&Tensor::zeros([]))).unwrap_err().to_string().contains("flatten"));
    assert_eq!(leaky_relu_slope(&tensor![-2.0], 0.5).item::<f32>(), -1.0);
    assert!((elu_alpha(&tensor![-1.0], 2.0).item::<f64>() - 2.0 * (-1.0_f64).exp_m1()).abs() < 1e-6);
    assert!((celu_alpha(&tensor![-1.0], 2.0).item::<f64>() - 2.0 * (-0.5_f64).exp_m1()).abs() < 1e-6);
}

#[test]
fn cross_entropies_agree() {
    let logits = Key::new(0).normal([4, 5, 3]) * 10.0;
    let labels = Key::new(1).randint([4, 5], 0, 3);
    let one_hot = labels.one_hot(3);
    let a = softmax_cross_entropy(&logits, &one_hot);
    let b = softmax_cross_entropy_with_integer_labels(&logits, &labels);
    assert_eq!(a.shape().dims(), [4, 5]);
    assert!(a.allclose(&b, 1e-5, 1e-5));
    let by_hand = -(log_softmax(&logits) * &one_hot).sum_axis(-1);
    assert!(a.allclose(&by_hand, 1e-5, 1e-5));
    let slope = |f: &dyn Fn(Tensor) -> Tensor| grad(f)(logits.clone());
    let expected = softmax(&logits) - &one_hot;
    assert!(slope(&|x| softmax_cross_entropy(&x, &one_hot).sum()).allclose(&expected, 1e-4, 1e-5));
    assert!(slope(&|x| softmax_cross_entropy_with_integer_labels(&x, &labels).sum()).allclose(&expected, 1e-4, 1e-5));
    // Masked classes do not count, in value or derivative.
    let masked = tensor![0.0, f32::NEG_INFINITY];
    let (value, slope) = value_and_grad(|x: Tensor| softmax_cross_entropy(&x, &tensor![1.0, 0.0]))(masked);
    assert_eq!((value.item::<f32>(), slope.to_vec::<f32>()), (0.0, vec![0.0, 0.0]));
    // For two classes the binary one, for probabilities too.
    let logit = tensor![0.3, -2.0, 5.0];
    let p = tensor![1.0, 0.0, 0.7];
    let two = Tensor::stack(&[logit.zeros_like(), logit.clone()], -1);
    let targets = Tensor::stack(&[1.0 - &p, p.clone()], -1);
    assert!(sigmoid_binary_cross_entropy(&logit, &p).allclose(softmax_cross_entropy(&two, &targets), 1e-5, 1e-6));
    let slope = grad(|x: Tensor| sigmoid_binary_cross_entropy(&x, &p).sum())(logit.clone());
    assert!(slope.allclose(logit.sigmoid() - &p, 1e-5, 1e-6));
    // Small losses are not rounded away; large ones do not overflow.
    let small = sigmoid_binary_cross_entropy(&tensor![20.0], &tensor![1.0]).item::<f64>();
    assert!((small / (-20.0_f64).exp() - 1.0).abs() < 1e-4, "{small}");
    let far = grad(|x: Tensor| sigmoid_binary_cross_entropy(&x, &tensor![0.0, 1.0]).sum())(tensor![1e4, -1e4]);
    assert_eq!(far.to_vec::<f32>(), [1.0, -1.0]);
}

#[test]
fn labels_that_are_no_classes_are_refused() {
    let logits = Tensor::zeros([2, 3]);
    let message = |labels: &Tensor| {
        try_catch(|| softmax_cross_entropy_with_integer_labels(&logits, labels)).unwrap_err().to_string()
    };
    assert!(message(&tensor![0, 3]).contains("label 3 is none of the 3 classes"));
    assert!(message(&tensor![-1, 0]).contains("label -1"));
    assert!(message(&tensor![0.0, 1.0]).contains("integers"));
    assert!(message(&tensor![[0, 1]]).contains("[1, 2]"));
    assert!(try_catch(|| accuracy(&logits, &tensor![0, 3])).is_err());
    // Where they are not known yet, the loss is no number.
    let loss = jit(|(x, l): (Tensor, Tensor)| softmax_cross_entropy_with_integer_labels(&x, &l));
    let y = loss.call((logits.clone(), tensor![2, 3])).to_vec::<f32>();
    assert!((y[0] - 3.0_f32.ln()).abs() < 1e-6 && y[1].is_nan(), "{y:?}");
    assert!(loss.call((logits.clone(), tensor![2, -1])).to_vec::<f32>()[1].is_nan());
    let loss = jit(|(x, l): (Tensor, Tensor)| softmax_cross_entropy_with_integer_labels(&x, &l));
    assert!(loss.call((logits, tensor![2_u8, 1_u8])).is_finite().all().item::<bool>());
    for f in [mse, sigmoid_binary_cross_entropy, softmax_cross_entropy] {
        let message = try_catch(|| f(&Tensor::zeros([3, 1]), &Tensor::zeros([3]))).unwrap_err().to_string();
        assert!(message.contains("[3, 1]") && message.contains("[3]"), "{message}");
    }
    assert_eq!(
        softmax_cross_entropy_with_integer_labels(&Tensor::zeros([0, 3]), &Tensor::zeros([0]).astype(DType::I32))
            .size(),
        0
    );
}

fn draw(init: impl Initializer, shape: impl Into<Shape>) -> Tensor {
    init.initialize(Key::new(0), &shape.into())
}

#[test]
fn initializers_give_what_jax_gives() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("fixtures/init.json")).unwrap();
    let initializers: [(&str, Box<dyn Initializer>); 11] = [
        ("normal", Box::new(normal(0.5))),
        ("uniform", Box::new(uniform(0.5))),
        ("truncated_normal", Box::new(truncated_normal(0.5))),
        ("glorot_normal", Box::new(glorot_normal())),
        ("glorot_uniform", Box::new(glorot_uniform())),
        ("he_normal", Box::new(he_normal())),
        ("he_uniform", Box::new(he_uniform())),
        ("lecun_normal", Box::new(lecun_normal())),
        ("lecun_uniform", Box::new(lecun_uniform())),
        ("orthogonal", Box::new(orthogonal(0.5))),
        ("fan_avg", Box::new(variance_scaling(2.0, Fan::Average, Distribution::Uniform))),
    ];
    assert_eq!(fixture.as_object().unwrap().len(), initializers.len());
    for (name, initializer) in initializers {
        for (kind, shape) in [("dense", Shape::from([5, 4])), ("conv", Shape::from([3, 2, 4, 6]))] {
            assert_recorded(&initializer.initialize(Key::new(7), &shape), &fixture[name][kind]);
        }
    }
}

#[test]
fn initializers_have_the_variance_they_say() {
    let shape = [3, 5, 40, 60];
    let (fan_in, fan_out) = (600.0, 900.0);
    let check = |x: Tensor, variance: f64, bound: f64| {
        assert_eq!(x.shape().dims(), shape);
        assert!(x.mean().item::<f64>().abs() < 4.0 * (variance / 36000.0).sqrt());
        let found = x.var().item::<f64>();
        assert!((found / variance - 1.0).abs() < 0.03, "{found} is not {variance}");
        let most = x.abs().max().item::<f64>();
        assert!(most <= bound && most > 0.9 * bound, "{most} is not below {bound}");
    };
    // Truncated at two standard deviations of the distribution that is cut off, which has 0.8796 times that.
    let cut = |variance: f64| 2.0 * variance.sqrt() / 0.8796256610342398;
    let flat = |variance: f64| (3.0 * variance).sqrt();
    for (variance, normal, uniform) in [
        (2.0 / (fan_in + fan_out), draw(glorot_normal(), shape), draw(glorot_uniform(), shape)),
        (2.0 / fan_in, draw(he_normal(), shape), draw(he_uniform(), shape)),
        (1.0 / fan_in, draw(lecun_normal(), shape), draw(lecun_uniform(), shape)),
    ] {
        check(normal, variance, cut(variance));
        check(uniform, variance, flat(variance));
    }
    let out = draw(variance_scaling(1.0, Fan::Out, Distribution::Normal), shape);
    assert!((out.var().item::<f64>() * fan_out - 1.0).abs() < 0.03);
    check(draw(truncated_normal(3.0), shape), 9.0 * 0.8796256610342398_f64.powi(2), 6.0);
    let x = draw(uniform(4.0), shape);
    assert!(x.min().item::<f32>() >= 0.0 && x.max().item::<f32>() < 4.0);
    assert!((x.mean().item::<f64>() - 2.0).abs() < 0.05);
    assert!((draw(normal(0.5), shape).std().item::<f64>() - 0.5).abs() < 0.01);
    assert_eq!(draw(constant(2.5), [2]).to_vec::<f32>(), [2.5, 2.5]);
    assert_eq!(draw(ones(), [2]).to_vec::<f32>(), [1.0, 1.0]);
    assert_eq!(draw(zeros(), [2]).to_vec::<f32>(), [0.0, 0.0]);
    assert_eq!(draw(glorot_normal(), [0, 3]).shape().dims(), [0, 3]);
    for shape in [&[][..], &[3]] {
        let message = try_catch(|| draw(he_normal(), shape)).unwrap_err().to_string();
        assert!(message.contains("fan_in") && message.contains("normal(std)"), "{message}");
        assert!(try_catch(|| draw(orthogonal(1.0), shape)).is_err());
    }
}

#[test]
fn orthogonal_matrices() {
    for shape in [&[1, 1][..], &[5, 5], &[3, 7], &[7, 3], &[2, 3, 4], &[100, 130], &[130, 100], &[200, 200]] {
        let x = draw(orthogonal(2.0), shape);
        assert_eq!(x.shape().dims(), shape);
        let columns = *shape.last().unwrap();
        let matrix = x.reshape([x.size() / columns, columns]);
        let rows = matrix.dim(0);
        let products = if rows < columns { matrix.matmul(matrix.mt()) } else { matrix.mt().matmul(&matrix) };
        let expected = Tensor::eye(rows.min(columns)) * 4.0;
        assert!(products.allclose(&expected, 1e-4, 1e-4), "{shape:?}");
    }
    // The factor of a matrix with a positive triangle: the first vector is the first of the normal matrix.
    let x = draw(orthogonal(1.0), [4, 3]);
    let normal = Key::new(0).normal([4, 3]).i((.., 0));
    assert!(x.i((.., 0)).allclose(&normal / normal.square().sum().sqrt(), 1e-5, 1e-6));
    assert_eq!(draw(orthogonal(1.0), [0, 3]).shape().dims(), [0, 3]);
}
