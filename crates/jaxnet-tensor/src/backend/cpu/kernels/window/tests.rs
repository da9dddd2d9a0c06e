//! Against loops written from the definitions.

use half::{bf16, f16};

use crate::backend::cpu::kernels::testing_window::{Numbers, number, places};
use crate::dtype::{DType, Element};
use crate::lax;
use crate::primitive::{SelectKind, WindowDims, WindowKind};
use crate::tensor::Tensor;
use crate::with_dtype;

/// The places of the input that a window meets, in the window's row-major order.
fn window_places(window: &WindowDims, shape: &[usize], output: &[usize]) -> Vec<usize> {
    let place = |within: Vec<usize>| {
        let mut place = vec![];
        for (axis, &size) in shape.iter().enumerate() {
            let at = (output[axis] * window.strides[axis] + within[axis] * window.window_dilation[axis]) as i64
                - window.padding[axis].0;
            let by = window.base_dilation[axis] as i64;
            if at < 0 || at % by != 0 || at / by >= size as i64 {
                return None;
            }
            place.push((at / by) as usize);
        }
        Some(number(shape, &place))
    };
    places(&window.size).into_iter().filter_map(place).collect()
}

fn random_window(numbers: &mut Numbers, shape: &[usize], dilations: bool) -> WindowDims {
    let mut window = WindowDims::new(&shape.iter().map(|_| numbers.within(1, 3) as usize).collect::<Vec<_>>()[..]);
    for (axis, &size) in shape.iter().enumerate() {
        match numbers.within(0, 2) {
            // An axis along which the windows do not extend.
            0 => window.size[axis] = 1,
            _ => {
                window.strides[axis] = numbers.within(1, 3) as usize;
                if dilations {
                    window.base_dilation[axis] = numbers.within(1, 3) as usize;
                    window.window_dilation[axis] = numbers.within(1, 3) as usize;
                }
                let least = if size > 2 { -1 } else { 0 };
                window.padding[axis] = (numbers.within(least, 3), numbers.within(least, 3));
            }
        }
    }
    window
}

fn select(kind: SelectKind, values: &[i64], candidates: &[usize]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for &place in candidates {
        let wins = best.is_none_or(|best| match kind {
            SelectKind::Max => values[place] > values[best],
            SelectKind::Min => values[place] < values[best],
        });
        if wins {
            best = Some(place);
        }
    }
    best
}

#[test]
fn windows_agree_with_their_definition() {
    let mut numbers = Numbers::new(1);
    let (mut nonempty, mut padded) = (0, 0);
    for case in 0..1500 {
        let rank = numbers.within(0, 4) as usize;
        let shape = numbers.shape(rank, (case % 20 != 0) as i64, 5);
        let window = random_window(&mut numbers, &shape, true);
        let input = numbers.tensor::<i64>(&shape, -9, 9);
        let tangent = numbers.tensor::<i64>(&shape, -9, 9);
        let (values, tangents) = (input.to_vec::<i64>(), tangent.to_vec::<i64>());
        let output = window.output_shape("test", &shape).unwrap();
        let windows: Vec<Vec<usize>> =
            places(&output).iter().map(|place| window_places(&window, &shape, place)).collect();
        nonempty += (output.size() > 0) as usize;
        padded += windows.iter().any(Vec::is_empty) as usize;

        let reduced = |kind| lax::reduce_window(kind, &input, &window).unwrap().to_vec::<i64>();
        let fold = |start: i64, f: fn(i64, i64) -> i64| -> Vec<i64> {
            windows.iter().map(|places| places.iter().fold(start, |sum, &place| f(sum, values[place]))).collect()
        };
        assert_eq!(reduced(WindowKind::Sum), fold(0, |a, b| a + b), "{shape:?} {window:?}");
        assert_eq!(reduced(WindowKind::Max), fold(i64::MIN, i64::max), "{shape:?} {window:?}");
        assert_eq!(reduced(WindowKind::Min), fold(i64::MAX, i64::min), "{shape:?} {window:?}");
        for kind in [SelectKind::Max, SelectKind::Min] {
            let gathered = lax::select_and_gather_add(kind, &tangent, &input, &window).unwrap().to_vec::<i64>();
            let expected: Vec<i64> =
                windows.iter().map(|places| select(kind, &values, places).map_or(0, |place| tangents[place])).collect();
            assert_eq!(gathered, expected, "{kind:?} {shape:?} {window:?}");
        }
    }
    assert!(nonempty > 1000 && padded > 100, "{nonempty} not empty, {padded} with windows of padding only");
}

#[test]
fn select_and_scatter_agrees_with_its_definition() {
    let mut numbers = Numbers::new(2);
    for case in 0..1000 {
        let rank = numbers.within(0, 4) as usize;
        let shape = numbers.shape(rank, (case % 20 != 0) as i64, 6);
        let window = random_window(&mut numbers, &shape, false);
        let output = window.output_shape("test", &shape).unwrap();
        // Few different values, so that there are ties.
        let operand = numbers.tensor::<i64>(&shape, -2, 2);
        let source = numbers.tensor::<i64>(&output, -9, 9);
        let (values, sources) = (operand.to_vec::<i64>(), source.to_vec::<i64>());
        for kind in [SelectKind::Max, SelectKind::Min] {
            let mut expected = vec![0; values.len()];
            for (place, source) in places(&output).iter().zip(&sources) {
                if let Some(selected) = select(kind, &values, &window_places(&window, &shape, place)) {
                    expected[selected] += source;
                }
            }
            let result = lax::select_and_scatter_add(kind, &source, &operand, &window).unwrap();
            assert_eq!(result.to_vec::<i64>(), expected, "{kind:?} {shape:?} {window:?}");
        }
    }
}

