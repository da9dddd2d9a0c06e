//! Derivatives and batches of gathers, scatters and dynamic slices.

mod support;

use jaxnet_autograd::{grad, jit, jvp, vjp, vmap};
use jaxnet_tensor::primitive::{GatherDims, ScatterDims, ScatterKind};
use jaxnet_tensor::{DType, Dims, Shape, Tensor, lax, tensor};
use support::{F, Numbers, assert_close, check_derivatives, check_vmap, values};

/// An arbitrary gather, and the scatter that has the same axes.
struct Places {
    gather: GatherDims,
    slice_sizes: Dims,
    scatter: ScatterDims,
    operand: Shape,
    indices: Shape,
    /// The shape of what is gathered, or of the updates.
    updates: Shape,
}

impl Places {
    fn arbitrary(numbers: &mut Numbers) -> Self {
        let batching = numbers.size(0, 1);
        let (rank, index_batch) = (numbers.size(batching, 3), numbers.size(batching, 2));
        let operand: Dims = (0..rank).map(|_| numbers.size(1, 4)).collect();
        let mut batch: Dims = (0..index_batch).map(|_| numbers.size(1, 3)).collect();
        let mut slice_sizes: Dims = operand.iter().map(|&size| numbers.size(1, size)).collect();
        let (mut collapsed, mut map, mut operand_batching, mut index_batching) =
            (Dims::new(), Dims::new(), Dims::new(), Dims::new());
        if batching == 1 {
            let (axis, of) = (numbers.size(0, rank - 1), numbers.size(0, index_batch - 1));
            operand_batching.push(axis);
            index_batching.push(of);
            (slice_sizes[axis], batch[of]) = (1, operand[axis]);
        }
        for axis in (0..rank).filter(|axis| !operand_batching.contains(axis)) {
            match numbers.between(0, 3) {
                0 => {}
                kind => {
                    map.insert(numbers.size(0, map.len()), axis);
                    if kind == 1 {
                        collapsed.push(axis);
                        slice_sizes[axis] = 1;
                    }
                }
            }
        }
        let windows = rank - collapsed.len() - operand_batching.len();
        let out_rank = index_batch + windows;
        let mut offset_dims: Dims = (0..out_rank).collect();
        while offset_dims.len() > windows {
            offset_dims.remove(numbers.size(0, offset_dims.len() - 1));
        }
        let gather = GatherDims {
            offset_dims: offset_dims.clone(),
            collapsed_slice_dims: collapsed.clone(),
            operand_batching_dims: operand_batching.clone(),
            start_indices_batching_dims: index_batching.clone(),
            start_index_map: map.clone(),
        };
        let kept: Vec<usize> = gather.kept(rank).iter().map(|&axis| slice_sizes[axis]).collect();
        let (mut kept, mut batches) = (kept.into_iter(), batch.clone().into_iter());
        let updates = (0..out_rank)
            .map(|axis| if offset_dims.contains(&axis) { kept.next() } else { batches.next() }.unwrap())
            .collect();
        Places {
            scatter: ScatterDims {
                update_window_dims: offset_dims,
                inserted_window_dims: collapsed,
                operand_batching_dims: operand_batching,
                scatter_indices_batching_dims: index_batching,
                scatter_dims_to_operand_dims: map.clone(),
            },
            gather,
            slice_sizes,
            operand: operand.into(),
            indices: batch.into_iter().chain([map.len()]).collect(),
            updates,
        }
    }

    /// Some of them out of the operand, on either side.
    fn indices(&self, numbers: &mut Numbers) -> Tensor {
        numbers.integers(&self.indices, -1, 4)
    }
}

#[test]
fn gathers() {
    let mut numbers = Numbers::new(1);
    for _ in 0..120 {
        let places = Places::arbitrary(&mut numbers);
        let f = |x: Vec<Tensor>| {
            let y = lax::gather(&x[0].powi(3), &x[1], &places.gather, &places.slice_sizes).unwrap();
            assert_eq!(*y.shape(), places.updates);
            vec![y]
        };
        check_derivatives(&f, &[numbers.tensor(&places.operand), places.indices(&mut numbers)], 2);
        let mut example = || vec![numbers.tensor(&places.operand), places.indices(&mut numbers)];
        check_vmap(&f, &[example(), example(), example()]);
    }
}

fn scatter_of(kind: ScatterKind, dims: &ScatterDims) -> impl Fn(Vec<Tensor>) -> Vec<Tensor> {
    move |x| vec![lax::scatter(kind, &x[0], &x[1], &x[2], dims).unwrap()]
}

