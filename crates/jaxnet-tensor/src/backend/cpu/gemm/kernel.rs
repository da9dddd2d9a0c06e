//! The register-tile microkernel, written once over a [`Vector`] and instantiated per instruction
//! set.
//!
//! A tile is up to [`MR`] rows by `nv` vectors of columns. The columns run along the vector because
//! every output of this engine is row-major: the accumulators are then stored as they are, with no
//! transpose on the way out. Each step of `k` loads `nv` vectors of B, broadcasts `MR` elements of
//! A and issues `MR * nv` fused multiply-adds, so with the 6x4 tile of AVX-512 there are 10 loads
//! to 24 multiply-adds and the multiplier is the only bottleneck.
//!
//! A is read through two strides. Broadcasts don't care how the elements lie, so the same kernel
//! reads an unpacked row-major A, an unpacked transposed A and a packed one; packing A is a
//! question of cache behaviour alone.

/// Rows of a register tile.
///
/// Six, because 6x4 (AVX-512, 32 registers) and 6x2 (AVX2, 16 registers) both fill the register
/// file and leave room for B and the broadcast.
pub(super) const MR: usize = 6;

/// The most vectors of columns any instruction set uses in a tile.
pub(super) const MAX_NV: usize = 4;

/// A SIMD register of `LANES` elements.
///
/// The methods are `#[inline(always)]` and carry no `#[target_feature]`, so that generic code can
/// call them; they only become single instructions after inlining into an entry point that does
/// enable the feature.
///
/// # Safety
///
/// Every method requires that the CPU supports the instruction set of the implementor. Pointers
/// must be valid for `LANES` elements, or for as many as the mask was made for; they need no
/// alignment.
pub(super) trait Vector: Copy {
    type Elem: Copy;
    type Mask: Copy;
    const LANES: usize;

    unsafe fn zero() -> Self;
    unsafe fn splat(x: Self::Elem) -> Self;
    unsafe fn load(p: *const Self::Elem) -> Self;
    unsafe fn store(self, p: *mut Self::Elem);
    /// A mask selecting the first `live` lanes, `0 <= live <= LANES`.
    unsafe fn mask(live: usize) -> Self::Mask;
    /// Loads the selected lanes and zeroes the others.
    unsafe fn load_masked(p: *const Self::Elem, mask: Self::Mask) -> Self;
    unsafe fn store_masked(self, p: *mut Self::Elem, mask: Self::Mask);
    /// `self * b + c`.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    /// The sum of all lanes.
    unsafe fn sum(self) -> Self::Elem;
    /// Reads `LANES` vectors `src_stride` apart and writes their transpose with rows `dst_stride`
    /// apart.
    unsafe fn transpose(src: *const Self::Elem, src_stride: isize, dst: *mut Self::Elem, dst_stride: usize);
    /// Hints that the cache line at `p` is wanted soon; `p` may be any address.
    #[inline(always)]
    unsafe fn prefetch(_p: *const Self::Elem) {}
}

/// One call of the microkernel: `C[mr, n] (+)= A[mr, k] * B[k, n]`.
pub(super) struct Tile<E> {
    pub a: *const E,
    pub a_row: isize,
    pub a_col: isize,
    pub b: *const E,
    pub b_row: isize,
    /// How far ahead of its use B is prefetched, in elements: it streams from the second-level
    /// cache or from memory, while A stays in the first-level cache.
    pub ahead: isize,
    pub c: *mut E,
    pub c_row: isize,
    pub k: usize,
    /// Columns in use in the last vector, `1..=LANES`.
    pub tail: usize,
    /// Whether to add to what C holds instead of overwriting it.
    pub accumulate: bool,
}

/// # Safety
///
/// The CPU must support the instruction set, and the pointers of the tile must be valid for the
/// rows and columns that the instance covers.
pub(super) type MicroFn<E> = unsafe fn(&Tile<E>);

/// Everything the driver needs from one instruction set for one accumulator type.
pub(super) struct Kernels<E: 'static> {
    /// Elements to a vector.
    pub lanes: usize,
    /// Vectors to a full-width tile.
    pub nv: usize,
    /// `[mr - 1][nv - 1]`, with the last vector masked.
    pub masked: [[MicroFn<E>; MAX_NV]; MR],
    /// `[nv - 1]`, for `MR` rows and full vectors only.
    pub full: [MicroFn<E>; MAX_NV],
    /// See [`pack_rows`].
    pub pack_rows: unsafe fn(&Slabs<E>),
    /// See [`Vector::transpose`].
    pub transpose: unsafe fn(*const E, isize, *mut E, usize),
    /// See [`dot_rows`].
    pub dot_rows: unsafe fn(&Dots<E>),
}

impl<E> Kernels<E> {
    /// Columns of a full-width tile.
    pub fn nr(&self) -> usize {
        self.lanes * self.nv
    }
}

