//! Against the sum written from the definition.

use super::geometry::Geometry;
use super::{depthwise, direct, matrix, phases};
use crate::aval::Aval;
use crate::backend::cpu::kernels::testing_window::{Numbers, places};
use crate::dtype::{DType, Element};
use crate::lax;
use crate::primitive::{ConvDims, ConvGeneralDilated, Primitive};
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::with_dtype;

/// The result in row-major order and its shape, in f64, which is exact for small integers.
fn naive(op: &ConvGeneralDilated, lhs: &Tensor, rhs: &Tensor, out: &[usize]) -> Vec<f64> {
    let dims = &op.dims;
    let (x, k) = (lhs.to_f64_vec().unwrap(), rhs.to_f64_vec().unwrap());
    let at = |values: &[f64], shape: &[usize], place: &[usize]| {
        values[place.iter().zip(shape).fold(0, |number, (&i, &size)| {
            assert!(i < size);
            number * size + i
        })]
    };
    let rank = dims.spatial_rank();
    let kernel: Vec<usize> = dims.rhs_spatial.iter().map(|&axis| rhs.shape()[axis]).collect();
    let inputs = rhs.shape()[dims.rhs_input_feature];
    let outputs = rhs.shape()[dims.rhs_output_feature];
    let value = |place: &Vec<usize>| {
        let (example, feature) = (place[dims.out_batch], place[dims.out_feature]);
        let feature_group = feature / (outputs / op.feature_groups);
        let batch_group = feature / (outputs / op.batch_groups);
        let mut sum = 0.0;
        for input in 0..inputs {
            for within in places(&kernel) {
                let mut from = vec![0; rank + 2];
                from[dims.lhs_batch] = batch_group * out[dims.out_batch] + example;
                from[dims.lhs_feature] = feature_group * inputs + input;
                let mut with = vec![0; rank + 2];
                with[dims.rhs_output_feature] = feature;
                with[dims.rhs_input_feature] = input;
                let mut inside = true;
                for i in 0..rank {
                    let at = (place[dims.out_spatial[i]] * op.strides[i] + within[i] * op.rhs_dilation[i]) as i64
                        - op.padding[i].0;
                    let by = op.lhs_dilation[i] as i64;
                    inside &= at >= 0 && at % by == 0 && at / by < lhs.shape()[dims.lhs_spatial[i]] as i64;
                    from[dims.lhs_spatial[i]] = (at / by).max(0) as usize;
                    with[dims.rhs_spatial[i]] = within[i];
                }
                if inside {
                    sum += at(&x, lhs.shape(), &from) * at(&k, rhs.shape(), &with);
                }
            }
        }
        sum
    };
    places(out).iter().map(value).collect()
}

fn shuffled(numbers: &mut Numbers, size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..size).collect();
    for i in (1..size).rev() {
        order.swap(i, numbers.within(0, i as i64) as usize);
    }
    order
}

/// Layouts that are common, or any.
fn random_dims(numbers: &mut Numbers, rank: usize) -> ConvDims {
    let last = |first: usize, second: usize| {
        (first, second, (0..rank + 2).filter(move |&axis| axis != first && axis != second))
    };
    let pick = numbers.within(0, 3);
    let mut layout = |kind: usize| -> (usize, usize, Dims) {
        // Batch (or output feature), feature (or input feature), spatial.
        let (a, b, rest) = match (pick, kind) {
            (0, 0 | 2) => last(0, rank + 1),
            (0, _) => last(rank + 1, rank),
            (1, _) => last(0, 1),
            // As in the derivative by the kernel, of NHWC.
            (2, 0) => last(rank + 1, 0),
            (2, 1) => last(rank + 1, 0),
            (2, _) => last(rank, rank + 1),
            _ => {
                let order = shuffled(numbers, rank + 2);
                return (order[0], order[1], order[2..].into());
            }
        };
        (a, b, rest.collect())
    };
    let (lhs, rhs, out) = (layout(0), layout(1), layout(2));
    ConvDims {
        lhs_batch: lhs.0,
        lhs_feature: lhs.1,
        lhs_spatial: lhs.2,
        rhs_output_feature: rhs.0,
        rhs_input_feature: rhs.1,
        rhs_spatial: rhs.2,
        out_batch: out.0,
        out_feature: out.1,
        out_spatial: out.2,
    }
}

struct Case {
    op: ConvGeneralDilated,
    lhs: Vec<usize>,
    rhs: Vec<usize>,
}

