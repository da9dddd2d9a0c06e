//! Shapes, batch axes and mistakes; values are compared with JAX's beside the derivatives, in `jaxnet-autograd`.

use super::*;
use crate::error::try_catch;
use crate::tensor;
use crate::testing::Arbitrary;

fn random(shape: &[usize]) -> Tensor {
    Arbitrary::new(7).tensor(DType::F64, &shape.into())
}

fn near(x: &Tensor, y: &Tensor) {
    assert_eq!(x.aval(), y.aval());
    assert!(x.allclose(y, 1e-10, 1e-10), "{x}, not {y}");
}

#[test]
fn right_sides_are_vectors_or_matrices_and_broadcast() {
    let a = random(&[3, 3]) + eye(3, &random(&[1, 1])) * 4.0;
    let many = Tensor::stack(&[a.clone(), &a * 2.0], 0);
    for (a, b, x) in [
        (&a, vec![3], vec![3]),
        (&a, vec![3, 2], vec![3, 2]),
        (&a, vec![5, 3, 2], vec![5, 3, 2]),
        (&many, vec![3], vec![2, 3]),
        (&many, vec![3, 4], vec![2, 3, 4]),
        (&many, vec![5, 1, 3, 1], vec![5, 2, 3, 1]),
    ] {
        let b = random(&b);
        let y = solve(a, &b);
        assert_eq!(y.shape().dims(), x);
        let columns = if b.rank() == 1 { y.expand_dims(-1) } else { y.clone() };
        let back = a.matmul(columns);
        let back = if b.rank() == 1 { back.squeeze(-1) } else { back };
        near(&back, &b.broadcast_to(back.shape()));
        let l = triangular_solve(a, &b, Triangular::lower());
        assert_eq!(l.shape().dims(), x);
    }
    let row = random(&[3]);
    near(&triangular_solve(&a, &row, Triangular::upper().on_the_right()).matmul(a.triu(0)), &row);
    let rows = random(&[2, 3]);
    near(&triangular_solve(&a, &rows, Triangular::lower().on_the_right()).matmul(a.tril(0)), &rows);
    let unit = triangular_solve(&a, &rows, Triangular::lower().on_the_right().unit_diagonal().transposed());
    near(&unit.matmul((a.tril(-1) + eye(3, &a)).mt()), &rows);
}

#[test]
fn decompositions_of_batches() {
    let a = random(&[2, 3, 4]);
    let (p, l, u) = lu(&a);
    near(&p.matmul(l).matmul(u), &a);
    let (q, r) = qr(&a);
    near(&q.matmul(r), &a);
    let (u, s, vt) = svd(&a);
    near(&(u * s.expand_dims(-2)).matmul(vt), &a);
    near(&pinv(pinv(&a)), &a);
    near(&a.matmul(pinv(&a)), &(eye(3, &a) + Tensor::zeros([2, 1, 1]).astype(DType::F64)));
    let square = a.matmul(a.mt());
    let (w, v) = eigh(&square);
    near(&(&v * w.expand_dims(-2)).matmul(v.mt()), &square);
    near(&eigvalsh(&square), &w);
    near(&inv(inv(&square)), &square);
    near(&det(&square), &w.prod_axis(-1));
    let (sign, logdet) = slogdet(&square);
    near(&(sign * logdet.exp()), &det(&square));
    near(&matrix_power(&square, 3), &square.matmul(&square).matmul(&square));
    near(&matrix_power(&square, -1), &inv(&square));
    near(&matrix_power(&square, 0), &eye(3, &a).broadcast_to([2, 3, 3]));
    near(&matrix_norm(&a, MatrixNorm::Frobenius), &vector_norm(&a, 2.0, [-1, -2]));
    near(&svdvals(&a).square().sum_axis(-1).sqrt(), &matrix_norm(&a, MatrixNorm::Frobenius));
    assert_eq!(matrix_rank(&a).to_vec::<i32>(), [3, 3]);
}

