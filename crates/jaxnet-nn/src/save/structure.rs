//! Structures of trees in files.

use std::collections::{HashMap, HashSet};

use jaxnet_tensor::tree::Token;
use jaxnet_tensor::{Error, Result, Structure};
use serde::{Deserialize, Serialize};

/// How deep a tree in a file may be, so that a hostile one does not exhaust the stack.
const MAX_DEPTH: usize = 256;

/// A [`Token`] as it is written to files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Piece {
    Leaf,
    Key,
    Node(String, usize),
    Name(String),
    Index(usize),
    /// Something that is no tensor, as text, to compare with.
    Fixed(String),
}

impl Piece {
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Piece::Fixed(text) => Some(text),
            _ => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            Piece::Leaf => "a tensor".into(),
            Piece::Key => "a random key".into(),
            Piece::Node(kind, children) => format!("{kind} of {children} parts"),
            Piece::Name(name) => format!("`{name}`"),
            Piece::Index(index) => format!("element {index}"),
            Piece::Fixed(text) => text.clone(),
        }
    }
}

pub(super) fn pieces(structure: &Structure) -> Vec<Piece> {
    let piece = |token: &Token| match token {
        Token::Leaf => Piece::Leaf,
        Token::Key => Piece::Key,
        Token::Node(kind, children) => Piece::Node(kind.to_string(), *children),
        Token::Name(name) => Piece::Name(name.to_string()),
        Token::Index(index) => Piece::Index(*index),
        Token::Fixed(value) => Piece::Fixed(format!("{value:?}")),
    };
    structure.tokens().iter().map(piece).collect()
}

/// Checks that the pieces are a tree, not deeper than is allowed, whose leaves' paths are together of no more
/// than so many bytes.
pub(super) fn check(pieces: &[Piece], max_path_bytes: usize) -> Result<(), String> {
    let mut walk = Walk::default();
    let mut path_bytes = 0_usize;
    for piece in pieces {
        walk.step(piece).ok_or("its structure is not that of a tree")?;
        if walk.frames.len() > MAX_DEPTH {
            return Err(format!("its tree is deeper than {MAX_DEPTH}"));
        }
        if matches!(piece, Piece::Leaf | Piece::Key) {
            path_bytes = path_bytes.saturating_add(walk.leaf_path_bytes);
        }
    }
    if path_bytes > max_path_bytes {
        return Err("its structure has names that its tensors have not".into());
    }
    if walk.done { Ok(()) } else { Err("its structure is not that of a tree".into()) }
}

/// The structure in a file of this size, unless it is not one, or of a kind that takes more memory than such a
/// file can need: paths are the names of its tensors, too.
pub(super) fn from_pieces(pieces: &[Piece], file_size: usize) -> Result<Structure, String> {
    check(pieces, file_size)?;
    let token = |piece: &Piece| match piece {
        Piece::Leaf => Some(Token::Leaf),
        Piece::Key => Some(Token::Key),
        Piece::Node(kind, children) => Some(Token::Node(kind.as_str().into(), *children)),
        Piece::Name(name) => Some(Token::Name(name.as_str().into())),
        Piece::Index(index) => Some(Token::Index(*index)),
        Piece::Fixed(_) => None,
    };
    let tokens: Option<Vec<Token>> = pieces.iter().map(token).collect();
    tokens.and_then(Structure::from_tokens).ok_or_else(|| "its structure is not that of a tree".into())
}

/// An error that names the first place where a file's structure differs.
pub(super) fn compare(expected: &[Piece], found: &[Piece]) -> Result<()> {
    let Some(at) = (0..expected.len().max(found.len())).find(|&i| expected.get(i) != found.get(i)) else {
        return Ok(());
    };
    let mut walk = Walk::default();
    for piece in &expected[..at] {
        walk.step(piece);
    }
    let describe = |piece: Option<&Piece>| piece.map_or("nothing".into(), Piece::describe);
    Err(Error::tree(
        walk.path.join("."),
        format!(
            "expected {}, the file has {}; it was saved from something else",
            describe(expected.get(at)),
            describe(found.get(at))
        ),
    ))
}

/// Goes through a structure without recursion, keeping track of where it is.
#[derive(Default)]
struct Walk<'a> {
    path: Vec<std::borrow::Cow<'a, str>>,
    path_bytes: usize,
    /// The length of the last leaf's path.
    leaf_path_bytes: usize,
    /// For each open node, how many children are missing, and whether it has an entry in the path.
    frames: Vec<(usize, bool)>,
    /// Whether the next value has been named.
    named: bool,
    done: bool,
}

impl<'a> Walk<'a> {
    /// `None` if this cannot follow.
    fn step(&mut self, piece: &'a Piece) -> Option<()> {
        if self.done {
            return None;
        }
        match piece {
            Piece::Name(_) | Piece::Index(_) if self.named || self.frames.is_empty() => return None,
            Piece::Name(name) => self.push(name.as_str().into()),
            Piece::Index(index) => self.push(index.to_string().into()),
            Piece::Node(_, children) => {
                self.frames.push((*children, self.named));
                self.named = false;
                self.close();
            }
            Piece::Leaf | Piece::Key | Piece::Fixed(_) => {
                self.leaf_path_bytes = self.path_bytes;
                self.value(self.named);
                self.close();
            }
        }
        Some(())
    }

    fn push(&mut self, name: std::borrow::Cow<'a, str>) {
        self.path_bytes = self.path_bytes.saturating_add(name.len() + 1);
        self.path.push(name);
        self.named = true;
    }

    /// A child is complete.
    fn value(&mut self, named: bool) {
        self.named = false;
        if named && let Some(name) = self.path.pop() {
            self.path_bytes -= name.len() + 1;
        }
        match self.frames.last_mut() {
            Some((missing, _)) => *missing -= 1,
            None => self.done = true,
        }
    }

    /// Closes nodes that are complete.
    fn close(&mut self) {
        while let Some((0, named)) = self.frames.last().copied() {
            self.frames.pop();
            self.value(named);
        }
    }
}

/// What the tensors of a structure's leaves are called in files: their paths, told apart where they are equal.
pub(super) fn names(structure: &Structure) -> Vec<String> {
    let paths = structure.paths();
    let all: HashSet<&str> = paths.iter().map(String::as_str).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let mut names = Vec::with_capacity(paths.len());
    for path in &paths {
        let seen = uses.entry(path).or_insert(0);
        *seen += 1;
        // The format keeps one name for itself.
        let free = *seen == 1 && !path.is_empty() && path != "__metadata__";
        let mut name = path.clone();
        while !free && (name == *path || all.contains(name.as_str())) {
            let base = if path.is_empty() { "value" } else { path };
            name = if *seen == 1 { base.to_string() } else { format!("{base}#{seen}") };
            if name == *path || all.contains(name.as_str()) {
                *seen += 1;
            }
        }
        names.push(name);
    }
    names
}
