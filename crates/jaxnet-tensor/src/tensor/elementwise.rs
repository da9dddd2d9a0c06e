//! Elementwise methods.

use super::Tensor;
use super::operators::{Operand, binary, binary_of_floats, compare, float, number, promote};
use crate::aval::{Literal, Scalar};
use crate::dtype::DType;
use crate::error::{Error, OrRaise};
use crate::lax;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};
use crate::trace::bind1;

macro_rules! float_methods {
    ($($(#[$doc:meta])* $method:ident => $op:ident;)*) => {
        /// # Floating-point functions
        ///
        /// Elementwise; integers and booleans are converted to f32 first.
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Tensor {
                float(self).and_then(|x| lax::unary(UnaryOp::$op, &x)).or_raise()
            }
        )*}
    };
}

float_methods! {
    /// `e^x`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.0, f32::NEG_INFINITY].exp().to_vec::<f32>(), [1.0, 0.0]);
    /// ```
    exp => Exp;
    /// `e^x - 1`, accurate near 0.
    expm1 => Expm1;
    /// The natural logarithm; NaN for negative numbers.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 0.0].log().to_vec::<f32>(), [0.0, f32::NEG_INFINITY]);
    /// ```
    log => Log;
    /// `log(1 + x)`, accurate near 0.
    log1p => Log1p;
    /// The square root; NaN for negative numbers.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![4, 9].sqrt().to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    sqrt => Sqrt;
    /// `1 / sqrt(x)`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![4.0, 0.25].rsqrt().to_vec::<f32>(), [0.5, 2.0]);
    /// ```
    rsqrt => Rsqrt;
    /// The cube root.
    cbrt => Cbrt;
    /// The sine of radians.
    sin => Sin;
    /// The cosine of radians.
    cos => Cos;
    /// The tangent of radians.
    tan => Tan;
    /// The inverse sine, in radians.
    asin => Asin;
    /// The inverse cosine, in radians.
    acos => Acos;
    /// The inverse tangent, in radians.
    atan => Atan;
    /// The hyperbolic sine.
    sinh => Sinh;
    /// The hyperbolic cosine.
    cosh => Cosh;
    /// The hyperbolic tangent.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.0, 100.0].tanh().to_vec::<f32>(), [0.0, 1.0]);
    /// ```
    tanh => Tanh;
    /// The inverse hyperbolic sine.
    asinh => Asinh;
    /// The inverse hyperbolic cosine.
    acosh => Acosh;
    /// The inverse hyperbolic tangent.
    atanh => Atanh;
    /// The logistic function `1 / (1 + e^-x)`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.0, 100.0].sigmoid().to_vec::<f32>(), [0.5, 1.0]);
    /// ```
    sigmoid => Logistic;
    /// The error function.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.0, 10.0].erf().to_vec::<f32>(), [0.0, 1.0]);
    /// ```
    erf => Erf;
    /// `1 - erf(x)`, accurate for large `x`.
    erfc => Erfc;
    /// The inverse of the error function.
    erf_inv => ErfInv;
    /// The logarithm of the absolute value of the gamma function.
    lgamma => Lgamma;
    /// The derivative of [`lgamma`](Self::lgamma).
    digamma => Digamma;
}

/// # Elementwise functions
impl Tensor {
    /// The elements in another dtype: from float to integer towards zero and saturating (NaN gives 0),
    /// between integers wrapping, to bool `x != 0`.
    ///
    /// ```
    /// use jaxnet_tensor::{tensor, DType};
    /// let x = tensor![-1.5, 300.0, f32::NAN];
    /// assert_eq!(x.astype(DType::U8).to_vec::<u8>(), [0, 255, 0]);
    /// ```
    #[track_caller]
    pub fn astype(&self, dtype: DType) -> Tensor {
        lax::convert(self, dtype).or_raise()
    }

    /// The same bits as another dtype of the same width.
    ///
    /// ```
    /// use jaxnet_tensor::{DType, tensor};
    /// assert_eq!(tensor![1.0].bitcast(DType::U32).item::<u32>(), 0x3F80_0000);
    /// ```
    #[track_caller]
    pub fn bitcast(&self, dtype: DType) -> Tensor {
        lax::bitcast_convert(self, dtype).or_raise()
    }

    /// The absolute value; of the least integer itself.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-1.5, 2.0].abs().to_vec::<f32>(), [1.5, 2.0]);
    /// ```
    #[track_caller]
    pub fn abs(&self) -> Tensor {
        number(self).and_then(|x| lax::unary(UnaryOp::Abs, &x)).or_raise()
    }

    /// -1, 0 or 1; NaN for NaN.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-3, 0, 7].sign().to_vec::<i32>(), [-1, 0, 1]);
    /// ```
    #[track_caller]
    pub fn sign(&self) -> Tensor {
        number(self).and_then(|x| lax::unary(UnaryOp::Sign, &x)).or_raise()
    }

