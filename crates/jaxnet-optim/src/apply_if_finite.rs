//! Gradients that overflowed are left out.

use jaxnet_tensor::Tensor;

use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;

/// An optimizer that leaves gradients out where one of them is infinite or NaN, as `apply_if_finite` of optax: then
/// neither the parameters nor what the optimizer remembers change. After more than `max_errors` such gradients in a row
/// they are given to the optimizer all the same, so that one sees that something is wrong.
///
/// The state's `scalars` hold the number of `errors` in a row, of all errors, `total_errors`, and of the optimizer's
/// own updates, `step`.
///
/// ```
/// use jaxnet_optim::{Adam, ApplyIfFinite, Optimizer};
/// use jaxnet_tensor::tensor;
///
/// let opt = ApplyIfFinite::new(Adam::new(0.1), 10);
/// let state = opt.update_from_gradients(tensor![f32::NAN], opt.init(tensor![1.0]));
/// assert_eq!(opt.params(&state).item::<f32>(), 1.0);
/// assert_eq!(state.scalars["total_errors"].item::<i32>(), 1);
/// let state = opt.update_from_gradients(tensor![2.0], state);
/// assert!(opt.params(&state).allclose(0.9, 1e-6, 0.0));
/// ```
#[derive(Clone, Debug)]
pub struct ApplyIfFinite<R> {
    rule: R,
    max_errors: i32,
}

impl<R: UpdateRule> ApplyIfFinite<R> {
    /// With an optimizer, and how many gradients in a row may be left out.
    pub fn new(rule: R, max_errors: usize) -> Self {
        ApplyIfFinite { rule, max_errors: i32::try_from(max_errors).unwrap_or(i32::MAX) }
    }
}

const STEP: &str = "step";
const ERRORS: &str = "errors";
const TOTAL: &str = "total_errors";
const INNER: &str = "inner";

impl<R: UpdateRule> UpdateRule for ApplyIfFinite<R> {
    fn rate(&self, _: &Tensor, slots: &Slots) -> Option<Tensor> {
        self.rule.rate(slots.scalar(STEP), slots.get_inner(INNER))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        for name in [STEP, ERRORS, TOTAL] {
            slots.put_scalar(name, Tensor::scalar(0_i32));
        }
        self.rule.init_slots(params, slots.inner(INNER));
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, _: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let (step, errors, total) = (slots.take_scalar(STEP), slots.take_scalar(ERRORS), slots.take_scalar(TOTAL));
        let finite = gradients.iter().map(|g| g.is_finite().all()).reduce(|a, b| a & b);
        let finite = finite.unwrap_or_else(|| Tensor::scalar(true));
        let errors = finite.select(errors.zeros_like(), errors + 1);
        let apply = &finite | errors.gt(self.max_errors);
        let before = slots.inner(INNER).clone();
        let updates = self.rule.updates(gradients, params, &step, slots.inner(INNER));
        *slots.inner(INNER) = Slots::select(&apply, slots.get_inner(INNER), before);
        slots.put_scalar(STEP, apply.select(&step + 1, &step));
        slots.put_scalar(ERRORS, errors);
        slots.put_scalar(TOTAL, finite.select(&total, &total + 1));
        updates.iter().map(|update| apply.select(update, update.zeros_like())).collect()
    }
}