#[test]
fn determinants() {
    for n in 0..7 {
        let a = random(&[2, n, n]);
        // Along the first row.
        fn expected(a: &[Vec<f64>]) -> f64 {
            let Some((first, rest)) = a.split_first() else { return 1.0 };
            let minor = |j: usize| -> Vec<Vec<f64>> {
                rest.iter()
                    .map(|row| row.iter().enumerate().filter(|(k, _)| *k != j).map(|(_, x)| *x).collect())
                    .collect()
            };
            let term = |j: usize| first[j] * expected(&minor(j)) * if j.is_multiple_of(2) { 1.0 } else { -1.0 };
            (0..first.len()).map(term).sum()
        }
        let each: Vec<f64> = (0..2)
            .map(|i| {
                let elements = a.i(i).to_vec::<f64>();
                expected(&elements.chunks(n.max(1)).map(<[f64]>::to_vec).collect::<Vec<_>>())
            })
            .collect();
        near(&det(&a), &Tensor::from_slice(&each, [2]).unwrap());
    }
    let (sign, logdet) = slogdet(Tensor::ones([3, 3]));
    assert_eq!((sign.item::<f32>(), logdet.item::<f32>()), (0.0, f32::NEG_INFINITY));
}

#[test]
fn vector_norms() {
    let x = tensor![[3.0, -4.0], [0.0, 2.0]];
    let of = |p: f64| vector_norm(&x, p, 1).to_vec::<f32>();
    assert_eq!(of(0.0), [2.0, 1.0]);
    assert_eq!(of(1.0), [7.0, 2.0]);
    assert_eq!(of(f64::NEG_INFINITY), [3.0, 0.0]);
    assert!(vector_norm(&x, 3.0, 1).allclose(tensor![91_f32.cbrt(), 2.0], 1e-6, 0.0));
    assert_eq!(norm(Tensor::zeros([0])).item::<f32>(), 0.0);
    assert_eq!(norm(x.astype(DType::BF16)).dtype(), DType::BF16, "norms need no decomposition");
}

#[test]
fn nothing() {
    let none = Tensor::zeros([0, 0]);
    assert_eq!(inv(&none).shape().dims(), [0, 0]);
    assert_eq!(solve(&none, Tensor::zeros([0])).shape().dims(), [0]);
    assert_eq!(pinv(Tensor::zeros([0, 3])).shape().dims(), [3, 0]);
    assert_eq!(matrix_rank(Tensor::zeros([0, 3])).item::<i32>(), 0);
    assert_eq!(cholesky(Tensor::zeros([4, 0, 0])).shape().dims(), [4, 0, 0]);
    assert_eq!(svd_full(Tensor::zeros([2, 0])).0.to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(lu(Tensor::zeros([2, 0])).0.to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(slogdet(&none).1.item::<f32>(), 0.0);
}

#[test]
fn mistakes_are_told() {
    let error = |f: &dyn Fn()| try_catch(f).unwrap_err().to_string();
    let message = error(&|| drop(solve(Tensor::ones([2, 2]), Tensor::ones([3]))));
    assert!(message.starts_with("solve") && message.contains("as many rows"), "{message}");
    let message = error(&|| drop(solve(Tensor::ones([4, 2, 2]), Tensor::ones([3, 2, 1]))));
    assert!(message.contains("do not broadcast"), "{message}");
    let message = error(&|| drop(inv(Tensor::ones([2, 3]))));
    assert!(message.starts_with("inv") && message.contains("square") && message.contains("f32[2,3]"), "{message}");
    let message = error(&|| drop(det(Tensor::ones([2]))));
    assert!(message.starts_with("det") && message.contains("last two axes"), "{message}");
    let message = error(&|| drop(eigh(Tensor::ones([2, 2]).astype(DType::F16))));
    assert!(message.starts_with("eigh") && message.contains("astype(DType::F32)"), "{message}");
    let message = error(&|| drop(lstsq(Tensor::ones([3, 2]), Tensor::ones([2]))));
    assert!(message.starts_with("lstsq") && message.contains("as many rows"), "{message}");
}
