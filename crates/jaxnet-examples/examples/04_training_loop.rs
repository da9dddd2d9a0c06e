//! Training: an optimizer, a compiled step, and a loop of one's own.
//!
//! `cargo run -p jaxnet-examples --example 04_training_loop`

use jaxnet_nn::prelude::*;
use jaxnet_nn::train::Loader;
use jaxnet_optim::{Adam, OptState, Optimizer, cosine_decay};

/// Points in the plane, and whether they are inside of a ring.
fn ring(key: Key, count: usize) -> (Tensor, Tensor) {
    let points = key.uniform_range([count, 2], -1.5, 1.5, DType::F32);
    let radius = points.square().sum_axis(-1).sqrt();
    (points, radius.gt(0.5) & radius.lt(1.2))
}

/// Runs the example; a test does, too.
pub fn main() -> Result<()> {
    let [data_key, test_key, init_key, shuffle_key] = Key::new(0).split_array();
    let (train, test) = (ring(data_key, 1024), ring(test_key, 256));

    // The net, the loss around it, and what is measured: all share the net's parameters.
    let net = sequential![Dense::new(32), relu, Dense::new(32), relu, Dense::new(1), |x: &Tensor| x.squeeze(-1)];
    let model = net.clone();
    let loss = parametrized("loss", move |cx, (points, inside): &(Tensor, Tensor)| {
        let logits = cx.call(&model, points);
        // The binary cross entropy of logits, without overflow: log(1 + e^x) - x·y.
        (logits.logaddexp(0.0) - logits * inside).mean()
    });
    let model = net.clone();
    let accuracy = parametrized("accuracy", move |cx, (points, inside): &(Tensor, Tensor)| {
        cx.call(&model, points).gt(0.0).eq(inside).mean()
    });

    // An optimizer is a value; its state is a tree that goes in and comes out. Learning rates may be
    // schedules, evaluated at the step.
    let (epochs, batch_size) = (40, 128);
    let batches = Loader::new(train.clone(), batch_size).shuffled(shuffle_key);
    let steps = epochs * batches.len();
    let opt = Adam::new(cosine_decay(0.03, steps, 0.0));
    let mut state = opt.init(loss.init_params(init_key, &train));

    // One step, compiled: gradients, moments, new parameters. The state is moved in, so that its memory
    // is used again for the result.
    let step = jit(|(state, batch): (OptState, (Tensor, Tensor))| {
        opt.update_and_get_loss(state, |params| loss.apply(&params, &batch))
    });
    let first = loss.apply(opt.params(&state), &train).item::<f32>();
    for epoch in 0..epochs {
        let mut losses = Vec::new();
        for batch in batches.epoch(epoch) {
            let (next, loss) = step.call((state, batch?));
            state = next;
            losses.push(loss);
        }
        if epoch % 10 == 9 {
            println!("epoch {:2}: loss {:.4}", epoch + 1, Tensor::stack(&losses, 0).mean());
        }
    }
    let last = loss.apply(opt.params(&state), &train).item::<f32>();
    assert_eq!(opt.step(&state).item::<i64>(), steps as i64);
    assert!(last < 0.3 * first, "the loss went from {first} to {last}");

    // The parameters were made for the loss; the accuracy finds those of the net in it.
    let correct = accuracy.apply_from(&[loss.shaped(&train).reuse(opt.params(&state))], &test).item::<f32>();
    println!("test accuracy {:.1} %", 100.0 * correct);
    assert!(correct > 0.9, "{correct}");

    // Saved and loaded, training goes on as if nothing had happened.
    let path = std::env::temp_dir().join(format!("jaxnet-04-training-{}.safetensors", std::process::id()));
    save(&state, &path)?;
    let resumed: OptState = load(&path)?;
    assert!(step.call((resumed, train.clone())).1.array_equal(step.call((state, train)).1));
    std::fs::remove_file(&path).map_err(|error| Error::io(&path, &error))
}
