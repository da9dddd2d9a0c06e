//! `cargo xtask setup` on machines where something is missing or fails: each time it says what, and leaves
//! nothing behind that the next attempt would take for whole.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// A python3 whose pip runs this when it is to download `$package` into `$folder`.
fn python(download: &str) -> String {
    format!(
        "#!/bin/sh\nfor argument; do folder=$package; package=$argument; done\n\
         case \"$*\" in *download*)\n/bin/mkdir -p \"$folder\"\n{download}\nesac\n"
    )
}

/// A machine that has these programs.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(programs: &[(&str, &str)]) -> Self {
        let machine = Machine { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.path("bin")).unwrap();
        for (name, script) in programs {
            machine.install(name, script);
        }
        machine
    }

    fn with_python(script: &str) -> Self {
        Machine::new(&[("python3", script), ("c++", "#!/bin/sh\n"), ("cc", "#!/bin/sh\n")])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn install(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn setup(&self) -> Command {
        self.setup_of("xla")
    }

    fn setup_of(&self, engine: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["setup", engine, "--into"]).arg(self.path("native")).env("PATH", self.path("bin"));
        for variable in ["LIBTORCH", "XLA_EXTENSION_DIR", "LIBCLANG_PATH", "C_INCLUDE_PATH", "JAXNET_PJRT_CPU_PLUGIN"] {
            command.env_remove(variable);
        }
        command
    }

    /// What a setup that does not succeed says.
    fn refusal(&self) -> String {
        refusal(self.setup())
    }

    /// What was downloaded of a package.
    fn downloaded(&self, package: &str) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.path("native/wheels").join(package)) else { return Vec::new() };
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn made(&self, part: &str) -> bool {
        self.path("native").join(part).exists()
    }
}

fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The first that is downloaded for XLA.
const FIRST: &str = "libclang==18.1.1";

#[test]
fn a_machine_without_python_or_pip_or_a_compiler() {
    let text = Machine::new(&[("c++", "#!/bin/sh\n")]).refusal();
    assert!(text.contains("python3 is missing") && text.contains("XLA_EXTENSION_DIR to your own"), "{text}");
    let text = Machine::with_python("#!/bin/sh\n[ \"$1\" != -m ]\n").refusal();
    assert!(text.contains("has no pip") && text.contains("apt install python3-pip"), "{text}");
    let text = Machine::new(&[("python3", "#!/bin/sh\n")]).refusal();
    assert!(text.contains("no C++ compiler") && text.contains("apt install g++"), "{text}");
}

#[test]
fn copies_of_the_users_own_are_taken() {
    // On a machine that could fetch nothing.
    let machine = Machine::new(&[]);
    let own = machine.path("own");
    fs::create_dir_all(own.join("lib")).unwrap();
    let text = refusal({
        let mut setup = machine.setup_of("torch");
        setup.env("LIBTORCH", &own);
        setup
    });
    assert!(text.contains("LIBTORCH is set to") && text.contains("unset it"), "{text}");
    fs::write(own.join("lib/libtorch.so"), "").unwrap();
    let output = machine.setup_of("torch").env("LIBTORCH", &own).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("(LIBTORCH is set)"), "{text}");
    assert!(!machine.path("native").exists());
}

#[test]
fn a_download_that_fails() {
    let machine = Machine::with_python(&python("echo no route to host >&2; exit 1"));
    let text = machine.refusal();
    assert!(text.contains("no route to host") && text.contains("Check the network"), "{text}");
    assert!(text.contains(FIRST) && text.contains("run `cargo xtask setup` again"), "{text}");
    assert!(!machine.made("libclang"));
}

/// With the pip of this machine.
#[test]
fn a_network_that_is_not_there() {
    let machine = Machine::new(&[]);
    let mut setup = machine.setup();
    let nowhere = [("PIP_INDEX_URL", "http://127.0.0.1:9/simple"), ("PIP_RETRIES", "0"), ("PIP_NO_CACHE_DIR", "1")];
    setup.env("PATH", std::env::var_os("PATH").unwrap()).env("PIP_CONFIG_FILE", "/dev/null").envs(nowhere);
    let text = refusal(setup);
    assert!(text.contains("Check the network"), "{text}");
    assert!(!machine.made("libclang"));
}

#[test]
fn a_file_that_is_another() {
    let machine = Machine::with_python(&python("echo something else > \"$folder/libclang.whl\""));
    let text = machine.refusal();
    assert!(text.contains("does not have the SHA-256") && text.contains(FIRST), "{text}");
    assert_eq!(machine.downloaded(FIRST), [""; 0]);
    assert!(!machine.made("libclang"));
}

#[test]
fn a_download_that_was_interrupted_begins_anew() {
    // As if everything was killed while pip was writing.
    let machine = Machine::with_python(&python("echo half > \"$folder/libclang.whl\"; kill -9 $PPID; exit 1"));
    assert_eq!(machine.setup().output().unwrap().status.code(), None);
    assert_eq!(machine.downloaded(FIRST), ["libclang.whl"]);
    machine.install("python3", &python("echo \"again:\" \"$folder\"/*; exit 1"));
    let output = machine.setup().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The pattern matches nothing.
    assert!(text.starts_with("again:") && text.trim_end().ends_with("/*"), "{text}");
    assert!(!machine.made("libclang"));
}
