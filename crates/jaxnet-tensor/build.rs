//! Finds the native libraries of the features `xla` and `torch`, and lets programs find them when they
//! run.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut folders = Vec::new();
    if env::var_os("CARGO_FEATURE_XLA").is_some() {
        folders.push(("xla", library("xla", "XLA_EXTENSION_DIR", "libxla_extension")));
    }
    if env::var_os("CARGO_FEATURE_TORCH").is_some() {
        folders.push(("torch", library("torch", "LIBTORCH", "libtorch_cpu")));
    }
    // docs.rs has no native libraries, and needs none.
    if env::var_os("DOCS_RS").is_some() {
        return Ok(());
    }
    let mut found = Vec::new();
    for (engine, folder) in folders {
        let folder = folder?;
        expose(engine, &folder)?;
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
        found.push(folder);
    }
    // A dependent's build script sees them as DEP_JAXNET_NATIVE_LIBRARIES.
    println!("cargo::metadata=LIBRARIES={}", env::join_paths(&found)?.display());
    Ok(())
}

/// The folder of an engine's library, from the variable with which the bindings are built.
fn library(engine: &str, variable: &str, name: &str) -> Result<PathBuf, String> {
    println!("cargo::rerun-if-env-changed={variable}");
    let help = format!(
        "the feature `{engine}` of jaxnet-tensor needs a native library: run `cargo xtask setup {engine}` in the \
         JAXnet workspace, and set {variable} to the folder that it names where you build outside of it"
    );
    let Some(root) = env::var_os(variable) else {
        // The bindings also know other ways (a system-wide libtorch, a Python environment).
        let elsewhere = engine == "torch"
            && (env::var_os("LIBTORCH_USE_PYTORCH").is_some() || Path::new("/usr/lib/libtorch.so").exists());
        return if elsewhere { Ok("/usr/lib".into()) } else { Err(format!("{variable} is not set; {help}")) };
    };
    let folder = Path::new(&root).join("lib");
    let there = |file: fs::DirEntry| file.file_name().to_string_lossy().starts_with(name);
    let found = fs::read_dir(&folder).is_ok_and(|mut files| files.any(|file| file.is_ok_and(there)));
    if !found {
        return Err(format!("{variable} is {}, where there is no lib/{name}.so; {help}", root.display()));
    }
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(folder)
}

/// Puts a library's folder on the path on which `cargo run` and `cargo test` let programs find libraries,
/// also those of dependents: cargo takes it from link-search folders, but only from those within the
/// target folder, so the folder gets a second name there.
fn expose(engine: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let link = Path::new(&env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join(engine);
    if fs::read_link(&link).is_ok_and(|target| target == folder) {
        println!("cargo::rustc-link-search=native={}", link.display());
        return Ok(());
    }
    let _ = fs::remove_file(&link);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder, &link)?;
        println!("cargo::rustc-link-search=native={}", link.display());
    }
    Ok(())
}
