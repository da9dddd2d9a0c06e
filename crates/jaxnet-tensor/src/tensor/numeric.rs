//! Elementwise functions that are composed of the primitive ones.

use super::operators::{float, number, promote};
use super::{Operand, Tensor};
use crate::aval::Scalar;
use crate::dtype::DType;
use crate::error::{OrRaise, Result};
use crate::lax;
use crate::primitive::{BinaryOp, UnaryOp};

/// Two operands in one floating-point dtype and one shape.
fn floats(op: &str, x: &Tensor, y: impl Operand) -> Result<[Tensor; 2]> {
    let [x, y] = promote(op, [x.clone(), y.into_tensor()])?;
    Ok([float(&x)?, float(&y)?])
}

/// # More elementwise functions
impl Tensor {
    /// The integer next towards zero.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-1.7, 1.7].trunc().to_vec::<f32>(), [-1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn trunc(&self) -> Tensor {
        if !self.dtype().is_float() {
            return self.clone();
        }
        self.lt(0.0).select(self.ceil(), self.floor())
    }

    /// The logarithm to base 2.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert!(tensor![8.0].log2().isclose(3.0).item::<bool>());
    /// ```
    #[track_caller]
    pub fn log2(&self) -> Tensor {
        self.log() * std::f64::consts::LOG2_E
    }

    /// The logarithm to base 10.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert!(tensor![1000.0].log10().isclose(3.0).item::<bool>());
    /// ```
    #[track_caller]
    pub fn log10(&self) -> Tensor {
        self.log() * std::f64::consts::LOG10_E
    }

    /// `2^x`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert!(tensor![3.0].exp2().isclose(8.0).item::<bool>());
    /// ```
    #[track_caller]
    pub fn exp2(&self) -> Tensor {
        (self * std::f64::consts::LN_2).exp()
    }

    /// Whether infinite, of either sign.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![1.0, f32::NEG_INFINITY, f32::NAN];
    /// assert_eq!(x.is_inf().to_vec::<bool>(), [false, true, false]);
    /// ```
    #[track_caller]
    pub fn is_inf(&self) -> Tensor {
        float(self).or_raise().abs().eq(f64::INFINITY)
    }

    /// NaN replaced by 0 and infinities by the greatest and the least number of the dtype.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![1.0, f32::NAN, f32::INFINITY];
    /// assert_eq!(x.nan_to_num().to_vec::<f32>(), [1.0, 0.0, f32::MAX]);
    /// ```
    #[track_caller]
    pub fn nan_to_num(&self) -> Tensor {
        let max = match self.dtype() {
            DType::F16 => half::f16::MAX.to_f64(),
            DType::BF16 => half::bf16::MAX.to_f64(),
            DType::F64 => f64::MAX,
            _ => f32::MAX as f64,
        };
        self.nan_to_num_with(0.0, max, -max)
    }

    /// NaN and infinities replaced by other numbers. What is neither, integers for example, stays.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    /// assert_eq!(x.nan_to_num_with(0.5, 1.0, -1.0).to_vec::<f32>(), [0.5, 1.0, -1.0]);
    /// ```
    #[track_caller]
    pub fn nan_to_num_with(&self, nan: f64, posinf: f64, neginf: f64) -> Tensor {
        if !self.dtype().is_float() {
            return self.clone();
        }
        let x = self.is_nan().select(nan, self);
        let x = self.eq(f64::INFINITY).select(posinf, &x);
        self.eq(f64::NEG_INFINITY).select(neginf, &x)
    }

    /// `log(exp(x) + exp(y))` without overflow.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1000.0].logaddexp(f32::NEG_INFINITY).item::<f32>(), 1000.0);
    /// assert!(tensor![2.0].logaddexp(2.0).isclose(2.0 + 2_f64.ln()).item::<bool>());
    /// ```
    #[track_caller]
    pub fn logaddexp(&self, other: impl Operand) -> Tensor {
        let [x, y] = floats("logaddexp", self, other).or_raise();
        // Equal infinities have no distance; taken as 0, value and derivative are as in the limit.
        let apart = x.eq(&y).select(0.0, &x - &y);
        x.maximum(&y) + (-apart.abs()).exp().log1p()
    }

    /// `sqrt(x² + y²)` without overflow in between: the distance of the point from the origin.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![3e30].hypot(4e30).item::<f32>(), 5e30);
    /// ```
    #[track_caller]
    pub fn hypot(&self, other: impl Operand) -> Tensor {
        let [x, y] = floats("hypot", self, other).or_raise();
        let (x, y) = (x.abs(), y.abs());
        let (long, short) = (x.maximum(&y), x.minimum(&y));
        // Where both are 0 or one is infinite, the quotient would be NaN.
        let odd = long.eq(0.0) | long.is_inf();
        let ratio = odd.select(0.0, &short) / odd.select(1.0, &long);
        let infinite = x.is_inf() | y.is_inf();
        infinite.select(f64::INFINITY, &long * (ratio.square() + 1.0).sqrt())
    }

    /// The absolute value with the sign of `other`, also that of a zero or a NaN.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, -2.0].copysign(tensor![-0.0, 3.0]).to_vec::<f32>(), [-1.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn copysign(&self, other: impl Operand) -> Tensor {
        let [x, y] = floats("copysign", self, other).or_raise();
        y.signbit().select(-x.abs(), x.abs())
    }

    /// Whether the sign bit is set: of negative numbers, -0.0, and NaNs of that sign.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-1.0, -0.0, 0.0].signbit().to_vec::<bool>(), [true, true, false]);
    /// ```
    #[track_caller]
    pub fn signbit(&self) -> Tensor {
        match self.dtype() {
            DType::F32 => self.bitcast(DType::I32).lt(0),
            DType::F64 => self.bitcast(DType::I64).lt(0),
            // Widening keeps the sign.
            DType::F16 | DType::BF16 => self.astype(DType::F32).signbit(),
            DType::Bool => self.ne(self),
            _ => self.lt(0),
        }
    }

    /// The quotient rounded towards negative infinity, as numpy's `//`.
    ///
    /// Of integers it is one; by 0 it is what [XLA's division](crate::primitive::BinaryOp::Div) gives,
    /// rounded. Of floats it is consistent with [`modulo`](Self::modulo): `1.0 // 0.1` is 9.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![7, -7].floor_divide(2).to_vec::<i32>(), [3, -4]);
    /// assert_eq!(tensor![1.0].floor_divide(0.1).item::<f32>(), 9.0);
    /// ```
    #[track_caller]
    pub fn floor_divide(&self, other: impl Operand) -> Tensor {
        floor_divide(self, other).or_raise()
    }

    /// The remainder of [`floor_divide`](Self::floor_divide), with the sign of the divisor, as numpy's
    /// `%`. (The operator `%` is Rust's and XLA's: with the sign of the dividend.)
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![7, -7].modulo(3).to_vec::<i32>(), [1, 2]);
    /// assert_eq!((tensor![7, -7] % 3).to_vec::<i32>(), [1, -1]);
    /// ```
    #[track_caller]
    pub fn modulo(&self, other: impl Operand) -> Tensor {
        let y = other.into_tensor();
        let remainder = self % &y;
        let other_sign = remainder.ne(0) & remainder.lt(0).ne(y.lt(0));
        other_sign.select(&remainder + &y, &remainder)
    }

    /// The quotient of [`floor_divide`](Self::floor_divide) and the remainder of
    /// [`modulo`](Self::modulo).
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let (quotient, remainder) = tensor![7, -7].divmod(3);
    /// assert_eq!((quotient.to_vec::<i32>(), remainder.to_vec::<i32>()), (vec![2, -3], vec![1, 2]));
    /// ```
    #[track_caller]
    pub fn divmod(&self, other: impl Operand) -> (Tensor, Tensor) {
        let other = other.into_tensor();
        (self.floor_divide(&other), self.modulo(&other))
    }

    /// Whether all elements, and the shapes, are equal, as a Rust bool. NaN equals nothing.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert!(tensor![1, 2].array_equal(tensor![1.0, 2.0]));
    /// assert!(!tensor![1, 1].array_equal(1));
    /// ```
    ///
    /// # Panics
    ///
    /// If a tensor is traced.
    #[track_caller]
    pub fn array_equal(&self, other: impl Operand) -> bool {
        let other = other.into_tensor();
        self.shape() == other.shape() && self.eq(&other).all().item()
    }

    /// A tensor of this shape and dtype with one value everywhere.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].full_like(7).to_vec::<i32>(), [7, 7]);
    /// ```
    #[track_caller]
    pub fn full_like(&self, value: impl Into<Scalar>) -> Tensor {
        lax::full(&self.aval().strong(), value).or_raise()
    }
}

