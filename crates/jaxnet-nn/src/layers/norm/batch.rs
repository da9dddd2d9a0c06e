//! Normalization by a batch.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Error, Shape, Tensor, raise};

use super::super::{Tag, places};
use super::{narrow, optional, wide};
use crate::init::{Init, Initializer, ones, zeros};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Batch normalization (Ioffe and Szegedy 2015): `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with
/// statistics over all axes but the last, or those that [`axis`](Self::axis) says.
///
/// In training, the statistics are those of the batch, and running ones, which are state, move towards them;
/// in evaluation the running ones count. [`batch_statistics`](Self::batch_statistics) is without state.
///
/// Parameters: `gamma` (ones at first) and `beta` (zeros at first), over the axes that stay. State: `mean` and
/// `var`, the same. Statistics of half-precision inputs are computed in f32.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = BatchNorm::new();
/// let x = tensor![[1.0, 0.0], [3.0, 0.0]];
/// let vars = layer.init(Key::new(0), &x);
/// let (y, state) = layer.call(&vars, &x, Mode::Train(Key::new(1)));
/// assert!(y.allclose(tensor![[-1.0, 0.0], [1.0, 0.0]], 1e-4, 0.0));
/// assert!(state["mean"].allclose(tensor![0.02, 0.0], 1e-5, 0.0));
///
/// let vars = vars.with_state(state);
/// let (y, _) = layer.call(&vars, &x, Mode::Eval);
/// ```
#[derive(Clone)]
pub struct BatchNorm {
    tag: Tag,
    /// The axes to take statistics over; all but the last if not said.
    axes: Option<Vec<isize>>,
    /// Whether running statistics are kept.
    running: bool,
    momentum: f64,
    epsilon: f64,
    center: bool,
    scale: bool,
    gamma_init: Init,
    /// Whether the running variance is the unbiased one.
    unbiased: bool,
}

impl Default for BatchNorm {
    fn default() -> Self {
        BatchNorm::new()
    }
}

impl BatchNorm {
    /// With running statistics, of momentum 0.99, for evaluation.
    pub fn new() -> Self {
        BatchNorm {
            tag: Tag::new("batch_norm"),
            axes: None,
            running: true,
            momentum: 0.99,
            epsilon: 1e-5,
            center: true,
            scale: true,
            gamma_init: Init::new(ones()),
            unbiased: false,
        }
    }

    /// With the statistics of the current batch in evaluation too, as JAXnet has it, and without state.
    pub fn batch_statistics() -> Self {
        BatchNorm { running: false, ..BatchNorm::new() }
    }

    /// The axes to take statistics over, as `[0, 1, 2]`; negative ones count from the end.
    pub fn axis(self, axes: impl Into<Vec<isize>>) -> Self {
        BatchNorm { axes: Some(axes.into()), ..self }
    }

    /// Which share of the running statistics, if there are any, stays at each step; 0.99 otherwise.
    ///
    /// # Panics
    ///
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn momentum(self, momentum: f64) -> Self {
        if !(0.0..=1.0).contains(&momentum) {
            raise(Error::invalid("BatchNorm", format!("the momentum must be in 0..=1, got {momentum}")));
        }
        BatchNorm { momentum, ..self }
    }

    /// What is added to the variance; 1e-5 otherwise.
    pub fn epsilon(self, epsilon: f64) -> Self {
        BatchNorm { epsilon, ..self }
    }

    /// Whether `beta` is added.
    pub fn center(self, center: bool) -> Self {
        BatchNorm { center, ..self }
    }

    /// Whether `gamma` is multiplied with.
    pub fn scale(self, scale: bool) -> Self {
        BatchNorm { scale, ..self }
    }

    /// The layer with another initializer of `gamma`.
    pub fn with_gamma_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        BatchNorm { gamma_init: Init::new(init), ..self }
    }

    /// Keeps the unbiased variance in the running statistics, as PyTorch does: that of the batch times `n / (n - 1)`
    /// for `n` numbers. (Flax and JAXnet keep the variance itself.)
    pub fn unbiased_variance(self) -> Self {
        BatchNorm { unbiased: true, ..self }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        BatchNorm { tag: self.tag.named(name), ..self }
    }

    /// Another layer of the same kind, with parameters and state of its own.
    pub fn fresh(&self) -> Self {
        BatchNorm { tag: self.tag.fresh(), ..self.clone() }
    }

    /// The axes to take statistics over, in order.
    #[track_caller]
    fn reduced(&self, cx: &Scope<'_>, x: &Tensor) -> Vec<usize> {
        let rank = x.rank();
        let Some(axes) = &self.axes else {
            if rank == 0 {
                cx.fail("BatchNorm", "needs an input with an axis of channels, got a scalar")
            }
            return (0..rank - 1).collect();
        };
        match places(axes, x) {
            Ok(axes) => axes,
            Err(message) => cx.fail("BatchNorm", message),
        }
    }
}

impl Module<Tensor> for BatchNorm {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let axes = self.reduced(cx, x);
        let narrow_x = x;
        let x = wide(x);
        let stay = x.shape().without_axes(&axes);
        let beside: Shape =
            x.shape().iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect();
        let beside = |v: &Tensor| v.reshape(beside.dims());
        let batch = || {
            let mean = x.mean_axis(&axes[..]);
            let variance = (&x - beside(&mean)).square().mean_axis(&axes[..]);
            (mean, variance)
        };
        let (mean, variance) = match self.running {
            false => batch(),
            true => {
                let (old_mean, old_var) =
                    (cx.state("mean", || Tensor::zeros(&stay)), cx.state("var", || Tensor::ones(&stay)));
                for (name, found) in [("mean", &old_mean), ("var", &old_var)] {
                    if *found.shape() != stay {
                        cx.fail(
                            "BatchNorm",
                            format!(
                                "the running `{name}` has shape {}, the input {} needs {stay}",
                                found.shape(),
                                x.aval()
                            ),
                        )
                    }
                }
                if cx.is_training() {
                    let (mean, variance) = batch();
                    let next = |old: &Tensor, new: &Tensor| {
                        let new = new.stop_gradient().astype(old.dtype());
                        old * self.momentum + new * (1.0 - self.momentum)
                    };
                    cx.set_state("mean", &next(&old_mean, &mean));
                    let n: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
                    let running = match self.unbiased && n > 1 {
                        true => &variance * (n as f64 / (n - 1) as f64),
                        false => variance.clone(),
                    };
                    cx.set_state("var", &next(&old_var, &running));
                    (mean, variance)
                } else {
                    (old_mean, old_var)
                }
            }
        };
        let gamma = optional(cx, self.scale, "gamma", &stay, self.gamma_init.clone());
        let beta = optional(cx, self.center, "beta", &stay, zeros());
        let mut factor = (variance + self.epsilon).rsqrt();
        if let Some(gamma) = &gamma {
            factor = factor * gamma;
        }
        let mut y = (&x - beside(&mean)) * beside(&factor);
        if let Some(beta) = &beta {
            y = y + beside(beta);
        }
        narrow(y, narrow_x, &[&gamma, &beta])
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
