//! Decompositions put together again, of sizes on both sides of those at which matrices are halved.

use crate::dtype::DType;
use crate::lax;
use crate::primitive::Linalg;
use crate::tensor::Tensor;
use crate::testing::Arbitrary;

const SIZES: [usize; 9] = [0, 1, 2, 3, 5, 8, 17, 40, 70];

fn random(numbers: &mut Arbitrary, shape: &[usize], dtype: DType) -> Tensor {
    numbers.tensor(dtype, &shape.into())
}

/// As far apart as rounding may bring them.
fn near(what: &str, x: &Tensor, y: &Tensor) {
    assert_eq!(x.aval(), y.aval(), "{what}");
    let size = x.shape().iter().product::<usize>().max(1) as f64;
    let tolerance = size.sqrt() * if x.dtype() == DType::F64 { 1e-14 } else { 5e-6 };
    assert!(x.allclose(y, tolerance, tolerance), "{what}: {x}, not {y}");
}

fn eye(n: usize, dtype: DType) -> Tensor {
    Tensor::eye(n).astype(dtype)
}

fn nan(n: usize, dtype: DType) -> Tensor {
    Tensor::full([n, n], f64::NAN, dtype)
}

/// `yᵀ y = 1`.
fn orthonormal(what: &str, y: &Tensor) {
    near(what, &y.mt().matmul(y), &eye(y.dim(-1), y.dtype()));
}

fn each(mut f: impl FnMut(&mut Arbitrary, DType)) {
    let mut numbers = Arbitrary::new(1);
    for dtype in [DType::F32, DType::F64] {
        f(&mut numbers, dtype);
    }
}

#[test]
fn cholesky() {
    each(|numbers, dtype| {
        for n in SIZES {
            let x = random(numbers, &[n, n], dtype);
            let a = x.matmul(x.mt()) + eye(n, dtype) * (n as f64).max(1.0);
            // What is above the diagonal is not read.
            let above = Tensor::ones([n, n]).triu(1).ne(0.0);
            let l = lax::cholesky(&above.select(nan(n, dtype), &a)).unwrap();
            near(&format!("{dtype} {n}"), &l.matmul(l.mt()), &a);
            assert!(l.triu(1).eq(0.0).all().item::<bool>());
            assert!(l.diagonal(0).gt(0.0).all().item::<bool>());
        }
    });
}

#[test]
fn triangular_solve() {
    each(|numbers, dtype| {
        for n in SIZES {
            for flags in 0..16 {
                let [left_side, lower, transpose_a, unit_diagonal] = [1, 2, 4, 8].map(|bit| flags & bit != 0);
                let a = random(numbers, &[n, n], dtype) * (1.0 / (n.max(1) as f64)) + eye(n, dtype) * 2.0;
                // What is not read is not a number.
                let triangle = if lower { a.tril(0) } else { a.triu(0) };
                let keep = |x: &Tensor| if lower { x.tril(0).ne(0.0) } else { x.triu(0).ne(0.0) };
                let mut read = keep(&Tensor::ones([n, n]));
                if unit_diagonal {
                    read = read & eye(n, dtype).eq(0.0);
                }
                let given = read.select(&a, nan(n, dtype));
                let effective = if unit_diagonal {
                    triangle.clone() - triangle.diagonal(0).diag() + eye(n, dtype)
                } else {
                    triangle
                };
                let effective = if transpose_a { effective.mt() } else { effective };
                let b = if left_side { random(numbers, &[n, 3], dtype) } else { random(numbers, &[3, n], dtype) };
                let op = Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal };
                let x = lax::triangular_solve(&given, &b, op).unwrap();
                let back = if left_side { effective.matmul(&x) } else { x.matmul(&effective) };
                near(&format!("{dtype} {n} {op:?}"), &back, &b);
            }
        }
    });
}

#[test]
fn linear_solve() {
    each(|numbers, dtype| {
        for n in SIZES {
            for transpose in [false, true] {
                let a = random(numbers, &[n, n], dtype) + eye(n, dtype).flip(0) * (n as f64 + 1.0);
                let b = random(numbers, &[n, 4], dtype);
                let x = lax::linear_solve(&a, &b, transpose).unwrap();
                let a = if transpose { a.mt() } else { a };
                near(&format!("{dtype} {n} {transpose}"), &a.matmul(x), &b);
            }
        }
    });
}

#[test]
fn lu() {
    each(|numbers, dtype| {
        for m in SIZES {
            for n in [m, m / 2, m + 3, 33] {
                let what = format!("{dtype} {m} {n}");
                let a = random(numbers, &[m, n], dtype);
                let (lu, pivots, permutation) = lax::lu(&a).unwrap();
                let k = m.min(n);
                let l = lu.i((.., ..k)).tril(-1) + Tensor::eye_rect(m, k, 0).astype(dtype);
                let u = lu.i((..k, ..)).triu(0);
                near(&what, &l.matmul(u), &a.take(&permutation, 0));
                // Partial pivoting.
                assert!(l.abs().le(1.0).all().item::<bool>(), "{what}");
                let mut rows: Vec<i32> = (0..m as i32).collect();
                for (i, &pivot) in pivots.to_vec::<i32>().iter().enumerate() {
                    rows.swap(i, pivot as usize);
                }
                assert_eq!(rows, permutation.to_vec::<i32>(), "{what}");
            }
        }
    });
}

