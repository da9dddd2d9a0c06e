//! What a tree is without its leaves.

use std::any::Any;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What a tree is without its leaves: the kinds and names of its nodes, and its fields that are no
/// tensors.
///
/// Structures of equal trees are equal, so that they can be keys of caches.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Structure(Arc<[Token]>);

/// A piece of a structure, which is written down in the order in which one walks through the tree.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Token {
    /// A tensor.
    Leaf,
    /// A random key.
    Key,
    /// A node of some kind, with so many children, which follow.
    Node(Arc<str>, usize),
    /// The name of the child that follows.
    Name(Arc<str>),
    /// The number of the child that follows.
    Index(usize),
    /// Something that is no tensor.
    Fixed(Fixed),
}

impl Token {
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Leaf => "a tensor".into(),
            Token::Key => "a random key".into(),
            Token::Node(kind, children) => format!("{kind} of {children} children"),
            Token::Name(name) => format!("field `{name}`"),
            Token::Index(index) => format!("element {index}"),
            Token::Fixed(value) => format!("{value:?}"),
        }
    }
}

impl Structure {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Structure(tokens.into())
    }

    /// The structure that these tokens write down, unless they do not write down one.
    pub fn from_tokens(tokens: Vec<Token>) -> Option<Self> {
        let structure = Structure::new(tokens);
        let mut visit = Visit { tokens: &structure.0, path: Vec::new(), leaves: Vec::new() };
        visit.node()?;
        visit.tokens.is_empty().then_some(())?;
        Some(structure)
    }

    /// The tokens.
    pub fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// The number of leaves.
    pub fn leaf_count(&self) -> usize {
        self.0.iter().filter(|token| matches!(token, Token::Leaf | Token::Key)).count()
    }

    /// The paths of the leaves, in order: names and numbers joined by dots.
    pub fn paths(&self) -> Vec<String> {
        let mut visit = Visit { tokens: &self.0, path: Vec::new(), leaves: Vec::new() };
        visit.node().expect("structures are well-formed");
        visit.leaves.into_iter().map(|(path, _)| path).collect()
    }

    /// How messages name a leaf: by its path, in backticks, or as the `whole` where the tree is one leaf, which has no
    /// path.
    ///
    /// # Panics
    ///
    /// Where there are not so many leaves.
    ///
    /// ```
    /// use jaxnet_tensor::{Tensor, tree};
    ///
    /// let x = Tensor::from(1.0);
    /// assert_eq!(tree::flatten(&x).1.name(0, "the argument"), "the argument");
    /// assert_eq!(tree::flatten(&(x.clone(), x)).1.name(1, "the argument"), "`1`");
    /// ```
    pub fn name(&self, leaf: usize, whole: &str) -> String {
        let path = self.paths().swap_remove(leaf);
        if path.is_empty() { whole.into() } else { format!("`{path}`") }
    }

    /// For each leaf, in order, whether it is a random key.
    pub fn keys(&self) -> Vec<bool> {
        let leaf = |token: &Token| match token {
            Token::Leaf => Some(false),
            Token::Key => Some(true),
            _ => None,
        };
        self.0.iter().filter_map(leaf).collect()
    }
}

/// The number of tokens of the tree that these tokens start with.
pub(super) fn first_tree(tokens: &[Token]) -> Option<usize> {
    let mut visit = Visit { tokens, path: Vec::new(), leaves: Vec::new() };
    visit.node()?;
    Some(tokens.len() - visit.tokens.len())
}

/// Walks through a structure, collecting the leaves' paths.
struct Visit<'a> {
    tokens: &'a [Token],
    path: Vec<String>,
    leaves: Vec<(String, bool)>,
}

impl<'a> Visit<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// A leaf, or a node with its children; `None` if there is neither.
    fn node(&mut self) -> Option<()> {
        match self.next()? {
            Token::Leaf => self.leaves.push((self.path.join("."), false)),
            Token::Key => self.leaves.push((self.path.join("."), true)),
            Token::Fixed(_) => {}
            Token::Node(_, children) => {
                for _ in 0..*children {
                    match self.tokens.first()? {
                        Token::Name(name) => self.path.push(name.to_string()),
                        Token::Index(index) => self.path.push(index.to_string()),
                        // The one child of an option has its parent's path, and what is fixed none.
                        _ => {
                            self.node()?;
                            continue;
                        }
                    }
                    self.next();
                    self.node()?;
                    self.path.pop();
                }
            }
            Token::Name(_) | Token::Index(_) => return None,
        }
        Some(())
    }
}

impl fmt::Debug for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter()).finish()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// A value of any type that can be compared and hashed.
#[derive(Clone)]
pub struct Fixed(Arc<dyn FixedValue>);

trait FixedValue: Send + Sync {
    fn any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Any) -> bool;
    fn hash(&self) -> u64;
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T: Eq + Hash + fmt::Debug + Send + Sync + 'static> FixedValue for T {
    fn any(&self) -> &dyn Any {
        self
    }
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| self == other)
    }
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Fixed {
    pub(super) fn new<T: Eq + Hash + fmt::Debug + Send + Sync + 'static>(value: T) -> Self {
        Fixed(Arc::new(value))
    }

    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        (*self.0).any().downcast_ref()
    }
}

impl PartialEq for Fixed {
    fn eq(&self, other: &Self) -> bool {
        (*self.0).equals((*other.0).any())
    }
}

impl Eq for Fixed {}

impl Hash for Fixed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64((*self.0).hash());
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self.0).debug(f)
    }
}
