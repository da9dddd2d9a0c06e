//! Against loops written from XLA's definitions.

use half::bf16;

use crate::backend::cpu::kernels::testing_window::{Numbers, number, places};
use crate::dtype::{DType, Element};
use crate::lax;
use crate::primitive::{GatherDims, ScatterDims, ScatterKind};
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::with_dtype;

fn dims(axes: &[usize]) -> Dims {
    axes.into()
}

fn tensor<T: Element>(elements: &[T], shape: &[usize]) -> Tensor {
    Tensor::from_slice(elements, shape).unwrap()
}

/// Splits a place into the index vector's and the window's part.
fn split(place: &[usize], window_axes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let part = |within: bool| {
        (0..place.len()).filter(|axis| window_axes.contains(axis) == within).map(|axis| place[axis]).collect()
    };
    (part(false), part(true))
}

/// The start of the window at an index vector, not clamped.
fn start(indices: &Tensor, at: &[usize], rank: usize, map: &[usize], batching: (&[usize], &[usize])) -> Vec<i64> {
    let values = with_dtype!(indices.dtype(), I => {
        indices.to_vec::<I>().into_iter().map(Element::to_i64).collect::<Vec<i64>>()
    });
    let mut start = vec![0; rank];
    for (component, &axis) in map.iter().enumerate() {
        start[axis] = values[number(indices.shape(), &[at, &[component]].concat())];
    }
    for (&axis, &of) in batching.0.iter().zip(batching.1) {
        start[axis] = at[of] as i64;
    }
    start
}

fn naive_gather(operand: &Tensor, indices: &Tensor, dims: &GatherDims, sizes: &[usize], shape: &[usize]) -> Vec<i64> {
    let values = operand.to_vec::<i64>();
    let batching = (&dims.operand_batching_dims[..], &dims.start_indices_batching_dims[..]);
    let kept = dims.kept(operand.rank());
    let element = |place: &Vec<usize>| {
        let (at, offset) = split(place, &dims.offset_dims);
        let mut from = start(indices, &at, operand.rank(), &dims.start_index_map, batching);
        for axis in 0..operand.rank() {
            if !dims.operand_batching_dims.contains(&axis) {
                from[axis] = from[axis].clamp(0, (operand.shape()[axis] - sizes[axis]) as i64);
            }
        }
        for (&axis, &offset) in kept.iter().zip(&offset) {
            from[axis] += offset as i64;
        }
        values[number(operand.shape(), &from.iter().map(|&i| i as usize).collect::<Vec<_>>())]
    };
    places(shape).iter().map(element).collect()
}

fn naive_scatter(
    kind: ScatterKind,
    operand: &Tensor,
    indices: &Tensor,
    updates: &Tensor,
    dims: &ScatterDims,
) -> Vec<i64> {
    let (mut values, new) = (operand.to_vec::<i64>(), updates.to_vec::<i64>());
    let batching = (&dims.operand_batching_dims[..], &dims.scatter_indices_batching_dims[..]);
    let kept = dims.kept(operand.rank());
    let mut window = vec![1; operand.rank()];
    for (&axis, &of) in kept.iter().zip(&dims.update_window_dims) {
        window[axis] = updates.shape()[of];
    }
    for (place, new) in places(updates.shape()).iter().zip(new) {
        let (at, offset) = split(place, &dims.update_window_dims);
        let mut to = start(indices, &at, operand.rank(), &dims.scatter_dims_to_operand_dims, batching);
        if (0..operand.rank()).any(|axis| to[axis] < 0 || to[axis] + window[axis] as i64 > operand.shape()[axis] as i64)
        {
            continue;
        }
        for (&axis, &offset) in kept.iter().zip(&offset) {
            to[axis] += offset as i64;
        }
        let old = &mut values[number(operand.shape(), &to.iter().map(|&i| i as usize).collect::<Vec<_>>())];
        *old = match kind {
            ScatterKind::Set => new,
            ScatterKind::Add => *old + new,
            ScatterKind::Mul => old.wrapping_mul(new),
            ScatterKind::Min => new.min(*old),
            ScatterKind::Max => new.max(*old),
        };
    }
    values
}

