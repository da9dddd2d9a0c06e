//! `vmap`: one more axis for a whole function.

use jaxnet_tensor::trace::{Tensors, Trace, TraceRef};
use jaxnet_tensor::{Dims, Error, Primitive, Result, Structure, Tensor, Tree, lax, tree};

use crate::function::{Function, Made, on_leaves};
use crate::rules;

/// A value of the batching trace: the whole batch, and the axis along which it lies.
struct Batched {
    value: Tensor,
    axis: usize,
}

struct Batch {
    size: usize,
}

impl Trace for Batch {
    fn bind(&self, this: &TraceRef, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        let (values, axes): (Vec<Tensor>, Vec<Option<usize>>) = inputs.iter().map(|input| parts(this, input)).unzip();
        let (outputs, axes) = rules::batch(primitive, self.size, &values, &axes)?;
        Ok(outputs.into_iter().zip(axes).map(|(value, axis)| join(this, value, axis)).collect())
    }

    fn name(&self) -> &'static str {
        "vmap"
    }
}

fn parts(trace: &TraceRef, value: &Tensor) -> (Tensor, Option<usize>) {
    match trace.payload::<Batched>(value) {
        Some(batched) => (batched.value.clone(), Some(batched.axis)),
        None => (value.clone(), None),
    }
}

fn join(trace: &TraceRef, value: Tensor, axis: Option<usize>) -> Tensor {
    match axis {
        Some(axis) => {
            let aval = value.aval().with_shape(value.shape().without_axis(axis));
            trace.value(aval, Batched { value, axis })
        }
        None => value,
    }
}

/// Runs `f` on batches; `None` is for values that all examples share.
pub(crate) fn batch_leaves(
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    size: usize,
    values: &[Tensor],
    axes: &[Option<usize>],
) -> Result<(Vec<Tensor>, Vec<Option<usize>>)> {
    let guard = TraceRef::start(Batch { size });
    let trace = guard.trace();
    let inputs: Vec<Tensor> = values.iter().zip(axes).map(|(value, axis)| join(trace, value.clone(), *axis)).collect();
    let outputs = f(&inputs)?;
    Ok(outputs.iter().map(|output| parts(trace, output)).unzip())
}

/// The value with its batch axis at `to`; a value that all examples share is repeated.
pub(crate) fn move_batch(value: &Tensor, size: usize, from: Option<usize>, to: usize) -> Result<Tensor> {
    let Some(from) = from else {
        let dims: Dims = (0..=value.rank()).filter(|&axis| axis != to).collect();
        return lax::broadcast_in_dim(value, value.shape().with_axis(to, size), &dims);
    };
    let mut permutation: Dims = (0..value.rank()).filter(|&axis| axis != from).collect();
    permutation.insert(to, from);
    lax::transpose(value, &permutation)
}

/// Which axis of each leaf is the batch: see [`vmap_axes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAxes {
    /// The same axis for all leaves below; negative ones count from the end.
    Axis(isize),
    /// No axis: all examples share the leaves below.
    Shared,
    /// One for each child of a tuple, list or struct, in order.
    Children(Vec<BatchAxes>),
}

/// What [`vmap_axes`] takes for [`BatchAxes`]: an axis, `None`, an `Option` of an axis, or a tuple of
/// these.
pub trait IntoBatchAxes {
    /// The axes.
    fn into_batch_axes(self) -> BatchAxes;
}

impl IntoBatchAxes for BatchAxes {
    fn into_batch_axes(self) -> BatchAxes {
        self
    }
}

impl IntoBatchAxes for isize {
    fn into_batch_axes(self) -> BatchAxes {
        BatchAxes::Axis(self)
    }
}

impl IntoBatchAxes for Option<isize> {
    fn into_batch_axes(self) -> BatchAxes {
        self.map_or(BatchAxes::Shared, BatchAxes::Axis)
    }
}

impl<T: IntoBatchAxes> IntoBatchAxes for Vec<T> {
    fn into_batch_axes(self) -> BatchAxes {
        BatchAxes::Children(self.into_iter().map(T::into_batch_axes).collect())
    }
}

macro_rules! tuple_axes {
    ($($($T:ident)*;)*) => {$(
        impl<$($T: IntoBatchAxes),*> IntoBatchAxes for ($($T,)*) {
            #[allow(non_snake_case)]
            fn into_batch_axes(self) -> BatchAxes {
                let ($($T,)*) = self;
                BatchAxes::Children(vec![$($T.into_batch_axes()),*])
            }
        }
    )*};
}

tuple_axes! { A; A B; A B C; A B C D; A B C D E; A B C D E F; }

impl BatchAxes {
    /// The axis for each leaf of a tree of this structure.
    fn of_leaves(&self, what: &str, structure: &Structure) -> Result<Vec<Option<isize>>> {
        let mut axes = Vec::new();
        let rest = self.visit(structure.tokens(), &mut axes).filter(|rest| rest.is_empty());
        rest.map(|_| axes).ok_or_else(|| {
            Error::invalid("vmap", format!("{what} axes {self:?} do not fit a tree of the structure {structure:?}"))
        })
    }

