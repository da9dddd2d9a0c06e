//! Modules as pure functions inside of others, and the transforms that need them.

use std::collections::HashMap;

use jaxnet_tensor::{Error, Key, Tensor, Tree, raise, tree};

use super::run::{Given, Place, run};
use super::{ModuleId, Scope};
use crate::module::{Module, abstractly};
use crate::params::{Node, Params, Vars, unwrap};

impl Scope<'_> {
    /// A module inside as a pure function of variables, key and input, to be used in transforms.
    ///
    /// The module visits its parameters once on `example`, of which only shapes and dtypes matter unless an
    /// initializer depends on data. (While parameters are made, it runs on it; otherwise it is traced.)
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// // A layer in a transform: the squared norm of the derivative of what it gives.
    /// let layer = Dense::new(1);
    /// let slope = parametrized("slope", move |cx, x: &Tensor| {
    ///     let bound = cx.bind(&layer, x);
    ///     let (vars, f) = (bound.vars.clone(), |vars: &Vars, x: &Tensor| bound.call(vars, None, x).0);
    ///     grad(|x: Tensor| f(&vars, &x).sum())(x.clone()).square().sum()
    /// });
    /// let x = Tensor::ones([1, 3]);
    /// let params = slope.init_params(Key::new(0), &x);
    /// assert_eq!(params.paths(), ["dense.kernel", "dense.bias"]);
    /// assert!(slope.apply(&params, &x).isclose(params["dense.kernel"].square().sum()).item::<bool>());
    /// ```
    #[track_caller]
    pub fn bind<X: Tree, M: Module<X>>(&mut self, module: &M, example: &X) -> Bound<M> {
        self.bind_named(&module.name(), module, example)
    }

    #[track_caller]
    fn bind_named<X: Tree, M: Module<X>>(&mut self, name: &str, module: &M, example: &X) -> Bound<M> {
        let place = match module.id() {
            Some(id) => self.child(Some(id), name),
            None => self.place,
        };
        let values: HashMap<usize, Node> = if self.is_initializing() {
            let forward = |cx: &mut Self| drop(module.forward(&mut Scope::at(cx.run, place), example));
            self.reading_places(forward).1.into_iter().collect()
        } else {
            // Which parameters it reads, and in which order, is only known when it runs; what transforms make
            // of them there is part of another trace, so that it is made again here.
            let visit = |cx: &mut Self| {
                abstractly(example, |x| {
                    let forward = |cx: &mut Self| module.forward(&mut Scope::at(cx.run, place), &x);
                    // In the place of the module around, it is a part of that.
                    if place == cx.place {
                        forward(cx)
                    } else {
                        cx.observed(place, None, forward)
                    };
                });
            };
            let (_, read) = self.rehearsing(|cx| cx.reading_places(visit));
            let value = |(place, _): (usize, Node)| {
                let raw = self.run.places[place].value.clone().expect("it has been read");
                (place, self.transformed(place, raw))
            };
            read.into_iter().map(value).collect()
        };
        let run = &*self.run;
        let value = |at: usize| values.get(&at).cloned();
        let vars = Vars { params: Params(run.params(place, &value)), state: Params(run.state(place)) };
        // Parameters that are stored elsewhere, as the modules are first used there.
        let elsewhere = run.by_module.iter().filter(|&(_, &at)| !run.is_within(at, place) && !run.is_within(place, at));
        let reuse = elsewhere.map(|(id, &at)| (*id, run.params(at, &value))).filter(|(_, node)| !node.is_empty());
        Bound { module: module.clone(), vars, reuse: reuse.collect(), training: run.training, place }
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
                            given_as: None,
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

/// What is first along an axis, or zeros of the same kind if there is nothing.
#[track_caller]
fn first(x: &Tensor, axis: isize) -> Tensor {
    if x.rank() == 0 {
        raise(Error::invalid("scan or vmap", "a scalar has no axis to run along"));
    }
    if x.dim(axis) > 0 {
        return x.move_axis(axis, 0).i(0_isize);
    }
    let axis = if axis < 0 { axis + x.rank() as isize } else { axis };
    Tensor::zeros(x.shape().without_axis(axis as usize)).astype(x.dtype())
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
            observer: None,
        };
        let (y, outcome) = run(&self.module, x, given);
        (y, outcome.state())
    }
}

