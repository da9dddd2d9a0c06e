//! Against naive loops in f64 or i64, at random shapes and at those large enough to be split.

use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::lax;
use crate::primitive::{ArgKind, CumulativeKind, ReduceKind};
use crate::shape::{Dims, Shape};
use crate::tensor::Tensor;
use crate::testing::{Arbitrary, indices, ravel};

const KINDS: [ReduceKind; 6] =
    [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min, ReduceKind::And, ReduceKind::Or];

/// Whether inference lets this pass.
fn accepts(kind: ReduceKind, dtype: DType) -> bool {
    match kind {
        ReduceKind::Sum | ReduceKind::Prod => dtype != DType::Bool,
        ReduceKind::Max | ReduceKind::Min => true,
        ReduceKind::And | ReduceKind::Or => !dtype.is_float(),
    }
}

fn neutral<T: Element>(kind: ReduceKind) -> T {
    let float = T::DTYPE.is_float();
    match kind {
        ReduceKind::Sum | ReduceKind::Or => T::from_i64(0),
        ReduceKind::Prod => T::from_i64(1),
        ReduceKind::Max if float => T::from_f64(f64::NEG_INFINITY),
        ReduceKind::Min if float => T::from_f64(f64::INFINITY),
        // Saturating conversion gives the ends of the integers' ranges.
        ReduceKind::Max if T::DTYPE == DType::Bool => T::from_i64(0),
        ReduceKind::Max => T::from_f64(f64::NEG_INFINITY),
        ReduceKind::Min => T::from_f64(f64::INFINITY),
        ReduceKind::And => T::from_i64(-1),
    }
}

fn join_f64(kind: ReduceKind, a: f64, b: f64) -> f64 {
    match kind {
        ReduceKind::Sum => a + b,
        ReduceKind::Prod => a * b,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        ReduceKind::Max => a.max(b),
        ReduceKind::Min => a.min(b),
        ReduceKind::And | ReduceKind::Or => unreachable!(),
    }
}

fn join_i64(kind: ReduceKind, a: i64, b: i64) -> i64 {
    match kind {
        ReduceKind::Sum => a.wrapping_add(b),
        ReduceKind::Prod => a.wrapping_mul(b),
        ReduceKind::Max => a.max(b),
        ReduceKind::Min => a.min(b),
        ReduceKind::And => a & b,
        ReduceKind::Or => a | b,
    }
}

/// The relative error that a float dtype's own rounding makes.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 2.0_f64.powi(-8),
        DType::F16 => 2.0_f64.powi(-11),
        DType::F32 => 2.0_f64.powi(-24),
        _ => 2.0_f64.powi(-53),
    }
}

fn check_reduce<T: Element>(kind: ReduceKind, x: &Tensor, axes: &[usize]) {
    let y = lax::reduce(kind, x, axes).unwrap();
    let elements = x.to_vec::<T>();
    let kept: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
    let mut floats = vec![neutral::<T>(kind).to_f64(); y.size()];
    let mut sizes = vec![0.0; y.size()];
    let mut integers = vec![neutral::<T>(kind).to_i64(); y.size()];
    for (index, x) in indices(x.shape()).zip(&elements) {
        let to = ravel(&kept.iter().map(|&axis| index[axis]).collect::<Vec<_>>(), y.shape());
        if T::DTYPE.is_float() {
            floats[to] = join_f64(kind, floats[to], x.to_f64());
            sizes[to] += x.to_f64().abs();
        } else {
            integers[to] = join_i64(kind, integers[to], x.to_i64());
        }
    }
    for (i, y) in y.to_vec::<T>().into_iter().enumerate() {
        let what = || format!("{kind:?} of {} over {axes:?}: element {i}", x.aval());
        if !T::DTYPE.is_float() {
            assert_eq!(y, T::from_i64(integers[i]), "{}", what());
            continue;
        }
        // Sums may err by a few roundings of f32 of what is added up and one of the result.
        let wide = epsilon(T::DTYPE).min(epsilon(DType::F32));
        let tolerance = match kind {
            ReduceKind::Sum => 8.0 * wide * sizes[i] + epsilon(T::DTYPE) * floats[i].abs(),
            ReduceKind::Prod => (epsilon(T::DTYPE) + 100.0 * wide) * floats[i].abs() + 1e-7,
            _ => 0.0,
        };
        let (y, expected) = (y.to_f64(), floats[i]);
        let near = (y - expected).abs() <= tolerance || y == expected || (y.is_nan() && expected.is_nan());
        assert!(near, "{}: {y} is not {expected}", what());
    }
}

