//! Learns a sound sample by sample, and goes on with it: WaveNet.
//!
//! ```text
//! cargo run --release -p jaxnet-examples --bin wavenet -- --wav FILE
//! ```
//!
//! Van den Oord et al., "WaveNet: A Generative Model for Raw Audio" (2016), with JAXnet's sizes, and for each sample of
//! 16 bits a mixture of logistic distributions. The net learns from pieces of the sound, a thousand samples to
//! predict at once. Then it plays: `generated.wav` starts in silence, sample after sample, each of which costs as
//! many small products as there are layers, since what was seen before is kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use jaxnet_examples::audio::{Clip, LEVELS, Windows};
use jaxnet_examples::demo::{self, Options, Run, positive};
use jaxnet_examples::plot::{self, Curve};
use jaxnet_nn::prelude::*;
use jaxnet_nn::train::Loader;
use jaxnet_optim::{Adam, OptState, Optimizer, cosine_decay};

/// Learns a sound, and goes on with it.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    demo: Options,
    /// The sound, a WAV file [default: a tune that the program makes]
    #[arg(long)]
    wav: Option<PathBuf>,
    /// Layers in a stack, whose dilations are 1, 2, 4, … [default: 10; 8 with --fast]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    depth: Option<u32>,
    /// Stacks of layers [default: 2; 1 with --fast]
    #[arg(long, value_parser = positive)]
    stacks: Option<usize>,
    /// Channels within layers [default: 32; 16 with --fast]
    #[arg(long, value_parser = positive)]
    channels: Option<usize>,
    /// Channels from layers to the output [default: 512; 64 with --fast]
    #[arg(long, value_parser = positive)]
    skip_channels: Option<usize>,
    /// Logistic distributions in a mixture.
    #[arg(long, default_value_t = 10, value_parser = positive)]
    mixtures: usize,
    /// Samples to predict at once.
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    outputs: usize,
    /// How many pieces of the sound to learn from at once.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    batch_size: usize,
    /// The learning rate at the start; it falls to zero along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// Samples to generate [default: 4 seconds; half a second with --fast]
    #[arg(long, value_parser = positive)]
    generate: Option<usize>,
    /// Starts from these parameters, a safetensors file, in place of random ones.
    #[arg(long)]
    init: Option<PathBuf>,
}

fn main() -> ExitCode {
    demo::main(train)
}

fn network(options: &Cli) -> WaveNet {
    let either = |given: Option<usize>, full, fast| given.unwrap_or(if options.demo.fast { fast } else { full });
    let depth = either(options.depth.map(|depth| depth as usize), 10, 8);
    let stacks = either(options.stacks, 2, 1);
    let dilations: Vec<usize> = (0..depth * stacks).map(|layer| 1 << (layer % depth)).collect();
    let skip_channels = either(options.skip_channels, 512, 64);
    WaveNet::new(dilations, 3 * options.mixtures)
        .channels(either(options.channels, 32, 16))
        .skip_channels(skip_channels)
}

/// What the samples (n, seen + predicted, 1) of pieces cost, in nats a predicted sample.
fn loss(net: &WaveNet) -> Parametrized<Tensor, Tensor> {
    let net = net.clone();
    parametrized("loss", move |cx, pieces: &Tensor| {
        let outputs = cx.call(&net, &pieces.i((.., ..-1)));
        let predicted = pieces.i((.., net.receptive_field() as isize..));
        discretized_logistic_mixture_loss(&outputs, &predicted, LEVELS).mean()
    })
}

fn train(options: &Cli) -> Result<()> {
    let mut run = Run::start("wavenet", &options.demo)?;
    let fast = options.demo.fast;
    let clip = options.wav.as_ref().map_or_else(|| Ok(Clip::synthesized()), Clip::load)?;
    let clip = if fast { clip.first(16 * options.outputs) } else { clip };
    let net = network(options);
    let loss = loss(&net);

    let [init_key, data_key, play_key] = Key::new(options.demo.seed).split_array();
    let pieces = Windows::new(&clip, net.receptive_field(), options.outputs)?;
    let batches = Loader::new(pieces, options.batch_size).shuffled(data_key).to_device(run.device());
    if batches.is_empty() {
        let message = format!("{} is more than the sound has pieces of --outputs samples", options.batch_size);
        return Err(Error::invalid("--batch-size", message));
    }
    let steps = run.steps(if fast { 40 } else { 100 }, batches.len());
    let opt = Adam::new(cosine_decay(options.lr, steps, 0.0));
    let update =
        jit(|(state, batch): (OptState, Tensor)| opt.update_and_get_loss(state, |params| loss.apply(&params, &batch)));

    let mut params = loss.init_params(init_key, &Tensor::zeros([1, net.receptive_field() + 1, 1]));
    if let Some(file) = &options.init {
        params = load_like(file, &params)?;
    }
    println!("{} parameters; an output depends on {} samples", params.size(), net.receptive_field());
    let (mut state, mut step) = run.resume(opt.init(params))?;
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
        let (nats, seconds) = (run.mean_loss(batches.len()), start.elapsed().as_secs_f64());
        run.report(&serde_json::json!({ "epoch": epoch, "step": step, "loss": nats, "seconds": seconds }))?;
        run.save(step, &state)?;
    }

    // All of it is one loop on the device, from silence.
    let default = if fast { clip.rate / 2 } else { 4 * clip.rate } as usize;
    let sampler =
        net.sampler(options.generate.unwrap_or(default), |key, outputs| sample_logistic_mixture(key, outputs, 1));
    let silence = Tensor::zeros([1, net.receptive_field(), 1]).to(run.device())?;
    let shape = Tensor::zeros([1, net.receptive_field() + 1, 1]);
    let play = jit(|(params, key, silence): (Params, Key, Tensor)| {
        let params = sampler.params_from(&[loss.shaped(&shape).reuse(&params)], &silence);
        sampler.apply_with_key(&params, key, &silence)
    });
    let start = Instant::now();
    let played = play.call((opt.params(&state).clone(), play_key.to_device(run.device())?, silence));
    let generated = Clip { rate: clip.rate, samples: played.try_to_vec::<f32>()? };
    let speed = generated.samples.len() as f64 / start.elapsed().as_secs_f64();
    println!("generated {speed:.0} samples a second, with compilation");
    generated.save(run.path("generated.wav"))?;
    clip.save(run.path("clip.wav"))?;
    let curve = |name, clip: &Clip, up: f64| {
        let shown = clip.samples.iter().take(clip.rate as usize / 10).enumerate();
        Curve { name, points: shown.map(|(i, x)| (i as f64 / f64::from(clip.rate), f64::from(*x) + up)).collect() }
    };
    let curves = [curve("the sound, raised by 2", &clip, 2.0), curve("generated", &generated, 0.0)];
    plot::save(run.path("waveform.png"), "the first tenth of a second", &curves)?;

    // Who knows nothing of samples of 16 bits needs ln(65536) = 11.1.
    let nats = run.mean_loss(batches.len());
    run.at_most("loss of the last epoch, in nats a sample", nats, if fast { 8.0 } else { 6.0 });
    run.finish(&state)
}
