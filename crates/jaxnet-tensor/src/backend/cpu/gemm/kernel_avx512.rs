//! AVX-512F: 16 lanes of `f32`, 8 of `f64`, 32 registers.

use std::arch::x86_64::*;

use super::kernel::{Kernels, Vector, entry_points, kernels};

pub(super) static F32: Kernels<f32> = kernels!(__m512, nv: 4);
pub(super) static F64: Kernels<f64> = kernels!(__m512d, nv: 4);

entry_points!(#[target_feature(enable = "avx512f")]);

impl Vector for __m512 {
    type Elem = f32;
    type Mask = __mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the CPU has AVX-512F and 16 elements are readable.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the CPU has AVX-512F and 16 elements are writable.
        unsafe { _mm512_storeu_ps(p, self) }
    }
    #[inline(always)]
    unsafe fn mask(live: usize) -> __mmask16 {
        ((1_u32 << live) - 1) as __mmask16
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const f32, mask: __mmask16) -> Self {
        // SAFETY: the CPU has AVX-512F; lanes outside the mask are not accessed.
        unsafe { _mm512_maskz_loadu_ps(mask, p) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut f32, mask: __mmask16) {
        // SAFETY: the CPU has AVX-512F; lanes outside the mask are not accessed.
        unsafe { _mm512_mask_storeu_ps(p, mask, self) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_fmadd_ps(self, b, c) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_add_ps(self, b) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_reduce_add_ps(self) }
    }
    #[inline(always)]
    unsafe fn transpose(src: *const f32, src_stride: isize, dst: *mut f32, dst_stride: usize) {
        // SAFETY: the CPU has AVX-512F and both 16x16 blocks are valid.
        unsafe {
            let mut r = [Self::zero(); 16];
            for (i, v) in r.iter_mut().enumerate() {
                *v = Self::load(src.wrapping_offset(i as isize * src_stride));
            }
            // Within each 128-bit quarter: first pairs of elements, then pairs of pairs. Afterwards
            // quarter q of t[4 * g + c] holds element 4 * q + c of the source rows 4 * g ..= 4 * g
            // + 3.
            let mut t = [Self::zero(); 16];
            for g in 0..4 {
                let [a, b, c, d] = [r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]];
                let ab = [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)];
                let cd = [_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)];
                for h in 0..2 {
                    let (x, y) = (_mm512_castps_pd(ab[h]), _mm512_castps_pd(cd[h]));
                    t[4 * g + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
                    t[4 * g + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
                }
            }
            // Then the quarters are transposed as a 4x4 matrix.
            for c in 0..4 {
                let lo = _mm512_shuffle_f32x4::<0x88>(t[c], t[4 + c]);
                let hi = _mm512_shuffle_f32x4::<0xdd>(t[c], t[4 + c]);
                let lo2 = _mm512_shuffle_f32x4::<0x88>(t[8 + c], t[12 + c]);
                let hi2 = _mm512_shuffle_f32x4::<0xdd>(t[8 + c], t[12 + c]);
                _mm512_shuffle_f32x4::<0x88>(lo, lo2).store(dst.add(c * dst_stride));
                _mm512_shuffle_f32x4::<0x88>(hi, hi2).store(dst.add((4 + c) * dst_stride));
                _mm512_shuffle_f32x4::<0xdd>(lo, lo2).store(dst.add((8 + c) * dst_stride));
                _mm512_shuffle_f32x4::<0xdd>(hi, hi2).store(dst.add((12 + c) * dst_stride));
            }
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        // SAFETY: prefetching is a hint and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}

impl Vector for __m512d {
    type Elem = f64;
    type Mask = __mmask8;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_setzero_pd() }
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the CPU has AVX-512F and 8 elements are readable.
        unsafe { _mm512_loadu_pd(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the CPU has AVX-512F and 8 elements are writable.
        unsafe { _mm512_storeu_pd(p, self) }
    }
    #[inline(always)]
    unsafe fn mask(live: usize) -> __mmask8 {
        ((1_u32 << live) - 1) as __mmask8
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const f64, mask: __mmask8) -> Self {
        // SAFETY: the CPU has AVX-512F; lanes outside the mask are not accessed.
        unsafe { _mm512_maskz_loadu_pd(mask, p) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut f64, mask: __mmask8) {
        // SAFETY: the CPU has AVX-512F; lanes outside the mask are not accessed.
        unsafe { _mm512_mask_storeu_pd(p, mask, self) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_fmadd_pd(self, b, c) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_add_pd(self, b) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        // SAFETY: the CPU has AVX-512F.
        unsafe { _mm512_reduce_add_pd(self) }
    }
    #[inline(always)]
    unsafe fn transpose(src: *const f64, src_stride: isize, dst: *mut f64, dst_stride: usize) {
        // SAFETY: the CPU has AVX-512F and both 8x8 blocks are valid.
        unsafe {
            let mut r = [Self::zero(); 8];
            for (i, v) in r.iter_mut().enumerate() {
                *v = Self::load(src.wrapping_offset(i as isize * src_stride));
            }
            for c in 0..2 {
                // Quarter q of p[g] holds element 2 * q + c of the source rows 2 * g and 2 * g + 1.
                let mut p = [Self::zero(); 4];
                for (g, v) in p.iter_mut().enumerate() {
                    let (a, b) = (r[2 * g], r[2 * g + 1]);
                    *v = if c == 0 { _mm512_unpacklo_pd(a, b) } else { _mm512_unpackhi_pd(a, b) };
                }
                let lo = _mm512_shuffle_f64x2::<0x88>(p[0], p[1]);
                let hi = _mm512_shuffle_f64x2::<0xdd>(p[0], p[1]);
                let lo2 = _mm512_shuffle_f64x2::<0x88>(p[2], p[3]);
                let hi2 = _mm512_shuffle_f64x2::<0xdd>(p[2], p[3]);
                _mm512_shuffle_f64x2::<0x88>(lo, lo2).store(dst.add(c * dst_stride));
                _mm512_shuffle_f64x2::<0x88>(hi, hi2).store(dst.add((2 + c) * dst_stride));
                _mm512_shuffle_f64x2::<0xdd>(lo, lo2).store(dst.add((4 + c) * dst_stride));
                _mm512_shuffle_f64x2::<0xdd>(hi, hi2).store(dst.add((6 + c) * dst_stride));
            }
        }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f64) {
        // SAFETY: prefetching is a hint and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
}
