//! Linear algebra: values and gradients beside JAX's, which `fixtures/linalg.py` wrote down; derivatives of what is
//! composed, also where matrices are singular; and what must be refused.

use jaxnet_autograd::{GradCheck, check_grads, grad, hessian, jit, jvp, vmap};
use jaxnet_tensor::linalg::{self, MatrixNorm, Triangular};
use jaxnet_tensor::{DType, Ellipsis, Key, Tensor, lax, tensor, try_catch};
use serde_json::Value;

fn draw(seed: u64, shape: &[usize]) -> Tensor {
    Key::new(seed).normal_dtype(shape, DType::F64)
}

/// Numbers with a shape, as the fixture has them.
fn read(value: &Value) -> Tensor {
    let list = |key: &str| value[key].as_array().unwrap();
    let shape: Vec<usize> = list("shape").iter().map(|x| x.as_u64().unwrap() as usize).collect();
    let data: Vec<f64> = list("data").iter().map(|x| x.as_f64().unwrap()).collect();
    Tensor::from_slice(&data, shape).unwrap()
}

type Function = fn(&[Tensor]) -> Vec<Tensor>;

fn functions() -> Vec<(&'static str, Function)> {
    fn three((a, b, c): (Tensor, Tensor, Tensor)) -> Vec<Tensor> {
        vec![a, b, c]
    }
    fn two((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
        vec![a, b]
    }
    vec![
        ("cholesky", |x| vec![linalg::cholesky(&x[0])]),
        ("lu", |x| three(linalg::lu(&x[0]))),
        ("lu_tall", |x| three(linalg::lu(&x[0]))),
        ("lu_wide", |x| three(linalg::lu(&x[0]))),
        ("qr", |x| two(linalg::qr(&x[0]))),
        ("qr_tall", |x| two(linalg::qr(&x[0]))),
        ("eigh", |x| two(linalg::eigh(&x[0]))),
        ("eigvalsh", |x| vec![linalg::eigvalsh(&x[0])]),
        ("svd", |x| three(linalg::svd(&x[0]))),
        ("svd_tall", |x| three(linalg::svd(&x[0]))),
        ("svd_wide", |x| three(linalg::svd(&x[0]))),
        ("svdvals", |x| vec![linalg::svdvals(&x[0])]),
        ("solve", |x| vec![linalg::solve(&x[0], &x[1])]),
        ("solve_vector", |x| vec![linalg::solve(&x[0], &x[1])]),
        ("solve_batch", |x| vec![linalg::solve(&x[0], &x[1])]),
        ("triangular_solve", |x| vec![linalg::triangular_solve(&x[0], &x[1], Triangular::lower().transposed())]),
        ("cholesky_solve", |x| vec![linalg::cholesky_solve(linalg::cholesky(&x[0]), &x[1])]),
        ("inv", |x| vec![linalg::inv(&x[0])]),
        ("det", |x| vec![linalg::det(&x[0])]),
        ("det_batch", |x| vec![linalg::det(&x[0])]),
        ("det_singular", |x| vec![linalg::det(&x[0])]),
        ("slogdet", |x| two(linalg::slogdet(&x[0]))),
        ("pinv_tall", |x| vec![linalg::pinv(&x[0])]),
        ("pinv_singular", |x| vec![linalg::pinv(&x[0])]),
        ("lstsq", |x| vec![linalg::lstsq(&x[0], &x[1])]),
        ("matrix_power", |x| vec![linalg::matrix_power(&x[0], -3)]),
        ("norm", |x| vec![linalg::norm(&x[0])]),
        ("vector_norm", |x| vec![linalg::vector_norm(&x[0], 3.0, -1)]),
        ("nuclear", |x| vec![linalg::matrix_norm(&x[0], MatrixNorm::Nuclear)]),
        ("spectral", |x| vec![linalg::matrix_norm(&x[0], MatrixNorm::Spectral)]),
        ("one", |x| vec![linalg::matrix_norm(&x[0], MatrixNorm::One)]),
        ("cond", |x| vec![linalg::cond(&x[0])]),
        ("rank", |x| vec![linalg::matrix_rank(&x[0]).astype(DType::F64)]),
    ]
}

fn near(what: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!(got.aval(), expected.aval(), "{what}");
    let scale = linalg::norm(expected).item::<f64>().max(1.0);
    assert!(got.allclose(expected, 1e-7, 1e-7 * scale), "{what}: {got}, not {expected}");
}

#[test]
fn values_and_gradients_are_those_of_jax() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/linalg.json")).unwrap();
    let functions = functions();
    assert_eq!(functions.len(), fixture.as_object().unwrap().len(), "each case is tried");
    for (name, f) in functions {
        let list = |key: &str| -> Vec<Tensor> { fixture[name][key].as_array().unwrap().iter().map(read).collect() };
        let inputs = list("inputs");
        for (got, expected) in f(&inputs).iter().zip(&list("results")) {
            near(name, got, expected);
        }
        let loss = |inputs: Vec<Tensor>| {
            let terms = f(&inputs).into_iter().map(|x| {
                let weights = (Tensor::range(x.size()).astype(DType::F64) * 0.37 + 0.6).cos();
                (&x * weights.reshape(x.shape())).sum()
            });
            terms.reduce(|a, b| a + b).unwrap()
        };
        for (got, expected) in grad(loss)(inputs.clone()).iter().zip(&list("gradients")) {
            near(&format!("the gradient of {name}"), got, expected);
        }
        let compiled = jit(grad(loss)).call(inputs);
        for (got, expected) in compiled.iter().zip(&list("gradients")) {
            near(&format!("the compiled gradient of {name}"), got, expected);
        }
    }
}

