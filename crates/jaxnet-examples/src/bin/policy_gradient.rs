//! Learns to balance a pole on a cart, by the gradient of what its own attempts were worth.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin policy_gradient
//! ```
//!
//! Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (1992),
//! with the mean return at each time as a baseline. The environment is [`CartPole`], written as a function of
//! tensors: a whole batch of attempts runs as one compiled loop, mapped over attempts, together with
//! gradient and update.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_autograd::scan_n;
use jaxnet_examples::cart_pole::{CartPole, LIMIT};
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::plot::{self, Curve};
use jaxnet_nn::prelude::*;
use jaxnet_optim::{Adam, ClipByGlobalNorm, OptState, Optimizer, cosine_decay};

/// Learns to balance a pole on a cart.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// How many attempts to learn from at once.
    #[arg(long, default_value_t = 32, value_parser = positive)]
    attempts: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 0.01)]
    lr: f64,
}

/// Updates in an epoch.
const UPDATES: usize = 10;

fn main() -> ExitCode {
    demo::main(train)
}

/// What happened in attempts, time along the last axis.
#[derive(Tree)]
struct Attempts {
    /// What was seen before each action.
    observations: Tensor,
    /// Which action was taken.
    actions: Tensor,
    /// Whether the pole still stood before the action.
    alive: Tensor,
}

fn train(options: &Cli) -> Result<()> {
    let mut run = Run::start("policy_gradient", &options.demo)?;
    let steps = run.steps(if options.demo.fast { 10 } else { 40 }, UPDATES);
    let policy = sequential![Dense::new(64), tanh, Dense::new(2)];
    let opt = (ClipByGlobalNorm::new(1.0), Adam::new(cosine_decay(options.lr, steps, 0.0)));
    let [init_key, train_key, test_key] = Key::new(options.demo.seed).split_array();
    let keys = [train_key, test_key].to_device(run.device())?;
    let [train_key, test_key] = &keys;

    // One attempt, to its end or to the limit; after the end nothing counts.
    let attempt = |params: &Params, key: Key, greedy: bool| -> Attempts {
        let [start_key, action_key] = key.split_array();
        let step = |(cart, time): (CartPole, Tensor)| {
            let logits = policy.apply(params, &cart.observation());
            let action = match greedy {
                true => logits.argmax(-1),
                false => action_key.fold_in(&time).categorical(&logits, -1),
            };
            let seen = Attempts { observations: cart.observation(), actions: action.clone(), alive: cart.stands() };
            ((cart.step(&action), time + 1), seen)
        };
        let ((_, _), seen) = scan_n(step, (CartPole::new(start_key), Tensor::from(0)), LIMIT);
        seen
    };
    let attempts = |params: &Params, key: Key, count: usize, greedy: bool| {
        vmap(|key: Key| attempt(params, key, greedy))(key.split_batch(count))
    };

    let update = jit(|state: OptState| {
        let key = train_key.fold_in(opt.step(&state));
        let seen = attempts(opt.params(&state), key, options.attempts, false);
        let alive = seen.alive.astype(DType::F32);
        // What is still to come, of which the mean over the attempts that got so far is no merit of an action.
        let returns = alive.flip(-1).cumsum(-1).flip(-1);
        let mean = returns.sum_axis(0) / alive.sum_axis(0).maximum(1.0);
        let advantages = (returns - mean) * &alive;
        let scale = advantages.square().sum() / alive.sum();
        let advantages = advantages / (scale.sqrt() + 1e-6);
        let loss = |params: Params| {
            let log_probabilities = log_softmax(&policy.apply(&params, &seen.observations));
            let taken = log_probabilities.take_along_axis(seen.actions.expand_dims(-1), -1).squeeze(-1);
            -(taken * &advantages).sum() / alive.sum()
        };
        let state = opt.update(state, loss);
        (state, alive.sum() / options.attempts as f64)
    });
    let test =
        jit(|params: Params| attempts(&params, test_key.duplicate(), 100, true).alive.astype(DType::F32).sum_axis(-1));

    let params = policy.init_params(init_key, &Tensor::zeros([4]));
    let (mut state, mut step) = run.resume(opt.init(params))?;
    while step < steps {
        let start = Instant::now();
        run.bar(steps, step, "training".into());
        let end = steps.min((step / UPDATES + 1) * UPDATES);
        while step < end {
            let (next, steps_stood) = update.call(state);
            (state, step) = (next, step + 1);
            run.loss(-steps_stood);
            run.stop_if_asked(step, &state)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mean_return = -run.mean_loss(UPDATES);
        let epoch = step.div_ceil(UPDATES);
        run.report(
            &serde_json::json!({ "epoch": epoch, "step": step, "mean_return": mean_return, "seconds": seconds }),
        )?;
        run.save(step, &state)?;
    }

    let points = run.losses().iter().enumerate().map(|(step, loss)| (step as f64, -f64::from(*loss))).collect();
    plot::save(run.path("returns.png"), "mean return by update", &[Curve { name: "return", points }])?;
    let returns = test.call(opt.params(&state).clone());
    let mean = f64::from(returns.mean().item::<f32>());
    println!("the least of 100 evaluation returns: {}", returns.min().item::<f32>());
    run.at_least("mean return over 100 evaluation episodes", mean, if options.demo.fast { 100.0 } else { 475.0 });
    run.finish(&state)
}