#[test]
fn qr() {
    each(|numbers, dtype| {
        for m in SIZES {
            for n in [m, m / 2, m + 3, 33] {
                let a = random(numbers, &[m, n], dtype);
                for full in [false, true] {
                    let what = format!("{dtype} {m} {n} {full}");
                    let (q, r) = lax::qr(&a, full).unwrap();
                    orthonormal(&what, &q);
                    near(&what, &q.matmul(&r), &a);
                    assert!(r.tril(-1).eq(0.0).all().item::<bool>(), "{what}");
                    assert!(r.diagonal(0).ge(0.0).all().item::<bool>(), "{what}");
                }
            }
        }
    });
}

/// Whether the first of each column's elements that is at least half as large as the largest is positive.
fn signs_are_chosen(x: &Tensor) {
    for j in 0..x.dim(-1) {
        let column = x.i((.., j)).astype(DType::F64).to_vec::<f64>();
        let largest = column.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        let first = column.iter().find(|x| 2.0 * x.abs() >= largest).unwrap();
        assert!(*first > 0.0, "{column:?}");
    }
}

#[test]
fn eigh() {
    each(|numbers, dtype| {
        for n in SIZES {
            let a = random(numbers, &[n, n], dtype);
            for lower in [false, true] {
                let what = format!("{dtype} {n} {lower}");
                let (v, w) = lax::eigh(&a, lower).unwrap();
                let symmetric = if lower { a.tril(0) + a.tril(-1).mt() } else { a.triu(0) + a.triu(1).mt() };
                orthonormal(&what, &v);
                near(&what, &(&v * w.expand_dims(-2)).matmul(v.mt()), &symmetric);
                let w = w.astype(DType::F64).to_vec::<f64>();
                assert!(w.is_sorted(), "{w:?}");
                signs_are_chosen(&v);
            }
        }
    });
}

#[test]
fn svd() {
    each(|numbers, dtype| {
        for m in SIZES {
            for n in [m, m / 2, m + 3, 33] {
                let a = random(numbers, &[m, n], dtype);
                let k = m.min(n);
                for full in [false, true] {
                    let what = format!("{dtype} {m} {n} {full}");
                    let (s, u, vt) = lax::svd(&a, full).unwrap();
                    orthonormal(&what, &u);
                    orthonormal(&what, &vt.mt());
                    near(&what, &(u.i((.., ..k)) * s.expand_dims(0)).matmul(vt.i((..k, ..))), &a);
                    signs_are_chosen(&u.i((.., ..k)));
                    near(&what, &lax::singular_values(&a).unwrap(), &s);
                    let s = s.astype(DType::F64).to_vec::<f64>();
                    assert!(s.is_sorted_by(|a, b| a >= b) && s.iter().all(|s| *s >= 0.0), "{s:?}");
                }
            }
        }
    });
}

#[test]
fn degenerate_matrices() {
    each(|_, dtype| {
        for a in [Tensor::zeros([4, 4]), Tensor::ones([4, 4]), Tensor::eye(4), Tensor::eye(4) * -2.0] {
            let a = a.astype(dtype);
            let (v, w) = lax::eigh(&a, true).unwrap();
            orthonormal("v", &v);
            near("eigh", &(&v * w.expand_dims(-2)).matmul(v.mt()), &a);
            for a in [a.clone(), a.i((.., ..2)), a.i((..3, ..))] {
                let (s, u, vt) = lax::svd(&a, true).unwrap();
                orthonormal("u", &u);
                orthonormal("vt", &vt.mt());
                let k = s.dim(0);
                near("svd", &(u.i((.., ..k)) * s.expand_dims(0)).matmul(vt.i((..k, ..))), &a);
                let (q, r) = lax::qr(&a, true).unwrap();
                orthonormal("q", &q);
                near("qr", &q.matmul(r), &a);
            }
        }
        // Of low rank, with equal eigenvalues, in blocks, graded; small and large.
        for n in [6, 40] {
            let at = |f: fn(f64, f64) -> f64| {
                let elements: Vec<f64> = (0..n * n).map(|i| f((i / n) as f64, (i % n) as f64)).collect();
                Tensor::from_slice(&elements, [n, n]).unwrap().astype(dtype)
            };
            for (i, f) in [
                (|i, j| i * 0.1 + j * 0.1) as fn(f64, f64) -> f64,
                |i, j| if i == j { (i / 2.0).floor() } else { 0.0 },
                |i, j| if i + j == 5.0 { 1.0 } else { 0.0 },
                |i, j| if (i - j).abs() == 1.0 { 1.0 } else { 0.0 },
                |i, j| if (i - j).abs() <= 1.0 { (-i - j).exp2() } else { 0.0 },
                |i, j| 1.0 / (i + j + 1.0),
            ]
            .into_iter()
            .enumerate()
            {
                let (what, a) = (format!("{dtype} {n}, the {i}-th"), at(f));
                let (v, w) = lax::eigh(&a, true).unwrap();
                orthonormal(&what, &v);
                near(&what, &(&v * w.expand_dims(-2)).matmul(v.mt()), &a);
                for a in [a.clone(), a.i((.., ..n / 2)), a.i((..n / 3, ..))] {
                    let (s, u, vt) = lax::svd(&a, false).unwrap();
                    orthonormal(&what, &u);
                    orthonormal(&what, &vt.mt());
                    near(&what, &(u * s.expand_dims(0)).matmul(vt), &a);
                }
            }
        }
        // Sizes whose squares neither f32 nor f64 can hold.
        for scale in if dtype == DType::F32 { [1e-30, 1e30] } else { [1e-200, 1e200] } {
            let a = Tensor::from([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]).astype(dtype);
            let (q, r) = lax::qr(&(&a * scale), false).unwrap();
            near("scaled qr", &(q.matmul(r) * (1.0 / scale)), &a);
            let (s, u, vt) = lax::svd(&(&a * scale), false).unwrap();
            near("scaled svd", &((u * s.expand_dims(0)).matmul(vt) * (1.0 / scale)), &a);
            let a = Tensor::from([[1.0, 2.0], [2.0, 7.0]]).astype(dtype);
            let (v, w) = lax::eigh(&(&a * scale), true).unwrap();
            near("scaled eigh", &((&v * w.expand_dims(-2)).matmul(v.mt()) * (1.0 / scale)), &a);
        }
    });
}

