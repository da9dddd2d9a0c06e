//! Normalization: one file a kind.

mod batch;
mod group;
mod layer;
mod weight;

pub use batch::BatchNorm;
pub use group::{GroupNorm, InstanceNorm};
pub use layer::{LayerNorm, RmsNorm};
pub(super) use weight::WeightNorm;

use jaxnet_tensor::{DType, Shape, Tensor, promote_types};

use crate::init::Initializer;
use crate::scope::Scope;

/// In which statistics are computed: f32 where the input is less than that.
#[track_caller]
fn wide(x: &Tensor) -> Tensor {
    if x.dtype() == DType::F64 { x.clone() } else { x.astype(DType::F32) }
}

/// What `x` and a result for it have in common: the dtype of the whole, with the parameters in it.
#[track_caller]
fn narrow(y: Tensor, x: &Tensor, parameters: &[&Option<Tensor>]) -> Tensor {
    let dtype = if x.dtype().is_float() { x.dtype() } else { DType::F32 };
    let of = |dtype, parameter: &Tensor| promote_types((dtype, false), (parameter.dtype(), parameter.is_weak())).0;
    let dtype = parameters.iter().filter_map(|parameter| parameter.as_ref()).fold(dtype, of);
    y.astype(dtype)
}

/// A parameter, if the layer has it.
#[track_caller]
fn optional(cx: &mut Scope<'_>, has: bool, name: &str, shape: &Shape, init: impl Initializer) -> Option<Tensor> {
    has.then(|| cx.param(name, shape, init))
}
