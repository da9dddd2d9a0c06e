//! Modules that run others in another way. Their parameters are those of the modules inside.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Tensor, Tree};

use crate::functions::identity;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// What a module gives, and what went in: `module(x) + x`, or `module(x) + shortcut(x)`.
///
/// Parameters are found under the module's own name, and those of a shortcut under `shortcut`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let block = Residual::new(sequential![LayerNorm::new(), Dense::new(4), relu]);
/// let x = Key::new(1).normal([2, 4]);
/// let params = block.init_params(Key::new(0), &x);
/// assert_eq!(params.paths()[2], "sequential.dense.kernel");
/// let inner = sequential![|x: &Tensor| x * 2.0];
/// assert!(Residual::new(inner).apply(&Params::empty(), &x).allclose(&x * 3.0, 1e-6, 0.0));
///
/// // Where channels change, the shortcut is a layer.
/// let block = Residual::new(Dense::new(8)).with_shortcut(Dense::new(8).without_bias());
/// let params = block.init_params(Key::new(0), &x);
/// assert_eq!(params.paths(), ["dense.kernel", "dense.bias", "shortcut.kernel"]);
/// ```
#[derive(Clone)]
pub struct Residual<M, S = fn(&Tensor) -> Tensor> {
    id: ModuleId,
    module: M,
    shortcut: S,
}

impl<M> Residual<M> {
    /// Adds the input to what this module gives.
    pub fn new(module: M) -> Self {
        Residual { id: ModuleId::new(), module, shortcut: identity }
    }
}

impl<M, S> Residual<M, S> {
    /// Adds what another module gives for the input instead of the input.
    pub fn with_shortcut<T>(self, shortcut: T) -> Residual<M, T> {
        Residual { id: self.id, module: self.module, shortcut }
    }

    /// The same as another module. The modules inside stay the same.
    pub fn fresh(&self) -> Self
    where
        M: Clone,
        S: Clone,
    {
        Residual { id: ModuleId::new(), ..self.clone() }
    }
}

impl<M, S> Module<Tensor> for Residual<M, S>
where
    M: Module<Tensor, Output = Tensor>,
    S: Module<Tensor, Output = Tensor>,
{
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        let y = cx.call(&self.module, x);
        let shortcut = cx.call_named("shortcut", &self.shortcut, x);
        if y.shape() != shortcut.shape() {
            cx.fail(
                "Residual",
                format!(
                    "the module gives {} for {}, to which {} cannot be added; `with_shortcut` takes a module that gives \
                     that shape, too",
                    y.aval(),
                    x.aval(),
                    shortcut.aval()
                ),
            )
        }
        y + shortcut
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("residual")
    }
}

/// A module inside of a wrapper that has its place.
#[derive(Clone)]
struct Inside<M>(M);

impl<X: Tree, M: Module<X>> Module<X> for Inside<M> {
    type Output = M::Output;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> M::Output {
        self.0.forward(cx, x)
    }

    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("function")
    }
}

/// A module whose derivative keeps only its inputs, and computes what is in between again: less memory for more time
/// (Chen et al. 2016). See [`checkpoint`](jaxnet_autograd::checkpoint).
///
/// It is the same module as the one inside, with the same parameters in the same places.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let block = || sequential![Dense::new(8), tanh, Dense::new(8)];
/// let net = sequential![Remat::new(block()), Remat::new(block()), Dense::new(1)];
/// let x = Tensor::ones([2, 8]);
/// let params = net.init_params(Key::new(0), &x);
/// assert_eq!(params.paths()[0], "sequential0.dense0.kernel");
/// let gradients = grad(|params: Params| net.apply(&params, &x).sum())(params);
/// assert_eq!(gradients["dense.bias"].to_vec::<f32>(), [2.0]);
/// ```
#[derive(Clone)]
pub struct Remat<M>(Inside<M>);

impl<M> Remat<M> {
    /// Computes this module again where its derivative needs it.
    pub fn new(module: M) -> Self {
        Remat(Inside(module))
    }
}

impl<X: Tree, M: Module<X>> Module<X> for Remat<M> {
    type Output = M::Output;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> M::Output {
        let (leaves, structure) = jaxnet_tensor::tree::flatten(x);
        let x = crate::params::unwrap(jaxnet_tensor::tree::unflatten::<X>(&structure, leaves));
        cx.checkpoint(&self.0, x)
    }

    fn id(&self) -> Option<ModuleId> {
        self.0.0.id()
    }

    fn name(&self) -> Cow<'_, str> {
        self.0.0.name()
    }
}

/// A module whose parameters have derivative zero, as those of a part that was trained before. Derivatives by its
/// inputs go through.
///
/// It is the same module as the one inside, with the same parameters in the same places; elsewhere, where it is not
/// frozen, it is trained. [`Params::freeze`](crate::Params::freeze) freezes by path. What optimizers do to parameters
/// whatever their derivatives are, as weight decay, is not hindered.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let trained = sequential![Dense::new(8), BatchNorm::new(), relu];
/// let net = sequential![Frozen::new(trained).evaluating(), Dense::new(2)];
/// let x = Tensor::ones([1, 3]);
/// let vars = net.init(Key::new(0), &x);
/// let loss = |params: Params| net.call(&Vars { params, ..vars.clone() }, &x, Mode::Train(Key::new(1))).0.sum();
/// let gradients = grad(loss)(vars.params.clone());
/// assert_eq!(gradients["sequential.dense.kernel"].to_vec::<f32>(), [0.0; 24]);
/// assert_eq!(gradients["dense.bias"].to_vec::<f32>(), [1.0; 2]);
/// ```
#[derive(Clone)]
pub struct Frozen<M> {
    module: Inside<M>,
    evaluating: bool,
}

impl<M> Frozen<M> {
    /// Holds the parameters of this module fixed.
    pub fn new(module: M) -> Self {
        Frozen { module: Inside(module), evaluating: false }
    }

    /// Runs it as in evaluation also while the rest is trained: without dropout, and with running statistics, which
    /// stay as they are.
    pub fn evaluating(self) -> Self {
        Frozen { evaluating: true, ..self }
    }
}

impl<X: Tree, M: Module<X>> Module<X> for Frozen<M> {
    type Output = M::Output;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> M::Output {
        let training = cx.is_training() && !self.evaluating;
        let fixed = Arc::new(|_: &mut Scope<'_>, parameter: &Tensor| parameter.stop_gradient());
        let run = |cx: &mut Scope<'_>| cx.replacing(fixed, Arc::new(Tensor::clone), |cx| cx.call(&self.module, x));
        cx.training_as(training, run)
    }

    fn id(&self) -> Option<ModuleId> {
        self.module.0.id()
    }

    fn name(&self) -> Cow<'_, str> {
        self.module.0.name()
    }
}
