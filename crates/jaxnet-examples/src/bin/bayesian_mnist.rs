//! Learns not only to tell digits apart, but also how sure to be: a distribution over each weight of a net, by
//! variational inference.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin bayesian_mnist
//! ```
//!
//! Blundell et al., "Weight Uncertainty in Neural Networks" (2015). The net itself knows nothing of it: its
//! parameters are [`Reparametrized`] as draws from Gaussians with learned means and deviations, and the loss is
//! [`Regularized`] by how far these are from a prior. The same net is trained in the usual way beside it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_examples::data::{Labeled, Mnist};
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::plot::{self, Curve};
use jaxnet_nn::prelude::*;
use jaxnet_nn::train::Loader;
use jaxnet_optim::{Adam, OptState, Optimizer, cosine_decay};

/// Learns how sure to be of what a digit is.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// The folder with the four files of MNIST [default: the 10,000 digits that come with this program]
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many images to learn from at once.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
}

/// The standard deviation of weights before anything is known.
const PRIOR: f64 = 0.1;
/// How much less the prior counts than the data. With all its weight it is too strong for nets with more weights
/// than there are images: Wenzel et al., "How Good is the Bayes Posterior in Deep Neural Networks Really?" (2020).
const TEMPERATURE: f64 = 0.1;
/// How many nets are drawn for a prediction.
const DRAWS: usize = 32;
/// Ranges of confidence in the calibration plot.
const BINS: usize = 10;

fn main() -> ExitCode {
    demo::main(train)
}

/// A parameter drawn anew at each use, from a Gaussian around the given one.
fn gaussian() -> Parametrized<Tensor, Tensor> {
    parametrized("gaussian", |cx, mean: &Tensor| {
        let log_std = cx.param("log_std", mean.shape(), constant(-4));
        mean + log_std.exp() * cx.random_key().normal(mean.shape())
    })
}

/// A parameter's part in the divergence of its Gaussian from the prior, in nats.
fn divergence(name: &str, parameter: &Tensor) -> Tensor {
    match name {
        "log_std" => (2.0 * (parameter - PRIOR.ln())).exp() * 0.5 - 0.5 - (parameter - PRIOR.ln()),
        _ => (parameter / PRIOR).square() * 0.5,
    }
}

/// The same net as a distribution and as a point, in training.
#[derive(Tree)]
struct Nets {
    bayesian: OptState,
    plain: OptState,
}

