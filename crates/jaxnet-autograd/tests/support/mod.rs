//! What the tests of rules share: arbitrary tensors, derivatives against central differences, and
//! `vmap` against a loop.

#![allow(dead_code, missing_docs)]

use jaxnet_autograd::{BatchAxes, jvp, vjp, vmap_axes};
use jaxnet_tensor::{DType, Shape, Tensor};

/// A function on tensors, of any number.
pub type F<'a> = &'a dyn Fn(Vec<Tensor>) -> Vec<Tensor>;

/// Arbitrary numbers, the same in every run (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// An integer from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1) as u64) as i64
    }

    /// A size from `low` to `high`, both included.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.between(low as i64, high as i64) as usize
    }

    /// f64 in [-1, 1).
    pub fn tensor(&mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let elements: Vec<f64> =
            (0..shape.size()).map(|_| (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0).collect();
        Tensor::from_slice(&elements, shape).unwrap()
    }

    /// f64 in (-1, 1) that are well apart from each other and from 0: small changes do not alter their
    /// order.
    pub fn distinct(&mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let size = shape.size();
        let mut elements: Vec<f64> = (0..size).map(|i| (2.0 * i as f64 + 1.5) / size as f64 - 1.0).collect();
        for i in (1..size).rev() {
            elements.swap(i, self.size(0, i));
        }
        Tensor::from_slice(&elements, shape).unwrap()
    }

    /// i32 from `low` to `high`, both included.
    pub fn integers(&mut self, shape: impl Into<Shape>, low: i64, high: i64) -> Tensor {
        let shape = shape.into();
        let elements: Vec<i32> = (0..shape.size()).map(|_| self.between(low, high) as i32).collect();
        Tensor::from_slice(&elements, shape).unwrap()
    }

    fn like(&mut self, tensors: &[Tensor]) -> Vec<Tensor> {
        tensors.iter().map(|x| if x.dtype().is_float() { self.tensor(x.shape()) } else { x.zeros_like() }).collect()
    }
}

/// The elements, whatever their dtype.
pub fn values(x: &Tensor) -> Vec<f64> {
    x.astype(DType::F64).to_vec()
}

#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    assert_eq!(got.dtype(), expected.dtype(), "{what}");
    let (got, expected) = (values(got), values(expected));
    for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
        let near = (a - b).abs() <= tolerance * (1.0 + b.abs()) || a == b || (a.is_nan() && b.is_nan());
        assert!(near, "{what}, element {i}: {a} rather than {b}\n   got {got:?}\nrather {expected:?}");
    }
}

fn dot(xs: &[Tensor], ys: &[Tensor]) -> f64 {
    let one = |(x, y): (&Tensor, &Tensor)| -> f64 {
        if !x.dtype().is_float() {
            return 0.0;
        }
        values(x).iter().zip(values(y)).map(|(x, y)| x * y).sum()
    };
    xs.iter().zip(ys).map(one).sum()
}

/// Checks the derivatives of `f` at these inputs, up to an order: forward mode against central
/// differences, reverse mode against forward mode, and the same for both derivatives as functions of
/// the inputs, so that each mode is also run over each.
#[track_caller]
pub fn check_derivatives(f: F<'_>, inputs: &[Tensor], order: usize) {
    check_order("f", f, inputs, order, &mut Numbers::new(17));
}

