//! Matrix multiplication.
//!
//! The products are computed the way GotoBLAS does it, cut down to what pays on current machines: a
//! register-tile microkernel per instruction set ([`kernel`]) runs over panels of A that stay in
//! the first-level cache and slabs of B that stay in the second-level one. Slabs of B are packed
//! just before their use, and A only when its strides would otherwise thrash the caches ([`pack`]).
//! Large products are cut into independent tasks for the rayon pool ([`driver`]); matrix-vector
//! products have paths of their own ([`small`]).
//!
//! Every element of the output is the sum over k in one fixed order per block, whatever the number
//! of threads: results do not depend on it.

#[cfg(target_arch = "x86_64")]
mod kernel_avx2;
#[cfg(target_arch = "x86_64")]
mod kernel_avx512;

mod block;
mod driver;
mod element;
mod kernel;
mod kernel_portable;
mod pack;
mod parallel;
mod small;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use element::GemmElement;
pub(crate) use pack::PackedB;
pub(crate) use view::{MatMut, MatRef};

use driver::{Job, Rhs};
use element::Accumulator;

/// What to do with a finished segment of a row of C: called with the row, the first column and the
/// elements.
///
/// It is called exactly once for every element, soon after its computation and on any of the pool's
/// threads.
pub(crate) type Epilogue<'a, T> = dyn Fn(usize, usize, &mut [T]) + Sync + 'a;

/// As [`Epilogue`], with the number of the matrix in front.
pub(crate) type BatchEpilogue<'a, T> = dyn Fn(usize, usize, usize, &mut [T]) + Sync + 'a;

/// An instruction set to compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The best one this CPU has. (The standard library caches the answer.)
    fn detect() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// All that this CPU has, best first.
    fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            // The AVX-512 level uses AVX2 for the integers.
            let avx512 = avx2 && is_x86_feature_detected!("avx512f");
            [(avx512, Self::Avx512), (avx2, Self::Avx2), (true, Self::Portable)]
                .into_iter()
                .filter_map(|(has, isa)| has.then_some(isa))
        }
        #[cfg(not(target_arch = "x86_64"))]
        std::iter::once(Self::Portable)
    }
}

/// `C = A * B`, or `C += A * B` if `accumulate`, then the epilogue on the result.
///
/// Half-precision products are accumulated in `f32` and rounded once; integers wrap. With k = 0 the
/// product is zero.
///
/// # Panics
///
/// If the shapes do not agree, or a view is a batch.
pub(crate) fn gemm<T: GemmElement>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: MatMut<'_, T>,
    accumulate: bool,
    epilogue: Option<&Epilogue<'_, T>>,
) {
    assert!(a.count() == 1 && b.count() == 1 && c.batch == 1, "gemm: a single product was expected");
    gemm_with(Isa::detect(), a, b, c, accumulate, epilogue);
}

/// One [`gemm`] per matrix of the batch.
///
/// Small matrices are shared out among the threads whole, large ones in pieces.
///
/// # Panics
///
/// If the shapes do not agree; the batches of A and B must both have as many matrices as C.
/// (Broadcasting is a batch stride of zero.)
pub(crate) fn gemm_batched<T: GemmElement>(
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: MatMut<'_, T>,
    accumulate: bool,
    epilogue: Option<&BatchEpilogue<'_, T>>,
) {
    gemm_batched_with(Isa::detect(), a, b, c, accumulate, epilogue);
}

/// [`gemm`] with a right-hand matrix packed beforehand.
///
/// # Panics
///
/// If the shapes do not agree, or a view is a batch.
pub(crate) fn gemm_packed<T: GemmElement>(
    a: MatRef<'_, T>,
    b: &PackedB<T>,
    c: MatMut<'_, T>,
    accumulate: bool,
    epilogue: Option<&Epilogue<'_, T>>,
) {
    assert!(a.count() == 1 && c.batch == 1, "gemm: a single product was expected");
    assert!(
        a.rows == c.rows && b.n == c.cols && a.cols == b.k,
        "gemm: [{}, {}] * [{}, {}] -> [{}, {}]",
        a.rows,
        a.cols,
        b.k,
        b.n,
        c.rows,
        c.cols
    );
    let rows = |_: usize, i: usize, j: usize, x: &mut [T]| epilogue.map_or((), |f| f(i, j, x));
    driver::run(&Job {
        kernels: T::Acc::kernels(b.isa),
        a,
        b: Rhs::Packed(b),
        c,
        k: b.k,
        accumulate,
        epilogue: epilogue.is_some().then_some(&rows),
    });
}

/// [`gemm`] with a given instruction set, which the CPU must have.
fn gemm_with<T: GemmElement>(
    isa: Isa,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: MatMut<'_, T>,
    accumulate: bool,
    epilogue: Option<&Epilogue<'_, T>>,
) {
    let rows = |_: usize, i: usize, j: usize, x: &mut [T]| epilogue.map_or((), |f| f(i, j, x));
    gemm_batched_with(isa, a, b, c, accumulate, epilogue.is_some().then_some(&rows));
}

/// [`gemm_batched`] with a given instruction set, which the CPU must have.
fn gemm_batched_with<T: GemmElement>(
    isa: Isa,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    c: MatMut<'_, T>,
    accumulate: bool,
    epilogue: Option<&BatchEpilogue<'_, T>>,
) {
    assert!(
        a.rows == c.rows && b.cols == c.cols && a.cols == b.rows,
        "gemm: [{}, {}] * [{}, {}] -> [{}, {}]",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        c.rows,
        c.cols
    );
    assert!(
        a.count() == c.batch && b.count() == c.batch,
        "gemm: batches of {} * {} -> {}",
        a.count(),
        b.count(),
        c.batch
    );
    let (kernels, k) = (T::Acc::kernels(isa), a.cols);
    // A batch that shares one B and lies in order is one tall product, which packs B once and not
    // per matrix.
    if c.batch > 1
        && b.is_shared()
        && c.is_stacked()
        && let Some(a) = a.stacked()
    {
        let height = c.rows;
        let split = |_: usize, i: usize, j: usize, x: &mut [T]| {
            if let Some(f) = epilogue {
                f(i / height, i % height, j, x);
            }
        };
        let epilogue: Option<&BatchEpilogue<'_, T>> = if epilogue.is_some() { Some(&split) } else { None };
        driver::run(&Job { kernels, a, b: Rhs::View(b.first()), c: c.stacked(), k, accumulate, epilogue });
        return;
    }
    driver::run(&Job { kernels, a, b: Rhs::View(b), c, k, accumulate, epilogue });
}