/// A random convolution; `scale` makes its sizes larger.
fn random_case(numbers: &mut Numbers, scale: i64) -> Case {
    let mut choose = |low: i64, high: i64| numbers.within(low, high) as usize;
    let rank = choose(0, 3);
    let (feature_groups, batch_groups) = match choose(0, 3) {
        0 => (choose(1, 4), 1),
        1 => (1, choose(1, 4)),
        _ => (1, 1),
    };
    let groups = feature_groups * batch_groups;
    let empty = choose(0, 30) == 0;
    let batch = batch_groups * choose(1, 3 * scale);
    let inputs = if empty { 0 } else { choose(1, 4 * scale) };
    // Depthwise convolutions among them.
    let inputs = if groups > 1 && choose(0, 1) == 0 { 1 } else { inputs };
    let outputs = groups * choose(!empty as i64, 4 * scale);
    let mut op = ConvGeneralDilated {
        dims: random_dims(numbers, rank),
        strides: Dims::from_elem(1, rank),
        padding: vec![(0, 0); rank],
        lhs_dilation: Dims::from_elem(1, rank),
        rhs_dilation: Dims::from_elem(1, rank),
        feature_groups,
        batch_groups,
    };
    let mut choose = |low: i64, high: i64| numbers.within(low, high);
    let (mut lhs, mut rhs) = (vec![0; rank + 2], vec![0; rank + 2]);
    (lhs[op.dims.lhs_batch], lhs[op.dims.lhs_feature]) = (batch, inputs * feature_groups);
    (rhs[op.dims.rhs_output_feature], rhs[op.dims.rhs_input_feature]) = (outputs, inputs);
    let simple = choose(0, 2) == 0;
    for i in 0..rank {
        lhs[op.dims.lhs_spatial[i]] = choose(1, 6 + scale) as usize;
        rhs[op.dims.rhs_spatial[i]] = choose(1, 3) as usize;
        if simple {
            continue;
        }
        op.strides[i] = choose(1, 3) as usize;
        op.lhs_dilation[i] = choose(0, 4).max(1) as usize;
        op.rhs_dilation[i] = choose(0, 3).max(1) as usize;
        let least = if lhs[op.dims.lhs_spatial[i]] > 2 { -1 } else { 0 };
        op.padding[i] = (choose(least, 3), choose(least, 3));
    }
    Case { op, lhs, rhs }
}

fn check<T: Element>(numbers: &mut Numbers, case: &Case) -> bool {
    // Not negative for the unsigned; sums must be exact in bf16 and not wrap in u8.
    let (lhs, rhs) = (numbers.tensor::<T>(&case.lhs, 0, 1), numbers.tensor::<T>(&case.rhs, 0, 2));
    check_tensors::<T>(case, &lhs, &rhs)
}

fn check_tensors<T: Element>(case: &Case, lhs: &Tensor, rhs: &Tensor) -> bool {
    let result = lax::conv_general_dilated(lhs, rhs, &case.op).unwrap();
    let expected: Vec<T> = naive(&case.op, lhs, rhs, result.shape()).into_iter().map(T::from_f64).collect();
    assert_eq!(result.to_vec::<T>(), expected, "{:?}, input {:?}, kernel {:?}", case.op, case.lhs, case.rhs);
    result.size() > 0
}

#[test]
fn small_ones_agree_with_their_definition() {
    let mut numbers = Numbers::new(1);
    let nonempty = (0..500)
        .filter(|_| {
            let case = random_case(&mut numbers, 1);
            let (lhs, rhs) = (numbers.tensor::<f32>(&case.lhs, -5, 5), numbers.tensor::<f32>(&case.rhs, -5, 5));
            check_tensors::<f32>(&case, &lhs, &rhs)
        })
        .count();
    assert!(nonempty > 300, "{nonempty}");
}

#[test]
fn every_dtype_agrees_with_the_definition() {
    let mut numbers = Numbers::new(2);
    for dtype in DType::ALL.into_iter().filter(|&dtype| dtype != DType::Bool) {
        with_dtype!(dtype, T => {
            for _ in 0..25 {
                let case = random_case(&mut numbers, 1);
                check::<T>(&mut numbers, &case);
            }
        });
    }
}

#[test]
fn larger_ones_agree_with_their_definition() {
    let mut numbers = Numbers::new(3);
    for i in 0..120 {
        let case = random_case(&mut numbers, 3);
        if i % 2 == 0 {
            let (lhs, rhs) = (numbers.tensor::<f32>(&case.lhs, -5, 5), numbers.tensor::<f32>(&case.rhs, -5, 5));
            check_tensors::<f32>(&case, &lhs, &rhs);
        } else {
            let (lhs, rhs) = (numbers.tensor::<f64>(&case.lhs, -5, 5), numbers.tensor::<f64>(&case.rhs, -5, 5));
            check_tensors::<f64>(&case, &lhs, &rhs);
        }
    }
}

