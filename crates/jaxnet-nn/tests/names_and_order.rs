//! Parametrized functions, their trees, and the names in them.

use std::collections::BTreeMap;

use jaxnet_nn::prelude::*;

fn paths<X: Tree, M: Module<X>>(module: &M, x: &X) -> Vec<String> {
    module.init_params(Key::new(0), x).paths()
}

/// A module with one parameter of this name.
fn named(name: &'static str) -> Parametrized<Tensor, Tensor> {
    parametrized(name, |cx, x: &Tensor| x * cx.param("w", [], ones()))
}

#[test]
fn a_parameter_is_a_module() {
    let scalar = Parameter::new(|key| key.normal([2]));
    let params = scalar.init_params(Key::new(3), &());
    assert_eq!(scalar.apply(&params, &()).to_vec::<f32>(), params.leaves()[0].to_vec::<f32>());
    // A tree is one parameter, whose parts are named after its fields.
    let tree = Parameter::new(|_| (tensor![1.0], vec![tensor![2.0], tensor![3.0]])).named("pair");
    let holder = {
        let tree = tree.clone();
        parametrized("holder", move |cx, (): &()| cx.call(&tree, &()).1[1].clone())
    };
    let params = holder.init_params(Key::new(0), &());
    assert_eq!(params.paths(), ["pair.0", "pair.1.0", "pair.1.1"]);
    assert_eq!(holder.apply(&params, &()).to_vec::<f32>(), [3.0]);
    let sum = parametrized("sum", |cx, (): &()| {
        let (a, b) = cx.param_tree("pair", |key| {
            let (a, b) = key.split();
            (a.normal([2]), b.uniform([3]))
        });
        a.sum() + b.sum()
    });
    assert_eq!(paths(&sum, &()), ["pair.0", "pair.1"]);
}

#[test]
fn inputs_and_outputs_are_any_trees() {
    type Input = (Tensor, Vec<Tensor>, BTreeMap<String, (Tensor, Option<Tensor>)>);
    let net = parametrized("net", |cx, (a, list, map): &Input| {
        let w = cx.param("w", [], constant(2));
        let m = map["m"].0.clone() * &w;
        ((a * &w, list.iter().map(|x| x * &w).collect::<Vec<_>>()), (m, ()))
    });
    let input: Input =
        (tensor![1.0], vec![tensor![2.0], tensor![3.0]], BTreeMap::from([("m".to_string(), (tensor![4.0], None))]));
    let params = net.init_params(Key::new(0), &input);
    let ((a, list), (m, ())) = net.apply(&params, &input);
    let values = [&a, &list[0], &list[1], &m].map(|x| x.item::<f32>());
    assert_eq!(values, [2.0, 4.0, 6.0, 8.0]);
    // None at all.
    let nothing = parametrized("nothing", |_, (): &()| ());
    nothing.apply(&nothing.init_params(Key::new(0), &()), &());
}

#[test]
fn plain_functions_are_modules_without_parameters() {
    let double = |x: &Tensor| x * 2.0;
    let params = double.init_params(Key::new(0), &tensor![1.0]);
    assert!(params.is_empty() && params.paths().is_empty());
    assert_eq!(double.apply(&params, &tensor![1.0]).to_vec::<f32>(), [2.0]);
    let net = sequential![relu, double, sequential![tanh, MaxPool::new([1]), Dropout::new(0.5)]];
    let params = net.init_params(Key::new(0), &tensor![[1.0]]);
    assert!(params.is_empty());
    assert_eq!(net.apply(&Params::empty(), &tensor![[0.0]]).to_vec::<f32>(), [0.0]);
}

#[test]
fn indices_only_where_siblings_clash() {
    let x = Tensor::zeros([2, 5]);
    assert_eq!(paths(&sequential![Dense::new(4), relu], &x), ["dense.kernel", "dense.bias"]);
    let net = sequential![Dense::new(4), relu, Dense::new(3), named("scale")];
    assert_eq!(paths(&net, &x), ["dense0.kernel", "dense0.bias", "dense1.kernel", "dense1.bias", "scale.w"]);
    let deep = sequential![sequential![sequential![Dense::new(1)], Dense::new(2)], sequential![Dense::new(3)]];
    assert_eq!(
        deep.init_params(Key::new(0), &x).paths(),
        [
            "sequential0.sequential.dense.kernel",
            "sequential0.sequential.dense.bias",
            "sequential0.dense.kernel",
            "sequential0.dense.bias",
            "sequential1.dense.kernel",
            "sequential1.dense.bias"
        ]
    );
    // Parameters of one name in one function clash, too.
    let two = parametrized("two", |cx, x: &Tensor| {
        x * cx.param("w", [], constant(2)) + cx.param("w", [], constant(3)) + cx.param("v", [], constant(5))
    });
    let params = two.init_params(Key::new(0), &tensor![1.0]);
    assert_eq!(params.paths(), ["w0", "w1", "v"]);
    assert_eq!(two.apply(&params, &tensor![1.0]).to_vec::<f32>(), [10.0]);
}

