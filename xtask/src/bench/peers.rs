//! Ours and the peers in turn in one run.
//!
//! Each framework does a workload in a process of its own, which lives through all rounds and is
//! idle while others have their turn; turns rotate, so that no framework always comes first. Drifts of
//! the machine's speed thus meet all alike.

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;

use super::runner::Runner;
use super::table;
use crate::cargo::{cargo, root, run, target};
use crate::setup;

/// A workload, as `crates/jaxnet-examples/src/workloads` describes it.
pub struct Workload {
    pub name: &'static str,
    /// What one row of the table is called.
    pub title: &'static str,
    /// How many times a step does what is reported.
    pub repeats: f64,
}

const WORKLOADS: [Workload; 9] = [
    Workload { name: "mlp", title: "training step of an MLP 784-1024-1024-10, batch 128, momentum", repeats: 1.0 },
    Workload { name: "mlp_loop", title: "the same, 62 steps in one compiled loop, one of them", repeats: 62.0 },
    Workload {
        name: "vae",
        title: "training step of a VAE 784-512-512-10-512-512-784, batch 32, momentum",
        repeats: 1.0,
    },
    Workload {
        name: "convnet",
        title: "training step of a ConvNet (3x3x32, 3x3x64, max 2, dense 128, dense 10), 28x28, batch 128, Adam",
        repeats: 1.0,
    },
    Workload {
        name: "gru",
        title: "training step of three stacked GRUs of 200 units, input 128, batch 10, 14 places, RMSProp",
        repeats: 1.0,
    },
    Workload {
        name: "wavenet",
        title: "training step of a WaveNet (20 layers, 32 channels, 512 skip channels, 1000 outputs), Adam",
        repeats: 1.0,
    },
    Workload { name: "resnet50", title: "training step of resnet50, 8 images of 224x224, momentum", repeats: 1.0 },
    Workload { name: "elementwise", title: "`sin(x)*exp(-x)+x*x-0.5`, 10 million f32, compiled", repeats: 1.0 },
    Workload { name: "dispatch_eager", title: "eager `x + 1` on four f32", repeats: 1000.0 },
];

/// How long a turn is meant to take.
const TURN_MS: f64 = 200.0;

/// One line of `peers.json`.
#[derive(Serialize)]
pub struct Figures {
    pub workload: &'static str,
    pub framework: &'static str,
    pub engine: &'static str,
    pub version: String,
    pub median_ms: f64,
    pub min_ms: f64,
    pub first_step_s: f64,
    pub peak_mb: Option<f64>,
}

/// Who does the workloads: a framework, its engine and the command that does a workload.
struct Peer {
    framework: &'static str,
    engine: &'static str,
    /// Workloads that would be the same as another peer's.
    without: &'static [&'static str],
    command: fn(&str) -> Command,
}

const PEERS: [Peer; 6] = [
    Peer { framework: OURS, engine: "cpu", without: &[], command: |workload| ours(workload, "cpu") },
    Peer { framework: OURS, engine: "xla", without: &[], command: |workload| ours(workload, "xla") },
    Peer { framework: OURS, engine: "torch", without: &[], command: |workload| ours(workload, "torch") },
    Peer { framework: "jax", engine: "cpu", without: &[], command: |workload| python("jax_peer.py", &[workload]) },
    Peer {
        framework: "pytorch",
        engine: "cpu",
        without: &[],
        command: |workload| python("torch_peer.py", &[workload]),
    },
    Peer {
        framework: "pytorch-compile",
        engine: "cpu",
        without: &["dispatch_eager"],
        command: |workload| python("torch_peer.py", &[workload, "compile"]),
    },
];

pub const OURS: &str = "jaxnet";

/// Our engines that can be built here.
fn engines() -> Vec<&'static str> {
    let mut engines = vec!["cpu"];
    for (name, engine) in [("xla", setup::Engine::Xla), ("torch", setup::Engine::Torch)] {
        if setup::is_there(engine) {
            engines.push(name);
        } else {
            eprintln!("without our engine {name}, whose library is missing (`cargo xtask setup {name}`)");
        }
    }
    engines
}

