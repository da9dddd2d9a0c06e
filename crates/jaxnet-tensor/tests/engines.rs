//! The engines agree with each other.

use jaxnet_tensor::primitive::{
    CompareOp, Control, ConvDims, ConvGeneralDilated, CumulativeKind, GatherDims, Index, Random, Reduce, ReduceKind,
    ScatterDims, ScatterKind, SelectKind, Window, WindowDims, WindowKind,
};
use jaxnet_tensor::program::{self, ProgramBuilder, stage::stage};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, DType, Device, Primitive, Program, Result, Tensor, lax, tensor};

/// The devices of the engines that this build has.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    if cfg!(feature = "xla") {
        devices.push(Device::xla(0).unwrap());
    }
    if cfg!(feature = "torch") {
        devices.push(Device::torch(0).unwrap());
    }
    devices
}

fn elements(x: &Tensor) -> Vec<f64> {
    x.to(&Device::cpu()).unwrap().astype(DType::F64).to_vec()
}

/// Runs an operation on each device, eagerly and as a compiled program, and compares with the CPU engine.
#[track_caller]
fn agree(inputs: &[Tensor], tolerance: f64, f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
    let avals: Vec<Aval> = inputs.iter().map(|input| input.aval().clone()).collect();
    let program = stage(&avals, &f).unwrap().program;
    let expected: Vec<Vec<f64>> = f(inputs).unwrap().iter().map(elements).collect();
    assert!(!expected.is_empty());
    for device in devices() {
        let moved: Vec<Tensor> = inputs.iter().map(|x| x.to(&device).unwrap()).collect();
        let eager = f(&moved).unwrap();
        let compiled = program::run(&program, moved).unwrap();
        for (how, results) in [("eager", eager), ("compiled", compiled)] {
            assert_eq!(results.len(), expected.len());
            for (result, expected) in results.iter().zip(&expected) {
                assert_eq!(result.device(), Some(&device));
                let result = elements(result);
                let close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= tolerance * b.abs().max(1.0);
                assert_eq!(result.len(), expected.len());
                assert!(result.iter().zip(expected).all(close), "{device} {how}: {result:?}, cpu: {expected:?}");
            }
        }
    }
}

#[test]
fn add() {
    let one = |x: &[Tensor]| Ok(vec![&x[0] + &x[1]]);
    agree(&[tensor![1.5, -2.0, 0.0], tensor![0.5, 7.0, -0.0]], 0.0, one);
    agree(&[tensor![i32::MAX, 2], tensor![1, 3]], 0.0, one);
    agree(&[tensor![[1.0, 2.0]].astype(DType::BF16), tensor![[0.5, 0.25]].astype(DType::BF16)], 0.0, one);
    agree(&[Tensor::zeros([0, 3]), Tensor::zeros([0, 3])], 0.0, one);
    agree(&[tensor![1.5, 2.5]], 0.0, |x| Ok(vec![&x[0] + 0.1, 1 + &x[0]]));
}

#[test]
fn dot_general() {
    let count = |shape: [usize; 3]| Tensor::range(24).astype(DType::F32).reshape(shape) / 7.0;
    let (x, y) = (count([2, 3, 4]), count([4, 2, 3]));
    agree(&[x.clone(), y.clone()], 1e-5, |x| {
        Ok(vec![
            lax::dot_general(&x[0], &x[1], (&[2], &[0]), (&[], &[]))?,
            lax::dot_general(&x[0], &x[1], (&[2], &[0]), (&[0], &[1]))?,
            lax::dot_general(&x[0], &x[1], (&[1, 0], &[2, 1]), (&[], &[]))?,
            lax::dot_general(&x[0], &x[1], (&[], &[]), (&[0, 1], &[1, 2]))?,
        ])
    });
    let whole = |x: &[Tensor]| Ok(vec![lax::dot_general(&x[0], &x[1], (&[0, 2], &[1, 0]), (&[], &[]))?]);
    agree(&[x.astype(DType::I32), y.astype(DType::I32)], 0.0, whole);
    agree(&[Tensor::zeros([2, 3, 0]), Tensor::zeros([0, 2, 3])], 0.0, whole);
}

