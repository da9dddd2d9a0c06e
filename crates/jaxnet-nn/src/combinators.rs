//! Modules that change how others use their parameters, or their inputs.
//!
//! They can be parts of a net, and of each other.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Tensor, Tree};

use crate::module::Module;
use crate::scope::{ModuleId, Replace, Scope};

/// What the place of the inner module is called.
const MODEL: &str = "model";

/// A loss with a penalty for parameters: the sum of `f` over all elements of all parameters that the loss uses.
///
/// The loss's parameters are found under `model`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Dense::new(1);
/// let loss = parametrized("loss", move |cx, x: &Tensor| cx.call(&net, x).square().mean());
/// let regularized = Regularized::new(loss.clone(), |p: &Tensor| p.abs() * 0.1);
///
/// let x = Tensor::ones([4, 3]);
/// let params = regularized.init_params(Key::new(0), &x);
/// assert_eq!(params.paths(), ["model.dense.kernel", "model.dense.bias"]);
/// let penalty = params.iter().map(|(_, p)| p.abs().sum().item::<f32>() * 0.1).sum::<f32>();
/// let plain = loss.apply(&params.at("model"), &x).item::<f32>();
/// assert!((regularized.apply(&params, &x).item::<f32>() - (plain + penalty)).abs() < 1e-5);
/// ```
#[derive(Clone)]
pub struct Regularized<M> {
    id: ModuleId,
    name: &'static str,
    loss: M,
    #[allow(clippy::type_complexity)]
    penalty: Arc<dyn Fn(&str, &Tensor) -> Tensor + Send + Sync>,
}

