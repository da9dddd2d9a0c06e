//! Trees: whatever is made of tensors.

mod impls;
mod ravel;
mod structure;

use std::fmt::Debug;
use std::hash::Hash;

pub use ravel::{ravel, unravel};
pub use structure::{Structure, Token};

use crate::device::Device;
use crate::error::{Error, OrRaise, Result, raise};
use crate::tensor::Tensor;
use structure::Fixed;

/// What is made of tensors: tensors and keys themselves, and tuples, arrays, vectors, options, maps and
/// structs of trees.
///
/// Transforms take and give trees, optimizers and checkpoints hold them. A tree is taken apart into a
/// [`Structure`] and its leaves, in order, and put together again from them.
///
/// Derive it for structs: each field is a tree, or is marked `#[tree(static)]` and becomes part of the
/// structure (then it must be `Clone + Eq + Hash + Debug + Send + Sync + 'static`).
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{tensor, tree, Tensor, Tree};
///
/// #[derive(Tree)]
/// struct Layer {
///     weight: Tensor,
///     bias: Option<Tensor>,
///     #[tree(static)]
///     name: String,
/// }
///
/// let layer = Layer { weight: tensor![2.0], bias: None, name: "first".into() };
/// let doubled = layer.map_leaves(|_path, leaf| leaf * 2.0);
/// assert_eq!(doubled.weight.item::<f32>(), 4.0);
/// assert_eq!(doubled.name, "first");
/// assert_eq!(tree::paths(&(layer, tensor![1.0])), ["0.weight", "1"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tree of tensors",
    label = "not a tree of tensors",
    note = "a number becomes a leaf with `Tensor::from(number)`",
    note = "a struct becomes a tree with `#[derive(Tree)]`; fields that are not tensors are marked `#[tree(static)]`"
)]
pub trait Tree: Sized + 'static {
    /// Writes down the structure, and hands over clones of the leaves' handles.
    fn flatten(&self, to: &mut Flattener);

    /// Reads what [`flatten`](Self::flatten) wrote.
    ///
    /// # Errors
    ///
    /// When the structure is of something else.
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self>;

    /// The leaves, in order.
    fn leaves(&self) -> Vec<Tensor> {
        flatten(self).0
    }

    /// A tree of the same structure whose leaves `f` makes from this one's and their paths.
    #[track_caller]
    fn map_leaves(&self, mut f: impl FnMut(&str, &Tensor) -> Tensor) -> Self {
        let (leaves, structure) = flatten(self);
        let paths = structure.paths();
        let leaves = leaves.iter().zip(&paths).map(|(leaf, path)| f(path, leaf)).collect();
        unflatten(&structure, leaves).or_raise()
    }

    /// A tree of the same structure whose leaves `f` makes from those of this one and of another, and their paths.
    ///
    /// # Panics
    ///
    /// If the other has another structure.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Tree, tensor};
    ///
    /// let (old, new) = ((tensor![1.0], tensor![2.0]), (tensor![3.0], tensor![6.0]));
    /// let between = old.zip_leaves(&new, |_path, old, new| (old + new) / 2.0);
    /// assert_eq!((between.0.to_vec::<f32>(), between.1.to_vec::<f32>()), (vec![2.0], vec![4.0]));
    /// ```
    #[track_caller]
    fn zip_leaves(&self, other: &Self, mut f: impl FnMut(&str, &Tensor, &Tensor) -> Tensor) -> Self {
        let ((leaves, structure), (others, other)) = (flatten(self), flatten(other));
        if structure != other {
            let message = format!("the trees differ in structure: {structure:?} and {other:?}");
            raise(Error::invalid("zip_leaves", message));
        }
        let paths = structure.paths();
        let leaves = leaves.iter().zip(&others).zip(&paths).map(|((leaf, other), path)| f(path, leaf, other)).collect();
        unflatten(&structure, leaves).or_raise()
    }

    /// The same tree with all leaves on a device.
    ///
    /// # Errors
    ///
    /// When a leaf is a traced value, or a device fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_tensor::{Device, Tree, tensor};
    ///
    /// let (x, y) = (tensor![1.0], tensor![2]).to_device(&Device::cpu())?;
    /// assert_eq!(y.device(), Some(&Device::cpu()));
    /// # Ok::<(), jaxnet_tensor::Error>(())
    /// ```
    fn to_device(&self, device: &Device) -> Result<Self> {
        let (leaves, structure) = flatten(self);
        unflatten(&structure, leaves.iter().map(|leaf| leaf.to(device)).collect::<Result<_>>()?)
    }
}

