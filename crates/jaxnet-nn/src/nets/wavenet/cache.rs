//! WaveNet, a place at a time.

use std::borrow::Cow;

use jaxnet_tensor::{Error, Shape, Tensor, Tree, raise};

use super::{WaveNet, check};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// What a WaveNet has seen, as far as it matters for what comes: a tree that goes in and comes out, through `scan`,
/// `jit` and `vmap` as any other. Made by [`WaveNet::cache`].
#[derive(Clone, Debug, Tree)]
pub struct WaveNetCache {
    /// For each convolution the inputs that it still needs, of shape [places, batch.., channels]: that of the place
    /// `i` is at `i` modulo their number.
    pub inputs: Vec<Tensor>,
    /// How many places there were, an i32 scalar.
    pub places: Tensor,
}

impl WaveNet {
    /// A cache of silence: all that was before is 0. Batch, channels and dtype are those of `x`, of shape
    /// [batch.., any time, channels].
    ///
    /// # Panics
    ///
    /// If `x` is not of such a shape.
    #[track_caller]
    pub fn cache(&self, x: &Tensor) -> WaveNetCache {
        if x.rank() < 2 {
            let message = format!("needs inputs of shape [batch.., time, channels], got {}", x.shape());
            raise(Error::invalid("WaveNet", message));
        }
        let batch = &x.shape()[..x.rank() - 2];
        let inputs = self.cached().into_iter().map(|(reach, channels)| {
            let channels = channels.unwrap_or(x.dim(-1));
            let shape: Shape = [reach].iter().chain(batch).copied().chain([channels]).collect();
            Tensor::zeros(shape).astype(x.dtype())
        });
        WaveNetCache { inputs: inputs.collect(), places: Tensor::scalar(0_i32) }
    }

    /// How many inputs each convolution needs from before, and their channels, if they are not those of the input.
    fn cached(&self) -> Vec<(usize, Option<usize>)> {
        let blocks = (0..self.dilations.len()).map(|i| (self.block(i).reach(), Some(self.residual_channels)));
        std::iter::once((self.initial_kernel - 1, None)).chain(blocks).collect()
    }

    /// The same net as a module of `(cache, x)` that gives `(cache, y)`, where `x` are the next places, of shape
    /// [batch.., time, channels], and `y` the outputs at those: each takes as long as it has layers, however far back
    /// they see.
    ///
    /// Outputs are those of the [`padded`](Self::padded) net for the whole sequence; after the first
    /// `receptive_field - 1` they are those of the net without.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = WaveNet::new([1, 2, 4], 3).channels(4).skip_channels(8);
    /// let x = Key::new(1).normal([2, 20, 1]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let (cache, start) = net.with_cache().apply(&params, &(net.cache(&x), x.i((.., ..15))));
    /// let (_, end) = net.with_cache().apply(&params, &(cache, x.i((.., 15..))));
    /// let y = net.apply(&params, &x);
    /// assert!(start.i((.., 8..)).allclose(y.i((.., ..7)), 1e-5, 1e-6));
    /// assert!(end.allclose(y.i((.., 7..)), 1e-5, 1e-6));
    /// ```
    pub fn with_cache(&self) -> WaveNetWithCache {
        WaveNetWithCache(self.clone())
    }

    /// Checks what a cached run is given.
    #[track_caller]
    pub(super) fn check_cache(&self, cx: &Scope<'_>, cache: &WaveNetCache, x: &Tensor) {
        check(cx, "WaveNet", x, 0);
        let expected = self.cached();
        let batch = &x.shape()[..x.rank() - 2];
        let fits = |(found, (reach, channels)): (&Tensor, &(usize, Option<usize>))| {
            let channels = channels.unwrap_or(x.dim(-1));
            found.rank() == x.rank()
                && found.dim(0) == *reach
                && found.dim(-1) == channels
                && found.shape()[1..x.rank() - 1] == *batch
        };
        if cache.inputs.len() != expected.len() || !cache.inputs.iter().zip(&expected).all(fits) {
            cx.fail("WaveNet", format!("the cache is not one of this net for inputs {}; see `cache`", x.aval()))
        }
    }

