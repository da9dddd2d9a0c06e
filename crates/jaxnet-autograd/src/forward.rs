//! Forward mode: values with tangents.

use jaxnet_tensor::trace::{Tensors, Trace, TraceRef};
use jaxnet_tensor::{Error, OrRaise, Primitive, Result, Tensor, Tree, tree};

use crate::function::{Function, on_leaves};
use crate::rules;

/// A value of the forward-mode trace.
struct Dual {
    primal: Tensor,
    tangent: Tensor,
}

struct Forward;

impl Trace for Forward {
    fn bind(&self, this: &TraceRef, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        let (primals, tangents): (Vec<_>, Vec<_>) = inputs.iter().map(|input| parts(this, input)).unzip();
        let (outputs, tangents) = rules::jvp(primitive, &primals, &tangents)?;
        Ok(outputs.into_iter().zip(tangents).map(|(primal, tangent)| join(this, primal, tangent)).collect())
    }

    fn name(&self) -> &'static str {
        "jvp"
    }
}

fn parts(trace: &TraceRef, value: &Tensor) -> (Tensor, Option<Tensor>) {
    match trace.payload::<Dual>(value) {
        Some(dual) => (dual.primal.clone(), Some(dual.tangent.clone())),
        None => (value.clone(), None),
    }
}

fn join(trace: &TraceRef, primal: Tensor, tangent: Option<Tensor>) -> Tensor {
    match tangent {
        Some(tangent) => {
            debug_assert!(primal.aval().matches(tangent.aval()), "{} has tangent {}", primal.aval(), tangent.aval());
            trace.value(primal.aval().clone(), Dual { primal, tangent })
        }
        None => primal,
    }
}

/// Runs `f` forward; `None` is a tangent that is zero.
pub(crate) fn jvp_leaves(
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    primals: &[Tensor],
    tangents: &[Option<Tensor>],
) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
    let guard = TraceRef::start(Forward);
    let trace = guard.trace();
    let inputs: Vec<Tensor> =
        primals.iter().zip(tangents).map(|(primal, tangent)| join(trace, primal.clone(), tangent.clone())).collect();
    let outputs = f(&inputs)?;
    Ok(outputs.iter().map(|output| parts(trace, output)).unzip())
}

/// Tangent leaves for these primals: `None` where the dtype has none.
pub(crate) fn check_tangents(what: &str, primals: &[Tensor], tangents: Vec<Tensor>) -> Result<Vec<Option<Tensor>>> {
    if primals.len() != tangents.len() {
        return Err(Error::Differentiation(format!(
            "{what}: {} tangents for {} values; they must be trees of one structure",
            tangents.len(),
            primals.len()
        )));
    }
    let check = |(primal, tangent): (&Tensor, Tensor)| {
        if !primal.dtype().is_float() {
            return Ok(None);
        }
        let tangent = if tangent.is_weak() { tangent.astype(primal.dtype()) } else { tangent };
        if !primal.aval().matches(tangent.aval()) {
            return Err(Error::Differentiation(format!(
                "{what}: a tangent of {} must have its shape and dtype, got {}",
                primal.aval(),
                tangent.aval()
            )));
        }
        Ok(Some(tangent))
    };
    primals.iter().zip(tangents).map(check).collect()
}

/// The value of `f` and its derivative in a direction: the Jacobian times `tangent`.
///
/// Leaves without derivative (integers, booleans, keys) have tangents that are ignored, and results of
/// such dtypes have zeros.
///
/// # Panics
///
/// If `tangent` does not have the structure, shapes and dtypes of `primal`.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::jvp;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let (y, dy) = jvp(|x: Tensor| x.square(), tensor![3.0], tensor![1.0]);
/// assert_eq!((y.item::<f32>(), dy.item::<f32>()), (9.0, 6.0));
/// ```
#[track_caller]
pub fn jvp<A: Tree, F: Function<A>>(f: F, primal: A, tangent: A) -> (F::Output, F::Output)
where
    F::Output: Tree,
{
    try_jvp(&f, &primal, &tangent).or_raise()
}

fn try_jvp<A: Tree, B: Tree>(f: &impl Function<A, Output = B>, primal: &A, tangent: &A) -> Result<(B, B)> {
    let (primals, structure) = tree::flatten(primal);
    let tangents = check_tangents("jvp", &primals, tree::flatten(tangent).0)?;
    let mut out = None;
    let (outputs, tangents) = jvp_leaves(|leaves| on_leaves(f, &structure, &mut out, leaves), &primals, &tangents)?;
    let out = out.expect("the function has run");
    let tangents = instantiate(&outputs, tangents)?;
    Ok((tree::unflatten(&out, outputs)?, tree::unflatten(&out, tangents)?))
}

/// Tangents where their primals are, with zeros where they are known to be zero.
pub(crate) fn instantiate(primals: &[Tensor], tangents: Vec<Option<Tensor>>) -> Result<Vec<Tensor>> {
    let one =
        |(primal, tangent): (&Tensor, Option<Tensor>)| tangent.unwrap_or_else(|| primal.zeros_like()).beside(primal);
    primals.iter().zip(tangents).map(one).collect()
}
