//! Attention, a few places at a time.

use std::borrow::Cow;

use jaxnet_tensor::{Element, Error, OrRaise, Shape, Tensor, Tree};

use super::{MultiHeadAttention, both};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Keys and values of the places of a sequence that attention has seen: a tree that goes in and comes out, through
/// `scan`, `while_loop`, `jit` and `vmap` as any other. Made by [`MultiHeadAttention::cache`].
#[derive(Clone, Debug, Tree)]
pub struct KvCache {
    /// Of shape [batch.., length at most, heads, features].
    pub keys: Tensor,
    /// Likewise.
    pub values: Tensor,
    /// How many places there are so far, an i32 scalar.
    pub length: Tensor,
}

impl MultiHeadAttention {
    /// A cache of nothing yet, for sequences of at most this length: batch, channels and dtype are those of `x`, of
    /// shape [batch.., any length, channels].
    ///
    /// # Panics
    ///
    /// If `x` is not of such a shape.
    #[track_caller]
    pub fn cache(&self, x: &Tensor, max_length: usize) -> KvCache {
        let size = self.size_for(x).map_err(|why| Error::invalid("MultiHeadAttention", why)).or_raise();
        let batch = &x.shape()[..x.rank() - 2];
        let shape: Shape = batch.iter().copied().chain([max_length, self.key_value(), size]).collect();
        let zeros = Tensor::zeros(shape).astype(x.dtype());
        KvCache { keys: zeros.clone(), values: zeros, length: Tensor::scalar(0_i32) }
    }

    /// The same layer, which must be [`causal`](Self::causal), as a module of `(cache, x)`, or of `(cache, (x, mask))`,
    /// that gives `(cache, y)`: `x` are the next places of a sequence, one or more, which attend to those before
    /// and to each other. The mask broadcasts against [batch.., heads, queries, length at most].
    ///
    /// The results are those of the whole sequence at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = MultiHeadAttention::new(2).causal().rotary(10000.0);
    /// let x = Key::new(1).normal([3, 7, 8]);
    /// let params = layer.init_params(Key::new(0), &x);
    /// // The first four at once, then one at a time.
    /// let step = |cache: KvCache, x: Tensor| layer.with_cache().apply(&params, &(cache, x));
    /// let (cache, start) = step(layer.cache(&x, 10), x.i((.., ..4)));
    /// let rest = x.i((.., 4..)).move_axis(1, 0).expand_dims(2);
    /// let (cache, rest) = scan(step, cache, rest);
    /// assert_eq!(cache.length.item::<i32>(), 7);
    /// let y = Tensor::concatenate(&[start, rest.squeeze(2).move_axis(0, 1)], 1);
    /// assert!(y.allclose(layer.apply(&params, &x), 1e-4, 1e-5));
    /// ```
    ///
    /// # Panics
    ///
    /// If the sequence becomes longer than the cache. Where its length is not known, as in compiled functions, what is
    /// beyond is NaN instead.
    pub fn with_cache(&self) -> AttentionWithCache {
        AttentionWithCache(self.clone())
    }

    #[track_caller]
    fn run_cached(&self, cx: &mut Scope<'_>, cache: &KvCache, x: &Tensor, mask: Option<&Tensor>) -> (KvCache, Tensor) {
        let kind = "MultiHeadAttention";
        if !self.causal {
            cx.fail(
                kind,
                "only causal attention runs with a cache, since earlier places do not see later ones; see `causal`",
            )
        }
        let size = self.checked_size(cx, x);
        let rank = x.rank();
        let expected: Shape =
            x.shape()[..rank - 2].iter().copied().chain([cache.max_length(), self.key_value(), size]).collect();
        if *cache.keys.shape() != expected || *cache.values.shape() != expected {
            cx.fail(
                kind,
                format!(
                    "the cache is not one for inputs of shape {}: it has keys of shape {}, not {expected}; see `cache`",
                    x.shape(),
                    cache.keys.shape()
                ),
            )
        }
        let (steps, most) = (x.dim(-2), cache.max_length());
        if !cache.length.is_traced() {
            let length = jaxnet_tensor::with_dtype!(cache.length.dtype(), T => cache.length.item::<T>().to_i64());
            if length < 0 || length as usize + steps > most {
                cx.fail(
                    kind,
                    format!("the cache has room for {most} places, and {length} and {steps} more are too many"),
                )
            }
        }
        let positions = Tensor::range(steps) + &cache.length;
        let [query, key, value] = self.project_self(cx, x, &positions);
        let write = |all: &Tensor, new: Tensor| {
            let mut starts = vec![Tensor::scalar(0_i32); rank + 1];
            starts[rank - 2] = cache.length.clone();
            if steps > most { all.clone() } else { all.dynamic_update_slice(new.astype(all.dtype()), starts) }
        };
        let (keys, values) = (write(&cache.keys, key), write(&cache.values, value));
        let length = &cache.length + steps as i32;
        let seen = positions.expand_dims(-1).ge(Tensor::range(most));
        let mask = both(Some(seen), mask);
        let y = self.attend(cx, x, [query, keys.clone(), values.clone()], mask.as_ref());
        let y = if cache.length.is_traced() { length.le(most as i32).select(y, f64::NAN) } else { y };
        (KvCache { keys, values, length: length.astype(cache.length.dtype()) }, y)
    }
}

impl KvCache {
    /// How many places it has room for.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let cache = MultiHeadAttention::new(2).cache(&Tensor::zeros([1, 1, 8]), 100);
    /// assert_eq!(cache.max_length(), 100);
    /// ```
    pub fn max_length(&self) -> usize {
        if self.keys.rank() < 3 { 0 } else { self.keys.dim(-3) }
    }
}

/// Attention with a cache: see [`MultiHeadAttention::with_cache`].
#[derive(Clone)]
pub struct AttentionWithCache(MultiHeadAttention);

impl Module<(KvCache, Tensor)> for AttentionWithCache {
    type Output = (KvCache, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (cache, x): &(KvCache, Tensor)) -> (KvCache, Tensor) {
        self.0.run_cached(cx, cache, x, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

impl Module<(KvCache, (Tensor, Tensor))> for AttentionWithCache {
    type Output = (KvCache, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (cache, (x, mask)): &(KvCache, (Tensor, Tensor))) -> (KvCache, Tensor) {
        self.0.run_cached(cx, cache, x, Some(mask))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}
