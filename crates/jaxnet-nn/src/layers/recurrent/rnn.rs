//! What runs cells over sequences.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{DType, OrRaise, Shape, Tensor, Tree, tree};

use super::super::Tag;
use super::RecurrentCell;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Runs a cell over the sequences in inputs of shape [batch.., sequence, channels], with any number of batch axes,
/// and gives its outputs in the same layout. See [`GruCell`](super::GruCell), [`LstmCell`](super::LstmCell).
///
/// Several in a [`sequential!`](crate::sequential!) are a stack, as is one with a [`Stacked`](super::Stacked) cell; see
/// also [`Bidirectional`](super::Bidirectional).
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = sequential![Rnn::new(GruCell::new(8)), Rnn::new(LstmCell::new(4)).reverse(), Dense::new(1)];
/// let sequences = Key::new(1).normal([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// let y = net.apply(&params, &sequences);
/// assert_eq!(y.shape().dims(), [2, 7, 1]);
/// assert!(net.apply(&params, &sequences.i(1)).allclose(y.i(1), 1e-5, 1e-6));
/// ```
pub struct Rnn<M, C = Tensor> {
    tag: Tag,
    cell: M,
    #[allow(clippy::type_complexity)]
    initial_carry: Arc<dyn Fn(&Shape) -> C + Send + Sync>,
    reverse: bool,
}

impl<M: Clone, C> Clone for Rnn<M, C> {
    fn clone(&self) -> Self {
        let (cell, initial_carry) = (self.cell.clone(), self.initial_carry.clone());
        Rnn { tag: self.tag.clone(), cell, initial_carry, reverse: self.reverse }
    }
}

impl<M: RecurrentCell> Rnn<M, M::Carry> {
    /// Runs this cell from its initial carry.
    pub fn new(cell: M) -> Self {
        let first = cell.clone();
        Rnn::with_initial_carry(cell, move |batch| first.initial_carry(batch))
    }
}

