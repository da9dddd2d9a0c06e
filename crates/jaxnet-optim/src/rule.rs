//! What makes an optimizer the one it is.

use std::collections::BTreeMap;

use jaxnet_tensor::{Error, Tensor, raise};

/// How gradients become updates: what one writes to make an optimizer. Each rule is an
/// [`Optimizer`](crate::Optimizer), whose methods take care of trees, dtypes and checks.
///
/// Rules work on the leaves of the parameters, in order. Leaves are given in the dtype to compute in,
/// which is f32 where the parameters are of half precision, and their own otherwise. A rule may run on
/// traced values, so that decisions about values are to be made by `select`.
///
/// # Examples
///
/// Gradient descent that only looks at signs:
///
/// ```
/// use jaxnet_optim::{Optimizer, Slots, UpdateRule};
/// use jaxnet_tensor::{Tensor, tensor};
///
/// struct SignSgd(f64);
///
/// impl UpdateRule for SignSgd {
///     fn rate(&self, _step: &Tensor) -> Tensor {
///         Tensor::scalar(self.0 as f32)
///     }
///
///     fn updates(&self, gradients: Vec<Tensor>, _: &[Tensor], _step: &Tensor, _: &mut Slots) -> Vec<Tensor> {
///         gradients.iter().map(|g| g.sign() * -self.0).collect()
///     }
/// }
///
/// let opt = SignSgd(0.5);
/// let state = opt.update(opt.init(tensor![1.0, -3.0]), |x| x.square().sum());
/// assert_eq!(opt.params(&state).to_vec::<f32>(), [0.5, -2.5]);
/// ```
pub trait UpdateRule {
    /// The learning rate of the update that is made when `step` have been made before.
    fn rate(&self, step: &Tensor) -> Tensor;

    /// Puts into `slots` what the rule remembers before the first update.
    fn init_slots(&self, params: &[Tensor], slots: &mut Slots) {
        let _ = (params, slots);
    }

    /// What is to be added to each parameter. Takes slots out, and puts them back as they are for the
    /// next update.
    fn updates(&self, gradients: Vec<Tensor>, params: &[Tensor], step: &Tensor, slots: &mut Slots) -> Vec<Tensor>;
}

/// A reference or a box of a rule, such as `Box<dyn UpdateRule>`, is that rule.
macro_rules! forward {
    ($($Pointer:ty),*) => {$(
        impl<R: UpdateRule + ?Sized> UpdateRule for $Pointer {
            fn rate(&self, step: &Tensor) -> Tensor {
                (**self).rate(step)
            }
            fn init_slots(&self, params: &[Tensor], slots: &mut Slots) {
                (**self).init_slots(params, slots);
            }
            fn updates(&self, gradients: Vec<Tensor>, params: &[Tensor], step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
                (**self).updates(gradients, params, step, slots)
            }
        }
    )*};
}

forward!(&R, Box<R>, std::sync::Arc<R>);

/// What a rule remembers, by name: lists with a tensor for each parameter, and single tensors.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    pub(crate) lists: BTreeMap<String, Vec<Tensor>>,
    pub(crate) scalars: BTreeMap<String, Tensor>,
}

impl Slots {
    /// Puts in a list with a tensor for each parameter.
    pub fn put(&mut self, name: &str, list: Vec<Tensor>) {
        self.lists.insert(name.into(), list);
    }

    /// Takes out a list that was put in under this name.
    ///
    /// # Panics
    ///
    /// If there is none, as in the state of another optimizer.
    #[track_caller]
    pub fn take(&mut self, name: &str) -> Vec<Tensor> {
        self.lists.remove(name).unwrap_or_else(|| self.missing(name))
    }

    /// Puts in a single tensor.
    pub fn put_scalar(&mut self, name: &str, value: Tensor) {
        self.scalars.insert(name.into(), value);
    }

    /// Takes out a single tensor that was put in under this name.
    ///
    /// # Panics
    ///
    /// If there is none, as in the state of another optimizer.
    #[track_caller]
    pub fn take_scalar(&mut self, name: &str) -> Tensor {
        self.scalars.remove(name).unwrap_or_else(|| self.missing(name))
    }

    #[track_caller]
    fn missing<T>(&self, name: &str) -> T {
        let have: Vec<&str> = self.lists.keys().chain(self.scalars.keys()).map(String::as_str).collect();
        let have = if have.is_empty() { "nothing".to_string() } else { format!("`{}`", have.join("`, `")) };
        raise(Error::tree(
            "slots",
            format!(
                "the optimizer needs `{name}`, but the state holds {have}; was it made by another optimizer's `init`?"
            ),
        ))
    }
}
