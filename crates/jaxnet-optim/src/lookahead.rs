//! Lookahead.

use jaxnet_tensor::{Error, OrRaise, Tensor, Tree, raise, tree};

use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;
use crate::state::OptState;

/// An optimizer that goes ahead, and is fetched back: after every `period` updates the slow parameters `s` follow,
/// `s ← s + size·(x - s)`, and `x ← s`; as `lookahead` of optax.
///
/// Zhang et al., [Lookahead Optimizer: k steps forward, 1 step back](https://arxiv.org/abs/1907.08610), 2019, with a
/// `period` of 5 to 10 and a `size` of 0.5.
///
/// ```
/// use jaxnet_optim::{Lookahead, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = Lookahead::new(Sgd::new(1.0), 2, 0.5);
/// let mut state = opt.init(tensor![0.0]);
/// let mut x = Vec::new();
/// for _ in 0..4 {
///     state = opt.update_from_gradients(tensor![-1.0], state);
///     x.push((opt.params(&state).item::<f32>(), opt.slow(&state).item::<f32>()));
/// }
/// assert_eq!(x, [(1.0, 0.0), (1.0, 1.0), (2.0, 1.0), (2.0, 2.0)]);
/// ```
#[derive(Clone, Debug)]
pub struct Lookahead<R> {
    rule: R,
    period: i32,
    size: f64,
}

impl<R: UpdateRule> Lookahead<R> {
    /// With an optimizer, after how many of its updates the slow parameters follow, and how far.
    ///
    /// # Panics
    ///
    /// If `period` is 0, or more than fits into i32.
    #[track_caller]
    pub fn new(rule: R, period: usize, size: f64) -> Self {
        match i32::try_from(period) {
            Ok(period) if period > 0 => Lookahead { rule, period, size },
            _ => raise(Error::invalid("Lookahead", format!("the period must be 1 to {}, got {period}", i32::MAX))),
        }
    }

    /// The slow parameters, which are what to use when training is over.
    ///
    /// # Panics
    ///
    /// If the state is of another optimizer.
    #[track_caller]
    pub fn slow<P: Tree>(&self, state: &OptState<P>) -> P {
        slot_as_params(state, SLOW)
    }
}

/// What the optimizer remembers under this name, in the parameters' dtypes.
#[track_caller]
pub(crate) fn slot_as_params<P: Tree>(state: &OptState<P>, name: &str) -> P {
    let Some(slot) = state.slots.get(name) else {
        let have: Vec<&String> = state.slots.keys().collect();
        let message = format!("there is no `{name}` in the state, only {have:?}; it is another optimizer's");
        raise(Error::tree("slots", message));
    };
    let (params, structure) = tree::flatten(&state.params);
    let leaves = slot.leaves().iter().zip(params).map(|(x, param)| x.astype(param.dtype())).collect();
    tree::unflatten(&structure, leaves).or_raise()
}

const SLOW: &str = "slow";
const INNER: &str = "inner";

impl<R: UpdateRule> UpdateRule for Lookahead<R> {
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        self.rule.rate(step, slots.get_inner(INNER))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        slots.put(SLOW, params.to_vec());
        self.rule.init_slots(params, slots.inner(INNER));
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let updates = self.rule.updates(gradients, params, step, slots.inner(INNER));
        let follows = (step + 1).modulo(self.period).eq(0);
        let (mut next, mut moved) = (Vec::new(), Vec::new());
        for ((update, param), slow) in updates.iter().zip(params.iter()).zip(slots.take(SLOW)) {
            let difference = param + update - &slow;
            next.push(follows.select(&slow + &difference * self.size, slow));
            moved.push(follows.select(update - difference * (1.0 - self.size), update));
        }
        slots.put(SLOW, next);
        moved
    }
}
