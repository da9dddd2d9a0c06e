//! libtorch, without its CUDA part.

use std::fs;
use std::path::Path;

use super::Part;
use super::wheel::{Wheel, in_file, unpack};

const TORCH: Wheel = Wheel {
    requirement: "torch==2.13.0",
    platform: "manylinux_2_28_x86_64",
    sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
    megabytes: 527,
};

/// Libraries of CUDA that libtorch_cpu.so links in this wheel, though it runs without a GPU.
const CUDA: [Wheel; 2] = [
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        platform: "manylinux2014_x86_64",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        megabytes: 3,
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        platform: "manylinux_2_25_x86_64",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        megabytes: 11,
    },
];

pub fn part() -> Part {
    Part {
        name: "libtorch",
        variable: "LIBTORCH",
        evidence: &["lib/libtorch_cpu.so", "lib/libtorch.so"],
        recipe: format!("1 {} {} {}", TORCH.sha256, CUDA[0].sha256, CUDA[1].sha256),
        inside: "",
        megabytes: 1200,
        make,
    }
}

fn make(folder: &Path, cache: &Path) -> Result<(), String> {
    unpack(&TORCH.fetch(cache)?, folder, |name| {
        let name = name.strip_prefix("torch/")?;
        let wanted = ["lib/libtorch_cpu.so", "lib/libc10.so", "lib/libgomp.so.1"].contains(&name);
        (wanted || name.starts_with("include/")).then(|| name.to_string())
    })?;
    for wheel in &CUDA {
        unpack(&wheel.fetch(cache)?, folder, |name| {
            let name = name.rsplit('/').next()?;
            ["libcudart.so.13", "libcupti.so.13"].contains(&name).then(|| format!("lib/{name}"))
        })?;
    }
    // The wheel's own libtorch.so links its CUDA part too.
    let script = folder.join("lib/libtorch.so");
    fs::write(&script, "INPUT(-ltorch_cpu -lc10)\n").map_err(|error| in_file(&script, error))?;
    // Against which the crate `tch` checks the version that it is made for.
    let version = folder.join("build-version");
    fs::write(&version, "2.13.0+cpu\n").map_err(|error| in_file(&version, error))
}
