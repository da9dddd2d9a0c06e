//! The design's promises (§1), line by line as they are written there, with assertions after each block.
//! What surrounds the lines are the imports and definitions that the design takes for granted.

use jaxnet_nn::prelude::*;
use jaxnet_optim::{Adam, OptState, Optimizer};

#[test]
fn a_model_is_a_value() {
    // A model is a value. Plain functions are layers.
    let net = sequential![Conv::new(2, [3, 3]), relu, flatten, Dense::new(4), log_softmax];

    let inputs = Tensor::zeros([3, 5, 5, 1]);
    let params = net.init_params(Key::new(0), &inputs); // an immutable tree of tensors
    println!("{}", params["dense.bias"]); // named after the defining module
    let output = net.apply(&params, &inputs); // eager: step through it with a debugger
    let fast = jit(|(p, x): (Params, Tensor)| net.apply(&p, &x));
    assert_eq!(output.shape().dims(), [3, 4]);
    let eager = output;
    let output = fast.call((params.clone(), inputs.clone()));
    println!("{}", fast.program(&(params.clone(), inputs.clone()))); // the traced program, as text

    assert!(output.allclose(&eager, 1e-5, 1e-6));
    assert_eq!(params.paths(), ["conv.kernel", "conv.bias", "dense.kernel", "dense.bias"]);
    assert!(fast.program(&(params, inputs)).to_string().contains("conv_general_dilated"));
}

// A custom module is a function: parameters and submodules are declared where they are used.
fn dense(out_dim: usize) -> Parametrized<Tensor, Tensor> {
    parametrized("dense", move |cx, x: &Tensor| {
        let kernel = cx.param("kernel", [x.dim(-1), out_dim], glorot_normal());
        let bias = cx.param("bias", [out_dim], normal(1e-2));
        x.matmul(&kernel) + bias
    })
}

type Batch = (Tensor, Tensor);

/// A tensor of parameters, times a number that is learned beside them.
fn learnable_scale() -> Parametrized<Tensor, Tensor> {
    parametrized("learnable_scale", |cx, p: &Tensor| p * cx.param("scale", [], ones()))
}

