//! Modules as functions.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Key, Tree};

use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A module that a function defines: see [`parametrized`].
pub struct Parametrized<X, Y> {
    id: ModuleId,
    name: Arc<str>,
    #[allow(clippy::type_complexity)]
    f: Arc<dyn Fn(&mut Scope<'_>, &X) -> Y + Send + Sync>,
}

impl<X, Y> Clone for Parametrized<X, Y> {
    fn clone(&self) -> Self {
        Parametrized { id: self.id, name: self.name.clone(), f: self.f.clone() }
    }
}

/// A module from a function that declares parameters and runs other modules where it uses them.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// fn dense(out_dim: usize) -> Parametrized<Tensor, Tensor> {
///     parametrized("dense", move |cx, x: &Tensor| {
///         let kernel = cx.param("kernel", [x.dim(-1), out_dim], glorot_normal());
///         let bias = cx.param("bias", [out_dim], normal(1e-2));
///         x.matmul(&kernel) + bias
///     })
/// }
///
/// let net = sequential![dense(8), relu, dense(1)];
/// let params = net.init_params(Key::new(0), &Tensor::zeros([4, 3]));
/// assert_eq!(params["dense0.kernel"].shape().dims(), [3, 8]);
/// ```
pub fn parametrized<X, Y, F>(name: impl Into<Arc<str>>, f: F) -> Parametrized<X, Y>
where
    X: Tree,
    Y: Tree,
    F: Fn(&mut Scope<'_>, &X) -> Y + Send + Sync + 'static,
{
    Parametrized { id: ModuleId::new(), name: name.into(), f: Arc::new(f) }
}

impl<X, Y> Parametrized<X, Y> {
    /// The same function as another module, with parameters of its own.
    pub fn fresh(&self) -> Self {
        Parametrized { id: ModuleId::new(), ..self.clone() }
    }
}

impl<X: Tree + 'static, Y: Tree + 'static> Module<X> for Parametrized<X, Y> {
    type Output = Y;

    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> Y {
        (self.f)(cx, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

/// A module without input that is one parameter: a tensor, or a tree of tensors, which `init` makes.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let scale = Parameter::new(|_key| Tensor::ones([3]));
/// let params = scale.init_params(Key::new(0), &());
/// assert_eq!(scale.apply(&params, &()).sum().item::<f32>(), 3.0);
/// ```
pub struct Parameter<T> {
    id: ModuleId,
    name: Arc<str>,
    init: Arc<dyn Fn(Key) -> T + Send + Sync>,
}

impl<T> Clone for Parameter<T> {
    fn clone(&self) -> Self {
        Parameter { id: self.id, name: self.name.clone(), init: self.init.clone() }
    }
}

impl<T> Parameter<T> {
    /// A parameter called `parameter`.
    pub fn new(init: impl Fn(Key) -> T + Send + Sync + 'static) -> Self {
        Parameter { id: ModuleId::new(), name: "parameter".into(), init: Arc::new(init) }
    }

    /// The same with another name.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Parameter { name: name.into(), ..self }
    }

    /// Another parameter that is made alike.
    pub fn fresh(&self) -> Self {
        Parameter { id: ModuleId::new(), ..self.clone() }
    }
}

impl<T: Tree + 'static> Module<()> for Parameter<T> {
    type Output = T;

    fn forward(&self, cx: &mut Scope<'_>, (): &()) -> T {
        cx.own_param(|key| (self.init)(key))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}
