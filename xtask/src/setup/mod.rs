//! `cargo xtask setup`: fetches the native libraries behind the features `xla` and `torch`.
//!
//! They come from wheels of the Python package index, of which only the libraries and headers are kept,
//! under `target/native/`. `.cargo/config.toml` points the builds there.

mod cuda;
mod libclang;
mod libtorch;
mod plugin;
mod wheel;
mod xla;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::disk;
use wheel::in_file;

/// An engine that needs a native library.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// XLA, for the feature `xla`.
    Xla,
    /// libtorch, for the feature `torch`.
    Torch,
    /// libtorch for CUDA (about 4 GB), in place of the other.
    TorchCuda,
    /// XLA's plugin for CUDA (about 3 GB), which the engine loads when it runs.
    XlaCuda,
}

/// A library, or a tool to build against one.
struct Part {
    /// Its folder under `target/native/`.
    name: &'static str,
    /// The variable by which a user names another copy.
    variable: &'static str,
    /// A file that says whether that copy is one: one of these must be there.
    evidence: &'static [&'static str],
    /// What the folder was made from: a folder with another recipe is made anew.
    recipe: String,
    /// What of the folder a program is to be told.
    inside: &'static str,
    /// The most room that making it takes.
    megabytes: u64,
    /// Makes the folder, given where to keep downloads meanwhile.
    make: fn(folder: &Path, cache: &Path) -> Result<(), String>,
}

impl Engine {
    fn parts(self) -> Result<Vec<Part>, String> {
        Ok(match self {
            Engine::Torch => vec![libtorch::part()],
            Engine::Xla => vec![libclang::part(), plugin::part(), xla::part()?],
            Engine::TorchCuda => vec![cuda::libtorch()],
            Engine::XlaCuda => vec![cuda::plugin()],
        })
    }

    /// What of it a program needs to be told: the library's folder, or the plugin's file.
    pub fn place(self) -> Result<PathBuf, String> {
        self.place_in(&native())
    }

    fn place_in(self, native: &Path) -> Result<PathBuf, String> {
        let part = self.parts()?.pop().expect("the library comes last");
        Ok(chosen_by_user(&part, native).unwrap_or_else(|| native.join(part.name).join(part.inside)))
    }
}

/// Whether an engine can be built: what it needs was fetched, or the user has named other copies.
pub fn is_there(engine: Engine) -> bool {
    let native = native();
    let there = |part: &Part| match chosen_by_user(part, &native) {
        Some(folder) => check_users(part, &folder).is_ok(),
        None => is_made(part, &native),
    };
    engine.parts().is_ok_and(|parts| parts.iter().all(there))
}

fn native() -> PathBuf {
    crate::cargo::root().join("target/native")
}

/// Fetches what the engines need into `target/native/`; where none is named, of all that need no GPU.
pub fn setup(engines: &[Engine]) -> Result<(), String> {
    setup_in(engines, &native())
}

/// As [`setup`], into another folder.
pub fn setup_into(engines: &[Engine], folder: &Path) -> Result<(), String> {
    setup_in(engines, &std::path::absolute(folder).map_err(|error| in_file(folder, error))?)
}

fn setup_in(engines: &[Engine], native: &Path) -> Result<(), String> {
    let wanted = if engines.is_empty() { &[Engine::Torch, Engine::Xla] } else { engines };
    let wants = |engine: Engine| wanted.contains(&engine);
    let parts: Vec<Vec<Part>> = wanted.iter().map(|engine| engine.parts()).collect::<Result<_, _>>()?;
    let parts: Vec<Part> = parts.into_iter().flatten().collect();
    let mut missing = Vec::new();
    for part in parts {
        match chosen_by_user(&part, native) {
            Some(folder) => {
                check_users(&part, &folder)?;
                eprintln!("{}: {} ({} is set)", part.name, folder.display(), part.variable);
            }
            None if is_made(&part, native) => eprintln!("{}: there", part.name),
            None => missing.push(part),
        }
    }
    if !missing.is_empty() {
        check_machine(&missing)?;
    }
    for part in missing {
        make(&part, native)?;
    }
    if std::env::var_os("C_INCLUDE_PATH").is_some_and(|path| !Path::new(&path).starts_with(native)) {
        eprintln!("C_INCLUDE_PATH is set; add {} to it", native.join("libclang/include").display());
    }
    if wants(Engine::Torch) || wants(Engine::Xla) {
        eprintln!("To build outside of this workspace, set");
        for (variable, folder) in VARIABLES {
            eprintln!("  {variable}={}", native.join(folder).display());
        }
    }
    if wants(Engine::Xla) {
        eprintln!("and, so that TensorFlow's libraries do not greet, TF_ENABLE_ONEDNN_OPTS=0");
    }
    if wants(Engine::TorchCuda) {
        eprintln!("To build for CUDA, set LIBTORCH={}", Engine::TorchCuda.place_in(native)?.display());
    }
    if wants(Engine::XlaCuda) {
        eprintln!("The device is Device::xla_plugin(\"cuda\", {:?}, 0)", Engine::XlaCuda.place_in(native)?);
    }
    Ok(())
}

/// What `.cargo/config.toml` sets here.
const VARIABLES: [(&str, &str); 4] = [
    ("LIBTORCH", "libtorch"),
    ("XLA_EXTENSION_DIR", "xla_extension"),
    ("LIBCLANG_PATH", "libclang/lib"),
    ("C_INCLUDE_PATH", "libclang/include"),
];

