//! Trajectories and schedules beside those of optax and of `jax.example_libraries.optimizers`, which
//! `fixtures/make.py` wrote down.

use jaxnet_optim::*;
use jaxnet_tensor::{DType, Key, Tensor};
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

type Params = Vec<Tensor>;

/// A list of parameters of these shapes.
fn layout(x: &[f64], shapes: &[&[usize]], dtype: DType) -> Params {
    let mut x = x;
    let next = |shape: &&[usize]| {
        let (part, rest) = x.split_at(shape.iter().product());
        x = rest;
        Tensor::from_slice(part, part.len()).unwrap().astype(dtype).reshape(*shape)
    };
    shapes.iter().map(next).collect()
}

/// Steps as in the fixture, and compares what `read` gives after each.
fn follow_with(
    name: &str,
    opt: &dyn UpdateRule,
    shapes: &[&[usize]],
    dtype: DType,
    rtol: f64,
    gradient: impl Fn(usize, Params) -> Params,
    read: impl Fn(&OptState<Params>) -> Params,
) {
    let fixture = fixture();
    let expected = rows(&fixture["trajectories"][name]);
    let mut state = opt.init(layout(&numbers(&fixture["start"]), shapes, dtype));
    for (step, (row, expected)) in rows(&fixture["gradients"]).iter().zip(&expected).enumerate() {
        state = opt.update_from_gradients(gradient(step, layout(row, shapes, dtype)), state);
        let got: Vec<f64> = read(&state).iter().flat_map(|x| x.astype(DType::F64).to_vec::<f64>()).collect();
        for (got, expected) in got.iter().zip(expected) {
            let near = (got - expected).abs() <= rtol * (1.0 + expected.abs());
            assert!(near, "{name} in {dtype} after {step} steps: {got}, not {expected}");
        }
        assert_eq!(got.len(), 6);
    }
    assert_eq!(expected.len(), 25);
    assert_eq!(opt.step(&state).item::<i32>(), 25);
}

const PAIR: &[&[usize]] = &[&[2], &[2, 2]];

fn follow(name: &str, opt: &dyn UpdateRule, shapes: &[&[usize]], dtype: DType, rtol: f64) {
    follow_with(name, opt, shapes, dtype, rtol, |_, gradient| gradient, |state| opt.params(state).clone());
}