#[test]
fn numbers_worked_out_by_hand() {
    let dims = ConvDims::parse("NWC", "WIO", "NWC").unwrap();
    let op = |strides: usize, padding: (i64, i64), lhs: usize, rhs: usize| ConvGeneralDilated {
        dims: dims.clone(),
        strides: Dims::from_elem(strides, 1),
        padding: vec![padding],
        lhs_dilation: Dims::from_elem(lhs, 1),
        rhs_dilation: Dims::from_elem(rhs, 1),
        feature_groups: 1,
        batch_groups: 1,
    };
    let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], [1, 4, 1]).unwrap();
    let k = Tensor::from_slice(&[10.0_f32, 1.0], [2, 1, 1]).unwrap();
    let run = |op: &ConvGeneralDilated| lax::conv_general_dilated(&x, &k, op).unwrap().to_vec::<f32>();
    // A cross-correlation: the kernel is not reversed.
    assert_eq!(run(&op(1, (0, 0), 1, 1)), [12.0, 23.0, 34.0]);
    assert_eq!(run(&op(1, (1, 1), 1, 1)), [1.0, 12.0, 23.0, 34.0, 40.0]);
    assert_eq!(run(&op(2, (0, 0), 1, 1)), [12.0, 34.0]);
    assert_eq!(run(&op(1, (0, 0), 1, 2)), [13.0, 24.0]);
    assert_eq!(run(&op(1, (0, 0), 2, 1)), [10.0, 2.0, 20.0, 3.0, 30.0, 4.0]);
    assert_eq!(run(&op(1, (-1, 1), 1, 1)), [23.0, 34.0, 40.0]);
}

#[test]
fn sums_of_nothing_are_zero() {
    let dims = ConvDims::parse("NHWC", "HWIO", "NHWC").unwrap();
    let op = ConvGeneralDilated {
        dims,
        strides: Dims::from_elem(1, 2),
        padding: vec![(1, 1); 2],
        lhs_dilation: Dims::from_elem(1, 2),
        rhs_dilation: Dims::from_elem(1, 2),
        feature_groups: 1,
        batch_groups: 1,
    };
    let run = |lhs: [usize; 4], rhs: [usize; 4]| {
        let ones = |shape: [usize; 4]| Tensor::from_slice(&vec![1.0_f32; shape.iter().product()], shape).unwrap();
        lax::conv_general_dilated(&ones(lhs), &ones(rhs), &op).unwrap()
    };
    assert_eq!(run([2, 4, 4, 0], [3, 3, 0, 5]).to_vec::<f32>(), vec![0.0; 2 * 4 * 4 * 5]);
    assert_eq!(run([2, 0, 4, 3], [2, 3, 3, 5]).to_vec::<f32>(), vec![0.0; 2 * 4 * 5]);
    assert_eq!(run([0, 4, 4, 3], [3, 3, 3, 5]).shape().dims(), [0, 4, 4, 5]);
    assert_eq!(run([2, 4, 4, 3], [3, 3, 3, 0]).shape().dims(), [2, 4, 4, 0]);
    assert_eq!(run([2, 1, 1, 3], [4, 4, 3, 5]).shape().dims(), [2, 0, 0, 5]);
}

/// The same through each of the ways to compute it, which sizes choose among otherwise.
fn check_ways(case: &Case, numbers: &mut Numbers) {
    let lhs = numbers.tensor::<f64>(&case.lhs, -5, 5).to_vec::<f64>();
    let rhs = numbers.tensor::<f64>(&case.rhs, -5, 5).to_vec::<f64>();
    let avals = [&case.lhs, &case.rhs].map(|shape| Aval::new(DType::F64, &shape[..]));
    let shape = Primitive::from(case.op.clone()).infer(&[&avals[0], &avals[1]]).unwrap()[0].shape.clone();
    let geometry = Geometry::new(&case.op, &avals[0].shape, &avals[1].shape, &shape);
    if shape.size() * lhs.len() * rhs.len() == 0 {
        return;
    }
    let run = |convolve: fn(&Geometry, &[f64], &[f64], &mut [f64])| {
        let mut output = vec![f64::NAN; shape.size()];
        convolve(&geometry, &lhs, &rhs, &mut output);
        output
    };
    let expected = run(direct::convolve);
    assert!(run(matrix::convolve) == expected, "{:?}, input {:?}, kernel {:?}", case.op, case.lhs, case.rhs);
    if phases::applies(&geometry) {
        let by_phases = run(|geometry, lhs, rhs, output| phases::convolve(geometry, lhs, rhs, output, super::convolve));
        assert!(by_phases == expected, "{:?}, input {:?}, kernel {:?}", case.op, case.lhs, case.rhs);
    }
    if depthwise::applies(&geometry) {
        assert!(run(depthwise::convolve) == expected, "{:?}, input {:?}, kernel {:?}", case.op, case.lhs, case.rhs);
    }
}