fn floor_divide(x: &Tensor, y: impl Operand) -> Result<Tensor> {
    let [x, y] = promote("floor_divide", [x.clone(), y.into_tensor()])?;
    let (x, y) = (number(&x)?, number(&y)?);
    let dtype = x.dtype();
    if dtype.is_signed_integer() {
        let down = (&x % &y).ne(0) & x.sign().ne(y.sign());
        return Ok(lax::binary(BinaryOp::Div, &x, &y)? - down.astype(dtype));
    }
    if !dtype.is_float() {
        return lax::binary(BinaryOp::Div, &x, &y);
    }
    // As numpy: what is left after the remainder divides evenly, but for rounding.
    let remainder = &x % &y;
    let down = remainder.ne(0.0) & remainder.lt(0.0).ne(y.lt(0.0));
    let quotient = (&x - &remainder) / &y - down.astype(dtype);
    let quotient = lax::unary(UnaryOp::RoundHalfEven, &quotient)?;
    Ok(y.eq(0.0).select(&x / &y, quotient))
}

#[cfg(test)]
mod tests {
    use crate::testing::Arbitrary;
    use crate::{DType, Tensor, tensor};

    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;

    /// Compares with NaN equal to itself and zeros told apart.
    #[track_caller]
    fn same(x: &Tensor, expected: &[f32]) {
        let bits = |x: &f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
        let (x, y): (Vec<u32>, Vec<u32>) =
            (x.to_vec::<f32>().iter().map(bits).collect(), expected.iter().map(bits).collect());
        assert_eq!(x, y, "{expected:?}");
    }

