//! What GPUs need: libtorch for CUDA, and XLA's plugin. Both are taken whole, with the libraries that they
//! link, in the versions that `xtask/cuda/` lists with their hashes.

use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::Part;
use super::wheel::{hex, in_file};

const TORCH: &str = include_str!("../../cuda/torch.txt");
const XLA: &str = include_str!("../../cuda/xla.txt");

pub fn libtorch() -> Part {
    Part {
        name: "libtorch-cuda",
        variable: "LIBTORCH",
        evidence: &["lib/libtorch_cuda.so"],
        recipe: recipe(TORCH),
        inside: "torch",
        megabytes: 12_000,
        make: |folder, cache| install(TORCH, folder, cache),
    }
}

pub fn plugin() -> Part {
    Part {
        name: "xla-cuda",
        variable: "JAXNET_CUDA_PLUGIN",
        evidence: &["xla_cuda_plugin.so"],
        recipe: recipe(XLA),
        inside: "jax_plugins/xla_cuda13/xla_cuda_plugin.so",
        megabytes: 10_000,
        make: |folder, cache| install(XLA, folder, cache),
    }
}

fn recipe(requirements: &str) -> String {
    format!("1 {}", hex(&Sha256::digest(requirements)))
}

/// Packages as they are, by pip, which checks the hashes.
fn install(requirements: &str, folder: &Path, cache: &Path) -> Result<(), String> {
    fs::create_dir_all(cache).map_err(|error| in_file(cache, error))?;
    let file = cache.join("requirements.txt");
    fs::write(&file, requirements).map_err(|error| in_file(&file, error))?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile"]);
    command.args(["--disable-pip-version-check", "--implementation", "cp", "--python-version", "3.12"]);
    for platform in ["manylinux_2_28", "manylinux_2_27", "manylinux_2_25", "manylinux_2_18", "manylinux2014"] {
        command.arg(format!("--platform={platform}_x86_64"));
    }
    for platform in ["manylinux2010", "manylinux1"] {
        command.arg(format!("--platform={platform}_x86_64"));
    }
    let status = command.args(["--target".as_ref(), folder.as_os_str(), "-r".as_ref(), file.as_os_str()]).status();
    match status.map_err(|error| format!("cannot start python3: {error}"))?.success() {
        true => Ok(()),
        false => Err("pip could not install them (what it said is above); check the network and pip's settings of a \
                      proxy or an index (`python3 -m pip config list`)"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_pinned_and_hashed() {
        for (requirements, needed) in [(TORCH, "torch==2.13.0 "), (XLA, "jax-cuda13-pjrt==")] {
            let lines: Vec<&str> = requirements.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(lines.iter().any(|line| line.starts_with(needed)), "{needed}");
            for line in lines {
                let hash = line.split_once(" --hash=sha256:").map(|(_, hash)| hash.len());
                assert!(line.contains("==") && hash == Some(64), "{line}");
            }
        }
    }
}
