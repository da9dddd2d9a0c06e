//! `cargo xtask check`.

use crate::cargo::{cargo, cargo_command, root, run, target};

/// The tool that finds dependencies which no code names.
const MACHETE: (&str, &str) = ("cargo-machete", "0.9.2");

/// Formatting, lints, documentation, documented examples, unused dependencies.
pub fn check() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    run(cargo_command().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
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
