//! The classifier as a program: what it writes, what it refuses, and that the same seed gives the same.

use std::path::Path;
use std::process::{Command, Output};

use jaxnet_tensor::Tensor;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mnist_classifier")).args(arguments).output().expect("the program starts")
}

/// A tiny data set: digit 0 is black, digit 1 white.
fn write_data(folder: &Path) {
    write_images(folder, 16, 2, |digit, _| 255 * digit);
}

/// A data set of so many training images and digits, with pixels that depend on the digit and their number.
fn write_images(folder: &Path, count: u32, digits: u32, pixel: impl Fn(u8, u32) -> u8) {
    for (name, count) in [("train", count), ("t10k", 4)] {
        let mut images = vec![0, 0, 8, 3];
        let mut labels = vec![0, 0, 8, 1];
        for size in [count, 28, 28] {
            images.extend(size.to_be_bytes());
        }
        labels.extend(count.to_be_bytes());
        for i in 0..count {
            let digit = (i % digits) as u8;
            images.extend((0..28 * 28).map(|j| pixel(digit, 28 * 28 * i + j)));
            labels.push(digit);
        }
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn trains_saves_and_classifies() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let data = folder.path().to_str().unwrap();
    let train = |out: &str, more: &[&str]| {
        let out = folder.path().join(out);
        let common = ["--model", "conv", "--data", data, "--epochs", "2", "--batch-size", "8"];
        let output = run(&[&common[..], &["--out", out.to_str().unwrap()], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(out.join("metrics.jsonl")).unwrap()
    };
    let lines = train("a", &[]);
    let numbers = |lines: &str| -> Vec<Vec<f64>> {
        let fields = ["epoch", "loss", "train_accuracy", "test_accuracy"];
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        lines.lines().map(|text| fields.map(|field| line(text)[field].as_f64().unwrap()).to_vec()).collect()
    };
    assert_eq!(numbers(&lines).len(), 2);
    assert!(serde_json::from_str::<serde_json::Value>(lines.lines().next().unwrap()).unwrap()["seconds"].is_f64());

    assert_eq!(numbers(&lines), numbers(&train("b", &[])), "the same seed gives the same");
    assert_ne!(numbers(&lines), numbers(&train("c", &["--seed", "1"])));
    let eager = numbers(&train("d", &["--no-jit"]));
    for (compiled, eager) in numbers(&lines).concat().iter().zip(eager.concat()) {
        assert!((compiled - eager).abs() < 1e-4 * compiled.abs().max(1.0), "{compiled} compiled, {eager} eager");
    }

    let out = folder.path().join("a");
    assert!(out.join("loss.png").exists());
    let output = run(&["classify", "--model", "conv", "--data", data, "--out", out.to_str().unwrap(), "--index", "1"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("its label is 1"), "{text}");
}

#[test]
fn bad_input_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let data = folder.path().to_str().unwrap();
    let file = folder.path().join("t10k-labels-idx1-ubyte");
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    let refused = |arguments: &[&str], reason: &str| {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(reason), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    };
    refused(&["--device", "gpu"], "there are cpu, xla and torch");
    refused(&["--batch-size", "0"], "whole number from 1 on");
    refused(&["--epochs", "0"], "--epochs");
    refused(&["--data", missing], missing);
    refused(&["--data", data, "--batch-size", "17"], "more than the 16 training images");
    refused(&["--data", data, "--batch-size", "8", "--out", file.to_str().unwrap()], "t10k-labels-idx1-ubyte");
    refused(&["classify", "--data", data, "--out", missing], missing);
    refused(&["classify", "--data", data, "--index", "4"], "4 is not below 4");
    std::fs::write(&file, [0, 0, 8, 1, 0, 0]).unwrap();
    refused(&["--data", data], "t10k-labels-idx1-ubyte");
}

/// With the same seed, whatever computes: the random numbers are the same, and rounding is all that differs.
#[test]
fn losses_agree_between_engines() {
    let others: Vec<&str> = [("xla", cfg!(feature = "xla")), ("torch", cfg!(feature = "torch"))]
        .iter()
        .filter(|e| e.1)
        .map(|e| e.0)
        .collect();
    if others.is_empty() {
        println!("skipped: this build has neither of the features `xla` and `torch`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A stripe whose place depends on the digit, under noise.
    let pixel = |digit: u8, place: u32| {
        let noise = (place.wrapping_mul(0x9E37_79B1) >> 25) as u8;
        noise + if (place % 784) / 262 == u32::from(digit) { 128 } else { 0 }
    };
    write_images(folder.path(), 200, 3, pixel);
    let losses = |device: &str| -> Vec<f32> {
        let (out, data) = (folder.path().join(device), folder.path().to_str().unwrap());
        let common = ["--model", "conv", "--data", data, "--epochs", "1", "--batch-size", "2", "--lr", "5e-4"];
        let output = run(&[&common[..], &["--device", device, "--out", out.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{device}: {}", String::from_utf8_lossy(&output.stderr));
        Tensor::load_npy(out.join("losses.npy")).unwrap().to_vec()
    };
    let expected = losses("cpu");
    assert_eq!(expected.len(), 100);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    assert!(mean(&expected[80..]) < 0.8 * mean(&expected[..20]), "it does not learn: {expected:?}");
    for engine in others {
        let got = losses(engine);
        assert_eq!(got.len(), expected.len());
        let off = |(a, b): (&f32, &f32)| (a - b).abs() / b.abs();
        let worst = got.iter().zip(&expected).map(off).fold(0.0, f32::max);
        println!("{engine}: losses differ by up to {worst:e}");
        assert!(worst <= 1e-4, "{engine} {got:?}, cpu {expected:?}");
    }
}