/// Checks arbitrary scatters of one kind; `values` makes the operand and the updates.
fn check_scatters(
    kind: ScatterKind,
    seed: u64,
    order: usize,
    values: impl Fn(&mut Numbers, &Shape, &Shape) -> [Tensor; 2],
) {
    let mut numbers = Numbers::new(seed);
    for _ in 0..80 {
        let places = Places::arbitrary(&mut numbers);
        // Something of the values in the derivative, without a change of their order.
        let inner = scatter_of(kind, &places.scatter);
        let curve = |x: &Tensor| x * (x.abs() + 1.0);
        let f = |x: Vec<Tensor>| inner(vec![curve(&x[0]), x[1].clone(), curve(&x[2])]);
        let mut example = || {
            let [operand, updates] = values(&mut numbers, &places.operand, &places.updates);
            vec![operand, places.indices(&mut numbers), updates]
        };
        check_derivatives(&f, &example(), order);
        check_vmap(&f, &[example(), example(), example()]);
    }
}

/// Arbitrary values.
fn any(numbers: &mut Numbers, operand: &Shape, updates: &Shape) -> [Tensor; 2] {
    [numbers.tensor(operand), numbers.tensor(updates)]
}

#[test]
fn scatters_that_set() {
    check_scatters(ScatterKind::Set, 2, 2, any);
}

#[test]
fn scatters_that_add() {
    check_scatters(ScatterKind::Add, 3, 2, any);
}

#[test]
fn scatters_that_multiply() {
    // The curve that the tests go through has a second derivative except at zero.
    let away = |numbers: &mut Numbers, operand: &Shape, updates: &Shape| {
        any(numbers, operand, updates).map(|x| x.ge(0.0).select(&x + 0.1, &x - 0.1))
    };
    check_scatters(ScatterKind::Mul, 4, 2, away);
}

#[test]
fn scatters_of_the_extremes() {
    // The operand's elements and the updates are all apart.
    let distinct = |numbers: &mut Numbers, operand: &Shape, updates: &Shape| {
        let all = numbers.distinct(operand.size() + updates.size());
        let parts = all.split_at(&[operand.size()], 0);
        [parts[0].reshape(operand), parts[1].reshape(updates)]
    };
    check_scatters(ScatterKind::Max, 5, 2, distinct);
    check_scatters(ScatterKind::Min, 6, 2, distinct);
}

/// Index vectors of one component that name elements of a vector.
fn elements() -> ScatterDims {
    ScatterDims {
        inserted_window_dims: vec![0].into(),
        scatter_dims_to_operand_dims: vec![0].into(),
        ..ScatterDims::default()
    }
}