/// Random axes, sizes and indices for a gather or a scatter: the operand's shape, the indices, the
/// window's sizes, `(window axes of the result, dropped, operand batching, index batching, map)`.
fn random_case(numbers: &mut Numbers) -> (Vec<usize>, Tensor, Vec<usize>, [Dims; 5]) {
    let mut choose = |low: i64, high: i64| numbers.within(low, high) as usize;
    let rank = choose(0, 4);
    let mut operand: Vec<usize> = (0..rank).map(|_| choose(1, 5)).collect();
    let index_rank = choose(1, 3);
    let mut index_shape: Vec<usize> = (0..index_rank).map(|_| choose(0, 20).clamp(1, 4)).collect();
    if choose(0, 20) == 0 {
        index_shape[0] = 0;
    }
    let (mut window, mut dropped, mut map) = (vec![], Dims::new(), Dims::new());
    let (mut operand_batching, mut index_batching) = (Dims::new(), Dims::new());
    for (axis, operand) in operand.iter_mut().enumerate() {
        let of = index_batching.len();
        if choose(0, 3) == 0 && of + 1 < index_rank {
            *operand = index_shape[of];
            operand_batching.push(axis);
            index_batching.push(of);
            window.push((*operand).min(1));
            continue;
        }
        let size = choose(0, *operand as i64);
        if choose(0, 1) == 0 {
            dropped.push(axis);
            window.push(1);
        } else {
            window.push(size);
        }
        if choose(0, 2) > 0 {
            map.insert(choose(0, map.len() as i64), axis);
        }
    }
    index_shape[index_rank - 1] = map.len();
    let kept = rank - dropped.len() - operand_batching.len();
    let total = kept + index_rank - 1;
    let mut window_axes: Dims = (0..total).collect();
    while window_axes.len() > kept {
        let first = if choose(0, 1) == 0 { 0 } else { choose(0, window_axes.len() as i64 - 1) };
        window_axes.remove(first);
    }
    let dtype = [DType::I32, DType::I64, DType::U8, DType::U32][choose(0, 3)];
    let low = if dtype.is_signed_integer() { -2 } else { 0 };
    let indices = with_dtype!(dtype, I => numbers.tensor::<I>(&index_shape, low, 6));
    (operand, indices, window, [window_axes, dropped, operand_batching, index_batching, map])
}

#[test]
fn gather_agrees_with_its_definition() {
    let mut numbers = Numbers::new(1);
    let mut nonempty = 0;
    for _ in 0..3000 {
        let (
            shape,
            indices,
            sizes,
            [offset_dims, collapsed_slice_dims, operand_batching_dims, start_indices_batching_dims, start_index_map],
        ) = random_case(&mut numbers);
        let dims = GatherDims {
            offset_dims,
            collapsed_slice_dims,
            operand_batching_dims,
            start_indices_batching_dims,
            start_index_map,
        };
        let operand = numbers.tensor::<i64>(&shape, -100, 100);
        let result = lax::gather(&operand, &indices, &dims, &sizes).unwrap();
        let expected = naive_gather(&operand, &indices, &dims, &sizes, result.shape());
        assert_eq!(result.to_vec::<i64>(), expected, "{operand:?} {indices:?} {dims:?} {sizes:?}");
        nonempty += (result.size() > 0) as usize;
    }
    assert!(nonempty > 1000, "{nonempty} cases had elements");
}

