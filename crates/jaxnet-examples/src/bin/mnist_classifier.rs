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
use jaxnet_examples::data::{Labeled, Mnist, ordered_batches, shuffled_batches};
use jaxnet_examples::metrics::Metrics;
use jaxnet_examples::plot::{self, Curve};
use jaxnet_examples::{device, progress};
use jaxnet_nn::prelude::*;
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
    /// What the model is made of.
    #[arg(long, value_enum, default_value_t = Model::Mlp)]
    model: Model,
    /// The folder with the four files of MNIST [default: the 10,000 digits that come with this program]
    #[arg(long)]
    data: Option<PathBuf>,
    /// The folder for what the program makes.
    #[arg(long, default_value = "target/mnist_classifier")]
    out: PathBuf,
    /// The engine to compute with: cpu, xla or torch.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Runs operation by operation instead of compiling, for instance to step through with a debugger.
    #[arg(long)]
    no_jit: bool,
}

#[derive(Args)]
struct Train {
    #[command(flatten)]
    common: Common,
    /// How often to go through the training images.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// How many images to learn from at once.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// Where the random numbers start: the same seed gives the same model.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A file for a line of JSON per epoch [default: metrics.jsonl in the output folder]
    #[arg(long)]
    metrics: Option<PathBuf>,
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

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("needs a whole number from 1 on".into()),
        Ok(number) => Ok(number),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => train(&cli.train),
        Some(Command::Train(options)) => train(&options),
        Some(Command::Classify(options)) => classify(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
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
    epoch: u32,
    loss: f32,
    train_accuracy: f64,
    test_accuracy: f64,
    seconds: f64,
}

fn train(options: &Train) -> Result<()> {
    let common = &options.common;
    let (data, device) = open(common)?;
    let (train, test) = (data.train.to_device(&device)?, data.test.to_device(&device)?);
    if train.len() < options.batch_size {
        let message = format!("{} is more than the {} training images", options.batch_size, train.len());
        return Err(Error::invalid("--batch-size", message));
    }

    let [init_key, data_key, train_key] = Key::new(options.seed).split_array();
    let net = network(common.model);
    let (loss, correct) = (cross_entropy(&net), correct(&net));
    let steps = options.epochs as usize * (train.len() / options.batch_size);
    let opt = Adam::new(cosine_decay(options.lr, steps, 0.0));

    // One function makes a whole step: from the state before and a batch to the state after.
    let step = |(state, batch): (OptState, Labeled)| {
        let key = train_key.fold_in(opt.step(&state));
        let batch = Labeled { images: shifted(&batch.images, key.fold_in(0)), labels: batch.labels };
        let mode = || Mode::Train(key.fold_in(1));
        opt.update_and_get_loss(state, |params| loss.call(&Vars::new(params), &batch, mode()).0)
    };
    // The loss's parameters serve all that is built from the same net.
    let count = |(params, batch): (Params, Labeled)| correct.apply_from(&[loss.reuse(&params)], &batch);
    let (compiled_step, compiled_count) = (jit(step), jit(count));
    let step = |argument| if common.no_jit { step(argument) } else { compiled_step.call(argument) };
    let count = |argument| if common.no_jit { count(argument) } else { compiled_count.call(argument) };
    let accuracy = |params: &Params, data: &Labeled| {
        let counts = ordered_batches(data, 500).map(|batch| count((params.clone(), batch)).item::<i32>());
        f64::from(counts.sum::<i32>()) / data.len() as f64
    };

    let example = ordered_batches(&train, options.batch_size).next().expect("there are images");
    let params = loss.init_params(init_key, &example);
    println!("{} parameters:\n{params}", params.size());
    let mut state = opt.init(params);

    let mut metrics = Metrics::create(options.metrics.clone().unwrap_or_else(|| common.out.join("metrics.jsonl")))?;
    let mut losses = Vec::new();
    for epoch in 1..=options.epochs {
        let start = Instant::now();
        let batches = shuffled_batches(&train, options.batch_size, data_key.fold_in(epoch));
        let first = losses.len();
        let bar = progress(batches.len(), format!("epoch {epoch}"));
        for batch in batches {
            let (next, loss) = step((state, batch));
            state = next;
            losses.push(loss.item::<f32>());
            bar.inc(1);
        }
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        let of_epoch = &losses[first..];
        let params = opt.params(&state);
        let report = Epoch {
            epoch,
            loss: of_epoch.iter().sum::<f32>() / of_epoch.len() as f32,
            train_accuracy: accuracy(params, &train),
            test_accuracy: accuracy(params, &test),
            seconds,
        };
        println!(
            "epoch {epoch}: loss {:.4}, accuracy {:.2} % on training and {:.2} % on test images, {seconds:.1} s",
            report.loss,
            100.0 * report.train_accuracy,
            100.0 * report.test_accuracy,
        );
        metrics.write(&report)?;
        if !report.loss.is_finite() {
            return Err(Error::NotFinite(format!("the loss became {}; try a smaller --lr", report.loss)));
        }
    }

    let points = losses.iter().enumerate().map(|(step, loss)| (step as f64, f64::from(*loss))).collect();
    let plot = common.out.join("loss.png");
    plot::save(&plot, "loss by step", &[Curve { name: "training loss", points }])?;
    let file = common.out.join(file_name(common.model));
    save(&state, &file)?;
    println!("saved {} and {}", file.display(), plot.display());
    Ok(())
}

fn open(common: &Common) -> Result<(Mnist, Device)> {
    let device = device::by_name(&common.device)?;
    let bundled = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist-10k"));
    Ok((Mnist::load(common.data.clone().unwrap_or_else(bundled))?, device))
}

fn file_name(model: Model) -> &'static str {
    match model {
        Model::Mlp => "mlp.safetensors",
        Model::Conv => "conv.safetensors",
    }
}

fn classify(options: &Classify) -> Result<()> {
    let common = &options.common;
    let (data, device) = open(common)?;
    if options.index >= data.test.len() {
        return Err(Error::invalid("--index", format!("{} is not below {}", options.index, data.test.len())));
    }
    let batch = data.test.to_device(&device)?.map_leaves(|_, leaf| leaf.i(options.index..options.index + 1));

    // The same program makes the same modules, so that the parameters fit.
    let net = network(common.model);
    let loss = cross_entropy(&net);
    let state: OptState = load(common.out.join(file_name(common.model)))?;
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
