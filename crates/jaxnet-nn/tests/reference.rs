//! Convolutions and dropout beside JAX's and Flax's numbers, which `fixtures/make.py` wrote down.

mod common;

use common::{check_vmap, numbers, padding, wave};
use jaxnet_nn::prelude::*;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/layers.json")).unwrap()
}

fn check(case: &Value, layer: &Conv) {
    let x = wave(numbers(&case["input"]), 0.7);
    let drawn = layer.init_params(Key::new(0), &x);
    let kernel = drawn["kernel"].shape().clone();
    let mut params = drawn.with("kernel", &wave(kernel, 1.3));
    if drawn.paths().contains(&"bias".to_string()) {
        params = params.with("bias", &wave(drawn["bias"].shape().clone(), 2.1));
    }
    let y = layer.apply(&params, &x);
    assert_eq!(y.shape().dims(), numbers(&case["shape"]), "{case}");
    let expected: Vec<f32> = case["output"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
    let expected = Tensor::from_slice(&expected, y.shape()).unwrap();
    assert!(y.allclose(&expected, 1e-5, 1e-5), "{case}: {y}");
}

/// The layer of a case with so many spatial axes.
fn convolution<const N: usize>(case: &Value) -> Conv {
    let sizes = |name: &str| <[usize; N]>::try_from(numbers(&case[name])).unwrap();
    let count = |name: &str| case[name].as_u64().unwrap() as usize;
    let layer = Conv::new(count("features"), sizes("kernel")).strides(sizes("strides")).dilation(sizes("dilation"));
    layer.groups(count("groups")).padding(padding(&case["padding"]))
}

#[test]
fn convolutions() {
    for case in fixture()["convolutions"].as_array().unwrap() {
        let layer = match numbers(&case["kernel"]).len() {
            1 => convolution::<1>(case),
            2 => convolution::<2>(case),
            _ => convolution::<3>(case),
        };
        check(case, &layer);
        let x = wave([&[3], &numbers(&case["input"])[..]].concat(), 0.7);
        check_vmap(&layer, &layer.init_params(Key::new(0), &x), &x);
    }
}

#[test]
fn transposed_convolutions() {
    for case in fixture()["transposed"].as_array().unwrap() {
        let sizes = |name: &str| numbers(&case[name]);
        let layer = match sizes("kernel")[..] {
            [k] => Conv::transposed(3, [k]).strides([sizes("strides")[0]]).dilation([sizes("dilation")[0]]),
            [h, w] => {
                let (strides, dilation) = (sizes("strides"), sizes("dilation"));
                Conv::transposed(3, [h, w]).strides([strides[0], strides[1]]).dilation([dilation[0], dilation[1]])
            }
            _ => unreachable!("kernels of one or two axes"),
        };
        check(case, &layer.padding(padding(&case["padding"])).without_bias());
    }
}

#[test]
fn other_dimension_numbers() {
    for case in fixture()["dims"].as_array().unwrap() {
        let dims: Vec<&str> = case["dims"].as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
        let kernel = numbers(&case["kernel"]);
        // Sizes and strides are in the order of the kernel's spatial axes.
        let spatial: Vec<usize> = (0..4).filter(|&axis| !"OI".contains(&dims[1][axis..=axis])).collect();
        let out = kernel[dims[1].find('O').unwrap()];
        let layer = Conv::new(out, [kernel[spatial[0]], kernel[spatial[1]]]).strides([1, 2]).padding(Padding::Same);
        check(case, &layer.dimension_numbers(dims[0], dims[1], dims[2]).without_bias());
    }
}

#[test]
fn layouts_are_the_same_layer() {
    // The same key gives the same kernel in another layout, and the bias is added along the channels.
    let last = Conv::new(4, [3, 2]).with_bias_init(normal(1.0));
    let x = Key::new(1).normal([2, 5, 6, 3]);
    let params = last.init_params(Key::new(0), &x);
    let y = last.apply(&params, &x);
    let first = last.clone().dimension_numbers("NCHW", "OIHW", "NCHW");
    let x = x.transpose([0, 3, 1, 2]);
    let other = first.init_params(Key::new(0), &x);
    assert!(other["kernel"].array_equal(params["kernel"].transpose([3, 2, 0, 1])));
    assert!(first.apply(&other, &x).allclose(y.transpose([0, 3, 1, 2]), 1e-5, 1e-5));
}

#[test]
fn transposed_convolutions_are_derivatives_of_convolutions() {
    // With the kernel flipped and its channels swapped.
    let x = Key::new(0).normal([1, 7, 2]);
    let conv = Conv::new(3, [3]).strides([2]).without_bias();
    let params = conv.init_params(Key::new(1), &x);
    let (y, pull) = vjp(|x: Tensor| conv.apply(&params, &x), x);
    let cotangent = Key::new(2).normal(y.shape());
    let up = Conv::transposed(2, [3]).strides([2]).without_bias();
    let kernel = params["kernel"].transpose([0, 2, 1]).flip(0);
    let up_params = up.init_params(Key::new(0), &cotangent).with("kernel", &kernel);
    assert!(up.apply(&up_params, &cotangent).allclose(pull(cotangent), 1e-5, 1e-5));
}

#[test]
fn dimension_numbers_that_do_not_fit_are_refused() {
    let error = |f: &dyn Fn()| try_catch(f).unwrap_err().to_string();
    let layer = || Conv::new(4, [3, 3]);
    assert!(error(&|| drop(layer().dimension_numbers("NHW", "HWIO", "NHWC"))).contains("'C' once"));
    let x = Tensor::zeros([2, 3, 5]);
    let layer = layer().dimension_numbers("NCHW", "OIHW", "NCHW");
    let message = error(&|| drop(layer.init_params(Key::new(0), &x)));
    assert!(
        message.contains("2 spatial axes, a batch and a channel axis, got an input of shape [2, 3, 5]"),
        "{message}"
    );
}

/// The same elements of the same key, also of keys in compiled functions.
#[test]
fn dropout() {
    for case in fixture()["dropout"].as_array().unwrap() {
        let x = wave(numbers(&case["input"]), 0.7);
        let shared = case["broadcast"].as_array().unwrap().iter().map(|axis| axis.as_i64().unwrap() as isize);
        let layer = Dropout::new(case["rate"].as_f64().unwrap()).broadcast(shared.collect::<Vec<_>>());
        let expected: Vec<f64> = case["output"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let expected = Tensor::from(expected).astype(DType::F32).reshape(x.shape());
        let run = |(key, x): (Key, Tensor)| layer.call(&Vars::default(), &x, Mode::Train(key)).0;
        for y in [run((Key::new(3), x.clone())), jit(run).call((Key::new(3), x.clone()))] {
            assert!(y.allclose(&expected, 1e-6, 1e-6), "{case}: {y}");
        }
    }
}