/// The microkernel itself; see the module's documentation.
///
/// `MASKED` only exists to spare the hot instance a masked load where that costs an extra
/// instruction (AVX2).
///
/// # Safety
///
/// As for [`MicroFn`], with `MR_` rows and `(NV - 1) * LANES + tail` columns; `tail == LANES`
/// unless `MASKED`.
#[inline(always)]
pub(super) unsafe fn micro<V: Vector, const MR_: usize, const NV: usize, const MASKED: bool>(t: &Tile<V::Elem>) {
    // SAFETY: the caller vouches for the CPU and the extents. Prefetches may name any address.
    unsafe {
        let mask = V::mask(t.tail);
        for i in 0..MR_ {
            for j in 0..NV {
                V::prefetch(t.c.wrapping_offset(i as isize * t.c_row).wrapping_add(j * V::LANES));
            }
        }
        let mut acc = [[V::zero(); NV]; MR_];
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let mut bv = [V::zero(); NV];
            for (j, v) in bv.iter_mut().enumerate() {
                let p = b.wrapping_add(j * V::LANES);
                V::prefetch(p.wrapping_offset(t.ahead));
                *v = if MASKED && j == NV - 1 { V::load_masked(p, mask) } else { V::load(p) };
            }
            for (i, row) in acc.iter_mut().enumerate() {
                let av = V::splat(*a.wrapping_offset(i as isize * t.a_row));
                for (s, &v) in row.iter_mut().zip(&bv) {
                    *s = av.mul_add(v, *s);
                }
            }
            a = a.wrapping_offset(t.a_col);
            b = b.wrapping_offset(t.b_row);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, &s) in row.iter().enumerate() {
                let p = t.c.wrapping_offset(i as isize * t.c_row).wrapping_add(j * V::LANES);
                if MASKED && j == NV - 1 {
                    let s = if t.accumulate { s.add(V::load_masked(p, mask)) } else { s };
                    s.store_masked(p, mask);
                } else {
                    let s = if t.accumulate { s.add(V::load(p)) } else { s };
                    s.store(p);
                }
            }
        }
    }
}

/// A copy of a row-major block of B into slabs of `LANES * nv` columns.
pub(super) struct Slabs<E> {
    pub src: *const E,
    pub src_row: isize,
    pub dst: *mut E,
    pub rows: usize,
    pub cols: usize,
    pub nv: usize,
}

/// Copies a block into slabs that follow one another, each with its rows contiguous and the last
/// one only as many vectors wide as it needs, filled up with zeros.
///
/// The source is read in whole rows across all slabs: slab by slab, rows a power of two apart would
/// evict one another from the caches before their neighbours' turn.
///
/// # Safety
///
/// The CPU must support `V`; the source must be valid for the block and the destination for the
/// block with its columns rounded up to a multiple of `LANES`.
#[inline(always)]
pub(super) unsafe fn pack_rows<V: Vector>(c: &Slabs<V::Elem>) {
    let nr = c.nv * V::LANES;
    // SAFETY: the caller vouches for the CPU and the extents. Prefetches may name any address.
    unsafe {
        let mut src = c.src;
        for row in 0..c.rows {
            for j in (0..c.cols).step_by(nr) {
                let width = nr.min(c.cols - j);
                let (whole, tail) = (width / V::LANES, width % V::LANES);
                let dst = c.dst.add(j * c.rows + row * width.next_multiple_of(V::LANES));
                for v in 0..whole {
                    let p = src.add(j + v * V::LANES);
                    V::prefetch(p.wrapping_offset(c.src_row));
                    V::load(p).store(dst.add(v * V::LANES));
                }
                if tail > 0 {
                    let p = src.add(j + whole * V::LANES);
                    V::load_masked(p, V::mask(tail)).store(dst.add(whole * V::LANES));
                }
            }
            src = src.wrapping_offset(c.src_row);
        }
    }
}

/// A matrix-vector product `y = M * x` where the rows of M are contiguous.
pub(super) struct Dots<E> {
    pub m: *const E,
    pub m_row: isize,
    pub rows: usize,
    pub x: *const E,
    pub k: usize,
    pub y: *mut E,
}

/// Computes one dot product per row, four rows at a time so that each load of `x` is used four
/// times.
///
/// # Safety
///
/// The CPU must support `V`; M must be valid for `rows x k`, `x` for `k` and `y` for `rows`
/// elements.
#[inline(always)]
pub(super) unsafe fn dot_rows<V: Vector>(d: &Dots<V::Elem>) {
    // SAFETY: the caller vouches for the CPU and the extents.
    unsafe {
        let mut i = 0;
        while i + 4 <= d.rows {
            dot_block::<V, 4, 2>(d, i);
            i += 4;
        }
        while i < d.rows {
            dot_block::<V, 1, 2>(d, i);
            i += 1;
        }
    }
}

