//! Plain Rust vectors for every other machine and for the integers; the compiler vectorises the
//! fixed-size loops.

use super::kernel::{Kernels, Vector, entry_points, kernels};

// 16-byte vectors: what the baseline of both x86-64 (SSE2) and AArch64 (NEON) has.
pub(super) static F32: Kernels<f32> = kernels!(Lanes<f32, 4>, nv: 2);
pub(super) static F64: Kernels<f64> = kernels!(Lanes<f64, 2>, nv: 2);
pub(super) static I32: Kernels<i32> = kernels!(Lanes<i32, 4>, nv: 2);
pub(super) static I64: Kernels<i64> = kernels!(Lanes<i64, 2>, nv: 2);
pub(super) static U8: Kernels<u8> = kernels!(Lanes<u8, 16>, nv: 2);
pub(super) static U32: Kernels<u32> = kernels!(Lanes<u32, 4>, nv: 2);

entry_points!();

/// `N` lanes of `T`.
#[derive(Clone, Copy)]
pub(super) struct Lanes<T, const N: usize>([T; N]);

/// The two operations a matrix product needs; integers wrap.
pub(super) trait Ring: Copy {
    const ZERO: Self;
    fn mul_add(self, b: Self, c: Self) -> Self;
    fn add(self, b: Self) -> Self;
}

macro_rules! float_ring {
    ($($t:ty)*) => {$(
        impl Ring for $t {
            const ZERO: Self = 0.0;
            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // Without the instruction a fused multiply-add would be a library call.
                if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                    <$t>::mul_add(self, b, c)
                } else {
                    self * b + c
                }
            }
            #[inline(always)]
            fn add(self, b: Self) -> Self {
                self + b
            }
        }
    )*};
}
float_ring!(f32 f64);

macro_rules! int_ring {
    ($($t:ty)*) => {$(
        impl Ring for $t {
            const ZERO: Self = 0;
            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                self.wrapping_mul(b).wrapping_add(c)
            }
            #[inline(always)]
            fn add(self, b: Self) -> Self {
                self.wrapping_add(b)
            }
        }
    )*};
}
int_ring!(i32 i64 u8 u32);

impl<T: Ring, const N: usize> Vector for Lanes<T, N> {
    type Elem = T;
    /// The number of live lanes.
    type Mask = usize;
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([T::ZERO; N])
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Self([x; N])
    }
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: N elements are readable; the read needs no alignment beyond that of T, which `p`
        // has.
        Self(unsafe { p.cast::<[T; N]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: N elements are writable.
        unsafe { p.cast::<[T; N]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn mask(live: usize) -> usize {
        live
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const T, live: usize) -> Self {
        let mut v = [T::ZERO; N];
        for (i, x) in v.iter_mut().enumerate() {
            if i < live {
                // SAFETY: the first `live` elements are readable.
                *x = unsafe { p.add(i).read() };
            }
        }
        Self(v)
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut T, live: usize) {
        for (i, &x) in self.0.iter().enumerate() {
            if i < live {
                // SAFETY: the first `live` elements are writable.
                unsafe { p.add(i).write(x) };
            }
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        let mut v = c.0;
        for (v, (&x, &y)) in v.iter_mut().zip(self.0.iter().zip(&b.0)) {
            *v = x.mul_add(y, *v);
        }
        Self(v)
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        let mut v = self.0;
        for (v, &y) in v.iter_mut().zip(&b.0) {
            *v = v.add(y);
        }
        Self(v)
    }
    #[inline(always)]
    unsafe fn sum(self) -> T {
        self.0.iter().fold(T::ZERO, |s, &x| s.add(x))
    }
    #[inline(always)]
    unsafe fn transpose(src: *const T, src_stride: isize, dst: *mut T, dst_stride: usize) {
        for j in 0..N {
            for i in 0..N {
                // SAFETY: both NxN blocks are valid.
                unsafe { *dst.add(j * dst_stride + i) = *src.wrapping_offset(i as isize * src_stride + j as isize) };
            }
        }
    }
}
