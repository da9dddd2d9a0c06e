//! Parameters of one module in another.

use jaxnet_nn::prelude::*;

type Batch = (Tensor, Tensor);

fn net() -> Sequential {
    sequential![Dense::new(4), relu, sequential![Dense::new(5), tanh], Dense::new(3)]
}

fn loss_of(net: &Sequential) -> Parametrized<Batch, Tensor> {
    let net = net.clone();
    parametrized("loss", move |cx, (x, y): &Batch| (cx.call(&net, x) - y).square().mean())
}

fn batch() -> Batch {
    (Tensor::ones([2, 5]), Tensor::zeros([2, 3]))
}

fn same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.to_vec::<f32>(), b.to_vec::<f32>());
}

#[test]
fn a_loss_lends_its_parameters_to_what_it_is_made_of() {
    let net = net();
    let (loss, batch) = (loss_of(&net), batch());
    let params = loss.init_params(Key::new(0), &batch);
    let direct = net.apply(&params.at("sequential"), &batch.0);
    same(&direct, &net.apply_from(&[loss.shaped(&batch).reuse(&params)], &batch.0));
    same(&direct, &net.shaped(&batch.0).apply_from(&[loss.shaped(&batch).reuse(&params)]));
    // To what is made of the same parts, for the same inputs.
    let accuracy = {
        let net = net.clone();
        parametrized("accuracy", move |cx, (x, y): &Batch| cx.call(&net, x).gt(y).mean())
    };
    let found = accuracy.params_from(&[loss.reuse(&params)], &batch);
    assert_eq!(found.paths(), params.paths());
    same(&accuracy.apply_from(&[loss.reuse(&params)], &batch), &direct.gt(0.0).mean());
    // In compiled functions.
    let fast = jit(|(p, x): (Params, Tensor)| {
        net.apply_from(&[loss.shaped(&(x.clone(), Tensor::zeros([2, 3]))).reuse(&p)], &x)
    });
    assert!(fast.call((params.clone(), batch.0.clone())).allclose(&direct, 1e-5, 1e-6));
    // A module's own.
    same(&loss.apply_from(&[loss.reuse(&params)], &batch), &loss.apply(&params, &batch));
}

#[test]
fn parts_of_parts_are_found_at_any_depth() {
    let inner = Dense::new(3);
    let mut module = sequential![inner.clone()];
    for _ in 0..5 {
        module = sequential![module.clone(), relu];
    }
    let x = Tensor::ones([1, 2]);
    let params = module.init_params(Key::new(0), &x);
    let found = inner.params_from(&[module.reuse(&params)], &x);
    same(&found["kernel"], &params.leaves()[0]);
    // Also of those that only the inside of a loop uses.
    let cell = GruCell::new(3);
    let projection = Dense::new(1);
    let model = sequential![Rnn::new(cell.clone()), projection.clone()];
    let sequences = Tensor::ones([2, 4, 5]);
    let params = model.init_params(Key::new(0), &sequences);
    let step = (cell.initial_carry(2), Tensor::ones([2, 5]));
    let by_hand = cell.apply(&params.at("rnn.gru_cell"), &step).1;
    same(&cell.apply_from(&[model.shaped(&sequences).reuse(&params)], &step).1, &by_hand);
    // And to those: a net around the loop, from the cell and the projection alone.
    let outer = {
        let model = model.clone();
        parametrized("outer", move |cx, x: &Tensor| cx.call(&model, x) * 2.0)
    };
    let reuse =
        [cell.shaped(&step).reuse(&params.at("rnn.gru_cell")), projection.shaped(&by_hand).reuse(&params.at("dense"))];
    let found = outer.params_from(&reuse, &sequences);
    assert_eq!(found.paths().len(), params.paths().len());
    same(&outer.apply(&found, &sequences), &(model.apply(&params, &sequences) * 2.0));
}