#[test]
fn reduce_sum() {
    let x = Tensor::range(24).astype(DType::F32).reshape([2, 3, 4]);
    for axes in [&[0][..], &[2, 0], &[0, 1, 2], &[]] {
        let sum = |x: &[Tensor]| Ok(vec![lax::reduce(ReduceKind::Sum, &x[0], axes)?]);
        agree(std::slice::from_ref(&x), 1e-6, sum);
        agree(&[x.astype(DType::U32) - 5], 0.0, sum);
        agree(&[Tensor::zeros([2, 0, 4])], 0.0, sum);
    }
}

/// `while total < limit { (total, x) = (total + x, x * 2) }`.
fn doubling(limit: f32) -> Control {
    let scalar = Aval::scalar(DType::F32);
    let cond = stage(&[scalar.clone(), scalar.clone(), scalar.clone()], |x| {
        Ok(vec![lax::compare(CompareOp::Lt, &x[1], &x[0])?])
    })
    .unwrap();
    let body = stage(&[scalar.clone(), scalar.clone()], |x| Ok(vec![&x[0] + &x[1], &x[1] * 2.0])).unwrap();
    assert!(cond.captured.is_empty() && limit > 0.0);
    Control::While { cond: cond.program, body: body.program, cond_consts: 1, body_consts: 0 }
}

#[test]
fn while_loop() {
    let run = |x: &[Tensor]| Ok(bind(&doubling(1.0).into(), x)?.into_vec());
    agree(&[Tensor::scalar(100_f32), Tensor::scalar(0_f32), Tensor::scalar(1.5_f32)], 0.0, run);
    agree(&[Tensor::scalar(-1_f32), Tensor::scalar(0_f32), Tensor::scalar(1.5_f32)], 0.0, run);
}

fn bits(x: &Tensor) -> Vec<u64> {
    elements(x).iter().map(|x| if x.is_nan() { 0 } else { x.to_bits() }).collect()
}

/// Engines may know what `select(x <= 0, 0, y)` is, and may run it into memory that is free.
#[test]
fn rectified_units_and_their_gradients() {
    let x = tensor![-1.0, -0.0, 0.0, 2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40];
    let y = tensor![f32::NAN, -0.0, 5.0, f32::INFINITY, -3.0, -0.0, f32::INFINITY, 7.0];
    let f = |x: &[Tensor]| {
        let full = |value: f64| Tensor::full([8], value, x[0].dtype());
        let below = lax::compare(CompareOp::Le, &x[0], &full(0.0))?;
        let select = |at: f64, of: &Tensor| lax::select(&below, &full(at), of);
        let (square, own) = (&x[1] * &x[1], &x[0] * 1.0);
        let of_own = lax::compare(CompareOp::Le, &own, &full(0.0))?;
        let rectified = select(0.0, &x[0])?;
        Ok(vec![
            select(0.0, &x[1])?,
            select(1.0, &x[1])?,
            select(-0.0, &x[1])?,
            select(0.0, &square)?,
            rectified.clone(),
            rectified + select(0.0, &(&x[0] + 1.0))?,
            lax::select(&of_own, &full(0.0), &own)?,
            -(&x[1] * 3.0),
            below.astype(DType::F32),
        ])
    };
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let inputs = [x.astype(dtype), y.astype(dtype)];
        let expected: Vec<Vec<u64>> = f(&inputs).unwrap().iter().map(bits).collect();
        let avals: Vec<Aval> = inputs.iter().map(|x| x.aval().clone()).collect();
        let program = stage(&avals, f).unwrap().program;
        for device in devices() {
            let put = || inputs.iter().map(|x| x.to(&device).unwrap()).collect::<Vec<_>>();
            let eager: Vec<Vec<u64>> = f(&put()).unwrap().iter().map(bits).collect();
            let compiled: Vec<Vec<u64>> = program::run(&program, put()).unwrap().iter().map(bits).collect();
            // Subnormal numbers are zeros to some engines.
            let but_last = |bits: &[Vec<u64>]| bits.iter().map(|bits| bits[..7].to_vec()).collect::<Vec<_>>();
            assert_eq!(but_last(&eager), but_last(&expected), "{device}");
            assert_eq!(but_last(&compiled), but_last(&expected), "{device}");
        }
    }
}

