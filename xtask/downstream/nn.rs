//! What someone writes who depends on `jaxnet-nn`, for which a derived tree and its re-exports are enough.

use jaxnet_nn::prelude::*;

#[derive(Tree)]
struct Example {
    image: Tensor,
    label: Tensor,
}

fn main() {
    let net = sequential![flatten, Dense::new(8), relu, Dense::new(3)];
    let loss = parametrized("loss", move |cx, batch: &Example| {
        softmax_cross_entropy_with_integer_labels(&cx.call(&net, &batch.image), &batch.label).mean()
    });
    let batch = Example { image: Key::new(1).normal([4, 2, 2]), label: tensor![0, 1, 2, 0] };
    let mut params = loss.init_params(Key::new(0), &batch);
    let step = jit(|(params, batch): (Params, Example)| {
        let (value, gradients) = value_and_grad(|p: Params| loss.apply(&p, &batch))(params.clone());
        let next = params.map(|path, p| p - gradients.at(path).leaves().remove(0) * 0.5);
        (next, value)
    });
    let mut losses = Vec::new();
    for _ in 0..20 {
        let batch = Example { image: batch.image.clone(), label: batch.label.clone() };
        let (next, value) = step.call((params, batch));
        params = next;
        losses.push(value.item::<f32>());
    }
    assert!(losses[19] < 0.5 * losses[0], "{losses:?}");
    println!("loss {} -> {}", losses[0], losses[19]);
}
