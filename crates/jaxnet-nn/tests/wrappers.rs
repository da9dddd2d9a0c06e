//! Modules that run others in another way.

mod common;

use common::*;
use jaxnet_nn::prelude::*;

fn net() -> Sequential {
    sequential![Dense::new(4), tanh, Dense::new(4), tanh]
}

#[test]
fn residuals_add_what_goes_in() {
    let x = wave([2, 4], 0.7);
    let block = Residual::new(net());
    let params = block.init_params(Key::new(0), &x);
    assert_eq!(params.paths()[0], "sequential.dense0.kernel");
    assert_near(&block.apply(&params, &x), &(net().apply(&params.at("sequential"), &x) + &x), 1e-6);
    check_module(&block, &x.astype(DType::F64), 2);
    check_vmap(&block, &params, &wave([3, 2, 4], 0.7));
    // In a net, beside another, with layers as shortcuts.
    let other = Residual::new(Dense::new(3)).with_shortcut(Dense::new(3));
    let whole = sequential![block.clone(), block.fresh(), other];
    let params = whole.init_params(Key::new(0), &x);
    // Fresh only on the outside.
    assert_eq!(params.at("residual1").paths().len(), 0);
    assert_eq!(params.at("residual2").paths(), ["dense.kernel", "dense.bias", "shortcut.kernel", "shortcut.bias"]);
    let wrong = message(|| Residual::new(Dense::new(3)).init_params(Key::new(0), &x));
    assert!(wrong.contains("f32[2,3]") && wrong.contains("with_shortcut"), "{wrong}");
    // What would broadcast is refused as well.
    assert!(message(|| Residual::new(Dense::new(1)).init_params(Key::new(0), &x)).contains("Residual"));
}

#[test]
fn what_is_computed_again_is_the_same() {
    let (inner, x) = (net(), wave([2, 4], 0.7));
    let head = Dense::new(1);
    let plain = sequential![inner.clone(), head.clone()];
    let remat = sequential![Remat::new(inner.clone()), head.clone()];
    let params = plain.init_params(Key::new(0), &x);
    let again = remat.init_params(Key::new(0), &x);
    assert_eq!(again.paths(), params.paths());
    assert!(again.leaves().iter().zip(params.leaves()).all(|(a, b)| a.array_equal(&b)));
    let gradient = |net: &Sequential| {
        let net = net.clone();
        let x = x.clone();
        jit(grad(move |p: Params| net.apply(&p, &x).square().sum()))
    };
    let (a, b) = (gradient(&plain), gradient(&remat));
    for (a, b) in a.call(params.clone()).leaves().iter().zip(b.call(params.clone()).leaves()) {
        assert_near(a, &b, 1e-6);
    }
    // It does compute again.
    let count = |text: String| text.matches(" tanh ").count() + text.matches("= tanh").count();
    let (once, twice) = (count(a.program(&params).to_string()), count(b.program(&params).to_string()));
    assert!(twice > once && once > 0, "{once} and {twice}");
    check_module(&Remat::new(net()), &x.astype(DType::F64), 2);
    check_vmap(&remat, &params, &wave([3, 2, 4], 0.7));
    // State and keys go through, also in a scan, compiled.
    let inner = sequential![Dense::new(4), BatchNorm::new(), Dropout::new(0.5)];
    let net = Remat::new(inner.clone());
    let vars = net.init(Key::new(0), &x);
    let expected = inner.call(&vars, &x, Mode::Train(Key::new(1))).1;
    let (y, state) = net.call(&vars, &x, Mode::Train(Key::new(1)));
    assert_near(&state["batch_norm.mean"], &expected["batch_norm.mean"], 1e-6);
    assert!(y.eq(0).any().item::<bool>());
    let epoch = jit(|(vars, xs): (Vars, Tensor)| {
        let step = |state: Params, x: Tensor| {
            (net.call(&vars.with_state(state), &x, Mode::Train(Key::new(1))).1, Tensor::from(0.0))
        };
        scan(step, vars.state.clone(), xs).0
    });
    let twice = epoch.call((vars.clone(), Tensor::stack(&[x.clone(), x.clone()], 0)));
    let by_hand = inner.call(&vars.with_state(expected), &x, Mode::Train(Key::new(1))).1;
    assert_near(&twice["batch_norm.mean"], &by_hand["batch_norm.mean"], 1e-6);
    let y = Remat::new(relu as fn(&Tensor) -> Tensor).apply(&Params::empty(), &x);
    assert!(y.array_equal(relu(&x)));
}

#[test]
fn what_is_frozen_stays() {
    let (inner, x) = (net(), wave([2, 4], 0.7));
    let frozen = sequential![Dense::new(4), Frozen::new(inner.clone()), Dense::new(1)];
    let free = sequential![Dense::new(4), inner.clone(), Dense::new(1)];
    let params = frozen.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), free.init_params(Key::new(0), &x).paths());
    assert!(frozen.apply(&params, &x).array_equal(free.apply(&params, &x)));
    let slope = |net: &Sequential| grad(|p: Params| net.apply(&p, &x).sum())(params.clone());
    let (held, all) = (slope(&frozen), slope(&free));
    for (path, leaf) in held.iter() {
        if path.starts_with("sequential") {
            assert!(leaf.eq(0).all().item::<bool>() && all[&*path].ne(0).any().item::<bool>(), "{path}");
        } else {
            // Derivatives go through to layers before.
            assert_near(&leaf, &all[&*path], 1e-6);
        }
    }
    check_vmap(&frozen, &params, &wave([3, 2, 4], 0.7));
    // The same module elsewhere is trained; in loops, a part of a frozen net is frozen, too.
    let both = parametrized("both", move |cx, x: &Tensor| {
        cx.call(&Frozen::new(inner.clone()), x).sum() + cx.call(&inner, x).sum()
    });
    let params = both.init_params(Key::new(0), &x);
    assert_eq!(params.paths().len(), 4);
    let slope = grad(|p: Params| both.apply(&p, &x))(params.clone());
    let alone = grad(|p: Params| net().apply(&p, &x).sum())(params.at("sequential"));
    assert_near(&slope["sequential.dense0.kernel"], &alone["dense0.kernel"], 1e-6);
    let rnn = Frozen::new(Rnn::new(RnnCell::new(2)));
    let sequences = wave([1, 3, 2], 0.7);
    let params = rnn.init_params(Key::new(0), &sequences);
    let slope = grad(|p: Params| rnn.apply(&p, &sequences).sum())(params);
    assert!(slope.leaves().iter().all(|leaf| leaf.eq(0).all().item::<bool>()));
    // Statistics move unless it evaluates.
    let norm = sequential![BatchNorm::new(), Dropout::new(0.9)];
    for (frozen, still) in [(Frozen::new(norm.clone()).evaluating(), true), (Frozen::new(norm), false)] {
        let net = sequential![frozen, Dropout::new(0.5)];
        let vars = net.init(Key::new(0), &x);
        let (y, state) = net.call(&vars, &x, Mode::Train(Key::new(1)));
        let moved = !state["sequential.batch_norm.mean"].array_equal(&vars.state["sequential.batch_norm.mean"]);
        assert_eq!(moved, !still);
        // The rest of the net is in training.
        assert!(y.eq(0).any().item::<bool>() && (!still || y.ne(0).any().item::<bool>()));
    }
}