/// Convolutions whose kernel is greater than the result: gradients by kernels, and what only looks like them.
#[test]
fn convolutions_with_great_kernels() {
    let count = |shape: [usize; 4]| {
        (Tensor::range(shape.iter().product::<usize>()) * 7).modulo(23).astype(DType::F32).reshape(shape) - 11.0
    };
    // Batch and features in each other's place.
    let dims = ConvDims::parse("CHWN", "IHWO", "HWNC").unwrap();
    let (x, g) = (count([2, 9, 8, 3]), count([2, 7, 6, 4]));
    for (strides, dilation, padding, kernel) in [
        ([1, 1], [1, 1], [(0, 0), (0, 0)], [7, 6]),
        ([1, 1], [1, 1], [(1, 1), (1, 1)], [7, 6]),
        ([1, 1], [1, 1], [(2, 0), (0, 1)], [7, 6]),
        ([1, 2], [1, 1], [(1, 1), (0, 0)], [7, 4]),
        ([1, 1], [2, 2], [(1, 0), (1, 1)], [4, 4]),
        ([1, 1], [2, 3], [(0, -1), (0, -1)], [4, 2]),
        ([2, 1], [2, 1], [(3, 3), (2, 2)], [5, 6]),
    ] {
        let op = ConvGeneralDilated {
            dims: dims.clone(),
            strides: strides.into_iter().collect(),
            padding: padding.into_iter().collect(),
            lhs_dilation: [1, 1].into_iter().collect(),
            rhs_dilation: dilation.into_iter().collect(),
            feature_groups: 1,
            batch_groups: 1,
        };
        let part = g.i((.., ..kernel[0], ..kernel[1]));
        agree(&[x.clone(), part], 1e-5, |x| Ok(bind(&op.clone().into(), x)?.into_vec()));
    }
}

/// One element of each row, and adding to one: with indices that are outside, too.
#[test]
fn an_element_of_each_row() {
    let x = Tensor::range(12).astype(DType::F32).reshape([4, 3]) - 2.0;
    let places = tensor![[[0], [2]], [[1], [1]], [[-1], [7]], [[2], [0]]];
    let updates = Tensor::range(8).astype(DType::F32).reshape([4, 2]) + 0.5;
    let gather = Index::Gather {
        dims: GatherDims {
            collapsed_slice_dims: [1].into_iter().collect(),
            operand_batching_dims: [0].into_iter().collect(),
            start_indices_batching_dims: [0].into_iter().collect(),
            start_index_map: [1].into_iter().collect(),
            ..GatherDims::default()
        },
        slice_sizes: [1, 1].into_iter().collect(),
    };
    let scatter = Index::Scatter {
        kind: ScatterKind::Add,
        dims: ScatterDims {
            inserted_window_dims: [1].into_iter().collect(),
            operand_batching_dims: [0].into_iter().collect(),
            scatter_indices_batching_dims: [0].into_iter().collect(),
            scatter_dims_to_operand_dims: [1].into_iter().collect(),
            ..ScatterDims::default()
        },
    };
    for dtype in [DType::F32, DType::BF16, DType::I32, DType::U32] {
        let inputs = [x.astype(dtype), places.clone(), updates.astype(dtype)];
        agree(&inputs, 0.0, |x| {
            let taken = bind(&gather.clone().into(), &x[..2])?[0].clone();
            let one = bind(&gather.clone().into(), &[x[0].clone(), x[1].i((.., 0))])?[0].clone();
            let added = bind(&scatter.clone().into(), x)?[0].clone();
            Ok(vec![taken, one, added])
        });
    }
}

