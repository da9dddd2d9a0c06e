//! Optimizers on any tree, inside transforms, and on what they must refuse.

use jaxnet_autograd::{jit, scan, vmap};
use jaxnet_nn::prelude::*;
use jaxnet_optim::constant;
use jaxnet_optim::*;
use jaxnet_tensor::{Aval, tree, try_catch};

/// Every optimizer, by name.
fn all() -> Vec<(&'static str, Box<dyn UpdateRule>)> {
    vec![
        ("sgd", Box::new(Sgd::new(0.05))),
        ("momentum", Box::new(Momentum::new(cosine_decay(0.02, 100, 0.1), 0.9))),
        ("nesterov", Box::new(Momentum::new(0.02, 0.9).nesterov(true))),
        ("adam", Box::new(Adam::new(warmup(10, 0.1)))),
        ("rms_prop", Box::new(RmsProp::new(0.02))),
        ("rms_prop_momentum", Box::new(RmsProp::new(0.01).momentum(0.8))),
        ("adagrad", Box::new(Adagrad::new(0.5))),
        ("adagrad_momentum", Box::new(Adagrad::new(0.5).momentum(0.5))),
        ("sm3", Box::new(Sm3::new(0.5).momentum(0.5))),
        ("adadelta", Box::new(Adadelta::new(cosine_decay(1.0, 150, 0.0)).eps(3e-2))),
        ("adamw", Box::new(AdamW::new(0.1))),
        ("adamax", Box::new(Adamax::new(0.1))),
        ("nadam", Box::new(NAdam::new(0.1))),
        ("radam", Box::new(RAdam::new(0.1))),
        ("lamb", Box::new(Lamb::new(0.05))),
        ("lars", Box::new(Lars::new(0.05).trust(0.2).momentum(0.5))),
        ("lion", Box::new(Lion::new(0.05))),
        ("adafactor", Box::new(Adafactor::new(0.1).min_dim_to_factor(1))),
        ("muon", Box::new(Muon::new(cosine_decay(0.1, 150, 0.0)))),
        ("chain", Box::new((ClipByNorm::new(10.0), Centralize, WeightDecay::new(1e-3), Momentum::new(0.02, 0.9)))),
        ("noise", Box::new((AddNoise::new(1e-4, 0.5, Key::new(1)), AdaptiveClip::new(10.0), Sgd::new(0.05)))),
        ("list", Box::new(vec![Scale::new(0.5), Scale::new(-0.1)])),
        ("multi_steps", Box::new(MultiSteps::new(Adam::new(0.2), 2))),
        ("if_finite", Box::new(ApplyIfFinite::new(Momentum::new(0.02, 0.9), 2))),
        ("lookahead", Box::new(Lookahead::new(Adam::new(0.2), 5, 0.5))),
        ("averaged", Box::new(Averaged::polyak(Averaged::ema(Adam::new(0.1), 0.9)))),
        ("partition", Box::new(partition())),
        ("masked", Box::new((Masked::new(|path| path.starts_with('0'), Ema::new(0.5)), Sgd::new(0.05)))),
    ]
}

/// By path, rules that remember different things.
fn partition() -> Partition {
    let label = |path: &str| if path.starts_with('0') || path.is_empty() { "first" } else { "rest" };
    let rest = MultiSteps::new((ClipByValue::new(10.0), RmsProp::new(0.05)), 2);
    Partition::new(label).with("first", Adam::new(0.1)).with("rest", rest)
}

fn bits<T: Tree>(tree: &T) -> Vec<Vec<u32>> {
    tree.leaves()
        .iter()
        .map(|leaf| leaf.astype(DType::F32).to_vec::<f32>().iter().map(|x| x.to_bits()).collect())
        .collect()
}

fn avals<T: Tree>(tree: &T) -> Vec<Aval> {
    tree.leaves().iter().map(|leaf| leaf.aval().clone()).collect()
}