/// What the part's variable names, if a user set it: cargo sets it to our folder.
fn chosen_by_user(part: &Part, native: &Path) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(part.variable)?);
    (!folder.starts_with(native) && !folder.starts_with(self::native())).then_some(folder)
}

fn check_users(part: &Part, folder: &Path) -> Result<(), String> {
    if folder.is_file() || part.evidence.iter().any(|file| folder.join(file).exists()) {
        return Ok(());
    }
    Err(format!(
        "{} is set to {}, where there is no {}; unset it, or set it to the folder that has it",
        part.variable,
        folder.display(),
        part.evidence.join(" or ")
    ))
}

fn stamp(part: &Part, native: &Path) -> PathBuf {
    native.join(part.name).join("made-by-setup")
}

fn is_made(part: &Part, native: &Path) -> bool {
    fs::read_to_string(stamp(part, native)).is_ok_and(|recipe| recipe == part.recipe)
}

/// Makes a part's folder: under another name first, so that a half-made one is never taken for whole.
fn make(part: &Part, native: &Path) -> Result<(), String> {
    let (folder, partial) = (native.join(part.name), native.join(format!("{}.partial", part.name)));
    remove_folder(&partial)?;
    fs::create_dir_all(&partial).map_err(|error| in_file(&partial, error))?;
    disk::check_space(part.name, part.megabytes, native)?;
    let cache = native.join("wheels");
    (part.make)(&partial, &cache)?;
    fs::write(partial.join("made-by-setup"), &part.recipe).map_err(|error| in_file(&partial, error))?;
    remove_folder(&folder)?;
    fs::rename(&partial, &folder).map_err(|error| in_file(&folder, error))?;
    // They take as much room as what was made of them.
    remove_folder(&cache)?;
    eprintln!("{}: made {}", part.name, folder.display());
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(in_file(folder, error)),
        _ => Ok(()),
    }
}

fn check_machine(parts: &[Part]) -> Result<(), String> {
    let by_hand = parts.iter().map(|part| format!("{} to your own {}", part.variable, part.name));
    let by_hand = format!("or set {}", by_hand.collect::<Vec<_>>().join(", "));
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Err(format!("libraries are only there for Linux on x86_64; {}", by_hand.replacen("or ", "", 1)));
    }
    if !runs("python3", &["--version"]) {
        return Err(format!("python3 is missing, whose pip downloads the libraries; install it, {by_hand}"));
    }
    if !runs("python3", &["-m", "pip", "--version"]) {
        return Err(format!(
            "python3 has no pip, which downloads the libraries; install it (`apt install python3-pip`, or \
             `python3 -m ensurepip`), {by_hand}"
        ));
    }
    if !runs("c++", &["--version"]) {
        return Err("there is no C++ compiler `c++`, with which the bindings to the libraries are built; install one \
                    (`apt install g++`)"
            .into());
    }
    Ok(())
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(recipe: &str, make: fn(&Path, &Path) -> Result<(), String>) -> Part {
        Part {
            name: "thing",
            variable: "JAXNET_NO_SUCH_VARIABLE",
            evidence: &["lib/a.so", "lib/b.so"],
            recipe: recipe.into(),
            inside: "",
            megabytes: 0,
            make,
        }
    }

    #[test]
    fn what_is_made_is_not_made_again_until_its_recipe_changes() {
        let native = tempfile::tempdir().unwrap();
        let good = |folder: &Path, _: &Path| fs::write(folder.join("a"), "a").map_err(|error| error.to_string());
        let first = part("1", good);
        assert!(!is_made(&first, native.path()));
        make(&first, native.path()).unwrap();
        assert!(is_made(&first, native.path()));
        assert!(!is_made(&part("2", good), native.path()));
        assert!(native.path().join("thing/a").exists());
    }

    #[test]
    fn a_half_made_folder_is_not_taken_for_whole() {
        let native = tempfile::tempdir().unwrap();
        let bad = part("1", |folder, _| {
            fs::write(folder.join("a"), "a").map_err(|error| error.to_string())?;
            Err("no network".into())
        });
        assert_eq!(make(&bad, native.path()), Err("no network".into()));
        assert!(!is_made(&bad, native.path()));
        assert!(!native.path().join("thing").exists());
    }

    #[test]
    fn a_folder_of_the_user_must_have_the_library() {
        let folder = tempfile::tempdir().unwrap();
        let part = part("1", |_, _| Ok(()));
        let message = check_users(&part, folder.path()).unwrap_err();
        assert!(message.contains("JAXNET_NO_SUCH_VARIABLE") && message.contains("lib/a.so or lib/b.so"), "{message}");
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/b.so"), "").unwrap();
        check_users(&part, folder.path()).unwrap();
    }

    #[test]
    fn the_committed_config_names_the_same_folders() {
        let config = fs::read_to_string(crate::cargo::root().join(".cargo/config.toml")).unwrap();
        for (variable, folder) in VARIABLES {
            let line = format!("{variable} = {{ value = \"target/native/{folder}\", relative = true }}");
            assert!(config.contains(&line), "{line}");
        }
        let plugin = plugin::part();
        let line = format!("{} = {{ value = \"target/native/{}/{}\"", plugin.variable, plugin.name, plugin.evidence[0]);
        assert!(config.contains(&line), "{line}");
    }
}
