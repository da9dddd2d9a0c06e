//! Reads lines of handwritten digits with three stacked GRUs, and shows what context is good for.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin ocr_rnn
//! ```
//!
//! A line counts up from some digit by 1, 2 or 3, modulo 10, and each of its symbols is a real handwritten digit,
//! most of whose pixels are lost. Who reads a symbol alone must guess often; who has read the line so far
//! knows what to expect. The same net is trained twice at once, in one compiled step: on lines, and on their
//! symbols as lines of length one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_examples::data::{Labeled, Mnist};
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::image;
use jaxnet_nn::prelude::*;
use jaxnet_optim::{ClipByGlobalNorm, OptState, Optimizer, RmsProp, cosine_decay};

/// Reads lines of handwritten digits.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// The folder with the four files of MNIST [default: the 10,000 digits that come with this program]
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many lines to learn from at once.
    #[arg(long, default_value_t = 10, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
}

/// Symbols in a line.
const LENGTH: usize = 14;
/// The share of pixels that are lost.
const LOST: f64 = 0.6;
const PIXELS: usize = 14 * 14;

fn main() -> ExitCode {
    demo::main(train)
}

/// Digits of which lines are made: by class, so that one of a class can be drawn.
#[derive(Tree)]
struct Symbols {
    /// f32, of shape (images, 196): at half the resolution, sorted by class.
    images: Tensor,
    /// Where each class begins, and how many images it has.
    classes: (Tensor, Tensor),
}

impl Symbols {
    fn new(digits: &Labeled, device: &Device) -> Result<Symbols> {
        let order = digits.labels.argsort(0);
        let count = digits.len() as isize;
        let halved = digits.images.astype(DType::F32).reshape([count, 14, 2, 14, 2]).mean_axis([2, 4]) / 255.0;
        let counts = digits.labels.one_hot(10).sum_axis(0).astype(DType::I32);
        if counts.min().item::<i32>() == 0 {
            return Err(Error::format("MNIST", "there must be images of all ten digits"));
        }
        let starts = counts.cumsum(0) - &counts;
        Symbols { images: halved.reshape([count, PIXELS as isize]).take(&order, 0), classes: (starts, counts) }
            .to_device(device)
    }

    /// Lines (n, 14, 196), and what they say (n, 14).
    fn lines(&self, key: Key, n: usize) -> (Tensor, Tensor) {
        let [start, step, choice, noise] = key.split_array();
        let (start, step) = (start.randint([n, 1], 0, 10), step.randint([n, 1], 1, 4));
        let digits = (start + step * Tensor::range(LENGTH)) % 10;
        let (starts, counts) = (self.classes.0.take(&digits, 0), self.classes.1.take(&digits, 0));
        let chosen = (choice.uniform([n, LENGTH]) * &counts).floor().astype(DType::I32).minimum(counts - 1);
        let pixels = self.images.take(starts + chosen, 0);
        let kept = noise.bernoulli(1.0 - LOST, pixels.shape());
        (pixels * kept, digits)
    }
}

/// From lines (n, length, 196) to logits (n, length, 10).
fn network() -> impl Module<Tensor, Output = Tensor> {
    let layer = || Rnn::new(GruCell::new(200));
    sequential![layer(), layer(), layer(), Dense::new(10)]
}

/// Two nets in training: one reads lines, the other one symbol at a time.
#[derive(Tree)]
struct Readers {
    of_lines: OptState,
    of_symbols: OptState,
}

/// Each symbol as a line of its own.
fn apart(lines: &Tensor) -> Tensor {
    lines.reshape([-1, 1, PIXELS as isize])
}

fn train(options: &Cli) -> Result<()> {
    let mut run = Run::start("ocr_rnn", &options.demo)?;
    let data = options.data.as_ref().map_or_else(Mnist::bundled, Mnist::load)?;
    let (train, test) = (Symbols::new(&data.train, run.device())?, Symbols::new(&data.test, run.device())?);
    let of_epoch = (data.train.len() / LENGTH / options.batch_size).max(1);
    let steps = run.steps(if options.demo.fast { 6 } else { 60 }, of_epoch);

    let [init_key, train_key, test_key] = Key::new(options.demo.seed).split_array();
    let train_key = train_key.to_device(run.device())?;
    let net = network();
    let opt = (ClipByGlobalNorm::new(1.0), RmsProp::new(cosine_decay(options.lr, steps, 0.0)));
    let loss = |params: &Params, lines: &Tensor, digits: &Tensor| {
        softmax_cross_entropy_with_integer_labels(&net.apply(params, lines), digits).mean()
    };
    let update = jit(|(readers, train): (Readers, Symbols)| {
        let (lines, digits) = train.lines(train_key.fold_in(opt.step(&readers.of_lines)), options.batch_size);
        let (of_lines, of_line) = opt.update_and_get_loss(readers.of_lines, |params| loss(&params, &lines, &digits));
        let (symbols, single) = (apart(&lines), digits.reshape([-1, 1]));
        let (of_symbols, _) = opt.update_and_get_loss(readers.of_symbols, |params| loss(&params, &symbols, &single));
        (Readers { of_lines, of_symbols }, of_line)
    });

    let (lines, digits) = test.lines(test_key.to_device(run.device())?, 500);
    let read = jit(|(params, lines): (Params, Tensor)| net.apply(&params, &lines).argmax(-1));
    let errors = |readers: &Readers| {
        let wrong = |read: Tensor| f64::from(read.reshape(digits.shape()).ne(&digits).mean().item::<f32>());
        let of_lines = read.call((readers.of_lines.params.clone(), lines.clone()));
        let of_symbols = read.call((readers.of_symbols.params.clone(), apart(&lines)));
        (wrong(of_lines), wrong(of_symbols))
    };

    let params = net.init_params(init_key, &Tensor::zeros([1, 1, PIXELS]));
    let fresh = Readers { of_lines: opt.init(params.clone()), of_symbols: opt.init(params) };
    let (mut readers, mut step) = run.resume(fresh)?;
    let (mut with_context, mut without) = errors(&readers);
    while step < steps {
        let start = Instant::now();
        let epoch = step / of_epoch + 1;
        run.bar(of_epoch, step % of_epoch, format!("epoch {epoch}"));
        while step < steps.min(epoch * of_epoch) {
            let (next, loss) = update.call((readers, train.map_leaves(|_, leaf| leaf.clone())));
            (readers, step) = (next, step + 1);
            run.loss(loss);
            run.stop_if_asked(step, &readers)?;
        }
        (with_context, without) = errors(&readers);
        let loss = run.mean_loss(of_epoch);
        run.report(&serde_json::json!({
            "epoch": epoch, "step": step, "loss": loss, "error": with_context, "error_without_context": without,
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
        run.save(step, &readers)?;
    }

    let read = read.call((readers.of_lines.params.clone(), lines.clone()));
    for line in 0..6 {
        println!("{} read as {}", word(&digits.i(line)), word(&read.i(line)));
    }
    let shown = lines.i(..6).reshape([6 * LENGTH as isize, 14, 14]);
    image::grid(run.path("lines.png"), &shown, LENGTH, 3)?;
    run.at_most("error per symbol", with_context, if options.demo.fast { 0.35 } else { 0.05 });
    if !options.demo.fast {
        run.at_most("error relative to that without context", with_context / without, 0.5);
    }
    run.finish(&readers)
}

fn word(digits: &Tensor) -> String {
    digits.to_vec::<i32>().iter().map(|digit| digit.to_string()).collect()
}
