//! Drives the builds.
fn main() {}
