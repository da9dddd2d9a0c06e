//! Normalization of each example in groups of channels.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Shape, Tensor};

use super::super::Tag;
use super::{narrow, optional, wide};
use crate::init::{ones, zeros};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Group normalization (Wu and He 2018): `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with statistics
/// of each example over groups of neighbouring channels and all places.
///
/// Inputs are of shape [batch, spatial.., channels], with one batch axis unless
/// [`batch_axes`](Self::batch_axes) says otherwise.
///
/// Parameters: `gamma` (channels; ones at first) and `beta` (channels; zeros at first). Statistics of
/// half-precision inputs are computed in f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = GroupNorm::new(2);
/// let x = tensor![[[1.0, 3.0, 7.0, 7.0], [1.0, 3.0, 5.0, 5.0]]];
/// let params = layer.init_params(Key::new(0), &x);
/// let y = layer.apply(&params, &x);
/// assert!(y.allclose(tensor![[[-1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, -1.0]]], 1e-4, 0.0));
/// ```
#[derive(Clone)]
pub struct GroupNorm {
    tag: Tag,
    /// One for each channel if not said.
    groups: Option<usize>,
    batch_axes: usize,
    epsilon: f64,
    center: bool,
    scale: bool,
}

impl GroupNorm {
    /// With the channels in so many groups.
    pub fn new(groups: usize) -> Self {
        GroupNorm {
            tag: Tag::new("group_norm"),
            groups: Some(groups),
            batch_axes: 1,
            epsilon: 1e-5,
            center: true,
            scale: true,
        }
    }

    /// How many axes come before the spatial ones, each place along which has statistics of its own; 1 otherwise.
    pub fn batch_axes(self, batch_axes: usize) -> Self {
        GroupNorm { batch_axes, ..self }
    }

    /// What is added to the variance; 1e-5 otherwise, as in PyTorch (Flax has 1e-6).
    pub fn epsilon(self, epsilon: f64) -> Self {
        GroupNorm { epsilon, ..self }
    }

    /// Whether `beta` is added.
    pub fn center(self, center: bool) -> Self {
        GroupNorm { center, ..self }
    }

    /// Whether `gamma` is multiplied with.
    pub fn scale(self, scale: bool) -> Self {
        GroupNorm { scale, ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        GroupNorm { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        GroupNorm { tag: self.tag.fresh(), ..self.clone() }
    }

    fn kind(&self) -> &'static str {
        if self.groups.is_some() { "GroupNorm" } else { "InstanceNorm" }
    }
}

/// Makes [`GroupNorm`] layers in which each channel is a group: instance normalization (Ulyanov et al. 2016).
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = InstanceNorm::new().center(false).scale(false);
/// let x = tensor![[[1.0, 30.0], [3.0, 10.0]]];
/// let y = layer.apply(&Params::empty(), &x);
/// assert!(y.allclose(tensor![[[-1.0, 1.0], [1.0, -1.0]]], 1e-4, 0.0));
/// ```
pub struct InstanceNorm;

impl InstanceNorm {
    /// With as many groups as there are channels.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> GroupNorm {
        GroupNorm { tag: Tag::new("instance_norm"), groups: None, ..GroupNorm::new(1) }
    }
}

impl Module<Tensor> for GroupNorm {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let fail = |cx: &Scope<'_>, message: String| -> ! { cx.fail(self.kind(), message) };
        if x.rank() <= self.batch_axes {
            let (axes, s) = (self.batch_axes, if self.batch_axes == 1 { "axis" } else { "axes" });
            fail(
                cx,
                format!(
                    "needs an input of {axes} batch {s}, any spatial axes, and channels, got shape {}; see `batch_axes`",
                    x.shape()
                ),
            )
        }
        let channels = x.dim(-1);
        let groups = self.groups.unwrap_or(channels);
        if self.groups.is_some() && (groups == 0 || !channels.is_multiple_of(groups)) {
            fail(cx, format!("{groups} groups must divide the {channels} channels of the input {}", x.aval()))
        }
        let shape = Shape::from([channels]);
        let gamma = optional(cx, self.scale, "gamma", &shape, ones());
        let beta = optional(cx, self.center, "beta", &shape, zeros());
        // A group is an axis of its own; the last one is that of the channels in it.
        let before = &x.shape()[..x.rank() - 1];
        let split: Shape = before.iter().copied().chain([groups, channels.checked_div(groups).unwrap_or(1)]).collect();
        let wide = wide(x).reshape(split.dims());
        let axes: Vec<usize> = (self.batch_axes..x.rank() - 1).chain([x.rank()]).collect();
        let centered = &wide - wide.mean_keepdims(&axes[..]);
        let variance = centered.square().mean_keepdims(&axes[..]);
        let mut y = (centered * (variance + self.epsilon).rsqrt()).reshape(x.shape().dims());
        if let Some(gamma) = &gamma {
            y = y * gamma;
        }
        if let Some(beta) = &beta {
            y = y + beta;
        }
        narrow(y, x, &[&gamma, &beta])
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
