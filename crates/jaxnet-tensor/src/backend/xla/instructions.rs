//! Instructions as methods, so that compositions of them read like formulas.
//!
//! Operands of elementwise instructions are arrays of one shape, or scalars beside them.

use super::hlo::{Builder, Value, braces};
use crate::aval::Scalar;
use crate::dtype::DType;
use crate::shape::Shape;

impl Builder<'_> {
    /// `opcode(x)`, of the same type.
    pub fn unary(&mut self, opcode: &str, x: &Value) -> Value {
        self.op(opcode, x.dtype, &x.shape, &[x], "")
    }

    /// `opcode(x, y)`, of the operands' type.
    pub fn binary(&mut self, opcode: &str, x: &Value, y: &Value) -> Value {
        let shape = common_shape(&[x, y]);
        let (x, y) = (self.fill(x, &shape), self.fill(y, &shape));
        self.op(opcode, x.dtype, &shape, &[&x, &y], "")
    }

    pub fn add(&mut self, x: &Value, y: &Value) -> Value {
        self.binary("add", x, y)
    }

    pub fn sub(&mut self, x: &Value, y: &Value) -> Value {
        self.binary("subtract", x, y)
    }

    pub fn mul(&mut self, x: &Value, y: &Value) -> Value {
        self.binary("multiply", x, y)
    }

    pub fn div(&mut self, x: &Value, y: &Value) -> Value {
        self.binary("divide", x, y)
    }

    /// The greater, NaN if either is: XLA's own instruction drops NaN on CPU devices.
    pub fn max(&mut self, x: &Value, y: &Value) -> Value {
        self.extreme("maximum", "GT", x, y)
    }

    /// The lesser, NaN if either is.
    pub fn min(&mut self, x: &Value, y: &Value) -> Value {
        self.extreme("minimum", "LT", x, y)
    }

    fn extreme(&mut self, opcode: &str, direction: &str, x: &Value, y: &Value) -> Value {
        if !x.dtype.is_float() {
            return self.binary(opcode, x, y);
        }
        // If y is NaN it is not beaten.
        let (beats, nan) = (self.compare(direction, x, y), self.is_nan(x));
        let first = self.or(&beats, &nan);
        self.select(&first, x, y)
    }

    /// A reducer that is one of these methods.
    pub fn extreme_reducer(&mut self, greatest: bool, dtype: DType) -> std::sync::Arc<str> {
        let opcode = if greatest { "maximum" } else { "minimum" };
        self.reducer_by(opcode, dtype, |b, x, y| if greatest { b.max(x, y) } else { b.min(x, y) })
    }

    pub fn neg(&mut self, x: &Value) -> Value {
        self.unary("negate", x)
    }

    /// A number of the dtype of `x`.
    pub fn number(&mut self, x: &Value, value: impl Into<Scalar>) -> Value {
        self.scalar(x.dtype, value)
    }

    /// `x + value`.
    pub fn add_number(&mut self, x: &Value, value: f64) -> Value {
        let value = self.number(x, value);
        self.add(x, &value)
    }

    /// `x * value`.
    pub fn mul_number(&mut self, x: &Value, value: f64) -> Value {
        let value = self.number(x, value);
        self.mul(x, &value)
    }

    /// `value - x`.
    pub fn number_sub(&mut self, value: f64, x: &Value) -> Value {
        let value = self.number(x, value);
        self.sub(&value, x)
    }

    /// `value / x`.
    pub fn number_div(&mut self, value: f64, x: &Value) -> Value {
        let value = self.number(x, value);
        self.div(&value, x)
    }

    /// `c[0] + c[1] x + …`
    pub fn polynomial(&mut self, x: &Value, c: &[f64]) -> Value {
        let (last, rest) = c.split_last().expect("a polynomial has coefficients");
        let mut sum = self.number(x, *last);
        for &c in rest.iter().rev() {
            let product = self.mul(&sum, x);
            sum = self.add_number(&product, c);
        }
        self.fill(&sum, &x.shape.clone())
    }

    /// A comparison: `EQ`, `NE`, `LT`, `LE`, `GT` or `GE`.
    pub fn compare(&mut self, direction: &str, x: &Value, y: &Value) -> Value {
        let shape = common_shape(&[x, y]);
        let (x, y) = (self.fill(x, &shape), self.fill(y, &shape));
        self.op("compare", DType::Bool, &shape, &[&x, &y], &format!("direction={direction}"))
    }

    /// A comparison with a number.
    pub fn compare_number(&mut self, direction: &str, x: &Value, value: impl Into<Scalar>) -> Value {
        let value = self.number(x, value);
        self.compare(direction, x, &value)
    }

    /// Where a float is NaN; nowhere for other dtypes.
    pub fn is_nan(&mut self, x: &Value) -> Value {
        self.compare("NE", x, x)
    }

    pub fn and(&mut self, x: &Value, y: &Value) -> Value {
        self.binary("and", x, y)
    }

    pub fn or(&mut self, x: &Value, y: &Value) -> Value {
        self.binary("or", x, y)
    }

    pub fn not(&mut self, x: &Value) -> Value {
        self.unary("not", x)
    }

    pub fn select(&mut self, pred: &Value, x: &Value, y: &Value) -> Value {
        let shape = common_shape(&[pred, x, y]);
        let (pred, x, y) = (self.fill(pred, &shape), self.fill(x, &shape), self.fill(y, &shape));
        self.op("select", x.dtype, &shape, &[&pred, &x, &y], "")
    }

    /// `x`, or a number where `pred` does not hold.
    pub fn select_or_number(&mut self, pred: &Value, x: &Value, value: f64) -> Value {
        let value = self.number(x, value);
        self.select(pred, x, &value)
    }

    /// In another dtype; as it is if it has that.
    pub fn convert(&mut self, x: &Value, dtype: DType) -> Value {
        if x.dtype == dtype { x.clone() } else { self.op("convert", dtype, &x.shape, &[x], "") }
    }

    /// What `f` makes of `x` in another dtype, in that of `x`.
    pub fn within(&mut self, dtype: DType, x: &Value, f: impl FnOnce(&mut Self, &Value) -> Value) -> Value {
        let wide = self.convert(x, dtype);
        let result = f(self, &wide);
        self.convert(&result, x.dtype)
    }

    pub fn reshape(&mut self, x: &Value, shape: &Shape) -> Value {
        if x.shape == *shape { x.clone() } else { self.op("reshape", x.dtype, shape, &[x], "") }
    }

    /// Counts along an axis.
    pub fn iota(&mut self, dtype: DType, shape: &Shape, axis: usize) -> Value {
        self.op("iota", dtype, shape, &[], &format!("iota_dimension={axis}"))
    }

    /// The number of each element in row-major order.
    pub fn places(&mut self, dtype: DType, shape: &Shape) -> Value {
        let flat = self.iota(dtype, &Shape::from([shape.size()]), 0);
        self.reshape(&flat, shape)
    }

    /// `value` before, after and between the elements along each axis; negative numbers remove some.
    pub fn pad(&mut self, x: &Value, value: &Value, padding: &[(i64, i64, usize)]) -> Value {
        if padding.iter().all(|&axis| axis == (0, 0, 0)) {
            return x.clone();
        }
        let padded = |(&size, &(low, high, interior)): (&usize, &(i64, i64, usize))| {
            (size as i64 + size.saturating_sub(1) as i64 * interior as i64 + low + high) as usize
        };
        let shape: Shape = x.shape.iter().zip(padding).map(padded).collect();
        let texts: Vec<String> =
            padding.iter().map(|(low, high, interior)| format!("{low}_{high}_{interior}")).collect();
        self.op("pad", x.dtype, &shape, &[x, value], &format!("padding={}", texts.join("x")))
    }

    /// From `starts` to before `limits` in steps.
    pub fn slice(&mut self, x: &Value, starts: &[usize], limits: &[usize], strides: &[usize]) -> Value {
        let axes = starts.iter().zip(limits).zip(strides);
        let shape = axes.clone().map(|((start, limit), stride)| (limit - start).div_ceil(*stride)).collect();
        let ranges = axes.map(|((start, limit), stride)| format!("[{start}:{limit}:{stride}]"));
        let ranges = braces(ranges);
        self.op("slice", x.dtype, &shape, &[x], &format!("slice={ranges}"))
    }

    /// A scalar that is 0 as an array.
    pub fn zeros(&mut self, dtype: DType, shape: &Shape) -> Value {
        let zero = self.scalar(dtype, 0_i64);
        self.fill(&zero, shape)
    }
}

/// The shape of those that are no scalars.
fn common_shape(values: &[&Value]) -> Shape {
    values.iter().map(|value| &value.shape).find(|shape| shape.rank() > 0).cloned().unwrap_or_else(Shape::scalar)
}