type Pair = (Tensor, Vec<Tensor>);

fn start() -> Pair {
    (tensor![1.0, -2.0], vec![tensor![[0.5]], Tensor::scalar(3_f32)])
}

fn bowl((a, rest): Pair) -> Tensor {
    a.square().sum() + (&rest[0] * 3.0 - 1.0).square().sum() + rest[1].square() * 0.5
}

#[test]
fn losses_fall_and_jit_agrees() {
    for (name, opt) in all() {
        let mut eager = opt.init(start());
        let mut compiled = opt.init(start());
        let step = jit(|state: OptState<Pair>| opt.update_and_get_loss(state, bowl));
        let first = bowl(start()).item::<f32>();
        for i in 0..150 {
            let (next, loss) = step.call(compiled);
            compiled = next;
            if i < 5 {
                let (next, eager_loss) = opt.update_and_get_loss(eager, bowl);
                eager = next;
                assert!(loss.allclose(&eager_loss, 1e-5, 1e-6), "{name}");
                for (a, b) in eager.leaves().iter().zip(compiled.leaves()) {
                    assert_eq!(a.aval(), b.aval(), "{name}");
                    assert!(a.allclose(b, 1e-5, 1e-6), "{name}");
                }
            }
        }
        assert_eq!(step.trace_count(), 1, "{name}: a state's dtypes stay");
        let last = bowl(opt.params(&compiled).clone()).item::<f32>();
        assert!(last < 0.05 * first, "{name}: {first} to {last}");
    }
}

#[test]
fn scan_is_a_loop_of_updates() {
    let targets = Tensor::linspace(-1.0, 1.0, 8);
    for (name, opt) in all() {
        let loss = |x: Tensor, target: &Tensor| (x - target).square().sum();
        let (scanned, losses) = scan(
            |state: OptState<Tensor>, target: Tensor| opt.update_and_get_loss(state, |x| loss(x, &target)),
            opt.init(tensor![3.0, -1.0]),
            targets.clone(),
        );
        let mut state = opt.init(tensor![3.0, -1.0]);
        for target in targets.to_vec::<f32>() {
            state = opt.update(state, |x| loss(x, &Tensor::from(target)));
        }
        assert_eq!(losses.shape().dims(), [8]);
        for (a, b) in scanned.leaves().iter().zip(state.leaves()) {
            assert!(a.allclose(b, 1e-5, 1e-6), "{name}");
        }
        assert_eq!(opt.step(&scanned).item::<i32>(), 8);
    }
}

#[test]
fn vmap_trains_an_ensemble() {
    let rows = [[1.0, 2.0], [-4.0, 0.5], [0.0, 0.0]];
    // One member's gradients overflow once, so that rules decide differently for each.
    let overflow = tensor![0.0, f32::INFINITY, 0.0];
    for (name, opt) in all() {
        let train = |(x, overflow): (Tensor, Tensor)| {
            let mut state = opt.init(x);
            for i in 0..3 {
                let mut gradients = (&state.params - 1.0) * 2.0;
                if i == 1 && name == "if_finite" {
                    gradients = gradients + &overflow;
                }
                state = opt.update_from_gradients(gradients, state);
            }
            state
        };
        let together = vmap(train)((Tensor::from(rows), overflow.clone()));
        for (i, row) in rows.iter().enumerate() {
            let alone = train((Tensor::from(*row), overflow.i(i)));
            for (a, b) in together.leaves().iter().zip(alone.leaves()) {
                let a = a.i(i);
                assert!(a.allclose(&b, 1e-5, 1e-6), "{name}, member {i}: {a}, not {b}");
            }
        }
    }
}