#[track_caller]
fn check_order(what: &str, f: F<'_>, inputs: &[Tensor], order: usize, numbers: &mut Numbers) {
    let direction = numbers.like(inputs);
    let (y, dy) = jvp(f, inputs.to_vec(), direction.clone());
    let plain = f(inputs.to_vec());
    let step = 1e-5;
    let at = |step: f64| {
        let moved = inputs.iter().zip(&direction);
        f(moved.map(|(x, d)| if x.dtype().is_float() { x + d * step } else { x.clone() }).collect())
    };
    let (after, before) = (at(step), at(-step));
    for (i, y) in y.iter().enumerate() {
        assert_close(&format!("value {i} of jvp of {what}"), y, &plain[i], 0.0);
        if !y.dtype().is_float() {
            continue;
        }
        let difference = (&after[i] - &before[i]) / (2.0 * step);
        assert_close(&format!("tangent {i} of jvp of {what}"), &dy[i], &difference, 1e-7);
    }

    let cotangent = numbers.like(&y);
    let (y, pullback) = vjp(f, inputs.to_vec());
    let cotangents_back = pullback(cotangent.clone());
    for (i, y) in y.iter().enumerate() {
        assert_close(&format!("value {i} of vjp of {what}"), y, &plain[i], 0.0);
    }
    for (ct, x) in cotangents_back.iter().zip(inputs) {
        assert_eq!((ct.shape(), ct.dtype()), (x.shape(), x.dtype()), "cotangents of {what}");
    }
    let (forward, reverse) = (dot(&cotangent, &dy), dot(&cotangents_back, &direction));
    assert!(
        (forward - reverse).abs() <= 1e-10 * (1.0 + forward.abs()),
        "{what}: {forward} forward, {reverse} in reverse"
    );

    if order > 1 {
        let only_floats = |xs: Vec<Tensor>| xs.into_iter().filter(|x| x.dtype().is_float()).collect::<Vec<_>>();
        let tangent = |x: Vec<Tensor>| only_floats(jvp(f, x, direction.clone()).1);
        check_order(&format!("jvp of {what}"), &tangent, inputs, order - 1, numbers);
        let pulled = |x: Vec<Tensor>| only_floats(vjp(f, x).1(cotangent.clone()));
        check_order(&format!("vjp of {what}"), &pulled, inputs, order - 1, numbers);
    }
}

/// Checks `vmap` of `f` against a loop over these examples, for every choice of which inputs are
/// batched and along which axes (those that are not are taken from the first example), for no examples
/// at all, and for a single one.
#[track_caller]
pub fn check_vmap(f: F<'_>, examples: &[Vec<Tensor>]) {
    let first = &examples[0];
    let choices: Vec<usize> = first.iter().map(|x| x.rank() + 2).collect();
    for choice in 0..choices.iter().product::<usize>() {
        let mut rest = choice;
        // The batch axis of each input, or `None`.
        let axes: Vec<Option<usize>> = choices
            .iter()
            .map(|&count| {
                let axis = rest % count;
                rest /= count;
                axis.checked_sub(1)
            })
            .collect();
        if axes.iter().all(Option::is_none) {
            continue;
        }
        compare(f, first, &axes, examples);
        compare(f, first, &axes, &examples[..1]);
        compare(f, first, &axes, &[]);
    }
}

#[track_caller]
fn compare(f: F<'_>, first: &[Tensor], axes: &[Option<usize>], examples: &[Vec<Tensor>]) {
    let batch = |i: usize| match axes[i] {
        None => first[i].clone(),
        Some(axis) if examples.is_empty() => Tensor::full(first[i].shape().with_axis(axis, 0), 0, first[i].dtype()),
        Some(axis) => {
            let parts: Vec<Tensor> = examples.iter().map(|example| example[i].clone()).collect();
            Tensor::stack(&parts, axis as isize)
        }
    };
    let inputs: Vec<Tensor> = (0..first.len()).map(batch).collect();
    let input_axes =
        axes.iter().map(|axis| axis.map_or(BatchAxes::Shared, |axis| BatchAxes::Axis(axis as isize))).collect();
    let results = vmap_axes(f, BatchAxes::Children(input_axes), 0)(inputs);
    let one = |example: &Vec<Tensor>| {
        f(axes
            .iter()
            .enumerate()
            .map(|(i, axis)| if axis.is_some() { &example[i] } else { &first[i] }.clone())
            .collect())
    };
    if examples.is_empty() {
        for (result, one) in results.iter().zip(one(&first.to_vec())) {
            assert_eq!(*result.shape(), one.shape().with_axis(0, 0), "no examples, batch axes {axes:?}");
            assert_eq!(result.dtype(), one.dtype());
        }
        return;
    }
    let looped: Vec<Vec<Tensor>> = examples.iter().map(one).collect();
    for (i, result) in results.iter().enumerate() {
        let parts: Vec<Tensor> = looped.iter().map(|results| results[i].clone()).collect();
        let what = format!("result {i} of {} examples, batch axes {axes:?}", examples.len());
        assert_close(&what, result, &Tensor::stack(&parts, 0), 1e-13);
    }
}
