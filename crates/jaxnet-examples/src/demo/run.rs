//! A run of a demo.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use jaxnet_nn::save;
use jaxnet_nn::train::Checkpoints;
use jaxnet_tensor::profile::Profile;
use jaxnet_tensor::{Device, Error, Result, Tensor, Tree, tree};
use serde::Serialize;

use super::losses::Losses;
use super::options::Options;
use crate::device;
use crate::metrics::Metrics;
use crate::plot::{self, Curve};

/// What a shell reports of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// A run of a demo: where it computes, what it has written, and whether it was asked to stop.
pub struct Run {
    options: Options,
    device: Device,
    out: PathBuf,
    checkpoints: Checkpoints,
    metrics: Metrics,
    losses: Losses,
    bar: ProgressBar,
    asked_to_stop: Arc<AtomicBool>,
    shortcomings: Vec<String>,
    profile: Option<Profile>,
}

/// What a checkpoint holds.
#[derive(Tree)]
struct Checkpoint<S> {
    state: S,
    losses: Losses,
}

impl Run {
    /// Opens the device and the output folder, and listens to Ctrl-C.
    ///
    /// Without `--resume`, checkpoints of an earlier run in the same folder are set aside in
    /// `checkpoints.old`, and its metrics are removed; with it, those after the last checkpoint.
    ///
    /// # Errors
    ///
    /// When there is no such device, or the folder cannot be written.
    pub fn start(name: &str, options: &Options) -> Result<Run> {
        let device = device::by_name(&options.device)?;
        let out = options.out.clone().unwrap_or_else(|| Path::new("target").join(name));
        let folder = out.join("checkpoints");
        if !options.resume && folder.exists() {
            set_aside(&folder)?;
        }
        let checkpoints = Checkpoints::new(folder)?.keep(2);
        let metrics = options.metrics.clone().unwrap_or_else(|| out.join("metrics.jsonl"));
        let metrics = Metrics::open(metrics, checkpoints.steps()?.last().copied().unwrap_or(0))?;
        let asked_to_stop = Arc::new(AtomicBool::new(false));
        // The second time, at once.
        let listening = signal_hook::flag::register_conditional_shutdown(
            signal_hook::consts::SIGINT,
            INTERRUPTED,
            asked_to_stop.clone(),
        )
        .and_then(|_| signal_hook::flag::register(signal_hook::consts::SIGINT, asked_to_stop.clone()));
        listening.map_err(|error| Error::invalid("Run", format!("cannot listen to Ctrl-C: {error}")))?;
        Ok(Run {
            options: options.clone(),
            device,
            out,
            checkpoints,
            metrics,
            losses: Losses::default(),
            bar: ProgressBar::hidden(),
            asked_to_stop,
            shortcomings: Vec::new(),
            profile: options.profile.as_ref().map(|_| Profile::start()).transpose()?,
        })
    }

    /// Where to compute.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// After how many steps, each with one batch, the run ends: what `--steps` says; or epochs of so many steps, as many
    /// as `--epochs` says, or the demo's own number.
    pub fn steps(&self, default_epochs: usize, of_epoch: usize) -> usize {
        match (self.options.steps, self.options.epochs) {
            (Some(steps), _) => steps as usize,
            (None, Some(epochs)) => epochs as usize * of_epoch,
            (None, None) => default_epochs * of_epoch,
        }
    }

    /// A file in the output folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The state and the number of steps to go on from: this state, on the device, after no step; or with
    /// `--resume`, what the last checkpoint holds.
    ///
    /// # Errors
    ///
    /// When the checkpoint is damaged, or of another model; the error names what differs.
    pub fn resume<S: Tree>(&mut self, fresh: S) -> Result<(S, usize)> {
        let found = match self.options.resume {
            true => self.checkpoints.latest::<Checkpoint<S>>()?,
            false => None,
        };
        let Some((step, checkpoint)) = found else {
            return Ok((fresh.to_device(&self.device)?, 0));
        };
        check_same(&fresh, &checkpoint.state, self.checkpoints.folder())?;
        self.losses = checkpoint.losses;
        println!("going on from step {step}");
        Ok((checkpoint.state.to_device(&self.device)?, step as usize))
    }