#[test]
fn losses_without_parameters() {
    for (_, opt) in all() {
        let state: OptState = opt.init(Params::empty());
        let (state, loss) = opt.update_and_get_loss(state, |_| Tensor::scalar(2_f32));
        assert_eq!((loss.item::<f32>(), opt.step(&state).item::<i32>()), (2.0, 1));
        let (state, loss) =
            jit(|state: OptState<()>| opt.update_and_get_loss(state, |()| tensor![3.0].sum())).call(opt.init(()));
        assert_eq!((loss.item::<f32>(), state.step.item::<i32>()), (3.0, 1));
    }
}

#[test]
fn parameters_that_the_loss_ignores_stay() {
    for (name, opt) in all() {
        let state = opt.init((tensor![1.0], tensor![7.0]));
        let state = opt.update(state, |(x, _): (Tensor, Tensor)| x.square().sum());
        // But for those that pull parameters to 0, or add noise.
        let moves = ["adamw", "lion", "chain", "noise"].contains(&name);
        assert_eq!(state.params.1.item::<f32>() != 7.0, moves, "{name}");
    }
}

#[test]
fn modules_train_as_the_documentation_shows() {
    let net = Dense::new(1);
    let model = net.clone();
    let loss = parametrized("loss", move |cx, (x, y): &(Tensor, Tensor)| (cx.call(&model, x) - y).square().mean());
    let batch = (tensor![[1.0], [2.0]], tensor![[3.0], [5.0]]);
    let opt = Momentum::new(0.05, 0.9);
    let step =
        jit(|(state, batch): (OptState, (Tensor, Tensor))| opt.update_and_get_loss(state, |p| loss.apply(&p, &batch)));
    let mut state = opt.init(loss.init_params(Key::new(0), &batch));
    let mut last = f32::INFINITY;
    for _ in 0..300 {
        let (next, l) = step.call((state, batch.clone()));
        (state, last) = (next, l.item());
    }
    assert!(last < 1e-4, "{last}");
    let y = net.apply_from(&[loss.shaped(&batch).reuse(opt.params(&state))], &tensor![[3.0]]);
    assert!(y.allclose(7.0, 0.0, 0.1), "{y}");
    let paths = tree::paths(&state);
    assert!(paths.contains(&"slots.velocity.dense.kernel".to_string()), "{paths:?}");
}

#[test]
fn a_state_taken_apart_and_put_together_goes_on_bit_for_bit() {
    for (name, opt) in all() {
        let state = (0..3).fold(opt.init(start()), |state, _| opt.update(state, bowl));
        let (leaves, structure) = tree::flatten(&state);
        let fixed = structure.tokens().iter().any(|token| matches!(token, tree::Token::Fixed(_)));
        assert!(!fixed, "{name}: everything in a state can be saved");
        let copies = leaves.iter().map(|leaf| match leaf.dtype() {
            DType::I32 => Tensor::from_slice(&leaf.to_vec::<i32>(), leaf.shape()).unwrap(),
            DType::U32 => Tensor::from_slice(&leaf.to_vec::<u32>(), leaf.shape()).unwrap(),
            _ => Tensor::from_slice(&leaf.to_vec::<f32>(), leaf.shape()).unwrap(),
        });
        let restored: OptState<Pair> = tree::unflatten(&structure, copies.collect()).unwrap();
        assert_eq!(bits(&opt.update(restored, bowl)), bits(&opt.update(state, bowl)), "{name}");
    }
}

