//! All instruction sets against a triple loop.

use std::fmt::Debug;
use std::sync::Mutex;

use half::{bf16, f16};

use super::*;

/// A small deterministic generator (xorshift64*).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }
}

/// An element type under test. Floats are drawn from small multiples of 1/8, so that all sums of
/// the tests are exact in `f32` and results can be compared for equality whatever the order of
/// summation.
trait TestElement: GemmElement + PartialEq + Debug {
    fn sample(rng: &mut Rng) -> Self;
    fn zero() -> Self;
    /// `old + sum(a * b)` with the promised rounding.
    fn reference(old: Option<Self>, terms: &[(Self, Self)]) -> Self;
}

macro_rules! float_element {
    ($($t:ty, $to:expr, $from:expr;)*) => {$(
        impl TestElement for $t {
            fn sample(rng: &mut Rng) -> Self {
                $from((rng.below(17) as f64 - 8.0) / 8.0)
            }
            fn zero() -> Self {
                $from(0.0)
            }
            fn reference(old: Option<Self>, terms: &[(Self, Self)]) -> Self {
                let to = |x: Self| -> f64 { $to(x) };
                $from(terms.iter().map(|&(a, b)| to(a) * to(b)).sum::<f64>() + old.map_or(0.0, to))
            }
        }
    )*};
}
float_element! {
    f32, f64::from, |x: f64| x as f32;
    f64, |x| x, |x: f64| x;
    f16, f16::to_f64, f16::from_f64;
    bf16, bf16::to_f64, bf16::from_f64;
}

macro_rules! int_element {
    ($($t:ty)*) => {$(
        impl TestElement for $t {
            fn sample(rng: &mut Rng) -> Self {
                ((rng.next() << 32) | rng.next()) as Self
            }
            fn zero() -> Self {
                0
            }
            fn reference(old: Option<Self>, terms: &[(Self, Self)]) -> Self {
                terms.iter().fold(old.unwrap_or(0), |s, &(a, b)| s.wrapping_add(a.wrapping_mul(b)))
            }
        }
    )*};
}
int_element!(i32 i64 u8 u32);

/// A stride pattern for an operand.
#[derive(Clone, Copy, Debug)]
enum Layout {
    RowMajor,
    ColMajor,
    RowGaps,
    ColGaps,
    BothGaps,
    Reversed,
    Broadcast,
}

const LAYOUTS: [Layout; 7] = [
    Layout::RowMajor,
    Layout::ColMajor,
    Layout::RowGaps,
    Layout::ColGaps,
    Layout::BothGaps,
    Layout::Reversed,
    Layout::Broadcast,
];

/// A matrix with storage of its own.
#[derive(Clone, Debug)]
struct Stored<T> {
    data: Vec<T>,
    offset: usize,
    shape: [usize; 2],
    strides: [isize; 2],
}

impl<T: TestElement> Stored<T> {
    fn random(rng: &mut Rng, shape: [usize; 2], layout: Layout) -> Self {
        let [r, c] = shape.map(|x| x as isize);
        let strides = match layout {
            Layout::RowMajor => [c, 1],
            Layout::ColMajor => [1, r],
            Layout::RowGaps => [c + 5, 1],
            Layout::ColGaps => [1, r + 3],
            Layout::BothGaps => [2 * c + 1, 2],
            Layout::Reversed => [-c, 1],
            Layout::Broadcast => [0, 1],
        };
        let spread: isize = shape.iter().zip(strides).map(|(&n, s)| (n as isize - 1).max(0) * s.abs()).sum();
        let margin = rng.below(4);
        let offset = margin + if matches!(layout, Layout::Reversed) { (r - 1).max(0) * c } else { 0 } as usize;
        // No slack behind the last element: an overrun is then at least likely to be seen by a
        // sanitizer.
        let len = margin + if r * c == 0 { 0 } else { spread as usize + 1 };
        let data: Vec<T> = (0..len.max(offset)).map(|_| T::sample(rng)).collect();
        Self { data, offset, shape, strides }
    }

    fn view(&self) -> MatRef<'_, T> {
        MatRef::new(&self.data, self.offset, self.shape, self.strides)
    }

    fn at(&self, i: usize, j: usize) -> T {
        let at = self.offset as isize + i as isize * self.strides[0] + j as isize * self.strides[1];
        self.data[at as usize]
    }
}

/// The elements an epilogue has seen, per matrix, row and column.
type Seen<T> = Mutex<Vec<(usize, usize, usize, T)>>;

