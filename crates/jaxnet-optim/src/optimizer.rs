//! The methods that optimizers have.

use std::collections::BTreeMap;

use jaxnet_autograd::{value_and_grad, value_and_grad_aux};
use jaxnet_tensor::{DType, Error, OrRaise, Result, Structure, Tensor, Tree, lax, tree};

use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;
use crate::state::OptState;

/// The methods that optimizers have, for parameters that are any tree of floating-point tensors.
///
/// States are taken by value, so that a compiled function into which a state is moved can use its
/// memory again. All methods may be called in `jit`, `scan` and `vmap`.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::jit;
/// use jaxnet_optim::{OptState, Optimizer, Sgd};
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let opt = Sgd::new(0.25);
/// let step = jit(|(state, target): (OptState<Tensor>, Tensor)| {
///     opt.update_and_get_loss(state, |x| (x - &target).square().sum())
/// });
/// let state = opt.init(tensor![0.0, 4.0]);
/// let (state, loss) = step.call((state, tensor![2.0, 0.0]));
/// assert_eq!(loss.item::<f32>(), 20.0);
/// assert_eq!(opt.params(&state).to_vec::<f32>(), [1.0, 2.0]);
/// assert_eq!(opt.step(&state).item::<i32>(), 1);
/// ```
pub trait Optimizer: UpdateRule {
    /// The state before the first update.
    ///
    /// # Panics
    ///
    /// If a parameter is not of floating-point numbers, which is named.
    #[track_caller]
    fn init<P: Tree>(&self, params: P) -> OptState<P> {
        init(self, &params).or_raise()
    }

    /// The state after an update with these gradients, a tree like that of the parameters.
    ///
    /// # Panics
    ///
    /// If the gradients' structure, shapes or dtypes are not those of the parameters, or the state is of
    /// another optimizer.
    #[track_caller]
    fn update_from_gradients<P: Tree>(&self, gradients: P, state: OptState<P>) -> OptState<P> {
        update(self, gradients, state).or_raise()
    }

    /// The state after an update that makes `loss`, a function from parameters to a floating-point scalar,
    /// smaller.
    #[track_caller]
    fn update<P: Tree>(&self, state: OptState<P>, loss: impl Fn(P) -> Tensor) -> OptState<P> {
        self.update_and_get_loss(state, loss).0
    }

    /// As [`update`](Self::update), with the loss before the update.
    #[track_caller]
    fn update_and_get_loss<P: Tree>(&self, state: OptState<P>, loss: impl Fn(P) -> Tensor) -> (OptState<P>, Tensor) {
        let (value, gradients) = value_and_grad(loss)(copy(&state.params).or_raise());
        (self.update_from_gradients(gradients, state), value)
    }

    /// As [`update_and_get_loss`](Self::update_and_get_loss), for a function that gives the loss and
    /// something else, such as metrics or new running statistics.
    ///
    /// ```
    /// use jaxnet_optim::{Optimizer, Sgd};
    /// use jaxnet_tensor::{Tensor, tensor};
    ///
    /// let opt = Sgd::new(0.5);
    /// let state = opt.init(tensor![1.0, -2.0]);
    /// let (state, loss, largest) = opt.update_with(state, |x: Tensor| (x.square().sum(), x.abs().max()));
    /// assert_eq!((loss.item::<f32>(), largest.item::<f32>()), (5.0, 2.0));
    /// assert_eq!(opt.params(&state).to_vec::<f32>(), [0.0, 0.0]);
    /// ```
    #[track_caller]
    fn update_with<P: Tree, A: Tree>(
        &self,
        state: OptState<P>,
        loss: impl Fn(P) -> (Tensor, A),
    ) -> (OptState<P>, Tensor, A) {
        let ((value, aux), gradients) = value_and_grad_aux(loss)(copy(&state.params).or_raise());
        (self.update_from_gradients(gradients, state), value, aux)
    }

    /// The parameters.
    fn params<'a, P>(&self, state: &'a OptState<P>) -> &'a P {
        &state.params
    }

    /// The number of updates so far, an i32 scalar.
    fn step<P>(&self, state: &OptState<P>) -> Tensor {
        state.step.clone()
    }

    /// The learning rate of the next update, a scalar; 1 where there is none. That of a tuple of rules is the
    /// product of theirs.
    fn learning_rate<P>(&self, state: &OptState<P>) -> Tensor {
        let slots = Slots::nested(BTreeMap::new(), state.scalars.clone());
        self.rate(&state.step, &slots).unwrap_or_else(|| Tensor::from(1.0))
    }
}

