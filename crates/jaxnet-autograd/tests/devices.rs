//! Where things are and where they are computed: moving, mixing, and constants that are nowhere in
//! particular, right away and inside of transforms.
//!
//! A second device of the CPU engine stands in for another engine, so that builds without one are tested
//! too.

use std::sync::{Arc, OnceLock};

use jaxnet_autograd::*;
use jaxnet_tensor::backend::cpu::CpuBackend;
use jaxnet_tensor::{DType, Device, Error, Key, Tensor, Tree, tensor, try_catch};

/// The devices of the engines that this build has.
fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let mut devices = vec![Device::cpu(), Device::new(Arc::new(CpuBackend::new()), 1)];
        if cfg!(feature = "xla") {
            devices.push(Device::xla(0).unwrap());
        }
        if cfg!(feature = "torch") {
            devices.push(Device::torch(0).unwrap());
        }
        devices
    })
}

/// All pairs of devices, a device with itself among them.
fn pairs() -> impl Iterator<Item = (&'static Device, &'static Device)> {
    devices().iter().flat_map(|from| devices().iter().map(move |to| (from, to)))
}

fn floats(x: &Tensor) -> Vec<f64> {
    x.to(&Device::cpu()).unwrap().astype(DType::F64).to_vec()
}

#[derive(Clone, Debug, Tree)]
struct Model {
    weight: Tensor,
    bias: Option<Tensor>,
    counts: (Tensor, Vec<Tensor>),
    key: Tensor,
    #[tree(static)]
    name: String,
}

fn model() -> Model {
    Model {
        weight: tensor![[1.0, -0.0], [f32::NAN, f32::INFINITY]],
        bias: Some(tensor![0.5, 1.5].astype(DType::BF16)),
        counts: (tensor![i64::MIN, i64::MAX], vec![Tensor::zeros([0, 3]), tensor![true, false], Tensor::from(3)]),
        key: tensor![0xFFFF_FFFF_u32, 7],
        name: "model".into(),
    }
}

#[test]
fn whole_trees_move_between_all_devices() {
    let original = model();
    for (from, to) in pairs() {
        let there = original.to_device(from).unwrap().to_device(to).unwrap();
        assert_eq!(there.name, "model");
        for (leaf, original) in there.leaves().iter().zip(original.leaves()) {
            assert_eq!(leaf.device(), Some(to), "{from} {to}");
            assert_eq!((leaf.shape(), leaf.dtype()), (original.shape(), original.dtype()));
            assert_eq!(leaf.is_weak(), original.is_weak());
            let bits = |x: &Tensor| floats(x).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(leaf), bits(&original), "{from} {to}: {original}");
        }
        // What was moved is a copy: the original stays where it was.
        assert_ne!(original.weight.device(), Some(&devices()[1]));
    }
}

#[test]
fn every_dtype_moves_between_all_devices() {
    for (from, to) in pairs() {
        for dtype in DType::ALL {
            for shape in [&[][..], &[3], &[2, 0], &[2, 3]] {
                let count = Tensor::range(shape.iter().product::<usize>()) - 1;
                let x = count.astype(dtype).reshape(shape);
                let there = x.to(from).unwrap().to(to).unwrap();
                assert_eq!((there.device(), there.dtype(), there.shape()), (Some(to), dtype, x.shape()));
                assert_eq!(floats(&there), floats(&x), "{from} {to} {dtype}");
            }
        }
    }
}

#[test]
fn keys_move_and_draw_the_same() {
    let expected = Key::new(3).uniform([5]).to_vec::<f32>();
    for (from, to) in pairs() {
        let key = Key::new(3).to_device(from).unwrap().to_device(to).unwrap();
        let drawn = key.uniform([5]);
        assert_eq!((drawn.device(), drawn.to_vec::<f32>()), (Some(to), expected.clone()));
    }
}

/// Fails unless `f` fails because of devices, with a message that names both and says how to move.
#[track_caller]
fn refused(here: &Device, there: &Device, f: impl FnOnce() -> Tensor) {
    let error = try_catch(f).expect_err("devices are mixed").to_string();
    assert!(error.contains(&format!("on {here}")) && error.contains(&format!("on {there}")), "{error}");
    assert!(error.contains("`.to(&device)?`") && error.contains("`.to_device(&device)?`"), "{error}");
}