#[test]
fn reductions_agree_with_loops() {
    let mut random = Arbitrary::new(3);
    for round in 0..300 {
        let dtype = DType::ALL[round % DType::ALL.len()];
        let shape = match random.below(3) {
            0 => (0..1 + random.below(3)).map(|_| 1 + random.below(45)).collect(),
            1 => random.shape(6, 0, 4),
            _ => random.shape(6, 1, 4),
        };
        let axes: Dims = random.permutation(shape.rank()).into_iter().filter(|_| random.coin()).collect();
        let x = random.tensor(dtype, &shape);
        for kind in KINDS.into_iter().filter(|&kind| accepts(kind, dtype)) {
            crate::with_dtype!(dtype, T => check_reduce::<T>(kind, &x, &axes));
        }
    }
}

#[test]
fn large_reductions_agree_with_loops() {
    let mut random = Arbitrary::new(4);
    // Above the size from which the work is shared out, with long and short axes everywhere.
    let shapes: [&[usize]; 7] =
        [&[70_003], &[3, 25_001], &[25_001, 3], &[270, 300], &[15, 50, 100], &[5, 6, 7, 8, 50], &[30, 2500]];
    for (i, shape) in shapes.into_iter().enumerate() {
        for (j, dtype) in [DType::F32, DType::F16, DType::I32].into_iter().enumerate() {
            let x = random.tensor(dtype, &Shape::from(shape));
            for axes in (0..1_usize << shape.len()).skip(j).step_by(shape.len().div_ceil(2)) {
                let axes: Dims = (0..shape.len()).filter(|axis| axes >> axis & 1 == 1).collect();
                let kind = KINDS[(i + j + axes.len()) % if dtype.is_float() { 4 } else { 6 }];
                crate::with_dtype!(dtype, T => check_reduce::<T>(kind, &x, &axes));
            }
        }
    }
}

#[test]
fn sums_of_many_are_accurate() {
    // 0.1 in f32 is 1.49e-9 too large; what is left is the error of the sum. A plain loop gives 1087937.
    let x = Tensor::from_slice(&vec![0.1_f32; 10_000_000], [10_000_000]).unwrap();
    let sum = lax::reduce(ReduceKind::Sum, &x, &[0]).unwrap().item::<f64>();
    assert!((sum - 1_000_000.015).abs() < 0.5, "{sum}");
    let columns = lax::reshape(&x, [2_500_000, 4]).unwrap();
    for sum in lax::reduce(ReduceKind::Sum, &columns, &[0]).unwrap().to_vec::<f32>() {
        assert!((sum - 250_000.0).abs() < 0.1, "{sum}");
    }
    let last = lax::cumulative(CumulativeKind::Sum, &x, 0, false).unwrap().to_vec::<f32>()[9_999_999];
    assert!((last - 1_000_000.0).abs() < 1.0, "{last}");
    // 16-bit floats: accumulated in f32, so that 1 more than 2048 ones counts.
    let halves = Tensor::from_slice(&vec![f16::ONE; 5000], [5000]).unwrap();
    assert_eq!(lax::reduce(ReduceKind::Sum, &halves, &[0]).unwrap().to_vec::<f16>(), [f16::from_f32(5000.0)]);
}

#[test]
fn nothing_reduces_to_the_neutral_element() {
    let reduce = |kind, dtype, shape: [usize; 2]| {
        lax::reduce(kind, &Tensor::from_bytes(&crate::Aval::new(dtype, shape), &[]).unwrap(), &[0]).unwrap()
    };
    assert_eq!(reduce(ReduceKind::Sum, DType::F32, [0, 2]).to_vec::<f32>(), [0.0, 0.0]);
    assert_eq!(reduce(ReduceKind::Prod, DType::I64, [0, 2]).to_vec::<i64>(), [1, 1]);
    assert_eq!(reduce(ReduceKind::Max, DType::BF16, [0, 1]).to_vec::<bf16>(), [bf16::NEG_INFINITY]);
    assert_eq!(reduce(ReduceKind::Min, DType::F64, [0, 1]).to_vec::<f64>(), [f64::INFINITY]);
    assert_eq!(reduce(ReduceKind::Max, DType::I32, [0, 1]).to_vec::<i32>(), [i32::MIN]);
    assert_eq!(reduce(ReduceKind::Min, DType::U8, [0, 1]).to_vec::<u8>(), [255]);
    assert_eq!(reduce(ReduceKind::Max, DType::Bool, [0, 1]).to_vec::<bool>(), [false]);
    assert_eq!(reduce(ReduceKind::And, DType::Bool, [0, 1]).to_vec::<bool>(), [true]);
    assert_eq!(reduce(ReduceKind::And, DType::U32, [0, 1]).to_vec::<u32>(), [u32::MAX]);
    assert_eq!(reduce(ReduceKind::Or, DType::I32, [0, 1]).to_vec::<i32>(), [0]);
    assert!(reduce(ReduceKind::Sum, DType::F32, [0, 0]).to_vec::<f32>().is_empty());
}