#[test]
fn initialization_takes_what_is_given_and_makes_the_rest() {
    let (a, b) = (Dense::new(4), Dense::new(3));
    let x = Tensor::ones([2, 5]);
    let trained = a.init_params(Key::new(7), &x);
    let net = sequential![a.clone(), relu, sequential![b, tanh]];
    let params = net.init_params_reusing(Key::new(0), &[a.reuse(&trained)], &x);
    same(&params["dense.kernel"], &trained["kernel"]);
    let fresh = net.init_params(Key::new(0), &x);
    assert_eq!(params.paths(), fresh.paths());
    assert_ne!(params["dense.kernel"].to_vec::<f32>(), fresh["dense.kernel"].to_vec::<f32>());
    // All of a net, found inside.
    let (loss_net, batch) = (self::net(), batch());
    let loss = loss_of(&loss_net);
    let of_net = loss_net.init_params(Key::new(1), &batch.0);
    let of_loss = loss.init_params_reusing(Key::new(2), &[loss_net.shaped(&batch.0).reuse(&of_net)], &batch);
    for ((path, given), (_, taken)) in of_net.iter().zip(of_loss.at("sequential").iter()) {
        assert_eq!(given.to_vec::<f32>(), taken.to_vec::<f32>(), "{path}");
    }
}

#[test]
fn the_more_specific_wins() {
    let layer = Dense::new(3);
    let net = sequential![layer.clone(), tanh];
    let x = Tensor::ones([1, 2]);
    let of_net = net.init_params(Key::new(0), &x);
    let of_layer = layer.init_params(Key::new(1), &x);
    let outer = {
        let net = net.clone();
        parametrized("outer", move |cx, x: &Tensor| cx.call(&net, x))
    };
    for reuse in [[net.reuse(&of_net), layer.reuse(&of_layer)], [layer.reuse(&of_layer), net.reuse(&of_net)]] {
        same(&outer.params_from(&reuse, &x)["sequential.dense.kernel"], &of_layer["kernel"]);
        same(&layer.params_from(&reuse, &x)["kernel"], &of_layer["kernel"]);
    }
}

#[test]
fn what_nobody_gives_is_named() {
    let (net, x) = (net(), Tensor::ones([2, 5]));
    let other = Dense::new(3);
    let given = other.init_params(Key::new(0), &x);
    let message = |f: &dyn Fn() -> Tensor| try_catch(f).err().unwrap().to_string();
    let missing = message(&|| net.apply_from(&[other.reuse(&given)], &x));
    assert!(missing.starts_with("dense") && missing.contains("kernel"), "{missing}");
    // In a loop, too.
    let rnn = Rnn::new(GruCell::new(2));
    let missing = message(&|| rnn.apply_from(&[], &Tensor::ones([1, 2, 3])));
    assert!(missing.contains("gru_cell.update_kernel"), "{missing}");
    // For inputs of another kind, the way to say which.
    let (loss, batch) = (loss_of(&net), batch());
    let params = loss.init_params(Key::new(0), &batch);
    let shaped = message(&|| net.apply_from(&[loss.reuse(&params)], &batch.0));
    assert!(shaped.contains("shaped"), "{shaped}");
    // Parameters that are not the module's.
    let wrong = message(&|| net.apply_from(&[loss.shaped(&batch).reuse(&given)], &batch.0));
    assert!(wrong.contains("loss"), "{wrong}");
}

#[test]
fn finding_parameters_computes_nothing() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let concrete = Arc::new(AtomicUsize::new(0));
    let layer = Dense::new(2);
    let net = {
        let (layer, concrete) = (layer.clone(), concrete.clone());
        parametrized("net", move |cx, x: &Tensor| {
            let y = cx.call(&layer, x);
            concrete.fetch_add(usize::from(!y.is_traced()), Ordering::Relaxed);
            y
        })
    };
    let x = Tensor::ones([1, 2]);
    let params = net.init_params(Key::new(0), &x);
    let before = concrete.load(Ordering::Relaxed);
    layer.params_from(&[net.reuse(&params)], &x);
    net.params_from(&[net.reuse(&params)], &x);
    assert_eq!(concrete.load(Ordering::Relaxed), before);
}