#[test]
fn a_saved_state_goes_on_bit_for_bit() {
    let folder = std::env::temp_dir().join(format!("jaxnet-optim-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let net = sequential![Dense::new(3), relu, Dense::new(1)];
    let inputs = tensor![[1.0, -2.0], [0.5, 3.0]];
    let loss = |params: Params| (net.apply(&params, &inputs) - 1.0).square().mean();
    let label = |path: &str| if path.ends_with("kernel") { "kernels" } else { "others" };
    let rest = MultiSteps::new((AddNoise::new(1e-3, 0.5, Key::new(2)), RmsProp::new(0.01)), 2);
    let nested = Averaged::ema(Partition::new(label).with("kernels", Muon::new(0.02)).with("others", rest), 0.9);
    let mut opts = all();
    opts.push(("nested", Box::new(nested)));
    for (name, opt) in opts {
        let step = jit(|state: OptState| opt.update(state, loss));
        let state = (0..3).fold(opt.init(net.init_params(Key::new(0), &inputs)), |state, _| step.call(state));
        let file = folder.join(format!("{name}.safetensors"));
        save(&state, &file).unwrap();
        let restored: OptState = load(&file).unwrap();
        assert_eq!(tree::paths(&restored), tree::paths(&state), "{name}");
        let (on, again) = (step.call(state), step.call(restored));
        let same = on.leaves().iter().zip(again.leaves()).all(|(a, b)| a.array_equal(b));
        assert!(same, "{name}");
        assert_eq!(step.trace_count(), 1, "{name}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn half_precision_keeps_moments_in_f32() {
    for dtype in [DType::F16, DType::BF16] {
        for (name, opt) in all() {
            let x = tensor![1.0, -1.0].astype(dtype);
            let state = opt.init(x.clone());
            // Gradients whose squares are 0 in f16.
            let next = opt.update_from_gradients(tensor![1e-5, -1e-5].astype(dtype), state.clone());
            assert_eq!(avals(&next), avals(&state), "{name}");
            assert!(state.slots.values().all(|slot| slot.dtype() == DType::F32), "{name}");
            assert!(opt.params(&next).is_finite().all().item::<bool>(), "{name}");
        }
        let opt = Adam::new(0.25);
        let next =
            opt.update_from_gradients(tensor![1e-5, -1e-5].astype(dtype), opt.init(tensor![1.0, -1.0].astype(dtype)));
        // In f16 the mean square would be 0, and the update divided by `eps` alone.
        assert!(next.params.astype(DType::F32).allclose(tensor![0.75, -0.75], 0.0, 2e-3), "{}", next.params);
    }
}

#[test]
fn weak_parameters_become_strong() {
    let opt = Adam::new(0.1);
    let state = opt.init(Tensor::from(1.0));
    assert!(!state.params.is_weak());
    let next = opt.update(state.clone(), |x| x.square());
    assert_eq!(avals(&next), avals(&state));
}

#[test]
fn auxiliary_outputs_pass_through() {
    let opt = Sgd::new(0.5);
    let step = jit(|state: OptState<Tensor>| {
        opt.update_with(state, |x: Tensor| (x.square().sum(), (x.max(), vec![x.argmin(0)])))
    });
    let (state, loss, (max, argmin)) = step.call(opt.init(tensor![3.0, -1.0]));
    assert_eq!((loss.item::<f32>(), max.item::<f32>(), argmin[0].item::<i32>()), (10.0, 3.0, 1));
    assert_eq!(state.params.to_vec::<f32>(), [0.0, 0.0]);
}

#[test]
fn states_are_donated() {
    let opt = Adam::new(0.1);
    let step = jit(|state: OptState<Tensor>| opt.update(state, |x| x.square().sum()));
    let state = step.call(opt.init(tensor![3.0, -1.0]));
    let held = state.params.clone();
    let error = step.call_strict(state).expect_err("a leaf is held");
    assert!(error.to_string().contains("params"), "{error}");
    drop(held);
    let state = step.call(opt.init(tensor![3.0, -1.0]));
    step.call_strict(state).expect("nobody else holds the state");
}

#[test]
fn the_learning_rate_is_that_of_the_next_update() {
    let opt = Sgd::new(piecewise_constant(&[0], &[0.5, 0.25]));
    let state = opt.init(tensor![1.0]);
    assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.5);
    let state = opt.update_from_gradients(tensor![1.0], state);
    assert_eq!(opt.params(&state).item::<f32>(), 0.5);
    assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.25);
    assert_eq!(Adam::new(0.125).learning_rate(&state).item::<f32>(), 0.125);
}

#[test]
fn learning_rates_of_rules_together() {
    let schedule = || piecewise_scale(0.5, &[(1, 0.5)]);
    let opt = MultiSteps::new((ClipByValue::new(1.0), Sgd::new(schedule())), 2);
    let state = opt.init(tensor![0.0]);
    let state = opt.update_from_gradients(tensor![1.0], state);
    assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.5, "no update has been made");
    let state = opt.update_from_gradients(tensor![1.0], state);
    assert_eq!((opt.step(&state).item::<i32>(), state.scalars["step"].item::<i32>()), (2, 1));
    assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.25);

    let opt = Partition::new(|path| if path == "0" { "a" } else { "b" })
        .with("a", ApplyIfFinite::new(Sgd::new(schedule()), 9))
        .with("b", (Adam::new(0.5), Scale::new(0.5)));
    let state = opt.init((tensor![0.0], tensor![0.0]));
    let state = opt.update_from_gradients((tensor![f32::INFINITY], tensor![1.0]), state);
    assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.5, "the update was left out");
    assert_eq!(opt.learning_rate_of("b", &state).item::<f32>(), 0.25);
    let (a, b) = opt.params(&state).clone();
    assert!(a.item::<f32>() == 0.0 && b.allclose(-0.25, 1e-6, 0.0));

    let state = OptState { params: tensor![1.0], step: Tensor::scalar(3_i32), slots: [].into(), scalars: [].into() };
    assert_eq!(Freeze.learning_rate(&state).item::<f32>(), 1.0, "none");
    assert_eq!((Sgd::new(0.5), Scale::new(0.5)).learning_rate(&state).item::<f32>(), 0.25);
}

