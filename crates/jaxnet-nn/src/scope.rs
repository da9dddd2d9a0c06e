//! What a running module sees: its parameters, state and keys.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaxnet_tensor::{Error, Key, Result, Shape, Tensor, Tree, raise, tree};

use crate::init::Initializer;
use crate::module::Module;
use crate::params::{Node, Params, Vars, node_value, unwrap, value_node};

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

/// A part of a run: what one use of a module has to itself.
struct Place {
    parent: Option<usize>,
    base: Arc<str>,
    /// How many siblings with this base came before.
    occurrence: usize,
    /// Whether it is matched by where it is used, not by the module's identity.
    positional: bool,
    children: Vec<usize>,
    given: Option<Node>,
    given_state: Option<Node>,
    /// The parameter, if it is one.
    value: Option<Node>,
    /// The state variable, if it is one.
    state: Option<Node>,
}

/// One run of a module, in which its tree is found or made.
pub(crate) struct Run {
    id: u64,
    places: Vec<Place>,
    by_module: HashMap<ModuleId, usize>,
    /// Parameters that were given for modules, wherever they are used.
    reuse: HashMap<ModuleId, Node>,
    /// Makes parameters that nobody gave.
    init_key: Option<Key>,
    initialized: u32,
    training: bool,
    key: Option<Key>,
    drawn: u32,
    /// Parameters that were read, for those who ask.
    read: Vec<(usize, Node)>,
    transforms: Vec<Transform>,
}

/// Replaces parameters while it is active.
struct Transform {
    place: usize,
    #[allow(clippy::type_complexity)]
    apply: Arc<dyn Fn(&mut Scope<'_>, &Tensor) -> Tensor + Send + Sync>,
    init: Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>,
    /// What has been replaced already in this run.
    done: HashMap<usize, Node>,
    counters: HashMap<Arc<str>, usize>,
    used: HashSet<usize>,
}

/// What a run is given.
#[derive(Default)]
pub(crate) struct Given {
    pub params: Option<Params>,
    pub state: Option<Params>,
    pub reuse: HashMap<ModuleId, Node>,
    pub init_key: Option<Key>,
    pub training: bool,
    pub key: Option<Key>,
}

impl Given {
    pub fn mode(mut self, mode: Mode) -> Self {
        (self.training, self.key) = match mode {
            Mode::Train(key) => (true, Some(key)),
            Mode::Eval => (false, None),
            Mode::EvalWithKey(key) => (false, Some(key)),
        };
        self
    }
}

/// What a run leaves.
pub(crate) struct Outcome {
    pub vars: Vars,
    /// Where each module's parameters are.
    pub modules: HashMap<ModuleId, Node>,
}

/// Runs a module.
#[track_caller]
pub(crate) fn run<X: Tree, M: Module<X>>(module: &M, x: &X, given: Given) -> (M::Output, Outcome) {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT_RUN.set(self.0);
        }
    }
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let _restore = Restore(CURRENT_RUN.replace(id));
    let own = module.id().and_then(|id| given.reuse.get(&id).cloned());
    let root = Place {
        parent: None,
        base: module.name().into(),
        occurrence: 0,
        positional: false,
        children: Vec::new(),
        given: own.or(given.params.map(|params| params.0)),
        given_state: given.state.map(|state| state.0),
        value: None,
        state: None,
    };
    let mut run = Run {
        id,
        places: vec![root],
        by_module: module.id().map(|id| (id, 0)).into_iter().collect(),
        reuse: given.reuse,
        init_key: given.init_key,
        initialized: 0,
        training: given.training,
        key: given.key,
        drawn: 0,
        read: Vec::new(),
        transforms: Vec::new(),
    };
    let y = module.forward(&mut Scope::at(&mut run, 0), x);
    let outcome = run.finish();
    (y, outcome)
}

impl Run {
    fn finish(self) -> Outcome {
        let params = Params(self.export(0, &|place| place.value.clone()));
        let state = Params(self.export(0, &|place| place.state.clone()));
        let modules = self.by_module.iter().map(|(id, &place)| (*id, self.export(place, &|place| place.value.clone())));
        Outcome { modules: modules.collect(), vars: Vars { params, state } }
    }

