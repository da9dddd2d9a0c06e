//! Element types and the accumulator each of them is multiplied in.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::kernel::Kernels;
use super::{Isa, kernel_portable as portable};
#[cfg(target_arch = "x86_64")]
use super::{kernel_avx2 as avx2, kernel_avx512 as avx512};

/// A type the microkernels compute in.
pub(crate) trait Accumulator: Copy + Send + Sync + 'static {
    const ZERO: Self;
    /// The sum, wrapping for integers.
    fn add(self, other: Self) -> Self;
    #[expect(private_interfaces, reason = "the trait is not nameable elsewhere")]
    fn kernels(isa: Isa) -> &'static Kernels<Self>;
}

/// A type of matrix element.
pub(crate) trait GemmElement: Copy + Send + Sync + 'static {
    /// What sums of products are kept in: the type itself, or `f32` for the half-precision types.
    type Acc: Accumulator;
    /// Whether `Acc` is the type itself, so that the kernels can work on the operands in place.
    const DIRECT: bool;
    fn widen(self) -> Self::Acc;
    fn narrow(x: Self::Acc) -> Self;
    /// Converts between slices of equal length.
    fn widen_slice(src: &[Self], dst: &mut [Self::Acc]);
    /// Converts between slices of equal length.
    fn narrow_slice(src: &[Self::Acc], dst: &mut [Self]);
}

macro_rules! direct {
    ($($t:ident, $zero:literal, $add:expr, $avx512:expr, $avx2:expr, $portable:expr;)*) => {$(
        impl Accumulator for $t {
            const ZERO: Self = $zero;
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                $add(self, other)
            }
            #[expect(private_interfaces, reason = "the trait is not nameable elsewhere")]
            fn kernels(isa: Isa) -> &'static Kernels<Self> {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => &$avx512,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => &$avx2,
                    Isa::Portable => &$portable,
                }
            }
        }

        impl GemmElement for $t {
            type Acc = Self;
            const DIRECT: bool = true;
            #[inline(always)]
            fn widen(self) -> Self {
                self
            }
            #[inline(always)]
            fn narrow(x: Self) -> Self {
                x
            }
            fn widen_slice(src: &[Self], dst: &mut [Self]) {
                dst.copy_from_slice(src);
            }
            fn narrow_slice(src: &[Self], dst: &mut [Self]) {
                dst.copy_from_slice(src);
            }
        }
    )*};
}

direct! {
    f32, 0.0, std::ops::Add::add, avx512::F32, avx2::F32, portable::F32;
    f64, 0.0, std::ops::Add::add, avx512::F64, avx2::F64, portable::F64;
    i32, 0, i32::wrapping_add, avx2::I32, avx2::I32, portable::I32;
    i64, 0, i64::wrapping_add, avx2::I64, avx2::I64, portable::I64;
    u8, 0, u8::wrapping_add, avx2::U8, avx2::U8, portable::U8;
    u32, 0, u32::wrapping_add, avx2::U32, avx2::U32, portable::U32;
}

impl GemmElement for f16 {
    type Acc = f32;
    const DIRECT: bool = false;
    fn widen(self) -> f32 {
        self.to_f32()
    }
    fn narrow(x: f32) -> Self {
        Self::from_f32(x)
    }
    fn widen_slice(src: &[Self], dst: &mut [f32]) {
        src.convert_to_f32_slice(dst);
    }
    fn narrow_slice(src: &[f32], dst: &mut [Self]) {
        dst.convert_from_f32_slice(src);
    }
}

// `half` converts bf16 one by one; these loops vectorise.
impl GemmElement for bf16 {
    type Acc = f32;
    const DIRECT: bool = false;
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn narrow(x: f32) -> Self {
        let bits = x.to_bits();
        // To nearest, ties to even: a carry out of the mantissa correctly moves on to the next
        // exponent or infinity.
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        let quiet_nan = (bits >> 16) | 0x40;
        Self::from_bits(if x.is_nan() { quiet_nan } else { rounded } as u16)
    }
    fn widen_slice(src: &[Self], dst: &mut [f32]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = s.widen();
        }
    }
    fn narrow_slice(src: &[f32], dst: &mut [Self]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = Self::narrow(s);
        }
    }
}
