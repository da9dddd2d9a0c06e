//! What a running module sees: its parameters, state and keys.

mod bound;
mod observe;
mod run;
mod transforms;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaxnet_tensor::{Error, Key, Result, Shape, Tensor, Tree, raise};

pub use bound::Bound;
pub(crate) use observe::Observer;
pub(crate) use run::{Given, run};
use run::{Place, Run, given_child};
pub(crate) use transforms::Replace;

use crate::init::Initializer;
use crate::module::Module;
use crate::params::{node_value, unwrap, value_node};

/// Which module it is: shared by clones, different for each construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModuleId {
    number: u64,
    /// The run in which it was made, 0 for none: such modules are made anew in each run, so that they are
    /// matched by where they are used.
    run: u64,
}

thread_local! {
    static CURRENT_RUN: Cell<u64> = const { Cell::new(0) };
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl ModuleId {
    /// A new identity.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        ModuleId { number: NEXT.fetch_add(1, Ordering::Relaxed), run: CURRENT_RUN.get() }
    }
}

/// How a module runs.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let (layer, x) = (Dropout::new(0.5), Tensor::ones([100]));
/// let vars = layer.init(Key::new(0), &x);
/// assert_eq!(layer.call(&vars, &x, Mode::Eval).0.mean().item::<f32>(), 1.0);
/// let dropped = layer.call(&vars, &x, Mode::Train(Key::new(1))).0;
/// assert!(dropped.eq(0.0).any().item::<bool>());
/// ```
#[derive(Debug)]
#[must_use]
pub enum Mode {
    /// As in training: with a key for dropout and other noise, and statistics of the batch.
    Train(Key),
    /// As in use: without noise, and with running statistics.
    Eval,
    /// As in use, with a key for modules that ask for one, such as samplers.
    EvalWithKey(Key),
}

/// What a running module sees: it hands out parameters, state and keys, and runs modules inside.
///
/// A scope never crosses a transform such as `scan` or `vmap`, whose function must be pure; see
/// [`scan`](Self::scan), [`vmap`](Self::vmap), [`checkpoint`](Self::checkpoint) and [`bind`](Self::bind).
pub struct Scope<'r> {
    pub(crate) run: &'r mut Run,
    place: usize,
    /// How many children of each base were used in this call of the module.
    counters: HashMap<Arc<str>, usize>,
    used: HashSet<usize>,
}

impl<'r> Scope<'r> {
    fn at(run: &'r mut Run, place: usize) -> Self {
        Scope { run, place, counters: HashMap::new(), used: HashSet::new() }
    }

    /// Whether the module runs as in training.
    pub fn is_training(&self) -> bool {
        self.run.training
    }

    /// Whether parameters are being made.
    pub fn is_initializing(&self) -> bool {
        self.run.init_key.is_some()
    }