#[test]
fn nan_wins_wherever_it_is() {
    for size in [1, 5, 9, 40, 200, 3000, 70_000] {
        for place in [0, size / 2, size - 1] {
            let mut elements = vec![f32::INFINITY; size];
            elements[place] = f32::NAN;
            let x = Tensor::from_slice(&elements, [size]).unwrap();
            let column = lax::reshape(&x, [size, 1]).unwrap();
            let wide = lax::broadcast_in_dim(&column, [size, 2], &[0, 1]).unwrap();
            for kind in [ReduceKind::Max, ReduceKind::Min] {
                assert!(lax::reduce(kind, &x, &[0]).unwrap().item::<f32>().is_nan());
                assert!(lax::reduce(kind, &wide, &[0]).unwrap().to_vec::<f32>().iter().all(|x| x.is_nan()));
            }
            for kind in [ArgKind::Max, ArgKind::Min] {
                let found = |x: &Tensor| lax::arg_reduce(kind, x, 0, DType::I64).unwrap().to_vec::<i64>();
                assert_eq!(found(&x), [place as i64]);
                assert_eq!(found(&wide), [place as i64; 2]);
            }
        }
    }
}

#[test]
fn every_half_widens_as_the_library_says() {
    use super::combine::Accumulate;
    for bits in 0..=u16::MAX {
        let (x, y) = (f16::from_bits(bits), bf16::from_bits(bits));
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same(x.widen(), x.to_f32()) && same(y.widen(), y.to_f32()), "{bits:x}");
    }
}

/// The positions of an axis for each combination of the other indices.
fn lanes(shape: &Shape, axis: usize) -> Vec<Vec<usize>> {
    let (stride, size) = (shape.strides()[axis], shape[axis]);
    let starts = indices(shape).enumerate().filter(|(_, index)| index[axis] == 0).map(|(flat, _)| flat);
    starts.map(|start| (0..size).map(|i| start + i * stride).collect()).collect()
}

#[test]
fn indices_agree_with_loops() {
    let mut random = Arbitrary::new(5);
    let mut check = |dtype: DType, shape: &Shape, axis: usize| {
        crate::with_dtype!(dtype, T => {
            // Few different values, so that there are ties.
            let elements: Vec<T> = (0..shape.size()).map(|_| match (random.below(30), T::DTYPE.is_float()) {
                (0, true) => T::from_f64(f64::NAN),
                (1, true) => T::from_f64(-0.0),
                (n, _) => T::from_i64(n as i64 % 5 - 2),
            }).collect();
            let x = Tensor::from_slice(&elements, shape).unwrap();
            for kind in [ArgKind::Max, ArgKind::Min] {
                let index = lax::arg_reduce(kind, &x, axis, DType::I32).unwrap().to_vec::<i32>();
                for (lane, index) in lanes(shape, axis).iter().zip(index) {
                    let mut best = 0;
                    for (i, &at) in lane.iter().enumerate() {
                        let (x, y) = (elements[at].to_f64(), elements[lane[best]].to_f64());
                        let beats = match kind { ArgKind::Max => x > y, ArgKind::Min => x < y };
                        if beats || (x.is_nan() && !y.is_nan()) {
                            best = i;
                        }
                    }
                    assert_eq!(index as usize, best, "{kind:?} of {} along {axis}", x.aval());
                }
            }
        });
    };
    for dtype in DType::ALL {
        for shape in [vec![1], vec![7], vec![3, 40], vec![40, 3], vec![2, 9, 5], vec![3, 4, 700]] {
            let shape = Shape::from(shape);
            (0..shape.rank()).for_each(|axis| check(dtype, &shape, axis));
        }
    }
    check(DType::F32, &Shape::from([90_000]), 0);
    check(DType::F32, &Shape::from([90, 1100]), 0);
    check(DType::I64, &Shape::from([400, 90, 3]), 1);
    check(DType::F16, &Shape::from([900, 90]), 1);
    // Indices wrap in narrow dtypes, as XLA's iota does.
    let x = lax::iota(DType::I32, [300], 0).unwrap();
    assert_eq!(lax::arg_reduce(ArgKind::Max, &x, 0, DType::U8).unwrap().item::<i32>(), 43);
}