fn train(options: &Cli) -> Result<()> {
    let mut run = Run::start("bayesian_mnist", &options.demo)?;
    let data = options.data.as_ref().map_or_else(Mnist::bundled, Mnist::load)?;
    let (train, test) = (data.train.to_device(run.device())?, data.test.to_device(run.device())?);
    if train.len() < options.batch_size {
        let message = format!("{} is more than the {} training images", options.batch_size, train.len());
        return Err(Error::invalid("--batch-size", message));
    }
    let images = train.len();

    let net = sequential![
        |x: &Tensor| x.reshape([-1, 784]).astype(DType::F32) / 255.0,
        Dense::new(256),
        relu,
        Dense::new(256),
        relu,
        Dense::new(10)
    ];
    let uncertain = Reparametrized::new(net.clone(), gaussian);
    let (of_net, of_uncertain) = (net.clone(), uncertain.clone());
    let plain_loss = parametrized("loss", move |cx, batch: &Labeled| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&of_net, &batch.images), &batch.labels).mean()
    });
    let likelihood = parametrized("loss", move |cx, batch: &Labeled| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&of_uncertain, &batch.images), &batch.labels).mean()
    });
    // Of each image as much as there are images.
    let bayesian_loss =
        Regularized::by_name(likelihood, move |name, p| divergence(name, p) * (TEMPERATURE / images as f64));

    let [init_key, data_key, train_key, test_key] = Key::new(options.demo.seed).split_array();
    let [train_key, test_key] = [train_key, test_key].to_device(run.device())?;
    let batches = Loader::new(train, options.batch_size).shuffled(data_key);
    let steps = run.steps(if options.demo.fast { 3 } else { 60 }, batches.len());
    let opt = Adam::new(cosine_decay(options.lr, steps, 0.0));
    let update = jit(|(nets, batch): (Nets, Labeled)| {
        let key = train_key.fold_in(opt.step(&nets.plain));
        let (bayesian, loss) = opt.update_and_get_loss(nets.bayesian, |params| {
            bayesian_loss.apply_with_key(&params, key.duplicate(), &batch)
        });
        let plain = opt.update(nets.plain, |params| plain_loss.apply(&params, &batch));
        (Nets { bayesian, plain }, loss)
    });

    let example = data.train.first(1);
    let predict = jit(|(bayesian, plain, test): (Params, Params, Labeled)| {
        let bayesian = uncertain.params_from(&[bayesian_loss.shaped(&example).reuse(&bayesian)], &test.images);
        let plain = net.params_from(&[plain_loss.shaped(&example).reuse(&plain)], &test.images);
        // The mean over nets that are drawn.
        let draw = |key: Key| softmax(&uncertain.apply_with_key(&bayesian, key, &test.images));
        (vmap(draw)(test_key.duplicate().split_batch(DRAWS)).mean_axis(0), softmax(&net.apply(&plain, &test.images)))
    });
    let predictions = |nets: &Nets| {
        let params = (opt.params(&nets.bayesian).clone(), opt.params(&nets.plain).clone());
        predict.call((params.0, params.1, test.map_leaves(|_, leaf| leaf.clone())))
    };
    let measure = |probabilities: &Tensor| {
        let error = calibration_error(probabilities, &test.labels, BINS);
        (f64::from(accuracy(probabilities, &test.labels).item::<f32>()), f64::from(error.item::<f32>()))
    };

    let [bayesian_key, plain_key] = init_key.split_array();
    let fresh = Nets {
        bayesian: opt.init(bayesian_loss.init(bayesian_key, &example).params),
        plain: opt.init(plain_loss.init_params(plain_key, &example)),
    };
    let (mut nets, mut step) = run.resume(fresh)?;
    while step < steps {
        let start = Instant::now();
        let epoch = step / batches.len() + 1;
        run.bar(batches.len(), step % batches.len(), format!("epoch {epoch}"));
        for batch in batches.rest_of_epoch(step).take(steps - step) {
            let (next, loss) = update.call((nets, batch?));
            (nets, step) = (next, step + 1);
            run.loss(loss);
            run.stop_if_asked(step, &nets)?;
        }
        let (bayesian, plain) = predictions(&nets);
        let ((accuracy, error), (plain_accuracy, plain_error)) = (measure(&bayesian), measure(&plain));
        let loss = run.mean_loss(batches.len());
        run.report(&serde_json::json!({
            "epoch": epoch, "step": step, "loss": loss, "accuracy": accuracy, "calibration_error": error,
            "plain_accuracy": plain_accuracy, "plain_calibration_error": plain_error,
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
        run.save(step, &nets)?;
    }

    let (bayesian, plain) = predictions(&nets);
    let curves = [
        Curve { name: "ideal", points: vec![(0.0, 0.0), (1.0, 1.0)] },
        Curve { name: "plain", points: calibration(&plain, &test.labels) },
        Curve { name: "bayesian", points: calibration(&bayesian, &test.labels) },
    ];
    plot::save(run.path("calibration.png"), "share of right answers by confidence", &curves)?;
    let ((accuracy, error), (_, plain_error)) = (measure(&bayesian), measure(&plain));
    run.at_least("test accuracy", accuracy, if options.demo.fast { 0.8 } else { 0.95 });
    if !options.demo.fast {
        run.at_most("calibration error relative to the plain net's", error / plain_error, 1.0);
    }
    run.finish(&nets)
}

/// The mean confidence and the share of right answers, in each range of confidence that has more than a few of them.
fn calibration(probabilities: &Tensor, labels: &Tensor) -> Vec<(f64, f64)> {
    let confidence = probabilities.max_axis(-1).to_vec::<f32>();
    let right = probabilities.argmax(-1).eq(labels).to_vec::<bool>();
    let bin = |confidence: f32| ((confidence * BINS as f32).ceil() as usize).clamp(1, BINS) - 1;
    let points = (0..BINS).filter_map(|i| {
        let inside = || confidence.iter().zip(&right).filter(move |(confidence, _)| bin(**confidence) == i);
        let count = inside().count() as f64;
        let mean = inside().map(|(confidence, _)| f64::from(*confidence)).sum::<f64>() / count;
        (count >= 5.0).then(|| (mean, inside().filter(|(_, right)| **right).count() as f64 / count))
    });
    points.collect()
}