impl<C: Tree + 'static, M: Module<(C, Tensor), Output = (C, Tensor)>> Rnn<M, C> {
    /// Runs any module that takes `(carry, x)` and gives `(carry, y)`, from the carry that `initial_carry` makes
    /// for the shape of a batch, that is, of the axes before sequence and channels.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let sums = |(sum, x): &(Tensor, Tensor)| (sum + x, sum + x);
    /// let net = Rnn::with_initial_carry(sums, |batch| Tensor::zeros(batch.with_axis(batch.rank(), 1)));
    /// let y = net.apply(&Params::empty(), &tensor![[[1.0], [2.0], [3.0]]]);
    /// assert_eq!(y.to_vec::<f32>(), [1.0, 3.0, 6.0]);
    /// ```
    pub fn with_initial_carry(cell: M, initial_carry: impl Fn(&Shape) -> C + Send + Sync + 'static) -> Self {
        Rnn { tag: Tag::new("rnn"), cell, initial_carry: Arc::new(initial_carry), reverse: false }
    }

    /// From the last step to the first. Outputs stay with the inputs that they belong to.
    pub fn reverse(self) -> Self {
        Rnn { reverse: !self.reverse, ..self }
    }

    /// The same layer, from inputs to the last carry and the outputs.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = Rnn::new(LstmCell::new(4));
    /// let x = Key::new(1).normal([2, 7, 3]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let ((hidden, cell), y) = net.with_carry().apply(&params, &x);
    /// assert!(hidden.array_equal(y.i((.., -1))));
    /// assert_eq!(cell.shape().dims(), [2, 4]);
    /// ```
    pub fn with_carry(&self) -> RnnWithCarry<M, C> {
        RnnWithCarry(self.clone())
    }

    /// The same layer, from a first carry and inputs to the last carry and the outputs; or from a first carry, inputs
    /// and lengths, `(carry, (x, lengths))`, as [`with_lengths`](Self::with_lengths) takes them.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// // A sequence in two parts.
    /// let net = Rnn::new(GruCell::new(4));
    /// let x = Key::new(1).normal([2, 7, 3]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let (carry, _) = net.with_carry().apply(&params, &x.i((.., ..3)));
    /// let (_, y) = net.from_carry().apply(&params, &(carry, x.i((.., 3..))));
    /// assert!(y.allclose(net.apply(&params, &x).i((.., 3..)), 1e-5, 1e-6));
    /// ```
    pub fn from_carry(&self) -> RnnFromCarry<M, C> {
        RnnFromCarry(self.clone())
    }

    /// The same layer, from inputs and the lengths of sequences (batch..), integers, to the last carry and the outputs.
    /// What comes after a sequence's end does not count: there the carry stays, and outputs are 0, as those of
    /// PyTorch's packed sequences. (Flax's outputs there are whatever the cell gives.)
    ///
    /// Each leaf of the carry must have the batch's axes first.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaxnet_nn::prelude::*;
    ///
    /// let net = Rnn::new(GruCell::new(4));
    /// let x = Key::new(1).normal([2, 7, 3]);
    /// let params = net.init_params(Key::new(0), &x);
    /// let (carry, y) = net.with_lengths().apply(&params, &(x, tensor![7, 5]));
    /// assert!(carry.i(1).array_equal(y.i((1, 4))));
    /// assert_eq!(y.i((1, 5)).to_vec::<f32>(), [0.0; 4]);
    /// ```
    pub fn with_lengths(&self) -> RnnWithLengths<M, C> {
        RnnWithLengths(self.clone())
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Rnn { tag: self.tag.named(name), ..self }
    }

    /// Another layer that runs the same cell, whose parameters they share.
    pub fn fresh(&self) -> Self {
        Rnn { tag: self.tag.fresh(), ..self.clone() }
    }

    /// Runs over inputs; beyond lengths, if they are given, nothing happens.
    #[track_caller]
    fn run(&self, cx: &mut Scope<'_>, first: Option<C>, x: &Tensor, lengths: Option<&Tensor>) -> (C, Tensor) {
        if x.rank() < 2 {
            cx.fail("Rnn", format!("needs inputs of shape [batch.., sequence, channels], got {}", x.shape()))
        }
        let batch = Shape::from(&x.shape()[..x.rank() - 2]);
        let first = first.unwrap_or_else(|| {
            let carry = (self.initial_carry)(&batch);
            if x.dtype() != DType::F32 {
                return carry;
            }
            // Loops find out the dtypes of carries of weak type by tracing twice, which is seldom needed.
            let (leaves, structure) = tree::flatten(&carry);
            let strong = |leaf: Tensor| if leaf.dtype() == DType::F32 { leaf.astype(DType::F32) } else { leaf };
            tree::unflatten(&structure, leaves.into_iter().map(strong).collect()).or_raise()
        });
        let steps = x.move_axis(-2, 0);
        let (carry, y) = match lengths {
            None => self.scan(cx, &self.cell, first, steps),
            Some(lengths) => {
                if !lengths.dtype().is_integer() || *lengths.shape() != batch {
                    cx.fail(
                        "Rnn",
                        format!("needs the lengths of sequences, integers of shape {batch}, got {}", lengths.aval()),
                    )
                }
                let counts = Tensor::range(x.dim(-2)).reshape([&[x.dim(-2)][..], &vec![1; batch.rank()]].concat());
                self.scan(cx, &Masked(self.cell.clone()), first, (steps, counts.lt(lengths)))
            }
        };
        // Outputs may have other axes than the inputs.
        (carry, y.move_axis(0, batch.rank() as isize))
    }

    #[track_caller]
    fn scan<X: Tree, S>(&self, cx: &mut Scope<'_>, step: &S, first: C, steps: X) -> (C, Tensor)
    where
        S: Module<(C, X), Output = (C, Tensor)>,
    {
        if self.reverse { cx.scan_reverse(step, first, steps) } else { cx.scan(step, first, steps) }
    }
}

impl<C: Tree + 'static, M: Module<(C, Tensor), Output = (C, Tensor)>> Module<Tensor> for Rnn<M, C> {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        self.run(cx, None, x, None).1
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// An [`Rnn`] that gives its last carry too: see [`Rnn::with_carry`].
pub struct RnnWithCarry<M, C = Tensor>(Rnn<M, C>);