#[test]
fn all_ways_agree() {
    let mut numbers = Numbers::new(4);
    for i in 0..1500 {
        let case = random_case(&mut numbers, 1 + (i % 10 == 0) as i64);
        check_ways(&case, &mut numbers);
    }
}

/// Sizes at which the work is split up in each possible way.
#[test]
fn blocks_fit_together() {
    let conv = |dims: [&str; 3], strides: usize, padding: (i64, i64), groups: (usize, usize)| ConvGeneralDilated {
        dims: ConvDims::parse(dims[0], dims[1], dims[2]).unwrap(),
        strides: Dims::from_elem(strides, 2),
        padding: vec![padding; 2],
        lhs_dilation: Dims::from_elem(1, 2),
        rhs_dilation: Dims::from_elem(1, 2),
        feature_groups: groups.0,
        batch_groups: groups.1,
    };
    let case = |op: ConvGeneralDilated, lhs: [usize; 4], rhs: [usize; 4]| Case { op, lhs: lhs.into(), rhs: rhs.into() };
    let nhwc = ["NHWC", "HWIO", "NHWC"];
    let nchw = ["NCHW", "OIHW", "NCHW"];
    // The derivatives by the kernel of convolutions in these layouts.
    let by_kernel = ["CHWN", "IHWO", "HWNC"];
    let by_kernel_nchw = ["CNHW", "IOHW", "CNHW"];
    let cases = [
        case(conv(nhwc, 1, (1, 1), (1, 1)), [3, 20, 19, 8], [3, 3, 8, 5]),
        case(conv(nhwc, 2, (0, 1), (1, 1)), [3, 20, 19, 8], [3, 3, 8, 70]),
        // More terms than a block has elements in all of its rows.
        case(conv(nhwc, 1, (0, 0), (1, 1)), [2, 9, 9, 300], [5, 5, 300, 3]),
        case(conv(nhwc, 1, (1, 1), (4, 1)), [2, 15, 15, 16], [3, 3, 4, 8]),
        case(conv(nhwc, 1, (1, 1), (24, 1)), [2, 15, 15, 24], [3, 3, 1, 24]),
        case(conv(nhwc, 1, (0, 0), (1, 1)), [4, 14, 14, 20], [1, 1, 20, 30]),
        case(conv(nhwc, 2, (0, 0), (1, 1)), [4, 14, 14, 20], [1, 1, 20, 30]),
        case(conv(nchw, 1, (1, 1), (1, 1)), [3, 8, 40, 39], [5, 8, 3, 3]),
        case(conv(nchw, 2, (2, 1), (1, 1)), [1, 8, 41, 39], [5, 8, 3, 3]),
        case(conv(nchw, 1, (1, 1), (2, 1)), [3, 8, 20, 19], [6, 4, 3, 3]),
        case(conv(nchw, 1, (0, 0), (1, 1)), [3, 8, 20, 19], [6, 8, 1, 1]),
        case(conv(by_kernel, 1, (1, 1), (1, 1)), [4, 40, 40, 3], [4, 40, 40, 5]),
        case(conv(by_kernel, 1, (1, 1), (1, 1)), [2, 66, 66, 30], [2, 66, 66, 3]),
        case(conv(by_kernel, 1, (1, 1), (1, 16)), [4, 40, 40, 16], [4, 40, 40, 16]),
        case(conv(by_kernel_nchw, 1, (1, 1), (1, 1)), [4, 3, 40, 40], [4, 5, 40, 40]),
        case(conv(["CNHW", "IOHW", "NCHW"], 1, (1, 1), (1, 1)), [4, 3, 40, 40], [4, 5, 40, 40]),
    ];
    let mut numbers = Numbers::new(5);
    for case in &cases {
        check_ways(case, &mut numbers);
    }
}
