//! Long short-term memory, and plain recurrence.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{Shape, Tensor};

use super::super::Tag;
use super::{Gates, RecurrentCell, check_step, zero_carry};
use crate::functions::tanh;
use crate::init::Initializer;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates), as PyTorch and Flax have it: from
/// `((hidden, cell), x)` to `((hidden, cell), hidden)`, where hidden state and cell are of shape [batch.., size], and
/// inputs of shape [batch.., channels].
///
/// With `x @ input_kernel + bias + hidden @ recurrent_kernel` in four parts, `input = sigmoid(a0)`,
/// `forget = sigmoid(a1)`, `new = tanh(a2)` and `output = sigmoid(a3)`, the new cell is
/// `forget * cell + input * new`, and the new hidden state `output * tanh(cell)`.
///
/// Parameters: `input_kernel` (channels, 4 · size), each quarter drawn by
/// [`glorot_normal`](crate::init::glorot_normal); `recurrent_kernel` (size, 4 · size), each quarter drawn by
/// [`orthogonal`](crate::init::orthogonal); `bias` (4 · size), zeros. (PyTorch's two biases are added up.)
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Rnn::new(LstmCell::new(4));
/// let sequences = Tensor::ones([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// assert_eq!(params["lstm_cell.input_kernel"].shape().dims(), [3, 16]);
/// assert_eq!(net.apply(&params, &sequences).shape().dims(), [2, 7, 4]);
/// ```
#[derive(Clone)]
pub struct LstmCell {
    tag: Tag,
    size: usize,
    gates: Gates,
}

impl LstmCell {
    /// A cell with hidden state and cell of this size.
    pub fn new(size: usize) -> Self {
        LstmCell { tag: Tag::new("lstm_cell"), size, gates: Gates::new(4) }
    }

    /// The cell with another initializer of its input kernel, which makes each gate's part.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        LstmCell { gates: self.gates.with_kernel(init), ..self }
    }

    /// The cell with another initializer of its recurrent kernel, which makes each gate's part.
    pub fn with_recurrent_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        LstmCell { gates: self.gates.with_recurrent(init), ..self }
    }

    /// The cell with another initializer of its bias.
    pub fn with_bias_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        LstmCell { gates: self.gates.with_bias(init), ..self }
    }

    /// The cell with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        LstmCell { tag: self.tag.named(name), ..self }
    }

    /// Another cell of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        LstmCell { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl RecurrentCell for LstmCell {
    type Carry = (Tensor, Tensor);

    fn initial_carry(&self, batch: impl Into<Shape>) -> (Tensor, Tensor) {
        let zeros = zero_carry(batch, self.size);
        (zeros.clone(), zeros)
    }
}

impl Module<((Tensor, Tensor), Tensor)> for LstmCell {
    type Output = ((Tensor, Tensor), Tensor);

    fn forward(&self, cx: &mut Scope<'_>, ((hidden, cell), x): &((Tensor, Tensor), Tensor)) -> Self::Output {
        check_step(cx, "LstmCell", self.size, hidden, x);
        check_step(cx, "LstmCell", self.size, cell, x);
        let (by_x, by_h) = self.gates.products(cx, self.size, hidden, x);
        let parts = (by_x + by_h).split(4, -1);
        let [input, forget, output] = [0, 1, 3].map(|i: usize| parts[i].sigmoid());
        let cell = forget * cell + input * parts[2].tanh();
        let hidden = output * cell.tanh();
        ((hidden.clone(), cell), hidden)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}

/// The plain recurrent cell (Elman 1990): from `(carry, x)` to the new carry, twice, which is
/// `tanh(x @ input_kernel + bias + carry @ recurrent_kernel)`, where carries are of shape [batch.., size] and inputs of
/// shape [batch.., channels].
///
/// Parameters: `input_kernel` (channels, size), drawn by [`glorot_normal`](crate::init::glorot_normal);
/// `recurrent_kernel` (size, size), drawn by [`orthogonal`](crate::init::orthogonal); `bias` (size), zeros.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Rnn::new(RnnCell::new(4).with_activation(relu));
/// let sequences = Tensor::ones([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// assert_eq!(net.apply(&params, &sequences).shape().dims(), [2, 7, 4]);
/// ```
#[derive(Clone)]
pub struct RnnCell {
    tag: Tag,
    size: usize,
    activation: fn(&Tensor) -> Tensor,
    gates: Gates,
}

impl RnnCell {
    /// A cell with a carry of this size.
    pub fn new(size: usize) -> Self {
        RnnCell { tag: Tag::new("rnn_cell"), size, activation: tanh, gates: Gates::new(1) }
    }

    /// The cell with another function in place of the hyperbolic tangent.
    pub fn with_activation(self, activation: fn(&Tensor) -> Tensor) -> Self {
        RnnCell { activation, ..self }
    }

    /// The cell with another initializer of its input kernel, which makes each gate's part.
    pub fn with_kernel_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        RnnCell { gates: self.gates.with_kernel(init), ..self }
    }

    /// The cell with another initializer of its recurrent kernel, which makes each gate's part.
    pub fn with_recurrent_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        RnnCell { gates: self.gates.with_recurrent(init), ..self }
    }

    /// The cell with another initializer of its bias.
    pub fn with_bias_init(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        RnnCell { gates: self.gates.with_bias(init), ..self }
    }

    /// The cell with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        RnnCell { tag: self.tag.named(name), ..self }
    }

    /// Another cell of the same kind, with parameters of its own.
    pub fn fresh(&self) -> Self {
        RnnCell { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl RecurrentCell for RnnCell {
    type Carry = Tensor;

    fn initial_carry(&self, batch: impl Into<Shape>) -> Tensor {
        zero_carry(batch, self.size)
    }
}

impl Module<(Tensor, Tensor)> for RnnCell {
    type Output = (Tensor, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carry, x): &(Tensor, Tensor)) -> (Tensor, Tensor) {
        check_step(cx, "RnnCell", self.size, carry, x);
        let (by_x, by_h) = self.gates.products(cx, self.size, carry, x);
        let next = (self.activation)(&(by_x + by_h));
        (next.clone(), next)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
