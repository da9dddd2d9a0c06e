//! What is known of a tensor without its values, and scalar constants.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::dtype::{DType, Element};
use crate::shape::Shape;

/// An *abstract value*: shape and dtype, and whether the dtype is weak.
///
/// A weak dtype is what Rust numbers have: in arithmetic it gives way to the dtype of the other
/// operand (see [`promote_types`](crate::promote_types)).
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{Aval, DType};
/// assert_eq!(Aval::new(DType::F32, [2, 3]).to_string(), "f32[2,3]");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Aval {
    /// The element type.
    pub dtype: DType,
    /// The sizes of the axes.
    pub shape: Shape,
    /// Whether the dtype gives way to others.
    pub weak: bool,
}

impl Aval {
    /// An abstract value with a strong dtype.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Aval { dtype, shape: shape.into(), weak: false }
    }

    /// A scalar's abstract value.
    pub fn scalar(dtype: DType) -> Self {
        Aval::new(dtype, Shape::scalar())
    }

    /// The same with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Self {
        Aval { dtype: self.dtype, shape: shape.into(), weak: self.weak }
    }

    /// The same with another, strong, dtype.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        Aval { dtype, shape: self.shape.clone(), weak: false }
    }

    /// The same with a strong dtype.
    pub fn strong(&self) -> Self {
        self.with_dtype(self.dtype)
    }

    /// The number of elements.
    pub fn size(&self) -> usize {
        self.shape.size()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The number of bytes that the elements take.
    pub fn bytes(&self) -> usize {
        self.size().saturating_mul(self.dtype.size())
    }

    /// Whether shape and dtype agree, whatever the weakness.
    pub fn matches(&self, other: &Aval) -> bool {
        self.dtype == other.dtype && self.shape == other.shape
    }

    pub(crate) fn of_literal(dtype: DType, weak: bool) -> &'static Aval {
        static AVALS: std::sync::OnceLock<Vec<Aval>> = std::sync::OnceLock::new();
        let avals = AVALS.get_or_init(|| {
            DType::ALL
                .into_iter()
                .flat_map(|dtype| [(dtype, false), (dtype, true)])
                .map(|(dtype, weak)| Aval { dtype, shape: Shape::scalar(), weak })
                .collect()
        });
        &avals[2 * dtype as usize + weak as usize]
    }
}

impl fmt::Display for Aval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, size) in self.shape.iter().enumerate() {
            write!(f, "{}{size}", if i > 0 { "," } else { "" })?;
        }
        write!(f, "]{}", if self.weak { "*" } else { "" })
    }
}

impl fmt::Debug for Aval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of a scalar constant, at the precision in which it was written.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
}

impl Scalar {
    /// The value in the type `T`, by the rules of [`Element::from_f64`] and [`Element::from_i64`].
    pub fn to<T: Element>(self) -> T {
        match self {
            Scalar::Bool(x) => T::from_i64(x as i64),
            Scalar::Int(x) => T::from_i64(x),
            Scalar::Float(x) => T::from_f64(x),
        }
    }

    fn bits(self) -> (u8, u64) {
        match self {
            Scalar::Bool(x) => (0, x as u64),
            Scalar::Int(x) => (1, x as u64),
            Scalar::Float(x) => (2, x.to_bits()),
        }
    }
}

/// Bitwise, so that programs with NaN constants equal themselves and 0.0 differs from -0.0.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

/// A scalar constant in a program: it belongs to no device and follows the operands it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    /// The value.
    pub value: Scalar,
    /// The type it has as an operand.
    pub dtype: DType,
    /// Whether that type gives way to others.
    pub weak: bool,
}

impl Literal {
    /// A constant of a strong dtype.
    pub fn new(value: impl Into<Scalar>, dtype: DType) -> Self {
        Literal { value: value.into(), dtype, weak: false }
    }

    /// The scalar aval of the constant.
    pub fn aval(&self) -> &'static Aval {
        Aval::of_literal(self.dtype, self.weak)
    }

    /// The value as it is in its dtype, for instance rounded to f32.
    pub fn as_f64(&self) -> f64 {
        crate::with_dtype!(self.dtype, T => self.value.to::<T>().to_f64())
    }

    /// The value as a `T`, having gone through its dtype.
    pub fn to<T: Element>(&self) -> T {
        if T::DTYPE == self.dtype {
            return self.value.to::<T>();
        }
        crate::with_dtype!(self.dtype, S => crate::dtype::cast::<S, T>(self.value.to::<S>()))
    }

    /// The bytes of the value in its dtype, little-endian, in the first `dtype.size()` places.
    pub fn to_bytes(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        crate::with_dtype!(self.dtype, T => {
            let value: T = self.value.to();
            bytes[..size_of::<T>()].copy_from_slice(crate::dtype::as_bytes(&[value]));
        });
        bytes
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Scalar::Bool(x) => write!(f, "{x}")?,
            Scalar::Int(x) => write!(f, "{x}")?,
            Scalar::Float(x) => write!(f, "{x:?}")?,
        }
        write!(f, ":{}{}", self.dtype, if self.weak { "*" } else { "" })
    }
}

macro_rules! scalar_from {
    ($($t:ty => $variant:ident, $dtype:ident;)*) => {$(
        impl From<$t> for Scalar {
            fn from(x: $t) -> Self {
                Scalar::$variant(x.into())
            }
        }
        /// A weakly typed constant.
        impl From<$t> for Literal {
            fn from(x: $t) -> Self {
                Literal { value: x.into(), dtype: DType::$dtype, weak: DType::$dtype != DType::Bool }
            }
        }
    )*};
}

scalar_from! {
    bool => Bool, Bool;
    u8 => Int, I32;
    i32 => Int, I32;
    u32 => Int, I32;
    i64 => Int, I32;
    f32 => Float, F32;
    f64 => Float, F32;
}

impl From<usize> for Scalar {
    fn from(x: usize) -> Self {
        Scalar::Int(x as i64)
    }
}

impl From<usize> for Literal {
    fn from(x: usize) -> Self {
        Literal { value: x.into(), dtype: DType::I32, weak: true }
    }
}
