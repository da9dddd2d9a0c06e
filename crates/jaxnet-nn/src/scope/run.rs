//! One run of a module: the places that are found or made in its tree.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jaxnet_tensor::{Key, Tree, called_from};

use super::observe::{Observer, Use};
use super::transforms::{Reader, Transform};
use super::{CURRENT_RUN, Mode, ModuleId, NEXT, Scope};
use crate::module::Module;
use crate::params::{Node, Params, Vars};

/// A part of a run: what one use of a module has to itself.
pub(super) struct Place {
    pub parent: Option<usize>,
    pub base: Arc<str>,
    /// How many siblings with this base came before.
    pub occurrence: usize,
    /// Whether it is matched by where it is used, not by the module's identity.
    pub positional: bool,
    pub children: Vec<usize>,
    pub given: Option<Node>,
    pub given_state: Option<Node>,
    /// The name under which they were given, which tells of siblings that have not run yet.
    pub given_as: Option<Arc<str>>,
    /// The parameter, if it is one, before it is replaced by transforms.
    pub value: Option<Node>,
    /// The state variable, if it is one.
    pub state: Option<Node>,
}

/// One run of a module, in which its tree is found or made.
pub(crate) struct Run {
    pub(super) id: u64,
    pub(super) places: Vec<Place>,
    pub(super) by_module: HashMap<ModuleId, usize>,
    /// Parameters that were given for modules, wherever they are used.
    pub(super) reuse: HashMap<ModuleId, Node>,
    /// Makes parameters that nobody gave.
    pub(super) init_key: Option<Key>,
    pub(super) initialized: u32,
    pub(super) training: bool,
    pub(super) key: Option<Key>,
    pub(super) drawn: u32,
    pub(super) readers: Vec<Reader>,
    pub(super) transforms: Vec<Transform>,
    pub(super) observer: Option<Observer>,
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
    pub observer: Option<Observer>,
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

/// What a run leaves; what of it nobody asks for is not put together.
pub(crate) struct Outcome(Run);

impl Outcome {
    pub fn vars(&self) -> Vars {
        Vars { params: self.params(), state: self.state() }
    }

    pub fn params(&self) -> Params {
        Params(self.params_at(0))
    }

    fn params_at(&self, place: usize) -> Node {
        self.0.params(place, &|at| self.0.places[at].value.clone())
    }

    pub fn state(&self) -> Params {
        Params(self.0.state(0))
    }

    /// What was seen, where somebody was looking: each use of a module, and its parameters.
    pub fn uses(mut self) -> Vec<(String, Use, Node)> {
        let uses = self.0.observer.take().map(|observer| observer.uses).unwrap_or_default();
        uses.into_iter()
            .map(|seen| (self.0.path(seen.place), self.params_at(seen.place), seen))
            .map(|(path, node, seen)| (path, seen, node))
            .collect()
    }

    /// Where each module's parameters are.
    pub fn modules(&self) -> HashMap<ModuleId, Node> {
        self.0.by_module.iter().map(|(id, &place)| (*id, self.params_at(place))).collect()
    }
}

/// Runs a module.
#[track_caller]
pub(crate) fn run<X: Tree, M: Module<X>>(module: &M, x: &X, given: Given) -> (M::Output, Outcome) {
    called_from(crate::ROOT, || run_here(module, x, given))
}

#[track_caller]
fn run_here<X: Tree, M: Module<X>>(module: &M, x: &X, given: Given) -> (M::Output, Outcome) {
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
        given_as: None,
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
        readers: Vec::new(),
        transforms: Vec::new(),
        observer: given.observer,
    };
    let name = module.name();
    let y = Scope::at(&mut run, 0).observed(0, Some(&name), |cx| module.forward(&mut Scope::at(cx.run, 0), x));
    (y, Outcome(run))
}

impl Run {
    /// The tree of parameters below a place, for those values that there are. Modules without any are kept,
    /// where they show the structure.
    pub(super) fn params(&self, at: usize, value: &dyn Fn(usize) -> Option<Node>) -> Node {
        if let Some(value) = value(at) {
            return value;
        }
        let children = self.places[at].children.iter().filter_map(|&child| {
            let node = self.params(child, value);
            let here = &self.places[child];
            let is_variable = here.value.is_some() || here.state.is_some();
            let left_out = is_variable && node.is_empty() && value(child).is_none();
            (!left_out).then(|| (self.name(child), node))
        });
        Node::Branch(children.collect())
    }

    /// The tree of state below a place, without modules that have none.
    pub(super) fn state(&self, at: usize) -> Node {
        if let Some(state) = &self.places[at].state {
            return state.clone();
        }
        let children = self.places[at].children.iter().map(|&child| (child, self.state(child)));
        let has_state = |(child, node): &(usize, Node)| !node.is_empty() || self.places[*child].state.is_some();
        Node::Branch(children.filter(has_state).map(|(child, node)| (self.name(child), node)).collect())
    }

    /// Whether a place is another or below it.
    pub(super) fn is_within(&self, mut at: usize, other: usize) -> bool {
        loop {
            if at == other {
                return true;
            }
            match self.places[at].parent {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// The name among siblings: numbered where the base is not enough.
    pub(super) fn name(&self, at: usize) -> Arc<str> {
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

    /// The path of a place, as far as it is known before all have run.
    pub(super) fn path(&self, at: usize) -> String {
        let mut names = Vec::new();
        let mut here = at;
        while let Some(parent) = self.places[here].parent {
            names.push(self.places[here].given_as.clone().unwrap_or_else(|| self.name(here)));
            here = parent;
        }
        names.reverse();
        names.join(".")
    }
}

/// The child of what was given for the parent, and its name.
pub(super) fn given_child(parent: Option<&Node>, base: &str, occurrence: usize) -> Option<(Arc<str>, Node)> {
    let parent = parent?;
    let named = |name: String| parent.child(&name).map(|node| (name.into(), node.clone()));
    let plain = || if occurrence == 0 { named(base.into()) } else { None };
    plain().or_else(|| named(format!("{base}_{occurrence}"))).or_else(|| named(format!("{base}{occurrence}")))
}
