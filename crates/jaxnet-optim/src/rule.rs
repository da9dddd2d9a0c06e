//! What makes an optimizer the one it is.

use std::ops::Deref;

use jaxnet_tensor::Tensor;

use crate::slots::Slots;

/// How gradients become updates: what one writes to make an optimizer, or a transformation of gradients to
/// put before or after one. Each rule is an [`Optimizer`](crate::Optimizer), whose methods take care of
/// trees, dtypes and checks.
///
/// Rules work on the leaves of the parameters, in order. Leaves are given in the dtype to compute in,
/// which is f32 where the parameters are of half precision, and their own otherwise. A rule may run on
/// traced values, so that decisions about values are to be made by `select`.
///
/// A tuple of rules is a rule, too: what the first makes of the gradients is given to the second, and so on.
///
/// # Examples
///
/// Gradient descent that only looks at signs:
///
/// ```
/// use jaxnet_optim::{Leaves, Optimizer, Slots, UpdateRule};
/// use jaxnet_tensor::{Tensor, tensor};
///
/// struct SignSgd(f64);
///
/// impl UpdateRule for SignSgd {
///     fn rate(&self, _step: &Tensor, _: &Slots) -> Option<Tensor> {
///         Some(Tensor::scalar(self.0 as f32))
///     }
///
///     fn updates(&self, gradients: Vec<Tensor>, _: &Leaves, _step: &Tensor, _: &mut Slots) -> Vec<Tensor> {
///         gradients.iter().map(|g| g.sign() * -self.0).collect()
///     }
/// }
///
/// let opt = SignSgd(0.5);
/// let state = opt.update(opt.init(tensor![1.0, -3.0]), |x| x.square().sum());
/// assert_eq!(opt.params(&state).to_vec::<f32>(), [0.5, -2.5]);
/// ```
pub trait UpdateRule {
    /// The learning rate of the update that is made when `step` have been made before, and single tensors are
    /// what the rule remembers (lists are not given); `None` for a transformation that has no rate.
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        let _ = (step, slots);
        None
    }

    /// Puts into `slots` what the rule remembers before the first update.
    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        let _ = (params, slots);
    }

    /// What is to be added to each parameter, or given to the next rule. `step` updates have been made by this
    /// rule before. Takes slots out, and puts them back as they are for the next update.
    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor>;
}

/// The parameters as rules see them: a slice of tensors, of which the paths are known.
#[derive(Clone, Debug)]
pub struct Leaves {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) paths: Vec<String>,
}

impl Leaves {
    /// The paths of the parameters in their tree, in order, such as `dense0.kernel`.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Those with these numbers.
    pub(crate) fn pick(&self, numbers: &[usize]) -> Leaves {
        let tensors = numbers.iter().map(|&i| self.tensors[i].clone()).collect();
        Leaves { tensors, paths: numbers.iter().map(|&i| self.paths[i].clone()).collect() }
    }

    /// Zeros like each.
    pub(crate) fn zeros(&self) -> Vec<Tensor> {
        self.tensors.iter().map(Tensor::zeros_like).collect()
    }
}

impl Deref for Leaves {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        &self.tensors
    }
}

/// A reference or a box of a rule, such as `Box<dyn UpdateRule>`, is that rule.
macro_rules! forward {
    ($($Pointer:ty),*) => {$(
        impl<R: UpdateRule + ?Sized> UpdateRule for $Pointer {
            fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
                (**self).rate(step, slots)
            }
            fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
                (**self).init_slots(params, slots);
            }
            fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
                (**self).updates(gradients, params, step, slots)
            }
        }
    )*};
}

forward!(&R, Box<R>, std::sync::Arc<R>);