/// Images with the channels last, for which engines have kernels of their own.
#[test]
fn poolings_and_their_gradients() {
    let values = |special: f32| {
        let x: Vec<f32> = (0..2 * 5 * 4 * 3).map(|i| if i % 7 == 3 { special } else { (i * 37 % 11) as f32 }).collect();
        Tensor::from_slice(&x, [2, 5, 4, 3]).unwrap()
    };
    for windows in [WindowDims::new([1, 2, 2, 1]).strides([1, 2, 2, 1]), WindowDims::new([1, 3, 2, 1])] {
        let places = windows.output_shape("", &[2, 5, 4, 3]).unwrap();
        let source = Tensor::range(places.size()).astype(DType::F32).reshape(&*places) + 1.0;
        let run = |x: &[Tensor]| {
            let (window, select) = (windows.clone(), SelectKind::Max);
            let scatter = Window::SelectAndScatterAdd { select, window: window.clone() };
            let gather = Window::SelectAndGatherAdd { select, window };
            Ok(vec![
                lax::reduce_window(WindowKind::Max, &x[0], &windows)?,
                lax::reduce_window(WindowKind::Sum, &x[0], &windows)?,
                bind(&scatter.into(), &[x[1].clone(), x[0].clone()])?[0].clone(),
                bind(&gather.into(), &[&x[0] * 2.0, x[0].clone()])?[0].clone(),
            ])
        };
        for special in [f32::NEG_INFINITY, -1.0, 100.0] {
            agree(&[values(special), source.clone()], 1e-6, run);
        }
        // The first of several NaNs is selected.
        let scatter: Primitive =
            Window::SelectAndScatterAdd { select: SelectKind::Max, window: windows.clone() }.into();
        agree(&[values(f32::NAN), source], 1e-6, |x| {
            let maxima = lax::reduce_window(WindowKind::Max, &x[0], &windows)?;
            let gradient = bind(&scatter, &[x[1].clone(), x[0].clone()])?[0].clone();
            Ok(vec![maxima.ne(&maxima), gradient])
        });
    }
}

/// Engines take long axes in blocks.
#[test]
fn cumulative_along_long_axes() {
    let kinds = [
        (CumulativeKind::Sum, 1e-5),
        (CumulativeKind::Prod, 1e-4),
        (CumulativeKind::Max, 0.0),
        (CumulativeKind::Min, 0.0),
        (CumulativeKind::LogSumExp, 1e-5),
    ];
    for size in [63, 64, 65, 80, 100, 1025, 4097] {
        let x = ((Tensor::range(6 * size).astype(DType::F32) * 0.7).sin() * 0.1 + 1.0).reshape([2, size, 3]);
        for reverse in [false, true] {
            let of = |kind| {
                move |x: &[Tensor]| Ok(bind(&Reduce::Cumulative { kind, axis: 1, reverse }.into(), x)?.into_vec())
            };
            for (kind, tolerance) in kinds {
                agree(std::slice::from_ref(&x), tolerance, of(kind));
            }
            let integers = (&x * 1e9).astype(DType::I32);
            agree(std::slice::from_ref(&integers), 0.0, of(CumulativeKind::Sum));
            agree(&[integers.astype(DType::U8)], 0.0, of(CumulativeKind::Prod));
            agree(&[integers.reshape([6 * size])], 0.0, move |x| {
                Ok(bind(&Reduce::Cumulative { kind: CumulativeKind::Max, axis: 0, reverse }.into(), x)?.into_vec())
            });
        }
    }
}

#[test]
fn random_bits() {
    let words = |x: u32| Tensor::from_slice(&[0, 1, 2, 3, 4].map(|i| x.wrapping_mul(i * 77_777 + 1)), [5]).unwrap();
    let inputs = [words(0x9E37_79B9), words(0xDEAD_BEEF), words(3), words(0xFFFF_FFFF)];
    let run = |x: &[Tensor]| Ok(bind(&Random::Threefry2x32.into(), x)?.into_vec());
    agree(&inputs, 0.0, run);
    let key = [Tensor::scalar(7_u32), Tensor::scalar(0xFFFF_0000_u32)];
    agree(&[key[0].clone(), key[1].clone(), inputs[0].clone(), inputs[1].clone()], 0.0, run);
    agree(&[key[0].clone(), key[1].clone(), key[0].clone(), key[1].clone()], 0.0, run);
}

#[test]
fn donated_inputs_are_used_up_and_others_kept() {
    let program = twice_and_sum();
    for device in devices() {
        let kept = tensor![1.0, 2.0, 3.0].to(&device).unwrap();
        let other = kept.clone();
        let results = program::run(&program, vec![kept.clone(), kept.clone()]).unwrap();
        assert_eq!(results[0].to_vec::<f32>(), [2.0, 4.0, 6.0]);
        assert_eq!(other.to_vec::<f32>(), [1.0, 2.0, 3.0]);
        let given = tensor![1.0, 1.0, 1.0].to(&device).unwrap();
        let results = program::run(&program, vec![given, kept]).unwrap();
        assert_eq!(results[0].to_vec::<f32>(), [2.0, 3.0, 4.0]);
        assert_eq!(results[1].item::<f32>(), 3.0);
        assert_eq!(other.to_vec::<f32>(), [1.0, 2.0, 3.0]);
    }
}