    /// Runs `f` as in training or not.
    #[track_caller]
    pub(crate) fn training_as<T>(&mut self, training: bool, f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.run.training, training);
        let result = f(self);
        self.run.training = outer;
        result
    }

    /// Where the module is in the tree of the whole.
    pub fn path(&self) -> String {
        self.run.path(self.place)
    }

    /// An error of a layer of this kind, which says where in the tree it is.
    #[track_caller]
    pub(crate) fn fail(&self, kind: &str, message: impl Into<String>) -> ! {
        let path = self.path();
        let op = if path.is_empty() { kind.to_string() } else { format!("{kind} (`{path}`)") };
        raise(Error::invalid(op, message))
    }

    /// Runs a module inside. The first use gives it its place in the tree; later uses share it.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let layer = Dense::new(4);
    /// let twice = parametrized("twice", move |cx, x: &Tensor| {
    ///     let once = cx.call(&layer, x);
    ///     cx.call(&layer, &once) // the same parameters
    /// });
    /// let params = twice.init_params(Key::new(0), &Tensor::ones([2, 4]));
    /// assert_eq!(params.paths(), ["dense.kernel", "dense.bias"]);
    /// ```
    #[track_caller]
    pub fn call<X: Tree, M: Module<X>>(&mut self, module: &M, x: &X) -> M::Output {
        let name = module.name();
        self.call_named(&name, module, x)
    }

    /// Runs a module inside under another name.
    #[track_caller]
    pub fn call_named<X: Tree, M: Module<X>>(&mut self, name: &str, module: &M, x: &X) -> M::Output {
        let Some(id) = module.id() else {
            // A plain function needs no place.
            return self.observed(self.place, Some(name), |cx| module.forward(cx, x));
        };
        let place = self.child(Some(id), name);
        self.observed(place, None, |cx| module.forward(&mut Scope::at(cx.run, place), x))
    }

    /// Runs `f` in a part of the tree of this name.
    #[track_caller]
    pub(crate) fn within<T: Tree>(&mut self, name: &str, f: impl FnOnce(&mut Scope<'_>) -> T) -> T {
        let place = self.child(None, name);
        self.observed(place, None, |cx| f(&mut Scope::at(cx.run, place)))
    }

    /// A parameter: one tensor of this shape, in f32, which `init` makes when the module is initialized.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let scale = parametrized("scale", |cx, x: &Tensor| x * cx.param("factor", [x.dim(-1)], ones()));
    /// let params = scale.init_params(Key::new(0), &Tensor::ones([2, 3]));
    /// assert_eq!(params["factor"].to_vec::<f32>(), [1.0; 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the given parameters do not have it, or have it in another shape.
    #[track_caller]
    pub fn param(&mut self, name: &str, shape: impl Into<Shape>, init: impl Initializer) -> Tensor {
        let shape = shape.into();
        let place = self.child(None, name);
        let value: Tensor = self.param_at(place, |key| init.initialize(key, &shape));
        if *value.shape() != shape {
            raise(Error::tree(
                self.run.path(place),
                format!("the module needs a parameter of shape {shape}, the given one is {}", value.aval()),
            ));
        }
        value
    }

    /// A parameter that is any tree of tensors.
    #[track_caller]
    pub fn param_tree<T: Tree>(&mut self, name: &str, init: impl FnOnce(Key) -> T) -> T {
        let place = self.child(None, name);
        self.param_at(place, init)
    }

    #[track_caller]
    pub(crate) fn own_param<T: Tree>(&mut self, init: impl FnOnce(Key) -> T) -> T {
        self.param_at(self.place, init)
    }

    #[track_caller]
    fn param_at<T: Tree>(&mut self, place: usize, init: impl FnOnce(Key) -> T) -> T {
        if self.run.places[place].value.is_none() {
            let value = match (&self.run.places[place].given, &self.run.init_key) {
                (Some(given), _) => given.clone(),
                (None, Some(key)) => {
                    let key = key.fold_in(self.run.initialized as usize);
                    self.run.initialized += 1;
                    let mut node = value_node(&init(key));
                    for transform in self.run.transforms.iter().rev() {
                        node = transform.initial(&node);
                    }
                    node
                }
                (None, None) => raise(Error::tree(
                    self.run.path(place),
                    "no parameter was given; were these parameters made by this module, with these inputs? Other \
                     modules' parameters are reused with `apply_from` or `params_from`",
                )),
            };
            self.run.places[place].value = Some(value);
        }
        let raw = self.run.places[place].value.clone().expect("just set");
        let value = self.transformed(place, raw);
        unwrap(node_value(&value, &self.run.path(place)))
    }

    /// A state variable, such as a running mean: its value as it goes in, or what `init` makes at first.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let counter = parametrized("counter", |cx, x: &Tensor| {
    ///     let calls = cx.state("calls", || Tensor::scalar(0));
    ///     cx.set_state("calls", &(&calls + 1));
    ///     x * calls
    /// });
    /// let x = tensor![2.0];
    /// let vars = counter.init(Key::new(0), &x);
    /// let (_, state) = counter.call(&vars, &x, Mode::Eval);
    /// assert_eq!(state["calls"].item::<i32>(), vars.state["calls"].item::<i32>() + 1);
    /// ```
    #[track_caller]
    pub fn state<T: Tree>(&mut self, name: &str, init: impl FnOnce() -> T) -> T {
        let place = self.child(None, name);
        let here = &self.run.places[place];
        let node = match (&here.state, &here.given_state) {
            (Some(current), _) => current.clone(),
            (None, Some(given)) => given.clone(),
            (None, None) if self.run.init_key.is_some() => value_node(&init()),
            (None, None) => raise(Error::tree(
                self.run.path(place),
                "this module has state, and none was given; make variables with `init` and run it with `call`",
            )),
        };
        self.run.places[place].state = Some(node.clone());
        unwrap(node_value(&node, &self.run.path(place)))
    }

    /// Sets the state variable that [`state`](Self::state) read last under this name.
    #[track_caller]
    pub fn set_state<T: Tree>(&mut self, name: &str, value: &T) {
        let base: Arc<str> = name.into();
        let children = &self.run.places[self.place].children;
        let place = children.iter().rev().copied().find(|child| self.run.places[*child].base == base);
        match place {
            Some(place) if self.run.places[place].state.is_some() => {
                self.run.places[place].state = Some(value_node(value));
            }
            _ => raise(Error::tree(name, "no state of this name has been read in this module; call `state` first")),
        }
    }

    /// A fresh key, derived from the one that the run was given. Each call gives another; the same key for
    /// the run gives the same ones again.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let noisy = parametrized("noisy", |cx, x: &Tensor| x + cx.random_key().normal(x.shape()));
    /// let x = Tensor::zeros([3]);
    /// let vars = noisy.init(Key::new(0), &x);
    /// let (y, _) = noisy.call(&vars, &x, Mode::Train(Key::new(1)));
    /// assert_ne!(y.to_vec::<f32>(), [0.0; 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the run was given none.
    #[track_caller]
    pub fn random_key(&mut self) -> Key {
        let drawn = self.run.drawn;
        self.run.drawn += 1;
        match (&self.run.key, &self.run.init_key) {
            (Some(key), _) => key.fold_in(drawn as usize),
            // Any noise does while parameters are made.
            (None, Some(key)) => key.fold_in(u32::MAX as usize - drawn as usize),
            (None, None) => raise(Error::invalid(
                "random_key",
                format!(
                    "module `{}` asks for a random key, and the run has none; use `call(&vars, &x, Mode::Train(key))`, \
                     `Mode::EvalWithKey(key)`, or `apply_with_key`",
                    self.path()
                ),
            )),
        }
    }

    /// Runs `f` with a key of its own in place of the one that the run was given: noise drawn in there does not
    /// change with that, nor with what is drawn outside.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let noise = parametrized("noise", |cx, x: &Tensor| cx.random_key().normal(x.shape()));
    /// let fixed = parametrized("fixed", move |cx, x: &Tensor| cx.with_key(Key::new(0), |cx| cx.call(&noise, x)));
    /// let x = Tensor::zeros([2]);
    /// let draw = |key| fixed.apply_with_key(&Params::empty(), key, &x).to_vec::<f32>();
    /// assert_eq!(draw(Key::new(1)), draw(Key::new(2)));
    /// // No key is needed from outside.
    /// assert_eq!(draw(Key::new(1)), fixed.apply(&Params::empty(), &x).to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn with_key<T>(&mut self, key: Key, f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = (self.run.key.replace(key), std::mem::take(&mut self.run.drawn));
        let result = f(self);
        (self.run.key, self.run.drawn) = outer;
        result
    }

    /// The part of the tree that a module has.
    fn child(&mut self, id: Option<ModuleId>, base: &str) -> usize {
        let stable = id.filter(|id| id.run != self.run.id);
        if let Some(place) = id.and_then(|id| self.run.by_module.get(&id).copied()) {
            let here = &self.run.places[place];
            if here.parent == Some(self.place) && self.used.insert(place) {
                let next = self.counters.entry(here.base.clone()).or_default();
                *next = (*next).max(here.occurrence + 1);
            }
            return place;
        }
        let base: Arc<str> = base.into();
        let positional = stable.is_none();
        let occurrence = loop {
            let next = self.counters.entry(base.clone()).or_default();
            let occurrence = *next;
            *next += 1;
            let same = |child: &&usize| {
                let place = &self.run.places[**child];
                place.base == base && place.occurrence == occurrence
            };
            match self.run.places[self.place].children.iter().find(same).copied() {
                None => break occurrence,
                // The same part of the code as in an earlier call of this module.
                Some(place) if positional && self.run.places[place].positional => {
                    self.run.by_module.extend(id.map(|id| (id, place)));
                    return place;
                }
                Some(_) => {}
            }
        };
        let parent = &self.run.places[self.place];
        let reused = id.and_then(|id| self.run.reuse.get(&id).cloned());
        let (param_name, given) = given_child(parent.given.as_ref(), &base, occurrence).unzip();
        let (state_name, given_state) = given_child(parent.given_state.as_ref(), &base, occurrence).unzip();
        let place = Place {
            parent: Some(self.place),
            occurrence,
            positional,
            children: Vec::new(),
            given: reused.or(given),
            given_state,
            given_as: param_name.or(state_name),
            value: None,
            state: None,
            base,
        };
        let index = self.run.places.len();
        self.run.places.push(place);
        self.run.places[self.place].children.push(index);
        self.run.by_module.extend(id.map(|id| (id, index)));
        index
    }
}

/// An error about parameters, for those who check them.
pub(crate) fn needs_call(what: &str, module: &str) -> Result<()> {
    Err(Error::invalid(
        what,
        format!("module `{module}` has state; make its variables with `init` and run it with `call(&vars, &x, mode)`"),
    ))
}
