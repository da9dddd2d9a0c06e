//! Flags.

use std::path::PathBuf;

use clap::Args;

/// The flags of all demos.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to compute: cpu, xla or torch; torch_cuda:1 is a GPU, and cuda=/path/xla_cuda_plugin.so one by XLA.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Where random numbers start: the same seed gives the same model.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How often to go through the training data.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// After how many steps, each with one batch, to end, in place of whole epochs.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "epochs")]
    pub steps: Option<u32>,
    /// The folder for what the program makes [default: target/ and its name]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// A file for a line of JSON per epoch [default: metrics.jsonl in the output folder]
    #[arg(long)]
    pub metrics: Option<PathBuf>,
    /// Writes where the time goes, a timeline that ui.perfetto.dev opens; best of a few --steps.
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// A short run on less data, for less than a minute.
    #[arg(long)]
    pub fast: bool,
    /// Goes on from the last checkpoint in the output folder, if there is one.
    #[arg(long)]
    pub resume: bool,
    /// Fails unless the outcome is as good as this program should reach with the other flags at their defaults.
    #[arg(long)]
    pub check: bool,
}

impl Default for Options {
    /// What no flags give.
    fn default() -> Self {
        Options {
            device: "cpu".into(),
            seed: 0,
            epochs: None,
            steps: None,
            out: None,
            metrics: None,
            profile: None,
            fast: false,
            resume: false,
            check: false,
        }
    }
}

/// Reads a number from 1 on.
///
/// # Errors
///
/// When it is none.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("needs a whole number from 1 on".into()),
        Ok(number) => Ok(number),
    }
}