/// Derivatives to second order against differences, compiled against eager, and a batch against a loop.
#[track_caller]
fn check(name: &str, x: &Tensor, f: impl Fn(Tensor) -> Tensor + Clone) {
    if let Err(error) = check_grads(f.clone(), x.clone(), GradCheck::default()) {
        panic!("{name}: {error}");
    }
    let eager = f(x.clone());
    assert!(jit(f.clone()).call(x.clone()).allclose(&eager, 1e-10, 1e-10), "{name}: compiled");
    let batched = vmap(f.clone())(Tensor::stack(&[x.clone(), x * 1.5], 0));
    let looped = Tensor::stack(&[eager, f(x * 1.5)], 0);
    assert!(batched.allclose(&looped, 1e-10, 1e-10), "{name}: batched");
}

#[test]
fn what_is_composed() {
    let a = draw(1, &[4, 4]) + Tensor::eye(4).astype(DType::F64) * 3.0;
    let b = draw(2, &[4]);
    check("solve", &a, |a| linalg::solve(&a, &b));
    check("solve, by the right side", &b, |b| linalg::solve(&a, b));
    check("solve of a batch by one matrix", &a, |a| linalg::solve(&a, draw(3, &[3, 4, 2])));
    check("inv", &a, linalg::inv);
    check("matrix_power", &a, |a| linalg::matrix_power(a, 3));
    check("det", &a, linalg::det);
    check("det of 5", &draw(4, &[2, 5, 5]), linalg::det);
    check("slogdet", &a, |a| linalg::slogdet(a).1);
    check("cholesky", &a.matmul(a.mt()), |a| linalg::cholesky(a));
    check("cholesky_solve", &a.matmul(a.mt()), |a| linalg::cholesky_solve(linalg::cholesky(a), &b));
    check("triangular_solve", &a, |a| {
        linalg::triangular_solve(a, &b, Triangular::upper().unit_diagonal().on_the_right())
    });
    check("pinv, tall", &draw(5, &[4, 2]), linalg::pinv);
    check("pinv, wide", &draw(6, &[2, 4]), linalg::pinv);
    check("lstsq", &draw(7, &[5, 3]), |a| linalg::lstsq(a, draw(8, &[5])));
    check("eigh", &a, |a| {
        let (w, v) = linalg::eigh(a);
        (v * w.sin()).sum_axis(-1)
    });
    check("svd", &draw(9, &[3, 4]), |a| {
        let (u, s, vt) = linalg::svd(a);
        (u * s.exp()).matmul(vt)
    });
    check("nuclear norm", &draw(10, &[4, 3]), |a| linalg::matrix_norm(a, MatrixNorm::Nuclear));
    check("condition", &a, linalg::cond);
    check("norm", &a, linalg::norm);
}

