//! A process that does one workload, step by step on request.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// See `crates/jaxnet-examples/src/bin/workload.rs` for what is said to it and what it answers.
pub struct Runner {
    pub version: String,
    pub first_step_s: f64,
    name: String,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Hello {
    version: String,
    first_step_s: f64,
}

#[derive(Deserialize)]
struct Goodbye {
    peak_mb: Option<f64>,
}

impl Runner {
    /// Starts it; it has done its first step when this returns.
    pub fn start(mut command: Command) -> Result<Runner, String> {
        let name = format!("{command:?}");
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let (input, output) = (process.stdin.take(), process.stdout.take().expect("a pipe"));
        let output = BufReader::new(output);
        let mut runner = Runner { version: String::new(), first_step_s: 0.0, name, process, input, output };
        let hello: Hello = runner.answer()?;
        (runner.version, runner.first_step_s) = (hello.version, hello.first_step_s);
        Ok(runner)
    }

    /// The milliseconds of each of so many steps.
    pub fn steps(&mut self, count: usize) -> Result<Vec<f64>, String> {
        let input = self.input.as_mut().expect("it runs until it is finished");
        writeln!(input, "{count}").map_err(|error| format!("{} has ended: {error}", self.name))?;
        self.answer()
    }

    /// Ends it; the most memory that it has had, in megabytes.
    pub fn finish(mut self) -> Result<Option<f64>, String> {
        drop(self.input.take());
        Ok(self.answer::<Goodbye>()?.peak_mb)
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| format!("{}: {error}", self.name))?;
        serde_json::from_str(&line).map_err(|_| format!("{} answered {line:?}", self.name))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // After a failure it may still be waiting for input.
        drop(self.input.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