/// Collects what trees are made of.
#[derive(Default)]
pub struct Flattener {
    leaves: Vec<Tensor>,
    tokens: Vec<Token>,
}

impl Flattener {
    /// A leaf.
    pub fn leaf(&mut self, leaf: &Tensor) {
        self.tokens.push(Token::Leaf);
        self.leaves.push(leaf.clone());
    }

    /// A leaf that holds a random key.
    pub(crate) fn key(&mut self, leaf: &Tensor) {
        self.tokens.push(Token::Key);
        self.leaves.push(leaf.clone());
    }

    /// The start of a node with so many children, which follow.
    pub fn node(&mut self, kind: &'static str, children: usize) {
        self.tokens.push(Token::Node(kind.into(), children));
    }

    /// A child with a name.
    pub fn field(&mut self, name: &str, child: &impl Tree) {
        self.name(name);
        child.flatten(self);
    }

    /// The name of the child that follows.
    pub fn name(&mut self, name: &str) {
        self.tokens.push(Token::Name(name.into()));
    }

    /// A child with a number.
    pub fn element(&mut self, index: usize, child: &impl Tree) {
        self.tokens.push(Token::Index(index));
        child.flatten(self);
    }

    /// A tree that was taken apart before.
    pub fn subtree(&mut self, structure: &Structure, leaves: &[Tensor]) {
        self.tokens.extend(structure.tokens().iter().cloned());
        self.leaves.extend(leaves.iter().cloned());
    }

    /// Something that is no tensor.
    pub fn fixed<T: Clone + Eq + Hash + Debug + Send + Sync + 'static>(&mut self, value: &T) {
        self.tokens.push(Token::Fixed(Fixed::new(value.clone())));
    }
}

/// Puts trees together again.
pub struct Unflattener<'a> {
    tokens: std::slice::Iter<'a, Token>,
    leaves: std::vec::IntoIter<Tensor>,
    path: Vec<String>,
}

