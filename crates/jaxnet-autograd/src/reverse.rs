//! Reverse mode: `linearize`, `vjp` and `grad`.

use jaxnet_tensor::{Aval, Error, OrRaise, Result, Structure, Tensor, Tree, lax, tree};

use crate::forward::{check_tangents, instantiate, jvp_leaves};
use crate::function::{Function, Made, check_differentiable, on_leaves};
use crate::linear::{Linear, record};

/// Runs `f` and writes down its derivative at these primals, a linear function of the tangents of those
/// leaves that have one.
pub(crate) fn linearize_leaves(
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    primals: &[Tensor],
) -> Result<(Vec<Tensor>, Linear)> {
    let differentiable = primals.iter().filter(|primal| primal.dtype().is_float());
    let avals: Vec<Aval> = differentiable.map(|primal| primal.aval().strong()).collect();
    record(&avals, |values| {
        let mut values = values.iter().cloned();
        let tangents: Vec<Option<Tensor>> =
            primals.iter().map(|primal| if primal.dtype().is_float() { values.next() } else { None }).collect();
        let (outputs, tangents) = jvp_leaves(f, primals, &tangents)?;
        let tangents =
            outputs.iter().zip(tangents).map(|(output, tangent)| (output.aval().strong(), tangent)).collect();
        Ok((outputs, tangents))
    })
}

/// Cotangents of all leaves from those of the differentiable ones.
fn complete(primals: &[Tensor], cotangents: Vec<Option<Tensor>>) -> Result<Vec<Tensor>> {
    let mut cotangents = cotangents.into_iter();
    let all = primals
        .iter()
        .map(|primal| if primal.dtype().is_float() { cotangents.next().flatten() } else { None })
        .collect();
    instantiate(primals, all)
}

/// The value of `f`, and its derivative there as a linear function from tangents to tangents.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::linearize;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let (y, derivative) = linearize(|x: Tensor| x.sin(), tensor![0.0]);
/// assert_eq!(derivative(tensor![2.0]).item::<f32>(), 2.0);
/// ```
#[track_caller]
pub fn linearize<A: Tree, F: Function<A>>(f: F, primal: A) -> (F::Output, impl Fn(A) -> F::Output)
where
    F::Output: Tree,
{
    let (primals, structure) = tree::flatten(&primal);
    let mut out = None;
    let (outputs, linear) = linearize_leaves(|leaves| on_leaves(&f, &structure, &mut out, leaves), &primals).or_raise();
    let out = out.expect("the function has run");
    let value = tree::unflatten(&out, outputs.clone()).or_raise();
    let made = Made::by("linearize");
    let derivative = move |tangent: A| {
        let tangents = made.unwrap(check_tangents("linearize", &primals, tree::flatten(&tangent).0));
        let tangents: Vec<Tensor> = tangents.into_iter().flatten().collect();
        let results = made.unwrap(linear.apply(&tangents));
        let results = made.unwrap(instantiate(&outputs, results.into_iter().map(Some).collect()));
        made.unwrap(tree::unflatten(&out, results))
    };
    (value, derivative)
}

/// The value of `f`, and a function from cotangents of the result to cotangents of the argument: the
/// transposed Jacobian times a vector.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::vjp;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let (y, pullback) = vjp(|(x, y): (Tensor, Tensor)| x * y, (tensor![2.0], tensor![3.0]));
/// let (dx, dy) = pullback(tensor![1.0]);
/// assert_eq!((dx.item::<f32>(), dy.item::<f32>()), (3.0, 2.0));
/// ```
#[track_caller]
pub fn vjp<A: Tree, F: Function<A>>(f: F, primal: A) -> (F::Output, impl Fn(F::Output) -> A)
where
    F::Output: Tree,
{
    let (primals, structure) = tree::flatten(&primal);
    let mut out = None;
    let (outputs, linear) = linearize_leaves(|leaves| on_leaves(&f, &structure, &mut out, leaves), &primals).or_raise();
    let value = tree::unflatten(&out.expect("the function has run"), outputs.clone()).or_raise();
    let made = Made::by("vjp");
    let pullback = move |cotangent: F::Output| {
        let cotangents = made.unwrap(check_tangents("vjp", &outputs, tree::flatten(&cotangent).0));
        let results = made.unwrap(linear.transpose(cotangents));
        let results = made.unwrap(complete(&primals, results));
        made.unwrap(tree::unflatten(&structure, results))
    };
    (value, pullback)
}

