//! Computing in half precision, with parameters and statistics in f32.

mod common;

use common::*;
use jaxnet_nn::prelude::*;

fn all_are(params: &Params, dtype: DType) -> bool {
    params.leaves().iter().all(|leaf| leaf.dtype() == dtype)
}

#[test]
fn parameters_and_statistics_stay_wide() {
    let net = sequential![
        Conv::new(4, [3, 3]).padding(Padding::Same),
        BatchNorm::new(),
        relu,
        GlobalAvgPool::new(2),
        LayerNorm::new(),
        Dense::new(5).weight_norm(1.0),
        Dropout::new(0.5),
        Dense::new(3)
    ];
    let x = wave([8, 5, 5, 2], 0.7);
    let plain = net.init(Key::new(0), &x);
    for dtype in [DType::BF16, DType::F16, DType::F32, DType::F64] {
        let mixed = MixedPrecision::new(net.clone(), dtype);
        let vars = mixed.init(Key::new(0), &x);
        assert_eq!(vars.params.paths(), plain.params.paths());
        assert!(all_are(&vars.state, DType::F32), "{dtype}");
        if dtype != DType::F64 {
            assert!(all_are(&vars.params, DType::F32), "{dtype}");
        }
        let run = |vars: &Vars| mixed.call(vars, &x, Mode::Train(Key::new(1)));
        let ((y, state), (expected, expected_state)) = (run(&plain), net.call(&plain, &x, Mode::Train(Key::new(1))));
        assert_eq!(y.dtype(), DType::F32);
        assert!(all_are(&state, DType::F32));
        let tolerance = if matches!(dtype, DType::BF16 | DType::F16) { 0.1 } else { 1e-5 };
        let far = |x: &Tensor, y: &Tensor| ((x - y).abs().max() / (y.abs().max() + 1e-2)).item::<f64>();
        assert!(far(&y, &expected) < tolerance, "{dtype}: {}", far(&y, &expected));
        assert_near(&state["batch_norm.var"], &expected_state["batch_norm.var"], tolerance);
        let slope = grad(|params: Params| {
            mixed.call(&Vars { params, ..plain.clone() }, &x, Mode::Train(Key::new(1))).0.square().mean()
        })(plain.params.clone());
        assert!(all_are(&slope, DType::F32));
        let exact = grad(|params: Params| {
            net.call(&Vars { params, ..plain.clone() }, &x, Mode::Train(Key::new(1))).0.square().mean()
        })(plain.params.clone());
        // Some are 0 but for rounding, as those of biases before normalization.
        let most = exact.leaves().iter().map(|leaf| leaf.abs().max().item::<f64>()).fold(0.0, f64::max);
        for ((path, slope), exact) in slope.iter().zip(exact.leaves()) {
            let error = (&slope - &exact).abs().max().item::<f64>() / most;
            assert!(error < 2.0 * tolerance, "{dtype} {path}: {error}");
        }
    }
    // Every product is one of halves, and the rest of the program sees no other parameters.
    let mixed = MixedPrecision::new(net, DType::BF16);
    let program = jit(|x: Tensor| mixed.call(&plain, &x, Mode::Eval).0).program(&x).to_string();
    let products: Vec<&str> =
        program.lines().filter(|line| line.contains("dot_general") || line.contains("= conv_general")).collect();
    assert!(products.len() == 3 && products.iter().all(|line| line.contains("bf16[")), "{products:?}");
}

#[test]
fn parts_and_other_kinds_of_modules() {
    let x = wave([2, 5, 4], 0.7);
    // A loop's carry is as narrow as the rest; integers are left alone; parts of a net one after the other.
    let rnn = MixedPrecision::new(Rnn::new(LstmCell::new(3)), DType::BF16).output(DType::BF16);
    let params = rnn.init_params(Key::new(0), &x);
    let y = rnn.apply(&params, &x);
    assert_eq!(y.dtype(), DType::BF16);
    let program = jit(|x: Tensor| rnn.apply(&params, &x)).program(&x).to_string();
    let products: Vec<&str> = program.lines().filter(|line| line.contains("= dot_general")).collect();
    assert!(!products.is_empty() && products.iter().all(|line| line.contains("bf16[2,12]")), "{program}");
    let words = MixedPrecision::new(sequential![Embedding::new(7, 4), Dense::new(2)], DType::F16);
    let text = tensor![[1, 2], [6, 0]];
    let params = words.init_params(Key::new(0), &text);
    assert_eq!((words.apply(&params, &text).dtype(), params["embedding.embedding"].dtype()), (DType::F32, DType::F32));
    let block = MixedPrecision::new(TransformerBlock::new(MultiHeadAttention::new(2).causal(), 8), DType::BF16);
    let params = block.init_params(Key::new(0), &x);
    let exact = TransformerBlock::new(MultiHeadAttention::new(2).causal(), 8).apply(&params, &x);
    assert_near(&block.apply(&params, &x), &exact, 0.05);
    check_vmap(&MixedPrecision::new(Dense::new(2), DType::F64), &Dense::new(2).init_params(Key::new(0), &x), &x);
    // Together with other wrappers.
    let net = Regularized::new(
        MixedPrecision::new(
            sequential![Frozen::new(Dense::new(3)), Remat::new(Dense::new(1)), |y: &Tensor| y.mean()],
            DType::BF16,
        ),
        |p: &Tensor| p.square(),
    );
    let params = net.init_params(Key::new(0), &x);
    let slope = grad(|p: Params| net.apply(&p, &x))(params.clone());
    let penalty = &params["model.dense0.kernel"] * 2.0;
    assert_near(&slope["model.dense0.kernel"], &penalty, 1e-2);
    assert!(message(|| MixedPrecision::new(Dense::new(1), DType::I32)).contains("i32"));
}

