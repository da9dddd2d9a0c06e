//! Recurrent layers: cells, and what runs them.

mod bidirectional;
mod gru;
mod lstm;
mod rnn;
mod stacked;

pub use bidirectional::Bidirectional;
pub use gru::{GruCell, ResetAfterGruCell};
pub use lstm::{LstmCell, RnnCell};
pub use rnn::{Rnn, RnnFromCarry, RnnWithCarry, RnnWithLengths};
pub use stacked::Stacked;

use jaxnet_tensor::{Key, Shape, Tensor, Tree};

use crate::init::{Init, Initializer, glorot_normal, orthogonal, zeros};
use crate::module::Module;
use crate::scope::Scope;

/// A cell for [`Rnn`]: from the carry and the input of a step to the next carry and the output.
pub trait RecurrentCell: Module<(Self::Carry, Tensor), Output = (Self::Carry, Tensor)> {
    /// What goes from step to step.
    type Carry: Tree + 'static;

    /// The carry before the first step, for a batch of this shape: so many sequences, or several axes of them, or
    /// `[]` for one sequence.
    fn initial_carry(&self, batch: impl Into<Shape>) -> Self::Carry;
}

/// Zeros of shape [batch.., size], of a weak type: the first step says which dtype that is.
fn zero_carry(batch: impl Into<Shape>, size: usize) -> Tensor {
    let batch = batch.into();
    Tensor::from(0.0).broadcast_to(batch.with_axis(batch.rank(), size))
}

/// Checks what a cell is given for a step.
#[track_caller]
fn check_step(cx: &Scope<'_>, kind: &str, size: usize, carry: &Tensor, x: &Tensor) {
    let (c, i) = (carry.shape(), x.shape());
    if x.rank() == 0 || carry.rank() == 0 || c[..c.rank() - 1] != i[..i.rank() - 1] || carry.dim(-1) != size {
        cx.fail(
            kind,
            format!(
                "needs a carry of shape [batch.., {size}] and an input of shape [batch.., channels], got {c} and {i}; \
                 `initial_carry(batch)` makes the first carry"
            ),
        )
    }
}

/// The parameters of several gates side by side, so that they are computed by one product.
#[derive(Clone)]
struct Gates {
    count: usize,
    kernel: Init,
    recurrent: Init,
    bias: Init,
}

impl Gates {
    fn new(count: usize) -> Self {
        let (kernel, recurrent) = (Init::new(glorot_normal()), Init::new(orthogonal(1.0)));
        Gates { count, kernel, recurrent, bias: Init::new(zeros()) }
    }

    fn with_kernel(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Gates { kernel: Init::new(init), ..self }
    }

    fn with_recurrent(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Gates { recurrent: Init::new(init), ..self }
    }

    fn with_bias(self, init: impl Initializer + Send + Sync + 'static) -> Self {
        Gates { bias: Init::new(init), ..self }
    }

    /// What inputs, with the bias, and the carry give to all gates.
    #[track_caller]
    fn products(&self, cx: &mut Scope<'_>, size: usize, carry: &Tensor, x: &Tensor) -> (Tensor, Tensor) {
        // An initializer must not take the gates for the outputs of one.
        let each = |init: &Init| {
            let (init, count) = (init.clone(), self.count);
            move |key: Key, shape: &Shape| {
                let part = Shape::from([shape[0], shape[1] / count]);
                let draw = |key| init.initialize(key, &part);
                Tensor::concatenate(&key.split_n(count).into_iter().map(draw).collect::<Vec<_>>(), -1)
            }
        };
        let all = size * self.count;
        let kernel = cx.param("input_kernel", [x.dim(-1), all], each(&self.kernel));
        let recurrent = cx.param("recurrent_kernel", [size, all], each(&self.recurrent));
        let bias = cx.param("bias", [all], self.bias.clone());
        (x.matmul(kernel) + bias, carry.matmul(recurrent))
    }
}
