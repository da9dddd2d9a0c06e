//! Demos that are killed, or stopped, go on as if nothing had happened.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A demo with flags that make it short, and yet have it write several checkpoints.
struct Demo {
    program: &'static str,
    flags: &'static [&'static str],
}

impl Demo {
    fn start(&self, out: &Path, more: &[&str]) -> Child {
        let mut command = Command::new(self.program);
        command.args(self.flags).arg("--out").arg(out).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    fn run(&self, out: &Path, more: &[&str]) -> String {
        let output = self.start(out, more).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Runs it whole; in pieces, killed again and again; and stopped by Ctrl-C.
    fn check(&self) {
        let folder = tempfile::tempdir().unwrap();
        let [whole, killed, stopped] = ["whole", "killed", "stopped"].map(|name| folder.path().join(name));
        let start = Instant::now();
        self.run(&whole, &[]);
        let duration = start.elapsed();

        // On a busy machine the whole run may have been the slowest, so that nobody killed the other: then again, sooner.
        let mut pace = duration;
        while self.kill_again_and_again(&killed, pace) == 0 {
            std::fs::remove_dir_all(&killed).unwrap();
            pace /= 2;
        }
        self.compare(&whole, &killed);

        let mut life = self.start(&stopped, &[]);
        wait_for(&mut life, &stopped.join("checkpoints"), duration * 5);
        let interrupt = Command::new("kill").arg("-INT").arg(life.id().to_string()).status();
        assert!(interrupt.unwrap().success());
        let output = life.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.code() == Some(130) {
            assert!(text.contains("go on with --resume"), "{text}");
            let text = self.run(&stopped, &["--resume"]);
            assert!(text.contains("going on from step"), "{text}");
        }
        self.compare(&whole, &stopped);
    }

    /// Kills it until it has finished, and tells how often.
    fn kill_again_and_again(&self, out: &Path, pace: Duration) -> usize {
        // Each life is a little longer than the one before, and starts another checkpoint at another moment.
        for lives in 0.. {
            let mut life = self.start(out, &["--resume"]);
            let end = Instant::now() + pace.mul_f64(0.5 + 0.15 * lives as f64);
            while Instant::now() < end {
                if let Some(status) = life.try_wait().unwrap() {
                    assert!(status.success());
                    return lives;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            life.kill().unwrap();
            life.wait().unwrap();
        }
        unreachable!("lives are as long as it takes in the end")
    }

    /// That two runs made the same, but for the time they took.
    fn compare(&self, a: &Path, b: &Path) {
        let read = |folder: &Path, name: &str| std::fs::read(folder.join(name)).expect(name);
        for name in ["state.safetensors", "loss.png"] {
            assert!(read(a, name) == read(b, name), "{}: {name} differs in {}", self.program, b.display());
        }
        let metrics = |folder: &Path| -> Vec<serde_json::Value> {
            let text = String::from_utf8(read(folder, "metrics.jsonl")).unwrap();
            let line = |line: &str| {
                let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
                line.as_object_mut().unwrap().remove("seconds");
                line
            };
            text.lines().map(line).collect()
        };
        assert_eq!(metrics(a), metrics(b), "{}", self.program);
    }
}

/// Waits until there is a checkpoint, or the program has ended.
fn wait_for(program: &mut Child, checkpoints: &Path, longest: Duration) {
    let end = Instant::now() + longest + Duration::from_secs(10);
    let there = || std::fs::read_dir(checkpoints).is_ok_and(|entries| entries.count() > 0);
    while program.try_wait().unwrap().is_none() && !there() {
        assert!(Instant::now() < end, "no checkpoint in {}", checkpoints.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// 128 images to train on and 64 to test with, of the real ones: few, so that tests are short.
fn few_digits() -> &'static str {
    static FOLDER: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let mnist = jaxnet_examples::data::Mnist::bundled().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("few_digits");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, data) in [("train", mnist.train.first(128)), ("t10k", mnist.test.first(64))] {
            let count = (data.len() as u32).to_be_bytes();
            let images = [&[0, 0, 8, 3], &count[..], &[0, 0, 0, 28, 0, 0, 0, 28], &data.images.to_vec::<u8>()].concat();
            let labels: Vec<u8> = data.labels.to_vec::<i32>().iter().map(|label| *label as u8).collect();
            let labels = [&[0, 0, 8, 1], &count[..], &labels].concat();
            std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
            std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
        }
        folder
    });
    folder.to_str().unwrap()
}

#[test]
fn mnist_classifier() {
    let flags = vec!["--data", few_digits(), "--model", "conv", "--batch-size", "16", "--epochs", "4"];
    Demo { program: env!("CARGO_BIN_EXE_mnist_classifier"), flags: flags.leak() }.check();
}

#[test]
fn mnist_vae() {
    // Its last epoch is not a whole one.
    let flags = vec!["--data", few_digits(), "--batch-size", "8", "--steps", "60"];
    Demo { program: env!("CARGO_BIN_EXE_mnist_vae"), flags: flags.leak() }.check();
}

#[test]
fn ocr_rnn() {
    let flags = vec!["--data", few_digits(), "--batch-size", "2", "--steps", "17"];
    Demo { program: env!("CARGO_BIN_EXE_ocr_rnn"), flags: flags.leak() }.check();
}

#[test]
fn policy_gradient() {
    let flags = &["--steps", "35"];
    Demo { program: env!("CARGO_BIN_EXE_policy_gradient"), flags }.check();
}

#[test]
fn bayesian_mnist() {
    let flags = vec!["--data", few_digits(), "--batch-size", "16", "--steps", "36"];
    Demo { program: env!("CARGO_BIN_EXE_bayesian_mnist"), flags: flags.leak() }.check();
}

#[test]
fn wavenet() {
    let flags = &["--fast", "--steps", "70", "--generate", "100"];
    Demo { program: env!("CARGO_BIN_EXE_wavenet"), flags }.check();
}

#[test]
fn pixelcnn() {
    // With dropout, whose keys go on as well.
    let flags =
        &["--fast", "--halvings", "3", "--batch-size", "100", "--steps", "70", "--draw", "4", "--dropout", "0.1"];
    Demo { program: env!("CARGO_BIN_EXE_pixelcnn"), flags }.check();
}

#[test]
fn resnet50() {
    let flags = &["--size", "32", "--images", "10", "--classes", "5", "--batch-size", "4", "--steps", "7"];
    Demo { program: env!("CARGO_BIN_EXE_resnet50"), flags }.check();
}

#[test]
fn steps_stop_every_demo_and_are_the_beginning_of_more() {
    // Without a schedule, the first steps are those of a longer run, though they end within an epoch.
    let folder = tempfile::tempdir().unwrap();
    let flags = vec!["--data", few_digits(), "--batch-size", "16"];
    let demo = Demo { program: env!("CARGO_BIN_EXE_mnist_vae"), flags: flags.leak() };
    let [short, long] = ["short", "long"].map(|name| folder.path().join(name));
    demo.run(&short, &["--steps", "11"]);
    demo.run(&long, &["--steps", "20"]);
    let losses = |out: &Path| jaxnet_tensor::Tensor::load_npy(out.join("losses.npy")).unwrap().to_vec::<f32>();
    assert_eq!(losses(&short), losses(&long)[..11]);
    assert_eq!(losses(&long).len(), 20);
    // What was stopped within an epoch goes on in it.
    demo.run(&short, &["--steps", "20", "--resume"]);
    assert_eq!(losses(&short), losses(&long));
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let flags = vec!["--data", few_digits(), "--batch-size", "64", "--epochs", "1"];
    let demo = Demo { program: env!("CARGO_BIN_EXE_mnist_classifier"), flags: flags.leak() };
    demo.run(folder.path(), &[]);
    let output = demo.start(folder.path(), &["--resume", "--model", "conv"]).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("another model") && !text.contains("panicked"), "{text}");

    // Another run in the same folder sets the checkpoints aside.
    demo.run(folder.path(), &["--seed", "1"]);
    for name in ["checkpoints", "checkpoints.old"] {
        assert_eq!(std::fs::read_dir(folder.path().join(name)).unwrap().count(), 1, "{name}");
    }
}