/// Engines may give views of one memory, and may write into what nobody needs any more: never both.
#[test]
fn views_stay_what_they_are_when_others_are_overwritten() {
    let x = Tensor::range(12).astype(DType::F32).reshape([3, 4]);
    agree(std::slice::from_ref(&x), 1e-6, |x| {
        let own = x[0].exp();
        let turned = lax::transpose(&own, &[1, 0])?;
        let part = lax::slice_axis(&own, 0, 1, 2, 1)?;
        let row = lax::reshape(&part, [4])?;
        // The last to use `own` itself, but not its memory; then the last to use each view.
        let more = &own + 1.0;
        Ok(vec![&turned * 2.0, &row - 1.0, more, -turned])
    });
    agree(&[tensor![1.0, 2.0, 3.0, 4.0], x.clone()], 1e-6, |x| {
        let wide = lax::broadcast_in_dim(&x[0].sin(), [3, 4], &[1])?;
        Ok(vec![&wide + &x[1], wide.exp()])
    });
    for device in devices() {
        let there = x.to(&device).unwrap();
        let (flat, turned) = (there.reshape([12]), lax::transpose(&there, &[1, 0]).unwrap());
        let before = [elements(&flat), elements(&turned)];
        let avals = [Aval::new(DType::F32, [3, 4])];
        let negated = stage(&avals, |x| Ok(vec![-(&x[0] * 3.0)])).unwrap().program;
        let result = program::run(&negated, vec![there]).unwrap();
        assert_eq!(elements(&result[0]), before[0].iter().map(|x| -3.0 * x).collect::<Vec<_>>());
        assert_eq!([elements(&flat), elements(&turned)], before, "{device}");
        // A result that is the operand.
        let same = stage(&avals, |x| Ok(vec![lax::reshape(&x[0], [12])?, &x[0] + 1.0])).unwrap().program;
        let result = program::run(&same, vec![x.to(&device).unwrap()]).unwrap();
        assert_eq!(elements(&result[0]), before[0]);
        let shifted = program::run(&same, vec![result[0].reshape([3, 4])]).unwrap();
        assert_eq!((elements(&result[0]), elements(&shifted[0])), (before[0].clone(), before[0].clone()));
    }
}

/// `for i in 0..3 { x = update(x, x[i] * 2, i) }`, in which the carry may be written to in place, from an
/// operand that somebody else has.
#[test]
fn loops_write_into_their_own_memory_only() {
    let row = Aval::new(DType::F32, [1]);
    let carry = [Aval::scalar(DType::I32), Aval::new(DType::F32, [3])];
    let cond = stage(&carry, |x| Ok(vec![lax::compare(CompareOp::Lt, &x[0], &Tensor::scalar(3))?])).unwrap();
    let body = stage(&carry, |x| {
        let one = bind(&Index::DynamicSlice { sizes: row.shape.clone() }.into(), &[x[1].clone(), x[0].clone()])?;
        let twice = &one[0] * 2.0;
        let next = bind(&Index::DynamicUpdateSlice.into(), &[x[1].clone(), twice, x[0].clone()])?;
        Ok(vec![&x[0] + 1, next[0].clone()])
    })
    .unwrap();
    let control = Control::While { cond: cond.program, body: body.program, cond_consts: 0, body_consts: 0 };
    let run = |x: &[Tensor]| {
        let mut results = bind(&control.clone().into(), &[Tensor::from(0), x[0].clone()])?.into_vec();
        results.push(x[0].clone());
        Ok(results)
    };
    agree(&[tensor![1.0, 2.0, 3.0]], 0.0, run);
}

