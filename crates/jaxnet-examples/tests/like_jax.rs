//! Demos whose first 50 losses are those of the same nets in JAX, from the same parameters and data: the scripts in
//! `fixtures` wrote these down.

use std::path::Path;
use std::process::Command;

use jaxnet_tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Fixture {
    flags: Vec<String>,
    losses: Vec<f64>,
    /// Names and shapes.
    parameters: serde_json::Map<String, Value>,
}

/// The numbers that `uniform` in `common.py` makes.
fn uniform(name: &str, size: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().zip(1_u32..).fold(0_u32, |sum, (byte, i)| sum.wrapping_add(i * u32::from(byte)));
    (0..size as u32).map(move |i| {
        let mut h = i.wrapping_mul(2654435761).wrapping_add(seed.wrapping_mul(40503));
        h ^= h >> 16;
        h = h.wrapping_mul(2246822519);
        h ^= h >> 13;
        h = h.wrapping_mul(3266489917);
        h ^= h >> 16;
        f64::from(h) / f64::from(1_u32 << 31) - 1.0
    })
}

/// The parameters that `parameter` in `common.py` makes.
fn parameter(name: &str, shape: &[usize]) -> Vec<u8> {
    let of = uniform(name, shape.iter().product());
    let fan_in: usize = shape[..shape.len() - 1].iter().product();
    let value = |u: f64| match name.rsplit('.').next() {
        Some("kernel") => u * (3.0 / fan_in as f64).sqrt(),
        Some("gamma") if name.ends_with("norm3.gamma") => 0.1 * u,
        Some("gamma" | "scale") => 1.0 + 0.2 * u,
        _ => 0.1 * u,
    };
    of.flat_map(|u| (value(u) as f32).to_le_bytes()).collect()
}

fn write_parameters(fixture: &Fixture, path: &Path) {
    let made: Vec<_> = fixture
        .parameters
        .iter()
        .map(|(name, shape)| {
            let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
            (name, parameter(name, &shape), shape)
        })
        .collect();
    let views = made
        .iter()
        .map(|(name, bytes, shape)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Runs the demo and compares.
fn check(program: &str, fixture: &str, more: &[&str]) {
    let fixture: Fixture = serde_json::from_str(fixture).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let init = folder.path().join("init.safetensors");
    write_parameters(&fixture, &init);
    let mut command = Command::new(program);
    command.args(&fixture.flags).args(more).arg("--init").arg(&init).arg("--out").arg(folder.path());
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let losses = Tensor::load_npy(folder.path().join("losses.npy")).unwrap().to_vec::<f32>();
    assert_eq!(losses.len(), fixture.losses.len());
    let far = |(ours, theirs): (&f32, &f64)| (f64::from(*ours) / theirs - 1.0).abs();
    let furthest = losses.iter().zip(&fixture.losses).map(far).fold(0.0, f64::max);
    println!("{program}: at most {furthest:.1e} from JAX");
    assert!(furthest < 1e-3, "{furthest}: {losses:?}, in JAX {:?}", fixture.losses);
}

#[test]
fn wavenet() {
    check(env!("CARGO_BIN_EXE_wavenet"), include_str!("fixtures/wavenet.json"), &["--generate", "1"]);
}

#[test]
fn pixelcnn() {
    check(env!("CARGO_BIN_EXE_pixelcnn"), include_str!("fixtures/pixelcnn.json"), &["--draw", "1"]);
}

#[test]
fn resnet50() {
    check(env!("CARGO_BIN_EXE_resnet50"), include_str!("fixtures/resnet50.json"), &[]);
}
