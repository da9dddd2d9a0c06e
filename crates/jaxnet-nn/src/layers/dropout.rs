//! Dropout.

use std::borrow::Cow;

use jaxnet_tensor::{Error, Tensor, raise};

use super::places;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// In training, replaces each element by 0 with probability `rate` and divides the others by `1 - rate`, so
/// that the expectation stays. In evaluation, and with rate 0, it is the identity and needs no key; with rate 1
/// all is 0.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let layer = Dropout::new(0.5);
/// let x = Tensor::ones([1000]);
/// let (y, _) = layer.call(&Vars::default(), &x, Mode::Train(Key::new(0)));
/// assert!(y.to_vec::<f32>().iter().all(|&y| y == 0.0 || y == 2.0));
/// assert_eq!(layer.apply(&Params::empty(), &x).to_vec::<f32>(), x.to_vec::<f32>());
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    rate: f64,
    /// Along these axes all elements share their fate.
    shared: Vec<isize>,
}

impl Dropout {
    /// Drops this share of elements.
    ///
    /// # Panics
    ///
    /// If the rate is not in `0..=1`.
    #[track_caller]
    pub fn new(rate: f64) -> Self {
        if !(0.0..=1.0).contains(&rate) {
            raise(Error::invalid("Dropout", format!("the rate of elements to drop must be in 0..=1, got {rate}")));
        }
        Dropout { rate, shared: Vec::new() }
    }

    /// Drops whole channels of inputs of shape [batch.., spatial.., channels], with so many spatial axes (Tompson
    /// et al. 2015), where neighbours are too much alike for one to be missed.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = Dropout::spatial(0.5, 2);
    /// let images = Tensor::ones([8, 3, 3, 4]);
    /// let (y, _) = layer.call(&Vars::default(), &images, Mode::Train(Key::new(0)));
    /// let (least, most) = (y.min_axis([1, 2]), y.max_axis([1, 2]));
    /// assert!(least.array_equal(&most) && least.eq(0.0).any().item::<bool>());
    /// ```
    ///
    /// # Panics
    ///
    /// If the rate is not in `0..=1`.
    #[track_caller]
    pub fn spatial(rate: f64, spatial_axes: usize) -> Self {
        Dropout::new(rate).broadcast((2..spatial_axes as isize + 2).map(|axis| -axis).collect::<Vec<_>>())
    }

    /// Along these axes, all elements are kept or dropped together; negative axes count from the end. (The
    /// `broadcast_dims` of Flax.)
    pub fn broadcast(self, axes: impl Into<Vec<isize>>) -> Self {
        Dropout { shared: axes.into(), ..self }
    }

    /// As a clone, since dropout has no parameters.
    pub fn fresh(&self) -> Self {
        self.clone()
    }
}

impl Module<Tensor> for Dropout {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if !cx.is_training() || self.rate == 0.0 {
            return x.clone();
        }
        if self.rate == 1.0 {
            return x.zeros_like();
        }
        let keep = 1.0 - self.rate;
        let mut shape = x.shape().clone();
        match places(&self.shared, x) {
            Ok(axes) => axes.into_iter().for_each(|axis| shape.dims_mut()[axis] = 1),
            Err(message) => cx.fail("Dropout", message),
        }
        cx.random_key().bernoulli(keep, shape).select(x / keep, 0.0)
    }

    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("dropout")
    }
}