#[test]
fn modules_transforms_and_optimizers() -> Result<()> {
    let net = sequential![dense(8), tanh, dense(4), log_softmax];
    let inputs = Key::new(1).normal([6, 5]);
    let batch: Batch = (inputs.clone(), Tensor::range(6).modulo(4).one_hot(4));
    let (test_batch, example, images) = (batch.clone(), batch.clone(), inputs.clone());
    let batches = vec![batch.clone(); 20];

    let model = net.clone(); // a clone is the same module: it shares parameters
    let loss = parametrized("loss", move |cx, (x, targets): &(Tensor, Tensor)| -(cx.call(&model, x) * targets).mean());
    let model = net.clone();
    let accuracy = parametrized("accuracy", move |cx, (x, targets): &(Tensor, Tensor)| {
        cx.call(&model, x).argmax(-1).eq(targets.argmax(-1)).mean()
    });

    // Transforms take a function from tree to tree, by value, and return one. They nest in any order.
    let params = loss.init_params(Key::new(0), &batch);
    let grads = grad(|p: Params| loss.apply(&p, &batch))(params.clone()); // same tree as params
    assert_eq!(grads.paths(), params.paths());
    let (l, grads) = value_and_grad(|p: Params| loss.apply(&p, &batch))(params.clone());
    assert!(l.item::<f32>() > 0.0 && grads.leaves().iter().all(|leaf| leaf.is_finite().all().item::<bool>()));
    let loss_params = params;
    let params = net.init_params(Key::new(0), &inputs);
    let per_example = vmap(|x: Tensor| grad(|p: Params| net.apply(&p, &x).mean())(params.clone()))(inputs.clone());
    assert_eq!(per_example["dense0.kernel"].shape().dims(), [6, 5, 8]);
    let third = inputs.i(2);
    let alone = grad(|p: Params| net.apply(&p, &third).mean())(params.clone());
    assert!(per_example["dense0.kernel"].i(2).allclose(&alone["dense0.kernel"], 1e-4, 1e-6));
    let curvature = jit(hessian(|x: Tensor| (&x * &x).sum()));
    assert!(curvature.call(tensor![1.0, 2.0]).allclose(Tensor::eye(2) * 2.0, 1e-6, 0.0));

    // Optimizers return fresh state. Moving a value into a compiled call donates it: what nobody else holds is
    // reused in place.
    let params = loss_params;
    let opt = Adam::new(1e-3);
    let step = jit(|(state, batch): (OptState, Batch)| opt.update_and_get_loss(state, |p| loss.apply(&p, &batch)));
    let mut state = opt.init(params);
    let mut losses = Vec::new();
    for batch in batches {
        let (next, l) = step.call((state, batch));
        state = next;
        losses.push(l.item::<f32>());
    }
    assert!(losses[19] < losses[0], "{losses:?}");
    assert_eq!(opt.step(&state).item::<i32>(), 20);

    // Regularize or reparametrize any model without touching its code; reuse trained parts by module.
    let regularized = L2Regularized::new(loss.clone(), 0.1);
    let scaled = Reparametrized::new(net.clone(), learnable_scale);
    let acc = accuracy.apply_from(&[loss.reuse(opt.params(&state))], &test_batch);
    let predictions = net.apply_from(&[loss.shaped(&example).reuse(opt.params(&state))], &images);
    assert!((0.0..=1.0).contains(&acc.item::<f32>()));
    let own = net.apply(&opt.params(&state).at("sequential"), &images);
    assert!(predictions.array_equal(own));
    let penalized = regularized.apply_from(&[loss.reuse(opt.params(&state))], &batch);
    let squares: f32 = opt.params(&state).leaves().iter().map(|p| p.square().sum().item::<f32>()).sum();
    let plain = loss.apply(opt.params(&state), &batch);
    assert!((penalized - plain).isclose_within(0.05 * squares, 1e-3, 1e-5).item::<bool>());
    assert_eq!(scaled.init_params(Key::new(0), &inputs).paths().len(), 8);

    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    save(&state, "state.safetensors")?;
    let saved = state;
    let state: OptState = load("state.safetensors")?;
    let (a, b) = (step.call((saved, batch.clone())).1, step.call((state, batch)).1);
    assert_eq!(a.item::<f32>().to_bits(), b.item::<f32>().to_bits());
    Ok(())
}

#[test]
fn randomness_statistics_and_devices() -> Result<()> {
    let net = sequential![Dense::new(8), BatchNorm::new(), relu, Dropout::new(0.5), Dense::new(1)];
    let inputs = Key::new(1).normal([16, 3]);
    let key = Key::new(2);

    // Randomness and running statistics go in and come out.
    let vars = net.init(Key::new(0), &inputs); // Vars { params, state }
    let (y, new_state) = net.call(&vars, &inputs, Mode::Train(key)); // dropout, batch statistics
    assert!(!y.array_equal(&net.call(&vars, &inputs, Mode::Train(Key::new(3))).0));
    assert!(y.array_equal(&net.call(&vars, &inputs, Mode::Train(Key::new(2))).0));
    assert_eq!(new_state.paths(), vars.state.paths());
    let y = net.call(&vars, &inputs, Mode::Eval).0;
    assert!(y.array_equal(net.call(&vars, &inputs, Mode::Eval).0));
    // Where state or a key is needed, the error names the call that has it.
    let error = net.try_apply(&vars.params, &inputs).unwrap_err().to_string();
    assert!(error.contains("call"), "{error}");

    // The engine is a value: the same program on another device.
    let inputs = inputs.to(&Device::cpu())?; // or Device::xla(0)?, Device::torch(0)?
    assert!(net.call(&vars, &inputs, Mode::Eval).0.array_equal(&y));
    Ok(())
}
