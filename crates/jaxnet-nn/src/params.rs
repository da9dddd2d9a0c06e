//! Parameter trees.

use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use jaxnet_tensor::tree::{Flattener, Structure, Unflattener};
use jaxnet_tensor::{Error, OrRaise, Result, Tensor, Tree, raise, tree};

/// An immutable, ordered, named tree of parameters (or of other variables, such as running statistics).
///
/// Nodes are named after the modules that define them; where siblings would have one name they are
/// numbered, as in `dense0`, `dense1`. Paths join names by dots.
///
/// Cloning shares the tensors.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = sequential![Dense::new(4), relu, Dense::new(2)];
/// let params = net.init_params(Key::new(0), &Tensor::zeros([1, 3]));
/// assert_eq!(params["dense0.kernel"].shape().dims(), [3, 4]);
/// assert_eq!(params.at("dense1").paths(), ["kernel", "bias"]);
/// let frozen = params.map(|path, leaf| if path.starts_with("dense0") { leaf.stop_gradient() } else { leaf.clone() });
/// ```
#[derive(Clone)]
pub struct Params(pub(crate) Node);

#[derive(Clone)]
pub(crate) enum Node {
    /// A parameter that is one tensor.
    Leaf(Tensor),
    /// A parameter that is a tree of tensors.
    Value(Structure, Arc<[Tensor]>),
    /// The parts of a module, in order of first use.
    Branch(Arc<[(Arc<str>, Node)]>),
}

impl Node {
    pub(crate) fn empty() -> Node {
        Node::Branch(Arc::from([]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Node::Leaf(_) => false,
            Node::Value(_, leaves) => leaves.is_empty(),
            Node::Branch(children) => children.iter().all(|(_, child)| child.is_empty()),
        }
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        match self {
            Node::Branch(children) => children.iter().find(|(here, _)| **here == *name).map(|(_, child)| child),
            _ => None,
        }
    }

    fn find(&self, path: &str) -> Option<&Node> {
        // A name may hold dots itself, so that every split is tried, the longest name first.
        if path.is_empty() {
            return Some(self);
        }
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]).collect::<Vec<_>>();
        ends.into_iter().rev().find_map(|end| {
            let rest = path.get(end + 1..).unwrap_or("");
            self.child(&path[..end])?.find(rest)
        })
    }
}

impl Default for Params {
    fn default() -> Self {
        Params::empty()
    }
}

impl Params {
    /// A tree without parameters.
    pub fn empty() -> Self {
        Params(Node::empty())
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths of the tensors, in order of first use.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// assert_eq!(params.paths(), ["kernel", "bias"]);
    /// ```
    pub fn paths(&self) -> Vec<String> {
        tree::paths(self)
    }

    /// The tensors with their paths, in order of first use.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// for (path, leaf) in params.iter() {
    ///     println!("{path}: {}", leaf.aval());
    /// }
    /// # assert_eq!(params.iter().count(), 2);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.paths().into_iter().zip(self.leaves())
    }

    /// The number of elements of all tensors.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// assert_eq!(params.size(), 3 * 2 + 2);
    /// ```
    pub fn size(&self) -> usize {
        self.leaves().iter().map(Tensor::size).sum()
    }

    /// The part below a path, which may be one parameter.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let net = sequential![Dense::new(4), Dense::new(2)];
    /// let params = net.init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// assert_eq!(params.at("dense1").paths(), ["kernel", "bias"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is none; the message lists what there is.
    #[track_caller]
    pub fn at(&self, path: &str) -> Params {
        match self.get(path) {
            Some(part) => part,
            None => raise(self.missing(path)),
        }
    }

    /// The part below a path, if there is one.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// assert!(params.get("bias").is_some() && params.get("scale").is_none());
    /// ```
    pub fn get(&self, path: &str) -> Option<Params> {
        self.0.find(path).cloned().map(Params)
    }

    /// The tree with another tensor at a path.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// let params = params.with("bias", &tensor![1.0, 2.0]);
    /// assert_eq!(params["bias"].to_vec::<f32>(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no tensor at this path.
    #[track_caller]
    pub fn with(&self, path: &str, value: &Tensor) -> Params {
        if !self.paths().iter().any(|here| here == path) {
            raise(self.missing(path));
        }
        self.map(|here, leaf| if here == path { value.clone() } else { leaf.clone() })
    }

    /// A tree of the same structure, of the tensors that `f` makes from the paths and tensors of this one.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// let halved = params.map(|path, leaf| if path == "kernel" { leaf * 0.5 } else { leaf.clone() });
    /// assert!(halved["kernel"].array_equal(&params["kernel"] * 0.5));
    /// ```
    #[track_caller]
    pub fn map(&self, f: impl FnMut(&str, &Tensor) -> Tensor) -> Params {
        self.map_leaves(f)
    }