/// Builds our program once for each engine, with that engine alone, so that none pays for another's libraries.
fn build(engines: &[&str]) -> Result<(), String> {
    for engine in engines {
        let mut arguments = vec!["build", "--release", "--quiet", "-p", "jaxnet-examples", "--bin", "workload"];
        if *engine != "cpu" {
            arguments.extend(["--features", engine]);
        }
        cargo(&arguments)?;
        let (from, to) = (target().join("release/workload"), program(engine));
        std::fs::copy(&from, &to)
            .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Our program with an engine.
fn program(engine: &str) -> PathBuf {
    target().join(format!("bench/workload-{engine}"))
}

/// Runs the workloads of these names, or all.
pub fn compare(names: &[String], rounds: u32) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| WORKLOADS.iter().all(|workload| workload.name != *name)) {
        let known = WORKLOADS.map(|workload| workload.name).join(", ");
        return Err(format!("there is no workload {unknown}; there are {known}"));
    }
    install()?;
    let engines = engines();
    build(&engines)?;

    let chosen = |workload: &&Workload| names.is_empty() || names.iter().any(|name| name == workload.name);
    let mut figures = Vec::new();
    for workload in WORKLOADS.iter().filter(chosen) {
        figures.extend(measure(workload, &engines, rounds)?);
    }

    let file = target().join("bench/peers.json");
    let text = serde_json::to_string_pretty(&figures).expect("figures are plain data");
    std::fs::write(&file, text + "\n").map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    println!("{}", table::markdown(&WORKLOADS, &figures));
    eprintln!("wrote {}", file.display());
    Ok(())
}

fn measure(workload: &Workload, engines: &[&str], rounds: u32) -> Result<Vec<Figures>, String> {
    let mut runners = Vec::new();
    let there = |peer: &&Peer| peer.framework != OURS || engines.contains(&peer.engine);
    for peer in PEERS.iter().filter(there).filter(|peer| !peer.without.contains(&workload.name)) {
        eprintln!("{}: starting {} ({})", workload.name, peer.framework, peer.engine);
        let mut runner = Runner::start((peer.command)(workload.name))?;
        // Compilers that specialize do it in the first steps; the last of these tell how long a step takes.
        let warm = runner.steps(8)?;
        let steps = (TURN_MS / median(&warm[4..])).round().clamp(1.0, 200.0) as usize;
        runners.push((peer, runner, steps, Vec::new()));
    }
    let count = runners.len();
    for round in 0..rounds as usize {
        for turn in 0..count {
            let (_, runner, steps, times) = &mut runners[(round + turn) % count];
            times.extend(runner.steps(*steps)?);
        }
    }
    let figures = runners.into_iter().map(|(peer, runner, _, times)| {
        let (version, first_step_s) = (runner.version.clone(), runner.first_step_s);
        Ok(Figures {
            workload: workload.name,
            framework: peer.framework,
            engine: peer.engine,
            version,
            median_ms: median(&times) / workload.repeats,
            min_ms: times.iter().copied().fold(f64::INFINITY, f64::min) / workload.repeats,
            first_step_s,
            peak_mb: runner.finish()?,
        })
    });
    figures.collect()
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn ours(workload: &str, engine: &str) -> Command {
    let mut command = Command::new(program(engine));
    command.args([workload, engine]);
    command
}

fn python(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(environment().join("bin/python"));
    command.current_dir(root().join("xtask/peers")).arg("-B").arg(script).args(arguments);
    command
}

fn environment() -> PathBuf {
    target().join("bench/venv")
}

/// Installs the peers, unless those that the requirements name are there.
fn install() -> Result<(), String> {
    let wanted = root().join("xtask/peers/requirements.txt");
    let text =
        std::fs::read_to_string(&wanted).map_err(|error| format!("cannot read {}: {error}", wanted.display()))?;
    let marker = environment().join("installed.txt");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    eprintln!("installing JAX and PyTorch into {} (several gigabytes)", environment().display());
    run(Command::new("python3").args(["-m", "venv"]).arg(environment()))
        .map_err(|error| format!("{error}; the peers need python3 with venv"))?;
    run(Command::new(environment().join("bin/python")).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&wanted))?;
    std::fs::write(&marker, text).map_err(|error| format!("cannot write {}: {error}", marker.display()))
}
