//! Properties of every primitive, checked on cases that are drawn from one catalogue of operations.
//!
//! The catalogue (`rows/`) has a row an operation; the other modules check properties of all of them:
//!
//! * `compiled`: `jit` gives the same bits as running right away, with special values and literals too,
//!   and results are what inference says;
//! * `batches`: `vmap` is a loop, for each choice of batched operands and axes;
//! * `derivatives`: against central differences to second order in both modes; linear operations are
//!   transposes of their transposes;
//! * `gradients`: in every floating-point dtype, under `jit` and `vmap`; and results in low precision
//!   against those in f64;
//! * `programs`: the same of random programs of up to twenty operations, loops and branches among them;
//! * `parity`: on other engines (the features `xla` and `torch`, and a toy) all of it as on the CPU engine.
//!
//! Everything is drawn from fixed seeds, so that each run tries the same:
//!
//! * `JAXNET_SEED=1` (any number) tries others;
//! * `PROPTEST_CASES=100` tries so many cases of each operation and dtype, instead of a few;
//! * `JAXNET_ONLY="check row dtype 0x…"`, which each failure prints, tries that one alone;
//! * `JAXNET_TORCH_DEVICE=torch_cuda:0` and `JAXNET_XLA_DEVICE=cuda=/path/xla_cuda_plugin.so` have parity
//!   checked on other devices of these engines;
//! * `regressions.txt` lists what once failed and is tried in every run.

mod batches;
mod compare;
mod compiled;
mod derivatives;
mod gradients;
mod parity;
mod programs;
mod reference;
mod rows;
mod run;