    /// One place: `x` is of shape [batch.., channels], as what comes out.
    #[track_caller]
    pub(super) fn step(&self, cx: &mut Scope<'_>, cache: &WaveNetCache, x: &Tensor) -> (WaveNetCache, Tensor) {
        let places = &cache.places;
        let mut inputs = Vec::with_capacity(cache.inputs.len());
        // The inputs under a kernel, of shape [batch.., kernel, channels], with the newest last.
        let mut window = |x: &Tensor, kernel: usize| {
            let ring = &cache.inputs[inputs.len()];
            let reach = ring.dim(0);
            if reach == 0 {
                inputs.push(ring.clone());
                return x.expand_dims(-2);
            }
            let dilation = reach / (kernel - 1);
            let place = |back: usize| (places + (reach - back) as i32).modulo(reach as i32);
            let at = |back: usize| {
                let mut starts = vec![Tensor::scalar(0_i32); ring.rank()];
                starts[0] = place(back);
                starts
            };
            let read = |back: usize| {
                let mut sizes = ring.shape().clone();
                sizes.dims_mut()[0] = 1;
                ring.dynamic_slice(at(back), sizes).squeeze(0).expand_dims(-2)
            };
            // What is as far back as the ring is long is where the new one goes.
            let before: Vec<Tensor> = (1..kernel).rev().map(|i| read(i * dilation)).collect();
            inputs.push(ring.dynamic_update_slice(x.astype(ring.dtype()).expand_dims(0), at(reach)));
            let all: Vec<Tensor> = before.into_iter().chain([x.expand_dims(-2)]).collect();
            Tensor::concatenate(&all, -2)
        };
        let first = window(x, self.initial_kernel);
        let mut hidden = cx.call_named("conv", &self.first(), &first).squeeze(-2);
        let mut skips: Option<Tensor> = None;
        for i in 0..self.dilations.len() {
            let (block, is_last) = (self.block(i), i + 1 == self.dilations.len());
            let seen = window(&hidden, self.kernel);
            let skip = cx.within(&format!("block{i}"), |cx| {
                let units = block.units(cx, &seen, 1, 0);
                if !is_last {
                    let channels = hidden.dim(-1);
                    hidden = block.residual(cx, &units, channels).squeeze(-2) + &hidden;
                }
                block.skip(cx, &units)
            });
            skips = Some(match skips {
                None => skip,
                Some(skips) => skips + skip,
            });
        }
        let y = self.outputs(cx, &skips.expect("there are blocks")).squeeze(-2);
        (WaveNetCache { inputs, places: places + 1 }, y)
    }

    /// Several places, one after the other: `x` is of shape [batch.., time, channels].
    #[track_caller]
    pub(super) fn steps(&self, cx: &mut Scope<'_>, cache: &WaveNetCache, x: &Tensor) -> (WaveNetCache, Tensor) {
        if x.dim(-2) == 1 {
            let (cache, y) = self.step(cx, cache, &x.squeeze(-2));
            return (cache, y.expand_dims(-2));
        }
        let (cache, y) = cx.scan(&Step(self.clone()), cache.clone(), x.move_axis(-2, 0));
        (cache, y.move_axis(0, x.rank() as isize - 2))
    }
}

/// A step in the net's own place.
#[derive(Clone)]
struct Step(WaveNet);

impl Module<(WaveNetCache, Tensor)> for Step {
    type Output = (WaveNetCache, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (cache, x): &(WaveNetCache, Tensor)) -> (WaveNetCache, Tensor) {
        self.0.step(cx, cache, x)
    }

    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("step")
    }
}

/// A WaveNet with a cache: see [`WaveNet::with_cache`].
#[derive(Clone, Debug)]
pub struct WaveNetWithCache(WaveNet);

impl Module<(WaveNetCache, Tensor)> for WaveNetWithCache {
    type Output = (WaveNetCache, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (cache, x): &(WaveNetCache, Tensor)) -> (WaveNetCache, Tensor) {
        self.0.check_cache(cx, cache, x);
        self.0.steps(cx, cache, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("wavenet")
    }
}
