//! Products of matrices.

use super::{Operand, Tensor};
use crate::dtype::DType;
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::shape::{Dims, Shape};

/// # Products
impl Tensor {
    /// The matrix product of the last two axes, with the others as batch axes that broadcast; a single
    /// axis is a row on the left and a column on the right, as in numpy. Products of booleans are `and`,
    /// sums `or`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let a = tensor![[1.0, 2.0], [3.0, 4.0]];
    /// assert_eq!(a.matmul(tensor![1.0, 1.0]).to_vec::<f32>(), [3.0, 7.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If an operand is a scalar, or the inner sizes differ.
    #[track_caller]
    pub fn matmul(&self, other: impl Operand) -> Tensor {
        matmul(self, &other.into_tensor()).or_raise()
    }
}

pub(super) fn matmul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let fail = |why: &str| Err(Error::invalid("matmul", format!("{} and {}: {why}", x.aval(), y.aval())));
    if x.rank() == 0 || y.rank() == 0 {
        return fail("a scalar has no axis to contract; multiply with `*`");
    }
    let (dtype, _) = crate::promote_types((x.dtype(), x.is_weak()), (y.dtype(), y.is_weak()));
    let [x, y] = operands(dtype, x, y)?;
    let (x_inner, y_inner) = (x.rank() - 1, y.rank().saturating_sub(2));
    if x.shape()[x_inner] != y.shape()[y_inner] {
        return fail(&format!(
            "the last axis of the left operand ({}) must be as long as the {} of the right one ({}); \
             transpose one with `.mt()`?",
            x.shape()[x_inner],
            if y.rank() == 1 { "axis" } else { "second-to-last axis" },
            y.shape()[y_inner]
        ));
    }
    if y.rank() <= 2 {
        return result(dtype, lax::dot_general(&x, &y, (&[x_inner], &[y_inner]), (&[], &[])));
    }
    // Batch axes broadcast; those of size 1 or missing are broadcast to the other's.
    let x_batch = Shape::from(&x.shape()[..x.rank().saturating_sub(2)]);
    let y_batch = Shape::from(&y.shape()[..y.rank() - 2]);
    let Some(batch) = x_batch.broadcast(&y_batch) else {
        return fail(&format!("batch axes {x_batch} and {y_batch} do not broadcast"));
    };
    let with_batch = |z: &Tensor, rank: usize| -> Result<Tensor> {
        let shape: Shape = batch.iter().chain(&z.shape()[z.rank() - rank..]).copied().collect();
        lax::broadcast_to(z, &shape)
    };
    let (x, y) = (with_batch(&x, x.rank().min(2))?, with_batch(&y, 2)?);
    let axes: Dims = (0..batch.rank()).collect();
    result(dtype, lax::dot_general(&x, &y, (&[x.rank() - 1], &[y.rank() - 2]), (&axes, &axes)))
}

/// The operands of a product in the dtype that it is computed in: booleans are counted in floats, which no
/// sum brings back to 0.
pub(super) fn operands(dtype: DType, x: &Tensor, y: &Tensor) -> Result<[Tensor; 2]> {
    let dtype = if dtype == DType::Bool { DType::F32 } else { dtype };
    Ok([lax::convert(x, dtype)?, lax::convert(y, dtype)?])
}

/// What was computed from [`operands`], in the dtype of the product.
pub(super) fn result(dtype: DType, product: Result<Tensor>) -> Result<Tensor> {
    if dtype == DType::Bool { lax::convert(&product?, dtype) } else { product }
}

impl Tensor {
    /// The tensor as it is, with derivative zero.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![2.0].stop_gradient().item::<f32>(), 2.0);
    /// ```
    #[track_caller]
    pub fn stop_gradient(&self) -> Tensor {
        lax::stop_gradient(self).or_raise()
    }
}
