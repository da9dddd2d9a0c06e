//! Learns to tell handwritten digits apart, and saves what it has learned.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin mnist_classifier -- --model conv
//! cargo run --release -p jaxnet-examples --bin mnist_classifier -- classify --index 3
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jaxnet_examples::data::{Labeled, Mnist};
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::device;
use jaxnet_nn::prelude::*;
use jaxnet_nn::train::Loader;
use jaxnet_optim::{Adam, OptState, Optimizer, cosine_decay};
use serde::Serialize;

/// Learns to tell handwritten digits apart.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: Train,
}

#[derive(Subcommand)]
enum Command {
    /// Trains a model and saves it; what is done when no command is given.
    Train(Train),
    /// Says which digit an image of the test set shows, by a model trained before.
    Classify(Classify),
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    demo: Options,
    /// What the model is made of.
    #[arg(long, value_enum, default_value_t = Model::Mlp)]
    model: Model,
    /// The folder with the four files of MNIST [default: the 10,000 digits that come with this program]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Runs operation by operation instead of compiling, for instance to step through with a debugger.
    #[arg(long)]
    no_jit: bool,
}

#[derive(Args)]
struct Train {
    #[command(flatten)]
    common: Common,
    /// How many images to learn from at once.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
}

#[derive(Args)]
struct Classify {
    #[command(flatten)]
    common: Common,
    /// Which image of the test set.
    #[arg(long, default_value_t = 0)]
    index: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    /// Three dense layers.
    Mlp,
    /// Two convolutions and two dense layers.
    Conv,
}

fn main() -> ExitCode {
    demo::main(|flags: &Cli| match &flags.command {
        None => train(&flags.train),
        Some(Command::Train(options)) => train(options),
        Some(Command::Classify(options)) => classify(options),
    })
}

/// From u8 images of (n, 28, 28) to logits of (n, 10).
fn network(model: Model) -> Parametrized<Tensor, Tensor> {
    let layers = match model {
        Model::Mlp => parametrized("layers", {
            let layers = sequential![flatten, Dense::new(1024), relu, Dense::new(1024), relu, Dense::new(10)];
            move |cx, x: &Tensor| cx.call(&layers, x)
        }),
        Model::Conv => parametrized("layers", {
            let layers = sequential![
                Conv::new(32, [3, 3]),
                relu,
                MaxPool::new([2, 2]).strides([2, 2]),
                Conv::new(64, [3, 3]),
                relu,
                MaxPool::new([2, 2]).strides([2, 2]),
                flatten,
                Dense::new(128),
                relu,
                Dropout::new(0.25),
                Dense::new(10)
            ];
            move |cx, x: &Tensor| cx.call(&layers, x)
        }),
    };
    parametrized("net", move |cx, images: &Tensor| {
        let pixels = images.astype(DType::F32).expand_dims(-1) / 255.0;
        cx.call(&layers, &pixels)
    })
}

/// The mean cross-entropy of a net's logits.
fn cross_entropy(net: &Parametrized<Tensor, Tensor>) -> Parametrized<Labeled, Tensor> {
    let net = net.clone();
    parametrized("loss", move |cx, batch: &Labeled| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, &batch.images), &batch.labels).mean()
    })
}

/// How many images a net tells right.
fn correct(net: &Parametrized<Tensor, Tensor>) -> Parametrized<Labeled, Tensor> {
    let net = net.clone();
    parametrized("correct", move |cx, batch: &Labeled| cx.call(&net, &batch.images).argmax(-1).eq(&batch.labels).sum())
}

/// Each image moved by up to two pixels along each axis, by lot: there is more to learn from.
fn shifted(images: &Tensor, key: Key) -> Tensor {
    let (count, size) = (images.dim(0), images.dim(1));
    let padded = images.pad(&[(0, 0), (2, 2), (2, 2)], 0);
    let corners = key.randint([count, 2], 0, 5);
    let cut = |(image, corner): (Tensor, Tensor)| image.dynamic_slice([corner.i(0), corner.i(1)], [size, size]);
    vmap(cut)((padded, corners))
}

/// What happened in an epoch: a line of the metrics file.
#[derive(Serialize)]
struct Epoch {
    epoch: usize,
    step: usize,
    loss: f64,
    train_accuracy: f64,
    test_accuracy: f64,
    seconds: f64,
}

