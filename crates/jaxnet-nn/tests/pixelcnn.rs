//! PixelCNN++ beside JAX's numbers, which `fixtures/pixelcnn.py` wrote down.

mod common;

use common::*;
use jaxnet_nn::prelude::*;
use serde_json::Value;

/// The script's parameters.
fn parameters(params: &Params) -> Params {
    params.map(|path, leaf| {
        let seed = path.bytes().zip(1..).map(|(byte, i)| i * u32::from(byte)).sum::<u32>() % 97;
        let values = wave(leaf.shape().clone(), 0.5 + f64::from(seed) / 97.0);
        if path.ends_with("scale") { values * 0.4 + 0.5 } else { values }
    })
}

fn net() -> PixelCnn {
    PixelCnn::new(2).filters(3).resnets(1)
}

#[test]
fn outputs_are_those_of_jax() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/pixelcnn.json")).unwrap();
    let x = wave([2, 8, 4, 3], 0.7);
    let params = parameters(&net().init_params(Key::new(0), &x));
    let y = net().apply(&params, &x);
    assert_near(&y, &recorded(&fixture["y"]), 1e-3);
    // One image, and several axes of them; compiled.
    assert_near(&net().apply(&params, &x.i(1)), &y.i(1), 1e-4);
    assert_near(&net().apply(&params, &x.expand_dims(0)).i(0), &y, 1e-4);
    let fast = jit(|(p, x): (Params, Tensor)| net().apply(&p, &x));
    assert_near(&fast.call((params.clone(), x.clone())), &y, 1e-4);
    check_vmap(&net(), &params, &wave([2, 1, 4, 4, 3], 0.3));
}

#[test]
fn pixels_depend_on_those_before_and_no_others() {
    for channels in [1, 3] {
        let x = wave([8, 4, channels], 0.7);
        let params = parameters(&net().init_params(Key::new(0), &x));
        for (row, column) in [(0, 0), (0, 2), (3, 1), (7, 3)] {
            let slope = grad(|x: Tensor| net().apply(&params, &x).i((row, column)).sum())(x.clone());
            let touched = slope.abs().sum_axis(-1).gt(0).reshape([32]).to_vec::<bool>();
            let place = (row * 4 + column) as usize;
            assert!(touched[place..].iter().all(|&touched| !touched), "{row} {column}");
            assert_eq!(touched[..place].iter().filter(|&&touched| touched).count(), place, "{row} {column}");
        }
    }
}

#[test]
fn shifted_convolutions_see_what_they_should() {
    let x = wave([6, 6, 2], 0.7);
    for (layer, right, scale) in [
        (ShiftedConv::down(1, [2, 3]), false, 1),
        (ShiftedConv::down(1, [3, 5]).strides([2, 1]), false, 1),
        (ShiftedConv::down_right(1, [2, 2]), true, 1),
        (ShiftedConv::down_right(1, [3, 3]).strides([2, 2]), true, 1),
        (ShiftedConv::down(1, [2, 3]).strides([2, 2]).transposed(), false, 2),
        (ShiftedConv::down_right(1, [2, 2]).strides([2, 2]).transposed(), true, 2),
    ] {
        let params = layer.init_params(Key::new(0), &x);
        assert_eq!(params.paths(), ["kernel", "scale", "bias"]);
        let y = layer.apply(&params, &x);
        let (rows, columns) = (y.dim(0), y.dim(1));
        // Results are for the places that are the stride apart.
        let stride = |axis: isize, size: usize| if scale == 2 { 1 } else { x.dim(axis) / size };
        let (by_row, by_column) = (stride(0, rows), stride(1, columns));
        for (row, column) in [(0, 0), (1, 1), (rows - 1, columns - 2)] {
            let at = (row as isize, column as isize, 0);
            let slope = grad(|x: Tensor| layer.apply(&params, &x).i(at))(x.clone()).abs().sum_axis(-1);
            let (here_row, here_column) = (row * by_row, column * by_column);
            let mut any = false;
            for (i, touched) in slope.gt(0).flatten().to_vec::<bool>().into_iter().enumerate() {
                let (i, j) = (i / 6 * scale, i % 6 * scale);
                any |= touched;
                assert!(!touched || (i <= here_row && (!right || j <= here_column)), "{row} {column} sees {i} {j}");
            }
            assert!(any);
        }
    }
}

#[test]
fn the_first_images_set_scales() {
    // Every convolution gives mean 0 and its standard deviation for the images that it is made with.
    let x = Key::new(1).uniform([8, 8, 8, 3]) * 2.0 - 1.0;
    let layer = ShiftedConv::down_right(5, [2, 2]).strides([2, 2]).transposed().init_scale(0.1);
    let y = layer.apply(&layer.init_params(Key::new(0), &x), &x);
    assert_near(&y.mean_axis([0, 1, 2]), &Tensor::zeros([5]), 1e-5);
    assert_near(&y.std_axis([0, 1, 2]), &Tensor::full([5], 0.1, DType::F32), 1e-4);
    let net = net().dropout(0.5);
    let params = net.init_params(Key::new(0), &x);
    let y = net.apply(&params, &x);
    assert_near(&y.std_axis([0, 1, 2]), &Tensor::ones([20]), 1e-2);
    // The loss falls.
    let loss = |p: &Params, key: Key| {
        let y = net.call(&Vars::new(p.clone()), &x, Mode::Train(key)).0;
        discretized_logistic_mixture_loss(&y, &x, 256).mean()
    };
    let step = jit(|(p, key): (Params, Key)| {
        let key = std::cell::Cell::new(Some(key));
        let f = |p: Params| loss(&p, key.take().expect("runs once"));
        let (value, slope) = value_and_grad(f)(p.clone());
        let mut slope = slope.leaves().into_iter();
        (p.map(|_, leaf| leaf - slope.next().unwrap().clip(-1.0, 1.0) * 0.01), value)
    });
    let (mut params, mut losses) = (params, Vec::new());
    for i in 0..15 {
        let (next, value) = step.call((params, Key::new(i)));
        losses.push(value.item::<f32>());
        params = next;
    }
    assert!(losses[12..].iter().sum::<f32>() / 3.0 < losses[0] - 0.1, "{losses:?}");
}