#[test]
fn scatter_agrees_with_its_definition() {
    let mut numbers = Numbers::new(2);
    let (mut written, mut skipped) = (0, 0);
    let kinds = [ScatterKind::Set, ScatterKind::Add, ScatterKind::Mul, ScatterKind::Min, ScatterKind::Max];
    for case in 0..3000 {
        let (
            shape,
            indices,
            sizes,
            [
                update_window_dims,
                inserted_window_dims,
                operand_batching_dims,
                scatter_indices_batching_dims,
                scatter_dims_to_operand_dims,
            ],
        ) = random_case(&mut numbers);
        let dims = ScatterDims {
            update_window_dims,
            inserted_window_dims,
            operand_batching_dims,
            scatter_indices_batching_dims,
            scatter_dims_to_operand_dims,
        };
        let operand = numbers.tensor::<i64>(&shape, -100, 100);
        let mut window = dims.kept(operand.rank()).into_iter().map(|axis| sizes[axis]);
        let mut batch = indices.shape()[..indices.rank() - 1].iter().copied();
        let rank = window.len() + batch.len();
        let updates_shape: Vec<usize> = (0..rank)
            .map(|axis| if dims.update_window_dims.contains(&axis) { window.next() } else { batch.next() }.unwrap())
            .collect();
        let updates = numbers.tensor::<i64>(&updates_shape, -100, 100);
        let kind = kinds[case % kinds.len()];
        let result = lax::scatter(kind, &operand, &indices, &updates, &dims).unwrap().to_vec::<i64>();
        let expected = naive_scatter(kind, &operand, &indices, &updates, &dims);
        assert_eq!(result, expected, "{kind:?} {operand:?} {indices:?} {updates:?} {dims:?}");
        if updates.size() > 0 {
            *(if result == operand.to_vec::<i64>() { &mut skipped } else { &mut written }) += 1;
        }
    }
    assert!(written > 500 && skipped > 100, "{written} written, {skipped} skipped");
}

fn rows() -> (GatherDims, ScatterDims) {
    let gather = GatherDims {
        offset_dims: dims(&[1]),
        collapsed_slice_dims: dims(&[0]),
        start_index_map: dims(&[0]),
        ..Default::default()
    };
    let scatter = ScatterDims {
        update_window_dims: dims(&[1]),
        inserted_window_dims: dims(&[0]),
        scatter_dims_to_operand_dims: dims(&[0]),
        ..Default::default()
    };
    (gather, scatter)
}

#[test]
fn large_indices_do_not_wrap() {
    let (gather, scatter) = rows();
    let table = tensor(&[1_i32, 2, 3, 4], &[2, 2]);
    let update = tensor(&[10_i32, 10], &[1, 2]);
    let huge = [
        (tensor(&[u32::MAX], &[1, 1]), [3, 4]),
        (tensor(&[i64::MAX], &[1, 1]), [3, 4]),
        (tensor(&[1_i64 << 32], &[1, 1]), [3, 4]),
        (tensor(&[i64::MIN], &[1, 1]), [1, 2]),
        (tensor(&[255_u8], &[1, 1]), [3, 4]),
        (tensor(&[i32::MIN], &[1, 1]), [1, 2]),
    ];
    for (index, row) in huge {
        assert_eq!(lax::gather(&table, &index, &gather, &[1, 2]).unwrap().to_vec::<i32>(), row, "{index:?}");
        let written = lax::scatter(ScatterKind::Add, &table, &index, &update, &scatter).unwrap();
        assert_eq!(written.to_vec::<i32>(), [1, 2, 3, 4], "{index:?}");
        let start = lax::reshape(&index, crate::Shape::scalar()).unwrap();
        let zero = Tensor::from(0);
        let sliced = lax::dynamic_slice(&table, &[start.clone(), zero.clone()], [1, 2]).unwrap();
        assert_eq!(sliced.to_vec::<i32>(), row, "{index:?}");
        let written = lax::dynamic_update_slice(&table, &update, &[start, zero]).unwrap().to_vec::<i32>();
        assert_eq!(written, if row == [1, 2] { [10, 10, 3, 4] } else { [1, 2, 10, 10] }, "{index:?}");
    }
}