impl<M: Clone, C> Clone for RnnWithCarry<M, C> {
    fn clone(&self) -> Self {
        RnnWithCarry(self.0.clone())
    }
}

impl<C, M> Module<Tensor> for RnnWithCarry<M, C>
where
    C: Tree + 'static,
    M: Module<(C, Tensor), Output = (C, Tensor)>,
{
    type Output = (C, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> (C, Tensor) {
        self.0.run(cx, None, x, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

/// An [`Rnn`] over sequences of different lengths: see [`Rnn::with_lengths`].
pub struct RnnWithLengths<M, C = Tensor>(Rnn<M, C>);

impl<M: Clone, C> Clone for RnnWithLengths<M, C> {
    fn clone(&self) -> Self {
        RnnWithLengths(self.0.clone())
    }
}

impl<C, M> Module<(Tensor, Tensor)> for RnnWithLengths<M, C>
where
    C: Tree + 'static,
    M: Module<(C, Tensor), Output = (C, Tensor)>,
{
    type Output = (C, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (x, lengths): &(Tensor, Tensor)) -> (C, Tensor) {
        self.0.run(cx, None, x, Some(lengths))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

/// An [`Rnn`] that is given its first carry: see [`Rnn::from_carry`].
pub struct RnnFromCarry<M, C = Tensor>(Rnn<M, C>);

impl<M: Clone, C> Clone for RnnFromCarry<M, C> {
    fn clone(&self) -> Self {
        RnnFromCarry(self.0.clone())
    }
}

impl<C, M> Module<(C, Tensor)> for RnnFromCarry<M, C>
where
    C: Tree + 'static,
    M: Module<(C, Tensor), Output = (C, Tensor)>,
{
    type Output = (C, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, x): &(C, Tensor)) -> (C, Tensor) {
        self.0.run(cx, Some(again(carry)), x, None)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

impl<C, M> Module<(C, (Tensor, Tensor))> for RnnFromCarry<M, C>
where
    C: Tree + 'static,
    M: Module<(C, Tensor), Output = (C, Tensor)>,
{
    type Output = (C, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, (x, lengths)): &(C, (Tensor, Tensor))) -> (C, Tensor) {
        self.0.run(cx, Some(again(carry)), x, Some(lengths))
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.0.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0.tag.name)
    }
}

/// Trees need not be `Clone`.
#[track_caller]
fn again<C: Tree>(carry: &C) -> C {
    let (leaves, structure) = tree::flatten(carry);
    tree::unflatten(&structure, leaves).or_raise()
}

/// A step in which the cell runs only for some of the batch.
#[derive(Clone)]
struct Masked<M>(M);

impl<C, M> Module<(C, (Tensor, Tensor))> for Masked<M>
where
    C: Tree + 'static,
    M: Module<(C, Tensor), Output = (C, Tensor)>,
{
    type Output = (C, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, (x, counts)): &(C, (Tensor, Tensor))) -> (C, Tensor) {
        let (before, structure) = tree::flatten(carry);
        let (after, y) = cx.call(&self.0, &(again(carry), x.clone()));
        let batch = counts.shape();
        let beside = |x: &Tensor| {
            if !x.shape().starts_with(batch) {
                cx.fail(
                    "Rnn",
                    format!(
                        "sequences of different lengths need carries and outputs whose first axes are the batch, \
                         {batch}, got {}",
                        x.aval()
                    ),
                )
            }
            counts.reshape([batch.dims(), &vec![1; x.rank() - batch.rank()]].concat())
        };
        let next = tree::flatten(&after).0;
        let next = next.iter().zip(&before).map(|(after, before)| beside(after).select(after, before)).collect();
        let y = beside(&y).select(&y, 0);
        (tree::unflatten(&structure, next).or_raise(), y)
    }

    /// None of its own: the cell's place is that which it has without lengths.
    fn id(&self) -> Option<ModuleId> {
        None
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("masked")
    }
}
