//! What transforms take.

use std::panic::Location;

use jaxnet_tensor::{Error, OrRaise, Result, Tensor, Tree, tree};

/// A function from a tree to a tree that transforms take: a closure, a `fn`, or a
/// [`Jit`](crate::Jit) of one.
///
/// A function of several arguments takes them as one tuple: `|(x, y): (Tensor, Tensor)| …`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of `{A}`",
    note = "transforms take functions of one tree, passed by value: `|x: Tensor| …`, `|(x, y): (Tensor, Tensor)| …`"
)]
pub trait Function<A> {
    /// What it returns.
    type Output;

    /// Calls it.
    fn run(&self, argument: A) -> Self::Output;
}

impl<A, B, F: Fn(A) -> B> Function<A> for F {
    type Output = B;

    #[track_caller]
    fn run(&self, argument: A) -> B {
        self(argument)
    }
}

/// Where a transform made a function, which says so when it is called wrongly: a closure cannot know the
/// line that calls it.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    maker: &'static str,
    place: &'static Location<'static>,
}

impl Made {
    /// Made by this transform at the caller's line.
    #[track_caller]
    pub fn by(maker: &'static str) -> Self {
        Made { maker, place: Location::caller() }
    }

    /// The value, or an error that tells what happened, and where the function was made.
    pub fn within<T>(self, result: Result<T>) -> Result<T> {
        let Made { maker, place } = self;
        result.map_err(|error| Error::Within { error: Box::new(error), maker, place })
    }

    /// As [`within`](Self::within), or a panic.
    pub fn unwrap<T>(self, result: Result<T>) -> T {
        self.within(result).or_raise()
    }
}

/// A function on leaves that puts arguments together and takes results apart; the structure of the
/// result is left in `out`.
pub(crate) fn on_leaves<A: Tree, B: Tree>(
    f: &impl Function<A, Output = B>,
    structure: &tree::Structure,
    out: &mut Option<tree::Structure>,
    leaves: &[Tensor],
) -> Result<Vec<Tensor>> {
    let result = f.run(tree::unflatten(structure, leaves.to_vec())?);
    let (leaves, structure) = tree::flatten(&result);
    *out = Some(structure);
    Ok(leaves)
}

/// Refuses leaves that have no derivative, by name.
pub(crate) fn check_differentiable(transform: &str, structure: &tree::Structure, leaves: &[Tensor]) -> Result<()> {
    for (i, (leaf, is_key)) in leaves.iter().zip(structure.keys()).enumerate() {
        let place = || structure.name(i, "the argument");
        if is_key {
            return Err(Error::Differentiation(format!(
                "{transform}: {} is a random key, which has no derivative; capture the key or pass it beside \
                 the differentiated argument",
                place()
            )));
        }
        if !leaf.dtype().is_float() {
            return Err(Error::Differentiation(format!(
                "{transform}: {} is {}, which has no derivative; only floating-point tensors do. Capture it, \
                 or convert it with `.astype`",
                place(),
                leaf.aval()
            )));
        }
    }
    Ok(())
}