#[test]
fn every_dtype_moves_and_combines() {
    let (gather, scatter) = rows();
    let index = tensor(&[2_i32, 0, 2], &[3, 1]);
    for dtype in DType::ALL {
        with_dtype!(dtype, T => {
            let of = |xs: &[i64]| xs.iter().map(|&x| T::from_i64(x)).collect::<Vec<T>>();
            let table = tensor(&of(&[1, 0, 3, 1, 0, 6]), &[3, 2]);
            let taken = lax::gather(&table, &index, &gather, &[1, 2]).unwrap();
            assert_eq!(taken.to_vec::<T>(), of(&[0, 6, 1, 0, 0, 6]), "{dtype}");
            let updates = tensor(&of(&[2, 2, 0, 5, 1, 7]), &[3, 2]);
            let mut cases = vec![(ScatterKind::Set, [0, 5, 3, 1, 1, 7])];
            if dtype != DType::Bool {
                cases.push((ScatterKind::Add, [1, 5, 3, 1, 3, 15]));
                cases.push((ScatterKind::Mul, [0, 0, 3, 1, 0, 84]));
                cases.push((ScatterKind::Min, [0, 0, 3, 1, 0, 2]));
                cases.push((ScatterKind::Max, [1, 5, 3, 1, 2, 7]));
            }
            for (kind, expected) in cases {
                let result = lax::scatter(kind, &table, &index, &updates, &scatter).unwrap();
                assert_eq!(result.to_vec::<T>(), of(&expected), "{dtype} {kind:?}");
            }
            let starts = [Tensor::from(1), Tensor::from(1)];
            let sliced = lax::dynamic_slice(&table, &starts, [2, 1]).unwrap();
            assert_eq!(sliced.to_vec::<T>(), of(&[1, 6]), "{dtype}");
            let updated = lax::dynamic_update_slice(&table, &sliced, &[Tensor::from(0), Tensor::from(0)]).unwrap();
            assert_eq!(updated.to_vec::<T>(), of(&[1, 0, 6, 1, 0, 6]), "{dtype}");
        });
    }
}

#[test]
fn nan_wins_minima_and_maxima() {
    let (_, scatter) = rows();
    let table = tensor(&[f32::NAN, 1.0], &[1, 2]);
    let updates = tensor(&[0.0, f32::NAN], &[1, 2]);
    for kind in [ScatterKind::Min, ScatterKind::Max] {
        let result = lax::scatter(kind, &table, &tensor(&[0_i32], &[1, 1]), &updates, &scatter).unwrap();
        assert!(result.to_vec::<f32>().iter().all(|x| x.is_nan()), "{kind:?}");
    }
}

#[test]
fn blocks_agree_with_their_definition() {
    let mut numbers = Numbers::new(3);
    for _ in 0..1000 {
        let rank = numbers.within(0, 4) as usize;
        let shape = numbers.shape(rank, 0, 4);
        let sizes: Vec<usize> = shape.iter().map(|&size| numbers.within(0, size as i64) as usize).collect();
        let starts: Vec<i64> = (0..rank).map(|_| numbers.within(-2, 5)).collect();
        let operand = numbers.tensor::<i64>(&shape, -100, 100);
        let update = numbers.tensor::<i64>(&sizes, -100, 100);
        let scalars: Vec<Tensor> = starts.iter().map(|&start| Tensor::scalar(start)).collect();
        let (mut written, values, new) = (operand.to_vec::<i64>(), operand.to_vec::<i64>(), update.to_vec::<i64>());
        let mut taken = vec![];
        for (place, new) in places(&sizes).iter().zip(new) {
            let from: Vec<usize> = (0..rank)
                .map(|axis| starts[axis].clamp(0, (shape[axis] - sizes[axis]) as i64) as usize + place[axis])
                .collect();
            taken.push(values[number(&shape, &from)]);
            written[number(&shape, &from)] = new;
        }
        let result = lax::dynamic_slice(&operand, &scalars, &sizes[..]).unwrap();
        assert_eq!(result.to_vec::<i64>(), taken, "{shape:?} {sizes:?} {starts:?}");
        let result = lax::dynamic_update_slice(&operand, &update, &scalars).unwrap();
        assert_eq!(result.to_vec::<i64>(), written, "{shape:?} {sizes:?} {starts:?}");
    }
}

