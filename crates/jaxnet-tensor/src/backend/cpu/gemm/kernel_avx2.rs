//! AVX2 with FMA: 8 lanes of `f32`, 4 of `f64`, 16 registers. The integers use the portable vectors
//! at twice the width, which the compiler turns into AVX2 under these entry points.

use std::arch::x86_64::*;

use super::kernel::{Kernels, Vector, entry_points, kernels};
use super::kernel_portable::Lanes;

pub(super) static F32: Kernels<f32> = kernels!(__m256, nv: 2);
pub(super) static F64: Kernels<f64> = kernels!(__m256d, nv: 2);
pub(super) static I32: Kernels<i32> = kernels!(Lanes<i32, 8>, nv: 2);
pub(super) static I64: Kernels<i64> = kernels!(Lanes<i64, 4>, nv: 2);
pub(super) static U8: Kernels<u8> = kernels!(Lanes<u8, 32>, nv: 2);
pub(super) static U32: Kernels<u32> = kernels!(Lanes<u32, 8>, nv: 2);

entry_points!(#[target_feature(enable = "avx2,fma")]);

impl Vector for __m256 {
    type Elem = f32;
    type Mask = __m256i;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the CPU has AVX2 and 8 elements are readable.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the CPU has AVX2 and 8 elements are writable.
        unsafe { _mm256_storeu_ps(p, self) }
    }
    #[inline(always)]
    unsafe fn mask(live: usize) -> __m256i {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(live as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const f32, mask: __m256i) -> Self {
        // SAFETY: the CPU has AVX2; lanes outside the mask are not accessed.
        unsafe { _mm256_maskload_ps(p, mask) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut f32, mask: __m256i) {
        // SAFETY: the CPU has AVX2; lanes outside the mask are not accessed.
        unsafe { _mm256_maskstore_ps(p, mask, self) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the CPU has FMA.
        unsafe { _mm256_fmadd_ps(self, b, c) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_add_ps(self, b) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the CPU has AVX2.
        unsafe {
            let s = _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
            let s = _mm_add_ps(s, _mm_movehl_ps(s, s));
            _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)))
        }
    }
    #[inline(always)]
    unsafe fn transpose(src: *const f32, src_stride: isize, dst: *mut f32, dst_stride: usize) {
        // SAFETY: the CPU has AVX2 and both 8x8 blocks are valid.
        unsafe {
            let mut r = [Self::zero(); 8];
            for (i, v) in r.iter_mut().enumerate() {
                *v = Self::load(src.wrapping_offset(i as isize * src_stride));
            }
            // Half h of t[g][c] holds element 4 * h + c of the source rows 4 * g ..= 4 * g + 3.
            let mut t = [[Self::zero(); 4]; 2];
            for (g, t) in t.iter_mut().enumerate() {
                let [a, b, c, d] = [r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]];
                let (ab, ab2) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd, cd2) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                t[0] = _mm256_shuffle_ps::<0x44>(ab, cd);
                t[1] = _mm256_shuffle_ps::<0xee>(ab, cd);
                t[2] = _mm256_shuffle_ps::<0x44>(ab2, cd2);
                t[3] = _mm256_shuffle_ps::<0xee>(ab2, cd2);
            }
            for (c, (&a, &b)) in t[0].iter().zip(&t[1]).enumerate() {
                _mm256_permute2f128_ps::<0x20>(a, b).store(dst.add(c * dst_stride));
                _mm256_permute2f128_ps::<0x31>(a, b).store(dst.add((4 + c) * dst_stride));
            }
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: prefetching is a hint and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}

impl Vector for __m256d {
    type Elem = f64;
    type Mask = __m256i;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_setzero_pd() }
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the CPU has AVX2 and 4 elements are readable.
        unsafe { _mm256_loadu_pd(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the CPU has AVX2 and 4 elements are writable.
        unsafe { _mm256_storeu_pd(p, self) }
    }
    #[inline(always)]
    unsafe fn mask(live: usize) -> __m256i {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(live as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const f64, mask: __m256i) -> Self {
        // SAFETY: the CPU has AVX2; lanes outside the mask are not accessed.
        unsafe { _mm256_maskload_pd(p, mask) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut f64, mask: __m256i) {
        // SAFETY: the CPU has AVX2; lanes outside the mask are not accessed.
        unsafe { _mm256_maskstore_pd(p, mask, self) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the CPU has FMA.
        unsafe { _mm256_fmadd_pd(self, b, c) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { _mm256_add_pd(self, b) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        // SAFETY: the CPU has AVX2.
        unsafe {
            let s = _mm_add_pd(_mm256_castpd256_pd128(self), _mm256_extractf128_pd::<1>(self));
            _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)))
        }
    }
    #[inline(always)]
    unsafe fn transpose(src: *const f64, src_stride: isize, dst: *mut f64, dst_stride: usize) {
        // SAFETY: the CPU has AVX2 and both 4x4 blocks are valid.
        unsafe {
            let mut r = [Self::zero(); 4];
            for (i, v) in r.iter_mut().enumerate() {
                *v = Self::load(src.wrapping_offset(i as isize * src_stride));
            }
            let (ab, ab2) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
            let (cd, cd2) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
            _mm256_permute2f128_pd::<0x20>(ab, cd).store(dst);
            _mm256_permute2f128_pd::<0x20>(ab2, cd2).store(dst.add(dst_stride));
            _mm256_permute2f128_pd::<0x31>(ab, cd).store(dst.add(2 * dst_stride));
            _mm256_permute2f128_pd::<0x31>(ab2, cd2).store(dst.add(3 * dst_stride));
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f64) {
        // SAFETY: prefetching is a hint and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}
