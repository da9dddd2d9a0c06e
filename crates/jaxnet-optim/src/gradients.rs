//! Rules that make other gradients.

use jaxnet_tensor::{DType, Key, OrRaise, Tensor};

use crate::moments::{MEAN, averages, corrected_means};
use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;

/// Adds noise of a normal distribution, with the variance `eta / tᵞ` at the update number `t`, as `add_noise` of
/// optax (whose noise it equals, for equal keys). The key is in the state.
///
/// Neelakantan et al., [Adding Gradient Noise Improves Learning for Very Deep
/// Networks](https://arxiv.org/abs/1511.06807), 2015, with an `eta` of 0.01 to 1 and a `gamma` of 0.55.
///
/// ```
/// use jaxnet_optim::{AddNoise, Optimizer, Sgd};
/// use jaxnet_tensor::{Key, Tensor, tree};
///
/// let opt = (AddNoise::new(0.01, 0.55, Key::new(0)), Sgd::new(1.0));
/// let state = opt.init(Tensor::zeros([1000]));
/// assert_eq!(tree::paths(&state), ["step", "params", "scalars.0.key"]);
/// let state = opt.update_from_gradients(Tensor::zeros([1000]), state);
/// assert!(opt.params(&state).std().allclose(0.1, 0.1, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct AddNoise {
    eta: f64,
    gamma: f64,
    words: Tensor,
}

impl AddNoise {
    /// With the first variance, how fast it falls, and the key to start with.
    pub fn new(eta: f64, gamma: f64, key: Key) -> Self {
        AddNoise { eta, gamma, words: key.into_words() }
    }
}

const KEY: &str = "key";

impl UpdateRule for AddNoise {
    fn init_slots(&self, _: &Leaves, slots: &mut Slots) {
        slots.put_scalar(KEY, self.words.clone());
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let (next, noise) = Key::from_words(slots.take_scalar(KEY)).or_raise().split();
        slots.put_scalar(KEY, next.into_words());
        let variance = self.eta / (step + 1).astype(DType::F32).pow(self.gamma);
        let size = variance.sqrt();
        let keys = noise.split_n(gradients.len());
        let each = gradients.iter().zip(keys);
        each.map(|(g, key)| g + key.normal_dtype(g.shape().clone(), g.dtype()) * size.astype(g.dtype())).collect()
    }
}

/// Moves the gradient of each parameter with more than one axis so that its mean over all axes but the first is 0, as
/// `centralize` of optax.
///
/// Yong et al., [Gradient Centralization](https://arxiv.org/abs/2004.01461), 2020.
///
/// ```
/// use jaxnet_optim::{Centralize, Optimizer, Sgd};
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let opt = (Centralize, Sgd::new(1.0));
/// let state = opt.update_from_gradients(tensor![[1.0, 3.0], [5.0, 5.0]], opt.init(Tensor::zeros([2, 2])));
/// assert_eq!(opt.params(&state).to_vec::<f32>(), [1.0, -1.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Centralize;

impl UpdateRule for Centralize {
    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        let centred = |g: Tensor| match g.rank() {
            0 | 1 => g,
            // Of nothing there is no mean.
            _ if g.size() == 0 => g,
            rank => &g - g.mean_keepdims((1..rank as isize).collect::<Vec<isize>>()),
        };
        gradients.into_iter().map(centred).collect()
    }
}

/// Gives the moving average of the gradients, `m ← decay·m + (1 - decay)·g`, divided by `1 - decayᵗ` unless told
/// otherwise, as `ema` of optax. (For the average of the *parameters* see [`Averaged`](crate::Averaged); for the sum
/// `m ← decay·m + g`, optax's `trace`, `Direction::of(Momentum::new(1.0, decay))`.)
///
/// ```
/// use jaxnet_optim::{Ema, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (Ema::new(0.5), Sgd::new(1.0));
/// let mut state = opt.init(tensor![0.0]);
/// for gradient in [1.0, 4.0] {
///     state = opt.update_from_gradients(tensor![gradient], state);
/// }
/// // 0.5 / 0.5, then (0.25 + 2) / 0.75.
/// assert!(opt.params(&state).allclose(-1.0 - 3.0, 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Ema {
    decay: f64,
    debias: bool,
}

impl Ema {
    /// With how much of the average stays at each update.
    pub fn new(decay: f64) -> Self {
        Ema { decay, debias: true }
    }

    /// Whether what is missing at first, since the average starts with 0, is made good.
    #[must_use]
    pub fn debias(mut self, debias: bool) -> Self {
        self.debias = debias;
        self
    }
}

impl UpdateRule for Ema {
    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(MEAN, params.zeros());
    }

    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let means = averages(self.decay, MEAN, &gradients, slots);
        if self.debias { corrected_means(self.decay, false, &gradients, &means, step) } else { means }
    }
}