#[test]
fn what_is_not_finite_gives_nan() {
    each(|_, dtype| {
        for x in [f64::NAN, f64::INFINITY] {
            let a = Tensor::from([[1.0, 0.0, 2.0], [x, 1.0, 0.0], [0.0, 3.0, 1.0]]).astype(dtype);
            let is_nan = |x: &Tensor| x.is_nan().all().item::<bool>();
            let (v, w) = lax::eigh(&a, true).unwrap();
            assert!(is_nan(&v) && is_nan(&w));
            let (v, w) = lax::eigh(&a, false).unwrap();
            assert!(!v.is_nan().any().item::<bool>() && !w.is_nan().any().item::<bool>(), "the other triangle");
            let (s, u, vt) = lax::svd(&a, false).unwrap();
            assert!(is_nan(&s) && is_nan(&u) && is_nan(&vt));
            let (q, _) = lax::qr(&a, false).unwrap();
            assert!(!q.is_finite().all().item::<bool>());
            let (lu, ..) = lax::lu(&a).unwrap();
            assert!(!lu.is_finite().all().item::<bool>());
        }
    });
}

#[test]
fn batches_are_loops() {
    each(|numbers, dtype| {
        let a = random(numbers, &[2, 150, 4, 3], dtype);
        let (s, u, vt) = lax::svd(&a, true).unwrap();
        let (lu, pivots, permutation) = lax::lu(&a).unwrap();
        for (i, j) in [(0, 0), (1, 149), (0, 77)] {
            let one = a.i((i, j));
            let (s1, u1, vt1) = lax::svd(&one, true).unwrap();
            for (x, y) in [(&s, s1), (&u, u1), (&vt, vt1)] {
                assert!(x.i((i, j)).array_equal(y));
            }
            let (lu1, pivots1, permutation1) = lax::lu(&one).unwrap();
            for (x, y) in [(&lu, lu1), (&pivots, pivots1), (&permutation, permutation1)] {
                assert!(x.i((i, j)).array_equal(y));
            }
        }
        let none = random(numbers, &[0, 4, 3], dtype);
        assert_eq!(lax::qr(&none, true).unwrap().0.shape().dims(), [0, 4, 4]);
    });
}

#[test]
fn what_does_not_fit_is_told() {
    let error = |op: Linalg, inputs: &[Tensor]| crate::trace::bind(&op.into(), inputs).unwrap_err().to_string();
    let message = error(Linalg::Cholesky, &[Tensor::zeros([2, 3])]);
    assert!(message.contains("square") && message.contains("f32[2,3]"), "{message}");
    let message = error(Linalg::Lu, &[Tensor::zeros([3])]);
    assert!(message.contains("last two axes"), "{message}");
    let message = error(Linalg::Eigh { lower: true }, &[Tensor::zeros([2, 2]).astype(DType::BF16)]);
    assert!(message.contains("bf16") && message.contains("astype"), "{message}");
    let message = error(Linalg::Solve { transpose_a: false }, &[Tensor::zeros([2, 2]), Tensor::zeros([3, 1])]);
    assert!(message.contains("as many rows"), "{message}");
    let message = error(Linalg::Solve { transpose_a: false }, &[Tensor::zeros([4, 2, 2]), Tensor::zeros([2, 1])]);
    assert!(message.contains("batch axes"), "{message}");
    let op = Linalg::TriangularSolve { left_side: false, lower: true, transpose_a: false, unit_diagonal: false };
    let message = error(op, &[Tensor::zeros([2, 2]), Tensor::zeros([2, 1])]);
    assert!(message.contains("as many columns"), "{message}");
}