    /// Walks through the first node of some tokens, and returns the tokens after it.
    fn visit<'a>(&self, tokens: &'a [tree::Token], axes: &mut Vec<Option<isize>>) -> Option<&'a [tree::Token]> {
        use tree::Token;
        let (first, mut rest) = tokens.split_first()?;
        match first {
            Token::Leaf | Token::Key => match self {
                BatchAxes::Axis(axis) => axes.push(Some(*axis)),
                BatchAxes::Shared => axes.push(None),
                BatchAxes::Children(_) => return None,
            },
            Token::Fixed(_) => {}
            Token::Name(_) | Token::Index(_) => return None,
            Token::Node(_, children) => {
                if let BatchAxes::Children(each) = self
                    && each.len() != *children
                {
                    return None;
                }
                for i in 0..*children {
                    if let Some((Token::Name(_) | Token::Index(_), after)) = rest.split_first() {
                        rest = after;
                    }
                    let below = match self {
                        BatchAxes::Children(each) => &each[i],
                        same => same,
                    };
                    rest = below.visit(rest, axes)?;
                }
            }
        }
        Some(rest)
    }
}

/// The function for a whole batch: maps it over the leading axis of every leaf of its argument, and
/// gives results with a leading axis.
///
/// What it captures is shared by all examples.
///
/// # Panics
///
/// When the returned function is called: if the leading axes differ in size, or there is none.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{grad, vmap};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let per_example = vmap(grad(|x: Tensor| x.square().sum()));
/// assert_eq!(per_example(tensor![[1.0], [2.0]]).to_vec::<f32>(), [2.0, 4.0]);
/// ```
#[track_caller]
pub fn vmap<A: Tree, F: Function<A>>(f: F) -> impl Fn(A) -> F::Output
where
    F::Output: Tree,
{
    vmap_axes(f, 0, 0)
}

/// As [`vmap`], along other axes: one for all leaves, or a tuple with one for each child of the
/// argument (`None` for what all examples share), and likewise for the result.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::vmap_axes;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = |(x, y): (Tensor, Tensor)| x * y;
/// let outer = vmap_axes(f, (0, None), 1);
/// let result = outer((tensor![1.0, 2.0], tensor![10.0, 20.0, 30.0]));
/// assert_eq!(result.shape().dims(), [3, 2]);
/// ```
#[track_caller]
pub fn vmap_axes<A: Tree, F: Function<A>>(
    f: F,
    inputs: impl IntoBatchAxes,
    outputs: impl IntoBatchAxes,
) -> impl Fn(A) -> F::Output
where
    F::Output: Tree,
{
    let (inputs, outputs) = (inputs.into_batch_axes(), outputs.into_batch_axes());
    let made = Made::by("vmap");
    move |argument: A| made.unwrap(try_vmap(&f, &inputs, &outputs, argument))
}

fn try_vmap<A: Tree, B: Tree>(
    f: &impl Function<A, Output = B>,
    inputs: &BatchAxes,
    outputs: &BatchAxes,
    argument: A,
) -> Result<B> {
    let (values, structure) = tree::flatten(&argument);
    drop(argument);
    let axes = inputs.of_leaves("input", &structure)?;
    let name = |leaf| structure.name(leaf, "the argument");
    let mut size: Option<(usize, usize)> = None;
    let mut batch_axes = Vec::with_capacity(values.len());
    for (i, (value, axis)) in values.iter().zip(axes).enumerate() {
        let Some(axis) = axis else {
            batch_axes.push(None);
            continue;
        };
        let index = if axis < 0 { axis + value.rank() as isize } else { axis };
        if !(0..value.rank() as isize).contains(&index) {
            return Err(Error::invalid(
                "vmap",
                format!("{} is {}, which has no axis {axis} to map over; share it with `None`", name(i), value.aval()),
            ));
        }
        let here = value.shape()[index as usize];
        match size {
            None => size = Some((here, i)),
            Some((other, first)) if other != here => {
                return Err(Error::invalid(
                    "vmap",
                    format!("mapped axes differ in size: {other} of {}, {here} of {}", name(first), name(i)),
                ));
            }
            Some(_) => {}
        }
        batch_axes.push(Some(index as usize));
    }
    let Some((size, _)) = size else {
        return Err(Error::invalid("vmap", "no leaf of the argument has an axis to map over"));
    };
    let mut out = None;
    let (results, result_axes) =
        batch_leaves(|leaves| on_leaves(f, &structure, &mut out, leaves), size, &values, &batch_axes)?;
    let out = out.expect("the function has run");
    let wanted = outputs.of_leaves("output", &out)?;
    let moved = results
        .iter()
        .zip(result_axes)
        .zip(wanted)
        .map(|((result, from), to)| match (from, to) {
            (None, None) => Ok(result.clone()),
            (Some(_), None) => {
                Err(Error::invalid("vmap", "a result that differs between examples needs an output axis"))
            }
            (from, Some(to)) => {
                let rank = result.rank() + from.is_none() as usize;
                let index = if to < 0 { to + rank as isize } else { to };
                if !(0..rank as isize).contains(&index) {
                    return Err(Error::invalid("vmap", format!("a result with {rank} axes has no output axis {to}")));
                }
                move_batch(result, size, from, index as usize)
            }
        })
        .collect::<Result<_>>()?;
    tree::unflatten(&out, moved)
}
