//! Different rules for different parameters.

use std::fmt;
use std::sync::Arc;

use jaxnet_tensor::{Error, Tensor, raise};

use crate::decay::Mask;
use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;

/// Fills the slots for the parameters with these numbers, and puts zeros for the others.
pub(crate) fn init_part(own: &[usize], params: &Leaves, slots: &mut Slots, init: impl FnOnce(&Leaves, &mut Slots)) {
    init(&params.pick(own), slots);
    slots.merge(&mut Slots::default(), own, params.len());
}

/// Replaces the gradients with these numbers by their updates.
pub(crate) fn update_part(
    own: &[usize],
    gradients: &mut [Tensor],
    params: &Leaves,
    slots: &mut Slots,
    update: impl FnOnce(Vec<Tensor>, &Leaves, &mut Slots) -> Vec<Tensor>,
) {
    let mut rest = slots.split_off(own);
    let updates = update(own.iter().map(|&i| gradients[i].clone()).collect(), &params.pick(own), slots);
    slots.merge(&mut rest, own, params.len());
    for (&i, update) in own.iter().zip(updates) {
        gradients[i] = update;
    }
}

/// A rule for some parameters, which are chosen by their path; the gradients of the others pass as they are. As
/// `masked` of optax.
///
/// To leave parameters where they are, see [`Freeze`]; to optimize them otherwise, [`Partition`].
///
/// ```
/// use jaxnet_optim::{ClipByValue, Masked, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (Masked::new(|path| path == "0", ClipByValue::new(1.0)), Sgd::new(1.0));
/// let state = opt.update_from_gradients((tensor![5.0], tensor![5.0]), opt.init((tensor![0.0], tensor![0.0])));
/// let (a, b) = opt.params(&state);
/// assert_eq!((a.item::<f32>(), b.item::<f32>()), (-1.0, -5.0));
/// ```
#[derive(Clone, Debug)]
pub struct Masked<R> {
    mask: Mask,
    rule: R,
}

impl<R: UpdateRule> Masked<R> {
    /// A rule for the parameters whose path is chosen.
    pub fn new(mask: impl Fn(&str) -> bool + Send + Sync + 'static, rule: R) -> Self {
        Masked { mask: Mask::new(mask), rule }
    }

    fn own(&self, params: &Leaves) -> Vec<usize> {
        (0..params.len()).filter(|&i| self.mask.has(&params.paths()[i])).collect()
    }
}

impl<R: UpdateRule> UpdateRule for Masked<R> {
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        self.rule.rate(step, slots)
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        init_part(&self.own(params), params, slots, |own, slots| self.rule.init_slots(own, slots));
    }

    fn updates(&self, mut gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        let update = |gradients, own: &Leaves, slots: &mut Slots| self.rule.updates(gradients, own, step, slots);
        update_part(&self.own(params), &mut gradients, params, slots, update);
        gradients
    }
}

/// Leaves parameters as they are: updates of 0, as `set_to_zero` of optax. For some of them with [`Masked`] after an
/// optimizer, or in a [`Partition`].
///
/// ```
/// use jaxnet_optim::{Freeze, Masked, Optimizer, Sgd};
/// use jaxnet_tensor::tensor;
///
/// let opt = (Sgd::new(1.0), Masked::new(|path| path == "0", Freeze));
/// let state = opt.update_from_gradients((tensor![5.0], tensor![5.0]), opt.init((tensor![0.0], tensor![0.0])));
/// let (a, b) = opt.params(&state);
/// assert_eq!((a.item::<f32>(), b.item::<f32>()), (0.0, -5.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Freeze;

impl UpdateRule for Freeze {
    fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _: &Tensor, _: &mut Slots) -> Vec<Tensor> {
        gradients.iter().map(Tensor::zeros_like).collect()
    }
}

