//! Trajectories and schedules beside those of optax and of `jax.example_libraries.optimizers`, which
//! `fixtures/make.py` wrote down.

use jaxnet_optim::{
    Adagrad, Adam, Momentum, Optimizer, RmsProp, Schedule, Sgd, Sm3, UpdateRule, clip_by_global_norm, constant,
    cosine_decay, exponential_decay, inverse_time_decay, piecewise_constant, polynomial_decay, warmup,
};
use jaxnet_tensor::{DType, Tensor};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/optax.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// Steps as in the fixture, on a tree of two parameters, and compares after each.
fn follow(name: &str, opt: &dyn UpdateRule, dtype: DType, rtol: f64, clip: Option<f64>) {
    let fixture = fixture();
    let tree = |x: &[f64]| {
        let part = |x: &[f64]| Tensor::from_slice(x, x.len()).unwrap().astype(dtype);
        (part(&x[..2]), vec![part(&x[2..]).reshape([2, 2])])
    };
    let expected = rows(&fixture["trajectories"][name]);
    let mut state = opt.init(tree(&numbers(&fixture["start"])));
    for (step, (gradient, expected)) in rows(&fixture["gradients"]).iter().zip(&expected).enumerate() {
        let mut gradient = tree(gradient);
        if let Some(max) = clip {
            gradient = clip_by_global_norm(gradient, max);
        }
        state = opt.update_from_gradients(gradient, state);
        let (a, b) = opt.params(&state);
        let got = [a.astype(DType::F64).to_vec::<f64>(), b[0].astype(DType::F64).to_vec::<f64>()].concat();
        for (got, expected) in got.iter().zip(expected) {
            let near = (got - expected).abs() <= rtol * (1.0 + expected.abs());
            assert!(near, "{name} in {dtype} after {step} steps: {got}, not {expected}");
        }
    }
    assert_eq!(expected.len(), 25);
    assert_eq!(opt.step(&state).item::<i32>(), 25);
}

fn follow_all(dtype: DType, exact: f64, scheduled: f64) {
    let check = |name: &str, opt: &dyn UpdateRule, rtol| follow(name, opt, dtype, rtol, None);
    check("sgd", &Sgd::new(0.1), exact);
    check("sgd_exponential_decay", &Sgd::new(exponential_decay(0.1, 10, 0.5)), scheduled);
    check("momentum", &Momentum::new(0.1, 0.9), exact);
    check("momentum_stax", &Momentum::new(inverse_time_decay(0.1, 5, 0.3), 0.9), scheduled);
    check("nesterov", &Momentum::new(0.1, 0.8).nesterov(true), exact);
    check("nesterov_stax", &Momentum::new(0.1, 0.8).nesterov(true), exact);
    check("adam", &Adam::new(0.01), exact);
    check("adam_constants", &Adam::new(0.01).b1(0.7).b2(0.95).eps(1e-3), exact);
    check("adam_warmup_cosine", &Adam::new(warmup(5, cosine_decay(0.1, 15, 0.0))), scheduled);
    check("rms_prop", &RmsProp::new(0.01), exact);
    check("rms_prop_stax", &RmsProp::new(0.01).decay(0.75).eps(1e-4), exact);
    check("rms_prop_momentum", &RmsProp::new(0.01).momentum(0.8), exact);
    check("rms_prop_momentum_stax", &RmsProp::new(0.01).decay(0.75).eps(1e-4).momentum(0.8), exact);
    check("adagrad", &Adagrad::new(0.1), exact);
    check("adagrad_stax", &Adagrad::new(0.1).initial_accumulator(0.0).eps(0.0).momentum(0.7), exact);
    check("sm3_stax", &Sm3::new(0.1).momentum(0.7), exact);
    follow("clipped", &Sgd::new(0.1), dtype, exact, Some(5.0));
}

#[test]
fn trajectories_in_f64() {
    // Schedules compute in f32.
    follow_all(DType::F64, 1e-10, 1e-5);
}

#[test]
fn trajectories_in_f32() {
    follow_all(DType::F32, 2e-6, 1e-5);
}

#[test]
fn schedules() {
    let fixture = fixture();
    let steps = numbers(&fixture["schedule_steps"]);
    let check = |name: &str, schedule: Schedule| {
        let expected = numbers(&fixture["schedules"][name]);
        for (step, expected) in steps.iter().zip(expected) {
            let got = schedule.at(*step as i32).item::<f32>() as f64;
            assert!((got - expected).abs() <= 1e-6 * expected.abs() + 1e-8, "{name} at {step}: {got}, not {expected}");
        }
    };
    check("constant", constant(0.3));
    check("exponential_decay", exponential_decay(0.3, 10, 0.5));
    check("exponential_staircase", exponential_decay(0.3, 10, 0.5).staircase(10));
    check("inverse_time_decay", inverse_time_decay(0.3, 10, 0.5));
    check("inverse_time_staircase", inverse_time_decay(0.3, 10, 0.5).staircase(10));
    check("polynomial_decay", polynomial_decay(0.3, 20, 0.1, 2.0));
    check("linear_decay", polynomial_decay(0.3, 20, 0.1, 1.0));
    check("piecewise_constant", piecewise_constant(&[2, 10], &[0.3, 0.2, 0.05]));
    check("cosine_decay", cosine_decay(0.3, 20, 0.1));
    check("warmup_cosine", warmup(5, cosine_decay(0.3, 15, 0.0)));
}
