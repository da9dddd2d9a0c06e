//! Transforms: derivatives, batches, compilation, and how they nest.
//!
//! `cargo run -p jaxnet-examples --example 02_grad`

use jaxnet_autograd::{check_grads, cond, grad, hessian, jit, scan, value_and_grad, vmap};
use jaxnet_tensor::{Error, Tensor, tensor};

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Error> {
    // `grad` takes a function and gives another one, of the same arguments: its gradient.
    let f = |x: Tensor| (x.sin() * &x).sum();
    let slope = grad(f);
    let x = tensor![0.5, 1.0];
    println!("f = {:.4}, f' = {:.4}", f(x.clone()), slope(x.clone()));
    assert!(slope(x.clone()).allclose(x.cos() * &x + x.sin(), 1e-6, 1e-6));

    // Again and again: each derivative is a function like any other.
    let cube = |x: Tensor| x.powi(3);
    assert_eq!(grad(grad(grad(cube)))(Tensor::from(2.0)).item::<f32>(), 6.0);
    assert!(hessian(|x: Tensor| (&x * &x).sum())(x.clone()).allclose(Tensor::eye(2) * 2.0, 1e-6, 0.0));

    // Arguments and results are trees: tuples, vectors, maps, structs with `#[derive(Tree)]`. The
    // gradient has the structure of the argument.
    let line = |(slope, offset): (Tensor, Tensor)| (slope * tensor![1.0, 2.0, 3.0] + offset - 1.0).square().mean();
    let (loss, (by_slope, by_offset)) = value_and_grad(line)((Tensor::from(1.0), Tensor::from(0.0)));
    println!("loss {loss:.3}, gradients {by_slope:.3} and {by_offset:.3}");
    assert_eq!((by_offset.item::<f32>(), loss.rank()), (2.0, 0));

    // `vmap` runs a function for each row, without a loop: here a gradient for each example.
    let rows = tensor![[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]];
    let per_example = vmap(grad(f))(rows.clone());
    assert_eq!(per_example.shape().dims(), [3, 2]);
    assert!(per_example.i(1).allclose(slope(rows.i(1)), 1e-6, 1e-6));

    // `jit` traces a function once for each shape, and compiles it. The program can be read.
    let fast = jit(vmap(grad(f)));
    println!("{}", fast.program(&rows));
    assert!(fast.call(rows).allclose(&per_example, 1e-6, 1e-6));

    // Values are not known while a function is traced, so branches and loops are functions, too. They
    // can be differentiated: here, x multiplied by itself five times.
    let power = |x: Tensor| {
        let step = |product: Tensor, _: Tensor| (&product * &x, product);
        scan(step, Tensor::from(1.0), Tensor::range(5)).0
    };
    assert_eq!(jit(power).call(Tensor::from(2.0)).item::<f32>(), 32.0);
    assert_eq!(jit(grad(power)).call(Tensor::from(2.0)).item::<f32>(), 80.0);
    let leaky = |x: Tensor| cond(x.gt(0.0), |x: Tensor| x, |x: Tensor| x * 0.1, x.clone());
    assert_eq!(jit(grad(leaky)).call(Tensor::from(-3.0)).item::<f32>(), 0.1);

    // Derivatives of one's own code can be checked against differences, in f64.
    check_grads(|x: Tensor| x.tanh().logsumexp(), Tensor::from([0.3, -0.7]), Default::default())
}
