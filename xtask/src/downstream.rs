//! Crates outside of the workspace that depend on ours, as users' crates do.

use std::fs;
use std::path::Path;

use crate::cargo::{cargo_command, root, run, target};

struct Downstream {
    name: &'static str,
    /// Ours that it depends on; features go to the first.
    dependencies: &'static [&'static str],
    main: &'static str,
}

const CRATES: [Downstream; 2] = [
    Downstream { name: "tensor", dependencies: &["jaxnet-tensor"], main: include_str!("../downstream/tensor.rs") },
    Downstream { name: "nn", dependencies: &["jaxnet-nn", "jaxnet-tensor"], main: include_str!("../downstream/nn.rs") },
];

/// Builds and runs each of them, without features and with each of these.
pub fn check(features: &[&str]) -> Result<(), String> {
    // In a folder where this workspace's settings do not reach.
    let folder = std::env::temp_dir().join(format!("jaxnet-downstream-{}", std::process::id()));
    let result = CRATES.iter().try_for_each(|downstream| {
        let place = folder.join(downstream.name);
        make(downstream, &place).map_err(|error| format!("cannot write {}: {error}", place.display()))?;
        let sets = std::iter::once(None).chain(features.iter().map(Some));
        sets.into_iter().try_for_each(|feature| start(downstream, &place, feature.copied()))
    });
    let _ = fs::remove_dir_all(folder);
    result
}

fn make(downstream: &Downstream, place: &Path) -> std::io::Result<()> {
    fs::create_dir_all(place.join("src"))?;
    let path = |name: &&str| format!("{name} = {{ path = {:?} }}\n", root().join("crates").join(name));
    let dependencies: String = downstream.dependencies.iter().map(path).collect();
    let first = downstream.dependencies[0];
    // With the workspace's profile, so that what it has built is used again.
    let manifest = format!(
        "[package]\nname = \"jaxnet-downstream-{}\"\nedition = \"2024\"\n\n[features]\nxla = [\"{first}/xla\"]\n\
         torch = [\"{first}/torch\"]\n\n[dependencies]\n{dependencies}\n[profile.dev]\ndebug = \"line-tables-only\"\n\n\
         [workspace]\n",
        downstream.name,
    );
    fs::write(place.join("Cargo.toml"), manifest)?;
    fs::write(place.join("src/main.rs"), downstream.main)?;
    fs::copy(root().join("Cargo.lock"), place.join("Cargo.lock")).map(|_| ())
}

fn start(downstream: &Downstream, place: &Path, feature: Option<&str>) -> Result<(), String> {
    let mut command = cargo_command();
    command.current_dir(place).env("CARGO_TARGET_DIR", target());
    command.args(["run", "--quiet"]).args(feature.map(|feature| format!("--features={feature}")));
    run(&mut command).map_err(|error| {
        let with = feature.map_or_else(String::new, |feature| format!(" with the feature {feature}"));
        format!("a crate that depends on {}{with}: {error}", downstream.dependencies.join(" and "))
    })
}