    /// The same parameters, of which those at paths that `frozen` says have derivative zero: for training
    /// the others alone.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = sequential![Dense::new(4), relu, Dense::new(2)];
    /// let x = Tensor::ones([1, 3]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let loss = |p: Params| net.apply(&p.freeze(|path| path.starts_with("dense0")), &x).sum();
    /// let gradients = grad(loss)(params);
    /// assert_eq!(gradients["dense0.bias"].to_vec::<f32>(), [0.0; 4]);
    /// assert_eq!(gradients["dense1.bias"].to_vec::<f32>(), [1.0; 2]);
    /// ```
    #[track_caller]
    pub fn freeze(&self, frozen: impl Fn(&str) -> bool) -> Params {
        self.map(|path, leaf| if frozen(path) { leaf.stop_gradient() } else { leaf.clone() })
    }

    /// A tree of the same structure of boolean scalars, which say of each path whether it was picked.
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    /// let params = Dense::new(2).init_params(Key::new(0), &Tensor::ones([1, 3]));
    /// let kernels = params.mask(|path| path.ends_with("kernel"));
    /// assert!(kernels["kernel"].item::<bool>() && !kernels["bias"].item::<bool>());
    /// ```
    #[track_caller]
    pub fn mask(&self, picked: impl Fn(&str) -> bool) -> Params {
        self.map(|path, _| Tensor::scalar(picked(path)))
    }

    fn missing(&self, path: &str) -> Error {
        let paths = self.paths();
        let shown = if paths.is_empty() { "no parameters at all".to_string() } else { paths.join(", ") };
        Error::tree(path, format!("there is no such parameter; there are {shown}"))
    }
}

/// The tensor at a path.
impl Index<&str> for Params {
    type Output = Tensor;

    #[track_caller]
    fn index(&self, path: &str) -> &Tensor {
        match self.0.find(path) {
            Some(Node::Leaf(tensor)) => tensor,
            Some(_) => raise(Error::tree(path, "is not one tensor but a part of the tree; see `Params::at`")),
            None => raise(self.missing(path)),
        }
    }
}

impl Tree for Params {
    fn flatten(&self, to: &mut Flattener) {
        match &self.0 {
            Node::Leaf(tensor) => to.leaf(tensor),
            Node::Value(structure, leaves) => to.subtree(structure, leaves),
            Node::Branch(children) => {
                to.node("params", children.len());
                for (name, child) in children.iter() {
                    // A child is no more than a handle to clone.
                    to.field(name, &Params(child.clone()));
                }
            }
        }
    }

    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        if from.is_leaf() {
            return from.leaf().map(|leaf| Params(Node::Leaf(leaf)));
        }
        if !from.is_node("params") {
            let (structure, leaves) = from.subtree()?;
            return Ok(Params(Node::Value(structure, leaves.into())));
        }
        let len = from.node("params")?;
        let children = (0..len)
            .map(|_| from.named(|name, from| Ok((Arc::from(name), Params::unflatten(from)?.0))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Params(Node::Branch(children.into())))
    }
}

/// One line per parameter: path, shape and dtype.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (path, leaf)) in self.iter().enumerate() {
            write!(f, "{}{path}: {}", if i > 0 { "\n" } else { "" }, leaf.aval())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(path, leaf)| (path, leaf.aval().clone()))).finish()
    }
}

/// Parameters, and state that changes while the module runs, such as running statistics.
#[derive(Clone, Debug, Default, Tree)]
pub struct Vars {
    /// What is trained.
    pub params: Params,
    /// What goes in and comes out anew.
    pub state: Params,
}

impl Vars {
    /// Parameters without state.
    pub fn new(params: Params) -> Self {
        Vars { params, state: Params::empty() }
    }

    /// The same parameters with other state.
    pub fn with_state(&self, state: Params) -> Self {
        Vars { params: self.params.clone(), state }
    }
}

pub(crate) fn value_node<T: Tree>(value: &T) -> Node {
    let (mut leaves, structure) = tree::flatten(value);
    match structure.tokens() {
        [tree::Token::Leaf] => Node::Leaf(leaves.remove(0)),
        _ => Node::Value(structure, leaves.into()),
    }
}

pub(crate) fn node_value<T: Tree>(node: &Node, path: &str) -> Result<T> {
    let tree = match node {
        Node::Leaf(tensor) => {
            let leaf = Params(Node::Leaf(tensor.clone()));
            let (leaves, structure) = tree::flatten(&leaf);
            tree::unflatten(&structure, leaves)
        }
        Node::Value(structure, leaves) => tree::unflatten(structure, leaves.to_vec()),
        Node::Branch(_) => Err(Error::tree("", "is a part of the tree, not one parameter")),
    };
    tree.map_err(|error| Error::tree(path, format!("the given parameters do not fit this module: {error}")))
}

#[track_caller]
pub(crate) fn unwrap<T>(result: Result<T>) -> T {
    result.or_raise()
}