/// The gradient of a function from a tree to a scalar: a tree of the same structure.
///
/// # Panics
///
/// When the returned function is called: if a leaf of the argument has no derivative (an integer, a
/// boolean, a key), which is said by its name; or if the function does not return one floating-point
/// scalar.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::grad;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = |x: Tensor| x.tanh().sum();
/// let second = grad(|x: Tensor| grad(f)(x).sum());
/// assert_eq!(grad(f)(tensor![0.0]).item::<f32>(), 1.0);
/// assert_eq!(second(tensor![0.0]).item::<f32>(), 0.0);
/// ```
#[track_caller]
pub fn grad<A: Tree, F: Function<A, Output = Tensor>>(f: F) -> impl Fn(A) -> A {
    let made = Made::by("grad");
    move |argument: A| made.unwrap(try_grad(&f, "grad", argument, |loss| Ok((loss, ())))).2
}

/// As [`grad`], with the value of the function.
///
/// ```
/// use jaxnet_autograd::value_and_grad;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let (y, dy) = value_and_grad(|x: Tensor| x.square().sum())(tensor![3.0]);
/// assert_eq!((y.item::<f32>(), dy.item::<f32>()), (9.0, 6.0));
/// ```
#[track_caller]
pub fn value_and_grad<A: Tree, F: Function<A, Output = Tensor>>(f: F) -> impl Fn(A) -> (Tensor, A) {
    let made = Made::by("value_and_grad");
    move |argument: A| {
        let result = try_grad(&f, "value_and_grad", argument, |loss| Ok((loss, ())));
        let (value, (), gradient) = made.unwrap(result);
        (value, gradient)
    }
}

/// As [`grad`], for a function that also returns something that is not differentiated, such as metrics
/// or new state.
///
/// ```
/// use jaxnet_autograd::grad_aux;
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let loss = |x: Tensor| (x.square().sum(), x.max());
/// let (gradient, largest) = grad_aux(loss)(tensor![1.0, 3.0]);
/// assert_eq!((gradient.to_vec::<f32>(), largest.item::<f32>()), (vec![2.0, 6.0], 3.0));
/// ```
#[track_caller]
pub fn grad_aux<A: Tree, X: Tree, F: Function<A, Output = (Tensor, X)>>(f: F) -> impl Fn(A) -> (A, X) {
    let made = Made::by("grad_aux");
    move |argument: A| {
        let (_, aux, gradient) = made.unwrap(try_grad(&f, "grad_aux", argument, Ok));
        (gradient, aux)
    }
}

/// As [`value_and_grad`], for a function that also returns something that is not differentiated, such
/// as metrics or new state.
///
/// ```
/// use jaxnet_autograd::value_and_grad_aux;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = |x: Tensor| (x.square().sum(), x.max());
/// let ((loss, max), gradient) = value_and_grad_aux(f)(tensor![1.0, 2.0]);
/// assert_eq!(max.item::<f32>(), 2.0);
/// ```
#[track_caller]
pub fn value_and_grad_aux<A: Tree, X: Tree, F: Function<A, Output = (Tensor, X)>>(
    f: F,
) -> impl Fn(A) -> ((Tensor, X), A) {
    let made = Made::by("value_and_grad_aux");
    move |argument: A| {
        let (value, aux, gradient) = made.unwrap(try_grad(&f, "value_and_grad_aux", argument, Ok));
        ((value, aux), gradient)
    }
}

fn try_grad<A: Tree, X: Tree, F: Function<A>>(
    f: &F,
    name: &str,
    argument: A,
    split: impl Fn(F::Output) -> Result<(Tensor, X)>,
) -> Result<(Tensor, X, A)> {
    let (primals, structure) = tree::flatten(&argument);
    drop(argument);
    check_differentiable(name, &structure, &primals)?;
    let mut aux_structure: Option<Structure> = None;
    let (mut outputs, linear) = linearize_leaves(
        |leaves| {
            let (loss, aux) = split(f.run(tree::unflatten(&structure, leaves.to_vec())?))?;
            let (aux, out) = tree::flatten(&aux);
            aux_structure = Some(out);
            Ok(std::iter::once(loss).chain(aux).collect())
        },
        &primals,
    )?;
    let aux = outputs.split_off(1);
    let loss = outputs.pop().expect("the loss comes first");
    if loss.rank() != 0 || !loss.dtype().is_float() {
        return Err(Error::Differentiation(format!(
            "{name}: the function must return a floating-point scalar, got {}; reduce it with `.mean()` or `.sum()`, \
             or use `vjp` or `jacrev`",
            loss.aval()
        )));
    }
    let seed = lax::full(&loss.aval().strong(), 1)?.beside(&loss)?;
    let mut cotangents = vec![Some(seed)];
    cotangents.resize(1 + aux.len(), None);
    let gradients = complete(&primals, linear.transpose_once(cotangents)?)?;
    let aux = tree::unflatten(&aux_structure.expect("the function has run"), aux)?;
    Ok((loss, aux, tree::unflatten(&structure, gradients)?))
}
