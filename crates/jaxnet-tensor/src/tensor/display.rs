//! Tensors as text.

use std::fmt;

use super::Tensor;

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_f64_vec() {
            Ok(values) => write!(f, "{values:?}"),
            Err(_) => write!(f, "{self:?}"),
        }
    }
}
