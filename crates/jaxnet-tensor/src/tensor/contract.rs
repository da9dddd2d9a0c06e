//! Products that sum over axes, by numpy's names.

use super::dot::{matmul, operands, result};
use super::{Operand, Tensor};
use crate::dtype::promote_types;
use crate::error::{Error, OrRaise, Result};
use crate::lax;
use crate::shape::{Dims, IntoAxes};

/// The axes that [`Tensor::tensordot`] sums over: a number of them, or those of the left and of the
/// right operand, in pairs.
pub trait ContractAxes {
    /// The axes of operands that have so many.
    ///
    /// # Errors
    ///
    /// When there are fewer.
    fn contract_axes(self, left: &Tensor, right: &Tensor) -> Result<(Dims, Dims)>;
}

/// The last axes of the left operand with as many first ones of the right.
impl ContractAxes for usize {
    fn contract_axes(self, left: &Tensor, right: &Tensor) -> Result<(Dims, Dims)> {
        if self > left.rank().min(right.rank()) {
            return Err(Error::invalid(
                "tensordot",
                format!("{} and {} do not both have {self} axes to contract", left.aval(), right.aval()),
            ));
        }
        Ok(((left.rank() - self..left.rank()).collect(), (0..self).collect()))
    }
}

impl<A: IntoAxes, B: IntoAxes> ContractAxes for (A, B) {
    fn contract_axes(self, left: &Tensor, right: &Tensor) -> Result<(Dims, Dims)> {
        Ok((left.axes("tensordot", self.0)?, right.axes("tensordot", self.1)?))
    }
}

/// # Products with numpy's names
impl Tensor {
    /// Products summed over axes of both operands: `axes` is how many of the last axes of this tensor go
    /// with as many of the first ones of the other, or the axes of each, `([1, 0], [0, 1])` or `(-1, 0)`.
    /// The result has the other axes of this tensor, then those of the other.
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tensor};
    /// let (a, b) = (Tensor::ones([2, 3, 4]), Tensor::ones([4, 3, 5]));
    /// assert_eq!(a.tensordot(&b, 1).shape().dims(), [2, 3, 3, 5]);
    /// assert_eq!(a.tensordot(&b, ([1, 2], [1, 0])).to_vec::<f32>(), [12.0; 10]);
    /// assert_eq!(tensor![1, 2].tensordot(tensor![3, 4], 0).to_vec::<i32>(), [3, 4, 6, 8]);
    /// ```
    ///
    /// # Panics
    ///
    /// If axes do not exist, are not in pairs, or differ in size.
    #[track_caller]
    pub fn tensordot(&self, other: impl Operand, axes: impl ContractAxes) -> Tensor {
        let other = other.into_tensor();
        let attempt = || {
            let (left, right) = axes.contract_axes(self, &other)?;
            let sizes = |x: &Tensor, axes: &Dims| -> Vec<usize> { axes.iter().map(|&axis| x.shape()[axis]).collect() };
            if sizes(self, &left) != sizes(&other, &right) {
                return Err(Error::invalid(
                    "tensordot",
                    format!(
                        "axes {left:?} of {} and {right:?} of {} must be in pairs of one size",
                        self.aval(),
                        other.aval()
                    ),
                ));
            }
            contract("tensordot", self, &other, &left, &right)
        };
        attempt().or_raise()
    }

    /// numpy's `dot`: of two vectors the sum of the products, of matrices the matrix product, with a
    /// scalar the product; otherwise the last axis of this tensor with the second-to-last (or only) one
    /// of the other, *without* batch axes. [`matmul`](Self::matmul) has these.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 2.0].dot(tensor![3.0, 4.0]).item::<f32>(), 11.0);
    /// ```
    ///
    /// # Panics
    ///
    /// If the sizes of the contracted axes differ.
    #[track_caller]
    pub fn dot(&self, other: impl Operand) -> Tensor {
        let other = other.into_tensor();
        if self.rank() == 0 || other.rank() == 0 {
            return self * other;
        }
        if other.rank() <= 2 {
            return named("dot", matmul(self, &other)).or_raise();
        }
        let axes = (self.rank() - 1, other.rank() - 2);
        pairs("dot", self, &other, axes.0, axes.1)
            .and_then(|()| contract("dot", self, &other, &[axes.0], &[axes.1]))
            .or_raise()
    }

    /// The products summed over the last axes of both: the other axes of this tensor, then those of the
    /// other. With a scalar the product.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let rows = tensor![[1, 2], [3, 4]];
    /// assert_eq!(rows.inner(&rows).to_vec::<i32>(), [5, 11, 11, 25]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the last axes differ in size.
    #[track_caller]
    pub fn inner(&self, other: impl Operand) -> Tensor {
        let other = other.into_tensor();
        if self.rank() == 0 || other.rank() == 0 {
            return self * other;
        }
        let axes = (self.rank() - 1, other.rank() - 1);
        pairs("inner", self, &other, axes.0, axes.1)
            .and_then(|()| contract("inner", self, &other, &[axes.0], &[axes.1]))
            .or_raise()
    }

    /// The products of all pairs of elements: a matrix with a row for each element of this tensor and a
    /// column for each of the other, in row-major order.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].outer(tensor![3, 4, 5]).to_vec::<i32>(), [3, 4, 5, 6, 8, 10]);
    /// ```
    #[track_caller]
    pub fn outer(&self, other: impl Operand) -> Tensor {
        self.flatten().expand_dims(1) * other.into_tensor().flatten()
    }

    /// The sum of the products of all elements, whatever the shapes.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![[1, 2], [3, 4]].vdot(tensor![1, 1, 1, 2]).item::<i32>(), 14);
    /// ```
    ///
    /// # Panics
    ///
    /// If the numbers of elements differ.
    #[track_caller]
    pub fn vdot(&self, other: impl Operand) -> Tensor {
        let other = other.into_tensor();
        if self.size() != other.size() {
            let message = format!("{} and {} do not have as many elements", self.aval(), other.aval());
            return Err(Error::invalid("vdot", message)).or_raise();
        }
        contract("vdot", &self.flatten(), &other.flatten(), &[0], &[0]).or_raise()
    }

    /// The sum along the diagonal `k` above the main one of the last two axes.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![[1, 2], [3, 4]];
    /// assert_eq!(x.trace(0).item::<i32>(), 5);
    /// assert_eq!(x.trace(-1).item::<i32>(), 3);
    /// ```
    ///
    /// # Panics
    ///
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn trace(&self, k: i64) -> Tensor {
        if self.rank() < 2 {
            return Err(Error::invalid("trace", format!("needs at least two axes, got {}", self.aval()))).or_raise();
        }
        self.diagonal(k).sum_axis(-1)
    }
}

