//! Gradient accumulation.

use jaxnet_tensor::{Error, Tensor, raise};

use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;

/// An optimizer that is given the mean of the gradients of every `every` calls, for batches that do not fit at once; as
/// `MultiSteps` of optax. In between the parameters stay.
///
/// [`step`](crate::Optimizer::step) counts calls; the optimizer's own updates are counted in the state's
/// `scalars["step"]`, and its learning rate follows those.
///
/// ```
/// use jaxnet_optim::{MultiSteps, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = MultiSteps::new(Sgd::new(1.0), 2);
/// let state = opt.update_from_gradients(tensor![1.0], opt.init(tensor![0.0]));
/// assert_eq!(opt.params(&state).item::<f32>(), 0.0);
/// let state = opt.update_from_gradients(tensor![3.0], state);
/// assert_eq!(opt.params(&state).item::<f32>(), -2.0);
/// ```
#[derive(Clone, Debug)]
pub struct MultiSteps<R> {
    rule: R,
    every: i32,
    sum: bool,
}

impl<R: UpdateRule> MultiSteps<R> {
    /// With an optimizer, and how many gradients make an update of its.
    ///
    /// # Panics
    ///
    /// If that is 0, or more than fit into i32.
    #[track_caller]
    pub fn new(rule: R, every: usize) -> Self {
        match i32::try_from(every) {
            Ok(every) if every > 0 => MultiSteps { rule, every, sum: false },
            _ => {
                raise(Error::invalid("MultiSteps", format!("an update needs 1 to {} gradients, got {every}", i32::MAX)))
            }
        }
    }

    /// Whether the optimizer is given the sum instead of the mean.
    #[must_use]
    pub fn sum(mut self, sum: bool) -> Self {
        self.sum = sum;
        self
    }
}

const STEP: &str = "step";
const MINI_STEP: &str = "mini_step";
const GRADIENTS: &str = "gradients";
const INNER: &str = "inner";

impl<R: UpdateRule> UpdateRule for MultiSteps<R> {
    fn rate(&self, _: &Tensor, slots: &Slots) -> Option<Tensor> {
        self.rule.rate(slots.scalar(STEP), slots.get_inner(INNER))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put_scalar(STEP, Tensor::scalar(0_i32));
        slots.put_scalar(MINI_STEP, Tensor::scalar(0_i32));
        slots.put(GRADIENTS, params.zeros());
        self.rule.init_slots(params, slots.inner(INNER));
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, _: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let (step, mini_step) = (slots.take_scalar(STEP), slots.take_scalar(MINI_STEP));
        let seen = &mini_step + 1;
        let accumulated = slots.take(GRADIENTS).into_iter().zip(gradients).map(|(old, g)| {
            // The mean moves by a part of the difference, so that sums cannot overflow.
            if self.sum { old + g } else { &old + (g - &old) / seen.astype(old.dtype()) }
        });
        let accumulated: Vec<Tensor> = accumulated.collect();
        let complete = seen.ge(self.every);
        let before = slots.inner(INNER).clone();
        let updates = self.rule.updates(accumulated.clone(), params, &step, slots.inner(INNER));
        *slots.inner(INNER) = Slots::select(&complete, slots.get_inner(INNER), before);
        slots.put_scalar(STEP, complete.select(&step + 1, &step));
        slots.put_scalar(MINI_STEP, complete.select(seen.zeros_like(), &seen));
        slots.put(GRADIENTS, accumulated.iter().map(|x| complete.select(x.zeros_like(), x)).collect());
        updates.iter().map(|update| complete.select(update, update.zeros_like())).collect()
    }
}
