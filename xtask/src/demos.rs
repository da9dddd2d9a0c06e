//! `cargo xtask demos`: the demos, with their outcomes checked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Args;

use crate::cargo::{cargo, root, run, target};
use crate::setup::{self, Engine};

#[derive(Args)]
pub struct Options {
    /// Only these demos [default: all]
    names: Vec<String>,
    /// Short runs, with the outcomes that these should have.
    #[arg(long)]
    fast: bool,
    /// Engines to run on.
    #[arg(long, value_delimiter = ',', default_value = "cpu", value_parser = ["cpu", "xla", "torch"])]
    engines: Vec<String>,
    /// Copies the pictures that the README shows into `docs/gallery/`.
    #[arg(long, conflicts_with = "fast")]
    gallery: bool,
}

/// The flags of the runs in full of demos that run otherwise than without flags, or more often.
const RUNS: [(&str, &[&[&str]]); 2] = [
    ("mnist_classifier", &[&["--model", "mlp"], &["--model", "conv"]]),
    ("policy_gradient", &[&["--seed", "0"], &["--seed", "1"], &["--seed", "2"]]),
];

/// What the gallery shows of what the demos make, under `target/demos/cpu/`.
const GALLERY: [&str; 6] = [
    "mnist_vae/digits.png",
    "ocr_rnn/lines.png",
    "pixelcnn/samples.png",
    "bayesian_mnist/calibration.png",
    "policy_gradient/returns.png",
    "wavenet/waveform.png",
];

pub fn demos(options: &Options) -> Result<(), String> {
    let all = names();
    if let Some(unknown) = options.names.iter().find(|name| !all.contains(name)) {
        return Err(format!("there is no demo {unknown}; there are {}", all.join(", ")));
    }
    let names = if options.names.is_empty() { all } else { options.names.clone() };
    let engines: Vec<&str> = options.engines.iter().map(String::as_str).collect();
    check(&names, &engines, options.fast)?;
    if options.gallery { gallery() } else { Ok(()) }
}

/// Runs demos on engines, and fails unless all outcomes are as they should be.
pub fn check(names: &[String], engines: &[&str], fast: bool) -> Result<(), String> {
    let mut build = vec!["build", "--release", "--package", "jaxnet-examples", "--bins"];
    for &engine in engines.iter().filter(|engine| **engine != "cpu") {
        setup::setup(&[if engine == "xla" { Engine::Xla } else { Engine::Torch }])?;
        build.extend(["--features", engine]);
    }
    cargo(&build)?;
    let mut failures = Vec::new();
    let mut lines = vec!["| demo | engine | seconds | outcome |".to_string(), "|---|---|--:|---|".to_string()];
    for name in names {
        for (engine, flags) in engines.iter().flat_map(|engine| runs(name, fast).iter().map(move |run| (engine, run))) {
            let start = Instant::now();
            let outcome = run(command(name, engine, fast).args(*flags));
            if fast && outcome.is_ok() {
                // Nobody goes on from a short run, and those of all engines would take gigabytes.
                let _ = std::fs::remove_dir_all(out(name, engine, fast).join("checkpoints"));
            }
            let word = if outcome.is_ok() { "as it should be" } else { "NOT as it should be" };
            let demo = format!("{name} {}", flags.join(" "));
            lines.push(format!("| {} | {engine} | {:.0} | {word} |", demo.trim(), start.elapsed().as_secs_f64()));
            failures.extend(outcome.err());
        }
    }
    println!("{}", lines.join("\n"));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

fn runs(name: &str, fast: bool) -> &'static [&'static [&'static str]] {
    let special = RUNS.iter().find(|(demo, _)| *demo == name && !fast);
    special.map_or(&[&[]], |(_, runs)| runs)
}

/// A demo that checks its outcome, and writes into a folder of its own.
fn command(name: &str, engine: &str, fast: bool) -> Command {
    let mut command = Command::new(target().join("release").join(name));
    command.current_dir(root()).args(["--check", "--device", engine, "--out"]).arg(out(name, engine, fast));
    if fast {
        command.arg("--fast");
    }
    command
}

fn out(name: &str, engine: &str, fast: bool) -> PathBuf {
    target().join(if fast { "demos/fast" } else { "demos" }).join(engine).join(name)
}

/// The demos: programs of the examples, but for the one that is timed.
pub fn names() -> Vec<String> {
    let folder = root().join("crates/jaxnet-examples/src/bin");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |file: std::fs::DirEntry| Some(file.path().file_stem()?.to_str()?.to_string());
    let mut names: Vec<String> = files.filter_map(name).filter(|name| name != "workload").collect();
    names.sort();
    names
}

fn gallery() -> Result<(), String> {
    let folder = root().join("docs/gallery");
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    for picture in GALLERY {
        let from = target().join("demos/cpu").join(picture);
        let demo = Path::new(picture).parent().expect("a demo's folder").display().to_string();
        let to = folder.join(demo).with_extension("png");
        std::fs::copy(&from, &to)
            .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_are_the_programs_of_the_examples() {
        let names = names();
        assert!(names.contains(&"mnist_classifier".to_string()) && !names.contains(&"workload".to_string()));
        let shown = |picture: &&str| names.iter().any(|name| picture.starts_with(&format!("{name}/")));
        assert!(GALLERY.iter().all(shown), "{names:?}");
        assert!(RUNS.iter().all(|(name, _)| names.iter().any(|demo| demo == name)), "{names:?}");
        assert_eq!((runs("policy_gradient", false).len(), runs("policy_gradient", true).len()), (3, 1));
    }
}