#[test]
fn determinants_of_singular_matrices() {
    let check =
        |a: Tensor| check_grads(linalg::det, a, GradCheck { order: 1, tolerance: 1e-4, ..GradCheck::default() });
    for n in 1..6_usize {
        for rank in n.saturating_sub(3)..=n {
            // Rows repeat, so that pivots are 0 exactly or nearly.
            let rows: Vec<Tensor> = (0..n).map(|i| draw((n * 10 + i.min(rank)) as u64, &[n])).collect();
            let mut a = Tensor::stack(&rows, 0);
            check(a.clone()).unwrap();
            a = a.at((Ellipsis, 0)).set(0.0);
            check(a.clone()).unwrap();
            check(Tensor::stack(&[a, draw(99, &[n, n])], 0)).unwrap();
        }
    }
    // The cofactors, whatever the matrix is; here all but one are 0.
    let a = Tensor::from([2.0, 3.0, 5.0, 0.0]).astype(DType::F64).diag();
    let gradient = grad(linalg::det)(a.clone());
    assert!(gradient.allclose((&a * 0.0).at((3, 3)).set(30.0), 1e-12, 1e-12), "{gradient}");
    let zeros = Tensor::zeros([4, 4]).astype(DType::F64);
    assert_eq!(grad(linalg::det)(zeros).count_nonzero().item::<i32>(), 0);
}

#[test]
fn the_second_derivative_of_a_determinant() {
    // Of logdet(a) at the identity by a[i, j] and a[k, l]: -1 where i = l and j = k.
    let n = 4;
    let eye = Tensor::eye(n).astype(DType::F64);
    for f in [|a: Tensor| linalg::slogdet(a).1, |a: Tensor| linalg::det(a).log()] {
        let h = hessian(f)(eye.clone());
        let expected = Tensor::einsum("il,jk->ijkl", &[&eye, &eye]) * -1.0;
        assert!(h.allclose(expected, 1e-9, 1e-9));
    }
}

#[test]
fn eigenvalues_that_coincide() {
    let a = Tensor::from([1.0, 1.0, 2.0]).diag().astype(DType::F64);
    // Values have derivatives as a whole.
    let trace = grad(|a: Tensor| linalg::eigvalsh(a).sum())(a.clone());
    assert!(trace.allclose(Tensor::eye(3).astype(DType::F64), 1e-12, 1e-12), "{trace}");
    // Vectors have none, which shows.
    let (_, t) = jvp(|a: Tensor| linalg::eigh(a).1, a.clone(), draw(1, &[3, 3]));
    assert!(!t.is_finite().all().item::<bool>());
    let (_, t) = jvp(|a: Tensor| linalg::svd(a).0, a, draw(1, &[3, 3]));
    assert!(!t.is_finite().all().item::<bool>());
}

#[test]
fn what_has_no_derivative_is_told() {
    let tall = draw(1, &[4, 2]);
    for f in [|a: Tensor| linalg::qr_full(a).0.sum(), |a: Tensor| linalg::svd_full(a).0.sum()] {
        let error = try_catch(|| grad(f)(tall.clone())).unwrap_err().to_string();
        assert!(error.contains("full_matrices = false") && error.contains("f64[4,2]"), "{error}");
    }
    // Of square matrices nothing is added.
    grad(|a: Tensor| linalg::svd_full(a).0.sum())(draw(1, &[3, 3]));
    grad(|a: Tensor| linalg::qr_full(a).0.sum())(draw(1, &[2, 3]));
}

#[test]
fn one_matrix_for_a_batch_is_decomposed_once() {
    let a = draw(1, &[3, 3]);
    let many = vmap(|b: Tensor| lax::linear_solve(&a, &b, false).unwrap());
    let program = jit(|b: Tensor| many(b)).program(&draw(2, &[10, 3, 2])).to_string();
    assert!(program.contains("f64[3,20]"), "{program}");
}

#[test]
fn integers_become_floats() {
    assert_eq!(linalg::det(tensor![[1, 2], [3, 4]]).item::<f32>(), -2.0);
    assert_eq!(linalg::inv(tensor![[2, 0], [0, 4]]).to_vec::<f32>(), [0.5, 0.0, 0.0, 0.25]);
}