fn twice_and_sum() -> Program {
    let mut builder = ProgramBuilder::new();
    let avals = [Aval::new(DType::F32, [3]), Aval::new(DType::F32, [3])];
    let staged = stage(&avals, |x| Ok(vec![&x[0] + &x[1], lax::reduce(ReduceKind::Sum, &x[0], &[0])?])).unwrap();
    let inputs: Vec<_> = avals.into_iter().map(|aval| builder.input(aval)).collect();
    let call = Control::Call { name: "inner".into(), program: staged.program };
    let results = builder.equation(call.into(), inputs).unwrap();
    builder.finish(&results)
}

#[cfg(any(feature = "xla", feature = "torch"))]
#[test]
fn mixing_devices_says_how_to_move() {
    use jaxnet_tensor::primitive::BinaryOp;
    for device in &devices()[1..] {
        let here = tensor![1.0, 2.0].to(&Device::cpu()).unwrap();
        let there = tensor![1.0, 2.0].to(device).unwrap();
        let error = lax::binary(BinaryOp::Add, &here, &there).unwrap_err().to_string();
        assert!(error.contains(&device.to_string()) && error.contains("cpu:0") && error.contains(".to("), "{error}");
        // What is nowhere in particular follows.
        let sum = tensor![1.0, 2.0] + &there;
        assert_eq!((sum.device(), sum.to_vec::<f32>()), (Some(device), vec![2.0, 4.0]));
    }
}

#[test]
fn every_dtype_goes_there_and_back() {
    for device in devices() {
        for dtype in DType::ALL {
            for shape in [&[][..], &[3], &[2, 0], &[2, 3]] {
                let size = shape.iter().product::<usize>();
                let x = (Tensor::range(size.max(1)) - 1).astype(dtype);
                let x = if size == 0 { Tensor::zeros(shape).astype(dtype) } else { x.reshape(shape) };
                let back = x.to(&device).unwrap().to(&Device::cpu()).unwrap();
                assert_eq!((back.dtype(), back.shape()), (dtype, x.shape()));
                assert_eq!(elements(&back), elements(&x), "{device} {dtype}");
            }
        }
    }
}

#[test]
fn devices_that_are_not_there_are_refused() {
    for (feature, device) in [
        (cfg!(feature = "xla"), Device::xla(1)),
        (cfg!(feature = "torch"), Device::torch(1)),
        (cfg!(feature = "torch"), Device::torch_cuda(63)),
        (cfg!(feature = "xla"), Device::xla_plugin("cuda", "/no/such/plugin.so", 0)),
    ] {
        let error = device.unwrap_err().to_string();
        assert_eq!(error.contains("--features"), !feature, "{error}");
    }
}

#[cfg(feature = "xla")]
#[test]
fn programs_become_readable_modules() {
    use jaxnet_tensor::backend::xla::XlaBackend;
    let avals = [Aval::new(DType::F32, [2, 3]), Aval::new(DType::F32, [3])];
    let staged = stage(&avals, |x| {
        let product = lax::dot_general(&x[0], &x[1], (&[1], &[0]), (&[], &[]))?;
        Ok(vec![lax::reduce(ReduceKind::Sum, &(product * 0.1), &[0])?, (&x[1] * 2.0).exp()])
    });
    let text = XlaBackend::hlo_text(&staged.unwrap().program, &[true, true]).unwrap();
    assert_eq!(
        text,
        "HloModule program, input_output_alias={ {1}: (1, {}, may-alias) }

add_f32 {
  p0 = f32[] parameter(0)
  p1 = f32[] parameter(1)
  ROOT add.2 = f32[] add(p0, p1)
}

ENTRY main {
  p0 = f32[2,3] parameter(0)
  p1 = f32[3] parameter(1)
  dot.2 = f32[2] dot(p0, p1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  constant.3 = f32[] constant(0.1)
  broadcast.4 = f32[2] broadcast(constant.3), dimensions={}
  multiply.5 = f32[2] multiply(dot.2, broadcast.4)
  constant.6 = f32[] constant(0)
  reduce.7 = f32[] reduce(multiply.5, constant.6), dimensions={0}, to_apply=add_f32
  constant.8 = f32[] constant(2)
  broadcast.9 = f32[3] broadcast(constant.8), dimensions={}
  multiply.10 = f32[3] multiply(p1, broadcast.9)
  exponential.11 = f32[3] exponential(multiply.10)
  ROOT tuple.12 = (f32[], f32[3]) tuple(reduce.7, exponential.11)
}
"
    );
}
