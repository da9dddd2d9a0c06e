//! Element types and how they promote.

use std::fmt;

#[doc(no_inline)]
pub use half::{bf16, f16};

/// The type of a tensor's elements.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{DType, Tensor};
///
/// let x = Tensor::zeros([2, 3]);
/// assert_eq!(x.dtype(), DType::F32);
/// assert_eq!(x.astype(DType::BF16).dtype(), DType::BF16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// Truth values, one byte each.
    Bool,
    /// Unsigned bytes.
    U8,
    /// Unsigned 32-bit integers (random bits are of this type).
    U32,
    /// Signed 32-bit integers: the default integer type.
    I32,
    /// Signed 64-bit integers.
    I64,
    /// Brain floating point: f32's range with 8 bits of precision.
    BF16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision: the default floating-point type.
    F32,
    /// IEEE double precision.
    F64,
}

impl DType {
    /// Every dtype, from the least to the most precise of each kind.
    pub const ALL: [DType; 9] =
        [DType::Bool, DType::U8, DType::U32, DType::I32, DType::I64, DType::BF16, DType::F16, DType::F32, DType::F64];

    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 => 1,
            DType::BF16 | DType::F16 => 2,
            DType::U32 | DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }

    /// Whether this is one of the floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::BF16 | DType::F16 | DType::F32 | DType::F64)
    }

    /// Whether this is one of the integer types (`Bool` is not).
    pub const fn is_integer(self) -> bool {
        matches!(self, DType::U8 | DType::U32 | DType::I32 | DType::I64)
    }

    /// Whether this is an integer type with a sign.
    pub const fn is_signed_integer(self) -> bool {
        matches!(self, DType::I32 | DType::I64)
    }

    /// The name as numpy writes it, with `f32` for `float32` and so on, as in Rust.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::U32 => "u32",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// The dtype of that [`name`](Self::name).
    ///
    /// ```
    /// use jaxnet_tensor::DType;
    /// assert_eq!(DType::from_name("bf16"), Some(DType::BF16));
    /// assert_eq!(DType::from_name("complex64"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The floating-point type that holds values of this type in arithmetic such as `mean` or `exp`:
    /// itself when it is one, `F32` otherwise.
    pub const fn to_float(self) -> DType {
        if self.is_float() { self } else { DType::F32 }
    }

    fn kind(self) -> u8 {
        match self {
            DType::Bool => 0,
            DType::U8 | DType::U32 | DType::I32 | DType::I64 => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The dtype that an operation on two operands computes in, and whether it is still weak.
///
/// This is JAX's type promotion lattice
/// (<https://docs.jax.dev/en/latest/type_promotion.html>). A *weak* operand, such as a Rust number,
/// lends its kind (boolean, integer, float) but no precision.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{promote_types, DType};
///
/// assert_eq!(promote_types((DType::I64, false), (DType::F16, false)), (DType::F16, false));
/// assert_eq!(promote_types((DType::BF16, false), (DType::F16, false)), (DType::F32, false));
/// assert_eq!(promote_types((DType::U8, false), (DType::F32, true)), (DType::F32, true));
/// assert_eq!(promote_types((DType::BF16, false), (DType::F32, true)), (DType::BF16, false));
/// ```
pub fn promote_types(a: (DType, bool), b: (DType, bool)) -> (DType, bool) {
    let ((a, a_weak), (b, b_weak)) = (a, b);
    if a == b {
        return (a, a_weak && b_weak);
    }
    // A weak type of a lower or equal kind than a strong one gives way to it.
    if a_weak != b_weak {
        let (weak, strong) = if a_weak { (a, b) } else { (b, a) };
        if weak.kind() <= strong.kind() {
            return (strong, false);
        }
        // A weak float beside a strong integer stays a weak float; a weak integer beside a strong
        // boolean stays a weak integer.
        return (weak, true);
    }
    let weak = a_weak && b_weak;
    if a.kind() != b.kind() {
        return (if a.kind() > b.kind() { a } else { b }, weak);
    }
    let both = |x, y| (a == x && b == y) || (a == y && b == x);
    let dtype = if both(DType::U32, DType::I32) {
        DType::I64
    } else if both(DType::BF16, DType::F16) {
        DType::F32
    } else {
        // Within a kind the declaration order is the order of the lattice, but for those two pairs.
        a.max(b)
    };
    (dtype, weak)
}

/// Converts an element as XLA's `convert` does: towards zero and saturating from float to integer
/// (NaN gives 0), wrapping between integers, `x != 0` to bool.
#[inline]
pub fn cast<S: Element, T: Element>(x: S) -> T {
    if S::DTYPE.is_float() { T::from_f64(x.to_f64()) } else { T::from_i64(x.to_i64()) }
}

/// The bytes of some elements.
pub fn as_bytes<T: Element>(elements: &[T]) -> &[u8] {
    // SAFETY: elements are plain numbers (the trait is sealed) without padding, and any byte is a u8.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// The bytes of some elements, to fill in. For `bool` elements the bytes must stay 0 or 1.
pub(crate) fn as_bytes_mut<T: Element>(elements: &mut [T]) -> &mut [u8] {
    // SAFETY: as in `as_bytes`; what is written are elements of the same type, from a backend that
    // holds them as such.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

/// Elements from their bytes. The bytes of `bool` elements must be 0 or 1, as those of buffers are.
///
/// # Panics
///
/// If the bytes are not aligned for `T`, or are not a whole number of elements.
pub(crate) fn from_bytes<T: Element>(bytes: &[u8]) -> &[T] {
    assert!(bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>()));
    // SAFETY: aligned and of the right size; any bytes are a value of these types but for bool, of which
    // the crate only keeps valid ones.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// As [`from_bytes`], to write.
pub(crate) fn from_bytes_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    assert!(bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>()));
    // SAFETY: as in `from_bytes`, and borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that tensors can hold: `f32`, `f64`, `half::f16`, `half::bf16`, `i32`, `i64`, `u8`,
/// `u32` and `bool`.
pub trait Element:
    sealed::Sealed + Copy + Default + PartialEq + PartialOrd + Send + Sync + fmt::Debug + 'static
{
    /// The corresponding dtype.
    const DTYPE: DType;

    /// The value nearest to `x`: floats round, integers saturate (NaN gives 0), booleans say `x != 0`.
    fn from_f64(x: f64) -> Self;

    /// The value as an `f64` (large 64-bit integers round).
    fn to_f64(self) -> f64;

    /// The value of an integer: floats round, integers wrap, booleans say `x != 0`.
    fn from_i64(x: i64) -> Self;

    /// The value as an integer: floats truncate and saturate.
    fn to_i64(self) -> i64;
}

macro_rules! element {
    ($($t:ty, $dtype:ident, $from_f64:expr, $to_f64:expr, $from_i64:expr, $to_i64:expr;)*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
            #[inline]
            fn from_f64(x: f64) -> Self { $from_f64(x) }
            #[inline]
            fn to_f64(self) -> f64 { $to_f64(self) }
            #[inline]
            fn from_i64(x: i64) -> Self { $from_i64(x) }
            #[inline]
            fn to_i64(self) -> i64 { $to_i64(self) }
        }
    )*};
}

element! {
    f32, F32, |x| x as f32, |x| x as f64, |x| x as f32, |x| x as i64;
    f64, F64, |x| x, |x| x, |x| x as f64, |x| x as i64;
    f16, F16, f16::from_f64, f16::to_f64, |x| f16::from_f64(x as f64), |x| f16::to_f64(x) as i64;
    bf16, BF16, bf16::from_f64, bf16::to_f64, |x| bf16::from_f64(x as f64), |x| bf16::to_f64(x) as i64;
    i32, I32, |x| x as i32, |x| x as f64, |x| x as i32, |x| x as i64;
    i64, I64, |x| x as i64, |x| x as f64, |x| x, |x| x;
    u8, U8, |x| x as u8, |x| x as f64, |x| x as u8, |x| x as i64;
    u32, U32, |x| x as u32, |x| x as f64, |x| x as u32, |x| x as i64;
    bool, Bool, |x| x != 0.0, |x| x as u8 as f64, |x| x != 0, |x| x as i64;
}

/// Evaluates an expression with `$T` bound to the Rust type of a runtime dtype.
#[macro_export]
#[doc(hidden)]
macro_rules! with_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::Bool => {
                type $T = bool;
                $body
            }
            $crate::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::BF16 => {
                type $T = $crate::dtype::bf16;
                $body
            }
            $crate::DType::F16 => {
                type $T = $crate::dtype::f16;
                $body
            }
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_commutative_and_idempotent() {
        for a in DType::ALL {
            for b in DType::ALL {
                for weak_a in [false, true] {
                    for weak_b in [false, true] {
                        let ab = promote_types((a, weak_a), (b, weak_b));
                        assert_eq!(ab, promote_types((b, weak_b), (a, weak_a)));
                        if !weak_a && !weak_b {
                            assert_eq!(promote_types(ab, (a, false)), ab);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn promotion_follows_jax() {
        use DType::*;
        let strong = |a, b| promote_types((a, false), (b, false)).0;
        assert_eq!(strong(U8, I32), I32);
        assert_eq!(strong(U8, U32), U32);
        assert_eq!(strong(U32, I32), I64);
        assert_eq!(strong(U32, I64), I64);
        assert_eq!(strong(I64, BF16), BF16);
        assert_eq!(strong(F16, F32), F32);
        assert_eq!(strong(Bool, U8), U8);
        assert_eq!(promote_types((U8, false), (I32, true)), (U8, false));
        assert_eq!(promote_types((Bool, false), (I32, true)), (I32, true));
        assert_eq!(promote_types((I32, false), (F32, true)), (F32, true));
        assert_eq!(promote_types((F64, false), (F32, true)), (F64, false));
        assert_eq!(promote_types((I32, true), (F32, true)), (F32, true));
    }
}
