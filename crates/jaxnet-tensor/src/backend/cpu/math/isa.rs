//! Instruction-set levels and the dispatch that compiles one loop for each.
//!
//! Nothing here uses intrinsics.  A kernel is ordinary scalar Rust in a loop; it
//! is instantiated inside three functions that differ only in their
//! `#[target_feature]` attribute, and LLVM's auto-vectorizer does the rest.  For
//! that to work **everything between the target-feature function and the loop
//! body has to be `#[inline(always)]`**: code that is left out of line is compiled
//! for the baseline instruction set.  (The construction is the one of the `pulp`
//! crate.)

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction-set level that this machine is known to support.
///
/// The field is private, so the only way to obtain a level is to have it
/// detected; holding one is the proof that makes [`dispatch`] a safe function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Level(Tier);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Tier {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2Fma,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The level every target has: what the crate itself was compiled for.
    pub(crate) const PORTABLE: Self = Self(Tier::Portable);

    /// The best level of this machine (detected once, then a relaxed load).
    #[inline]
    pub(crate) fn best() -> Self {
        // 0 = not detected yet, else 1 + the level's index in `available`.
        static BEST: AtomicU8 = AtomicU8::new(0);
        match BEST.load(Ordering::Relaxed) {
            1 => Self::PORTABLE,
            #[cfg(target_arch = "x86_64")]
            2 => Self(Tier::Avx2Fma),
            #[cfg(target_arch = "x86_64")]
            3 => Self(Tier::Avx512),
            _ => Self::detect(&BEST),
        }
    }

    #[cold]
    fn detect(cache: &AtomicU8) -> Self {
        let all = Self::available();
        // The levels are ordered and each implies the ones below it.
        cache.store(all.len() as u8, Ordering::Relaxed);
        all[all.len() - 1]
    }

    /// All levels this machine supports, lowest first.
    pub(crate) fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut))]
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("f16c") {
                all.push(Self(Tier::Avx2Fma));
                if has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
                    all.push(Self(Tier::Avx512));
                }
            }
        }
        all
    }

    /// A short name, for diagnostics.
    #[cfg(test)]
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Tier::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2Fma => "avx2+fma",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512 => "avx512",
        }
    }
}

/// What a kernel may know about the instruction set it is being compiled for.
pub(crate) trait Isa: Copy + 'static {
    /// Whether `mul_add` is one instruction (and not a slow library call).
    const FMA: bool;
}

/// Levels with a fused multiply-add.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Fused;
#[cfg(target_arch = "x86_64")]
impl Isa for Fused {
    const FMA: bool = true;
}

/// The level the crate was compiled for; on aarch64 FMA is part of the baseline.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;
impl Isa for Baseline {
    const FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
}

/// A piece of work that [`dispatch`] compiles once per level.
///
/// `run` must be `#[inline(always)]`, as must what it calls in its hot loops.
pub(crate) trait Kernel {
    type Output;
    fn run<I: Isa>(self) -> Self::Output;
}

/// Runs `kernel` in the version compiled for `level`.
#[inline(always)]
pub(crate) fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level.0 {
        Tier::Portable => portable(kernel),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Level` of this tier exists only if the features were detected.
        Tier::Avx2Fma => unsafe { avx2_fma(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Tier::Avx512 => unsafe { avx512(kernel) },
    }
}

#[inline(never)]
fn portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Baseline>()
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,f16c")]
fn avx2_fma<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Fused>()
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi1,bmi2,f16c")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Fused>()
}

/// Runs a plain closure in the version compiled for `level`.
///
/// For loops that need not know the instruction set.  Write the closure as
/// `#[inline(always)] || ...` in the argument position, and take slices apart
/// outside it, so that its captures are plain references:
///
/// ```text
/// vectorize(Level::best(), #[inline(always)] || {
///     for (o, &v) in out.iter_mut().zip(x) {
///         *o = v * v;
///     }
/// });
/// ```
#[inline(always)]
pub(crate) fn vectorize<R>(level: Level, f: impl FnOnce() -> R) -> R {
    struct Closure<F>(F);
    impl<R, F: FnOnce() -> R> Kernel for Closure<F> {
        type Output = R;
        #[inline(always)]
        fn run<I: Isa>(self) -> R {
            (self.0)()
        }
    }
    dispatch(level, Closure(f))
}