#[test]
fn numbered_names_do_not_clash_with_given_ones() {
    let net = sequential![named("layer"), named("layer1"), named("layer")];
    let params = net.init_params(Key::new(0), &tensor![1.0]);
    let names = params.paths();
    assert_eq!(names.len(), 3);
    assert!(names[0] != names[2] && names[1] != names[2] && names[0] != names[1], "{names:?}");
    // Each finds its own again.
    let mut n = 1.0;
    let params = params.map(|_, leaf| {
        n += 1.0;
        leaf * n
    });
    let middle = sequential![named("layer"), named("layer1")];
    assert_eq!(net.apply(&params, &tensor![1.0]).to_vec::<f32>(), [24.0]);
    assert_eq!(middle.init_params(Key::new(0), &tensor![1.0]).paths(), ["layer.w", "layer1.w"]);
}

#[test]
fn order_is_that_of_first_use() {
    let (first, second) = (named("first"), named("second"));
    let net = parametrized("net", move |cx, x: &Tensor| {
        let y = cx.call(&second, x);
        let own = cx.param("own", [], ones());
        let z = cx.call(&first, &(y * own));
        // Using one again does not move it.
        let z = cx.call(&second, &z);
        let last = cx.param("last", [], ones());
        z * last
    });
    assert_eq!(paths(&net, &tensor![1.0]), ["second.w", "own", "first.w", "last"]);
}

#[test]
fn submodules_may_depend_on_the_input() {
    let net = parametrized("net", |cx, x: &Tensor| {
        let mut y = x.clone();
        for size in (1..x.dim(-1)).rev() {
            y = cx.call(&Dense::new(size), &y);
        }
        y
    });
    let x = Tensor::ones([2, 4]);
    let params = net.init_params(Key::new(0), &x);
    assert_eq!(params["dense0.kernel"].shape().dims(), [4, 3]);
    assert_eq!(params["dense2.kernel"].shape().dims(), [2, 1]);
    assert_eq!(net.apply(&params, &x).shape().dims(), [2, 1]);
}

