//! What a module is.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use jaxnet_autograd::eval_shape;
use jaxnet_tensor::{Error, Key, OrRaise, Result, Tensor, Tree, called_from, tree, try_catch};

use crate::params::{Node, Params, Vars};
use crate::scope::{Given, Mode, ModuleId, Scope, needs_call, run};

/// A function with parameters: from an input tree to an output tree, given a [`Scope`] that hands out
/// parameters, keys and state.
///
/// A module is a value without parameters of its own; [`init`](Self::init) makes those, and
/// [`apply`](Self::apply) and [`call`](Self::call) take them. A clone is the same module: it shares
/// parameters wherever both are used.
///
/// Plain functions `Fn(&X) -> Y` are modules without parameters. Write modules with
/// [`parametrized`](crate::parametrized), or implement the trait for a struct that holds a [`ModuleId`].
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = sequential![Dense::new(8), relu, Dense::new(1)];
/// let x = Tensor::ones([4, 3]);
/// let params = net.init_params(Key::new(0), &x);
/// assert_eq!(net.apply(&params, &x).shape().dims(), [4, 1]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a module of `{X}`",
    label = "not a module of `{X}`",
    note = "layers and plain functions `fn(&Tensor) -> Tensor` are modules, passed by value; clones are the same module",
    note = "a list of layers is written `sequential![Dense::new(4), relu]`, or `Sequential::from_iter(list)`"
)]
pub trait Module<X: Tree>: Clone + Send + Sync + 'static {
    /// What it returns.
    type Output: Tree;

    /// Runs the module.
    #[track_caller]
    fn forward(&self, cx: &mut Scope<'_>, x: &X) -> Self::Output;

    /// Which module it is; `None` for plain functions, which have no parameters.
    fn id(&self) -> Option<ModuleId>;

    /// What its place in parameter trees is called.
    fn name(&self) -> Cow<'_, str>;

    /// Makes variables: parameters from the key, each from one of its own, and initial state. Only the
    /// shapes and dtypes of the inputs matter, unless an initializer depends on data.
    #[track_caller]
    fn init(&self, key: Key, x: &X) -> Vars {
        run(self, x, Given { init_key: Some(key), ..Given::default() }).1.vars()
    }

    /// Makes parameters, for modules without state.
    ///
    /// # Panics
    ///
    /// If the module has state; see [`init`](Self::init).
    #[track_caller]
    fn init_params(&self, key: Key, x: &X) -> Params {
        let vars = self.init(key, x);
        if !vars.state.is_empty() {
            needs_call("init_params", &self.name()).or_raise()
        }
        vars.params
    }

    /// As [`init_params`](Self::init_params), taking the parameters of parts from elsewhere where they are
    /// given.
    #[track_caller]
    fn init_params_reusing(&self, key: Key, reuse: &[Reuse], x: &X) -> Params {
        let reuse = collect(reuse, x).or_raise();
        run(self, x, Given { init_key: Some(key), reuse, ..Given::default() }).1.params()
    }

    /// As [`init_params`](Self::init_params).
    ///
    /// # Errors
    ///
    /// Instead of panics. (Under `panic = "abort"` mistakes end the process all the same.)
    fn try_init_params(&self, key: Key, x: &X) -> Result<Params> {
        try_catch(|| self.init_params(key, x))
    }

    /// Runs the module on inputs, in evaluation, for modules without state.
    ///
    /// # Panics
    ///
    /// If the parameters are not this module's, or it needs a key or state; see [`call`](Self::call).
    #[track_caller]
    fn apply(&self, params: &Params, x: &X) -> Self::Output {
        run(self, x, Given { params: Some(params.clone()), ..Given::default() }).0
    }

    /// As [`apply`](Self::apply), with a key for modules that ask for one.
    #[track_caller]
    fn apply_with_key(&self, params: &Params, key: Key, x: &X) -> Self::Output {
        run(self, x, Given { params: Some(params.clone()), key: Some(key), ..Given::default() }).0
    }

    /// As [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// Instead of panics. (Under `panic = "abort"` mistakes end the process all the same.)
    fn try_apply(&self, params: &Params, x: &X) -> Result<Self::Output> {
        try_catch(|| self.apply(params, x))
    }

    /// Runs the module with variables; gives its output and new state.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = sequential![Dense::new(8), Dropout::new(0.5)];
    /// let x = Tensor::ones([4, 3]);
    /// let vars = net.init(Key::new(0), &x);
    /// let (y, state) = net.call(&vars, &x, Mode::Train(Key::new(1)));
    /// let (y, _) = net.call(&vars, &x, Mode::Eval);
    /// ```
    #[track_caller]
    fn call(&self, vars: &Vars, x: &X, mode: Mode) -> (Self::Output, Params) {
        let given = Given { params: Some(vars.params.clone()), state: Some(vars.state.clone()), ..Given::default() };
        let (y, outcome) = run(self, x, given.mode(mode));
        (y, outcome.state())
    }

    /// These parameters as those of this module, for [`apply_from`](Self::apply_from),
    /// [`params_from`](Self::params_from) and [`init_params_reusing`](Self::init_params_reusing) of other
    /// modules that contain it or parts of it.
    ///
    /// They are taken to be made for the inputs of that call; see [`shaped`](Self::shaped).
    fn reuse(&self, params: &Params) -> Reuse
    where
        X: 'static,
    {
        let (module, params) = (self.clone(), params.clone());
        let own = self.id().map(|id| (id, params.0.clone()));
        let find = move |x: &dyn Any| match x.downcast_ref::<X>() {
            Some(x) => parts(&module, &params, x),
            None => Err(Error::invalid(
                "reuse",
                format!(
                    "module `{}` takes other inputs than this call; say which with `module.shaped(&inputs).reuse(params)`",
                    module.name()
                ),
            )),
        };
        Reuse { own, find: Arc::new(find) }
    }

    /// This module together with inputs of the shapes that its parameters are made for.
    fn shaped(&self, x: &X) -> Shaped<Self, X> {
        Shaped { module: self.clone(), leaves: tree::flatten(x), marker: std::marker::PhantomData }
    }

    /// The parameters of this module, all found among those that are given for other modules: for the module
    /// itself, or one that contains it, or its parts. The most specific one counts.
    ///
    /// # Panics
    ///
    /// If a parameter is not among them, which is named.
    #[track_caller]
    fn params_from(&self, reuse: &[Reuse], x: &X) -> Params {
        let reuse = collect(reuse, x).or_raise();
        let mut params = None;
        abstractly(x, |x| {
            let (_, outcome) = run(self, &x, Given { reuse, key: Some(Key::new(0)), ..Given::default() });
            params = Some(outcome.params());
        });
        params.expect("the module has run")
    }

    /// Runs the module with parameters that are given for other modules: see
    /// [`params_from`](Self::params_from).
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = Dense::new(1);
    /// let inner = net.clone();
    /// let loss = parametrized("loss", move |cx, (x, y): &(Tensor, Tensor)| (cx.call(&inner, x) - y).square().mean());
    /// let batch = (Tensor::ones([2, 3]), Tensor::ones([2, 1]));
    /// let params = loss.init_params(Key::new(0), &batch);
    /// let prediction = net.apply_from(&[loss.shaped(&batch).reuse(&params)], &batch.0);
    /// ```
    #[track_caller]
    fn apply_from(&self, reuse: &[Reuse], x: &X) -> Self::Output {
        self.apply(&self.params_from(reuse, x), x)
    }
}