#[test]
fn mixing_devices_is_refused_everywhere() {
    for (here, there) in pairs().filter(|(here, there)| here != there) {
        let (x, y) = (tensor![1.0, 2.0].to(here).unwrap(), tensor![3.0, 4.0].to(there).unwrap());
        let refused = |f: &dyn Fn() -> Tensor| refused(here, there, f);
        let sum = |x: Tensor| (x * &y).sum();
        refused(&|| &x + &y);
        refused(&|| Tensor::stack(&[x.clone(), y.clone()], 0));
        // As a captured tensor, and as another argument.
        refused(&|| jit(sum).call(x.clone()));
        refused(&|| jit(|(x, y): (Tensor, Tensor)| x + y).call((x.clone(), y.clone())));
        refused(&|| grad(sum)(x.clone()));
        refused(&|| jit(grad(sum)).call(x.clone()));
        refused(&|| jvp(sum, x.clone(), y.clone()).1);
        refused(&|| vmap(|x: Tensor| x * y.sum())(x.clone()));
        refused(&|| jit(vmap(|x: Tensor| x * y.sum())).call(x.clone()));
        refused(&|| checkpoint(sum)(x.clone()));
        refused(&|| scan(|c: Tensor, x: Tensor| (c + x, ()), y.sum(), x.clone()).0);
        refused(&|| scan(|c: Tensor, x: Tensor| (c + x * &y, ()), tensor![0.0, 0.0], x.clone()).0);
        refused(&|| while_loop(|c: Tensor| c.sum().lt(y.sum()), |c: Tensor| c * 2.0, x.clone()));
        refused(&|| fori_loop(0, 3, |_, c: Tensor| c + &y, x.clone()));
        refused(&|| cond(true, |x: Tensor| x + &y, |x: Tensor| x, x.clone()));
        refused(&|| cond(y.sum().gt(0.0), |x: Tensor| x, |x: Tensor| -x, x.clone()));
    }
}

/// As the caller of a compiled function knows them, not as its program does.
#[test]
fn mixed_arguments_are_named() {
    let (x, y) = (tensor![1.0, 2.0].to(&devices()[0]).unwrap(), tensor![3.0, 4.0].to(&devices()[1]).unwrap());
    let said = |f: &dyn Fn() -> Tensor| try_catch(f).unwrap_err().to_string();
    let pair = said(&|| jit(|(x, y): (Tensor, Tensor)| x + y).call((x.clone(), y.clone())));
    assert!(pair.starts_with("jit: `0` (f32[2]) is on cpu:0 and `1` (f32[2]) on cpu:1; move one"), "{pair}");
    let captured = said(&|| jit(|x: Tensor| x + &y).call(x.clone()));
    assert!(
        captured.contains("a captured tensor (f32[2]) is on cpu:1 and the argument (f32[2]) on cpu:0"),
        "{captured}"
    );
}

