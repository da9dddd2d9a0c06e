//! A PJRT plugin with which the loading of plugins is tested: those of accelerators need one.

use std::path::Path;

use super::Part;
use super::wheel::{Wheel, unpack};

const WHEEL: Wheel = Wheel {
    requirement: "lammps-jax-pjrt-cpu==0.11.2",
    platform: "manylinux_2_27_x86_64",
    sha256: "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1",
    megabytes: 63,
};

/// The library, which is all that is kept.
const LIBRARY: &str = "pjrt_c_api_cpu_plugin.so";

pub fn part() -> Part {
    Part {
        name: "pjrt_cpu",
        variable: "JAXNET_PJRT_CPU_PLUGIN",
        evidence: &[LIBRARY],
        recipe: format!("1 {}", WHEEL.sha256),
        inside: LIBRARY,
        megabytes: 280,
        make,
    }
}

fn make(folder: &Path, cache: &Path) -> Result<(), String> {
    let unpacked = unpack(&WHEEL.fetch(cache)?, folder, |name| name.ends_with(LIBRARY).then(|| LIBRARY.into()))?;
    if unpacked == 1 { Ok(()) } else { Err(format!("{} has no {LIBRARY}", WHEEL.requirement)) }
}