impl Scope<'_> {
    /// Runs a module for each index along the leading axis of `xs`, handing the carry on: the module takes
    /// `(carry, x)` and gives `(carry, y)`. Parameters are shared by all steps, state goes from step to
    /// step, and each step has a key of its own.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// // A running sum with a learned decay.
    /// let step = parametrized("step", |cx, (sum, x): &(Tensor, Tensor)| {
    ///     let sum = sum * cx.param("decay", [], constant(0.5)) + x;
    ///     (sum.clone(), sum)
    /// });
    /// let sums = parametrized("sums", move |cx, xs: &Tensor| cx.scan(&step, Tensor::scalar(0_f32), xs.clone()).1);
    /// let xs = tensor![1.0, 1.0, 1.0];
    /// let params = sums.init_params(Key::new(0), &xs);
    /// assert_eq!(params.paths(), ["step.decay"]);
    /// assert_eq!(sums.apply(&params, &xs).to_vec::<f32>(), [1.0, 1.5, 1.75]);
    /// ```
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
        let first: Vec<Tensor> = leaves.iter().map(|leaf| first(leaf, 0)).collect();
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
        let xs = (xs, Tensor::range(steps));
        let ((carry, state), ys) = match reverse {
            false => jaxnet_autograd::scan(step, init, xs),
            true => jaxnet_autograd::scan_reverse(step, init, xs),
        };
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
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// // A module for one vector, on rows of them.
    /// let layer = parametrized("one", |cx, x: &Tensor| x * cx.param("scale", [3], ones()));
    /// let rows = parametrized("rows", move |cx, x: &Tensor| cx.vmap(&layer, x.clone(), 0));
    /// let x = Tensor::ones([5, 3]);
    /// let params = rows.init_params(Key::new(0), &x);
    /// assert_eq!(params.paths(), ["one.scale"]);
    /// assert_eq!(rows.apply(&params, &x).shape().dims(), [5, 3]);
    /// ```
    #[track_caller]
    pub fn vmap<X, M>(&mut self, module: &M, x: X, axis: isize) -> M::Output
    where
        X: Tree,
        M: Module<X>,
    {
        self.vmap_named(&module.name(), module, &x, axis)
    }

    #[track_caller]
    pub(crate) fn vmap_named<X, M>(&mut self, name: &str, module: &M, x: &X, axis: isize) -> M::Output
    where
        X: Tree,
        M: Module<X>,
    {
        let (leaves, structure) = tree::flatten(x);
        let size = leaves.first().map_or(0, |leaf| leaf.dim(axis));
        let example = leaves.iter().map(|leaf| first(leaf, axis)).collect();
        let bound = self.bind_named(name, module, &unwrap(tree::unflatten::<X>(&structure, example)));
        if !bound.vars.state.is_empty() {
            raise(Error::tree(
                self.path(),
                "a module with state cannot be mapped over a batch; its state would differ",
            ));
        }
        let keys = self.key_for_steps().map(|key| key.split_batch(size));
        let batch = unwrap(tree::unflatten::<X>(&structure, leaves));
        let f = |(x, key): (X, Option<Key>)| bound.call(&bound.vars, key, &x).0;
        let axes = (axis, 0);
        jaxnet_autograd::vmap_axes(f, axes, 0)((batch, keys))
    }

    /// Runs a module so that its derivative keeps only its inputs, and computes the rest again.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let block = sequential![Dense::new(8), tanh, Dense::new(8)];
    /// let net = parametrized("net", move |cx, x: &Tensor| cx.checkpoint(&block, x.clone()));
    /// let x = Tensor::ones([2, 3]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let gradients = grad(|params: Params| net.apply(&params, &x).sum())(params);
    /// assert_eq!(gradients["sequential.dense1.bias"].to_vec::<f32>(), [2.0; 8]);
    /// ```
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
