//! What tests against other libraries' numbers share; `fixtures/common.py` is the other side.
#![allow(dead_code)]

use jaxnet_autograd::{GradCheck, check_grads};
use jaxnet_nn::prelude::*;
use serde_json::Value;

/// As in the scripts.
pub fn wave(shape: impl Into<Shape>, frequency: f64) -> Tensor {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.size()).map(|i| (i as f64 * frequency).sin() as f32).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// Sizes that the scripts recorded.
pub fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

/// Padding that the scripts recorded.
pub fn padding(value: &Value) -> Padding {
    match value {
        Value::String(name) if name == "SAME" => Padding::Same,
        Value::String(_) => Padding::Valid,
        pairs => {
            let pairs = pairs.as_array().unwrap().iter().map(numbers);
            Padding::Explicit(pairs.map(|pair| (pair[0], pair[1])).collect())
        }
    }
}

/// An array that the scripts recorded.
pub fn recorded(value: &Value) -> Tensor {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
    let number = |x: &Value| x.as_f64().unwrap_or_else(|| x.as_str().unwrap().parse().unwrap()) as f32;
    let elements: Vec<f32> = value["elements"].as_array().unwrap().iter().map(number).collect();
    Tensor::from_slice(&elements, shape).unwrap()
}

#[track_caller]
pub fn assert_recorded(x: &Tensor, value: &Value) {
    assert_near(x, &recorded(value), 2e-5);
}

#[track_caller]
pub fn assert_near(x: &Tensor, y: &Tensor, tolerance: f64) {
    assert_eq!(x.shape(), y.shape());
    assert!(x.allclose(y, tolerance, tolerance), "{x} is not {y}");
}

/// What a refusal says.
#[track_caller]
pub fn message<T>(f: impl FnOnce() -> T) -> String {
    try_catch(f).err().expect("it is refused").to_string()
}

/// The same parameters in f64, moved a little so that none is at a special value.
pub fn doubles(params: &Params) -> Params {
    params.map(|_, leaf| leaf.astype(DType::F64) + wave(leaf.shape().clone(), 0.9).astype(DType::F64) * 0.1)
}

/// That a module's derivatives, by parameters and inputs, are right in both modes, and that it gives the same
/// compiled, in evaluation.
#[track_caller]
pub fn check_module<X: Tree + Clone + 'static>(net: &impl Module<X, Output = Tensor>, x: &X, order: usize) {
    let params = doubles(&net.init_params(Key::new(0), x));
    let f = |(params, x): (Params, X)| net.apply(&params, &x);
    let check = GradCheck { order, tolerance: 1e-4, ..GradCheck::default() };
    check_grads(f, (params.clone(), x.clone()), check).unwrap();
    let y = net.apply(&params, x);
    assert_near(&jit(f).call((params, x.clone())), &y, 1e-9);
}

/// That `vmap` of a module over examples is the module on a batch of them.
#[track_caller]
pub fn check_vmap(net: &impl Module<Tensor, Output = Tensor>, params: &Params, batch: &Tensor) {
    let each: Vec<Tensor> = (0..batch.dim(0)).map(|i| net.apply(params, &batch.i(i as isize))).collect();
    let mapped = vmap(|x: Tensor| net.apply(params, &x))(batch.clone());
    assert_near(&mapped, &Tensor::stack(&each, 0), 1e-5);
}
