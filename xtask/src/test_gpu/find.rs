//! Which GPUs there are.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The names of the GPUs; or where none was found, what was looked for.
pub fn gpus(root: &Path) -> Result<Vec<String>, Vec<String>> {
    let mut looked_for = Vec::new();
    match Command::new("nvidia-smi").arg("-L").output() {
        Ok(output) if output.status.success() => {
            let gpus = of_nvidia_smi(&String::from_utf8_lossy(&output.stdout));
            if !gpus.is_empty() {
                return Ok(gpus);
            }
            looked_for.push("GPUs that `nvidia-smi -L` lists: none".into());
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let first = said.lines().next().unwrap_or("it failed").to_string();
            looked_for.push(format!("GPUs that `nvidia-smi -L` lists: {first}"));
        }
        Err(error) => looked_for.push(format!("the program `nvidia-smi` of NVIDIA's driver: {error}")),
    }
    // A container may lack the program and have the driver.
    let folder = root.join("proc/driver/nvidia/gpus");
    let gpus = of_driver(&folder);
    if !gpus.is_empty() {
        return Ok(gpus);
    }
    looked_for.push(format!("GPUs of NVIDIA's driver in {}: none", folder.display()));
    Err(looked_for)
}

/// From lines such as `GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-…)`.
fn of_nvidia_smi(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let (number, rest) = line.strip_prefix("GPU ")?.split_once(": ")?;
        number.parse::<u32>().ok()?;
        Some(rest.split(" (UUID").next()?.to_string())
    };
    text.lines().filter_map(name).collect()
}

/// From files such as `0000:65:00.0/information`, which have a line `Model: …`.
fn of_driver(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.sort();
    let name = |folder: &std::path::PathBuf| {
        let text = fs::read_to_string(folder.join("information")).ok()?;
        text.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_string()))
    };
    files.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_have_names() {
        let text =
            "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1c0)\nGPU 1: Tesla T4 (UUID: GPU-2)\n  MIG 1g.5gb Device 0\n";
        assert_eq!(of_nvidia_smi(text), ["NVIDIA A100-SXM4-40GB", "Tesla T4"]);
        assert!(of_nvidia_smi("No devices found.\n").is_empty());
    }

    #[test]
    fn the_driver_lists_gpus() {
        let root = tempfile::tempdir().unwrap();
        for (place, model) in [("0000:65:00.0", "Tesla T4"), ("0000:17:00.0", "NVIDIA L4")] {
            let folder = root.path().join("proc/driver/nvidia/gpus").join(place);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("information"), format!("Model: \t\t {model}\nIRQ: 1\n")).unwrap();
        }
        assert_eq!(of_driver(&root.path().join("proc/driver/nvidia/gpus")), ["NVIDIA L4", "Tesla T4"]);
    }

    #[test]
    fn without_a_gpu_it_says_what_it_looked_for() {
        let root = tempfile::tempdir().unwrap();
        // A machine that has a GPU finds it by the program, wherever the root is.
        if let Err(looked_for) = gpus(root.path()) {
            assert!(looked_for[0].contains("nvidia-smi"), "{looked_for:?}");
            assert!(looked_for[1].contains("proc/driver/nvidia/gpus"), "{looked_for:?}");
        }
    }
}
