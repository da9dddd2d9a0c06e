//! Gated recurrent units.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Shape, Tensor};

use super::super::Tag;
use super::{Gates, RecurrentCell, check_step, zero_carry};
use crate::init::{Init, Initializer, glorot_normal, zeros};
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// A gated recurrent unit (Cho et al. 2014), as JAXnet has it: from `(carry, x)` to the new carry, twice, where
/// carries are of shape [batch.., size] and inputs of shape [batch.., channels].
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
}

impl RecurrentCell for GruCell {
    type Carry = Tensor;

    fn initial_carry(&self, batch: impl Into<Shape>) -> Tensor {
        zero_carry(batch, self.size)
    }
}

impl Module<(Tensor, Tensor)> for GruCell {
    type Output = (Tensor, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, x): &(Tensor, Tensor)) -> (Tensor, Tensor) {
        check_step(cx, "GruCell", self.size, carry, x);
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

/// A gated recurrent unit with its reset gate after the product, as PyTorch, Flax and cuDNN have it: from
/// `(carry, x)` to the new carry, twice, where carries are of shape [batch.., size] and inputs of shape
/// [batch.., channels].
///
/// With `x @ input_kernel + bias` and `carry @ recurrent_kernel` each in three parts, `reset = sigmoid(x0 + h0)`,
/// `update = sigmoid(x1 + h1)`, `new = tanh(x2 + reset * (h2 + recurrent_bias))`, and the new carry is
/// `(1 - update) * new + update * carry`. [`GruCell`] is JAXnet's.
///
/// Parameters: `input_kernel` (channels, 3 · size), each third drawn by [`glorot_normal`]; `recurrent_kernel`
/// (size, 3 · size), each third drawn by [`orthogonal`](crate::init::orthogonal); `bias` (3 · size) and `recurrent_bias` (size), zeros.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Rnn::new(ResetAfterGruCell::new(4));
/// let sequences = Tensor::ones([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// assert_eq!(params["reset_after_gru_cell.input_kernel"].shape().dims(), [3, 12]);
/// assert_eq!(net.apply(&params, &sequences).shape().dims(), [2, 7, 4]);
/// ```
#[derive(Clone)]
pub struct ResetAfterGruCell {
    tag: Tag,
    size: usize,
    gates: Gates,
}

impl ResetAfterGruCell {
    /// A cell with a carry of this size.
    pub fn new(size: usize) -> Self {
        ResetAfterGruCell { tag: Tag::new("reset_after_gru_cell"), size, gates: Gates::new(3) }
    }

    /// The cell with another initializer of its input kernel, which makes each gate's part.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        ResetAfterGruCell { gates: self.gates.with_kernel(init), ..self }
    }

    /// The cell with another initializer of its recurrent kernel, which makes each gate's part.
    pub fn with_recurrent_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        ResetAfterGruCell { gates: self.gates.with_recurrent(init), ..self }
    }

    /// The cell with another initializer of its bias.
    pub fn with_bias_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        ResetAfterGruCell { gates: self.gates.with_bias(init), ..self }
    }

    /// The cell with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        ResetAfterGruCell { tag: self.tag.named(name), ..self }
    }

    /// Another cell of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        ResetAfterGruCell { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl RecurrentCell for ResetAfterGruCell {
    type Carry = Tensor;

    fn initial_carry(&self, batch: impl Into<Shape>) -> Tensor {
        zero_carry(batch, self.size)
    }
}

impl Module<(Tensor, Tensor)> for ResetAfterGruCell {
    type Output = (Tensor, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, x): &(Tensor, Tensor)) -> (Tensor, Tensor) {
        check_step(cx, "ResetAfterGruCell", self.size, carry, x);
        let (by_x, by_h) = self.gates.products(cx, self.size, carry, x);
        let bias = cx.param("recurrent_bias", [self.size], zeros());
        let (by_x, by_h) = (by_x.split(3, -1), by_h.split(3, -1));
        let reset = (&by_x[0] + &by_h[0]).sigmoid();
        let update = (&by_x[1] + &by_h[1]).sigmoid();
        let new = (&by_x[2] + reset * (&by_h[2] + bias)).tanh();
        let next = (1.0 - &update) * new + update * carry;
        (next.clone(), next)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