/// `R` dot products over `U` independent accumulators each, which hides the latency of the
/// multiply-add. `U` decides the order of summation, so it has to be the same for all rows.
#[inline(always)]
unsafe fn dot_block<V: Vector, const R: usize, const U: usize>(d: &Dots<V::Elem>, first: usize) {
    // SAFETY: the caller vouches for the CPU and for rows `first..first + R`.
    unsafe {
        let row = |r: usize| d.m.wrapping_offset((first + r) as isize * d.m_row);
        let mut acc = [[V::zero(); U]; R];
        let mut k = 0;
        while k + U * V::LANES <= d.k {
            for u in 0..U {
                let x = V::load(d.x.add(k + u * V::LANES));
                for (r, a) in acc.iter_mut().enumerate() {
                    a[u] = V::load(row(r).wrapping_add(k + u * V::LANES)).mul_add(x, a[u]);
                }
            }
            k += U * V::LANES;
        }
        while k < d.k {
            let live = V::LANES.min(d.k - k);
            let mask = V::mask(live);
            let x = V::load_masked(d.x.add(k), mask);
            for (r, a) in acc.iter_mut().enumerate() {
                a[0] = V::load_masked(row(r).wrapping_add(k), mask).mul_add(x, a[0]);
            }
            k += live;
        }
        for (r, a) in acc.iter().enumerate() {
            let mut s = a[0];
            for &v in &a[1..] {
                s = s.add(v);
            }
            *d.y.add(first + r) = s.sum();
        }
    }
}

/// Builds the [`Kernels`] of one vector type out of the entry points of the enclosing module, which
/// are the generic functions above under the right `#[target_feature]`.
macro_rules! kernels {
    ($vector:ty, nv: $nv:literal) => {{
        // Instances wider than the tile would only be dead code; the table repeats the widest one
        // instead.
        const fn nv(n: usize) -> usize {
            if n < $nv { n } else { $nv }
        }
        macro_rules! row {
            ($mr:literal) => {
                [
                    micro_entry::<$vector, $mr, { nv(1) }, true>,
                    micro_entry::<$vector, $mr, { nv(2) }, true>,
                    micro_entry::<$vector, $mr, { nv(3) }, true>,
                    micro_entry::<$vector, $mr, { nv(4) }, true>,
                ]
            };
        }
        super::kernel::Kernels {
            lanes: <$vector as super::kernel::Vector>::LANES,
            nv: $nv,
            masked: [row!(1), row!(2), row!(3), row!(4), row!(5), row!(6)],
            full: [
                micro_entry::<$vector, 6, { nv(1) }, false>,
                micro_entry::<$vector, 6, { nv(2) }, false>,
                micro_entry::<$vector, 6, { nv(3) }, false>,
                micro_entry::<$vector, 6, { nv(4) }, false>,
            ],
            pack_rows: pack_rows_entry::<$vector>,
            transpose: transpose_entry::<$vector>,
            dot_rows: dot_rows_entry::<$vector>,
        }
    }};
}

/// Defines the entry points that [`kernels!`] collects, under the given target features (possibly
/// none).
macro_rules! entry_points {
    ($(#[$feature:meta])*) => {
        /// # Safety
        ///
        /// As for [`micro`](super::kernel::micro).
        $(#[$feature])*
        unsafe fn micro_entry<V, const M: usize, const N: usize, const MASKED: bool>(
            t: &super::kernel::Tile<V::Elem>,
        )
        where
            V: super::kernel::Vector,
        {
            // SAFETY: the contract is passed on.
            unsafe { super::kernel::micro::<V, M, N, MASKED>(t) }
        }

        /// # Safety
        ///
        /// As for [`pack_rows`](super::kernel::pack_rows).
        $(#[$feature])*
        unsafe fn pack_rows_entry<V: super::kernel::Vector>(c: &super::kernel::Slabs<V::Elem>) {
            // SAFETY: the contract is passed on.
            unsafe { super::kernel::pack_rows::<V>(c) }
        }

        /// # Safety
        ///
        /// As for [`Vector::transpose`](super::kernel::Vector::transpose).
        $(#[$feature])*
        unsafe fn transpose_entry<V: super::kernel::Vector>(
            src: *const V::Elem,
            src_stride: isize,
            dst: *mut V::Elem,
            dst_stride: usize,
        ) {
            // SAFETY: the contract is passed on.
            unsafe { V::transpose(src, src_stride, dst, dst_stride) }
        }

        /// # Safety
        ///
        /// As for [`dot_rows`](super::kernel::dot_rows).
        $(#[$feature])*
        unsafe fn dot_rows_entry<V: super::kernel::Vector>(d: &super::kernel::Dots<V::Elem>) {
            // SAFETY: the contract is passed on.
            unsafe { super::kernel::dot_rows::<V>(d) }
        }
    };
}

pub(super) use {entry_points, kernels};
