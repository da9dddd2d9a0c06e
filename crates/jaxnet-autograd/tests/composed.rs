//! Derivatives of what is composed of primitives, and that it batches and compiles.

use jaxnet_autograd::{GradCheck, check_grads, grad, jit, vmap};
use jaxnet_tensor::{DType, Key, Tensor, tensor};

fn draw(seed: u64, shape: &[usize]) -> Tensor {
    Key::new(seed).normal_dtype(shape, DType::F64)
}

/// Derivatives against differences, compiled against eager, and a batch against a loop.
#[track_caller]
fn check(name: &str, x: &Tensor, f: impl Fn(Tensor) -> Tensor + Clone) {
    if let Err(error) = check_grads(f.clone(), x.clone(), GradCheck::default()) {
        panic!("{name}: {error}");
    }
    let eager = f(x.clone());
    let compiled = jit(f.clone()).call(x.clone());
    assert!(compiled.allclose(&eager, 1e-12, 1e-12), "{name}: compiled");
    let rows = Tensor::stack(&[x.clone(), x * 1.5], 0);
    let batched = vmap(f.clone())(rows);
    let looped = Tensor::stack(&[eager, f(x * 1.5)], 0);
    assert!(batched.allclose(&looped, 1e-12, 1e-12), "{name}: batched");
}

#[test]
fn einsum() {
    let x = draw(1, &[2, 3, 3]);
    let (y, z) = (draw(2, &[3, 4]), draw(3, &[1, 3]));
    check("diagonal", &x, |x| Tensor::einsum("ijj->ij", &[x]));
    check("trace", &x, |x| Tensor::einsum("ijj", &[x]));
    check("matrix product", &x, |x| Tensor::einsum("...j,jk->k...", &[&x, &y]));
    check("with itself", &x, |x| Tensor::einsum("ijk,ilk->jl", &[&x, &x]));
    check("elementwise", &x, |x| Tensor::einsum("ijk,ij->ikj", &[&x, &z]));
    check("three", &x, |x| Tensor::einsum("ijk,kl,ij->l", &[&x, &y, &z]));
}

#[test]
fn products() {
    let x = draw(4, &[2, 3]);
    let y = draw(5, &[3, 2]);
    check("tensordot", &x, |x| x.tensordot(&y, ([0, 1], [1, 0])));
    check("inner", &x, |x| x.inner(&x));
    check("outer", &x, |x| x.outer(&y));
    check("vdot", &x, |x| x.vdot(&y));
    check("dot", &x, |x| x.dot(&y));
    check("trace", &x, |x| x.trace(1));
}

#[test]
fn elementwise() {
    let (x, y) = (draw(6, &[2, 3]), draw(7, &[2, 3]));
    check("logaddexp", &x, |x| x.logaddexp(&y));
    check("hypot", &x, |x| x.hypot(&y));
    check("log2", &x, |x| x.square().log2());
    check("log10", &x, |x| x.square().log10());
    check("exp2", &x, |x| x.exp2());
    check("copysign", &x, |x| x.copysign(&y));
    check("nan_to_num", &x, |x| x.nan_to_num());
    check("trunc", &x, |x| x.trunc());
    check("modulo", &x, |x| x.modulo(0.7));
}

#[test]
fn statistics() {
    let x = draw(8, &[4, 3]);
    check("quantile", &x, |x| x.quantile(tensor![0.3, 0.9; dtype = DType::F64], 0));
    check("cov", &x, |x| x.cov());
    check("var_ddof", &x, |x| x.var_ddof(0, 1));
    check("diff", &x, |x| x.diff(2, 0));
    check("average", &x, |x| x.average(tensor![1.0, 2.0, 3.0, 4.0; dtype = DType::F64], 0));
    check("rot90", &x, |x| x.rot90(1, (0, 1)));
}

#[test]
fn derivatives_are_finite_where_values_are_not() {
    let (inf, x) = (f32::INFINITY, tensor![0.0, f32::INFINITY, f32::NEG_INFINITY, 1.0]);
    let y = tensor![f32::NEG_INFINITY, inf, f32::NEG_INFINITY, 1.0];
    let slope = grad(|x: Tensor| x.logaddexp(&y).sum())(x);
    assert_eq!(slope.to_vec::<f32>(), [1.0, 0.5, 0.5, 0.5]);
    let slope = grad(|x: Tensor| x.hypot(tensor![0.0, 4.0]).sum())(tensor![0.0, 3.0]);
    assert!(slope.is_finite().all().item::<bool>());
    assert!((slope.i(1).item::<f32>() - 0.6).abs() < 1e-6);
    let slope = grad(|x: Tensor| x.nan_to_num().sum())(tensor![f32::NAN, 2.0, inf]);
    assert_eq!(slope.to_vec::<f32>(), [0.0, 1.0, 0.0]);
}