#[test]
fn blocks_and_derivatives() {
    let x = wave([1, 4, 4, 2], 0.7).astype(DType::F64);
    check_module(&GatedResnet::down(), &x, 1);
    check_module(&GatedResnet::down_right(), &(x.clone(), x.i((.., .., .., ..1))), 1);
    check_module(&ShiftedConv::down(2, [2, 3]).strides([2, 2]).transposed(), &x, 1);
    assert_near(&concat_elu(&x), &Tensor::concatenate(&[elu(&x), elu(&-&x)], -1), 1e-12);
    let block = GatedResnet::down().dropout(1.0);
    let vars = block.init(Key::new(0), &x);
    // Without units, there is only what the biases give.
    let y = block.call(&vars, &x, Mode::Train(Key::new(0))).0 - &x;
    let bias = &vars.params["conv2.bias"];
    assert_near(&y.i((0, 0, 0)), &(bias.i(..2) * bias.i(2..).sigmoid()).astype(DType::F64), 1e-6);
}

#[test]
fn images_are_drawn_pixel_by_pixel() {
    let net = net();
    let x = Key::new(1).uniform([2, 4, 4, 3]) * 2.0 - 1.0;
    let params = net.init_params(Key::new(0), &x);
    let draw = |keep, seed| {
        let sampler = net.sampler(keep, 256);
        jit(|(p, x): (Params, Tensor)| sampler.apply_with_key(&p, Key::new(seed), &x)).call((params.clone(), x.clone()))
    };
    let drawn = draw(0, 2);
    assert!(drawn.array_equal(draw(0, 2)) && !drawn.array_equal(draw(0, 3)));
    let levels = (&drawn + 1.0) * 127.5;
    assert!(levels.allclose(levels.round(), 0.0, 1e-3) && drawn.abs().le(1.0).all().item::<bool>());
    // What was there before does not count where nothing is kept.
    let sampler = net.sampler(0, 256);
    assert_near(&sampler.apply_with_key(&params, Key::new(2), &x.zeros_like()), &drawn, 1e-5);
    let half = draw(6, 2).reshape([2, 16, 3]);
    assert!(half.i((.., ..6)).array_equal(x.reshape([2, 16, 3]).i((.., ..6))));
    assert!(!half.i((.., 6..)).allclose(x.reshape([2, 16, 3]).i((.., 6..)), 0.1, 0.1));
    assert!(draw(16, 2).array_equal(&x) && draw(99, 2).array_equal(&x));
    // A net that is sure of a value draws it: the means follow the biases of the last layer.
    let sure = params.map(|path, leaf| match path {
        "out.scale" => leaf.zeros_like(),
        "out.bias" => {
            let channel = [-0.4_f32, -0.4, -20.0, -20.0, 0.0, 0.0];
            let all: Vec<f32> = [0.0, 0.0].into_iter().chain(channel).chain(channel).chain(channel).collect();
            Tensor::from_slice(&all, [20]).unwrap()
        }
        _ => leaf.clone(),
    });
    let drawn = sampler.apply_with_key(&sure, Key::new(5), &x);
    assert_near(&drawn, &Tensor::full([2, 4, 4, 3], -0.4, DType::F32), 1e-2);
}

#[test]
fn what_does_not_fit_is_refused() {
    let init = |shape: [usize; 4]| message(|| net().init_params(Key::new(0), &Tensor::zeros(shape)));
    assert!(init([1, 6, 8, 3]).contains("4 divides"));
    assert!(init([1, 8, 8, 2]).contains("1 or 3 channels"));
    assert!(message(|| net().init_params(Key::new(0), &Tensor::zeros([8, 3]))).contains("[batch.., height, width"));
    assert!(message(|| PixelCnn::new(1).dropout(1.5)).contains("1.5"));
    assert!(message(|| GatedResnet::down().dropout(-1.0)).contains("-1"));
    assert!(message(|| ShiftedConv::down(1, [0, 3])).contains("[0, 3]"));
    assert!(message(|| ShiftedConv::down(1, [2, 3]).strides([0, 1])).contains("[0, 1]"));
    let x = Tensor::zeros([4, 4, 2]);
    let wrong = message(|| GatedResnet::down().init_params(Key::new(0), &(x.clone(), x.i(..2))));
    assert!(wrong.contains("[2, 4, 2]"), "{wrong}");
    assert!(message(|| down_shift(&Tensor::zeros([3, 2]))).contains("down_shift"));
    let sampler = net().sampler(0, 1);
    assert!(message(|| sampler.init_params(Key::new(0), &Tensor::zeros([4, 4, 3]))).contains("two levels"));
}
