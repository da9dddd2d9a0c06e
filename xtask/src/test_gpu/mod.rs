//! `cargo xtask test-gpu`: the parity suite and the demos on this machine's GPUs.

mod find;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::cargo::{cargo_command, shown, target};
use crate::demos;
use crate::setup::{self, Engine};
use report::{Report, Row, Tests};

#[derive(Args)]
pub struct Options {
    /// Only by these engines: torch, xla [default: both]
    #[arg(value_parser = ["torch", "xla"])]
    engines: Vec<String>,
    /// On a device of this PJRT plugin in place of GPUs, as NAME=PATH of its library.
    #[arg(long, value_name = "NAME=PATH", value_parser = plugin)]
    plugin: Vec<String>,
    /// Without the demos.
    #[arg(long)]
    no_demos: bool,
}

/// A device to test, and what its tests need.
struct Target {
    /// What it is called in reports.
    title: String,
    /// Its name, as `Device` parses it.
    device: String,
    engine: &'static str,
    /// The library for which to build, if it is not the usual one.
    libtorch: Option<PathBuf>,
}

pub fn test_gpu(options: &Options) -> Result<(), String> {
    let mut report = Report::default();
    let targets = match options.plugin.as_slice() {
        [] => on_gpus(options, &mut report)?,
        plugins => {
            setup::setup(&[Engine::Xla])?;
            plugins.iter().map(|plugin| of_plugin(plugin)).collect()
        }
    };
    for target in &targets {
        report.rows.extend(test(target, options));
    }
    println!("{report}");
    report.outcome()
}

/// The devices of all GPUs for each engine whose libraries can be had; of the others the report says why not.
fn on_gpus(options: &Options, report: &mut Report) -> Result<Vec<Target>, String> {
    let gpus = find::gpus(Path::new("/")).map_err(|looked_for| {
        format!(
            "there is no GPU here; looked for\n  {}\n(with --plugin NAME=PATH, a PJRT plugin's device is tested \
                 instead)",
            looked_for.join("\n  ")
        )
    })?;
    for (i, gpu) in gpus.iter().enumerate() {
        eprintln!("GPU {i}: {gpu}");
    }
    let mut targets = Vec::new();
    for (engine, needs) in [("torch", &[Engine::TorchCuda][..]), ("xla", &[Engine::Xla, Engine::XlaCuda])] {
        if !options.engines.is_empty() && !options.engines.iter().any(|wanted| wanted == engine) {
            continue;
        }
        let place = setup::setup(needs).and_then(|()| needs[needs.len() - 1].place());
        match place {
            Ok(place) => targets.extend(gpus.iter().enumerate().map(|(i, gpu)| Target {
                title: format!("{engine} on GPU {i} ({gpu})"),
                device: match engine {
                    "torch" => format!("torch_cuda:{i}"),
                    _ => format!("cuda={}:{i}", place.display()),
                },
                engine,
                libtorch: (engine == "torch").then(|| place.clone()),
            })),
            Err(why) => report.rows.push(Row::skipped(&format!("{engine} on {} GPU(s)", gpus.len()), "all", &why)),
        }
    }
    Ok(targets)
}

fn of_plugin(plugin: &str) -> Target {
    let name = plugin.split('=').next().unwrap_or(plugin);
    Target { title: format!("xla on {name}"), device: format!("{plugin}:0"), engine: "xla", libtorch: None }
}

fn plugin(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && Path::new(path).is_file() => Ok(text.into()),
        Some((name, path)) if !name.is_empty() => Err(format!("there is no file {path:?}")),
        _ => Err("needs a name and the path of a library, such as cuda=/path/xla_cuda_plugin.so".into()),
    }
}

/// Runs the parity suite and the demos on a device.
fn test(target: &Target, options: &Options) -> Vec<Row> {
    let mut rows = vec![parity(target)];
    let demos = if options.no_demos { Vec::new() } else { demos::names() };
    rows.extend(demos.iter().map(|name| demo(target, name)));
    rows
}

fn parity(target: &Target) -> Row {
    let mut command = build_for(target);
    command.args(["test", "--package", "jaxnet-autograd", "--test", "catalogue", "--features", target.engine, "--"]);
    command.arg(format!("parity::{}", target.engine));
    command.env(format!("JAXNET_{}_DEVICE", target.engine.to_uppercase()), &target.device);
    match output(&mut command) {
        Err(why) => Row::failed(&target.title, "parity suite", &why),
        Ok((text, success)) => Row::of_tests(&target.title, "parity suite", Tests::parse(&text), success),
    }
}

fn demo(target: &Target, name: &str) -> Row {
    let mut command = build_for(target);
    command.args(["run", "--release", "--package", "jaxnet-examples", "--features", target.engine, "--bin", name]);
    let out = tests_target().join("demos").join(target.engine).join(name);
    command.args(["--", "--fast", "--check", "--device", &target.device, "--out"]).arg(out);
    let what = format!("demo {name}");
    match output(&mut command) {
        Err(why) => Row::failed(&target.title, &what, &why),
        Ok((_, true)) => Row::of_tests(&target.title, &what, Tests { passed: 1, ..Tests::default() }, true),
        Ok((_, false)) => Row::failed(&target.title, &what, "see above"),
    }
}

/// Cargo, building for a target's library: apart from other builds, which are for other libraries.
fn build_for(target: &Target) -> Command {
    let mut command = cargo_command();
    command.env("CARGO_TARGET_DIR", tests_target());
    if let Some(libtorch) = &target.libtorch {
        command.env("LIBTORCH", libtorch);
    }
    command
}

fn tests_target() -> PathBuf {
    target().join("gpu")
}

/// Runs a program, showing what it is and what it says; its standard output and whether it succeeded.
fn output(command: &mut Command) -> Result<(String, bool), String> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    Ok((text, output.status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_a_name_and_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        assert_eq!(plugin(&format!("cpu={path}")), Ok(format!("cpu={path}")));
        assert!(plugin(&format!("={path}")).unwrap_err().contains("needs a name"));
        assert!(plugin("cuda").unwrap_err().contains("needs a name"));
        assert!(plugin("cuda=/no/such/file.so").unwrap_err().contains("/no/such/file.so"));
        let target = of_plugin("cpu=/x/plugin.so");
        assert_eq!((target.device.as_str(), target.engine), ("cpu=/x/plugin.so:0", "xla"));
    }

    #[test]
    fn gpu_builds_are_for_libraries_of_their_own() {
        let target = Target {
            title: "torch on GPU 0".into(),
            device: "torch_cuda:0".into(),
            engine: "torch",
            libtorch: Some("/x/torch".into()),
        };
        let command = build_for(&target);
        let variables: Vec<_> = command.get_envs().collect();
        assert!(variables.contains(&("LIBTORCH".as_ref(), Some("/x/torch".as_ref()))));
        assert!(variables.iter().any(|(name, _)| *name == "CARGO_TARGET_DIR"));
    }
}
