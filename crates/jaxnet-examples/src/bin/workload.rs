//! Runs one workload in step with other frameworks: what `cargo xtask bench --peers` drives.
//!
//! ```text
//! workload NAME [ENGINE]
//! ```
//!
//! It speaks lines of JSON: first `{"version", "first_step_s"}`; then for each line `N` on standard
//! input the milliseconds of N steps, as an array; and at its end `{"peak_mb"}`.

use std::io::{BufRead, Write};
use std::time::Instant;

use jaxnet_examples::{device, workloads};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("name a workload")?;
    let device = device::by_name(&arguments.next().unwrap_or_else(|| "cpu".into()))?;
    let mut step = workloads::setup(&name, &device)?;

    let start = Instant::now();
    step();
    say(&json!({"version": env!("CARGO_PKG_VERSION"), "first_step_s": start.elapsed().as_secs_f64()}))?;
    for line in std::io::stdin().lock().lines() {
        let times: Vec<f64> = (0..line?.trim().parse()?)
            .map(|_| {
                let start = Instant::now();
                step();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        say(&json!(times))?;
    }
    say(&json!({"peak_mb": peak_mb()}))
}

fn say(value: &serde_json::Value) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

/// The most memory that this process has had, where the system tells: on Linux.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