impl<M> Regularized<M> {
    /// Adds `f` of each parameter, summed up, to a loss.
    pub fn new(loss: M, f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Self {
        Regularized::by_name(loss, move |_, parameter| f(parameter))
    }

    /// As [`new`](Self::new), with the name of each parameter, the last part of its path, such as `kernel`. (An
    /// index, as in `parameter0`, is not part of the name.)
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let loss = sequential![Dense::new(2), |x: &Tensor| x.square().mean()];
    /// let decayed = Regularized::by_name(loss, |name, p| if name == "kernel" { p.square() } else { p.zeros_like() });
    /// let params = decayed.init_params(Key::new(0), &Tensor::zeros([1, 3])).map(|_, p| p.ones_like());
    /// assert_eq!(decayed.apply(&params, &Tensor::zeros([1, 3])).item::<f32>(), 1.0 + 6.0);
    /// ```
    pub fn by_name(loss: M, f: impl Fn(&str, &Tensor) -> Tensor + Send + Sync + 'static) -> Self {
        Regularized { id: ModuleId::new(), name: "regularized", loss, penalty: Arc::new(f) }
    }

    /// The same as another module. The loss inside stays the same module.
    pub fn fresh(&self) -> Self
    where
        M: Clone,
    {
        Regularized { id: ModuleId::new(), ..self.clone() }
    }
}

impl<X: Tree, M: Module<X, Output = Tensor>> Module<X> for Regularized<M> {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> Tensor {
        let (loss, parameters) = cx.reading(|cx| cx.call_named(MODEL, &self.loss, x));
        parameters.iter().fold(loss, |loss, (name, parameter)| loss + (self.penalty)(name, parameter).sum())
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

/// Makes [`Regularized`] losses with the penalty `0.5 * scale * x²`.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let loss = parametrized("loss", |cx, (): &()| cx.param("x", [2], constant(3)).sum());
/// let regularized = L2Regularized::new(loss, 0.1);
/// let params = regularized.init_params(Key::new(0), &());
/// assert!(regularized.apply(&params, &()).allclose(6.0 + 0.5 * 0.1 * (9.0 + 9.0), 1e-6, 0.0));
/// ```
pub struct L2Regularized;

impl L2Regularized {
    /// Adds `0.5 * scale * x²` for each element `x` of all parameters to a loss.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<M>(loss: M, scale: f64) -> Regularized<M> {
        let regularized = Regularized::new(loss, move |x: &Tensor| x.square() * (0.5 * scale));
        Regularized { name: "l2_regularized", ..regularized }
    }
}

/// A model whose parameters are each computed from others by a module.
///
/// The parameters from which they are computed are found under `model`, those of the modules that compute
/// them beside it.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// // A scale for each parameter, learned apart from its direction.
/// fn learnable_scale() -> Parametrized<Tensor, Tensor> {
///     parametrized("learnable_scale", |cx, parameter: &Tensor| cx.param("scale", [], constant(2)) * parameter)
/// }
///
/// let net = Dense::new(4);
/// let scaled = Reparametrized::new(net.clone(), learnable_scale);
/// let x = Tensor::ones([1, 3]);
/// let params = scaled.init_params(Key::new(0), &x);
/// assert_eq!(
///     params.paths(),
///     ["model.kernel", "model.bias", "learnable_scale0.scale", "learnable_scale1.scale"]
/// );
/// let doubled = params.at("model").map(|_, p| p * 2.0);
/// assert_eq!(scaled.apply(&params, &x).to_vec::<f32>(), net.apply(&doubled, &x).to_vec::<f32>());
///
/// // A plain function has no parameters.
/// let positive = Reparametrized::new(net, || softplus as fn(&Tensor) -> Tensor);
/// assert_eq!(positive.init_params(Key::new(0), &x).paths(), ["model.kernel", "model.bias"]);
/// ```
#[derive(Clone)]
pub struct Reparametrized<M> {
    id: ModuleId,
    model: M,
    replace: Replace,
    #[allow(clippy::type_complexity)]
    init: Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>,
}

impl<M> Reparametrized<M> {
    /// Replaces each parameter `p` of the model by what a module made by `factory` gives for it.
    ///
    /// A factory that makes a module anew, as functions that call `parametrized` do, gives each parameter one of
    /// its own; one that clones a module lets all parameters share it.
    pub fn new<F, R>(model: M, factory: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Module<Tensor, Output = Tensor>,
    {
        Reparametrized {
            id: ModuleId::new(),
            model,
            replace: Arc::new(move |cx, parameter| cx.call(&factory(), parameter)),
            init: Arc::new(Tensor::clone),
        }
    }

    /// Keeps `init_transform` of what the model's initializers make, for instance the inverse of the
    /// transformation, so that the model starts as it would without.
    pub fn with_init(self, init_transform: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Self {
        Reparametrized { init: Arc::new(init_transform), ..self }
    }

    /// The same as another module. The model inside stays the same module.
    pub fn fresh(&self) -> Self
    where
        M: Clone,
    {
        Reparametrized { id: ModuleId::new(), ..self.clone() }
    }
}

impl<X: Tree, M: Module<X>> Module<X> for Reparametrized<M> {
    type Output = M::Output;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> M::Output {
        cx.replacing(self.replace.clone(), self.init.clone(), |cx| cx.call_named(MODEL, &self.model, x))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("reparametrized")
    }
}

/// A model for one example, mapped over a batch with shared parameters; each example has a random key of its
/// own. The model's parameters are found under `model`; it may have no state.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// // Normalizes one example as a whole.
/// let one = sequential![|x: &Tensor| x - x.mean(), Dense::new(2)];
/// let net = Batched::new(one.clone(), 0);
/// let x = tensor![[1.0, 2.0, 3.0], [5.0, 5.0, 8.0]];
/// let params = net.init_params(Key::new(0), &x);
/// assert_eq!(params.paths(), ["model.dense.kernel", "model.dense.bias"]);
/// let y = net.apply(&params, &x);
/// assert!(y.i(1).allclose(one.apply(&params.at("model"), &x.i(1)), 1e-5, 1e-6));
/// ```
#[derive(Clone)]
pub struct Batched<M> {
    id: ModuleId,
    model: M,
    axis: isize,
}

impl<M> Batched<M> {
    /// Maps a model over this axis of each tensor of the input. Outputs have the batch along their first axis.
    pub fn new(model: M, axis: isize) -> Self {
        Batched { id: ModuleId::new(), model, axis }
    }

    /// The same as another module. The model inside stays the same module.
    pub fn fresh(&self) -> Self
    where
        M: Clone,
    {
        Batched { id: ModuleId::new(), ..self.clone() }
    }
}

impl<X: Tree, M: Module<X>> Module<X> for Batched<M> {
    type Output = M::Output;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> M::Output {
        cx.vmap_named(MODEL, &self.model, x, self.axis)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("batched")
    }
}
