//! Mixtures of logistic distributions (PixelCNN++).

use jaxnet_tensor::{DType, Error, Key, Tensor, raise};

use super::super::activations::{log_softmax, softplus};

/// What a net says about one mixture of logistic distributions for each place.
struct Mixture {
    /// (.., components)
    logits: Tensor,
    /// (.., channels, components), as the others.
    means: Tensor,
    log_scales: Tensor,
    /// How the means of later channels depend on earlier ones, if there are three.
    coefficients: Option<Tensor>,
}

impl Mixture {
    #[track_caller]
    fn new(op: &str, parameters: &Tensor, channels: usize) -> Mixture {
        let per_component = match channels {
            1 => 3,
            3 => 10,
            _ => raise(Error::invalid(op, format!("there must be 1 or 3 channels, got {channels}"))),
        };
        let size = if parameters.rank() == 0 { 0 } else { parameters.dim(-1) };
        if size == 0 || !size.is_multiple_of(per_component) {
            raise(Error::invalid(
                op,
                format!(
                    "{channels} channels need {per_component} parameters for each component along the last axis, got \
                     shape {}",
                    parameters.shape()
                ),
            ));
        }
        let components = size / per_component;
        let wide = if parameters.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let parts = parameters.astype(wide).split_at(&[components], -1);
        let mut shape = parameters.shape().to_vec();
        shape.splice(shape.len() - 1.., [channels, (size - components) / channels]);
        let rest = parts[1].reshape(shape);
        let rest = rest.split((per_component - 1) / channels, -1);
        Mixture {
            logits: parts[0].clone(),
            means: rest[0].clone(),
            log_scales: rest[1].maximum(-7.0),
            coefficients: rest.get(2).map(Tensor::tanh),
        }
    }
}

/// The negative logarithm of the probability of values in a mixture of logistic distributions that are cut into
/// `levels` equal steps (Salimans et al. 2017, PixelCNN++), for each place.
///
/// Values are of shape [.., channels], with 1 or 3 channels, and in -1..=1, of which the ends stand for all that
/// is beyond; 256 levels are those of bytes, as `x / 127.5 - 1`. Parameters, which a net computes, are of shape
/// [.., n · components]: for one channel, `n` is 3, which are the components' logits, means and logarithms of scales,
/// one after the other; for three, it is 10, in the order of PixelCNN++: the logits, and then for each channel means,
/// logarithms of scales, and coefficients by which green depends on red, and blue on red and green. The result is of
/// the shape without the last axis. Parameters of half precision are computed with in f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let images = Key::new(0).uniform([2, 4, 4, 3]) * 2.0 - 1.0;
/// let parameters = Key::new(1).normal([2, 4, 4, 50]); // of five components
/// let losses = discretized_logistic_mixture_loss(&parameters, &images, 256);
/// assert_eq!(losses.shape().dims(), [2, 4, 4]);
/// ```
///
/// # Panics
///
/// If shapes do not fit, there are neither 1 nor 3 channels, or there are less than two levels.
#[track_caller]
pub fn discretized_logistic_mixture_loss(parameters: &Tensor, values: &Tensor, levels: usize) -> Tensor {
    let op = "discretized_logistic_mixture_loss";
    let places = |x: &Tensor| x.rank().checked_sub(1);
    let (Some(a), Some(b)) = (places(parameters), places(values)) else {
        raise(Error::invalid(op, "parameters and values need a last axis, got a scalar"))
    };
    if parameters.shape()[..a] != values.shape()[..b] {
        raise(Error::invalid(
            op,
            format!(
                "parameters of shape {} and values of shape {} must have the same axes but for the last",
                parameters.shape(),
                values.shape()
            ),
        ));
    }
    if levels < 2 {
        raise(Error::invalid(op, format!("there must be at least two levels, got {levels}")));
    }
    let channels = values.dim(-1);
    let Mixture { logits, means, log_scales, coefficients } = Mixture::new(op, parameters, channels);
    let x = values.astype(means.dtype()).expand_dims(-1);
    let means = match &coefficients {
        None => means,
        Some(c) => {
            let channel = |t: &Tensor, i: usize| t.split(3, -2)[i].clone();
            let (red, green) = (channel(&x, 0), channel(&x, 1));
            let by_green = channel(&means, 1) + channel(c, 0) * &red;
            let by_blue = channel(&means, 2) + channel(c, 1) * red + channel(c, 2) * green;
            Tensor::concatenate(&[channel(&means, 0), by_green, by_blue], -2)
        }
    };
    let half = 1.0 / (levels - 1) as f64;
    let centered = &x - means;
    let inverse = (-&log_scales).exp();
    let above = &inverse * (&centered + half);
    let below = &inverse * (&centered - half);
    let all_below = &above - softplus(&above);
    let all_above = -softplus(&below);
    // What is between the two is their difference, which as a product, sigmoid(above) * sigmoid(-below) *
    // (1 - e^-width), is not lost to rounding.
    let width = inverse * (2.0 * half);
    let narrow = width.lt(1e-3);
    let share = (-(-narrow.select(1.0, &width)).expm1()).log();
    let share = narrow.select((2.0 * half).ln() - &log_scales - &width * 0.5, share);
    let exact = &all_below + &all_above + share;
    let end = 1.0 - half / 2.0;
    let log = x.lt(-end).select(all_below, x.gt(end).select(all_above, exact));
    -(log.sum_axis(-2) + log_softmax(&logits)).logsumexp_axis(-1)
}

/// Values drawn from mixtures of logistic distributions, cut off at -1 and 1, with the parameters that
/// [`discretized_logistic_mixture_loss`] takes. They are not rounded to levels.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let parameters = Key::new(1).normal([2, 4, 4, 50]);
/// let images = sample_logistic_mixture(Key::new(0), &parameters, 3);
/// assert_eq!(images.shape().dims(), [2, 4, 4, 3]);
/// ```
///
/// # Panics
///
/// If there are neither 1 nor 3 channels, or the parameters are not of that many.
#[track_caller]
pub fn sample_logistic_mixture(key: Key, parameters: &Tensor, channels: usize) -> Tensor {
    let Mixture { logits, means, log_scales, coefficients } =
        Mixture::new("sample_logistic_mixture", parameters, channels);
    let (component_key, noise_key) = key.split();
    let component = component_key.categorical(&logits, -1).expand_dims(-1).expand_dims(-1);
    let chosen = |t: &Tensor| {
        let mut shape = t.shape().clone();
        let last = shape.rank() - 1;
        shape.dims_mut()[last] = 1;
        t.take_along_axis(component.broadcast_to(shape), -1).squeeze(-1)
    };
    let (means, scales) = (chosen(&means), chosen(&log_scales).exp());
    let u = noise_key.uniform_range(means.shape(), 1e-5, 1.0 - 1e-5, means.dtype());
    let x = means + scales * (u.log() - (1.0 - &u).log());
    let Some(coefficients) = coefficients else { return x.clip(-1.0, 1.0) };
    let (x, c) = (x.split(3, -1), chosen(&coefficients).split(3, -1));
    let red = x[0].clip(-1.0, 1.0);
    let green = (&x[1] + &c[0] * &red).clip(-1.0, 1.0);
    let blue = (&x[2] + &c[1] * &red + &c[2] * &green).clip(-1.0, 1.0);
    Tensor::concatenate(&[red, green, blue], -1)
}