/// One product in every way in which it can be asked for.
fn check<T: TestElement>(rng: &mut Rng, size: [usize; 3], la: Layout, lb: Layout) {
    for accumulate in [false, true] {
        let ways = Isa::available().flat_map(|isa| [(isa, false), (isa, true)]);
        check_ways::<T>(rng, size, la, lb, accumulate, ways.collect());
    }
}

/// One product in one way, by lot.
fn check_once<T: TestElement>(rng: &mut Rng, size: [usize; 3], la: Layout, lb: Layout) {
    let isas: Vec<Isa> = Isa::available().collect();
    let way = (isas[rng.below(isas.len())], rng.below(2) == 1);
    let accumulate = rng.below(2) == 1;
    check_ways::<T>(rng, size, la, lb, accumulate, vec![way]);
}

fn check_ways<T: TestElement>(
    rng: &mut Rng,
    [m, k, n]: [usize; 3],
    la: Layout,
    lb: Layout,
    accumulate: bool,
    ways: Vec<(Isa, bool)>,
) {
    let a = Stored::<T>::random(rng, [m, k], la);
    let b = Stored::<T>::random(rng, [k, n], lb);
    let gap = rng.below(3);
    let initial: Vec<T> = (0..m * (n + gap) + 7).map(|_| T::sample(rng)).collect();
    let at = |i: usize, j: usize| 3 + i * (n + gap) + j;
    let mut expected = initial.clone();
    for i in 0..m {
        for j in 0..n {
            let terms: Vec<_> = (0..k).map(|kk| (a.at(i, kk), b.at(kk, j))).collect();
            expected[at(i, j)] = T::reference(accumulate.then_some(initial[at(i, j)]), &terms);
        }
    }
    for (isa, packed) in ways {
        let what = format!(
            "{} {isa:?} {m}x{k}x{n} {la:?} {lb:?} accumulate {accumulate} packed {packed}",
            std::any::type_name::<T>()
        );
        let multiply = |c: MatMut<'_, T>, epilogue: Option<&Epilogue<'_, T>>| {
            if packed {
                gemm_packed(a.view(), &PackedB::with_isa(isa, b.view()), c, accumulate, epilogue);
            } else {
                gemm_with(isa, a.view(), b.view(), c, accumulate, epilogue);
            }
        };
        let mut c = initial.clone();
        multiply(MatMut::new(&mut c, 3, [m, n], n + gap), None);
        assert!(c == expected, "{what}");

        let seen: Seen<T> = Mutex::default();
        let mut c = initial.clone();
        let epilogue = |i: usize, j: usize, x: &mut [T]| {
            let mut seen = seen.lock().unwrap();
            for (d, x) in x.iter_mut().enumerate() {
                seen.push((0, i, j + d, *x));
                *x = T::zero();
            }
        };
        multiply(MatMut::new(&mut c, 3, [m, n], n + gap), Some(&epilogue));
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|&(_, i, j, _)| (i, j));
        let all: Vec<_> =
            (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| (0, i, j, expected[at(i, j)])).collect();
        assert!(seen == all, "{what}: epilogue");
        let mut zeroed = initial.clone();
        for i in 0..m {
            zeroed[at(i, 0)..at(i, 0) + n].fill(T::zero());
        }
        assert!(c == zeroed, "{what}: result of the epilogue");
    }
}

/// Sizes around the edges of tiles, vectors and blocks.
fn check_type<T: TestElement>() {
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    for shape in [[0, 3, 4], [3, 0, 4], [3, 4, 0], [0, 0, 0], [1, 0, 1], [1, 0, 40], [1, 1, 1]] {
        check::<T>(&mut rng, shape, Layout::RowMajor, Layout::RowMajor);
    }
    for la in LAYOUTS {
        for lb in LAYOUTS {
            for sizes in [[1, 9, 40], [23, 40, 1], [5, 7, 3], [14, 33, 70]] {
                let shape = sizes.map(|s| if s == 1 { 1 } else { 1 + rng.below(s) });
                check::<T>(&mut rng, shape, la, lb);
            }
        }
    }
    for _ in 0..20 {
        let shape = [1 + rng.below(40), 1 + rng.below(90), 1 + rng.below(150)];
        let (la, lb) = (LAYOUTS[rng.below(5)], LAYOUTS[rng.below(5)]);
        check::<T>(&mut rng, shape, la, lb);
    }
}

macro_rules! type_tests {
    ($($name:ident: $t:ty;)*) => {$(
        #[test]
        fn $name() {
            check_type::<$t>();
        }
    )*};
}
type_tests! {
    matches_reference_f32: f32;
    matches_reference_f64: f64;
    matches_reference_f16: f16;
    matches_reference_bf16: bf16;
    matches_reference_i32: i32;
    matches_reference_i64: i64;
    matches_reference_u8: u8;
    matches_reference_u32: u32;
}