    #[test]
    fn division_with_floor() {
        let mut random = Arbitrary::new(5);
        for _ in 0..200 {
            let (x, y) = (random.between(-20, 20), random.between(1, 9) * if random.coin() { 1 } else { -1 });
            let (quotient, remainder) = Tensor::scalar(x).divmod(Tensor::scalar(y));
            let expected = (x as f64 / y as f64).floor() as i64;
            assert_eq!((quotient.item::<i64>(), remainder.item::<i64>()), (expected, x - y * expected), "{x} {y}");
            let (quotient, remainder) = Tensor::from(x as f32).divmod(y as f32);
            assert_eq!((quotient.item::<i64>(), remainder.item::<i64>()), (expected, x - y * expected), "{x} {y}");
        }
        // numpy: [9, -10, 0, -1, inf, -inf, nan, nan]
        let (x, y) =
            (tensor![1.0, -1.0, 5.0, -5.0, 1.0, -1.0, 0.0, INF], tensor![0.1, 0.1, INF, INF, 0.0, 0.0, 0.0, 2.0]);
        same(&x.floor_divide(&y), &[9.0, -10.0, 0.0, -1.0, INF, -INF, NAN, NAN]);
        // By zero as XLA divides: all bits set, then rounded down where the signs differ.
        assert_eq!(tensor![5, 0, -5].floor_divide(0).to_vec::<i32>(), [-2, -1, -2]);
        assert_eq!(tensor![5, 0, -5].modulo(0).to_vec::<i32>(), [5, 0, -5]);
        assert_eq!(tensor![i32::MIN].floor_divide(-1).item::<i32>(), i32::MIN);
        assert_eq!(tensor![5_u32, 0].floor_divide(0).to_vec::<u32>(), [u32::MAX, u32::MAX]);
        assert_eq!(tensor![7_u8].floor_divide(2).item::<u8>(), 3);
        assert_eq!(tensor![true].floor_divide(true).item::<i32>(), 1);
        assert_eq!(Tensor::zeros([0]).floor_divide(2.0).shape().dims(), [0]);
    }

