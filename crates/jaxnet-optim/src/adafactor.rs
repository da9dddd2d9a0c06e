//! Adafactor.

use jaxnet_tensor::{DType, Tensor};

use crate::clip::ClipByRms;
use crate::decay::WeightDecay;
use crate::moments::{ByDType, MEAN, averages, times_rate};
use crate::rule::{Leaves, UpdateRule};
use crate::scale::ScaleByParamRms;
use crate::schedule::Schedule;
use crate::slots::Slots;

/// Adafactor, which remembers a row and a column of numbers for each large matrix: `β = 1 - t^(-decay_rate)`,
/// `R ← β·R + (1 - β)·mean of g² + eps over columns`, `C` likewise over rows, and `x ← x - lr · max(rms(x), 1e-3) · u`
/// with `u = g / √(R·C / mean(R))`, scaled down so that `rms(u)` is at most 1; as `adafactor` of optax.
///
/// Of parameters with more than two axes the two largest are factored; where they are smaller than
/// [`min_dim_to_factor`](Self::min_dim_to_factor), the mean of squares is remembered for each element.
///
/// Shazeer and Stern, [Adafactor: Adaptive Learning Rates with Sublinear Memory
/// Cost](https://arxiv.org/abs/1804.04235), 2018. The defaults are optax's: `decay_rate` 0.8, `eps` 1e-30, a
/// `clipping` of 1, scaling with the parameters, no momentum and no weight decay. (Without a learning rate, as optax
/// may be called, is a learning rate of 1.)
///
/// ```
/// use jaxnet_optim::{Adafactor, Optimizer};
/// use jaxnet_tensor::{Tensor, tree};
///
/// let opt = Adafactor::new(0.01);
/// let state = opt.init(Tensor::ones([200, 300]));
/// // 200 + 300 numbers are remembered.
/// assert_eq!(tree::paths(&state), ["step", "params", "slots.columns", "slots.elements", "slots.rows"]);
/// assert_eq!(state.slots["rows"].size() + state.slots["columns"].size() + state.slots["elements"].size(), 501);
/// let state = opt.update_from_gradients(Tensor::ones([200, 300]), state);
/// assert!(opt.params(&state).allclose(0.99, 1e-5, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Adafactor {
    learning_rate: Schedule,
    min_dim_to_factor: usize,
    decay_rate: f64,
    clipping: Option<f64>,
    scale_by_params: bool,
    momentum: Option<f64>,
    eps: f64,
    decay: WeightDecay,
}

impl Adafactor {
    /// With a learning rate, which is a number or a schedule.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adafactor {
            learning_rate: learning_rate.into(),
            min_dim_to_factor: 128,
            decay_rate: 0.8,
            clipping: Some(1.0),
            scale_by_params: true,
            momentum: None,
            eps: 1e-30,
            decay: WeightDecay::new(0.0),
        }
    }

    /// How large the two largest axes of a parameter must be for rows and columns alone to be remembered; 128 unless
    /// told otherwise.
    #[must_use]
    pub fn min_dim_to_factor(mut self, size: usize) -> Self {
        self.min_dim_to_factor = size;
        self
    }

    /// How fast the means of squares come to last: at the update number `t`, `1 - t^(-decay_rate)` of them stays.
    #[must_use]
    pub fn decay_rate(mut self, decay_rate: f64) -> Self {
        self.decay_rate = decay_rate;
        self
    }

    /// The largest root of the mean of squares that a parameter's update may have before it is multiplied by the
    /// learning rate, or none.
    ///
    /// # Panics
    ///
    /// If it is negative or NaN.
    #[must_use]
    #[track_caller]
    pub fn clipping(mut self, clipping: impl Into<Option<f64>>) -> Self {
        self.clipping = clipping.into();
        // Refused here rather than at the first update.
        let _ = self.clipping.map(ClipByRms::new);
        self
    }

    /// Whether updates are multiplied by the root of the mean of the parameter's squares.
    #[must_use]
    pub fn scale_by_params(mut self, scale_by_params: bool) -> Self {
        self.scale_by_params = scale_by_params;
        self
    }

    /// How much of the mean of the updates stays at each update; there is no such mean unless told.
    #[must_use]
    pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = momentum.into();
        self
    }

    /// What is added to the squares of gradients.
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// How much the parameters are pulled towards 0 at each update, a number or a schedule; not multiplied by the
    /// learning rate.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: impl Into<Schedule>) -> Self {
        self.decay = self.decay.strength(weight_decay);
        self
    }

    /// Which parameters are pulled, by their path.
    #[must_use]
    pub fn mask(mut self, mask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.decay = self.decay.mask(mask);
        self
    }

    /// The second largest and the largest axis, if they are to be factored.
    fn factored(&self, param: &Tensor) -> Option<(usize, usize)> {
        let mut axes: Vec<usize> = (0..param.rank()).collect();
        axes.sort_by_key(|&axis| param.shape()[axis]);
        let [.., second, first] = axes[..] else { return None };
        (param.shape()[second] >= self.min_dim_to_factor.max(1)).then_some((second, first))
    }
}

