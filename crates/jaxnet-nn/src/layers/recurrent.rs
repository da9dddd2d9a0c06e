//! Recurrent layers.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Tensor, Tree};

use super::Tag;
use crate::init::{Init, Initializer, glorot_normal};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A cell for [`Rnn`]: from the carry and the input of a step to the next carry and the output.
pub trait RecurrentCell: Module<(Self::Carry, Tensor), Output = (Self::Carry, Tensor)> {
    /// What goes from step to step.
    type Carry: Tree + 'static;

    /// The carry before the first step, for a batch of so many sequences.
    fn initial_carry(&self, batch: usize) -> Self::Carry;
}

/// A gated recurrent unit (Cho et al. 2014), as JAXnet has it: from `(carry, x)` to the new carry, twice, where
/// carries are of shape (batch, size) and inputs of shape (batch, channels).
///
/// With all products without bias, `update = sigmoid(concat(x, carry) @ update_kernel)`,
/// `reset = sigmoid(concat(x, carry) @ reset_kernel)`,
/// `compute = tanh(concat(x, reset * carry) @ compute_kernel)`, and the new carry is
/// `update * compute + (1 - update) * carry`.
///
/// Parameters: `update_kernel`, `reset_kernel` and `compute_kernel` (channels + size, size), drawn by
/// [`glorot_normal`].
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Rnn::new(GruCell::new(4));
/// let sequences = Tensor::ones([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// assert_eq!(params["gru_cell.update_kernel"].shape().dims(), [7, 4]);
/// assert_eq!(net.apply(&params, &sequences).shape().dims(), [2, 7, 4]);
/// ```
#[derive(Clone)]
pub struct GruCell {
    tag: Tag,
    size: usize,
    init: Init,
}

impl GruCell {
    /// A cell with a carry of this size.
    pub fn new(size: usize) -> Self {
        GruCell { tag: Tag::new("gru_cell"), size, init: Init::new(glorot_normal()) }
    }

    /// The cell with another initializer of its kernels.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        GruCell { init: Init::new(init), ..self }
    }

    /// The cell with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        GruCell { tag: self.tag.named(name), ..self }
    }

    /// Another cell of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        GruCell { tag: self.tag.fresh(), ..self.clone() }
    }

    /// Zeros of shape (batch, size).
    pub fn initial_carry(&self, batch: usize) -> Tensor {
        Tensor::zeros([batch, self.size])
    }
}

impl RecurrentCell for GruCell {
    type Carry = Tensor;

    fn initial_carry(&self, batch: usize) -> Tensor {
        GruCell::initial_carry(self, batch)
    }
}

impl Module<(Tensor, Tensor)> for GruCell {
    type Output = (Tensor, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, x): &(Tensor, Tensor)) -> (Tensor, Tensor) {
        let (c, i) = (carry.shape(), x.shape());
        if x.rank() == 0 || carry.rank() == 0 || c[..c.rank() - 1] != i[..i.rank() - 1] || carry.dim(-1) != self.size {
            cx.fail(
                "GruCell",
                format!(
                    "needs a carry of shape (batch, {}) and an input of shape (batch, channels), got {c} and {i}; \
                     `initial_carry(batch)` makes the first carry",
                    self.size
                ),
            )
        }
        let shape = [x.dim(-1) + self.size, self.size];
        let mut kernel = |name: &str| cx.param(name, shape, self.init.clone());
        let both = Tensor::concatenate(&[x.clone(), carry.clone()], -1);
        let update = both.matmul(kernel("update_kernel")).sigmoid();
        let reset = both.matmul(kernel("reset_kernel")).sigmoid();
        let reset_both = Tensor::concatenate(&[x.clone(), reset * carry], -1);
        let compute = reset_both.matmul(kernel("compute_kernel")).tanh();
        let next = &update * compute + (1.0 - &update) * carry;
        (next.clone(), next)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// Runs a cell over axis 1 of inputs of shape (batch, sequence, channels), and gives its outputs in the same
/// layout. See [`GruCell`].
pub struct Rnn<M, C = Tensor> {
    tag: Tag,
    cell: M,
    initial_carry: Arc<dyn Fn(usize) -> C + Send + Sync>,
}

impl<M: Clone, C> Clone for Rnn<M, C> {
    fn clone(&self) -> Self {
        Rnn { tag: self.tag.clone(), cell: self.cell.clone(), initial_carry: self.initial_carry.clone() }
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
    /// for the number of sequences in a batch.
    pub fn with_initial_carry(cell: M, initial_carry: impl Fn(usize) -> C + Send + Sync + 'static) -> Self {
        Rnn { tag: Tag::new("rnn"), cell, initial_carry: Arc::new(initial_carry) }
    }

    /// The layer with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Rnn { tag: self.tag.named(name), ..self }
    }

    /// Another layer that runs the same cell, whose parameters they share.
    pub fn fresh(&self) -> Self {
        Rnn { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl<C: Tree + 'static, M: Module<(C, Tensor), Output = (C, Tensor)>> Module<Tensor> for Rnn<M, C> {
    type Output = Tensor;

    fn forward(&self, cx: &mut Scope<'_>, x: &Tensor) -> Tensor {
        if x.rank() != 3 {
            cx.fail("Rnn", format!("needs inputs of shape (batch, sequence, channels), got {}", x.shape()))
        }
        let steps = x.swap_axes(0, 1);
        let (_, y) = cx.scan(&self.cell, (self.initial_carry)(x.dim(0)), steps);
        y.swap_axes(0, 1)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