fn follow_all(dtype: DType, exact: f64, scheduled: f64) {
    let check = |name: &str, opt: &dyn UpdateRule, rtol| follow(name, opt, PAIR, dtype, rtol);
    let shaped = |name: &str, opt: &dyn UpdateRule, shape: &[usize]| follow(name, opt, &[shape], dtype, exact);
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
    check("rms_prop_centered", &RmsProp::new(0.01).decay(0.8).eps(1e-3).momentum(0.5).centered(), exact);
    check("rms_prop_momentum_stax", &RmsProp::new(0.01).decay(0.75).eps(1e-4).momentum(0.8), exact);
    check("adagrad", &Adagrad::new(0.1), exact);
    check("adagrad_stax", &Adagrad::new(0.1).initial_accumulator(0.0).eps(0.0).momentum(0.7), exact);
    check("sm3_stax", &Sm3::new(0.1).momentum(0.7), exact);

    check("adamw", &AdamW::new(0.01).weight_decay(0.1), exact);
    check("adamw_masked", &AdamW::new(0.01).weight_decay(0.1).mask(|path| path == "0"), exact);
    check("nesterov_adamw", &AdamW::new(0.01).weight_decay(0.1).nesterov(true), exact);
    check("adamax", &Adamax::new(0.01).b1(0.8).b2(0.99), exact);
    check("nadam", &NAdam::new(0.01), exact);
    check("radam", &RAdam::new(0.01), exact);
    check("radam_constants", &RAdam::new(0.01).b1(0.8).b2(0.95).threshold(4.0), exact);
    check("lion", &Lion::new(0.01).weight_decay(0.1), exact);
    check("adadelta", &Adadelta::new(1.0).decay(0.8).eps(1e-4), exact);
    check("adadelta_decay", &Adadelta::new(1.0).weight_decay(0.1), exact);
    check("lamb", &Lamb::new(0.01).weight_decay(0.1), exact);
    check("lars", &Lars::new(0.5).weight_decay(0.1).trust(0.1), exact);
    let lars = Lars::new(0.01).weight_decay(0.1).trust(0.1).trust_mask(|path| path == "1").nesterov(true);
    check("lars_masked", &lars, exact);

    // optax computes the decay in f32.
    let factored = || Adafactor::new(0.01).min_dim_to_factor(2);
    check("adafactor", &Adafactor::new(0.01), scheduled);
    follow("adafactor_factored", &factored(), &[&[2, 3]], dtype, scheduled);
    follow("adafactor_tall", &factored(), &[&[3, 1, 2]], dtype, scheduled);
    let options = factored().decay_rate(0.6).scale_by_params(false).clipping(0.5).momentum(0.9).weight_decay(0.01);
    check("adafactor_options", &options, scheduled);

    // The iteration multiplies small differences.
    let rough = exact.max(1e-5 * exact / 2e-6);
    follow("muon", &Muon::new(0.01), PAIR, dtype, rough);
    follow("muon_wide", &Muon::new(0.01).weight_decay(0.1), &[&[2, 3]], dtype, rough);
    let tall = Muon::new(0.01).beta(0.8).nesterov(false).consistent_rms(0.2);
    follow("muon_tall", &tall, &[&[3, 2]], dtype, rough);
    follow("muon_adam", &Muon::new(0.01).adam_learning_rate(0.1).adam_weight_decay(0.1), PAIR, dtype, rough);

    let sgd = || Sgd::new(0.1);
    check("clipped", &(ClipByGlobalNorm::new(5.0), sgd()), exact);
    check("clip_by_value", &(ClipByValue::new(0.5), sgd()), exact);
    check("clip_by_rms", &(ClipByRms::new(0.5), sgd()), exact);
    shaped("adaptive_clip", &(AdaptiveClip::new(0.1), sgd()), &[3, 2]);
    let decay = WeightDecay::new(linear(0.5, 0.0, 20)).mask(|path| path == "1");
    check("weight_decay", &(decay, sgd()), scheduled);
    shaped("centralize", &(Centralize, sgd()), &[2, 3]);
    check("ema", &(Ema::new(0.8), sgd()), exact);
    check("ema_biased", &(Ema::new(0.8).debias(false), sgd()), exact);
    check("trace", &(Direction::of(Momentum::new(1.0, 0.8)), ScaleByLearningRate::new(0.1)), exact);
    check("trust_ratio", &(ScaleByTrustRatio::new().coefficient(0.5), sgd()), exact);
    check("param_rms", &(ScaleByParamRms::new(), Sgd::new(0.01)), exact);
    check("scaled", &(Adam::new(0.1), Scale::new(linear(1.0, 0.1, 20))), scheduled);
    let noise = format!("noise_{dtype}");
    check(&noise, &(AddNoise::new(0.5, 0.55, Key::new(3)), sgd()), scheduled);

    check("multi_steps", &MultiSteps::new(Adam::new(0.1), 3), exact);
    check("multi_steps_sum", &MultiSteps::new(Adam::new(linear(0.1, 0.0, 6)), 4).sum(true), scheduled);
    check("lookahead", &Lookahead::new(Adam::new(0.1), 4, 0.3), exact);
    let label = |path: &str| if path == "0" { "b" } else { "a" };
    let adam = || Partition::new(label).with("a", Adam::new(0.1));
    check("partition", &adam().with("b", Momentum::new(0.01, 0.9)), exact);
    check("frozen", &adam().with("b", Freeze), exact);
    let trace = Masked::new(|path| path == "0", Direction::of(Momentum::new(1.0, 0.9)));
    check("masked", &(trace, Sgd::new(0.01)), exact);

    let poison = |step: usize, gradient: Params| match step {
        3 | 4 | 10 => gradient.iter().map(|g| g * f64::NAN).collect(),
        _ => gradient,
    };
    let opt = ApplyIfFinite::new(Adam::new(linear(0.1, 0.0, 20)), 3);
    follow_with("if_finite", &opt, PAIR, dtype, scheduled, poison, |state| opt.params(state).clone());
    let opt = Averaged::ema(Adam::new(0.1), 0.8);
    follow_with("average_ema", &opt, PAIR, dtype, exact, |_, g| g, |state| opt.average(state));
    let opt = Averaged::polyak(Adam::new(0.1));
    follow_with("average_polyak", &opt, PAIR, dtype, exact, |_, g| g, |state| opt.average(state));
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
            assert!((got - expected).abs() <= 2e-6 * expected.abs() + 5e-8, "{name} at {step}: {got}, not {expected}");
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
    check("linear", linear(0.1, 0.3, 20));
    check("linear_delayed", linear(0.1, 0.3, 10).delayed(5));
    check("exponential_bounded", exponential_decay(0.3, 10, 0.5).delayed(3).at_least(0.1));
    check("exponential_rising", exponential_decay(0.3, 10, 1.5).at_most(0.5));
    check("warmup_cosine_decay", warmup_cosine_decay(0.05, 0.3, 5, 20, 0.1));
    check("warmup_exponential_decay", warmup_exponential_decay(0.05, 0.3, 5, 10, 0.5));
    let cycle = |init, peak, warmup_steps, decay_steps, end| Cycle { init, peak, warmup_steps, decay_steps, end };
    let cycles = [cycle(0.05, 0.3, 3, 10, 0.1), cycle(0.1, 0.2, 1, 11, 0.0), cycle(0.0, 0.1, 5, 20, 0.0)];
    check("sgdr", sgdr(&cycles));
    let own = Schedule::from(|step: &Tensor| step.astype(DType::F32) * 0.01);
    check("join", join_schedules(vec![constant(0.5), linear(0.3, 0.1, 5), own], &[3, 11]));
    let scales = [(3, 0.5), (10, 2.0), (20, 0.1)];
    check("piecewise_linear", piecewise_interpolate(Interpolation::Linear, 0.3, &scales));
    check("piecewise_cosine", piecewise_interpolate(Interpolation::Cosine, 0.3, &scales));
    check("piecewise_scale", piecewise_scale(0.3, &scales));
    check("linear_onecycle", linear_onecycle(30, 0.3, OneCycle::default()));
    let shape = OneCycle { start: 0.2, finish: 0.7, div_factor: 10.0, final_div_factor: 100.0 };
    check("linear_onecycle_shape", linear_onecycle(30, 0.3, shape));
    check("cosine_onecycle", cosine_onecycle(30, 0.3, OneCycle::default()));
    check("warmup_cosine", warmup(5, cosine_decay(0.3, 15, 0.0)));
}
