//! What changes while training.

use std::collections::BTreeMap;

use jaxnet_nn::Params;
use jaxnet_tensor::{Tensor, Tree};

/// What changes while training: the parameters, and what the optimizer remembers.
///
/// An immutable tree like any other; clones share the tensors. [`Optimizer::init`](crate::Optimizer::init)
/// makes one, and the update methods take one and give the next. Saving it and going on from what was
/// saved is the same as not having stopped.
///
/// ```
/// use jaxnet_optim::{Momentum, OptState, Optimizer};
/// use jaxnet_tensor::{Tensor, tensor, tree};
///
/// let state: OptState<Tensor> = Momentum::new(0.1, 0.9).init(tensor![1.0, 2.0]);
/// assert_eq!(tree::paths(&state), ["step", "params", "slots.velocity"]);
/// ```
#[derive(Clone, Debug, Tree)]
pub struct OptState<P = Params> {
    /// The number of updates so far, an i32 scalar.
    pub step: Tensor,
    /// What is trained.
    pub params: P,
    /// What the optimizer remembers of each parameter, such as moments: by name, a tree like that of the
    /// parameters. In f32 for parameters of half precision, else in the parameters' dtypes. Names of rules
    /// inside rules are joined by dots.
    pub slots: BTreeMap<String, P>,
    /// What the optimizer remembers beside that, by name, such as the count of accumulated gradients.
    pub scalars: BTreeMap<String, Tensor>,
}
