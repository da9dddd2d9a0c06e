//! Normalization of each example by itself.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Shape, Tensor};

use super::super::{Tag, places};
use super::{narrow, optional, wide};
use crate::init::{ones, zeros};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Layer normalization (Ba et al. 2016): `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with statistics
/// of each example over its last axis, or those that [`axis`](Self::axis) says.
///
/// Parameters: `gamma` (ones at first) and `beta` (zeros at first), of the shape of the axes that statistics are
/// taken over. Statistics of half-precision inputs are computed in f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = LayerNorm::new();
/// let x = tensor![[1.0, 3.0], [50.0, 10.0]];
/// let params = layer.init_params(Key::new(0), &x);
/// assert!(layer.apply(&params, &x).allclose(tensor![[-1.0, 1.0], [1.0, -1.0]], 1e-4, 0.0));
/// ```
#[derive(Clone)]
pub struct LayerNorm {
    tag: Tag,
    axes: Vec<isize>,
    epsilon: f64,
    center: bool,
    scale: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        LayerNorm::new()
    }
}

impl LayerNorm {
    /// Over the last axis.
    pub fn new() -> Self {
        LayerNorm { tag: Tag::new("layer_norm"), axes: vec![-1], epsilon: 1e-5, center: true, scale: true }
    }

    /// The axes to take statistics over, as `[-3, -2, -1]`; negative ones count from the end.
    pub fn axis(self, axes: impl Into<Vec<isize>>) -> Self {
        LayerNorm { axes: axes.into(), ..self }
    }

    /// What is added to the variance; 1e-5 otherwise, as in PyTorch (Flax has 1e-6).
    pub fn epsilon(self, epsilon: f64) -> Self {
        LayerNorm { epsilon, ..self }
    }

    /// Whether `beta` is added.
    pub fn center(self, center: bool) -> Self {
        LayerNorm { center, ..self }
    }

    /// Whether `gamma` is multiplied with.
    pub fn scale(self, scale: bool) -> Self {
        LayerNorm { scale, ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        LayerNorm { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        LayerNorm { tag: self.tag.fresh(), ..self.clone() }
    }
}

/// The axes of an input, and the shapes of parameters along them, alone and to broadcast against the input.
#[track_caller]
fn along(cx: &Scope<'_>, kind: &str, axes: &[isize], x: &Tensor) -> (Vec<usize>, Shape, Shape) {
    let axes = match places(axes, x) {
        Ok(axes) => axes,
        Err(message) => cx.fail(kind, message),
    };
    let alone = axes.iter().map(|&axis| x.shape()[axis]).collect();
    let sizes = x.shape().iter().enumerate();
    let beside = sizes.map(|(axis, &size)| if axes.contains(&axis) { size } else { 1 }).collect();
    (axes, alone, beside)
}

impl Module<Tensor> for LayerNorm {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let (axes, alone, beside) = along(cx, "LayerNorm", &self.axes, x);
        let gamma = optional(cx, self.scale, "gamma", &alone, ones());
        let beta = optional(cx, self.center, "beta", &alone, zeros());
        let wide = wide(x);
        let centered = &wide - wide.mean_keepdims(&axes[..]);
        let variance = centered.square().mean_keepdims(&axes[..]);
        let mut y = centered * (variance + self.epsilon).rsqrt();
        if let Some(gamma) = &gamma {
            y = y * gamma.reshape(beside.dims());
        }
        if let Some(beta) = &beta {
            y = y + beta.reshape(beside.dims());
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

/// Root mean square normalization (Zhang and Sennrich 2019): `gamma * x / sqrt(mean of x² + epsilon)`, with the
/// mean of each example over its last axis, or those that [`axis`](Self::axis) says.
///
/// Parameter: `gamma` (ones at first), of the shape of these axes. Means of half-precision inputs are computed in
/// f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = RmsNorm::new();
/// let x = tensor![[3.0, 3.0], [1.0, -7.0]];
/// let params = layer.init_params(Key::new(0), &x);
/// assert!(layer.apply(&params, &x).allclose(tensor![[1.0, 1.0], [0.2, -1.4]], 1e-5, 0.0));
/// ```
#[derive(Clone)]
pub struct RmsNorm {
    tag: Tag,
    axes: Vec<isize>,
    epsilon: f64,
    scale: bool,
}

impl Default for RmsNorm {
    fn default() -> Self {
        RmsNorm::new()
    }
}

impl RmsNorm {
    /// Over the last axis.
    pub fn new() -> Self {
        RmsNorm { tag: Tag::new("rms_norm"), axes: vec![-1], epsilon: 1e-6, scale: true }
    }

    /// The axes to take means over, as `[-2, -1]`; negative ones count from the end.
    pub fn axis(self, axes: impl Into<Vec<isize>>) -> Self {
        RmsNorm { axes: axes.into(), ..self }
    }

    /// What is added to the mean of squares; 1e-6 otherwise.
    pub fn epsilon(self, epsilon: f64) -> Self {
        RmsNorm { epsilon, ..self }
    }

    /// Whether `gamma` is multiplied with.
    pub fn scale(self, scale: bool) -> Self {
        RmsNorm { scale, ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        RmsNorm { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        RmsNorm { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl Module<Tensor> for RmsNorm {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let (axes, alone, beside) = along(cx, "RmsNorm", &self.axes, x);
        let gamma = optional(cx, self.scale, "gamma", &alone, ones());
        let wide = wide(x);
        let mean = wide.square().mean_keepdims(&axes[..]);
        let mut y = wide * (mean + self.epsilon).rsqrt();
        if let Some(gamma) = &gamma {
            y = y * gamma.reshape(beside.dims());
        }
        narrow(y, x, &[&gamma])
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
