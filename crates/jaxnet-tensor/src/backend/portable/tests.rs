//! The same as the embedded engine's kernels.

use super::*;
use crate::testing::Arbitrary;
use crate::trace::bind;

fn agree(op: Linalg, inputs: &[&Tensor]) {
    let inputs: Vec<Tensor> = inputs.iter().map(|&x| x.clone()).collect();
    let avals: Vec<&Aval> = inputs.iter().map(Tensor::aval).collect();
    let program = linalg(&op, &avals).unwrap();
    let expected = bind(&op.into(), &inputs).unwrap();
    let results = program.eval(&inputs).unwrap();
    assert_eq!(results.len(), expected.len());
    for (i, (x, y)) in results.iter().zip(&expected).enumerate() {
        assert_eq!(x.aval(), y.aval(), "{op:?}");
        let tolerance = if avals[0].dtype == DType::F64 { 1e-11 } else { 3e-4 };
        let same = match x.dtype() {
            DType::I32 => x.array_equal(y),
            _ => {
                let number = |x: &Tensor| x.is_nan().select(7.0, x);
                x.is_nan().array_equal(y.is_nan()) && number(x).allclose(number(y), tolerance, tolerance)
            }
        };
        assert!(same, "{op:?} of {:?}, result {i}: {x}, not {y}", inputs);
    }
}

fn each(f: impl Fn(&mut dyn FnMut(&[usize]) -> Tensor)) {
    let mut numbers = Arbitrary::new(3);
    for dtype in [DType::F64, DType::F32] {
        f(&mut |shape| numbers.tensor(dtype, &shape.into()));
    }
}

#[test]
fn squares() {
    each(|random| {
        for n in 0..6 {
            let a = random(&[2, n, n]);
            let definite = a.matmul(a.mt()) + Tensor::eye(n).astype(a.dtype());
            agree(Linalg::Cholesky, &[&definite]);
            agree(Linalg::Cholesky, &[&-definite]);
            for lower in [false, true] {
                agree(Linalg::Eigh { lower }, &[&a]);
                let shifted = &a + Tensor::eye(n).astype(a.dtype()) * (n as f64 + 1.0);
                agree(Linalg::Solve { transpose_a: lower }, &[&shifted.flip(-1), &random(&[2, n, 3])]);
                for flags in 0..8 {
                    let [left_side, transpose_a, unit_diagonal] = [1, 2, 4].map(|bit| flags & bit != 0);
                    let op = Linalg::TriangularSolve { left_side, lower, transpose_a, unit_diagonal };
                    let b = if left_side { random(&[2, n, 3]) } else { random(&[2, 3, n]) };
                    agree(op, &[&shifted, &b]);
                }
            }
        }
    });
}

#[test]
fn rectangles() {
    each(|random| {
        for (m, n) in [(0, 0), (0, 2), (2, 0), (1, 1), (3, 3), (4, 2), (2, 5), (5, 4), (7, 7)] {
            let a = random(&[2, 1, m, n]);
            agree(Linalg::Lu, &[&a]);
            agree(Linalg::Qr { full_matrices: false }, &[&a]);
            agree(Linalg::Svd { full_matrices: false, compute_uv: false }, &[&a]);
            agree(Linalg::Svd { full_matrices: false, compute_uv: true }, &[&a]);
            if m <= n {
                agree(Linalg::Qr { full_matrices: true }, &[&a]);
            }
        }
    });
}

#[test]
fn full_and_degenerate_matrices_put_together_again() {
    let near = |x: Tensor, y: &Tensor| assert!(x.allclose(y, 1e-10, 1e-10), "{x}, not {y}");
    let run = |op: Linalg, a: &Tensor| linalg(&op, &[a.aval()]).unwrap().eval(std::slice::from_ref(a)).unwrap();
    let ones = Tensor::ones([4, 4]).astype(DType::F64);
    let all = [
        ones.clone(),
        ones.zeros_like(),
        Tensor::eye(4).astype(DType::F64),
        Arbitrary::new(1).tensor(DType::F64, &[4, 4].into()),
    ];
    for a in all {
        let parts = run(Linalg::Eigh { lower: true }, &(&a + a.mt()));
        near((&parts[0] * parts[1].expand_dims(-2)).matmul(parts[0].mt()), &(&a + a.mt()));
        for a in [a.clone(), a.i((.., ..2)), a.i((..3, ..))] {
            let parts = run(Linalg::Svd { full_matrices: true, compute_uv: true }, &a);
            let (s, u, vt) = (&parts[0], &parts[1], &parts[2]);
            let k = s.dim(0) as isize;
            near((u.i((.., ..k)) * s.expand_dims(0)).matmul(vt.i((..k, ..))), &a);
            near(u.mt().matmul(u), &Tensor::eye(u.dim(0)).astype(DType::F64));
            near(vt.matmul(vt.mt()), &Tensor::eye(vt.dim(0)).astype(DType::F64));
            let parts = run(Linalg::Qr { full_matrices: true }, &a);
            near(parts[0].matmul(&parts[1]), &a);
            near(parts[0].mt().matmul(&parts[0]), &Tensor::eye(a.dim(0)).astype(DType::F64));
        }
    }
}

#[test]
fn what_is_not_finite_gives_nan() {
    let a = Tensor::from([[f64::NAN, 1.0], [1.0, 2.0]]);
    agree(Linalg::Eigh { lower: true }, &[&a]);
    agree(Linalg::Svd { full_matrices: false, compute_uv: true }, &[&a]);
}
