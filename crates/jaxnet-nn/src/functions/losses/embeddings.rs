//! Losses of what lies near what.

use jaxnet_tensor::{DType, Error, Tensor, raise};

use super::regression::directions;
use super::same_shapes;

/// By how much anchors fail to be nearer to positives than to negatives by `margin`, for each vector along the last
/// axis: `max(0, |anchor - positive| - |anchor - negative| + margin)` (Balntas et al. 2016). As in optax, 1e-6 is
/// added below the roots, so that no distance has an infinite derivative.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let (anchors, positives) = (tensor![[0.0, 0.0], [1.0, 1.0]], tensor![[0.0, 0.0], [1.0, 2.0]]);
/// let losses = triplet_margin_loss(&anchors, &positives, &tensor![[3.0, 4.0], [1.0, 1.5]], 1.0);
/// assert!(losses.allclose(tensor![0.0, 1.5], 1e-5, 1e-5));
/// ```
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
pub fn triplet_margin_loss(anchors: &Tensor, positives: &Tensor, negatives: &Tensor, margin: f64) -> Tensor {
    same_shapes("triplet_margin_loss", "anchors", anchors, "positives", positives);
    same_shapes("triplet_margin_loss", "anchors", anchors, "negatives", negatives);
    let distance = |x: &Tensor| ((anchors - x).square().sum_axis(-1) + 1e-6).sqrt();
    (distance(positives) - distance(negatives) + margin).maximum(0)
}

/// The contrastive loss of SimCLR (Chen et al. 2020), "NT-Xent": the cross entropy by which, of embeddings of shape
/// `[n, features]`, each pair of equal labels `[n]` is told from the pairs of different labels, by the cosines of their
/// angles divided by the temperature (0.07 in optax). The mean over all pairs of equal labels; NaN if there are none.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let labels = tensor![0, 0, 1, 1];
/// let far = ntxent(&tensor![[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [-3.0, 0.0]], &labels, 0.1);
/// let mixed = ntxent(&tensor![[1.0, 0.0], [-2.0, 0.0], [1.0, 0.0], [-3.0, 0.0]], &labels, 0.1);
/// assert!(far.item::<f32>() < 1e-5 && mixed.item::<f32>() > 10.0);
/// ```
///
/// # Panics
///
/// If embeddings are no matrix of at least one row, or there is not one integer label for each of them.
#[track_caller]
pub fn ntxent(embeddings: &Tensor, labels: &Tensor, temperature: f64) -> Tensor {
    if embeddings.rank() != 2 || embeddings.dim(0) == 0 || labels.shape().dims() != [embeddings.dim(0)] {
        let shapes = format!("got {} and {}", embeddings.aval(), labels.aval());
        raise(Error::invalid(
            "ntxent",
            format!("takes embeddings [n, features] and labels [n], n at least 1; {shapes}"),
        ));
    }
    if !labels.dtype().is_integer() {
        let message =
            format!("labels must be integers, got {}; convert them with `.astype(DType::I32)`", labels.aval());
        raise(Error::invalid("ntxent", message));
    }
    let vectors = directions(embeddings);
    let cosines = vectors.matmul(vectors.t()) / temperature;
    let same = labels.expand_dims(1).eq(labels.expand_dims(0));
    let different = !&same;
    let pairs = same & Tensor::eye(labels.dim(0)).eq(0);
    // Less the greatest of a row, of which there is none if there is one embedding only.
    let greatest = (&different | &pairs).select(&cosines, f64::NEG_INFINITY).max_keepdims(-1);
    let exponents = cosines - greatest.maximum(-1.0 / temperature).stop_gradient();
    let others = different.select(different.select(&exponents, 0).exp(), 0).sum_keepdims(-1);
    let of_pairs = pairs.select(exponents, 0);
    let losses = (others + of_pairs.exp()).log() - of_pairs;
    let dtype = embeddings.dtype().to_float();
    (pairs.select(losses, 0).sum() / pairs.astype(DType::F32).sum()).astype(dtype)
}