/// Different optimizers for different parameters: a function from a parameter's path to a label, and a rule for each
/// label. As `partition` (`multi_transform`) of optax.
///
/// What rules remember is under their labels, as `slots.kernels.mean`, with zeros for the parameters of others. The
/// learning rate is that of the rule that was given first; those of the others are given by
/// [`learning_rate_of`](Self::learning_rate_of).
///
/// ```
/// use jaxnet_optim::{Adam, Muon, Optimizer, Partition};
/// use jaxnet_tensor::{Tensor, tensor};
/// use std::collections::BTreeMap;
///
/// let label = |path: &str| if path.starts_with("hidden") { "hidden" } else { "rest" };
/// let opt = Partition::new(label).with("hidden", Muon::new(0.02)).with("rest", Adam::new(1e-3));
///
/// let zeros = || Tensor::zeros([2, 2]);
/// let params: BTreeMap<String, Tensor> = [("hidden".to_string(), zeros()), ("output".to_string(), zeros())].into();
/// let mut state = opt.init(params);
/// let gradients = [("hidden", 3.0), ("output", -3.0)].map(|(name, x)| (name.to_string(), Tensor::eye(2) * x));
/// state = opt.update_from_gradients(gradients.into(), state);
/// assert!(opt.params(&state)["output"].allclose(Tensor::eye(2) * 1e-3, 1e-4, 0.0));
/// assert_eq!(opt.learning_rate(&state).item::<f32>(), 0.02);
/// ```
#[derive(Clone)]
pub struct Partition {
    label: Arc<dyn Fn(&str) -> String + Send + Sync>,
    rules: Vec<(String, Arc<dyn UpdateRule + Send + Sync>)>,
}

impl Partition {
    /// With a function from paths to labels.
    pub fn new<L: Into<String>>(label: impl Fn(&str) -> L + Send + Sync + 'static) -> Self {
        Partition { label: Arc::new(move |path| label(path).into()), rules: Vec::new() }
    }

    /// The rule for the parameters with this label.
    ///
    /// # Panics
    ///
    /// If there is one already, or the label has a dot.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, label: &str, rule: impl UpdateRule + Send + Sync + 'static) -> Self {
        if label.contains('.') {
            raise(Error::invalid("Partition", format!("`{label}` has a dot, which joins the names of slots")));
        }
        if self.rules.iter().any(|(other, _)| other == label) {
            raise(Error::invalid("Partition", format!("`{label}` has a rule already")));
        }
        self.rules.push((label.to_string(), Arc::new(rule)));
        self
    }

    /// The learning rate of the next update of the parameters with this label; 1 where there is none.
    ///
    /// # Panics
    ///
    /// If there is no such label.
    #[track_caller]
    pub fn learning_rate_of<P>(&self, label: &str, state: &crate::OptState<P>) -> Tensor {
        let Some((_, rule)) = self.rules.iter().find(|(other, _)| other == label) else {
            raise(Error::invalid("Partition", format!("there is no rule for `{label}`, only for {}", self.labels())));
        };
        let slots = Slots::nested(Default::default(), state.scalars.clone());
        rule.rate(&state.step, slots.get_inner(label)).unwrap_or_else(|| Tensor::from(1.0))
    }

    fn labels(&self) -> String {
        self.rules.iter().map(|(label, _)| format!("`{label}`")).collect::<Vec<_>>().join(", ")
    }

    /// The numbers of the parameters of each rule.
    #[track_caller]
    fn parts(&self, params: &Leaves) -> Vec<Vec<usize>> {
        let mut parts = vec![Vec::new(); self.rules.len()];
        for (i, path) in params.paths().iter().enumerate() {
            let label = (self.label)(path);
            let Some(rule) = self.rules.iter().position(|(other, _)| *other == label) else {
                let labels = self.labels();
                let name = if path.is_empty() { "the parameter".into() } else { format!("`{path}`") };
                let message = format!("{name} is labelled `{label}`, but there are rules for {labels} only");
                raise(Error::invalid("Partition", message));
            };
            parts[rule].push(i);
        }
        parts
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({})", self.labels())
    }
}

impl UpdateRule for Partition {
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        let (label, rule) = self.rules.first()?;
        rule.rate(step, slots.get_inner(label))
    }

    #[track_caller]
    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        for ((label, rule), own) in self.rules.iter().zip(self.parts(params)) {
            init_part(&own, params, slots.inner(label), |own, slots| rule.init_slots(own, slots));
        }
    }

    #[track_caller]
    fn updates(&self, mut gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        for ((label, rule), own) in self.rules.iter().zip(self.parts(params)) {
            let update = |gradients, own: &Leaves, slots: &mut Slots| rule.updates(gradients, own, step, slots);
            update_part(&own, &mut gradients, params, slots.inner(label), update);
        }
        gradients
    }
}
