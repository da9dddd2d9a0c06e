//! Modules: models as values, their parameters as trees in your hands.
//!
//! `cargo run -p jaxnet-examples --example 03_modules`

use jaxnet_nn::prelude::*;

/// A module of one's own is a function: parameters are declared where they are used.
fn scaled_dense(out_dim: usize) -> Parametrized<Tensor, Tensor> {
    parametrized("scaled_dense", move |cx, x: &Tensor| {
        let kernel = cx.param("kernel", [x.dim(-1), out_dim], glorot_normal());
        let scale = cx.param("scale", [out_dim], ones());
        x.matmul(&kernel) * scale
    })
}

/// Runs the example; a test does, too.
pub fn main() -> Result<()> {
    // Layers, functions and modules of one's own, one after the other. A net holds no numbers.
    let net = sequential![Dense::new(8), relu, scaled_dense(3), log_softmax];
    let inputs = Key::new(1).normal([5, 4]);

    // Parameters are made for an example of the input, and named after the modules that define them.
    let params = net.init_params(Key::new(0), &inputs);
    println!("{:?}", params.paths());
    assert_eq!(params["dense.kernel"].shape().dims(), [4, 8]);
    assert_eq!(params["scaled_dense.scale"].to_vec::<f32>(), [1.0; 3]);

    // Applying is a pure function of parameters and inputs; it runs eagerly, or compiled.
    let output = net.apply(&params, &inputs);
    let fast = jit(|(params, inputs): (Params, Tensor)| net.apply(&params, &inputs));
    assert!(fast.call((params.clone(), inputs.clone())).allclose(&output, 1e-5, 1e-6));

    // So models go into transforms as they are: here, gradients of a loss for each example.
    let per_example = vmap(|x: Tensor| grad(|p: Params| net.apply(&p, &x).max())(params.clone()))(inputs.clone());
    assert_eq!(per_example["dense.bias"].shape().dims(), [5, 8]);

    // Parameters are a tree: change them by path, or look into a part.
    let halved = params.map(|path, leaf| if path.ends_with("scale") { leaf * 0.5 } else { leaf.clone() });
    assert_eq!(halved.at("scaled_dense")["scale"].to_vec::<f32>(), [0.5; 3]);

    // A clone is the same module, so that a loss can be defined around the net and share its parameters.
    let model = net.clone();
    let loss = parametrized("loss", move |cx, (x, classes): &(Tensor, Tensor)| {
        -(cx.call(&model, x) * classes.one_hot(3)).sum_axis(-1).mean()
    });
    let batch = (inputs.clone(), tensor![0, 1, 2, 0, 1]);
    let loss_params = loss.init_params(Key::new(2), &batch);
    // Trained through the loss, used by the net alone: parameters are found by module.
    let predictions = net.apply_from(&[loss.shaped(&batch).reuse(&loss_params)], &inputs);
    assert_eq!(predictions.shape().dims(), [5, 3]);

    // What is random or has a memory takes a key and state, and gives new state back.
    let noisy = sequential![Dense::new(8), BatchNorm::new(), relu, Dropout::new(0.5), Dense::new(1)];
    let vars = noisy.init(Key::new(3), &inputs);
    let (_, state) = noisy.call(&vars, &inputs, Mode::Train(Key::new(4)));
    let vars = vars.with_state(state);
    let (y, _) = noisy.call(&vars, &inputs, Mode::Eval);

    // Everything is saved to one file, which says what tree it holds.
    let path = std::env::temp_dir().join(format!("jaxnet-03-modules-{}.safetensors", std::process::id()));
    save(&vars, &path)?;
    let loaded: Vars = load(&path)?;
    assert!(noisy.call(&loaded, &inputs, Mode::Eval).0.array_equal(y));
    std::fs::remove_file(&path).map_err(|error| Error::io(&path, &error))
}
