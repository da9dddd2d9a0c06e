//! Norms of gradients.

use jaxnet_tensor::{DType, Error, OrRaise, Tensor, Tree, raise, tree};

/// The root of the sum of the squares of all elements of all leaves; 0 for a tree without leaves. In
/// f64 if a leaf is, else in f32.
///
/// ```
/// use jaxnet_optim::global_norm;
/// use jaxnet_tensor::tensor;
/// assert_eq!(global_norm(&(tensor![3.0], tensor![[0.0], [4.0]])).item::<f32>(), 5.0);
/// ```
#[track_caller]
pub fn global_norm<T: Tree>(tree: &T) -> Tensor {
    let leaves = tree.leaves();
    let dtype = if leaves.iter().any(|leaf| leaf.dtype() == DType::F64) { DType::F64 } else { DType::F32 };
    let squares = leaves.iter().map(|leaf| leaf.astype(dtype).square().sum());
    squares.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::scalar(0_f32)).sqrt()
}

/// The same tree, scaled down so that its [`global_norm`] is `max_norm` where it would be more.
///
/// Pascanu et al., [On the difficulty of training recurrent neural
/// networks](https://arxiv.org/abs/1211.5063), 2012.
///
/// ```
/// use jaxnet_optim::{Optimizer, Sgd, clip_by_global_norm};
/// use jaxnet_autograd::grad;
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let opt = Sgd::new(1.0);
/// let state = opt.init(tensor![3.0, 4.0]);
/// let gradients = grad(|x: Tensor| x.square().sum())(opt.params(&state).clone());
/// let state = opt.update_from_gradients(clip_by_global_norm(gradients, 2.5), state);
/// assert!(opt.params(&state).allclose(tensor![1.5, 2.0], 1e-6, 0.0));
/// ```
///
/// # Panics
///
/// If `max_norm` is negative or NaN, or a leaf is not of floating-point numbers.
#[track_caller]
pub fn clip_by_global_norm<T: Tree>(tree: T, max_norm: f64) -> T {
    let op = "clip_by_global_norm";
    if max_norm.is_nan() || max_norm < 0.0 {
        raise(Error::invalid(op, format!("the greatest norm must be at least 0, got {max_norm}")));
    }
    if let Some((path, leaf)) = tree::paths(&tree).iter().zip(tree.leaves()).find(|(_, leaf)| !leaf.dtype().is_float())
    {
        let here = if path.is_empty() { String::new() } else { format!("`{path}` is ") };
        raise(Error::invalid(op, format!("gradients are of floating-point numbers, but {here}{}", leaf.aval())));
    }
    let norm = global_norm(&tree);
    let fits = norm.le(max_norm);
    // Where it fits the divisor is not used, but must not be 0.
    let scale = fits.select(1.0, max_norm / fits.select(1.0, &norm));
    let (leaves, structure) = tree::flatten(&tree);
    drop(tree);
    let scaled = leaves.into_iter().map(|leaf| {
        // In the norm's dtype, so that what overflows half precision only as a sum is scaled right.
        (leaf.astype(norm.dtype()) * &scale).astype(leaf.dtype())
    });
    tree::unflatten(&structure, scaled.collect()).or_raise()
}
