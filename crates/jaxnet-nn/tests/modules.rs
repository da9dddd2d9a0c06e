//! What JAXnet promised of modules: names, sharing, reuse, randomness, state.

use jaxnet_nn::prelude::*;

fn net() -> Sequential {
    sequential![Dense::new(4), relu, Dense::new(3)]
}

#[test]
fn names_follow_first_use() {
    let params = net().init_params(Key::new(0), &Tensor::zeros([2, 5]));
    assert_eq!(params.paths(), ["dense0.kernel", "dense0.bias", "dense1.kernel", "dense1.bias"]);
    let one = sequential![Dense::new(4), relu].init_params(Key::new(0), &Tensor::zeros([2, 5]));
    assert_eq!(one.paths(), ["dense.kernel", "dense.bias"]);
    let message = jaxnet_tensor::try_catch(|| one["dense.kernal"].clone()).unwrap_err().to_string();
    assert!(message.contains("dense.kernel"), "{message}");
}

#[test]
fn the_same_module_shares_parameters() {
    let layer = Dense::new(3);
    let twice = sequential![layer.clone(), relu, layer];
    let params = twice.init_params(Key::new(0), &Tensor::ones([2, 3]));
    assert_eq!(params.paths(), ["dense.kernel", "dense.bias"]);
    assert_eq!(twice.apply(&params, &Tensor::ones([2, 3])).shape().dims(), [2, 3]);
}

#[test]
fn sharing_across_parents_is_stored_where_first_used() {
    let sub = Dense::new(3);
    let a = sequential![sub.clone(), relu];
    let b = sequential![sub, |x: &Tensor| x.sum()];
    let both = parametrized("net", move |cx, x: &Tensor| (cx.call(&a, x), cx.call(&b, x)));
    let x = Tensor::ones([2, 3]);
    let params = both.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), ["sequential0.dense.kernel", "sequential0.dense.bias"]);
    assert!(params.at("sequential1").is_empty());
    let (y, total) = both.apply(&params, &x);
    assert_eq!(y.shape().dims(), [2, 3]);
    assert_eq!(total.rank(), 0);
}

#[test]
fn modules_made_inside_are_matched_by_use() {
    let net = parametrized("net", |cx, x: &Tensor| {
        let hidden = cx.call(&Dense::new(x.dim(-1)), x);
        let again = cx.call(&Dense::new(2), &hidden);
        let own = cx.param("scale", [2], jaxnet_nn::init::zeros());
        again * own
    });
    let outer = {
        let net = net.clone();
        parametrized("outer", move |cx, x: &Tensor| cx.call(&net, x) + cx.call(&net, x))
    };
    let x = Tensor::ones([2, 3]);
    let params = outer.init_params(Key::new(0), &x);
    assert_eq!(
        params.paths(),
        ["net.dense0.kernel", "net.dense0.bias", "net.dense1.kernel", "net.dense1.bias", "net.scale"]
    );
    assert_eq!(outer.apply(&params, &x).to_vec::<f32>(), [0.0; 4]);
}

#[test]
fn losses_lend_their_parameters() {
    let net = net();
    let inner = net.clone();
    let loss = parametrized("loss", move |cx, (x, y): &(Tensor, Tensor)| (cx.call(&inner, x) - y).square().mean());
    let batch = (Tensor::ones([2, 5]), Tensor::zeros([2, 3]));
    let params = loss.init_params(Key::new(0), &batch);
    let gradient = grad(|p: Params| loss.apply(&p, &batch))(params.clone());
    assert_eq!(gradient.paths(), params.paths());
    let direct = net.apply(&params.at("sequential"), &batch.0);
    let from_loss = net.apply_from(&[loss.shaped(&batch).reuse(&params)], &batch.0);
    assert_eq!(direct.to_vec::<f32>(), from_loss.to_vec::<f32>());
    let accuracy = {
        let net = net.clone();
        parametrized("accuracy", move |cx, (x, y): &(Tensor, Tensor)| cx.call(&net, x).eq(y).mean())
    };
    accuracy.apply_from(&[loss.reuse(&params)], &batch);
    let error = jaxnet_tensor::try_catch(|| net.apply_from(&[Dense::new(3).reuse(&params)], &batch.0)).err().unwrap();
    assert!(error.to_string().starts_with("dense:"), "{error}");
}

