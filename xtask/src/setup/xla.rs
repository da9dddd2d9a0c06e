//! XLA, out of TensorFlow's libraries, which carry the whole of it.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Part;
use super::wheel::{Wheel, copy_tree, files_under, hex, in_file, unpack};

const TENSORFLOW: Wheel = Wheel {
    requirement: "tensorflow-cpu==2.21.0",
    platform: "manylinux_2_27_x86_64",
    sha256: "dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb",
    megabytes: 274,
};

/// Headers, by where they are in the wheel under `tensorflow/` and where the crate `xla` looks for them.
const HEADERS: [(&str, &str); 10] = [
    ("include/absl/", "include/absl/"),
    ("include/google/", "include/google/"),
    ("include/ml_dtypes/", "include/ml_dtypes/"),
    ("include/tsl/", "include/tsl/"),
    ("include/xla/", "include/xla/"),
    ("include/Eigen/", "include/Eigen/"),
    ("include/unsupported/", "include/unsupported/"),
    ("include/external/highwayhash/highwayhash/", "include/highwayhash/"),
    ("include/external/farmhash_archive/src/farmhash.h", "include/farmhash.h"),
    ("include/external/com_github_grpc_grpc/include/grpc", "include/grpc"),
];

const LIBRARIES: [&str; 2] = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];

pub fn part() -> Result<Part, String> {
    let mut overlay = Sha256::new();
    for file in files_under(&overlay_folder())? {
        overlay.update(fs::read(&file).map_err(|error| in_file(&file, error))?);
    }
    Ok(Part {
        name: "xla_extension",
        variable: "XLA_EXTENSION_DIR",
        evidence: &["lib/libxla_extension.so", "lib/libxla_extension.dylib"],
        recipe: format!("1 {} {}", TENSORFLOW.sha256, hex(&overlay.finalize())),
        inside: "",
        megabytes: 1400,
        make,
    })
}

/// Headers of ours for what the wheel leaves out; see the README there.
fn overlay_folder() -> PathBuf {
    crate::cargo::root().join("xtask/xla-extension-overlay")
}

fn make(folder: &Path, cache: &Path) -> Result<(), String> {
    unpack(&TENSORFLOW.fetch(cache)?, folder, place)?;
    let script = folder.join("lib/libxla_extension.so");
    fs::write(&script, format!("INPUT({})\n", LIBRARIES.join(" "))).map_err(|error| in_file(&script, error))?;
    for part in ["mlir", "llvm", "xla"] {
        copy_tree(&overlay_folder().join(part), &folder.join("include").join(part))?;
    }
    let header = folder.join("include/xla/pjrt/c_api_client/pjrt_c_api_client.h");
    let addition = overlay_folder().join("pjrt_c_api_client.append.h");
    let mut text = fs::read_to_string(&header).map_err(|error| in_file(&header, error))?;
    text += &fs::read_to_string(&addition).map_err(|error| in_file(&addition, error))?;
    fs::write(&header, text).map_err(|error| in_file(&header, error))
}

/// Where a file of the wheel goes, if it is wanted.
fn place(name: &str) -> Option<String> {
    let name = name.strip_prefix("tensorflow/")?;
    if LIBRARIES.contains(&name) {
        return Some(format!("lib/{name}"));
    }
    HEADERS.iter().find_map(|(from, to)| name.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_where_the_bindings_look_for_them() {
        let placed = |name| place(name).unwrap_or_default();
        assert_eq!(placed("tensorflow/libtensorflow_cc.so.2"), "lib/libtensorflow_cc.so.2");
        assert_eq!(placed("tensorflow/include/xla/shape.h"), "include/xla/shape.h");
        assert_eq!(placed("tensorflow/include/external/farmhash_archive/src/farmhash.h"), "include/farmhash.h");
        assert_eq!(
            placed("tensorflow/include/external/com_github_grpc_grpc/include/grpcpp/grpcpp.h"),
            "include/grpcpp/grpcpp.h"
        );
        assert_eq!(place("tensorflow/include/external/boringssl/LICENSE"), None);
        assert_eq!(place("tensorflow/python/_pywrap_tfe.so"), None);
    }

    #[test]
    fn the_overlay_is_in_the_repository() {
        assert!(part().unwrap().recipe.len() > 100);
    }
}