    #[test]
    fn rounding_and_signs() {
        same(&tensor![-1.7, -0.2, 0.2, 1.7, INF, NAN].trunc(), &[-1.0, -0.0, 0.0, 1.0, INF, NAN]);
        assert_eq!(tensor![3, -3].trunc().to_vec::<i32>(), [3, -3]);
        same(&tensor![1.0, -2.0, NAN].copysign(tensor![-0.0, 3.0, -1.0]), &[-1.0, 2.0, NAN]);
        for dtype in [DType::F16, DType::BF16, DType::F64] {
            let x = tensor![-1.0, -0.0, 0.0, INF].astype(dtype);
            assert_eq!(x.signbit().to_vec::<bool>(), [true, true, false, false]);
        }
        assert_eq!(tensor![-1, 0, 1].signbit().to_vec::<bool>(), [true, false, false]);
        assert_eq!(tensor![true, false].signbit().to_vec::<bool>(), [false, false]);
        assert_eq!(tensor![9_u32].signbit().to_vec::<bool>(), [false]);
    }

    #[test]
    fn what_is_not_finite() {
        let x = tensor![1.0, INF, -INF, NAN];
        assert_eq!(x.is_inf().to_vec::<bool>(), [false, true, true, false]);
        assert_eq!(tensor![1, 2].is_inf().to_vec::<bool>(), [false, false]);
        same(&x.nan_to_num(), &[1.0, f32::MAX, f32::MIN, 0.0]);
        for dtype in [DType::F16, DType::BF16, DType::F64] {
            let y = x.astype(dtype).nan_to_num();
            assert!(y.dtype() == dtype && y.is_finite().all().item::<bool>());
        }
        assert_eq!(tensor![1, 2].nan_to_num().to_vec::<i32>(), [1, 2]);
        // A replacement that is infinite itself is not replaced again.
        same(&x.nan_to_num_with(f64::INFINITY, 5.0, -5.0), &[1.0, 5.0, -5.0, INF]);
    }

    #[test]
    fn logarithms_of_sums() {
        let (x, y) = (tensor![0.0, INF, -INF, INF, NAN, -INF, 1e4], tensor![1.0, INF, -INF, -INF, 0.0, 3.0, -1e4]);
        same(&x.logaddexp(&y), &[1.313_261_7, INF, -INF, INF, NAN, 3.0, 1e4]);
        assert_eq!(tensor![1, 2].logaddexp(tensor![1, 2]).dtype(), DType::F32);
        assert!(tensor![1.0, 8.0, 100.0].log2().allclose(tensor![0.0, 3.0, 6.643_856], 1e-6, 1e-6));
        assert!(tensor![1.0, 10.0, 1e-3].log10().allclose(tensor![0.0, 1.0, -3.0], 1e-6, 1e-6));
        assert!(tensor![0, 3, -1].exp2().allclose(tensor![1.0, 8.0, 0.5], 1e-6, 0.0));
    }

    #[test]
    fn distances() {
        let (x, y) = (tensor![3.0, 0.0, -0.0, INF, NAN, -INF, 3e38], tensor![-4.0, 0.0, 5.0, NAN, 1.0, 1.0, 0.0]);
        same(&x.hypot(&y), &[5.0, 0.0, 5.0, INF, NAN, INF, 3e38]);
    }

    #[test]
    fn equality() {
        assert!(Tensor::zeros([0, 2]).array_equal(Tensor::zeros([0, 2])));
        assert!(!Tensor::zeros([0, 2]).array_equal(Tensor::zeros([0, 3])));
        assert!(!tensor![NAN].array_equal(tensor![NAN]));
        assert!(Tensor::from(1).array_equal(true));
        assert_eq!(Tensor::zeros([2]).astype(DType::U8).full_like(3).to_vec::<u8>(), [3, 3]);
    }
}