impl Unflattener<'_> {
    fn error<T>(&self, expected: &str, found: Option<&Token>) -> Result<T> {
        let found = found.map_or("the end".into(), Token::describe);
        Err(Error::tree(self.path.join("."), format!("expected {expected}, found {found}")))
    }

    /// A leaf.
    ///
    /// # Errors
    ///
    /// When there is something else.
    pub fn leaf(&mut self) -> Result<Tensor> {
        match self.tokens.next() {
            Some(Token::Leaf) => self.next_leaf(),
            other => self.error("a tensor", other),
        }
    }

    /// A leaf that holds a random key.
    pub(crate) fn key(&mut self) -> Result<Tensor> {
        match self.tokens.next() {
            Some(Token::Key) => self.next_leaf(),
            other => self.error("a random key", other),
        }
    }

    /// Whether a tensor comes next.
    pub fn is_leaf(&self) -> bool {
        matches!(self.tokens.as_slice().first(), Some(Token::Leaf))
    }

    /// Whether a node of this kind comes next.
    pub fn is_node(&self, kind: &str) -> bool {
        matches!(self.tokens.as_slice().first(), Some(Token::Node(found, _)) if **found == *kind)
    }

    /// A tree of any type, taken apart.
    ///
    /// # Errors
    ///
    /// When there are too few tensors.
    pub fn subtree(&mut self) -> Result<(Structure, Vec<Tensor>)> {
        let rest = self.tokens.as_slice();
        let Some(length) = structure::first_tree(rest) else {
            return self.error("a tree", rest.first());
        };
        let structure = Structure::new(rest[..length].to_vec());
        self.tokens = rest[length..].iter();
        let leaves = (0..structure.leaf_count()).map(|_| self.next_leaf()).collect::<Result<_>>()?;
        Ok((structure, leaves))
    }

    fn next_leaf(&mut self) -> Result<Tensor> {
        match self.leaves.next() {
            Some(leaf) => Ok(leaf),
            None => Err(Error::tree(self.path.join("."), "there are fewer tensors than the structure has leaves")),
        }
    }

    /// The start of a node of this kind; gives the number of its children.
    ///
    /// # Errors
    ///
    /// When there is something else.
    pub fn node(&mut self, kind: &str) -> Result<usize> {
        match self.tokens.next() {
            Some(Token::Node(found, children)) if **found == *kind => Ok(*children),
            other => self.error(kind, other),
        }
    }

    /// The same, of a known number of children.
    ///
    /// # Errors
    ///
    /// Also when the number is another.
    pub fn node_of(&mut self, kind: &str, children: usize) -> Result<()> {
        match self.node(kind)? {
            found if found == children => Ok(()),
            found => {
                Err(Error::tree(self.path.join("."), format!("expected {kind} of {children} children, found {found}")))
            }
        }
    }

    /// A child with this name.
    ///
    /// # Errors
    ///
    /// When there is something else.
    pub fn field<T: Tree>(&mut self, name: &str) -> Result<T> {
        match self.tokens.next() {
            Some(Token::Name(found)) if **found == *name => self.child(name.to_string()),
            other => self.error(&format!("field `{name}`"), other),
        }
    }

    /// A child with a name that `read` gets to know.
    ///
    /// # Errors
    ///
    /// When there is something else, or `read` fails.
    pub fn named<T>(&mut self, read: impl FnOnce(&str, &mut Self) -> Result<T>) -> Result<T> {
        match self.tokens.next() {
            Some(Token::Name(name)) => {
                self.path.push(name.to_string());
                let value = read(name, self)?;
                self.path.pop();
                Ok(value)
            }
            other => self.error("a name", other),
        }
    }

    /// A child with this number.
    ///
    /// # Errors
    ///
    /// When there is something else.
    pub fn element<T: Tree>(&mut self, index: usize) -> Result<T> {
        match self.tokens.next() {
            Some(Token::Index(found)) if *found == index => self.child(index.to_string()),
            other => self.error(&format!("element {index}"), other),
        }
    }

    fn child<T: Tree>(&mut self, name: String) -> Result<T> {
        self.path.push(name);
        let child = T::unflatten(self)?;
        self.path.pop();
        Ok(child)
    }

    /// Something that is no tensor.
    ///
    /// # Errors
    ///
    /// When there is something else.
    pub fn fixed<T: Clone + 'static>(&mut self) -> Result<T> {
        match self.tokens.next() {
            Some(Token::Fixed(value)) if value.get::<T>().is_some() => Ok(value.get::<T>().expect("just seen").clone()),
            other => self.error(std::any::type_name::<T>(), other),
        }
    }
}

/// Takes a tree apart into its leaves, in order, and its structure.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::{tensor, tree, Tensor};
///
/// let (leaves, structure) = tree::flatten(&(tensor![1.0], vec![tensor![2.0]]));
/// assert_eq!(leaves.len(), 2);
/// let (a, b): (Tensor, Vec<Tensor>) = tree::unflatten(&structure, leaves).unwrap();
/// ```
pub fn flatten<T: Tree>(tree: &T) -> (Vec<Tensor>, Structure) {
    let mut to = Flattener::default();
    tree.flatten(&mut to);
    (to.leaves, Structure::new(to.tokens))
}

/// Puts a tree together from its structure and leaves.
///
/// # Errors
///
/// When the structure is of another type, or there are too few or too many leaves.
pub fn unflatten<T: Tree>(structure: &Structure, leaves: Vec<Tensor>) -> Result<T> {
    let expected = structure.leaf_count();
    if leaves.len() != expected {
        return Err(Error::tree("", format!("has {expected} leaves, got {} tensors", leaves.len())));
    }
    let mut from = Unflattener { tokens: structure.tokens().iter(), leaves: leaves.into_iter(), path: Vec::new() };
    let tree = T::unflatten(&mut from)?;
    match from.tokens.next() {
        None => Ok(tree),
        some => from.error("the end", some),
    }
}

/// The paths of the leaves, in order: field names and element numbers, joined by dots.
pub fn paths<T: Tree>(tree: &T) -> Vec<String> {
    flatten(tree).1.paths()
}