/// Means over the largest axis; over the second largest; and for each element of what is not factored.
const ROWS: &str = "rows";
const COLUMNS: &str = "columns";
const ELEMENTS: &str = "elements";

fn mean_over(x: &Tensor, axis: usize) -> Tensor {
    x.mean_axis([axis as isize])
}

impl UpdateRule for Adafactor {
    fn rate(&self, step: &Tensor, _: &Slots) -> Option<Tensor> {
        Some(self.learning_rate.at(step))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        let none = |param: &Tensor| Tensor::scalar(0_f32).astype(param.dtype());
        let without = |param: &Tensor, axis: usize| {
            let sizes = param.shape().iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, size)| *size);
            Tensor::zeros(sizes.collect::<Vec<usize>>()).astype(param.dtype())
        };
        let rows = params.iter().map(|x| self.factored(x).map_or_else(|| none(x), |(_, first)| without(x, first)));
        slots.put(ROWS, rows.collect());
        let columns = params.iter().map(|x| self.factored(x).map_or_else(|| none(x), |(second, _)| without(x, second)));
        slots.put(COLUMNS, columns.collect());
        let elements = params.iter().map(|x| if self.factored(x).is_some() { none(x) } else { x.zeros_like() });
        slots.put(ELEMENTS, elements.collect());
        if self.momentum.is_some() {
            slots.put(MEAN, params.zeros());
        }
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let t = step + 1;
        // What does not stay: t^(-decay_rate).
        let new = ByDType::new(&gradients, |dtype: DType| t.astype(dtype).pow(-self.decay_rate));
        let (mut rows, mut columns, mut elements) = (slots.take(ROWS), slots.take(COLUMNS), slots.take(ELEMENTS));
        let mut updates = Vec::new();
        for (i, (g, param)) in gradients.iter().zip(params.iter()).enumerate() {
            let new = new.of(g);
            let moved = |old: &Tensor, x: Tensor| old * (1.0 - new) + x * new;
            let square = g.square() + self.eps;
            let Some((second, first)) = self.factored(param) else {
                elements[i] = moved(&elements[i], square);
                updates.push(g / elements[i].sqrt());
                continue;
            };
            rows[i] = moved(&rows[i], mean_over(&square, first));
            columns[i] = moved(&columns[i], mean_over(&square, second));
            // The rows do not have the largest axis any more.
            let left = if second > first { second - 1 } else { second };
            let row = &rows[i] / rows[i].mean_keepdims([left as isize]);
            let (row, column) =
                (row.sqrt().expand_dims(first as isize), columns[i].sqrt().expand_dims(second as isize));
            updates.push(g / row / column);
        }
        slots.put(ROWS, rows);
        slots.put(COLUMNS, columns);
        slots.put(ELEMENTS, elements);
        if let Some(max) = self.clipping {
            updates = ClipByRms::new(max).updates(updates, params, step, slots);
        }
        let rate = self.learning_rate.at(step);
        updates = updates.iter().map(|update| times_rate(&rate, update)).collect();
        if self.scale_by_params {
            updates = ScaleByParamRms::new().updates(updates, params, step, slots);
        }
        if let Some(momentum) = self.momentum {
            updates = averages(momentum, MEAN, &updates, slots);
        }
        self.decay.added(updates, params, step).iter().map(|update| -update).collect()
    }
}
