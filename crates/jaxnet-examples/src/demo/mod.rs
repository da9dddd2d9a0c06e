//! What the demos have in common beside their training loops: flags, checkpoints, Ctrl-C, metrics, a bar, and
//! what they should reach.
//!
//! A demo's loop reads so:
//!
//! ```
//! use jaxnet_examples::demo::{Options, Run};
//! use jaxnet_nn::prelude::*;
//! use jaxnet_nn::train::Loader;
//! use jaxnet_optim::{Momentum, OptState, Optimizer};
//!
//! fn train(options: &Options) -> Result<()> {
//!     let mut run = Run::start("parabola", options)?;
//!     let loader = Loader::new(Key::new(options.seed).normal([40]), 4).shuffled(Key::new(1)).to_device(run.device());
//!     let steps = run.steps(if options.fast { 2 } else { 20 }, loader.len());
//!     let opt = Momentum::new(0.02, 0.9);
//!     let update = jit(|(state, x): (OptState<Tensor>, Tensor)| {
//!         opt.update_and_get_loss(state, |w| (w * &x - 2.0 * &x).square().mean())
//!     });
//!     let (mut state, mut step) = run.resume(opt.init(Tensor::from(0.0)))?;
//!     while step < steps {
//!         run.bar(loader.len(), step % loader.len(), format!("epoch {}", step / loader.len() + 1));
//!         for batch in loader.rest_of_epoch(step).take(steps - step) {
//!             let (next, loss) = update.call((state, batch?));
//!             (state, step) = (next, step + 1);
//!             run.loss(loss);
//!             run.stop_if_asked(step, &state)?;
//!         }
//!         let loss = run.mean_loss(loader.len());
//!         run.report(&serde_json::json!({ "step": step, "loss": loss }))?;
//!         run.save(step, &state)?;
//!     }
//!     run.at_most("distance", f64::from((opt.params(&state) - 2.0).abs().item::<f32>()), 0.1);
//!     run.finish(&state)
//! }
//!
//! let folder = tempfile::tempdir().unwrap();
//! let options = Options { out: Some(folder.path().into()), check: true, ..Options::default() };
//! train(&options)?;
//! # Ok::<(), Error>(())
//! ```

mod losses;
mod options;
mod run;

use std::process::ExitCode;

use clap::Parser;
use jaxnet_tensor::{Result, try_catch};

pub use options::{Options, positive};
pub use run::Run;

/// Runs a demo with the flags it was called with. What goes wrong is said in a line.
pub fn main<C: Parser>(demo: impl Fn(&C) -> Result<()>) -> ExitCode {
    let flags = C::parse();
    match try_catch(|| demo(&flags)).and_then(|result| result) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