#[test]
fn random_keys_differ_and_repeat() {
    let noise = parametrized("noise", |cx, x: &Tensor| {
        let a = cx.random_key().normal(x.shape());
        let b = cx.random_key().normal(x.shape());
        (a, b)
    });
    let x = Tensor::zeros([3]);
    let draw = |seed| {
        let (a, b) = noise.apply_with_key(&Params::empty(), Key::new(seed), &x);
        (a.to_vec::<f32>(), b.to_vec::<f32>())
    };
    assert_eq!(draw(0), draw(0));
    assert_ne!(draw(0), draw(1));
    assert_ne!(draw(0).0, draw(0).1);
    let error = noise.try_apply(&Params::empty(), &x).err().unwrap().to_string();
    assert!(error.contains("Mode::Train"), "{error}");
}

#[test]
fn recurrent_cells_scan() {
    let cell = parametrized("cell", |cx, (carry, x): &(Tensor, Tensor)| {
        let kernel = cx.param("kernel", [x.dim(-1) + carry.dim(-1), carry.dim(-1)], glorot_normal());
        let next = Tensor::concatenate(&[x.clone(), carry.clone()], -1).matmul(&kernel).tanh();
        (next.clone(), next)
    });
    let net = {
        let cell = cell.clone();
        parametrized("rnn", move |cx, xs: &Tensor| cx.scan(&cell, Tensor::zeros([4]), xs.clone()).1)
    };
    let xs = Tensor::ones([6, 3]);
    let params = net.init_params(Key::new(0), &xs);
    assert_eq!(params.paths(), ["cell.kernel"]);
    let ys = net.apply(&params, &xs);
    assert_eq!(ys.shape().dims(), [6, 4]);
    let mut carry = Tensor::zeros([4]);
    for step in 0..6 {
        let y = cell.apply(&params.at("cell"), &(carry.clone(), Tensor::ones([3]))).1;
        assert!(y.allclose(ys.split(6, 0)[step].squeeze(0), 1e-5, 1e-6));
        carry = y;
    }
    let gradient = grad(|p: Params| net.apply(&p, &xs).sum())(params.clone());
    let again = jit(|p: Params| grad(|p: Params| net.apply(&p, &xs).sum())(p)).call(params);
    assert!(gradient["cell.kernel"].allclose(&again["cell.kernel"], 1e-5, 1e-6));
}

#[test]
fn state_goes_in_and_comes_out() {
    let counter = parametrized("counter", |cx, x: &Tensor| {
        let count = cx.state("count", || Tensor::scalar(0.0_f32));
        cx.set_state("count", &(&count + 1.0));
        x + count
    });
    let net = sequential![counter.clone(), counter];
    let x = Tensor::zeros([]);
    let vars = net.init(Key::new(0), &x);
    assert_eq!(vars.state.paths(), ["counter.count"]);
    let vars = vars.with_state(vars.state.map(|_, leaf| leaf.zeros_like()));
    let (y, state) = net.call(&vars, &x, Mode::Eval);
    assert_eq!(y.item::<f32>(), 1.0);
    assert_eq!(state["counter.count"].item::<f32>(), 2.0);
    let step = jit(|vars: Vars| {
        let (y, state) = net.call(&vars, &Tensor::zeros([]), Mode::Eval);
        (vars.with_state(state), y)
    });
    let (vars, _) = step.call(vars.with_state(state));
    assert_eq!(vars.state["counter.count"].item::<f32>(), 4.0);
    assert!(net.try_init_params(Key::new(0), &x).unwrap_err().to_string().contains("init"));
}
