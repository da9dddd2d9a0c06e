//! Averages of parameters.

use jaxnet_tensor::{Error, Tensor, Tree, raise};

use crate::lookahead::slot_as_params;
use crate::moments::average;
use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;
use crate::state::OptState;

/// An optimizer beside which an average of the parameters is kept, for evaluation.
///
/// [`Averaged::ema`] keeps the moving average `a ← decay·a + (1 - decay)·x` of the parameters after each update (as
/// `incremental_update` of optax), which starts with the first parameters. [`Averaged::polyak`] keeps the mean of the
/// parameters after all updates, or after those from a [`start`](Self::start) on (stochastic weight averaging).
///
/// Polyak and Juditsky, [Acceleration of Stochastic Approximation by
/// Averaging](https://doi.org/10.1137/0330046), 1992; Izmailov et al., [Averaging Weights Leads to Wider Optima and
/// Better Generalization](https://arxiv.org/abs/1803.05407), 2018.
///
/// The average is of what this optimizer makes of the parameters: it is to be outside of all others.
///
/// ```
/// use jaxnet_optim::{Averaged, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let (ema, mean) = (Averaged::ema(Sgd::new(1.0), 0.75), Averaged::polyak(Sgd::new(1.0)));
/// let (mut a, mut b) = (ema.init(tensor![4.0]), mean.init(tensor![4.0]));
/// for _ in 0..2 {
///     // The parameter becomes 2, then 0.
///     a = ema.update_from_gradients(tensor![2.0], a);
///     b = mean.update_from_gradients(tensor![2.0], b);
/// }
/// assert_eq!(ema.params(&a).item::<f32>(), 0.0);
/// assert_eq!(ema.average(&a).item::<f32>(), 0.75 * (0.75 * 4.0 + 0.25 * 2.0));
/// assert_eq!(mean.average(&b).item::<f32>(), 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Averaged<R> {
    rule: R,
    /// `None` for the mean.
    decay: Option<f64>,
    start: i32,
}

impl<R: UpdateRule> Averaged<R> {
    /// A moving average, of which so much stays at each update.
    pub fn ema(rule: R, decay: f64) -> Self {
        Averaged { rule, decay: Some(decay), start: 0 }
    }

    /// The mean.
    pub fn polyak(rule: R) -> Self {
        Averaged { rule, decay: None, start: 0 }
    }

    /// The average is of what comes after so many updates; before that it is the parameters.
    ///
    /// # Panics
    ///
    /// If that is more than fits into i32.
    #[must_use]
    #[track_caller]
    pub fn start(mut self, start: usize) -> Self {
        let many = || raise(Error::invalid("Averaged", format!("{start} steps are more than fit into i32")));
        self.start = i32::try_from(start).unwrap_or_else(|_| many());
        self
    }

    /// The average of the parameters.
    ///
    /// # Panics
    ///
    /// If the state is of another optimizer.
    #[track_caller]
    pub fn average<P: Tree>(&self, state: &OptState<P>) -> P {
        slot_as_params(state, AVERAGE)
    }
}

const AVERAGE: &str = "average";
const INNER: &str = "inner";

impl<R: UpdateRule> UpdateRule for Averaged<R> {
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        self.rule.rate(step, slots.get_inner(INNER))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(AVERAGE, params.to_vec());
        self.rule.init_slots(params, slots.inner(INNER));
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let updates = self.rule.updates(gradients, params, step, slots.inner(INNER));
        let count = (step - self.start + 1).maximum(1);
        let early = step.lt(self.start);
        let old = slots.take(AVERAGE);
        let next = old.iter().zip(params.iter()).zip(&updates).map(|((old, param), update)| {
            let new = param + update;
            let next = match self.decay {
                Some(decay) => average(decay, old, &new),
                None => old + (&new - old) / count.astype(old.dtype()),
            };
            if self.start == 0 { next } else { early.select(new, next) }
        });
        slots.put(AVERAGE, next.collect());
        updates
    }
}
