//! Looking into traced code.

use jaxnet_tensor::primitive::{Control, DebugAction};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{OrRaise, Tensor};

/// Prints a message whenever the traced program runs, with the values of tensors for each `{}`.
///
/// Under `grad` it prints values, not tangents; under `vmap` it prints the whole batch.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{debug_print, jit};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = jit(|x: Tensor| {
///     let y = x.sin();
///     debug_print("sin is {}", &[&y]);
///     y
/// });
/// f.call(tensor![0.0]); // prints: sin is [0.]
/// ```
#[track_caller]
pub fn debug_print(message: &str, values: &[&Tensor]) {
    let values: Vec<Tensor> = values.iter().map(|&value| value.clone()).collect();
    bind(&Control::Debug(DebugAction::Print(message.into())).into(), &values).or_raise();
}

/// The tensor as it is, after a check, whenever the program runs, that no element is NaN; `what` says in
/// the error what it was.
#[track_caller]
pub fn check_nan(x: &Tensor, what: &str) -> Tensor {
    let op = Control::Debug(DebugAction::CheckNan(what.into()));
    bind(&op.into(), std::slice::from_ref(x)).or_raise().remove(0)
}
