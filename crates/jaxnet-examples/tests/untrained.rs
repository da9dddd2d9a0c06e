//! What the demos' short runs should reach is out of reach for nets that have not learned.

use std::process::Command;

/// Runs a demo's short run, of a single step, with its outcome checked.
#[track_caller]
fn fails(program: &str, flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(["--fast", "--steps", "1", "--check", "--out"]).arg(folder.path()).args(flags);
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}"); // For those who look for what such a net reaches.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("--check"), "{text}\n{errors}");
    assert!(text.contains("NOT REACHED"), "{text}");
}

#[test]
fn mnist_classifier() {
    fails(env!("CARGO_BIN_EXE_mnist_classifier"), &[]);
}

#[test]
fn mnist_vae() {
    fails(env!("CARGO_BIN_EXE_mnist_vae"), &[]);
}

#[test]
fn ocr_rnn() {
    fails(env!("CARGO_BIN_EXE_ocr_rnn"), &[]);
}

#[test]
fn policy_gradient() {
    for seed in ["0", "1", "2"] {
        fails(env!("CARGO_BIN_EXE_policy_gradient"), &["--seed", seed]);
    }
}

#[test]
fn bayesian_mnist() {
    fails(env!("CARGO_BIN_EXE_bayesian_mnist"), &[]);
}

#[test]
fn wavenet() {
    fails(env!("CARGO_BIN_EXE_wavenet"), &[]);
}

#[test]
fn pixelcnn() {
    fails(env!("CARGO_BIN_EXE_pixelcnn"), &[]);
}

#[test]
fn resnet50() {
    fails(env!("CARGO_BIN_EXE_resnet50"), &[]);
}
