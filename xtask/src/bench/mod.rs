//! `cargo xtask bench`.

mod peers;
mod runner;
mod table;

use clap::Args;

use crate::cargo::cargo;

#[derive(Args)]
pub struct Options {
    /// Side by side with other frameworks, in turn in one run, into target/bench/peers.json and a table.
    #[arg(long)]
    peers: bool,
    /// Only these workloads or benchmarks [default: all]
    names: Vec<String>,
    /// With --peers: how often each framework gets its turn.
    #[arg(long, default_value_t = 15, requires = "peers", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

pub fn bench(options: &Options) -> Result<(), String> {
    if options.peers {
        return peers::compare(&options.names, options.rounds);
    }
    let mut arguments = vec!["bench", "--workspace", "--bench", "*", "--"];
    // Criterion takes one regular expression.
    let filter = options.names.join("|");
    if !filter.is_empty() {
        arguments.push(&filter);
    }
    cargo(&arguments)
}