#[test]
fn modules_made_inside_are_matched_by_use() {
    let net = parametrized("net", |cx, x: &Tensor| {
        let hidden = cx.call(&Dense::new(x.dim(-1)), x);
        let again = cx.call(&Dense::new(2), &hidden);
        let own = cx.param("scale", [2], zeros());
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
fn nesting_has_no_limit() {
    fn nested(depth: usize) -> Parametrized<Tensor, Tensor> {
        parametrized("level", move |cx, x: &Tensor| match depth {
            0 => x * cx.param("w", [], constant(3)),
            _ => cx.call(&nested(depth - 1), x) + cx.param("b", [], ones()),
        })
    }
    let net = nested(30);
    let params = net.init_params(Key::new(0), &tensor![1.0]);
    assert_eq!(params.paths()[0], format!("{}w", "level.".repeat(30)));
    assert_eq!(params.paths().len(), 31);
    assert_eq!(net.apply(&params, &tensor![1.0]).to_vec::<f32>(), [33.0]);
}

#[test]
fn jit_inside_of_modules_shares_parameters() {
    let layer = Dense::new(3);
    let net = {
        let layer = layer.clone();
        parametrized("net", move |cx, x: &Tensor| {
            let plain = cx.call(&layer, x);
            // A scope does not cross a transform; the module as a pure function does.
            let bound = cx.bind(&layer, x);
            let jitted = jit(|(vars, x): (Vars, Tensor)| bound.call(&vars, None, &x).0);
            (plain, jitted.call((bound.vars.clone(), x.clone())))
        })
    };
    let x = Tensor::ones([2, 4]);
    let params = net.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), ["dense.kernel", "dense.bias"]);
    let (plain, jitted) = net.apply(&params, &x);
    assert!(plain.allclose(&jitted, 1e-6, 1e-6));
    // A whole net in jit, and jit around the initialization.
    let fast = jit(|(p, x): (Params, Tensor)| net.apply(&p, &x).0);
    assert!(fast.call((params.clone(), x.clone())).allclose(&plain, 1e-6, 1e-6));
    let init = jit(|key: Key| net.init_params(key, &Tensor::ones([2, 4])));
    let again = init.call(Key::new(0));
    assert_eq!(again.paths(), params.paths());
    assert!(again["dense.kernel"].allclose(&params["dense.kernel"], 1e-6, 1e-6));
}

#[test]
fn initialization_repeats_and_gives_every_parameter_its_own_key() {
    let net = sequential![Dense::new(3).with_bias_init(normal(1.0)), Dense::new(3).with_bias_init(normal(1.0))];
    let x = Tensor::zeros([1, 3]);
    let (a, b) = (net.init_params(Key::new(5), &x), net.init_params(Key::new(5), &x));
    assert_eq!(a.paths(), b.paths());
    let values = |params: &Params| params.leaves().iter().map(|leaf| leaf.to_vec::<f32>()).collect::<Vec<_>>();
    assert_eq!(values(&a), values(&b));
    assert_ne!(values(&a), values(&net.init_params(Key::new(6), &x)));
    let all = values(&a);
    for i in 0..all.len() {
        for j in 0..i {
            assert_ne!(all[i], all[j]);
        }
    }
}

#[test]
fn trees_of_parameters_are_read_and_changed_by_path() {
    let net = sequential![Dense::new(4), relu, Dense::new(2)];
    let params = net.init_params(Key::new(0), &Tensor::zeros([1, 3]));
    assert_eq!(params.size(), 3 * 4 + 4 + 4 * 2 + 2);
    assert_eq!(params.at("dense1")["kernel"].shape().dims(), [4, 2]);
    assert_eq!(params.with("dense1.bias", &tensor![1.0, 2.0])["dense1.bias"].to_vec::<f32>(), [1.0, 2.0]);
    let mask = params.mask(|path| path.ends_with("bias"));
    assert!(mask["dense0.bias"].item::<bool>() && !mask["dense0.kernel"].item::<bool>());
    for wrong in ["dense0.kernal", "dense", "dense0.kernel.x", ""] {
        let message = try_catch(|| params[wrong].clone()).unwrap_err().to_string();
        assert!(message.contains("dense1.bias") || message.contains("Params::at"), "{message}");
    }
    assert!(params.to_string().contains("dense0.kernel: f32[3,4]"), "{params}");
}

#[test]
fn wrong_parameters_are_named() {
    let net = sequential![Dense::new(4), Dense::new(2)];
    let x = Tensor::zeros([1, 3]);
    let params = net.init_params(Key::new(0), &x);
    let message = net.try_apply(&Params::empty(), &x).unwrap_err().to_string();
    assert!(message.starts_with("dense"), "{message}");
    let message = net.try_apply(&params, &Tensor::zeros([1, 7])).unwrap_err().to_string();
    assert!(message.contains("dense") && message.contains("kernel") && message.contains("[7, 4]"), "{message}");
    let scalar = net.try_apply(&params, &Tensor::zeros([])).unwrap_err().to_string();
    assert!(scalar.contains("Dense") && scalar.contains("scalar"), "{scalar}");
}

#[test]
fn sequences_are_made_of_lists_too() {
    let net = Sequential::from_iter((1..4).map(Dense::new));
    assert_eq!(paths(&net, &Tensor::zeros([1, 2])).len(), 6);
    assert_eq!(net.apply(&net.init_params(Key::new(0), &Tensor::zeros([5, 2])), &Tensor::zeros([5, 2])).dim(-1), 3);
    let none = Sequential::from_iter(Vec::<Dense>::new());
    assert_eq!(none.apply(&Params::empty(), &tensor![1.0]).to_vec::<f32>(), [1.0]);
}

/// Also before the sibling has run that makes the number necessary.
#[test]
fn errors_name_parameters_as_their_tree_does() {
    let net = sequential![Dense::new(4), relu, Dense::new(2)];
    let params = net.init_params(Key::new(0), &Tensor::zeros([1, 3]));
    let error = try_catch(|| net.apply(&params, &Tensor::zeros([1, 5]))).unwrap_err();
    assert!(error.to_string().contains("dense0.kernel"), "{error}");
    let error = try_catch(|| net.apply(&Params::default(), &Tensor::zeros([1, 3]))).unwrap_err();
    assert!(error.to_string().contains("dense.kernel"), "{error}");
}
