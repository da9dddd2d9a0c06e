//! Images that PixelCNN++ draws.

use std::borrow::Cow;

use jaxnet_tensor::{Shape, Tensor};

use super::PixelCnn;
use crate::functions::sample_logistic_mixture;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

impl PixelCnn {
    /// The same net as a module that takes images, of which it keeps so many pixels, row by row, and draws the others
    /// anew: all of them with 0, the lower half with half of them. Asks for a key.
    ///
    /// All of it is one loop, in which the net runs once for each pixel. Values are rounded to `levels`, 256 for bytes, as
    /// those that the net was trained with.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = PixelCnn::new(2).filters(2).resnets(1);
    /// let images = Key::new(1).uniform([2, 4, 4, 1]) * 2.0 - 1.0;
    /// let params = net.init_params(Key::new(0), &images);
    /// let sampler = net.sampler(8, 256);
    /// let drawn = sampler.apply_with_key(&params, Key::new(2), &images);
    /// assert!(drawn.i((.., ..2)).array_equal(images.i((.., ..2))));
    /// ```
    pub fn sampler(&self, keep: usize, levels: usize) -> PixelCnnSampler {
        PixelCnnSampler { net: self.clone(), keep, levels }
    }
}

/// What draws images: see [`PixelCnn::sampler`].
#[derive(Clone, Debug)]
pub struct PixelCnnSampler {
    net: PixelCnn,
    keep: usize,
    levels: usize,
}

impl Module<Tensor> for PixelCnnSampler {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.net.check(cx, x);
        if self.levels < 2 {
            cx.fail("PixelCnnSampler", format!("there must be at least two levels, got {}", self.levels))
        }
        if !x.dtype().is_float() {
            cx.fail("PixelCnnSampler", format!("needs images in -1..1, got {}", x.aval()))
        }
        let pixels = x.dim(-3) * x.dim(-2);
        let places = Tensor::range(pixels.saturating_sub(self.keep)) + self.keep.min(pixels) as i32;
        let (images, ()) = cx.scan(&Draws(self.clone()), x.clone(), places);
        images
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.net.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("pixelcnn")
    }
}

/// Draws one pixel; in the net's own place.
#[derive(Clone)]
struct Draws(PixelCnnSampler);

impl Module<(Tensor, Tensor)> for Draws {
    type Output = (Tensor, ());

    fn forward(&self, cx: &mut Scope<'_>, (images, place): &(Tensor, Tensor)) -> (Tensor, ()) {
        let parameters = self.0.net.run(cx, images);
        let (rank, width) = (images.rank(), images.dim(-2) as i32);
        let mut starts = vec![Tensor::scalar(0_i32); rank];
        (starts[rank - 3], starts[rank - 2]) = (place.floor_divide(width), place.modulo(width));
        let mut sizes = parameters.shape().to_vec();
        (sizes[rank - 3], sizes[rank - 2]) = (1, 1);
        let here = parameters.dynamic_slice(starts.clone(), Shape::from(sizes));
        let drawn = sample_logistic_mixture(cx.random_key(), &here, images.dim(-1));
        let half = (self.0.levels - 1) as f64 / 2.0;
        let level = ((drawn + 1.0) * half).round() / half - 1.0;
        (images.dynamic_update_slice(level.astype(images.dtype()), starts), ())
    }

    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("draws")
    }
}
