//! Learns to draw handwritten digits: JAXnet's variational autoencoder, whose whole epoch is one compiled loop.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin mnist_vae
//! ```
//!
//! Kingma and Welling, "Auto-Encoding Variational Bayes" (2013). Pixels are black or white by lot, as bright as
//! they are. After each epoch `digits.png` has, from the top, digits of the test set, how the net draws them again,
//! and digits that it makes up.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_examples::data::Mnist;
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::image;
use jaxnet_nn::prelude::*;
use jaxnet_optim::{Adam, OptState, Optimizer};

/// Learns to draw handwritten digits.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// The folder with the four files of MNIST [default: the 10,000 digits that come with this program]
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many images to learn from at once.
    #[arg(long, default_value_t = 32, value_parser = positive)]
    batch_size: usize,
    /// The learning rate.
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
}

/// The size of the code that the net writes for each image.
const LATENT: usize = 10;
const PIXELS: usize = 28 * 28;

fn main() -> ExitCode {
    demo::main(train)
}

/// From images (n, 784) to the means and variances (n, 10) of their codes.
fn encoder() -> Parametrized<Tensor, (Tensor, Tensor)> {
    let trunk = sequential![Dense::new(512), relu, Dense::new(512), relu];
    let (mean, variance) = (Dense::new(LATENT), sequential![Dense::new(LATENT), softplus]);
    parametrized("encoder", move |cx, images: &Tensor| {
        let hidden = cx.call(&trunk, images);
        (cx.call(&mean, &hidden), cx.call(&variance, &hidden))
    })
}

/// From codes (n, 10) to logits (n, 784) of the pixels being white.
fn decoder() -> Parametrized<Tensor, Tensor> {
    let layers = sequential![Dense::new(512), relu, Dense::new(512), relu, Dense::new(PIXELS)];
    parametrized("decoder", move |cx, codes: &Tensor| cx.call(&layers, codes))
}

type Encoder = Parametrized<Tensor, (Tensor, Tensor)>;
type Decoder = Parametrized<Tensor, Tensor>;

/// The evidence lower bound of images (n, 784) with brightness from 0 to 1, in nats an image.
fn evidence(encoder: &Encoder, decoder: &Decoder) -> Parametrized<Tensor, Tensor> {
    let (encoder, decoder) = (encoder.clone(), decoder.clone());
    parametrized("evidence", move |cx, brightness: &Tensor| {
        let white = cx.random_key().bernoulli(brightness, brightness.shape());
        let (mean, variance) = cx.call(&encoder, &white.astype(DType::F32));
        let codes = &mean + variance.sqrt() * cx.random_key().normal(mean.shape());
        let logits = cx.call(&decoder, &codes);
        let reconstruction = log_sigmoid(&white.select(&logits, -&logits)).sum_axis(-1);
        let divergence = -0.5 * (1.0 + variance.log() - mean.square() - variance).sum_axis(-1);
        (reconstruction - divergence).mean()
    })
}

fn train(options: &Cli) -> Result<()> {
    let mut run = Run::start("mnist_vae", &options.demo)?;
    let data = options.data.as_ref().map_or_else(Mnist::bundled, Mnist::load)?;
    let brightness =
        |images: &Tensor| (images.reshape([-1, PIXELS as isize]).astype(DType::F32) / 255.0).to(run.device());
    let (mut images, tests) = (brightness(&data.train.images)?, brightness(&data.test.images)?);
    if options.demo.fast {
        images = images.i(..images.dim(0).min(2000));
    }
    let batches = images.dim(0) / options.batch_size;
    if batches == 0 {
        let message = format!("{} is more than the {} training images", options.batch_size, images.dim(0));
        return Err(Error::invalid("--batch-size", message));
    }

    let [init_key, train_key, test_key, picture_key] = Key::new(options.demo.seed).split_array();
    let keys = [train_key, test_key, picture_key].to_device(run.device())?;
    let [train_key, test_key, picture_key] = &keys;
    let (encoder, decoder) = (encoder(), decoder());
    let evidence = evidence(&encoder, &decoder);
    let opt = Adam::new(options.lr);

    // A whole epoch runs on the device: the order of the images, gradients, updates; or, by --steps, some of its batches.
    let epoch = |part: Range<usize>, (state, images): (OptState, Tensor)| {
        let key = train_key.fold_in(opt.step(&state) - part.start);
        let order = key.fold_in(0).shuffled_range(images.dim(0));
        let order = order.i((part.start * options.batch_size)..(part.end * options.batch_size));
        let update = |state: OptState, rows: Tensor| {
            let (key, batch) = (key.fold_in(1 + opt.step(&state)), images.take(&rows, 0));
            opt.update_and_get_loss(state, |params| -evidence.apply_with_key(&params, key.duplicate(), &batch))
        };
        scan(update, state, order.reshape([part.len(), options.batch_size]))
    };
    let whole_epoch = jit(|argument| epoch(0..batches, argument));
    let test = jit(|(params, tests): (Params, Tensor)| evidence.apply_with_key(&params, test_key.duplicate(), &tests));

    // Other uses of the same nets: their parameters are found in those of the evidence.
    let (encode, decode) = (encoder.clone(), decoder.clone());
    let repeated = parametrized("repeated", move |cx, images: &Tensor| {
        let (mean, _) = cx.call(&encode, images);
        sigmoid(&cx.call(&decode, &mean))
    });
    let invented = sequential![decoder.clone(), sigmoid];
    let codes = picture_key.duplicate().normal([60, LATENT]);
    let shown = tests.i(..tests.dim(0).min(20));
    let draw = jit(|(params, shown, codes): (Params, Tensor, Tensor)| {
        let trained = [evidence.shaped(&shown).reuse(&params)];
        let again = repeated.apply_from(&trained, &shown);
        Tensor::concatenate(&[shown, again, invented.apply_from(&trained, &codes)], 0).reshape([-1, 28, 28])
    });

    let params = evidence.init(init_key, &images.i(..1)).params;
    let (mut state, mut step) = run.resume(opt.init(params))?;
    let steps = run.steps(if options.demo.fast { 5 } else { 60 }, batches);
    let mut reached = test.call((opt.params(&state).clone(), tests.clone())).item::<f32>();
    while step < steps {
        let start = Instant::now();
        run.bar(steps, step, "training".into());
        let first = step % batches;
        let part = first..batches.min(first + steps - step);
        let count = part.len();
        let (next, losses) = match count == batches {
            true => whole_epoch.call((state, images.clone())),
            false => jit(|argument| epoch(part.clone(), argument)).call((state, images.clone())),
        };
        (state, step) = (next, step + count);
        run.loss(losses);
        reached = test.call((opt.params(&state).clone(), tests.clone())).item::<f32>();
        let train_elbo = -run.mean_loss(batches);
        run.report(&serde_json::json!({
            "epoch": step.div_ceil(batches), "step": step, "train_elbo": train_elbo, "test_elbo": reached,
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
        let pictures = draw.call((opt.params(&state).clone(), shown.clone(), codes.clone()));
        image::grid(run.path("digits.png"), &pictures, shown.dim(0), 2)?;
        run.save(step, &state)?;
        run.stop_if_asked(step, &state)?;
    }
    // A net that knows nothing needs a bit a pixel: 543 nats.
    run.at_least(
        "evidence of the test images, in nats",
        f64::from(reached),
        if options.demo.fast { -200.0 } else { -111.0 },
    );
    run.finish(&state)
}