/// Large enough for several blocks along k, several tasks and all threads.
#[test]
fn large_products() {
    // Inside a pool smaller products are shared out, and to more threads than the machine may have.
    rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(check_large);
    check_large();
}

fn check_large() {
    let mut rng = Rng(7);
    for (shape, la, lb) in [
        ([131, 600, 70], Layout::RowMajor, Layout::RowMajor),
        ([200, 130, 140], Layout::ColMajor, Layout::RowMajor),
        ([97, 530, 70], Layout::RowMajor, Layout::ColMajor),
        ([1500, 20, 75], Layout::RowMajor, Layout::RowMajor),
        ([1, 700, 900], Layout::RowMajor, Layout::RowMajor),
        ([1, 700, 900], Layout::RowMajor, Layout::ColMajor),
        ([64, 8192, 1], Layout::RowMajor, Layout::RowMajor),
        ([40, 8192, 1], Layout::ColMajor, Layout::RowMajor),
        ([16, 9000, 3], Layout::ColMajor, Layout::RowMajor),
        ([900, 700, 1], Layout::ColMajor, Layout::RowMajor),
    ] {
        check_once::<f32>(&mut rng, shape, la, lb);
        check_once::<bf16>(&mut rng, shape, la, lb);
    }
    check_once::<f64>(&mut rng, [60, 600, 61], Layout::RowMajor, Layout::ColMajor);
    check_once::<i32>(&mut rng, [60, 600, 61], Layout::ColMajor, Layout::ColMajor);
}

/// A batch of products in every arrangement of the batch axes.
#[test]
fn batches() {
    let mut rng = Rng(11);
    // Attention: A and B are [2, T, 3, K] with the heads between the rows, C is [2, 3, T, T].
    for (t, k) in [(5, 4), (17, 33), (70, 64)] {
        let a: Vec<f32> = (0..6 * t * k).map(|_| f32::sample(&mut rng)).collect();
        let b: Vec<f32> = (0..6 * t * k).map(|_| f32::sample(&mut rng)).collect();
        let view =
            |data| MatRef::batched(data, 0, [2, 3], [(t * 3 * k) as isize, k as isize], [t, k], [(3 * k) as isize, 1]);
        let mut c = vec![0.0_f32; 6 * t * t];
        let seen: Seen<f32> = Mutex::default();
        let epilogue = |index: usize, i: usize, j: usize, x: &mut [f32]| {
            seen.lock().unwrap().extend(x.iter().enumerate().map(|(d, &x)| (index, i, j + d, x)));
        };
        gemm_batched(view(&a), view(&b).t(), MatMut::batched(&mut c, 0, 6, t * t, [t, t], t), false, Some(&epilogue));
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|&(index, i, j, _)| (index, i, j));
        assert_eq!(seen.len(), c.len());
        for (at, &(index, i, j, x)) in seen.iter().enumerate() {
            assert_eq!(at, (index * t + i) * t + j);
            assert_eq!(x, c[at]);
            let row = |data: &[f32], i: usize, kk| data[(((index / 3) * t + i) * 3 + index % 3) * k + kk];
            let terms: Vec<_> = (0..k).map(|kk| (row(&a, i, kk), row(&b, j, kk))).collect();
            assert_eq!(x, f32::reference(None, &terms), "{t} {k} {index} {i} {j}");
        }
    }
    // One B for all, stacked and with the matrices of C interleaved row by row.
    let (batch, m, k, n) = (4, 9, 11, 20);
    let a: Vec<i64> = (0..batch * m * k).map(|_| i64::sample(&mut rng)).collect();
    let b: Vec<i64> = (0..k * n).map(|_| i64::sample(&mut rng)).collect();
    let va = MatRef::batched(&a, 0, [1, batch], [0, (m * k) as isize], [m, k], [k as isize, 1]);
    let vb = MatRef::batched(&b, 0, [1, batch], [0, 0], [k, n], [n as isize, 1]);
    for interleaved in [false, true] {
        let mut c = vec![0; batch * m * n];
        let (batch_stride, row_stride) = if interleaved { (n, batch * n) } else { (m * n, n) };
        let seen = Mutex::new(vec![0; batch * m * n]);
        let epilogue = |index: usize, i: usize, j: usize, x: &mut [i64]| {
            for j in j..j + x.len() {
                seen.lock().unwrap()[(index * m + i) * n + j] += 1;
            }
        };
        let vc = MatMut::batched(&mut c, 0, batch, batch_stride, [m, n], row_stride);
        gemm_batched(va, vb, vc, false, Some(&epilogue));
        assert!(seen.into_inner().unwrap().iter().all(|&count| count == 1));
        for index in 0..batch {
            for i in 0..m {
                for j in 0..n {
                    let terms: Vec<_> = (0..k).map(|kk| (a[(index * m + i) * k + kk], b[kk * n + j])).collect();
                    assert_eq!(c[index * batch_stride + i * row_stride + j], i64::reference(None, &terms));
                }
            }
        }
    }
}