/// Sizes at which the work is shared out.
#[test]
fn much_at_once_is_the_same() {
    let (gather, scatter) = rows();
    let mut numbers = Numbers::new(4);
    let (vocabulary, width, count) = (500, 64, 3000);
    let table = numbers.tensor::<i64>(&[vocabulary, width], -100, 100);
    let indices = numbers.tensor::<i32>(&[count, 1], -5, vocabulary as i64 + 5);
    let taken = lax::gather(&table, &indices, &gather, &[1, width]).unwrap();
    let updates = numbers.tensor::<i64>(&[count, width], -100, 100);
    let (rows, values, new) = (indices.to_vec::<i32>(), table.to_vec::<i64>(), updates.to_vec::<i64>());
    let (mut set, mut sum, mut expected) = (values.clone(), values.clone(), vec![]);
    for (n, &row) in rows.iter().enumerate() {
        let row_within = row.clamp(0, vocabulary as i32 - 1);
        for column in 0..width {
            let place = row_within as usize * width + column;
            expected.push(values[place]);
            if row == row_within {
                set[place] = new[n * width + column];
                sum[place] += new[n * width + column];
            }
        }
    }
    assert_eq!(taken.to_vec::<i64>(), expected);
    let run = |kind| lax::scatter(kind, &table, &indices, &updates, &scatter).unwrap().to_vec::<i64>();
    assert_eq!(run(ScatterKind::Set), set);
    assert_eq!(run(ScatterKind::Add), sum);

    let big = numbers.tensor::<i64>(&[700, 800], -100, 100);
    let block = lax::dynamic_slice(&big, &[Tensor::from(100), Tensor::from(0)], [500, 800]).unwrap();
    assert_eq!(block.to_vec::<i64>(), big.to_vec::<i64>()[100 * 800..600 * 800]);
    // Index vectors and slices interleaved, enough for several tasks.
    let columns = GatherDims {
        offset_dims: dims(&[0]),
        collapsed_slice_dims: dims(&[1]),
        start_index_map: dims(&[1]),
        ..Default::default()
    };
    let indices = numbers.tensor::<i32>(&[90, 1], 0, 799);
    let taken = lax::gather(&big, &indices, &columns, &[700, 1]).unwrap();
    assert_eq!(taken.to_vec::<i64>(), naive_gather(&big, &indices, &columns, &[700, 1], taken.shape()));
}

#[test]
fn nothing_is_taken_from_nothing() {
    let (mut gather, scatter) = rows();
    let empty = tensor::<bf16>(&[], &[0, 2]);
    let none = tensor::<i32>(&[], &[0, 1]);
    let one = tensor(&[0_i32], &[1, 1]);
    // A row cannot be taken from no rows, but no rows can.
    assert!(lax::gather(&empty, &one, &gather, &[1, 2]).is_err());
    assert!(lax::gather(&empty, &one, &gather, &[0, 2]).is_err());
    gather = GatherDims { offset_dims: dims(&[1, 2]), start_index_map: dims(&[0]), ..Default::default() };
    assert_eq!(lax::gather(&empty, &one, &gather, &[0, 2]).unwrap().shape().dims(), [1, 0, 2]);
    let row = tensor(&[bf16::ONE; 2], &[1, 2]);
    assert_eq!(lax::scatter(ScatterKind::Add, &empty, &one, &row, &scatter).unwrap().size(), 0);
    let table = tensor(&[bf16::ONE; 2], &[1, 2]);
    let no_rows = tensor::<bf16>(&[], &[0, 2]);
    let same = lax::scatter(ScatterKind::Add, &table, &none, &no_rows, &scatter).unwrap();
    assert_eq!(same.to_vec::<bf16>(), [bf16::ONE; 2]);
}