#[test]
fn errors_in_a_row_come_through() {
    let opt = ApplyIfFinite::new(Sgd::new(1.0), 2);
    let mut state = opt.init(tensor![1.0, 2.0]);
    let mut errors = Vec::new();
    for gradient in [f32::NAN, f32::INFINITY, 1.0, f32::NAN, f32::NAN] {
        state = opt.update_from_gradients(tensor![gradient, 0.0], state);
        errors.push(state.scalars["errors"].item::<i32>());
        assert!(opt.params(&state).is_finite().all().item::<bool>());
    }
    assert_eq!(errors, [1, 2, 0, 1, 2]);
    assert_eq!(opt.params(&state).to_vec::<f32>(), [0.0, 2.0]);
    let state = opt.update_from_gradients(tensor![f32::NAN, 0.0], state);
    assert!(opt.params(&state).to_vec::<f32>()[0].is_nan(), "the third");
    assert_eq!((state.scalars["total_errors"].item::<i32>(), state.scalars["step"].item::<i32>()), (5, 2));
}

#[test]
fn accumulated_gradients_are_one_large_batch() {
    let (one, two) = (tensor![[1.0, 5.0], [3.0, -1.0]], tensor![[-2.0, 0.5], [7.0, 1.0]]);
    let loss = |x: Tensor, batch: &Tensor| (x - batch).square().mean();
    let accumulating = MultiSteps::new(Adam::new(0.1), 2);
    let plain = Adam::new(0.1);
    let mut a = accumulating.init(tensor![0.0, 0.0]);
    let mut b = plain.init(tensor![0.0, 0.0]);
    for _ in 0..3 {
        a = accumulating.update(a, |x| loss(x, &one));
        a = accumulating.update(a, |x| loss(x, &two));
        b = plain.update(b, |x| loss(x, &Tensor::concatenate(&[one.clone(), two.clone()], 0)));
    }
    assert!(a.params.allclose(&b.params, 1e-5, 1e-7), "{} {}", a.params, b.params);
}