#[test]
fn scales_follow_what_is_finite() {
    // As PyTorch's `GradScaler(init_scale=8, growth_interval=3)`.
    let mut scale = LossScale::new().starting_at(8.0).growth_interval(3);
    let mut seen = Vec::new();
    for finite in [true, true, false, true, true, true, true, true, true, false, false] {
        scale = scale.next(&Tensor::scalar(finite));
        seen.push((scale.scale.item::<f32>(), scale.finite_steps.item::<i32>()));
    }
    let expected =
        [(8.0, 1), (8.0, 2), (4.0, 0), (4.0, 1), (4.0, 2), (8.0, 0), (8.0, 1), (8.0, 2), (16.0, 0), (8.0, 0), (4.0, 0)];
    assert_eq!(seen, expected);
    // At the ends it stays.
    let most = LossScale::new().starting_at(f32::MAX).growth_interval(1).next(&Tensor::scalar(true));
    assert_eq!(most.scale.item::<f32>(), f32::MAX);
    let least = LossScale::new().starting_at(f32::MIN_POSITIVE).next(&Tensor::scalar(false));
    assert_eq!(least.scale.item::<f32>(), f32::MIN_POSITIVE);
    assert!(message(|| LossScale::new().starting_at(0.0)).contains("positive"));
    assert!(message(|| LossScale::new().starting_at(f32::INFINITY)).contains("inf"));
    assert!(message(|| LossScale::new().growth_interval(0)).contains("got 0"));
    assert_eq!(LossScale::default().scale.item::<f32>(), 65536.0);
}

#[test]
fn small_derivatives_of_f16_survive() {
    let net = MixedPrecision::new(Dense::new(1).without_bias(), DType::F16).output(DType::F16);
    let x = wave([4, 3], 0.7);
    let params = net.init_params(Key::new(0), &x);
    // Derivatives of the order of 1e-9 are 0 in f16.
    let loss = |params: Params| net.apply(&params, &x).astype(DType::F32).sum() * 1e-9;
    let plain = grad(loss)(params.clone());
    assert!(plain["kernel"].eq(0).all().item::<bool>());
    let (value, slope, finite, _) = LossScale::new().starting_at(1e6).value_and_grad(loss)(params.clone());
    let ratio = &slope["kernel"].reshape([3]) / (x.sum_axis(0) * 1e-9);
    assert_near(&ratio, &Tensor::ones([3]), 5e-3);
    assert!(finite.item::<bool>());
    assert_near(&value, &loss(params.clone()), 1e-12);
    // In f64 all of it stays f64.
    let wide = |x: Tensor| x.square().sum();
    let (value, slope, ..) = LossScale::new().value_and_grad(wide)(tensor![3.0; dtype = DType::F64]);
    assert_eq!((value.dtype(), slope.dtype(), slope.item::<f64>()), (DType::F64, DType::F64, 6.0));
}

#[test]
fn training_goes_on_after_an_overflow() {
    let net = MixedPrecision::new(sequential![Dense::new(8), BatchNorm::new(), tanh, Dense::new(1)], DType::F16);
    let (x, y) = (Key::new(1).normal([16, 4]), Key::new(2).normal([16, 1]));
    let vars = net.init(Key::new(0), &x);
    // In one compiled loop, with state, from a scale that is too large.
    let train = jit(|(vars, scale): (Vars, LossScale)| {
        let step = |(vars, scale): (Vars, LossScale), _: Tensor| {
            let loss = |params: Params| {
                let (found, state) = net.call(&Vars { params, ..vars.clone() }, &x, Mode::Train(Key::new(3)));
                ((found - &y).square().mean(), state)
            };
            let ((value, state), slope, finite, next) = scale.value_and_grad_aux(loss)(vars.params.clone());
            let mut slope = slope.leaves().into_iter();
            let params = vars.params.map(|_, leaf| finite.select(leaf - slope.next().unwrap() * 0.1, leaf));
            ((Vars { params, state }, next), (value, finite))
        };
        scan(step, (vars, scale), Tensor::range(60))
    });
    let ((after, scale), (losses, finite)) = train.call((vars.clone(), LossScale::new().starting_at(1e9)));
    let (losses, finite) = (losses.to_vec::<f32>(), finite.to_vec::<bool>());
    let first = finite.iter().position(|&finite| finite).unwrap();
    assert!(first > 3 && finite[first..].iter().all(|&finite| finite), "{finite:?}");
    assert!(losses[..=first].iter().all(|&loss| loss == losses[0]), "nothing changes before");
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
    assert_eq!(scale.scale.item::<f32>(), 1e9 / 2_f32.powi(first as i32));
    assert!(all_are(&after.params, DType::F32) && all_are(&after.state, DType::F32));
    // A scale is saved as any other tree.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scale.safetensors");
    save(&scale, &path).unwrap();
    let again: LossScale = load_like(&path, &LossScale::new()).unwrap();
    assert!(again.scale.array_equal(&scale.scale));
}
