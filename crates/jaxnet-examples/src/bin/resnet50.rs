//! Trains a residual net of fifty layers on images of ImageNet's shape, and says how many it learns from in a second.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin resnet50 -- --data FOLDER
//! ```
//!
//! He et al., "Deep Residual Learning for Image Recognition" (2015). Without `--data` it learns mosaics by heart, which are
//! as random as their classes; with it, the folder has a folder of PNG and JPEG files for each class.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_examples::data::Labeled;
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::folder::ImageFolder;
use jaxnet_examples::synthetic::Mosaics;
use jaxnet_nn::prelude::*;
use jaxnet_nn::train::{Dataset, Loader};
use jaxnet_optim::{Momentum, OptState, Optimizer, cosine_decay};

/// Trains a residual net of fifty layers.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// A folder that has a folder of PNG and JPEG files for each class [default: mosaics that the program makes]
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many mosaics to make [default: 32; 16 with --fast]
    #[arg(long, value_parser = positive)]
    images: Option<usize>,
    /// In how many classes the mosaics are [default: 1000; 10 with --fast]
    #[arg(long, value_parser = positive)]
    classes: Option<usize>,
    /// The height and width of images, to which those of a folder are scaled and cut [default: 224; 64 with --fast]
    #[arg(long, value_parser = positive)]
    size: Option<usize>,
    /// How many images to learn from at once.
    #[arg(long, default_value_t = 8, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 0.005)]
    lr: f64,
    /// Starts from these parameters, a safetensors file, in place of random ones.
    #[arg(long)]
    init: Option<PathBuf>,
}

/// The mean and the standard deviation of ImageNet's red, green and blue.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

fn main() -> ExitCode {
    demo::main(|options: &Cli| {
        let either = |given: Option<usize>, full, fast| given.unwrap_or(if options.demo.fast { fast } else { full });
        let size = either(options.size, 224, 64);
        match &options.data {
            Some(folder) => {
                let images = ImageFolder::open(folder, size)?;
                println!("{} images of {} classes", images.rows(), images.classes().len());
                let classes = images.classes().len();
                train(options, images, classes)
            }
            None => {
                let (count, classes) = (either(options.images, 32, 16), either(options.classes, 1000, 10));
                let key = Key::new(options.demo.seed).fold_in(1);
                train(options, Mosaics::new(key, count, size, classes), classes)
            }
        }
    })
}

/// The mean cross-entropy of images (n, height, width, 3).
fn loss(net: &ResNet) -> Parametrized<Labeled, Tensor> {
    let net = net.clone();
    parametrized("loss", move |cx, batch: &Labeled| {
        let pixels = batch.images.astype(DType::F32) / 255.0;
        let logits = cx.call(&net, &((pixels - Tensor::from(MEAN)) / Tensor::from(DEVIATION)));
        softmax_cross_entropy_with_integer_labels(&logits, &batch.labels).mean()
    })
}

/// A net in training.
#[derive(Tree)]
struct Training {
    params: OptState,
    /// The running means and variances of its normalizations.
    statistics: Params,
}

fn train(options: &Cli, images: impl Dataset<Batch = Labeled>, classes: usize) -> Result<()> {
    let mut run = Run::start("resnet50", &options.demo)?;
    let [init_key, data_key, train_key] = Key::new(options.demo.seed).split_array();
    let count = images.rows();
    if count < options.batch_size {
        return Err(Error::invalid("--batch-size", format!("{} is more than the {count} images", options.batch_size)));
    }
    let example = images.batch(&[0])?;
    let batches = Loader::new(images, options.batch_size).shuffled(data_key).to_device(run.device());
    let steps = run.steps(if options.demo.fast { 15 } else { 25 }, batches.len());
    let loss = loss(&resnet50().classes(classes).zero_last_gamma(true));
    let opt = Momentum::new(cosine_decay(options.lr, steps, 0.0), 0.9);
    let train_key = train_key.to_device(run.device())?;
    let update = jit(|(training, batch): (Training, Labeled)| {
        let Training { params, statistics } = training;
        let mode = || Mode::Train(train_key.duplicate());
        let (params, loss, statistics) = opt
            .update_with(params, |params| loss.call(&Vars::new(params).with_state(statistics.clone()), &batch, mode()));
        (Training { params, statistics }, loss)
    });

    let vars = loss.init(init_key, &example);
    let params = match &options.init {
        Some(file) => load_like(file, &vars.params)?,
        None => vars.params,
    };
    println!("{} parameters", params.size());
    let (mut training, mut step) = run.resume(Training { params: opt.init(params), statistics: vars.state })?;
    while step < steps {
        let start = Instant::now();
        let epoch = step / batches.len() + 1;
        let before = step;
        run.bar(batches.len(), step % batches.len(), format!("epoch {epoch}"));
        for batch in batches.rest_of_epoch(step).take(steps - step) {
            let (next, loss) = update.call((training, batch?));
            (training, step) = (next, step + 1);
            run.loss(loss);
            run.stop_if_asked(step, &training)?;
        }
        // Looking waits for the device.
        let loss = run.mean_loss(batches.len());
        let seconds = start.elapsed().as_secs_f64();
        let speed = ((step - before) * options.batch_size) as f64 / seconds;
        println!("{speed:.1} images/s");
        run.report(&serde_json::json!({ "epoch": epoch, "step": step, "loss": loss, "seconds": seconds }))?;
        run.save(step, &training)?;
    }

    // Who knows nothing of the classes needs ln(1000) = 6.9, and ln(10) = 2.3 with --fast; who knows of the 32 images only which
    // classes they are in, ln(32) = 3.5.
    let last = run.mean_loss(batches.len());
    run.at_most("loss of the last epoch", last, if options.demo.fast { 1.5 } else { 3.0 });
    run.finish(&training)
}