#[test]
fn every_dtype_has_neutral_padding() {
    let window = WindowDims { padding: vec![(3, 1)], ..WindowDims::new(&[2][..]) };
    for dtype in DType::ALL.into_iter().filter(|&dtype| dtype != DType::Bool) {
        with_dtype!(dtype, T => {
            let input = Tensor::from_slice(&[3, 5].map(T::from_i64), [2]).unwrap();
            let run = |kind| lax::reduce_window(kind, &input, &window).unwrap().to_vec::<T>();
            let [least, greatest] = if dtype.is_float() {
                [f64::NEG_INFINITY, f64::INFINITY].map(T::from_f64)
            } else {
                // Conversion saturates.
                [f64::MIN, f64::MAX].map(T::from_f64)
            };
            let of = |numbers: [i64; 3]| numbers.map(T::from_i64).to_vec();
            assert_eq!(run(WindowKind::Sum), [of([0, 0, 3]), of([8, 5, 0])[..2].to_vec()].concat(), "{dtype}");
            assert_eq!(run(WindowKind::Max), [&[least; 2][..], &of([3, 5, 5])].concat(), "{dtype}");
            assert_eq!(run(WindowKind::Min), [&[greatest; 2][..], &of([3, 3, 5])].concat(), "{dtype}");
            let source = Tensor::from_slice(&[1, 2, 4, 6, 7].map(T::from_i64), [5]).unwrap();
            let scattered = lax::select_and_scatter_add(SelectKind::Max, &source, &input, &window).unwrap();
            assert_eq!(scattered.to_vec::<T>(), [4, 13].map(T::from_i64), "{dtype}");
            let gathered = lax::select_and_gather_add(SelectKind::Min, &input, &input, &window).unwrap();
            assert_eq!(gathered.to_vec::<T>(), [0, 0, 3, 3, 5].map(T::from_i64), "{dtype}");
        });
    }
}

#[test]
fn half_precision_sums_are_rounded_once() {
    let window = WindowDims::new(&[1000][..]);
    let ones = Tensor::from_slice(&[bf16::ONE; 1000], [1000]).unwrap();
    let sum = lax::reduce_window(WindowKind::Sum, &ones, &window).unwrap().to_vec::<bf16>();
    assert_eq!(sum, [bf16::from_f32(1000.0)]);
    // 4096 windows select one place: 4096 in f16, where steps are of 4.
    let window = WindowDims { padding: vec![(4095, 4095)], ..WindowDims::new(&[4096][..]) };
    let one = Tensor::from_slice(&[f16::ONE], [1]).unwrap();
    let source = Tensor::from_slice(&[f16::ONE; 4096], [4096]).unwrap();
    let sum = lax::select_and_scatter_add(SelectKind::Max, &source, &one, &window).unwrap().to_vec::<f16>();
    assert_eq!(sum, [f16::from_f32(4096.0)]);
}

#[test]
fn nan_is_greatest_and_least_and_infinity_beats_padding() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let operand = Tensor::from_slice(&[1.0, nan, 2.0, nan, -inf, -inf], [6]).unwrap();
    let window = WindowDims { padding: vec![(0, 1)], ..WindowDims::new(&[2][..]) };
    let max = lax::reduce_window(WindowKind::Max, &operand, &window).unwrap().to_vec::<f32>();
    assert!(max[..4].iter().all(|x| x.is_nan()), "{max:?}");
    assert_eq!(max[4..], [-inf, -inf]);
    let source = Tensor::from_slice(&[1.0_f32, 2.0, 4.0, 8.0, 16.0, 32.0], [6]).unwrap();
    for kind in [SelectKind::Max, SelectKind::Min] {
        let places = lax::select_and_scatter_add(kind, &source, &operand, &window).unwrap().to_vec::<f32>();
        assert_eq!(places, [0.0, 3.0, 0.0, 12.0, 16.0, 32.0], "{kind:?}");
    }
}

/// Sizes at which the work is shared out.
#[test]
fn much_at_once_is_the_same() {
    let mut numbers = Numbers::new(5);
    for (shape, size) in [
        (vec![40, 12, 12, 24], vec![1, 3, 3, 1]),
        (vec![40, 24, 12, 12], vec![1, 1, 3, 3]),
        (vec![8, 20000], vec![2, 1]),
    ] {
        let mut window = WindowDims::new(&size[..]);
        for (axis, &size) in size.iter().enumerate() {
            if size > 1 {
                window.strides[axis] = 2;
                window.padding[axis] = (1, 1);
            }
        }
        let operand = numbers.tensor::<f32>(&shape, -100, 100);
        let output = window.output_shape("test", &shape).unwrap();
        let source = numbers.tensor::<f32>(&output, -100, 100);
        let (values, sources) = (operand.to_vec::<f32>(), source.to_vec::<f32>());
        let (mut sums, mut scattered) = (vec![], vec![0.0; values.len()]);
        for (place, source) in places(&output).iter().zip(sources) {
            let candidates = window_places(&window, &shape, place);
            sums.push(candidates.iter().map(|&place| values[place]).sum::<f32>());
            let mut best = candidates[0];
            for &place in &candidates {
                if values[place] > values[best] {
                    best = place;
                }
            }
            scattered[best] += source;
        }
        assert_eq!(lax::reduce_window(WindowKind::Sum, &operand, &window).unwrap().to_vec::<f32>(), sums, "{shape:?}");
        let result = lax::select_and_scatter_add(SelectKind::Max, &source, &operand, &window).unwrap();
        assert_eq!(result.to_vec::<f32>(), scattered, "{shape:?}");
    }
}
