//! Drives the builds: `cargo xtask --help` lists what there is.

mod bench;
mod cargo;
mod check;
mod demos;
mod disk;
mod downstream;
mod setup;
mod test_gpu;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Drives the builds, tests and benchmarks of the JAXnet workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetches the native libraries of the features `xla` and `torch` into `target/native/` (about 880 MB).
    ///
    /// Needs python3 with pip, and a C++ compiler. Does nothing where they are there already, or where
    /// LIBTORCH and XLA_EXTENSION_DIR name other copies.
    Setup {
        /// Which engines to fetch for; both where none is named.
        engines: Vec<setup::Engine>,
        /// Another folder than `target/native/`, for builds outside of this workspace.
        #[arg(long)]
        into: Option<std::path::PathBuf>,
    },
    /// Everything that must hold before a commit: formatting, lints, documentation, unused dependencies.
    Check,
    /// All tests on all engines, all documented examples, and crates that depend on ours from outside.
    ///
    /// Fetches the engines' libraries first, as `setup` does.
    Test {
        /// Only the embedded engine: fetches and links no library.
        #[arg(long)]
        embedded: bool,
    },
    /// The demos in full, with their outcomes checked: about an hour; a few minutes with `--fast`.
    Demos(demos::Options),
    /// The parity suite and the demos on this machine's GPUs: fetches what they need (several GB), builds, runs, and
    /// prints a table. Fails where there is no GPU.
    TestGpu(test_gpu::Options),
    /// Benchmarks of our own over time, or side by side with other frameworks.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup { engines, into: None } => setup::setup(&engines),
        Task::Setup { engines, into: Some(folder) } => setup::setup_into(&engines, &folder),
        Task::Check => check::check(),
        Task::Test { embedded } => test(if embedded { &[] } else { &["xla", "torch"] }),
        Task::Demos(options) => demos::demos(&options),
        Task::TestGpu(options) => test_gpu::test_gpu(&options),
        Task::Bench(options) => bench::bench(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything with these engines beside the embedded one.
fn test(engines: &[&str]) -> Result<(), String> {
    if !engines.is_empty() {
        // Measured: 7 GB, and 4 more with what cargo keeps for compiling again.
        if !cargo::target().join("debug/deps").exists() {
            disk::check_space("a first run of all tests on all engines", 12_000, cargo::root())?;
        }
        setup::setup(&[])?;
    }
    let features = format!("--features={}", engines.join(","));
    // Also the documented examples, which `cargo test` runs when no target is named.
    cargo::cargo(&["test", "--workspace", "--exclude", "jaxnet-examples", &features])?;
    // Programs that train take their time, most of it when they are not optimized.
    cargo::cargo(&["test", "--release", "--package", "jaxnet-examples", &features])?;
    demos::check(&demos::names(), &[&["cpu"], engines].concat(), true)?;
    downstream::check(engines)
}