    /// Writes a checkpoint of the state after so many steps.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn save<S: Tree>(&mut self, step: usize, state: &S) -> Result<()> {
        let (leaves, structure) = tree::flatten(state);
        let state: S = tree::unflatten(&structure, leaves)?;
        let losses = Losses::from(self.losses.values());
        self.checkpoints.save(step as u64, &Checkpoint { state, losses })?;
        Ok(())
    }

    /// After Ctrl-C, saves the state after so many steps and ends the program.
    ///
    /// # Errors
    ///
    /// When the checkpoint cannot be written.
    pub fn stop_if_asked<S: Tree>(&mut self, step: usize, state: &S) -> Result<()> {
        if self.asked_to_stop.load(Ordering::Relaxed) {
            self.bar.finish_and_clear();
            self.save(step, state)?;
            self.save_profile()?;
            println!("stopped after step {step}; go on with --resume");
            std::process::exit(INTERRUPTED);
        }
        Ok(())
    }

    fn save_profile(&mut self) -> Result<()> {
        match (self.profile.take(), &self.options.profile) {
            (Some(profile), Some(path)) => profile.save(path),
            _ => Ok(()),
        }
    }

    /// Shows a bar of so many steps, of which some are done, on standard error, if that is a terminal.
    pub fn bar(&mut self, steps: usize, done: usize, title: String) {
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {per_sec} {msg}");
        let style = style.expect("a valid template").progress_chars("=> ");
        self.bar.finish_and_clear();
        self.bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(title).with_position(done as u64);
        self.bar.reset_eta();
    }

    /// Takes note of the loss of a step, or the losses of several.
    pub fn loss(&mut self, losses: Tensor) {
        let steps = losses.size() as u64;
        self.losses.push(losses);
        self.bar.inc(steps);
        // Looking waits for the device.
        if !self.bar.is_hidden() && (self.bar.position().is_multiple_of(20) || steps > 20) {
            let shown = self.losses.values().last().map(|loss| format!("loss {loss:.4}"));
            self.bar.set_message(shown.unwrap_or_default());
        }
    }

    /// The losses of all steps so far, those before a resumption, too.
    pub fn losses(&mut self) -> &[f32] {
        self.losses.values()
    }

    /// The mean loss of the last epoch, as far as it went, where epochs have so many steps; NaN before the first step.
    pub fn mean_loss(&mut self, steps_per_epoch: usize) -> f64 {
        let last = self.losses.values().chunks(steps_per_epoch.max(1)).next_back().unwrap_or_default();
        last.iter().map(|loss| f64::from(*loss)).sum::<f64>() / last.len() as f64
    }

    /// Prints what happened in an epoch, and adds it to the metrics file. It must have a field `step`, the
    /// number of steps so far.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn report(&mut self, report: &impl Serialize) -> Result<()> {
        self.bar.finish_and_clear();
        let value = self.metrics.write(report)?;
        let fields = value.as_object().into_iter().flatten().map(|(name, value)| match value.as_f64() {
            Some(number) if !(value.is_i64() || value.is_u64()) => format!("{name} {}", short(number)),
            _ => format!("{name} {value}"),
        });
        println!("{}", fields.collect::<Vec<_>>().join(", "));
        Ok(())
    }

    /// Takes note of a part of the outcome, which should be at least `bound`.
    pub fn at_least(&mut self, what: &str, value: f64, bound: f64) {
        self.expect(what, value, value >= bound, &format!("at least {bound}"));
    }

    /// Takes note of a part of the outcome, which should be at most `bound`.
    pub fn at_most(&mut self, what: &str, value: f64, bound: f64) {
        self.expect(what, value, value <= bound, &format!("at most {bound}"));
    }

    fn expect(&mut self, what: &str, value: f64, good: bool, bound: &str) {
        let line = format!("{what}: {}, should be {bound}", short(value));
        println!("{line}{}", if good { "" } else { ": NOT REACHED" });
        if !good {
            self.shortcomings.push(line);
        }
    }

    /// Ends the run: saves the state as `state.safetensors` and the losses as `losses.npy`, and draws those as
    /// `loss.png`.
    ///
    /// # Errors
    ///
    /// When these cannot be written; and, with `--check`, when the outcome is not what it should be.
    pub fn finish<S: Tree>(mut self, state: &S) -> Result<()> {
        self.bar.finish_and_clear();
        let points = self.losses().iter().enumerate().map(|(step, loss)| (step as f64, f64::from(*loss))).collect();
        plot::save(self.path("loss.png"), "loss by step", &[Curve { name: "training loss", points }])?;
        Tensor::from(self.losses()).save_npy(self.path("losses.npy"))?;
        save(state, self.path("state.safetensors"))?;
        self.save_profile()?;
        println!("what was made is in {}", self.out.display());
        match self.options.check && !self.shortcomings.is_empty() {
            true => Err(Error::invalid("--check", self.shortcomings.join("; "))),
            false => Ok(()),
        }
    }
}

/// A number with as many digits as one reads.
fn short(number: f64) -> String {
    let digits = (3 - number.abs().max(1e-9).log10().floor() as i64).clamp(0, 6) as usize;
    format!("{number:.digits$}")
}

/// Renames a folder of checkpoints, in place of one that was set aside before.
fn set_aside(folder: &Path) -> Result<()> {
    let old = folder.with_extension("old");
    if old.exists() {
        fs::remove_dir_all(&old).map_err(|error| Error::io(&old, &error))?;
    }
    fs::rename(folder, &old).map_err(|error| Error::io(folder, &error))
}

/// That a state is like another one.
fn check_same<S: Tree>(expected: &S, found: &S, folder: &Path) -> Result<()> {
    let ((expected, structure), (found, other)) = (tree::flatten(expected), tree::flatten(found));
    let mut pairs = expected.iter().zip(&found).zip(structure.paths());
    let different = match structure == other {
        false => Some("other parts".to_string()),
        true => pairs
            .find(|((a, b), _)| a.aval().strong() != b.aval().strong())
            .map(|((a, b), path)| format!("`{path}` is {} there and {} here", b.aval(), a.aval())),
    };
    match different {
        None => Ok(()),
        Some(what) => {
            let message = format!(
                "the checkpoint in {} is of another model ({what}); give the flags it was made with, another --out, or \
                 leave out --resume",
                folder.display()
            );
            Err(Error::invalid("--resume", message))
        }
    }
}
