//! Functions that HLO lacks, as compositions.
//!
//! Coefficients are those of the CPU engine's functions, and so are the ways in which digits are kept.

mod elementary;
mod erf;
mod gamma;

pub(super) use elementary::{acos, acosh, asin, asinh, atan, atanh, cbrt, cosh, log1p, sinh};
pub(super) use erf::{erf_inv, erfc};
pub(super) use gamma::{digamma, lgamma, polygamma};

use super::hlo::{Builder, Value};

fn abs(b: &mut Builder<'_>, x: &Value) -> Value {
    b.unary("abs", x)
}