#[test]
fn the_last_of_several_updates_gets_the_cotangent() {
    let dims = elements();
    let indices = tensor![[1], [3], [1], [-1], [4]];
    let f = |(x, u): (Tensor, Tensor)| lax::scatter(ScatterKind::Set, &x, &indices, &u, &dims).unwrap();
    let (y, pullback) = vjp(f, (tensor![1.0, 2.0, 3.0, 4.0], tensor![10.0, 20.0, 30.0, 40.0, 50.0]));
    assert_eq!(y.to_vec::<f32>(), [1.0, 30.0, 3.0, 20.0]);
    let (dx, du) = pullback(tensor![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(dx.to_vec::<f32>(), [1.0, 0.0, 3.0, 0.0]);
    assert_eq!(du.to_vec::<f32>(), [0.0, 4.0, 2.0, 0.0, 0.0]);
    let tangent = (tensor![1.0, 2.0, 3.0, 4.0], tensor![5.0, 6.0, 7.0, 8.0, 9.0]);
    let (_, dy) = jvp(f, (tensor![1.0, 2.0, 3.0, 4.0], tensor![10.0, 20.0, 30.0, 40.0, 50.0]), tangent);
    assert_eq!(dy.to_vec::<f32>(), [1.0, 7.0, 3.0, 6.0]);
}

#[test]
fn gathers_read_inside_and_their_cotangents_go_there() {
    let dims =
        GatherDims { collapsed_slice_dims: vec![0].into(), start_index_map: vec![0].into(), ..GatherDims::default() };
    for dtype in [DType::I32, DType::I64, DType::U8, DType::U32] {
        let indices = tensor![[7], [1], [200]].astype(dtype);
        let f = |x: Tensor| lax::gather(&x, &indices, &dims, &[1]).unwrap();
        let (y, pullback) = vjp(f, tensor![1.0, 2.0, 3.0]);
        assert_eq!(y.to_vec::<f32>(), [3.0, 2.0, 3.0]);
        assert_eq!(pullback(tensor![1.0, 10.0, 100.0]).to_vec::<f32>(), [0.0, 10.0, 101.0], "{dtype}");
    }
    // An axis that is longer than the dtype of the indices can tell.
    let f = |x: Tensor| lax::gather(&x, &tensor![[255]].astype(DType::U8), &dims, &[1]).unwrap();
    let (_, pullback) = vjp(f, Tensor::range(300).astype(DType::F32));
    let ct = pullback(tensor![1.0]).to_vec::<f32>();
    assert_eq!((ct[255], ct.iter().sum::<f32>()), (1.0, 1.0));
}

#[test]
fn products_with_zeros() {
    let dims = elements();
    // Place 0: no zero; 1: the operand; 2: one update; 3: both an update and the operand; 4: two
    // updates; the last index is outside.
    let indices = tensor![[0], [0], [1], [2], [2], [3], [4], [4], [4], [5]];
    let zeros = [[2.0, 3.0, 5.0, 0.0, 7.0, 0.0, 0.0, 0.0, 11.0, 0.0]];
    let updates = Tensor::constant(zeros, Some(DType::F64)).reshape([-1]);
    let operand = Tensor::constant([1.5, 0.0, 2.5, 0.0, 3.5], Some(DType::F64));
    let indices_of = |x: Vec<Tensor>| lax::scatter(ScatterKind::Mul, &x[0], &indices, &x[1], &dims).unwrap();
    let f = move |x: Vec<Tensor>| vec![indices_of(x)];
    check_derivatives(&f, &[operand.clone(), updates.clone()], 3);
    let gradient = grad(|x: Vec<Tensor>| f(x)[0].sum())(vec![operand, updates]);
    assert_eq!(values(&gradient[0]), [6.0, 5.0, 0.0, 0.0, 0.0]);
    assert_eq!(values(&gradient[1]), [4.5, 3.0, 0.0, 17.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn equal_extremes_share_the_tangent() {
    let dims = elements();
    let indices = tensor![[0], [0], [1], [1], [9]];
    let f = |(x, u): (Tensor, Tensor)| lax::scatter(ScatterKind::Max, &x, &indices, &u, &dims).unwrap();
    let (y, pullback) = vjp(f, (tensor![1.0, 2.0, 3.0], tensor![1.0, 1.0, 5.0, 5.0, 9.0]));
    assert_eq!(y.to_vec::<f32>(), [1.0, 5.0, 3.0]);
    let (dx, du) = pullback(tensor![3.0, 4.0, 5.0]);
    assert_eq!(dx.to_vec::<f32>(), [1.0, 0.0, 5.0]);
    assert_eq!(du.to_vec::<f32>(), [1.0, 1.0, 2.0, 2.0, 0.0]);
}

#[test]
fn nothing_to_gather_or_scatter() {
    let mut numbers = Numbers::new(7);
    let dims = elements();
    let no_indices = Tensor::full([0, 1], 0, DType::I32);
    let outside = tensor![[0], [1]];
    for kind in [ScatterKind::Set, ScatterKind::Add, ScatterKind::Mul, ScatterKind::Min, ScatterKind::Max] {
        for (size, indices) in [(3_usize, &no_indices), (0, &outside), (0, &no_indices)] {
            let f = |x: Vec<Tensor>| vec![lax::scatter(kind, &x[0], indices, &x[1], &dims).unwrap()];
            let inputs = [numbers.tensor(size), numbers.tensor(indices.shape()[0])];
            check_derivatives(&f, &inputs, 2);
            check_vmap(&f, &[inputs.to_vec(), inputs.to_vec()]);
        }
    }
    // Index vectors without components, and slices without elements.
    let whole = GatherDims { offset_dims: vec![1].into(), ..GatherDims::default() };
    for (size, slice) in [(3_usize, 2_usize), (3, 0), (0, 0)] {
        let indices = Tensor::full([2, 0], 0, DType::I32);
        let f = |x: Vec<Tensor>| vec![lax::gather(&x[0], &indices, &whole, &[slice]).unwrap()];
        check_derivatives(&f, &[numbers.tensor(size)], 2);
        check_vmap(&f, &[vec![numbers.tensor(size)], vec![numbers.tensor(size)]]);
        let windows = ScatterDims { update_window_dims: vec![1].into(), ..ScatterDims::default() };
        let f = |x: Vec<Tensor>| vec![lax::scatter(ScatterKind::Set, &x[0], &indices, &x[1], &windows).unwrap()];
        check_derivatives(&f, &[numbers.tensor(size), numbers.tensor([2, slice])], 2);
    }
}

/// A scalar start of an arbitrary integer dtype, maybe outside.
fn start(numbers: &mut Numbers, axis: usize) -> Tensor {
    let dtype = [DType::I32, DType::I64, DType::U8][axis];
    let low = if dtype == DType::U8 { 0 } else { -2 };
    numbers.integers([0_usize; 0], low, 5).astype(dtype)
}

#[test]
fn dynamic_slices() {
    let mut numbers = Numbers::new(8);
    let shapes: [(&[usize], &[usize]); 6] =
        [(&[], &[]), (&[4], &[2]), (&[4], &[0]), (&[0], &[0]), (&[3, 5], &[3, 2]), (&[2, 3, 4], &[1, 3, 2])];
    for round in 0..30 {
        let (shape, sizes) = shapes[round % 6];
        let f = |x: Vec<Tensor>| vec![lax::dynamic_slice(&x[0].powi(3), &x[1..], sizes).unwrap()];
        let mut example = |shape: &[usize]| {
            let starts = (0..shape.len()).map(|axis| start(&mut numbers, axis)).collect::<Vec<_>>();
            std::iter::once(numbers.tensor(shape)).chain(starts).collect::<Vec<_>>()
        };
        check_derivatives(&f, &example(shape), 2);
        check_vmap(&f, &[example(shape), example(shape), example(shape)]);

        let f =
            |x: Vec<Tensor>| vec![lax::dynamic_update_slice(&x[0].powi(3), &(&x[1] * x[1].abs()), &x[2..]).unwrap()];
        let mut example = || {
            let mut inputs = example(shape);
            let update = Numbers::new(round as u64).tensor(sizes) * &inputs[0].reshape([-1]).sum();
            inputs.insert(1, update);
            inputs
        };
        check_derivatives(&f, &example(), 2);
        check_vmap(&f, &[example(), example()]);
    }
}

#[test]
fn derivatives_of_batches() {
    let mut numbers = Numbers::new(9);
    let slices = |x: Vec<Tensor>| {
        let one = |(x, start): (Tensor, Tensor)| lax::dynamic_slice(&x.powi(3), &[start], 2_usize).unwrap();
        vec![vmap(one)((x[0].clone(), x[1].clone()))]
    };
    let updates = |x: Vec<Tensor>| {
        let one = |(x, start, u): (Tensor, Tensor, Tensor)| {
            lax::dynamic_update_slice(&x.powi(3), &u.powi(2), &[start]).unwrap()
        };
        vec![vmap(one)((x[0].clone(), x[1].clone(), x[2].clone()))]
    };
    let starts = tensor![-1, 1, 9];
    let x = numbers.tensor([3, 4]);
    let check = |f: F<'_>, inputs: &[Tensor]| check_derivatives(f, inputs, 2);
    check(&slices, &[x.clone(), starts.clone()]);
    check(&updates, &[x.clone(), starts.clone(), numbers.tensor([3, 2])]);
    // The gradient of each example, and its batch.
    let f = |(x, start): (Tensor, Tensor)| {
        grad(|x: Tensor| lax::dynamic_slice(&x.powi(3), std::slice::from_ref(&start), 2_usize).unwrap().sum())(x)
    };
    let batch = vmap(f)((x.clone(), starts.clone()));
    let looped: Vec<Tensor> = (0..3)
        .map(|i| {
            let row = lax::slice_axis(&x, 0, i, i + 1, 1).unwrap().squeeze(0);
            f((row, lax::slice_axis(&starts, 0, i, i + 1, 1).unwrap().squeeze(0)))
        })
        .collect();
    assert_close("gradients", &batch, &Tensor::stack(&looped, 0), 0.0);
}

#[test]
fn compiled_derivatives_are_the_same() {
    let mut numbers = Numbers::new(10);
    let places = Places {
        operand: [3, 4].into(),
        indices: [5, 2].into(),
        updates: [5, 2].into(),
        slice_sizes: vec![1, 2].into(),
        gather: GatherDims::default(),
        scatter: ScatterDims {
            update_window_dims: vec![1].into(),
            inserted_window_dims: vec![0].into(),
            scatter_dims_to_operand_dims: vec![0, 1].into(),
            ..ScatterDims::default()
        },
    };
    for kind in [ScatterKind::Set, ScatterKind::Add, ScatterKind::Mul, ScatterKind::Min, ScatterKind::Max] {
        let indices = places.indices(&mut numbers);
        let f = grad(|(x, u): (Tensor, Tensor)| {
            let y = lax::scatter(kind, &x, &indices, &u, &places.scatter).unwrap();
            (&y * &y * Tensor::range(4).astype(DType::F64)).sum()
        });
        let inputs = (numbers.tensor(&places.operand), numbers.tensor(&places.updates));
        let (dx, du) = f(inputs.clone());
        let (compiled_dx, compiled_du) = jit(f).call(inputs);
        assert_close("operand", &compiled_dx, &dx, 1e-13);
        assert_close("updates", &compiled_du, &du, 1e-13);
    }
}