#[test]
fn cumulative_reductions_agree_with_loops() {
    let mut random = Arbitrary::new(6);
    for dtype in DType::ALL.into_iter().filter(|&dtype| dtype != DType::Bool) {
        let mut shapes: Vec<&[usize]> = vec![&[0], &[1], &[9], &[3, 1200], &[1200, 3], &[2, 7, 5]];
        // Enough to be shared out.
        if matches!(dtype, DType::F32 | DType::BF16 | DType::I32) {
            shapes.extend([&[70_000][..], &[35_000, 2], &[8, 9_000]]);
        }
        for shape in shapes {
            let shape = Shape::from(shape);
            let x = random.tensor(dtype, &shape);
            for axis in 0..shape.rank() {
                for kind in [CumulativeKind::Sum, CumulativeKind::Prod, CumulativeKind::Max, CumulativeKind::Min] {
                    let reverse = random.coin();
                    crate::with_dtype!(dtype, T => check_cumulative::<T>(kind, &x, axis, reverse));
                }
                if dtype.is_float() {
                    crate::with_dtype!(dtype, T => check_cumulative::<T>(CumulativeKind::LogSumExp, &x, axis, axis == 1));
                }
            }
        }
    }
}

fn check_cumulative<T: Element>(kind: CumulativeKind, x: &Tensor, axis: usize, reverse: bool) {
    let elements = x.to_vec::<T>();
    let y = lax::cumulative(kind, x, axis, reverse).unwrap().to_vec::<T>();
    let what = format!("cumulative {kind:?} of {} along {axis}, reverse {reverse}", x.aval());
    for mut lane in lanes(x.shape(), axis) {
        if reverse {
            lane.reverse();
        }
        let reduce = match kind {
            CumulativeKind::Sum | CumulativeKind::LogSumExp => ReduceKind::Sum,
            CumulativeKind::Prod => ReduceKind::Prod,
            CumulativeKind::Max => ReduceKind::Max,
            CumulativeKind::Min => ReduceKind::Min,
        };
        let mut integer = neutral::<T>(reduce).to_i64();
        let (mut float, mut size) = (neutral::<T>(reduce).to_f64(), 0.0);
        for (i, at) in lane.into_iter().enumerate() {
            integer = join_i64(reduce, integer, elements[at].to_i64());
            if !T::DTYPE.is_float() {
                assert_eq!(y[at], T::from_i64(integer), "{what}: step {i}");
                continue;
            }
            let x = elements[at].to_f64();
            size += x.abs();
            float = join_f64(reduce, float, if kind == CumulativeKind::LogSumExp { x.exp() } else { x });
            let expected = if kind == CumulativeKind::LogSumExp { float.ln() } else { float };
            let wide = epsilon(T::DTYPE).min(epsilon(DType::F32));
            let tolerance = match kind {
                CumulativeKind::Sum => 20.0 * wide * size + epsilon(T::DTYPE) * expected.abs(),
                CumulativeKind::Prod => (epsilon(T::DTYPE) + 100.0 * wide) * expected.abs() + 1e-7,
                CumulativeKind::LogSumExp => (epsilon(T::DTYPE) + 200.0 * wide) * (1.0 + expected.abs()),
                _ => 0.0,
            };
            assert!((y[at].to_f64() - expected).abs() <= tolerance, "{what}: step {i}: {:?} is not {expected}", y[at]);
        }
    }
}

#[test]
fn cumulative_logsumexp_of_infinities_and_nan() {
    let scan = |elements: &[f32]| {
        let x = Tensor::from(elements);
        lax::cumulative(CumulativeKind::LogSumExp, &x, 0, false).unwrap().to_vec::<f32>()
    };
    let inf = f32::INFINITY;
    assert_eq!(scan(&[-inf, -inf, 1000.0, 1000.0, inf, inf, -inf]), [-inf, -inf, 1000.0, 1000.6932, inf, inf, inf]);
    let y = scan(&[1.0, f32::NAN, inf]);
    assert!(y[0] == 1.0 && y[1].is_nan() && y[2].is_nan());
    let max = lax::cumulative(CumulativeKind::Max, &Tensor::from(vec![1.0, f32::NAN, 2.0]), 0, false).unwrap();
    assert!(max.to_vec::<f32>()[1..].iter().all(|x| x.is_nan()));
}