/// Plain functions are modules without parameters.
impl<F, X, Y> Module<X> for F
where
    F: Fn(&X) -> Y + Clone + Send + Sync + 'static,
    X: Tree,
    Y: Tree,
{
    type Output = Y;

    fn forward(&self, _: &mut Scope<'_>, x: &X) -> Y {
        self(x)
    }

    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("function")
    }
}

/// Parameters of a module, to be used in another: see [`Module::reuse`].
#[derive(Clone)]
pub struct Reuse {
    own: Option<(ModuleId, Node)>,
    #[allow(clippy::type_complexity)]
    find: Arc<dyn Fn(&dyn Any) -> Result<HashMap<ModuleId, Node>> + Send + Sync>,
}

/// The parameters of all modules inside; evaluates shapes only.
fn parts<X: Tree, M: Module<X>>(module: &M, params: &Params, x: &X) -> Result<HashMap<ModuleId, Node>> {
    let mut modules = HashMap::new();
    try_catch(|| {
        abstractly(x, |x| {
            let given = Given { params: Some(params.clone()), key: Some(Key::new(0)), ..Given::default() };
            modules = run(module, &x, given).1.modules();
        });
    })
    .map_err(|error| {
        let name = module.name();
        let message = format!(
            "the parameters to reuse are not those of this module: {error}; if it was initialized with other inputs \
             than those of this call, say with which: `module.shaped(&inputs).reuse(&params)`"
        );
        Error::tree(&*name, message)
    })?;
    Ok(modules)
}