/// The sum of a product does not depend on how it is cut into tasks.
#[test]
fn threads_do_not_change_results() {
    let mut rng = Rng(5);
    for [m, k, n] in [[150, 700, 210], [1, 3000, 333], [333, 3000, 1]] {
        let mut random = |len| (0..len).map(|_| rng.next() as f32 / 1e9 - 2.0).collect::<Vec<f32>>();
        let (a, b) = (random(m * k), random(k * n));
        let product = |threads, transposed| {
            let mut c = vec![0.0; m * n];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (a, b) = if transposed {
                    (MatRef::row_major(&a, k, m).t(), MatRef::row_major(&b, n, k).t())
                } else {
                    (MatRef::row_major(&a, m, k), MatRef::row_major(&b, k, n))
                };
                gemm(a, b, MatMut::row_major(&mut c, m, n), false, None);
            });
            c
        };
        for transposed in [false, true] {
            let one = product(1, transposed);
            assert_eq!(one, product(2, transposed));
            assert_eq!(one, product(5, transposed));
        }
    }
}

/// An epilogue may itself multiply, on the same thread.
#[test]
fn nested_product_in_epilogue() {
    let (m, k, n) = (20, 30, 40);
    let (a, b) = (vec![1.0_f64; m * k], vec![2.0; k * n]);
    let mut c = vec![0.0; m * n];
    let epilogue = |_: usize, _: usize, x: &mut [f64]| {
        let ones = vec![1.0; x.len()];
        let mut sum = [0.0];
        gemm(
            MatRef::row_major(x, 1, ones.len()),
            MatRef::row_major(&ones, ones.len(), 1),
            MatMut::row_major(&mut sum, 1, 1),
            false,
            None,
        );
        x[0] = sum[0];
    };
    gemm(
        MatRef::row_major(&a, m, k),
        MatRef::row_major(&b, k, n).t().t(),
        MatMut::row_major(&mut c, m, n),
        false,
        Some(&epilogue),
    );
    assert_eq!(c[1], 60.0);
    assert!(c[0] > 60.0 && c[0] % 60.0 == 0.0);
}

#[test]
fn views_are_checked() {
    let panics = |f: &(dyn Fn() + std::panic::RefUnwindSafe)| std::panic::catch_unwind(f).is_err();
    assert!(panics(&|| _ = MatRef::new(&[0.0; 5], 0, [2, 3], [3, 1])));
    assert!(panics(&|| _ = MatRef::new(&[0.0; 6], 0, [2, 3], [-3, 1])));
    assert!(panics(&|| _ = MatRef::new(&[0.0; 6], 1, [2, 3], [3, 1])));
    assert!(panics(&|| _ = MatRef::new(&[0.0; 6], 0, [2, 3], [isize::MAX, 1])));
    assert!(!panics(&|| _ = MatRef::new(&[0.0; 6], 3, [2, 3], [-3, 1])));
    assert!(!panics(&|| _ = MatRef::new(&[0.0; 0], 9, [0, 3], [3, 1])));
    assert!(panics(&|| _ = MatMut::new(&mut [0.0; 6], 0, [2, 3], 2)));
    assert!(panics(&|| _ = MatMut::batched(&mut [0.0; 12], 0, 2, 5, [2, 3], 3)));
    assert!(panics(&|| _ = MatMut::batched(&mut [0.0; 12], 0, 2, 3, [2, 3], 3)));
    assert!(!panics(&|| _ = MatMut::batched(&mut [0.0; 12], 0, 2, 3, [2, 3], 6)));
    let (a, b) = ([0.0; 6], [0.0; 6]);
    let product = |n: usize| {
        let mut c = vec![0.0; 64];
        gemm(MatRef::row_major(&a, 2, 3), MatRef::row_major(&b, 3, 2), MatMut::row_major(&mut c, 2, n), false, None);
    };
    product(2);
    assert!(panics(&move || product(3)));
}
