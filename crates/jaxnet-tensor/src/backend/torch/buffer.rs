//! Arrays, and who may write to their memory.

use std::fmt;
use std::sync::Arc;

use tch::Tensor;

use crate::backend::{BoxBuffer, Buffer};
use crate::primitive::{Elementwise, Index, Primitive, Reduce, ReduceKind, ShapeOp, UnaryOp};

/// An array of libtorch's, and a token of the memory that it is in.
///
/// libtorch's reshapes, broadcasts and slices give views: arrays on one memory. All of them hold the same
/// token, so that its count says how many there are.
pub(super) struct Held {
    pub tensor: Tensor,
    storage: Arc<()>,
}

// SAFETY: `tch::Tensor` is a counted pointer (with an atomic count) to an array that threads may read at
// the same time; it is not `Sync` because methods that take `&self` can write to the array. Here only
// `executable` calls such methods, on arrays that are its own and whose token nobody else has: no other
// thread can then reach their memory, be it through another array.
unsafe impl Sync for Held {}

impl Held {
    /// An array on memory of its own.
    pub fn new(tensor: Tensor) -> Self {
        Held { tensor, storage: Arc::new(()) }
    }

    /// An array that may be a view of this one.
    pub fn view(&self, tensor: Tensor) -> Self {
        Held { tensor, storage: self.storage.clone() }
    }

    /// Whether this is the only array on its memory.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.storage) == 1
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.view(self.tensor.shallow_clone())
    }
}

/// An array of libtorch's behind the trait.
#[derive(Clone)]
pub(super) struct TorchBuffer(Arc<Held>);

impl TorchBuffer {
    pub fn boxed(held: Held) -> BoxBuffer {
        Box::new(TorchBuffer(Arc::new(held)))
    }

    pub fn of(buffer: &dyn Buffer) -> &Held {
        let any: &dyn std::any::Any = buffer;
        let buffer: &TorchBuffer = any.downcast_ref().expect("a buffer of the libtorch engine");
        &buffer.0
    }

    /// The array; the buffer's own if nobody shares that.
    pub fn unbox(buffer: BoxBuffer) -> Held {
        let any: Box<dyn std::any::Any> = buffer;
        let buffer: Box<TorchBuffer> = any.downcast().expect("a buffer of the libtorch engine");
        Arc::try_unwrap(buffer.0).unwrap_or_else(|shared| Held::clone(&shared))
    }
}

impl Buffer for TorchBuffer {
    fn share(&self) -> BoxBuffer {
        Box::new(self.clone())
    }

    fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.is_alone()
    }
}

impl fmt::Debug for TorchBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TorchBuffer({:?})", self.0.tensor.device())
    }
}

/// Whether a primitive's results may be views of its first operand, or that operand itself. They never are
/// views of others.
pub(super) fn may_be_view(primitive: &Primitive) -> bool {
    match primitive {
        Primitive::Elementwise(op) => matches!(
            op,
            Elementwise::Convert(_)
                | Elementwise::BitcastConvert(_)
                | Elementwise::IntegerPow(_)
                | Elementwise::Unary(UnaryOp::Abs)
        ),
        Primitive::Shape(op) => !matches!(op, ShapeOp::Concatenate { .. } | ShapeOp::Iota { .. }),
        Primitive::Reduce(op) => match op {
            Reduce::Reduce { kind: ReduceKind::And | ReduceKind::Or, .. } => true,
            Reduce::Reduce { axes, .. } => axes.is_empty(),
            Reduce::Arg { .. } | Reduce::Cumulative { .. } => false,
        },
        Primitive::Window(op) => op.window().rank() == 0,
        Primitive::Index(op) => matches!(op, Index::DynamicSlice { .. }),
        // Of no elements where they are the operand itself.
        Primitive::Dot(_) | Primitive::Conv(_) | Primitive::Sort(_) | Primitive::Linalg(_) | Primitive::Random(_) => {
            false
        }
        Primitive::Control(_) => true,
    }
}