/// Runs `f` on something of the shapes of `x`, computing nothing.
#[track_caller]
pub(crate) fn abstractly<X: Tree>(x: &X, f: impl FnOnce(X)) {
    let f = std::cell::Cell::new(Some(f));
    let once = |x: X| {
        if let Some(f) = f.take() {
            f(x);
        }
    };
    called_from(crate::ROOT, || eval_shape(once, x));
}

fn collect<X: Tree + 'static>(reuse: &[Reuse], x: &X) -> Result<HashMap<ModuleId, Node>> {
    let mut all = HashMap::new();
    // What is given for a module itself counts more than what is found inside another.
    let own: HashMap<ModuleId, Node> = reuse.iter().filter_map(|reuse| reuse.own.clone()).collect();
    for reuse in reuse {
        for (id, node) in (reuse.find)(x)? {
            all.entry(id).or_insert(node);
        }
    }
    all.extend(own);
    Ok(all)
}

/// A module together with the shapes of its inputs: see [`Module::shaped`].
pub struct Shaped<M, X> {
    module: M,
    leaves: (Vec<Tensor>, tree::Structure),
    marker: std::marker::PhantomData<fn(X)>,
}

impl<X: Tree + 'static, M: Module<X>> Shaped<M, X> {
    fn inputs(&self) -> X {
        tree::unflatten(&self.leaves.1, self.leaves.0.clone()).or_raise()
    }

    /// As [`Module::reuse`], for inputs of these shapes.
    pub fn reuse(&self, params: &Params) -> Reuse {
        let own = self.module.id().map(|id| (id, params.0.clone()));
        let (module, params, leaves) = (self.module.clone(), params.clone(), self.leaves.clone());
        let find = move |_: &dyn Any| {
            let x: X = tree::unflatten(&leaves.1, leaves.0.clone())?;
            parts(&module, &params, &x)
        };
        Reuse { own, find: Arc::new(find) }
    }

    /// As [`Module::init_params`], for these inputs.
    #[track_caller]
    pub fn init_params(&self, key: Key) -> Params {
        self.module.init_params(key, &self.inputs())
    }

    /// As [`Module::init`], for these inputs.
    #[track_caller]
    pub fn init(&self, key: Key) -> Vars {
        self.module.init(key, &self.inputs())
    }

    /// As [`Module::params_from`], for these inputs.
    #[track_caller]
    pub fn params_from(&self, reuse: &[Reuse]) -> Params {
        self.module.params_from(reuse, &self.inputs())
    }

    /// As [`Module::apply_from`], for these inputs.
    #[track_caller]
    pub fn apply_from(&self, reuse: &[Reuse]) -> M::Output {
        self.module.apply_from(reuse, &self.inputs())
    }
}
