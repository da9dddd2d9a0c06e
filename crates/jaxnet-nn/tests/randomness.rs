//! Keys that modules ask for.

use jaxnet_nn::prelude::*;

fn noise() -> Parametrized<Tensor, (Tensor, Tensor)> {
    parametrized("noise", |cx, x: &Tensor| {
        let a = cx.random_key().normal(x.shape());
        let b = cx.random_key().normal(x.shape());
        (a, b)
    })
}

#[test]
fn keys_differ_and_repeat() {
    let x = Tensor::zeros([3]);
    let draw = |seed| {
        let (a, b) = noise().apply_with_key(&Params::empty(), Key::new(seed), &x);
        (a.to_vec::<f32>(), b.to_vec::<f32>())
    };
    assert_eq!(draw(0), draw(0));
    assert_ne!(draw(0), draw(1));
    assert_ne!(draw(0).0, draw(0).1);
    // In compiled functions the same.
    let fast = jit(|key: Key| noise().apply_with_key(&Params::empty(), key, &Tensor::zeros([3])));
    let (a, _) = fast.call(Key::new(0));
    assert!(a.allclose(Tensor::from(draw(0).0), 1e-5, 1e-6));
}

#[test]
fn a_missing_key_is_an_error_that_says_how() {
    let x = Tensor::zeros([3]);
    for error in [
        noise().try_apply(&Params::empty(), &x).err().unwrap(),
        try_catch(|| noise().call(&Vars::default(), &x, Mode::Eval)).err().unwrap(),
        sequential![relu, sequential![noise()]].try_apply(&Params::empty(), &x).err().unwrap(),
    ] {
        let message = error.to_string();
        assert!(message.contains("Mode::Train(key)") && message.contains("apply_with_key"), "{message}");
    }
    // Nothing that needs no key asks for one; initialization has one.
    noise().init_params(Key::new(0), &x);
    let _ = noise().call(&Vars::default(), &x, Mode::EvalWithKey(Key::new(0)));
}

#[test]
fn dropout() {
    let x = Tensor::ones([4000]);
    let train =
        |rate: f64, seed| Dropout::new(rate).call(&Vars::default(), &x, Mode::Train(Key::new(seed))).0.to_vec::<f32>();
    let y = train(0.25, 0);
    let kept = y.iter().filter(|&&y| y != 0.0).count() as f64 / 4000.0;
    assert!((kept - 0.75).abs() < 0.03, "{kept}");
    assert!(y.iter().all(|&y| y == 0.0 || (y - 4.0 / 3.0).abs() < 1e-6));
    assert_eq!(y, train(0.25, 0));
    assert_ne!(y, train(0.25, 1));
    assert_eq!(train(1.0, 0), [0.0; 4000]);
    assert_eq!(train(0.0, 0), [1.0; 4000]);
    // No key in evaluation, nor where nothing is random.
    assert_eq!(Dropout::new(0.9).apply(&Params::empty(), &x).to_vec::<f32>(), [1.0; 4000]);
    for wrong in [-0.1, 1.1, f64::NAN] {
        let message = try_catch(|| Dropout::new(wrong)).unwrap_err().to_string();
        assert!(message.contains("0..=1"), "{message}");
    }
    // Two in a net do not drop the same; the derivative goes where the value went.
    let net = sequential![Dropout::new(0.5), |x: &Tensor| x.ne(0.0).astype(DType::F32), Dropout::new(0.5)];
    let y = net.call(&Vars::default(), &x, Mode::Train(Key::new(0))).0;
    let kept = y.ne(0.0).mean().item::<f64>();
    assert!((kept - 0.25).abs() < 0.03, "{kept}");
    let (layer, x) = (Dropout::new(0.5), tensor![1.0, 2.0, 3.0, 4.0]);
    let run = |x: Tensor| layer.call(&Vars::default(), &x, Mode::Train(Key::new(3))).0;
    let (y, gradient) = value_and_grad(|x: Tensor| run(x).sum())(x.clone());
    assert_eq!(y.item::<f32>(), (gradient * &x).sum().item::<f32>());
    // Half precision stays.
    let half = Dropout::new(0.5).call(&Vars::default(), &x.astype(DType::BF16), Mode::Train(Key::new(3))).0;
    assert_eq!(half.dtype(), DType::BF16);
}

#[test]
fn noise_is_held_fixed_for_one_part() {
    let sampler = noise();
    let net = parametrized("net", move |cx, x: &Tensor| {
        let fixed = cx.with_key(Key::new(42), |cx| cx.call(&sampler, x));
        let free = cx.call(&sampler, x);
        (fixed, free)
    });
    let x = Tensor::zeros([3]);
    let draw = |seed| net.apply_with_key(&Params::empty(), Key::new(seed), &x);
    let (((a, b), (c, _)), ((d, e), (f, _))) = (draw(0), draw(1));
    assert_eq!(a.to_vec::<f32>(), d.to_vec::<f32>());
    assert_eq!(b.to_vec::<f32>(), e.to_vec::<f32>());
    assert_ne!(a.to_vec::<f32>(), b.to_vec::<f32>());
    assert_ne!(c.to_vec::<f32>(), f.to_vec::<f32>());
    // What is outside is as it would be without.
    let alone = noise().apply_with_key(&Params::empty(), Key::new(0), &x).0;
    assert_eq!(c.to_vec::<f32>(), alone.to_vec::<f32>());
}

#[test]
fn loops_and_batches_draw_anew_each_time() {
    let x = Tensor::zeros([4, 3]);
    let step = parametrized("step", |cx, (carry, x): &(Tensor, Tensor)| {
        let noise = cx.random_key().normal(x.shape());
        (carry + noise.sum(), noise)
    });
    let looped = parametrized("looped", move |cx, x: &Tensor| cx.scan(&step, Tensor::scalar(0.0_f32), x.clone()).1);
    let batched = Batched::new(parametrized("one", |cx, x: &Tensor| cx.random_key().normal(x.shape())), 0);
    let checkpointed = {
        let noise = parametrized("one", |cx, x: &Tensor| cx.random_key().normal(x.shape()));
        parametrized("checkpointed", move |cx, x: &Tensor| cx.checkpoint(&noise, x.clone()))
    };
    let all_differ = |y: &Tensor| {
        let mut values = y.to_vec::<f32>();
        values.sort_by(f32::total_cmp);
        values.windows(2).all(|pair| pair[0] != pair[1])
    };
    let looped = |seed| looped.apply_with_key(&Params::empty(), Key::new(seed), &x);
    assert!(all_differ(&looped(0)));
    assert_eq!(looped(0).to_vec::<f32>(), looped(0).to_vec::<f32>());
    assert_ne!(looped(0).to_vec::<f32>(), looped(1).to_vec::<f32>());
    assert!(all_differ(&batched.apply_with_key(&Params::empty(), Key::new(0), &x)));
    assert!(all_differ(&checkpointed.apply_with_key(&Params::empty(), Key::new(0), &x)));
    let error = batched.try_apply(&Params::empty(), &x).unwrap_err().to_string();
    assert!(error.contains("Mode::Train"), "{error}");
}
