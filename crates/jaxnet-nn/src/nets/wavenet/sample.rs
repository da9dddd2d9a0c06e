//! What a WaveNet goes on with.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jaxnet_tensor::{Key, Tensor};

use super::{WaveNet, WaveNetCache};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

type Draw = Arc<dyn Fn(Key, &Tensor) -> Tensor + Send + Sync>;

impl WaveNet {
    /// The same net as a module that takes the beginning of a sequence, of shape [batch.., time, channels] with at
    /// least one place, and goes on for so many places more: each is what `draw` makes, from a key, of the output before,
    /// of shape [batch.., outputs] to [batch.., channels]. Asks for a key.
    ///
    /// All of it is one loop, with a [cache](Self::with_cache) from step to step.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = WaveNet::new([1, 2, 4], 15).channels(4).skip_channels(8);
    /// let silence = Tensor::zeros([2, net.receptive_field(), 1]);
    /// let params = net.init_params(Key::new(0), &silence);
    /// let sampler = net.sampler(50, |key, outputs| sample_logistic_mixture(key, outputs, 1));
    /// let fast = jit(|(params, key, start)| sampler.apply_with_key(&params, key, &start));
    /// let signal = fast.call((params, Key::new(1), silence));
    /// assert_eq!(signal.shape().dims(), [2, 50, 1]);
    /// ```
    pub fn sampler(
        &self,
        places: usize,
        draw: impl Fn(Key, &Tensor) -> Tensor + Send + Sync + 'static,
    ) -> WaveNetSampler {
        WaveNetSampler { net: self.clone(), places, draw: Arc::new(draw) }
    }
}

/// What draws on: see [`WaveNet::sampler`].
#[derive(Clone)]
pub struct WaveNetSampler {
    net: WaveNet,
    places: usize,
    draw: Draw,
}

impl fmt::Debug for WaveNetSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaveNetSampler").field("net", &self.net).field("places", &self.places).finish_non_exhaustive()
    }
}

impl Module<Tensor> for WaveNetSampler {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let cache = self.net.cache(x);
        if x.dim(-2) == 0 {
            cx.fail(
                "WaveNetSampler",
                format!("needs at least one place to go on from, got {}; zeros are silence", x.aval()),
            )
        }
        let (cache, y) = self.net.steps(cx, &cache, x);
        let last = y.i((jaxnet_tensor::Ellipsis, -1, ..));
        let step = Draws { net: self.net.clone(), draw: self.draw.clone() };
        let (_, drawn): (_, Tensor) = cx.scan(&step, (cache, last), Tensor::range(self.places));
        drawn.move_axis(0, x.rank() as isize - 2)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.net.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("wavenet")
    }
}

/// Draws the next place from the outputs at the last, and goes there; in the net's own place.
#[derive(Clone)]
struct Draws {
    net: WaveNet,
    draw: Draw,
}

impl Module<((WaveNetCache, Tensor), Tensor)> for Draws {
    type Output = ((WaveNetCache, Tensor), Tensor);

    fn forward(&self, cx: &mut Scope<'_>, ((cache, outputs), _): &((WaveNetCache, Tensor), Tensor)) -> Self::Output {
        let x = (self.draw)(cx.random_key(), outputs);
        let example = &cache.inputs[0];
        // The first convolution's inputs have the shape of a place, after the axis along which they are kept.
        if x.shape()[..] != example.shape()[1..] {
            cx.fail(
                "WaveNetSampler",
                format!(
                    "`draw` must give {:?} for outputs {}, gave {}",
                    &example.shape()[1..],
                    outputs.aval(),
                    x.aval()
                ),
            )
        }
        let (cache, next) = self.net.step(cx, cache, &x);
        ((cache, next.astype(outputs.dtype())), x)
    }

    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("draws")
    }
}
