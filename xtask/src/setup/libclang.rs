//! libclang, by which the bindings to XLA are generated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Part;
use super::wheel::{Wheel, in_file, unpack};

const WHEEL: Wheel = Wheel {
    requirement: "libclang==18.1.1",
    platform: "manylinux2010_x86_64",
    sha256: "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b",
    megabytes: 25,
};

pub fn part() -> Part {
    Part {
        name: "libclang",
        variable: "LIBCLANG_PATH",
        evidence: &["libclang.so", "libclang.so.1", "lib/libclang.so"],
        recipe: format!("2 {}", WHEEL.sha256),
        inside: "",
        megabytes: 150,
        make,
    }
}

fn make(folder: &Path, cache: &Path) -> Result<(), String> {
    unpack(&WHEEL.fetch(cache)?, folder, |name| name.ends_with("/libclang.so").then(|| "lib/libclang.so".into()))?;
    // The wheel lacks the headers that belong to a compiler; the C compiler has them. Only these few are
    // taken, since the variable that names their folder also reaches the C code that crates build.
    let output = Command::new("cc")
        .arg("-print-file-name=include")
        .output()
        .map_err(|error| format!("there is no C compiler `cc` ({error}); install one (`apt install gcc`)"))?;
    let compilers = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let include = folder.join("include");
    fs::create_dir_all(&include).map_err(|error| in_file(&include, error))?;
    for header in ["stdbool.h", "stddef.h"] {
        let from = compilers.join(header);
        fs::copy(&from, include.join(header))
            .map_err(|error| format!("the C compiler's headers: {}", in_file(&from, error)))?;
    }
    Ok(())
}