impl<R: UpdateRule + ?Sized> Optimizer for R {}

/// The same tree again: trees need not be `Clone`.
fn copy<P: Tree>(tree: &P) -> Result<P> {
    let (leaves, structure) = tree::flatten(tree);
    tree::unflatten(&structure, leaves)
}

/// Half precision has too few digits to sum up small updates' moments in.
fn compute_dtype(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

fn widened(leaves: &[Tensor]) -> Result<Vec<Tensor>> {
    leaves.iter().map(|leaf| lax::convert(leaf, compute_dtype(leaf.dtype()))).collect()
}

fn init<R: UpdateRule + ?Sized, P: Tree>(rule: &R, params: &P) -> Result<OptState<P>> {
    let (leaves, structure) = tree::flatten(params);
    for ((leaf, is_key), path) in leaves.iter().zip(structure.keys()).zip(structure.paths()) {
        if is_key || !leaf.dtype().is_float() {
            let what = if is_key { "a random key".to_string() } else { leaf.aval().to_string() };
            return Err(Error::tree(
                path,
                format!(
                    "is {what}, which cannot be optimized; parameters are floating-point tensors. Pass it to the \
                         loss beside the parameters"
                ),
            ));
        }
    }
    let mut slots = Slots::default();
    rule.init_slots(&Leaves { tensors: widened(&leaves)?, paths: structure.paths() }, &mut slots);
    // Strong dtypes, so that every later state has the same ones.
    let strong = leaves.iter().map(|leaf| lax::convert(leaf, leaf.dtype())).collect::<Result<_>>()?;
    let params = tree::unflatten(&structure, strong)?;
    assemble(Tensor::scalar(0_i32), params, &structure, slots)
}

fn update<R: UpdateRule + ?Sized, P: Tree>(rule: &R, gradients: P, state: OptState<P>) -> Result<OptState<P>> {
    let (params, structure) = tree::flatten(&state.params);
    let (gradients, gradient_structure) = tree::flatten(&gradients);
    check_gradients(&structure, &params, &gradient_structure, &gradients)?;
    let OptState { step, slots, scalars, .. } = state;
    let lists = slots.into_iter().map(|(name, slot)| (name, tree::flatten(&slot).0)).collect();
    let mut slots = Slots::nested(lists, scalars);
    let leaves = Leaves { tensors: widened(&params)?, paths: structure.paths() };
    let updates = rule.updates(widened(&gradients)?, &leaves, &step, &mut slots);
    drop(leaves);
    if updates.len() != params.len() {
        return Err(Error::invalid(
            "update",
            format!("the rule made {} updates for {} parameters", updates.len(), params.len()),
        ));
    }
    let moved = params.iter().zip(updates).map(|(param, update)| {
        let sum = lax::convert(param, compute_dtype(param.dtype()))? + update;
        lax::convert(&sum, param.dtype())
    });
    let params = tree::unflatten(&structure, moved.collect::<Result<_>>()?)?;
    assemble(step + 1, params, &structure, slots)
}

fn assemble<P: Tree>(step: Tensor, params: P, structure: &Structure, slots: Slots) -> Result<OptState<P>> {
    let (lists, scalars) = slots.flat();
    let trees = lists.into_iter().map(|(name, list)| Ok((name, tree::unflatten(structure, list)?)));
    Ok(OptState { step, params, slots: trees.collect::<Result<BTreeMap<_, _>>>()?, scalars })
}

fn check_gradients(
    structure: &Structure,
    params: &[Tensor],
    gradient_structure: &Structure,
    gradients: &[Tensor],
) -> Result<()> {
    if structure != gradient_structure {
        let (ours, theirs) = (structure.paths(), gradient_structure.paths());
        let missing: Vec<&String> = ours.iter().filter(|path| !theirs.contains(path)).collect();
        let extra: Vec<&String> = theirs.iter().filter(|path| !ours.contains(path)).collect();
        return Err(Error::tree(
            "gradients",
            format!(
                "the tree is not that of the parameters: missing are {missing:?}, and beyond them there are {extra:?}"
            ),
        ));
    }
    for ((param, gradient), path) in params.iter().zip(gradients).zip(structure.paths()) {
        if !param.aval().matches(gradient.aval()) {
            return Err(Error::tree(
                path,
                format!("the gradient is {}, but the parameter is {}", gradient.aval(), param.aval()),
            ));
        }
    }
    Ok(())
}