    /// The tree of parameters or of state below a place. Parts without any are left out of state, but
    /// kept among parameters, where they show the structure.
    fn export(&self, at: usize, leaf: &dyn Fn(&Place) -> Option<Node>) -> Node {
        let place = &self.places[at];
        if let Some(value) = leaf(place) {
            return value;
        }
        let exported: Vec<(usize, Node)> =
            place.children.iter().map(|&child| (child, self.export(child, leaf))).collect();
        let is_variable = |child: usize| self.places[child].value.is_some() || self.places[child].state.is_some();
        let children = exported
            .into_iter()
            // A variable of the other kind leaves an empty branch.
            .filter(|(child, node)| !(is_variable(*child) && node.is_empty() && leaf(&self.places[*child]).is_none()))
            .map(|(child, node)| (self.name(child), node))
            .collect::<Vec<_>>();
        Node::Branch(children.into())
    }

    /// The name among siblings: numbered where the base is not enough.
    fn name(&self, at: usize) -> Arc<str> {
        let place = &self.places[at];
        let Some(parent) = place.parent else {
            return place.base.clone();
        };
        let siblings = || self.places[parent].children.iter().map(|&child| &self.places[child]);
        if siblings().filter(|sibling| sibling.base == place.base).count() <= 1 {
            return place.base.clone();
        }
        // A separator where a number alone could be the name of another sibling.
        let ambiguous = siblings().any(|sibling| {
            sibling.base != place.base
                && sibling.base.strip_prefix(&*place.base).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
        });
        let separator = if ambiguous { "_" } else { "" };
        format!("{}{separator}{}", place.base, place.occurrence).into()
    }

    fn path(&self, at: usize) -> String {
        let mut names = Vec::new();
        let mut here = at;
        while let Some(parent) = self.places[here].parent {
            names.push(self.name(here));
            here = parent;
        }
        names.reverse();
        names.join(".")
    }
}

