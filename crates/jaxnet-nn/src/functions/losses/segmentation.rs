//! Losses of areas.

use jaxnet_tensor::{Error, Tensor, raise};

use super::same_shapes;

/// How far predicted areas are from covering the target's, for each example and class: [`tversky_loss`] with equal
/// weights, which is 1 less the Dice coefficient (Milletari et al. 2016).
///
/// ```
/// use jaxnet_nn::prelude::*;
/// // Four pixels of one image, one class: half of the area is found, and as much is wrong.
/// let (found, right) = (tensor![[[1.0], [1.0], [0.0], [0.0]]], tensor![[[0.0], [1.0], [1.0], [0.0]]]);
/// assert_eq!(dice_loss(&found, &right, 0.0).to_vec::<f32>(), [0.5]);
/// ```
///
/// # Panics
///
/// As [`tversky_loss`].
#[track_caller]
pub fn dice_loss(probabilities: &Tensor, targets: &Tensor, smooth: f64) -> Tensor {
    tversky_loss(probabilities, targets, 0.5, 0.5, smooth)
}

/// `1 - (both + smooth) / (both + false_positives * (predicted - both) + false_negatives * (target - both) + smooth)`
/// for each example and class, where `both`, `predicted` and `target` are the sums of `probabilities * targets`,
/// `probabilities` and `targets` over all pixels (Salehi et al. 2017; `dice_loss` of optax).
///
/// Of shape [batch, spatial.., classes] each, the result is [batch, classes]; take the mean for a loss, with weights
/// and without the background if you like. `probabilities` are `sigmoid` or `softmax` of logits. `smooth`, usually 1,
/// makes areas that are empty on both sides count 0.
///
/// ```
/// use jaxnet_nn::prelude::*;
/// let logits = Key::new(0).normal([2, 8, 8, 3]);
/// let targets = Key::new(1).randint([2, 8, 8], 0, 3).one_hot(3);
/// let losses = tversky_loss(&softmax(&logits), &targets, 0.3, 0.7, 1.0);
/// assert_eq!(losses.shape().dims(), [2, 3]);
/// ```
///
/// # Panics
///
/// If the shapes differ, or have no axes of batch and classes.
#[track_caller]
pub fn tversky_loss(
    probabilities: &Tensor,
    targets: &Tensor,
    false_positives: f64,
    false_negatives: f64,
    smooth: f64,
) -> Tensor {
    same_shapes("tversky_loss", "probabilities", probabilities, "targets", targets);
    if targets.rank() < 2 {
        let message = format!("takes shapes [batch, spatial.., classes], got {}", targets.shape());
        raise(Error::invalid("tversky_loss", message));
    }
    let pixels: Vec<usize> = (1..targets.rank() - 1).collect();
    let area = |x: &Tensor| x.sum_axis(pixels.as_slice());
    let (both, predicted, target) = (area(&(probabilities * targets)), area(probabilities), area(targets));
    let wrong = (predicted - &both) * false_positives + (target - &both) * false_negatives;
    1.0 - (&both + smooth) / (&both + wrong + smooth)
}