#[test]
fn constants_follow_the_operands() {
    // A number, an array that nobody put anywhere, one that is made inside, and random bits.
    let somewhere = tensor![10.0, 20.0];
    let f = |x: Tensor| {
        let noise = Key::new(1).uniform([2]);
        &x * 2.0 + &somewhere + Tensor::range(2).astype(DType::F32) + tensor![0.5, 0.25] + noise
    };
    let total = |x: Tensor| f(x).square().sum();
    let x = tensor![1.0, 2.0];
    let batch = tensor![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    type Form<'a> = (&'static str, Box<dyn Fn(&Tensor, &Tensor) -> Tensor + 'a>);
    let forms: Vec<Form<'_>> = vec![
        ("eager", Box::new(|x, _| f(x.clone()))),
        ("jit", Box::new(|x, _| jit(f).call(x.clone()))),
        ("grad", Box::new(|x, _| grad(total)(x.clone()))),
        ("jit of grad", Box::new(|x, _| jit(grad(total)).call(x.clone()))),
        ("grad of jit", Box::new(|x, _| grad(jit(total))(x.clone()))),
        ("jvp", Box::new(|x, _| jvp(f, x.clone(), tensor![1.0, 0.0]).1)),
        ("grad of checkpoint", Box::new(|x, _| grad(checkpoint(total))(x.clone()))),
        ("grad of what is linear", Box::new(|x, _| grad(|x: Tensor| x.sum())(x.clone()))),
        ("grad of what does not matter", Box::new(|x, _| grad(|_: Tensor| Tensor::from(1_f32))(x.clone()))),
        ("vjp", Box::new(|x, _| vjp(f, x.clone()).1(tensor![1.0, 0.5]))),
        ("linearize", Box::new(|x, _| linearize(|x: Tensor| x * 2.0, x.clone()).1(tensor![1.0, 0.5]))),
        ("jacfwd", Box::new(|x, _| jacfwd(f)(x.clone()))),
        ("jacrev", Box::new(|x, _| jacrev(f)(x.clone()))),
        ("hessian", Box::new(|x, _| hessian(total)(x.clone()))),
        ("vmap", Box::new(|_, batch| vmap(f)(batch.clone()))),
        ("jit of vmap of grad", Box::new(|_, batch| jit(vmap(grad(total))).call(batch.clone()))),
        ("scan", Box::new(|_, batch| scan(|c: Tensor, x: Tensor| (c + f(x), ()), somewhere.clone(), batch.clone()).0)),
        (
            "grad of scan",
            Box::new(|_, batch| {
                let last =
                    |x: Tensor| scan(|c: Tensor, x: Tensor| ((c * f(x) * 0.01).sin(), ()), somewhere.clone(), x).0;
                grad(|x: Tensor| last(x).sum())(batch.clone())
            }),
        ),
        ("while", Box::new(|x, _| while_loop(|c: Tensor| c.sum().lt(100.0), f, x.clone()))),
        ("fori", Box::new(|x, _| fori_loop(0, 3, |i, c: Tensor| f(c) + i, x.clone()))),
        ("cond", Box::new(|x, _| cond(x.sum().gt(0.0), f, |x: Tensor| x, x.clone()))),
        // Only the predicate is there.
        ("cond by predicate", Box::new(|x, _| cond(x.sum().gt(0.0), f, |x: Tensor| x, somewhere.clone()))),
        ("jit of cond by predicate", {
            let choose = |x: Tensor| cond(x.sum().gt(0.0), f, |x: Tensor| x, somewhere.clone());
            Box::new(move |x, _| jit(choose).call(x.clone()))
        }),
    ];
    for (name, form) in &forms {
        let expected = form(&x, &batch);
        for device in devices() {
            let result = form(&x.to(device).unwrap(), &batch.to(device).unwrap());
            assert_eq!(result.device(), Some(device), "{name}");
            let near = result.to(&Device::cpu()).unwrap().allclose(&expected, 1e-5, 1e-6);
            assert!(near, "{name} on {device}: {result}, not {expected}");
        }
    }
}

#[test]
fn what_follows_and_what_stays() {
    for device in devices() {
        let nowhere = tensor![1.0];
        let there = nowhere.to(device).unwrap();
        // Operations with what was put there stay there, also those on their own results.
        assert_eq!((&there + 1.0).device(), Some(device));
        assert_eq!((&nowhere * (&there + 1.0)).device(), Some(device));
        assert_eq!((nowhere.clone() + 1.0).device(), Some(&Device::cpu()));
        // A compiled function serves every device.
        let f = jit(|x: Tensor| x + &nowhere);
        for device in devices() {
            let result = f.call(nowhere.to(device).unwrap());
            assert_eq!((result.device(), result.item::<f32>()), (Some(device), 2.0));
        }
        assert_eq!(f.trace_count(), 1);
    }
}

#[test]
fn traced_values_are_not_moved() {
    use jaxnet_tensor::OrRaise;
    let there = &devices()[1];
    let moving = |x: Tensor| x.to(there).or_raise();
    let of_jit = jit(moving).try_call(tensor![1.0]).unwrap_err();
    let of_grad = try_catch(|| grad(|x: Tensor| moving(x).sum())(tensor![1.0])).unwrap_err();
    for (transform, error) in [("`jit`", of_jit), ("`grad`", of_grad)] {
        let text = error.to_string();
        assert!(matches!(error, Error::Trace(_)) || text.contains("before the call"), "{text}");
        assert!(text.contains("to: a traced f32[1]") && text.contains(".to(&device)"), "{transform}: {text}");
    }
}
