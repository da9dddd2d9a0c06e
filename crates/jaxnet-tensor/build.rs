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
        if engine == "torch" {
            compile_for_libtorch()?;
        }
        expose(engine, &folder)?;
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
        found.push(folder);
    }
    // A dependent's build script sees them as DEP_JAXNET_NATIVE_LIBRARIES.
    println!("cargo::metadata=LIBRARIES={}", env::join_paths(&found)?.display());
    Ok(())
}

/// Compiles what the bindings lack, as they are compiled themselves: they looked for the headers in the same places.
#[cfg(feature = "torch")]
fn compile_for_libtorch() -> Result<(), Box<dyn Error>> {
    const SOURCE: &str = "src/backend/torch/native.cpp";
    println!("cargo::rerun-if-changed={SOURCE}");
    let mut includes = Vec::new();
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        let script = "from torch.utils import cpp_extension; print(*cpp_extension.include_paths(), sep='\\n')";
        let output = std::process::Command::new("python3").args(["-c", script]).output()?;
        includes.extend(String::from_utf8(output.stdout)?.lines().map(PathBuf::from));
    } else {
        let root = env::var_os("LIBTORCH_INCLUDE").or_else(|| env::var_os("LIBTORCH"));
        let include = root.map_or_else(|| PathBuf::from("/usr"), PathBuf::from).join("include");
        includes.push(include.join("torch/csrc/api/include"));
        includes.push(include);
    }
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(false).includes(includes).define("_GLIBCXX_USE_CXX11_ABI", &*abi);
    build.file(SOURCE).try_compile("jaxnet_torch")?;
    Ok(())
}

#[cfg(not(feature = "torch"))]
fn compile_for_libtorch() -> Result<(), Box<dyn Error>> {
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
    if engine == "torch" {
        check_libtorch(Path::new(&root))?;
    }
    Ok(folder)
}

/// The version of libtorch that the crate `tch` is made for.
const LIBTORCH: &str = "2.13.0";

/// That a libtorch is of the right version, as far as a file in its folder says; others fail to compile, or later.
fn check_libtorch(root: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=LIBTORCH_BYPASS_VERSION_CHECK");
    let of_archive = fs::read_to_string(root.join("build-version")).ok();
    let of_wheel = || {
        let text = fs::read_to_string(root.join("version.py")).ok()?;
        let line = text.lines().find(|line| line.starts_with("__version__"))?.to_string();
        Some(line.split('\'').nth(1)?.to_string())
    };
    let Some(found) = of_archive.or_else(of_wheel) else { return Ok(()) };
    let found = found.trim().split('+').next().unwrap_or_default();
    if found == LIBTORCH || env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() {
        return Ok(());
    }
    Err(format!(
        "LIBTORCH is {}, which is version {found}, but jaxnet-tensor needs {LIBTORCH}: run `cargo xtask setup torch` in \
         the JAXnet workspace and set LIBTORCH to the folder that it names, or to another one with that version",
        root.display()
    ))
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