#[test]
fn empty_and_tall_parameters() {
    let start = || (Tensor::zeros([0, 3]), Tensor::zeros([4, 1]), Tensor::zeros([2, 1, 3]), Tensor::scalar(1_f32));
    for (name, opt) in all() {
        let state = opt.init(start());
        let gradients = || {
            let (a, b, c, d) = start();
            (a, b + 1.0, c - 1.0, d)
        };
        let state = (0..2).fold(state, |state, _| opt.update_from_gradients(gradients(), state));
        assert!(state.params.leaves().iter().all(|x| x.is_finite().all().item::<bool>()), "{name}");
        // The mean of one number is itself.
        let centralized = name == "chain";
        assert_eq!(state.params.1.count_nonzero().item::<i32>() == 0, centralized, "{name}");
    }
}

#[test]
fn clipping() {
    let gradients = (tensor![3.0], tensor![[4.0, 0.0]]);
    assert_eq!(global_norm(&gradients).item::<f32>(), 5.0);
    assert_eq!(global_norm(&()).item::<f32>(), 0.0);
    assert_eq!(global_norm(&Tensor::zeros([0])).item::<f32>(), 0.0);
    let bits_before = bits(&gradients);
    assert_eq!(bits(&clip_by_global_norm(gradients.clone(), 5.0)), bits_before, "what fits stays as it is");
    let (a, b) = jit(|g: (Tensor, Tensor)| clip_by_global_norm(g, 1.0)).call(gradients);
    assert!(a.allclose(0.6, 1e-6, 0.0) && b.allclose(tensor![[0.8, 0.0]], 1e-6, 0.0));
    let zero = clip_by_global_norm(tensor![0.0, 0.0], 0.0);
    assert_eq!(zero.to_vec::<f32>(), [0.0, 0.0]);
    // A norm that f16 cannot hold.
    let half = clip_by_global_norm(Tensor::full([4], 60000.0, DType::F16), 2.0);
    assert_eq!(half.dtype(), DType::F16);
    assert!(half.astype(DType::F32).allclose(1.0, 1e-3, 0.0));
    let double = clip_by_global_norm(tensor![3e200, 4e200; dtype = DType::F64] * 1e-100, 5.0);
    assert!(double.allclose(tensor![3.0, 4.0; dtype = DType::F64], 1e-12, 0.0));
}

