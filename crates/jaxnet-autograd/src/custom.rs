//! Functions that bring derivatives of their own.

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use jaxnet_tensor::primitive::{Control, Elementwise, Rule};
use jaxnet_tensor::program::Atom;
use jaxnet_tensor::program::stage::stage_closed;
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, Error, Memo, Primitive, Program, Result, Structure, Tensor, Tree, tree};

use crate::function::Made;

/// What makes two custom functions the same: the type, if they capture nothing, otherwise the object.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Identity {
    Type(TypeId),
    Object(u64),
}

impl Identity {
    fn of<T: 'static>() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if size_of::<T>() == 0 {
            Identity::Type(TypeId::of::<T>())
        } else {
            Identity::Object(NEXT.fetch_add(1, Ordering::Relaxed))
        }
    }
}

type Signature = (Identity, Structure, Vec<Aval>);

/// A custom function traced for a signature.
#[derive(Clone)]
struct Traced {
    body: Program,
    out: Structure,
    rules: Vec<Rule>,
}

fn traced(signature: Signature, trace: impl FnOnce(u64) -> Result<Traced>) -> Result<Traced> {
    static MEMO: OnceLock<Memo<Signature, Traced>> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    MEMO.get_or_init(|| Memo::new(1024)).get_or_try_insert(signature, |_| trace(NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn float_avals(avals: &[Aval]) -> impl Iterator<Item = Aval> + '_ {
    avals.iter().filter(|aval| aval.dtype.is_float()).map(Aval::strong)
}

/// Leaves of a tangent tree: those given for floats, zeros of the primals' kinds for others.
fn complete(primals: &[Aval], floats: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut floats = floats.iter();
    primals
        .iter()
        .map(|aval| match aval.dtype.is_float() {
            true => floats.next().cloned().ok_or_else(|| Error::Differentiation("a tangent is missing".into())),
            false => jaxnet_tensor::lax::full(aval, 0),
        })
        .collect()
}

/// Leaves that are floats, which must match these kinds.
fn floats_of(what: &str, avals: &[Aval], leaves: Vec<Tensor>) -> Result<Vec<Tensor>> {
    if leaves.len() != avals.len() {
        return Err(Error::Differentiation(format!("{what}: {} leaves instead of {}", leaves.len(), avals.len())));
    }
    let check = |(aval, leaf): (&Aval, Tensor)| {
        let leaf = if leaf.is_weak() { leaf.astype(aval.dtype) } else { leaf };
        if leaf.aval().matches(aval) {
            return Ok(leaf);
        }
        Err(Error::Differentiation(format!("{what}: gave {} where {aval} belongs", leaf.aval())))
    };
    avals.iter().zip(leaves).filter(|(aval, _)| aval.dtype.is_float()).map(check).collect()
}

/// A function with a derivative of its own: `rule(x, t)` gives the value at `x` and its tangent in
/// direction `t`, in which it must be linear. Both modes, of any order, follow from it.
///
/// Tangents are trees like the argument and the result; those of integers and booleans are zeros that do
/// not matter. Neither function may capture tensors: pass them as part of the argument.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{custom_jvp, grad};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// // log(1 + e^x) with a derivative that does not overflow.
/// let softplus = custom_jvp(
///     |x: Tensor| x.exp().log1p(),
///     |x: Tensor, t: Tensor| (x.exp().log1p(), t * x.sigmoid()),
/// );
/// let gradient = grad(|x: Tensor| softplus(x).sum())(tensor![1000.0]);
/// assert_eq!(gradient.item::<f32>(), 1.0);
/// ```
#[track_caller]
pub fn custom_jvp<A, B, F, R>(f: F, rule: R) -> impl Fn(A) -> B
where
    A: Tree + 'static,
    B: Tree + 'static,
    F: Fn(A) -> B + 'static,
    R: Fn(A, A) -> (B, B) + Send + Sync + 'static,
{
    let identity = Identity::of::<(F, R, PhantomData<(A, B)>)>();
    let rule = Arc::new(rule);
    let made = Made::by("custom_jvp");
    move |argument: A| {
        let (leaves, structure) = tree::flatten(&argument);
        let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
        let traced = traced((identity.clone(), structure.clone(), avals.clone()), |id| {
            let (body, out) = trace_closed("custom_jvp", &f, &structure, &avals)?;
            let outputs: Vec<Aval> = body.output_avals().collect();
            let (rule, structure, avals) = (rule.clone(), structure.clone(), avals.clone());
            let make = move || {
                let inputs: Vec<Aval> = avals.iter().cloned().chain(float_avals(&avals)).collect();
                let program = stage_closed("a custom_jvp rule", &inputs, |values| {
                    let (primals, tangents) = values.split_at(avals.len());
                    let primal = tree::unflatten(&structure, primals.to_vec())?;
                    let tangent = tree::unflatten(&structure, complete(&avals, tangents)?)?;
                    let (value, tangent) = rule(primal, tangent);
                    let mut results = value.leaves();
                    for (result, aval) in results.iter().zip(&outputs) {
                        if !result.aval().matches(aval) {
                            return Err(Error::Differentiation(format!(
                                "custom_jvp: the rule gives the value {} where the function gives {aval}",
                                result.aval()
                            )));
                        }
                    }
                    results.extend(floats_of("custom_jvp: the rule's tangent", &outputs, tangent.leaves())?);
                    Ok(results)
                })?;
                check_tangents_are_used(&program, avals.len(), outputs.len())?;
                Ok(program)
            };
            Ok(Traced { body, out, rules: vec![Rule::new(vec![0, id], move || made.within(make()))] })
        });
        let traced = made.unwrap(traced);
        let op = Control::CustomJvp { body: traced.body, rule: traced.rules[0].clone() };
        let results = made.unwrap(bind(&op.into(), &leaves));
        made.unwrap(tree::unflatten(&traced.out, results.into_vec()))
    }
}

/// A function with a reverse-mode derivative of its own: `forward(x)` gives the value at `x` and what
/// `backward(residuals, cotangent)` needs to give the cotangent of `x`.
///
/// Forward mode is not possible; see [`custom_jvp`]. Cotangents of integers and booleans are zeros that
/// do not matter. The functions may not capture tensors: pass them as part of the argument.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{custom_vjp, grad};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// // The identity, whose gradient is clipped.
/// let clip = custom_vjp(
///     |x: Tensor| x,
///     |x: Tensor| (x, ()),
///     |(), ct: Tensor| ct.clip(-1.0, 1.0),
/// );
/// let gradient = grad(|x: Tensor| (clip(x) * 5.0).sum())(tensor![0.0]);
/// assert_eq!(gradient.item::<f32>(), 1.0);
/// ```
#[track_caller]
pub fn custom_vjp<A, B, S, F, Fwd, Bwd>(f: F, forward: Fwd, backward: Bwd) -> impl Fn(A) -> B
where
    A: Tree + 'static,
    B: Tree + 'static,
    S: Tree + 'static,
    F: Fn(A) -> B + 'static,
    Fwd: Fn(A) -> (B, S) + Send + Sync + 'static,
    Bwd: Fn(S, B) -> A + Send + Sync + 'static,
{
    let identity = Identity::of::<(F, Fwd, Bwd, PhantomData<(A, B, S)>)>();
    let functions = Arc::new((forward, backward));
    let made = Made::by("custom_vjp");
    move |argument: A| {
        let (leaves, structure) = tree::flatten(&argument);
        let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
        let traced = traced((identity.clone(), structure.clone(), avals.clone()), |id| {
            let (body, out) = trace_closed("custom_vjp", &f, &structure, &avals)?;
            let outputs: Vec<Aval> = body.output_avals().collect();
            // The structure of the residuals is known once the forward function has been traced.
            let residuals: Arc<OnceLock<Structure>> = Arc::default();
            let forward = {
                let (functions, structure, avals) = (functions.clone(), structure.clone(), avals.clone());
                let (outputs, residuals) = (outputs.clone(), residuals.clone());
                Rule::new(vec![1, id], move || {
                    let program = stage_closed("a custom_vjp forward function", &avals, |values| {
                        let (value, saved) = functions.0(tree::unflatten(&structure, values.to_vec())?);
                        let mut results = value.leaves();
                        if results.len() != outputs.len()
                            || results.iter().zip(&outputs).any(|(x, aval)| !x.aval().matches(aval))
                        {
                            return Err(Error::Differentiation(
                                "custom_vjp: the forward function must give the value that the function gives".into(),
                            ));
                        }
                        let (saved, saved_structure) = tree::flatten(&saved);
                        let _ = residuals.set(saved_structure);
                        results.extend(saved);
                        Ok(results)
                    });
                    made.within(program)
                })
            };
            let backward = {
                let (functions, avals, out, forward) = (functions.clone(), avals.clone(), out.clone(), forward.clone());
                Rule::new(vec![2, id], move || {
                    let saved: Vec<Aval> = forward.program()?.output_avals().skip(outputs.len()).collect();
                    let inputs: Vec<Aval> = saved.iter().cloned().chain(float_avals(&outputs)).collect();
                    let program = stage_closed("a custom_vjp backward function", &inputs, |values| {
                        let (saved, cotangents) = values.split_at(saved.len());
                        let structure = residuals.get().expect("the forward function has been traced");
                        let saved = tree::unflatten(structure, saved.to_vec())?;
                        let cotangent = tree::unflatten(&out, complete(&outputs, cotangents)?)?;
                        let result = functions.1(saved, cotangent);
                        floats_of("custom_vjp: the backward function's result", &avals, result.leaves())
                    });
                    made.within(program)
                })
            };
            Ok(Traced { body, out, rules: vec![forward, backward] })
        });
        let traced = made.unwrap(traced);
        let [forward, backward] = &traced.rules[..] else { unreachable!("custom_vjp has two rules") };
        let op = Control::CustomVjp { body: traced.body, forward: forward.clone(), backward: backward.clone() };
        let results = made.unwrap(bind(&op.into(), &leaves));
        made.unwrap(tree::unflatten(&traced.out, results.into_vec()))
    }
}

/// Refuses a rule with a tangent that neither depends on the tangents that it gets nor is written as
/// zeros: it cannot be linear in them.
fn check_tangents_are_used(rule: &Program, primals: usize, outputs: usize) -> Result<()> {
    let mut depends = vec![false; rule.var_count()];
    depends[primals..rule.inputs().len()].fill(true);
    let mut zero = vec![false; rule.var_count()];
    let is_zero = |zero: &[bool], atom: &Atom| match atom {
        Atom::Var(var) => zero[var.index()],
        Atom::Literal(literal) => literal.as_f64() == 0.0,
    };
    for equation in rule.equations() {
        let depends_here = equation.inputs.iter().any(|atom| atom.var().is_some_and(|var| depends[var.index()]));
        let moves = matches!(equation.primitive, Primitive::Shape(_) | Primitive::Elementwise(Elementwise::Convert(_)));
        let zero_here = moves && !equation.inputs.is_empty() && equation.inputs.iter().all(|atom| is_zero(&zero, atom));
        for var in &equation.outputs {
            (depends[var.index()], zero[var.index()]) = (depends_here, zero_here);
        }
    }
    for atom in &rule.outputs()[outputs..] {
        if !is_zero(&zero, atom) && !atom.var().is_some_and(|var| depends[var.index()]) {
            return Err(Error::Differentiation(format!(
                "custom_jvp: the rule gives a tangent {} that does not depend on the tangents it gets; it must be \
                 linear in them, or `zeros_like`",
                rule.atom_aval(atom)
            )));
        }
    }
    Ok(())
}

fn trace_closed<A: Tree, B: Tree>(
    what: &str,
    f: &impl Fn(A) -> B,
    structure: &Structure,
    avals: &[Aval],
) -> Result<(Program, Structure)> {
    let mut out = None;
    let program = stage_closed(&format!("a {what} function"), avals, |values| {
        let (leaves, structure) = tree::flatten(&f(tree::unflatten(structure, values.to_vec())?));
        out = Some(structure);
        Ok(leaves)
    })?;
    Ok((program, out.expect("the function has run")))
}