fn train(options: &Train) -> Result<()> {
    let common = &options.common;
    let mut run = Run::start("mnist_classifier", &common.demo)?;
    let data = mnist(common)?;
    let (train, test) = (data.train.to_device(run.device())?, data.test.to_device(run.device())?);
    if train.len() < options.batch_size {
        let message = format!("{} is more than the {} training images", options.batch_size, train.len());
        return Err(Error::invalid("--batch-size", message));
    }

    let [init_key, data_key, train_key] = Key::new(common.demo.seed).split_array();
    let train_key = train_key.to_device(run.device())?;
    let net = network(common.model);
    let (loss, correct) = (cross_entropy(&net), correct(&net));
    let batches = Loader::new(train.clone(), options.batch_size).shuffled(data_key);
    let steps = run.steps(if common.demo.fast { 2 } else { 20 }, batches.len());
    let opt = Adam::new(cosine_decay(options.lr, steps, 0.0));

    // One function makes a whole step: from the state before and a batch to the state after.
    let update = |(state, batch): (OptState, Labeled)| {
        let key = train_key.fold_in(opt.step(&state));
        let batch = Labeled { images: shifted(&batch.images, key.fold_in(0)), labels: batch.labels };
        let mode = || Mode::Train(key.fold_in(1));
        opt.update_and_get_loss(state, |params| loss.call(&Vars::new(params), &batch, mode()).0)
    };
    // The loss's parameters serve all that is built from the same net.
    let count = |(params, batch): (Params, Labeled)| correct.apply_from(&[loss.reuse(&params)], &batch);
    let (compiled_update, compiled_count) = (jit(update), jit(count));
    let update = |argument| if common.no_jit { update(argument) } else { compiled_update.call(argument) };
    let count = |argument| if common.no_jit { count(argument) } else { compiled_count.call(argument) };
    let accuracy = |params: &Params, data: &Labeled| -> Result<f64> {
        let batches = Loader::new(data.clone(), 500).keep_last().epoch(0);
        let counts = batches.map(|batch| Ok(f64::from(count((params.clone(), batch?)).item::<i32>())));
        Ok(counts.sum::<Result<f64>>()? / data.len() as f64)
    };

    let params = loss.init_params(init_key, &data.train.first(options.batch_size));
    println!("{} parameters:\n{params}", params.size());
    let (mut state, mut step) = run.resume(opt.init(params))?;
    let mut last_accuracy = accuracy(opt.params(&state), &test)?;
    while step < steps {
        let start = Instant::now();
        let epoch = step / batches.len() + 1;
        run.bar(batches.len(), step % batches.len(), format!("epoch {epoch}"));
        for batch in batches.rest_of_epoch(step).take(steps - step) {
            let (next, loss) = update((state, batch?));
            (state, step) = (next, step + 1);
            run.loss(loss);
            run.stop_if_asked(step, &state)?;
        }
        let params = opt.params(&state);
        let seconds = start.elapsed().as_secs_f64();
        let (train_accuracy, test_accuracy) = (accuracy(params, &train)?, accuracy(params, &test)?);
        let loss = run.mean_loss(batches.len());
        run.report(&Epoch { epoch, step, loss, train_accuracy, test_accuracy, seconds })?;
        run.save(step, &state)?;
        if !loss.is_finite() {
            return Err(Error::NotFinite(format!("the loss became {loss}; try a smaller --lr")));
        }
        last_accuracy = test_accuracy;
    }

    let bound = match (common.demo.fast, common.model) {
        (true, _) => 0.9,
        (false, Model::Mlp) => 0.95,
        (false, Model::Conv) => 0.98,
    };
    run.at_least("test accuracy", last_accuracy, bound);
    save(&state, run.path(file_name(common.model)))?;
    run.finish(&state)
}

fn mnist(common: &Common) -> Result<Mnist> {
    common.data.as_ref().map_or_else(Mnist::bundled, Mnist::load)
}

fn file_name(model: Model) -> &'static str {
    match model {
        Model::Mlp => "mlp.safetensors",
        Model::Conv => "conv.safetensors",
    }
}

fn classify(options: &Classify) -> Result<()> {
    let common = &options.common;
    let (data, device) = (mnist(common)?, device::by_name(&common.demo.device)?);
    if options.index >= data.test.len() {
        return Err(Error::invalid("--index", format!("{} is not below {}", options.index, data.test.len())));
    }
    let batch = data.test.to_device(&device)?.map_leaves(|_, leaf| leaf.i(options.index..options.index + 1));

    // The same program makes the same modules, so that the parameters fit.
    let net = network(common.model);
    let loss = cross_entropy(&net);
    let folder = common.demo.out.clone().unwrap_or_else(|| PathBuf::from("target/mnist_classifier"));
    let state: OptState = load(folder.join(file_name(common.model)))?;
    let params = state.params.to_device(&device)?;
    let logits =
        net.try_apply(&net.params_from(&[loss.shaped(&batch).reuse(&params)], &batch.images), &batch.images)?;
    let probabilities = log_softmax(&logits).exp().to_vec::<f32>();

    for row in batch.images.to_vec::<u8>().chunks(28) {
        let ink = |pixel: &u8| [' ', '.', ':', 'o', '#'][usize::from(*pixel) * 5 / 256];
        println!("{}", row.iter().flat_map(|pixel| [ink(pixel); 2]).collect::<String>().trim_end());
    }
    let best = (0..10).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).expect("ten digits");
    let label = batch.labels.to_vec::<i32>()[0];
    println!("test image {}: a {best} ({:.1} %); its label is {label}", options.index, 100.0 * probabilities[best]);
    Ok(())
}
