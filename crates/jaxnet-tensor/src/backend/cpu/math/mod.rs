//! Elementary and special functions of the CPU engine.
//!
//! * [`isa`]: instruction-set levels, and [`dispatch`]/[`vectorize`], by which a loop
//!   is compiled for AVX-512, AVX2 + FMA and the baseline and the best one is run;
//! * `exp`, `log`, `trig`, `arc`, `hyperbolic`, `erf`, `power`: elementary functions of
//!   f32 and f64 as branch-free scalar code, `fn name_f32<I: Isa>(x: f32) -> f32`, to be
//!   called in loops inside a [`Kernel`];
//! * [`kernels`]: the same over slices, with dispatch;
//! * [`special`]: `lgamma`, `digamma`, `polygamma`, `zeta`, `erf_inv`; scalar.
//!
//! Errors are below 2 ulp for f32 and 2 ulp for f64 unless `tests.rs` says otherwise.
//! Special values follow C99's annex F; subnormals are neither flushed nor ignored.

pub(crate) mod arc;
mod bits;
pub(crate) mod erf;
pub(crate) mod exp;
pub(crate) mod hyperbolic;
pub(crate) mod isa;
pub(crate) mod kernels;
pub(crate) mod log;
pub(crate) mod power;
pub(crate) mod special;
pub(crate) mod trig;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub(crate) use isa::{Isa, Kernel, Level, dispatch, vectorize};
pub(crate) use kernels::{Unary, atan2_f32, atan2_f64, pow_f32, pow_f64, unary_f32_inplace, unary_f64_inplace};
