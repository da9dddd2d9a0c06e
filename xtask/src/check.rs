//! `cargo xtask check`.

use crate::cargo::{cargo, cargo_command, root, run, target};
use crate::setup::{Engine, is_there};

/// The tool that finds dependencies which no code names.
const MACHETE: (&str, &str) = ("cargo-machete", "0.9.2");

/// Formatting, lints, documentation, documented examples, unused dependencies; of the engines that are set up, too.
pub fn check() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    let mut features = vec!["--features=".to_string()];
    let engines = [("xla", Engine::Xla), ("torch", Engine::Torch)];
    let there: Vec<&str> = engines.iter().filter(|(_, engine)| is_there(*engine)).map(|(name, _)| *name).collect();
    if !there.is_empty() {
        features.push(format!("--features={}", there.join(",")));
    }
    for features in &features {
        run(cargo_command().args(["clippy", "--workspace", "--all-targets", features, "--", "-D", "warnings"]))?;
        let doc = ["doc", "--workspace", "--no-deps", features];
        run(cargo_command().args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    cargo(&["test", "--workspace", "--doc"])?;
    unused_dependencies()
}

fn unused_dependencies() -> Result<(), String> {
    let (name, version) = MACHETE;
    let tools = target().join("tools").join(format!("{name}-{version}"));
    let tool = tools.join("bin").join(name);
    if !tool.exists() {
        let install = ["install", name, "--version", version, "--locked", "--quiet", "--root"];
        run(cargo_command().args(install).arg(&tools))?;
    }
    run(std::process::Command::new(tool).current_dir(root()).args(["crates", "xtask"]))
}