#[test]
fn what_cannot_be_optimized_is_named() {
    let opt = Adam::new(0.1);
    let error = |f: &dyn Fn()| try_catch(f).unwrap_err().to_string();

    let message = error(&|| drop(opt.init((tensor![1.0], vec![tensor![1, 2]]))));
    assert!(message.contains("1.0") && message.contains("i32[2]"), "{message}");
    let message = error(&|| drop(opt.init(Key::new(0))));
    assert!(message.contains("random key"), "{message}");

    let state = opt.init((tensor![1.0], vec![tensor![1.0, 2.0]]));
    let message = error(&|| drop(opt.update_from_gradients((tensor![1.0], vec![]), state.clone())));
    assert!(message.contains("missing") && message.contains("1.0"), "{message}");
    let message = error(&|| drop(opt.update_from_gradients((tensor![1.0], vec![tensor![1.0]]), state.clone())));
    assert!(message.contains("1.0") && message.contains("f32[1]") && message.contains("f32[2]"), "{message}");
    let message = error(&|| drop(Momentum::new(0.1, 0.9).update(state.clone(), |(x, _)| x.sum())));
    assert!(message.contains("`velocity`") && message.contains("mean"), "{message}");
    let message = error(&|| drop(opt.update(state.clone(), |(x, _)| x)));
    assert!(message.contains("scalar"), "{message}");

    let message = error(&|| drop(piecewise_constant(&[3, 2], &[1.0, 2.0, 3.0])));
    assert!(message.contains("ascend"), "{message}");
    let message = error(&|| drop(piecewise_constant(&[3], &[1.0])));
    assert!(message.contains("one value more"), "{message}");
    let message = error(&|| drop(cosine_decay(0.1, 0, 0.0)));
    assert!(message.contains("must not be 0"), "{message}");
    let message = error(&|| drop(Sgd::new(|_: &Tensor| tensor![1.0, 2.0]).learning_rate(&state)));
    assert!(message.contains("scalar"), "{message}");

    let message = error(&|| drop(MultiSteps::new(Adam::new(0.1), 0)));
    assert!(message.contains("MultiSteps") && message.contains("got 0"), "{message}");
    let message = error(&|| drop(Lookahead::new(Adam::new(0.1), 0, 0.5)));
    assert!(message.contains("period") && message.contains("got 0"), "{message}");
    for message in [
        error(&|| {
            let _ = ClipByNorm::new(-1.0);
        }),
        error(&|| {
            let _ = ClipByValue::new(f64::NAN);
        }),
        error(&|| {
            let _ = ClipByGlobalNorm::new(-2.0);
        }),
        error(&|| {
            let _ = ClipByRms::new(-2.0);
        }),
        error(&|| {
            let _ = AdaptiveClip::new(-2.0);
        }),
        error(&|| drop(Adafactor::new(0.1).clipping(-2.0))),
    ] {
        assert!(message.contains("must be at least 0"), "{message}");
    }

    let two = || Partition::new(|path| path.to_string()).with("0", Adam::new(0.1));
    let message = error(&|| drop(two().init((tensor![1.0], tensor![1.0]))));
    assert!(message.contains("`1` is labelled `1`") && message.contains("for `0` only"), "{message}");
    let message = error(&|| drop(two().with("0", Sgd::new(0.1))));
    assert!(message.contains("a rule already"), "{message}");
    let message = error(&|| drop(two().with("a.b", Sgd::new(0.1))));
    assert!(message.contains("dot"), "{message}");
    let message = error(&|| drop(two().learning_rate_of("2", &state)));
    assert!(message.contains("no rule for `2`") && message.contains("`0`"), "{message}");
    let message = error(&|| drop(Averaged::ema(Adam::new(0.1), 0.5).average(&state)));
    assert!(message.contains("`average`") && message.contains("mean"), "{message}");
    let message = error(&|| drop(MultiSteps::new(Adam::new(0.1), 2).update(state.clone(), |(x, _)| x.sum())));
    assert!(message.contains("`step`") && message.contains("mean"), "{message}");
    let message = error(&|| drop(MultiSteps::new(Adam::new(0.1), 2).learning_rate(&state)));
    assert!(message.contains("`step`"), "{message}");

    let message = error(&|| drop(join_schedules(vec![constant(1.0)], &[3])));
    assert!(message.contains("one schedule more"), "{message}");
    let message = error(&|| drop(join_schedules(vec![constant(1.0), constant(1.0), constant(1.0)], &[3, 3])));
    assert!(message.contains("ascend"), "{message}");
    let message = error(&|| drop(warmup_cosine_decay(0.0, 1.0, 10, 10, 0.0)));
    assert!(message.contains("more than the 10 of the warmup"), "{message}");
    let message = error(&|| drop(sgdr(&[])));
    assert!(message.contains("at least one cycle"), "{message}");
    let message = error(&|| drop(piecewise_interpolate(Interpolation::Linear, 1.0, &[(0, 0.5)])));
    assert!(message.contains("start from 1"), "{message}");
    let message = error(&|| drop(piecewise_scale(1.0, &[(3, -0.5)])));
    assert!(message.contains("at least 0, got -0.5 at 3"), "{message}");
    let message = error(&|| drop(linear_onecycle(100, 1.0, OneCycle { start: 1.5, ..OneCycle::default() })));
    assert!(message.contains("from 0 to 1, got 1.5"), "{message}");
    let message = error(&|| drop(linear(1.0, 0.0, 0)));
    assert!(message.contains("must not be 0"), "{message}");
}
