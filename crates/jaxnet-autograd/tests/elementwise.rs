//! Every elementwise operation: derivatives to second order in both modes, compiled = eager, and
//! batched = one by one.

use jaxnet_autograd::{GradCheck, check_grads, jit, vmap, vmap_axes};
use jaxnet_tensor::primitive::{BinaryOp, Elementwise, UnaryOp};
use jaxnet_tensor::trace::bind1;
use jaxnet_tensor::{DType, Key, Tensor, lax};

/// Where to try a unary operation: away from kinks and poles.
fn domain(op: UnaryOp) -> (f64, f64) {
    use UnaryOp::*;
    match op {
        Log | Sqrt | Rsqrt | Cbrt | Lgamma | Digamma | Abs => (0.3, 3.0),
        Log1p => (-0.6, 3.0),
        Asin | Acos | Atanh | ErfInv => (-0.8, 0.8),
        Acosh => (1.2, 3.0),
        Tan => (-1.2, 1.2),
        Sign | Floor | Ceil | RoundHalfEven | RoundHalfAway => (0.1, 0.4),
        _ => (-2.0, 2.0),
    }
}

fn unary_float() -> impl Iterator<Item = UnaryOp> {
    UnaryOp::ALL.into_iter().filter(|op| op.accepts(DType::F64) && *op != UnaryOp::IsFinite)
}

#[test]
fn unary_derivatives() {
    for (i, op) in unary_float().enumerate() {
        let (low, high) = domain(op);
        let x = Key::new(i as u64).uniform_range([5], low, high, DType::F64);
        let f = |x: Tensor| lax::unary(op, &x).unwrap();
        check_grads(f, x, GradCheck::default()).unwrap_or_else(|error| panic!("{op:?}: {error}"));
    }
}

#[test]
fn binary_derivatives() {
    use BinaryOp::*;
    for (i, op) in [Add, Sub, Mul, Div, Rem, Pow, Max, Min, Atan2].into_iter().enumerate() {
        let [a, b] = Key::new(i as u64).split_array();
        let x = a.uniform_range([5], 0.4, 2.0, DType::F64);
        let y = b.uniform_range([5], 0.55, 2.3, DType::F64);
        let f = |(x, y): (Tensor, Tensor)| lax::binary(op, &x, &y).unwrap();
        check_grads(f, (x.clone(), y.clone()), GradCheck::default()).unwrap_or_else(|e| panic!("{op:?}: {e}"));
        // A scalar beside another shape.
        let scalar = Tensor::scalar(1.3_f64);
        let f = |(x, y): (Tensor, Tensor)| lax::binary(op, &x, &y).unwrap();
        check_grads(f, (x, scalar.clone()), GradCheck::default()).unwrap_or_else(|e| panic!("{op:?}: {e}"));
        check_grads(f, (scalar, y), GradCheck::default()).unwrap_or_else(|e| panic!("{op:?}: {e}"));
    }
    let x = Key::new(9).uniform_range([4], 0.5, 3.0, DType::F64);
    for order in 0..3 {
        let f = |x: Tensor| Tensor::full(x.shape(), order, DType::F64).polygamma(&x);
        check_grads(f, x.clone(), GradCheck { tolerance: 1e-4, ..GradCheck::default() }).unwrap();
    }
}

#[test]
fn other_derivatives() {
    let x = Key::new(0).uniform_range([6], -2.0, 2.0, DType::F64);
    let y = Key::new(1).uniform_range([6], -2.0, 2.0, DType::F64);
    for n in [-3, -1, 0, 1, 2, 3, 5] {
        check_grads(|x: Tensor| x.powi(n), &x + 3.0, GradCheck::default()).unwrap();
    }
    let pred = x.gt(0.0);
    check_grads(|(x, y): (Tensor, Tensor)| pred.select(x, y), (x.clone(), y.clone()), GradCheck::default()).unwrap();
    let clip = |(low, x, high): (Tensor, Tensor, Tensor)| x.clip(low, high);
    let ends = (Tensor::scalar(-0.9_f64), x.clone(), Tensor::scalar(0.8_f64));
    check_grads(clip, ends, GradCheck::default()).unwrap();
    let wide = |x: Tensor| x.astype(DType::F64).sin();
    check_grads(wide, x, GradCheck::default()).unwrap();
}

#[test]
fn compiled_is_eager_and_batched_is_one_by_one() {
    for (i, op) in unary_float().enumerate() {
        let (low, high) = domain(op);
        for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
            let x = Key::new(i as u64).uniform_range([4, 3], low, high, DType::F64).astype(dtype);
            let f = |x: Tensor| bind1(&Elementwise::Unary(op).into(), &[x]).unwrap();
            let eager = f(x.clone());
            let same = |y: Tensor, what: &str| {
                let (y, eager) = (y.astype(DType::F64), eager.astype(DType::F64));
                assert_eq!(y.to_vec::<f64>(), eager.to_vec::<f64>(), "{what} of {op:?} in {dtype}");
            };
            same(jit(f).call(x.clone()), "jit");
            same(vmap(f)(x.clone()), "vmap");
            same(vmap_axes(f, 1, 1)(x.clone()), "vmap along the second axis");
            same(jit(vmap(f)).call(x), "jit of vmap");
        }
    }
}