    /// The greatest integer that is not greater.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-0.5, 1.5].floor().to_vec::<f32>(), [-1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn floor(&self) -> Tensor {
        self.rounding(UnaryOp::Floor)
    }

    /// The least integer that is not less.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-0.5, 1.5].ceil().to_vec::<f32>(), [0.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn ceil(&self) -> Tensor {
        self.rounding(UnaryOp::Ceil)
    }

    /// The nearest integer; halves go to the even one, as in numpy.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.5, 1.5, 2.5, -0.5].round().to_vec::<f32>(), [0.0, 2.0, 2.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn round(&self) -> Tensor {
        self.rounding(UnaryOp::RoundHalfEven)
    }

    /// The nearest integer; halves go away from zero.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![0.5, 2.5, -0.5].round_half_away().to_vec::<f32>(), [1.0, 3.0, -1.0]);
    /// ```
    #[track_caller]
    pub fn round_half_away(&self) -> Tensor {
        self.rounding(UnaryOp::RoundHalfAway)
    }

    #[track_caller]
    fn rounding(&self, op: UnaryOp) -> Tensor {
        if self.dtype().is_float() { lax::unary(op, self).or_raise() } else { self.clone() }
    }

    /// `x * x`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![3, -4].square().to_vec::<i32>(), [9, 16]);
    /// ```
    #[track_caller]
    pub fn square(&self) -> Tensor {
        number(self).and_then(|x| lax::integer_pow(&x, 2)).or_raise()
    }

    /// `1 / x`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![4, 2].reciprocal().to_vec::<f32>(), [0.25, 0.5]);
    /// ```
    #[track_caller]
    pub fn reciprocal(&self) -> Tensor {
        float(self).and_then(|x| lax::integer_pow(&x, -1)).or_raise()
    }

    /// `x^n` by repeated multiplication, exact for small integers.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![2.0, -3.0].powi(3).to_vec::<f32>(), [8.0, -27.0]);
    /// assert_eq!(tensor![2.0].powi(-2).item::<f32>(), 0.25);
    /// ```
    ///
    /// # Panics
    ///
    /// For integers if `n` is negative.
    #[track_caller]
    pub fn powi(&self, n: i32) -> Tensor {
        number(self).and_then(|x| lax::integer_pow(&x, n)).or_raise()
    }

    /// `x^y`. Integer constants as `y` go to [`powi`](Self::powi); otherwise operands become floats.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 2.0, 3.0].pow(2).to_vec::<f32>(), [1.0, 4.0, 9.0]);
    /// assert_eq!(tensor![4.0].pow(0.5).to_vec::<f32>(), [2.0]);
    /// ```
    #[track_caller]
    pub fn pow(&self, y: impl Operand) -> Tensor {
        let y = y.into_tensor();
        if let Some(Literal { value: Scalar::Int(n), .. }) = y.literal()
            && let Ok(n) = i32::try_from(*n)
            && (n >= 0 || self.dtype().is_float())
        {
            return self.powi(n);
        }
        binary_of_floats(BinaryOp::Pow, self.clone(), y).or_raise()
    }

    /// Whether neither infinite nor NaN.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, f32::INFINITY].is_finite().to_vec::<bool>(), [true, false]);
    /// ```
    #[track_caller]
    pub fn is_finite(&self) -> Tensor {
        float(self).and_then(|x| lax::unary(UnaryOp::IsFinite, &x)).or_raise()
    }

    /// Whether NaN.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, f32::NAN].is_nan().to_vec::<bool>(), [false, true]);
    /// ```
    #[track_caller]
    pub fn is_nan(&self) -> Tensor {
        self.ne(self)
    }

    /// The greater of two values, NaN where either is.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 5].maximum(3).to_vec::<i32>(), [3, 5]);
    /// ```
    #[track_caller]
    pub fn maximum(&self, other: impl Operand) -> Tensor {
        binary(BinaryOp::Max, self.clone(), other.into_tensor()).or_raise()
    }

    /// The lesser of two values, NaN where either is.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 5].minimum(tensor![4, 4]).to_vec::<i32>(), [1, 4]);
    /// ```
    #[track_caller]
    pub fn minimum(&self, other: impl Operand) -> Tensor {
        binary(BinaryOp::Min, self.clone(), other.into_tensor()).or_raise()
    }

    /// The value itself within `min..=max`, otherwise the nearer of the two.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![-2, 0, 7].clip(-1, 5).to_vec::<i32>(), [-1, 0, 5]);
    /// ```
    #[track_caller]
    pub fn clip(&self, min: impl Operand, max: impl Operand) -> Tensor {
        let operands = promote("clamp", [min.into_tensor(), self.clone(), max.into_tensor()]).or_raise();
        bind1(&Elementwise::Clamp.into(), &operands).or_raise()
    }

    /// The angle of the point `(other, self)` in radians.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let angle = tensor![1.0].atan2(-1.0).item::<f32>();
    /// assert!((angle - 0.75 * std::f32::consts::PI).abs() < 1e-6);
    /// ```
    #[track_caller]
    pub fn atan2(&self, other: impl Operand) -> Tensor {
        binary_of_floats(BinaryOp::Atan2, self.clone(), other.into_tensor()).or_raise()
    }

    /// The derivative of order `self + 1` of [`lgamma`](Self::lgamma) at `x`.
    #[track_caller]
    pub fn polygamma(&self, x: impl Operand) -> Tensor {
        binary_of_floats(BinaryOp::Polygamma, self.clone(), x.into_tensor()).or_raise()
    }

    /// Where true the elements of `on_true`, else those of `on_false`; numpy's `where`.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![-1.0, 2.0];
    /// assert_eq!(x.gt(0.0).select(&x, 0.0).to_vec::<f32>(), [0.0, 2.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the tensor is not boolean, or shapes do not broadcast.
    #[track_caller]
    pub fn select(&self, on_true: impl Operand, on_false: impl Operand) -> Tensor {
        let attempt = || {
            let [x, y] = promote("select", [on_true.into_tensor(), on_false.into_tensor()])?;
            let fail = || {
                Error::invalid(
                    "select",
                    format!(
                        "cannot broadcast {} with {} and {}; sizes must be equal or 1, counted from the last axis",
                        self.aval(),
                        x.aval(),
                        y.aval()
                    ),
                )
            };
            let values = x.shape().broadcast(y.shape()).ok_or_else(fail)?;
            let shape = values.broadcast(self.shape()).ok_or_else(fail)?;
            let to = |x: &Tensor| if x.rank() == 0 { Ok(x.clone()) } else { lax::broadcast_to(x, &shape) };
            lax::select(&to(self)?, &to(&x)?, &to(&y)?)
        };
        attempt().or_raise()
    }

    /// Whether within `atol + rtol * |other|` of each other (1e-8 and 1e-5 as in numpy); infinities
    /// only of themselves, NaN of nothing.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// let x = tensor![1.0, f32::INFINITY, f32::NAN];
    /// assert_eq!(x.isclose(&x * (1.0 + 1e-6)).to_vec::<bool>(), [true, true, false]);
    /// ```
    #[track_caller]
    pub fn isclose(&self, other: impl Operand) -> Tensor {
        self.isclose_within(other, 1e-5, 1e-8)
    }

    /// [`isclose`](Self::isclose) with tolerances of one's own.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1.0, 2.0].isclose_within(1.1, 0.0, 0.2).to_vec::<bool>(), [true, false]);
    /// ```
    #[track_caller]
    pub fn isclose_within(&self, other: impl Operand, rtol: f64, atol: f64) -> Tensor {
        let [x, y] = promote("isclose", [self.clone(), other.into_tensor()]).or_raise();
        let (x, y) = (float(&x).or_raise(), float(&y).or_raise());
        let near = (&x - &y).abs().le(y.abs() * rtol + atol);
        x.eq(&y) | (near & x.is_finite() & y.is_finite())
    }

    /// Whether all elements are [`isclose`](Self::isclose), as a Rust bool.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert!(tensor![1.0, 2.0].allclose(tensor![1.01, 2.01], 0.0, 0.1));
    /// ```
    ///
    /// # Panics
    ///
    /// If a tensor is traced.
    #[track_caller]
    pub fn allclose(&self, other: impl Operand, rtol: f64, atol: f64) -> bool {
        self.isclose_within(other, rtol, atol).all().item()
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $method:ident => $op:ident;)*) => {
        /// # Comparisons
        ///
        /// Elementwise, with broadcasting, giving booleans. (They are methods because Rust's operators
        /// must give a single `bool`.)
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, other: impl Operand) -> Tensor {
                compare(CompareOp::$op, self.clone(), other.into_tensor()).or_raise()
            }
        )*}
    };
}

comparisons! {
    /// Equal.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].eq(2).to_vec::<bool>(), [false, true]);
    /// ```
    eq => Eq;
    /// Not equal, as NaN is to itself.
    ne => Ne;
    /// Less.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].lt(2).to_vec::<bool>(), [true, false]);
    /// ```
    lt => Lt;
    /// Less or equal.
    le => Le;
    /// Greater.
    ///
    /// ```
    /// use jaxnet_tensor::tensor;
    /// assert_eq!(tensor![1, 2].gt(tensor![0, 2]).to_vec::<bool>(), [true, false]);
    /// ```
    gt => Gt;
    /// Greater or equal.
    ge => Ge;
}
