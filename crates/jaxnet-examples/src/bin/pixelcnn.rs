//! Learns to draw, pixel by pixel: PixelCNN++ on handwritten digits, or on the photographs of CIFAR-10.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin pixelcnn
//! cargo run --release -p jaxnet-examples --bin pixelcnn -- --data cifar-10-batches-bin --filters 160 --resnets 5
//! ```
//!
//! Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
//! Modifications" (2017). The net says of each pixel how likely each of its values is, given the pixels above and to the
//! left. After each epoch `samples.png` has images that it draws so: it runs once for each of their pixels, for which images
//! are halved here, and the net is a small one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_examples::cifar::Cifar10;
use jaxnet_examples::data::Mnist;
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::image;
use jaxnet_nn::prelude::*;
use jaxnet_nn::train::Loader;
use jaxnet_optim::{Adam, OptState, Optimizer, cosine_decay};

/// Learns to draw, pixel by pixel.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// The folder with CIFAR-10's binary files [default: the 10,000 digits that come with this program]
    #[arg(long)]
    data: Option<PathBuf>,
    /// How often to halve the 32 by 32 pixels of images: up to 3 [default: 1; 2 with --fast]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=3))]
    halvings: Option<u32>,
    /// Channels within layers [default: 24; 8 with --fast]
    #[arg(long, value_parser = positive)]
    filters: Option<usize>,
    /// Residual blocks between steps of resolution.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    resnets: usize,
    /// Logistic distributions in a mixture.
    #[arg(long, default_value_t = 5, value_parser = positive)]
    mixtures: usize,
    /// Which share of units to drop in training.
    #[arg(long, default_value_t = 0.0)]
    dropout: f64,
    /// How many images to learn from at once.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// How many images to draw.
    #[arg(long, default_value_t = 25, value_parser = positive)]
    draw: usize,
    /// Starts from these parameters, a safetensors file, in place of those made for the first images.
    #[arg(long)]
    init: Option<PathBuf>,
}

/// Images by which parameters are made.
const FIRST: usize = 64;
/// Images of the test set that are looked at.
const TESTS: usize = 500;
/// The values of a byte.
const LEVELS: usize = 256;

fn main() -> ExitCode {
    demo::main(train)
}

/// Images to learn from and others to test with: u8, of shape (n, size, size, 1 or 3).
fn pictures(options: &Cli) -> Result<[Tensor; 2]> {
    let images = match &options.data {
        Some(folder) => {
            let data = Cifar10::load(folder)?;
            [data.train.images, data.test.images]
        }
        None => {
            let data = Mnist::bundled()?;
            // With black around, for 32 by 32 pixels.
            [data.train, data.test].map(|part| part.images.pad(&[(0, 0), (2, 2), (2, 2)], 0).expand_dims(-1))
        }
    };
    let halvings = options.halvings.unwrap_or(if options.demo.fast { 2 } else { 1 });
    let images = images.map(|images| {
        let (block, size, channels) = (1 << halvings, 32 >> halvings, images.dim(-1) as isize);
        let blocks = images.astype(DType::F32).reshape([-1, size, block, size, block, channels]);
        blocks.mean_axis([2, 4]).round().astype(DType::U8)
    });
    Ok(images.map(|images| if options.demo.fast { images.i(..images.dim(0).min(2000)) } else { images }))
}

/// What images (n, height, width, channels) cost, in bits a value.
fn bits(net: &PixelCnn) -> Parametrized<Tensor, Tensor> {
    let net = net.clone();
    parametrized("bits", move |cx, images: &Tensor| {
        let values = images.astype(DType::F32) / 127.5 - 1.0;
        let nats = discretized_logistic_mixture_loss(&cx.call(&net, &values), &values, LEVELS);
        nats.mean() / (2.0_f64.ln() * images.dim(-1) as f64)
    })
}