fn pairs(op: &str, x: &Tensor, y: &Tensor, x_axis: usize, y_axis: usize) -> Result<()> {
    if x.shape()[x_axis] == y.shape()[y_axis] {
        return Ok(());
    }
    Err(Error::invalid(
        op,
        format!(
            "axis {x_axis} of {} and axis {y_axis} of {} must be of one size; transpose one with `.mt()`?",
            x.aval(),
            y.aval()
        ),
    ))
}

fn contract(op: &str, x: &Tensor, y: &Tensor, x_axes: &[usize], y_axes: &[usize]) -> Result<Tensor> {
    let (dtype, _) = promote_types((x.dtype(), x.is_weak()), (y.dtype(), y.is_weak()));
    let [x, y] = operands(dtype, x, y)?;
    named(op, result(dtype, lax::dot_general(&x, &y, (x_axes, y_axes), (&[], &[]))))
}

/// An error as that of the operation that was called.
fn named(op: &str, result: Result<Tensor>) -> Result<Tensor> {
    result.map_err(|error| match error {
        Error::Invalid { message, .. } => Error::invalid(op, message),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::try_catch;
    use crate::testing::Arbitrary;
    use crate::{DType, Shape, tensor};

    #[test]
    fn as_einsum_says() {
        let mut random = Arbitrary::new(3);
        let mut draw = |shape: &[usize]| random.tensor(DType::I64, &Shape::from(shape)).modulo(10);
        let same = |x: Tensor, subscripts: &str, a: &Tensor, b: &Tensor| {
            let expected = Tensor::einsum(subscripts, &[a, b]);
            assert_eq!(x.shape(), expected.shape(), "{subscripts}");
            assert_eq!(x.to_vec::<i64>(), expected.to_vec::<i64>(), "{subscripts}");
        };
        let (a, b) = (draw(&[2, 3, 4]), draw(&[4, 3, 5]));
        same(a.tensordot(&b, 0), "abc,def->abcdef", &a, &b);
        same(a.tensordot(&b, 1), "abc,cde->abde", &a, &b);
        same(a.tensordot(&b, (-1, 0)), "abc,cde->abde", &a, &b);
        same(a.tensordot(&b, ([2, 1], [0, 1])), "abc,cbe->ae", &a, &b);
        same(a.tensordot(&b, (&[1_usize][..], [1])), "abc,dbe->acde", &a, &b);
        same(a.tensordot(&a, (.., ..)), "abc,abc->", &a, &a);
        let c = draw(&[3, 4, 2]);
        same(a.tensordot(&c, 2), "abc,bcd->ad", &a, &c);
        let (m, n, v) = (draw(&[2, 4]), draw(&[4, 3]), draw(&[4]));
        same(m.dot(&n), "ij,jk->ik", &m, &n);
        same(v.dot(&v), "i,i->", &v, &v);
        same(v.dot(&n), "i,ij->j", &v, &n);
        same(a.dot(&v), "abc,c->ab", &a, &v);
        let d = draw(&[5, 4, 2]);
        same(a.dot(&d), "abc,dce->abde", &a, &d);
        same(a.inner(&m), "abc,dc->abd", &a, &m);
        same(v.inner(&m), "i,ji->j", &v, &m);
        same(m.outer(&v), "i,j->ij", &m.flatten(), &v);
        same(m.vdot(m.mt()), "i,i->", &m.flatten(), &m.mt().flatten());
    }

    #[test]
    fn scalars_empties_and_dtypes() {
        assert_eq!(Tensor::from(2).dot(tensor![1, 2]).to_vec::<i32>(), [2, 4]);
        assert_eq!(tensor![1, 2].inner(3).to_vec::<i32>(), [3, 6]);
        assert_eq!(Tensor::from(2).outer(3).shape().dims(), [1, 1]);
        assert_eq!(Tensor::from(2).vdot(3).item::<i32>(), 6);
        assert_eq!(Tensor::zeros([0]).dot(Tensor::zeros([0])).item::<f32>(), 0.0);
        assert_eq!(Tensor::zeros([0]).outer(tensor![1, 2]).shape().dims(), [0, 2]);
        assert_eq!(Tensor::zeros([2, 0]).tensordot(Tensor::zeros([0, 3]), 1).to_vec::<f32>(), [0.0; 6]);
        assert_eq!(tensor![1, 2].vdot(tensor![0.5, 0.5]).item::<f32>(), 1.5);
        let (a, b) = (tensor![[true, false], [true, true]], tensor![[false, true], [true, false]]);
        for product in [a.matmul(&b), a.dot(&b), a.tensordot(&b, 1), Tensor::einsum("ij,jk", &[&a, &b])] {
            assert_eq!(product.to_vec::<bool>(), [false, true, true, true]);
        }
        let batches = a.broadcast_to([2, 2, 2]).matmul(&b);
        assert_eq!(batches.i(1).to_vec::<bool>(), [false, true, true, true]);
        assert!(a.vdot(&a).item::<bool>() && !a.i(0).inner(b.i(0)).item::<bool>());
        assert_eq!(Tensor::range(12).reshape([2, 2, 3]).trace(1).to_vec::<i32>(), [1 + 5, 7 + 11]);
        assert_eq!(Tensor::zeros([2, 3]).trace(5).item::<f32>(), 0.0);
        assert_eq!(Tensor::zeros([0, 0]).trace(0).item::<f32>(), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |f: &dyn Fn() -> Tensor| try_catch(f).unwrap_err().to_string();
        let (a, b) = (Tensor::zeros([2, 3]), Tensor::zeros([4, 5]));
        assert_eq!(
            message(&|| a.tensordot(&b, 1)),
            "tensordot: axes [1] of f32[2,3] and [0] of f32[4,5] must be in pairs of one size"
        );
        assert!(message(&|| a.tensordot(&b, 3)).contains("do not both have 3 axes"));
        assert!(message(&|| a.tensordot(&b, ([0, 1], [0]))).contains("in pairs"));
        assert!(message(&|| a.tensordot(&b, (2, 0))).starts_with("tensordot: axis 2"));
        assert!(message(&|| a.tensordot(&a, ([0, 0], [0, 0]))).contains("tensordot"));
        assert!(message(&|| a.dot(&b)).starts_with("dot: f32[2,3] and f32[4,5]"));
        assert!(message(&|| a.inner(&b)).starts_with("inner: axis 1 of f32[2,3] and axis 1 of f32[4,5]"));
        assert!(message(&|| a.dot(Tensor::zeros([2, 2, 2]))).starts_with("dot: axis 1 of f32[2,3]"));
        assert!(message(&|| a.vdot(&b)).contains("do not have as many elements"));
        assert!(message(&|| tensor![1].trace(0)).contains("at least two axes"));
    }
}