/// The child of what was given for the parent.
fn given_child(parent: Option<&Node>, base: &str, occurrence: usize) -> Option<Node> {
    let parent = parent?;
    let numbered = || parent.child(&format!("{base}_{occurrence}")).or_else(|| parent.child(&format!("{base}{occurrence}")));
    let found = if occurrence == 0 { parent.child(base).or_else(numbered) } else { numbered() };
    found.cloned()
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
            return module.forward(self, x);
        };
        let place = self.child(Some(id), name);
        module.forward(&mut Scope::at(self.run, place), x)
    }

    /// A parameter: one tensor of this shape, in f32, which `init` makes when the module is initialized.
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
                        let init = transform.init.clone();
                        node = map_node(&node, |leaf| init(leaf));
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

    /// The parameter as the active transforms, outermost first, make it.
    fn transformed(&mut self, place: usize, raw: Node) -> Node {
        let mut value = raw;
        for i in 0..self.run.transforms.len() {
            if let Some(done) = self.run.transforms[i].done.get(&place) {
                value = done.clone();
                continue;
            }
            let apply = self.run.transforms[i].apply.clone();
            let at = self.run.transforms[i].place;
            // What the transform itself has as parameters is subject to those outside of it only.
            let inner = self.run.transforms.split_off(i);
            let mut scope = Scope::at(self.run, at);
            let mut inner = inner;
            std::mem::swap(&mut scope.counters, &mut inner[0].counters);
            std::mem::swap(&mut scope.used, &mut inner[0].used);
            value = map_node(&value, |leaf| apply(&mut scope, leaf));
            std::mem::swap(&mut scope.counters, &mut inner[0].counters);
            std::mem::swap(&mut scope.used, &mut inner[0].used);
            inner[0].done.insert(place, value.clone());
            self.run.transforms.append(&mut inner);
        }
        self.run.read.push((place, value.clone()));
        value
    }

    /// A state variable, such as a running mean: its value as it goes in, or what `init` makes at first.
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
        let place = Place {
            parent: Some(self.place),
            occurrence,
            positional,
            children: Vec::new(),
            given: reused.or_else(|| given_child(parent.given.as_ref(), &base, occurrence)),
            given_state: given_child(parent.given_state.as_ref(), &base, occurrence),
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

    /// Runs `f`, and gives the tensors of all parameters that it read, each once.
    pub(crate) fn reading<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> (T, Vec<Tensor>) {
        let start = self.run.read.len();
        let result = f(self);
        let mut seen = HashSet::new();
        let read = self.run.read[start..].iter().filter(|(place, _)| seen.insert(*place));
        let tensors = read.flat_map(|(_, node)| Params(node.clone()).leaves()).collect();
        (result, tensors)
    }

    /// Runs `f` with all parameters below replaced.
    #[allow(clippy::type_complexity)]
    pub(crate) fn replacing<T>(
        &mut self,
        apply: Arc<dyn Fn(&mut Scope<'_>, &Tensor) -> Tensor + Send + Sync>,
        init: Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>,
        f: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.run.transforms.push(Transform {
            place: self.place,
            apply,
            init,
            done: HashMap::new(),
            counters: HashMap::new(),
            used: HashSet::new(),
        });
        let result = f(self);
        self.run.transforms.pop();
        result
    }

    /// A module inside as a pure function of variables, key and input, to be used in transforms.
    ///
    /// While parameters are made, the module runs on `example` to make its own.
    #[track_caller]
    pub fn bind<X: Tree, M: Module<X>>(&mut self, module: &M, example: &X) -> Bound<M> {
        let name = module.name();
        let place = match module.id() {
            Some(id) => self.child(Some(id), &name),
            None => self.place,
        };
        if self.is_initializing() {
            module.forward(&mut Scope::at(self.run, place), example);
        }
        let own = |run: &Run, leaf: &dyn Fn(&Place) -> Option<Node>, given: &Option<Node>| match given {
            Some(given) if run.init_key.is_none() => given.clone(),
            _ => run.export(place, leaf),
        };
        let here = &self.run.places[place];
        let vars = Vars {
            params: Params(own(self.run, &|place| place.value.clone(), &here.given)),
            state: Params(match &here.given_state {
                Some(given) if self.run.init_key.is_none() => given.clone(),
                _ => self.run.export(place, &|place| place.state.clone()),
            }),
        };
        // Parameters of modules that are first used elsewhere.
        let mut reuse = self.run.reuse.clone();
        for (id, &at) in &self.run.by_module {
            let here = &self.run.places[at];
            let node = match &here.given {
                Some(given) => given.clone(),
                None => self.run.export(at, &|place| place.value.clone()),
            };
            if !node.is_empty() && at != 0 {
                reuse.entry(*id).or_insert(node);
            }
        }
        Bound { module: module.clone(), vars, reuse, training: self.run.training, place }
    }

    /// Takes over the state that a bound module came out with.
    pub fn set_bound_state<M>(&mut self, bound: &Bound<M>, state: &Params) {
        self.absorb(bound.place, &state.0);
    }

    fn absorb(&mut self, at: usize, state: &Node) {
        match state {
            Node::Branch(children) => {
                for (name, child) in children.iter() {
                    let mine = self.run.places[at].children.clone();
                    let found = mine.into_iter().find(|&child| self.run.name(child) == *name);
                    let place = found.unwrap_or_else(|| {
                        // Not visited in this run, since the module ran as a pure function.
                        let index = self.run.places.len();
                        self.run.places.push(Place {
                            parent: Some(at),
                            base: name.clone(),
                            occurrence: 0,
                            positional: true,
                            children: Vec::new(),
                            given: None,
                            given_state: None,
                            value: None,
                            state: None,
                        });
                        self.run.places[at].children.push(index);
                        index
                    });
                    self.absorb(place, child);
                }
            }
            leaf => self.run.places[at].state = Some(leaf.clone()),
        }
    }
}

fn map_node(node: &Node, mut f: impl FnMut(&Tensor) -> Tensor) -> Node {
    match node {
        Node::Leaf(leaf) => Node::Leaf(f(leaf)),
        Node::Value(structure, leaves) => Node::Value(structure.clone(), leaves.iter().map(f).collect()),
        Node::Branch(_) => unreachable!("a parameter is a value"),
    }
}

/// A module as a pure function, made by [`Scope::bind`].
pub struct Bound<M> {
    module: M,
    /// The module's variables in this run.
    pub vars: Vars,
    reuse: HashMap<ModuleId, Node>,
    training: bool,
    place: usize,
}

impl<M> Bound<M> {
    /// Runs the module with these variables; gives its output and new state.
    #[track_caller]
    pub fn call<X: Tree>(&self, vars: &Vars, key: Option<Key>, x: &X) -> (M::Output, Params)
    where
        M: Module<X>,
    {
        let given = Given {
            params: Some(vars.params.clone()),
            state: Some(vars.state.clone()),
            reuse: self.reuse.clone(),
            init_key: None,
            training: self.training,
            key,
        };
        let (y, outcome) = run(&self.module, x, given);
        (y, outcome.vars.state)
    }
}

impl Scope<'_> {
    /// Runs a module for each index along the leading axis of `xs`, handing the carry on: the module takes
    /// `(carry, x)` and gives `(carry, y)`. Parameters are shared by all steps, state goes from step to
    /// step, and each step has a key of its own.
    #[track_caller]
    pub fn scan<C, X, Y, M>(&mut self, module: &M, init: C, xs: X) -> (C, Y)
    where
        C: Tree,
        X: Tree,
        Y: Tree,
        M: Module<(C, X), Output = (C, Y)>,
    {
        self.scan_in(module, init, xs, false)
    }

    /// As [`scan`](Self::scan), from the last index to the first.
    #[track_caller]
    pub fn scan_reverse<C, X, Y, M>(&mut self, module: &M, init: C, xs: X) -> (C, Y)
    where
        C: Tree,
        X: Tree,
        Y: Tree,
        M: Module<(C, X), Output = (C, Y)>,
    {
        self.scan_in(module, init, xs, true)
    }

    #[track_caller]
    fn scan_in<C, X, Y, M>(&mut self, module: &M, init: C, xs: X, reverse: bool) -> (C, Y)
    where
        C: Tree,
        X: Tree,
        Y: Tree,
        M: Module<(C, X), Output = (C, Y)>,
    {
        let (leaves, structure) = tree::flatten(&xs);
        let first: Vec<Tensor> = leaves.iter().map(|leaf| leaf.i(0_isize)).collect();
        let (init_leaves, init_structure) = tree::flatten(&init);
        let example = (
            unwrap(tree::unflatten::<C>(&init_structure, init_leaves)),
            unwrap(tree::unflatten::<X>(&structure, first)),
        );
        let bound = self.bind(module, &example);
        let steps = leaves.first().map_or(0, |leaf| leaf.shape()[0]);
        let params = bound.vars.params.clone();
        let key = self.key_for_steps();
        let step = |(carry, state): (C, Params), (x, i): (X, Tensor)| {
            let key = key.as_ref().map(|key| key.fold_in(&i));
            let vars = Vars { params: params.clone(), state };
            let ((carry, y), state) = bound.call(&vars, key, &(carry, x));
            ((carry, state), y)
        };
        let init = (init, bound.vars.state.clone());
        let scan = |step: &dyn Fn((C, Params), (X, Tensor)) -> ((C, Params), Y), xs| {
            if reverse { jaxnet_autograd::scan_reverse(step, init, xs) } else { jaxnet_autograd::scan(step, init, xs) }
        };
        let ((carry, state), ys) = scan(&step, (xs, Tensor::range(steps)));
        self.set_bound_state(&bound, &state);
        (carry, ys)
    }

    /// A key to derive those of steps from, where the run has one.
    fn key_for_steps(&mut self) -> Option<Key> {
        let has_key = self.run.key.is_some() || self.run.init_key.is_some();
        has_key.then(|| self.random_key())
    }

    /// Runs a module for one example on a batch along an axis of every leaf, with shared parameters and a
    /// key for each example. Modules with state cannot be run so.
    #[track_caller]
    pub fn vmap<X, M>(&mut self, module: &M, x: X, axis: isize) -> M::Output
    where
        X: Tree,
        M: Module<X>,
    {
        let (leaves, structure) = tree::flatten(&x);
        drop(x);
        let size = leaves.first().map_or(0, |leaf| leaf.dim(axis));
        let take = |leaf: &Tensor| leaf.move_axis(axis, 0).i(0_isize);
        let example = unwrap(tree::unflatten::<X>(&structure, leaves.iter().map(take).collect()));
        let bound = self.bind(module, &example);
        if !bound.vars.state.is_empty() {
            raise(Error::tree(self.path(), "a module with state cannot be mapped over a batch; its state would differ"));
        }
        let keys = self.key_for_steps().map(|key| key.split_batch(size));
        let batch = unwrap(tree::unflatten::<X>(&structure, leaves));
        let f = |(x, key): (X, Option<Key>)| bound.call(&bound.vars, key, &x).0;
        let axes = (axis, 0);
        jaxnet_autograd::vmap_axes(f, axes, 0)((batch, keys))
    }

    /// Runs a module so that its derivative keeps only its inputs, and computes the rest again.
    #[track_caller]
    pub fn checkpoint<X, M>(&mut self, module: &M, x: X) -> M::Output
    where
        X: Tree,
        M: Module<X>,
    {
        let (leaves, structure) = tree::flatten(&x);
        let bound = self.bind(module, &x);
        let key = self.key_for_steps();
        let f = |(x, vars, key): (X, Vars, Option<Key>)| bound.call(&vars, key, &x);
        drop(x);
        let x = unwrap(tree::unflatten::<X>(&structure, leaves));
        let (y, state) = jaxnet_autograd::checkpoint(f)((x, bound.vars.clone(), key));
        self.set_bound_state(&bound, &state);
        y
    }
}

/// An error about parameters, for those who check them.
pub(crate) fn needs_call(what: &str, module: &str) -> Result<()> {
    Err(Error::invalid(
        what,
        format!("module `{module}` has state; make its variables with `init` and run it with `call(&vars, &x, mode)`"),
    ))
}