fn train(options: &Cli) -> Result<()> {
    let mut run = Run::start("pixelcnn", &options.demo)?;
    if !(0.0..=1.0).contains(&options.dropout) {
        return Err(Error::invalid("--dropout", format!("must be from 0 to 1, got {}", options.dropout)));
    }
    let fast = options.demo.fast;
    let [images, tests] = pictures(options)?;
    let tests = tests.i(..tests.dim(0).min(TESTS));
    if images.dim(0) < options.batch_size {
        let message = format!("{} is more than the {} training images", options.batch_size, images.dim(0));
        return Err(Error::invalid("--batch-size", message));
    }
    let net = PixelCnn::new(options.mixtures)
        .filters(options.filters.unwrap_or(if fast { 8 } else { 24 }))
        .resnets(options.resnets)
        .dropout(options.dropout);
    let bits = bits(&net);

    let [init_key, data_key, train_key, draw_key] = Key::new(options.demo.seed).split_array();
    let [train_key, draw_key] = [train_key, draw_key].to_device(run.device())?;
    let batches = Loader::new(images.clone(), options.batch_size).shuffled(data_key).to_device(run.device());
    let steps = run.steps(if fast { 2 } else { 5 }, batches.len());
    let opt = Adam::new(cosine_decay(options.lr, steps, 0.0));
    let update = jit(|(state, batch): (OptState, Tensor)| {
        let key = train_key.fold_in(opt.step(&state));
        let mode = || Mode::Train(key.duplicate());
        opt.update_and_get_loss(state, |params| bits.call(&Vars::new(params), &batch, mode()).0)
    });

    // Few at a time, as in training, for the memory that it takes.
    let test = jit(|(params, batch): (Params, Tensor)| bits.apply(&params, &batch));
    let test_batches = Loader::new(tests, options.batch_size.min(20)).to_device(run.device());
    let tested = |params: &Params| -> Result<f64> {
        let costs = test_batches.epoch(0).map(|batch| Ok(f64::from(test.call((params.clone(), batch?)).item::<f32>())));
        Ok(costs.sum::<Result<f64>>()? / test_batches.len() as f64)
    };
    let sampler = net.sampler(0, LEVELS);
    let empty = Tensor::zeros([options.draw, images.dim(1), images.dim(2), images.dim(3)]).to(run.device())?;
    let draw = jit(|(params, empty): (Params, Tensor)| {
        let params = sampler.params_from(&[bits.shaped(&empty).reuse(&params)], &empty);
        let drawn = (sampler.apply_with_key(&params, draw_key.duplicate(), &empty) + 1.0) / 2.0;
        if drawn.dim(-1) == 1 { drawn.squeeze(-1) } else { drawn }
    });

    // Lengths and biases begin as these images ask for.
    let mut params = bits.init_params(init_key, &images.i(..images.dim(0).min(FIRST)));
    if let Some(file) = &options.init {
        params = load_like(file, &params)?;
    }
    println!("{} parameters", params.size());
    let (mut state, mut step) = run.resume(opt.init(params))?;
    let mut reached = tested(opt.params(&state))?;
    println!("before: {reached:.3} bits a value");
    while step < steps {
        let start = Instant::now();
        let epoch = step / batches.len() + 1;
        run.bar(batches.len(), step % batches.len(), format!("epoch {epoch}"));
        for batch in batches.rest_of_epoch(step).take(steps - step) {
            let (next, loss) = update.call((state, batch?));
            (state, step) = (next, step + 1);
            run.loss(loss);
            run.stop_if_asked(step, &state)?;
        }
        reached = tested(opt.params(&state))?;
        let loss = run.mean_loss(batches.len());
        let seconds = start.elapsed().as_secs_f64();
        run.report(&serde_json::json!({
            "epoch": epoch, "step": step, "loss": loss, "test_loss": reached, "seconds": seconds
        }))?;
        let drawn = draw.call((opt.params(&state).clone(), empty.clone()));
        image::grid(run.path("samples.png"), &drawn, options.draw.isqrt(), 4)?;
        run.save(step, &state)?;
    }

    // Who knows nothing of a byte needs 8; parameters made for the first images, 3.4, and 4.1 with --fast.
    run.at_most("bits a value of the test images", reached, if fast { 3.0 } else { 1.5 });
    run.finish(&state)
}
