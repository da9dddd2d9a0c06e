//! Parameters that are read by whom it concerns, and replaced on their way to modules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jaxnet_tensor::{Tensor, Tree};

use super::Scope;
use crate::params::{Node, Params};

/// Computes a parameter from another; it may have parameters of its own.
pub(crate) type Replace = Arc<dyn Fn(&mut Scope<'_>, &Tensor) -> Tensor + Send + Sync>;

/// Replaces parameters while it is active.
#[derive(Clone)]
pub(super) struct Transform {
    place: usize,
    apply: Replace,
    init: Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>,
    /// What has been replaced already in this run.
    done: HashMap<usize, Node>,
    counters: HashMap<Arc<str>, usize>,
    used: HashSet<usize>,
}

impl Transform {
    /// What is stored of a new parameter.
    pub fn initial(&self, node: &Node) -> Node {
        map_node(node, |leaf| (self.init)(leaf))
    }
}

/// Takes note of parameters as they are read.
#[derive(Clone)]
pub(super) struct Reader {
    /// How many transforms were active when it started: parameters count as those leave them.
    depth: usize,
    read: Vec<(usize, Node)>,
}

impl Scope<'_> {
    /// The parameter as the active transforms, outermost first, make it.
    #[track_caller]
    pub(super) fn transformed(&mut self, place: usize, raw: Node) -> Node {
        let mut value = raw;
        for i in 0..=self.run.transforms.len() {
            for reader in self.run.readers.iter_mut().filter(|reader| reader.depth == i) {
                reader.read.push((place, value.clone()));
            }
            let Some(transform) = self.run.transforms.get(i) else { break };
            if let Some(done) = transform.done.get(&place) {
                value = done.clone();
                continue;
            }
            let (apply, at) = (transform.apply.clone(), transform.place);
            // What the transform itself has as parameters is subject to those outside of it only.
            let mut inner = self.run.transforms.split_off(i);
            let mut scope = Scope::at(self.run, at);
            std::mem::swap(&mut scope.counters, &mut inner[0].counters);
            std::mem::swap(&mut scope.used, &mut inner[0].used);
            value = map_node(&value, |leaf| apply(&mut scope, leaf));
            std::mem::swap(&mut scope.counters, &mut inner[0].counters);
            std::mem::swap(&mut scope.used, &mut inner[0].used);
            inner[0].done.insert(place, value.clone());
            self.run.transforms.append(&mut inner);
        }
        value
    }

    /// Runs `f`, and gives the places and values of all parameters that it read, each once, in order.
    #[track_caller]
    pub(super) fn reading_places<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> (T, Vec<(usize, Node)>) {
        self.run.readers.push(Reader { depth: self.run.transforms.len(), read: Vec::new() });
        let result = f(self);
        let reader = self.run.readers.pop().expect("readers come and go in order");
        let mut seen = HashSet::new();
        (result, reader.read.into_iter().filter(|(place, _)| seen.insert(*place)).collect())
    }

    /// Runs `f`, and gives the tensors of all parameters that it read, each once, in order, with the names that
    /// the parameters were given.
    #[track_caller]
    pub(crate) fn reading<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> (T, Vec<(Arc<str>, Tensor)>) {
        let (result, read) = self.reading_places(f);
        let named = |(place, node): (usize, Node)| {
            let name = self.run.places[place].base.clone();
            Params(node).leaves().into_iter().map(move |leaf| (name.clone(), leaf))
        };
        (result, read.into_iter().flat_map(named).collect())
    }

    /// Runs `f` with all parameters that it reads replaced; `init` says what is stored of new ones.
    #[track_caller]
    pub(crate) fn replacing<T>(
        &mut self,
        apply: Replace,
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

    /// Runs `f` without a trace: whatever it reads, draws, replaces and sets is as it was. It only leaves the
    /// places that it visited.
    pub(super) fn rehearsing<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let (transforms, readers, drawn) = (self.run.transforms.clone(), self.run.readers.clone(), self.run.drawn);
        let states: Vec<Option<Node>> = self.run.places.iter().map(|place| place.state.clone()).collect();
        self.rehearse_observed(true);
        let result = f(self);
        self.rehearse_observed(false);
        (self.run.transforms, self.run.readers, self.run.drawn) = (transforms, readers, drawn);
        let mut states = states.into_iter();
        for place in &mut self.run.places {
            // A state variable that was first visited now is as it was given.
            let first = place.state.as_ref().and(place.given_state.clone());
            place.state = states.next().flatten().or(first);
        }
        result
    }
}

fn map_node(node: &Node, mut f: impl FnMut(&Tensor) -> Tensor) -> Node {
    match node {
        Node::Leaf(leaf) => Node::Leaf(f(leaf)),
        Node::Value(structure, leaves) => Node::Value(structure.clone(), leaves.iter().map(f).collect()),
        Node::Branch(_) => unreachable!("a parameter is a value"),
    }
}
