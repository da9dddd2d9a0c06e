//! Cells on top of each other.

use std::borrow::Cow;
use std::sync::Arc;

use jaxnet_tensor::{OrRaise, Shape, Tensor, tree};

use super::super::Tag;
use super::RecurrentCell;
use crate::module::Module;
use crate::scope::{ModuleId, Scope};

/// Several cells as one, each of which takes what the one before gives: for stacks that are run step by step, or
/// whose carries are wanted. The carry is the list of theirs.
///
/// # Examples
///
/// ```
/// use jaxnet_nn::prelude::*;
///
/// let net = Rnn::new(Stacked::new([GruCell::new(8), GruCell::new(4)]));
/// let sequences = Tensor::ones([2, 7, 3]);
/// let params = net.init_params(Key::new(0), &sequences);
/// assert_eq!(params["stacked.gru_cell1.update_kernel"].shape().dims(), [12, 4]);
/// let (carries, y) = net.with_carry().apply(&params, &sequences);
/// assert!(carries[1].array_equal(y.i((.., -1))));
/// ```
#[derive(Clone)]
pub struct Stacked<M> {
    tag: Tag,
    cells: Vec<M>,
}

impl<M: RecurrentCell> Stacked<M> {
    /// These cells, the first of which takes the input. A cell that is there several times has one set of parameters.
    pub fn new(cells: impl IntoIterator<Item = M>) -> Self {
        Stacked { tag: Tag::new("stacked"), cells: cells.into_iter().collect() }
    }

    /// The cell with another name in parameter trees.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Stacked { tag: self.tag.named(name), ..self }
    }

    /// Another stack of the same cells, whose parameters they share.
    pub fn fresh(&self) -> Self {
        Stacked { tag: self.tag.fresh(), ..self.clone() }
    }
}

impl<M: RecurrentCell> RecurrentCell for Stacked<M> {
    type Carry = Vec<M::Carry>;

    fn initial_carry(&self, batch: impl Into<Shape>) -> Vec<M::Carry> {
        let batch = batch.into();
        self.cells.iter().map(|cell| cell.initial_carry(&batch)).collect()
    }
}

impl<M: RecurrentCell> Module<(Vec<M::Carry>, Tensor)> for Stacked<M> {
    type Output = (Vec<M::Carry>, Tensor);

    fn forward(&self, cx: &mut Scope<'_>, (carries, x): &(Vec<M::Carry>, Tensor)) -> Self::Output {
        if carries.len() != self.cells.len() {
            let (cells, given) = (self.cells.len(), carries.len());
            cx.fail("Stacked", format!("needs a carry for each of its {cells} cells, got {given}; see `initial_carry`"))
        }
        let mut x = x.clone();
        let mut next = Vec::new();
        for (cell, carry) in self.cells.iter().zip(carries) {
            let (leaves, structure) = tree::flatten(carry);
            let (carry, y) = cx.call(cell, &(tree::unflatten(&structure, leaves).or_raise(), x));
            next.push(carry);
            x = y;
        }
        (next, x)
    }

    fn id(&self) -> Option<ModuleId> {
        Some(self.tag.id)
    }

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.tag.name)
    }
}
