//! Looking into traced code.

use std::sync::OnceLock;

use jaxnet_tensor::primitive::{Control, DebugAction};
use jaxnet_tensor::program::stage::stage;
use jaxnet_tensor::program::{self, Atom, Equation, ProgramBuilder};
use jaxnet_tensor::trace::{bind, is_staging};
use jaxnet_tensor::{Aval, Memo, OrRaise, Primitive, Program, Result, Tensor, Tree, tree};

use crate::function::{Function, Made, on_leaves};

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
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{check_nan, jit};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = jit(|x: Tensor| check_nan(&x.log(), "the logarithm"));
/// assert_eq!(f.call(tensor![1.0]).item::<f32>(), 0.0);
/// let error = f.try_call(tensor![1.0, -1.0]).unwrap_err();
/// assert_eq!(error.to_string(), "the logarithm: 1 of 2 elements of f32[2] are NaN");
/// ```
#[track_caller]
pub fn check_nan(x: &Tensor, what: &str) -> Tensor {
    let op = Control::Debug(DebugAction::CheckNan(what.into()));
    bind(&op.into(), std::slice::from_ref(x)).or_raise().remove(0)
}

/// The same function, of which every operation is checked: the first that gives NaN is named with its
/// operands. Argument and captured tensors are checked too.
///
/// The function runs as one program, inside `jit`, loops and branches like outside of them.
/// `check_nans(grad(f))` also checks the reverse pass, which `grad(check_nans(f))` does not.
///
/// A NaN that is not used is found as well, as in the branch that `select` does not take (which is what
/// becomes of `cond` under `vmap`).
///
/// # Panics
///
/// If there is a NaN, naming the line that made the checked function. Inside [`jit`](crate::jit), calling
/// the compiled function does, and `try_call` returns the error.
///
/// # Examples
///
/// ```should_panic
/// use jaxnet_autograd::{check_nans, grad};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// // The square root has no derivative at 0: inf * 0 is NaN.
/// let norm = |x: Tensor| (&x * &x).sum().sqrt();
/// check_nans(grad(norm))(tensor![0.0, 0.0]); // mul(f32[], f32[2]): 2 of 2 elements of f32[2] are NaN
/// ```
#[track_caller]
pub fn check_nans<A: Tree, F: Function<A>>(f: F) -> impl Fn(A) -> F::Output
where
    F::Output: Tree,
{
    let made = Made::by("check_nans");
    move |argument: A| {
        let (leaves, structure) = tree::flatten(&argument);
        let checked = |values: &[Tensor], what: &dyn Fn(usize) -> String| -> Result<Vec<Tensor>> {
            values.iter().enumerate().map(|(i, value)| bind_check(value, &what(i))).collect()
        };
        let run = || {
            let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
            let mut out = None;
            let staged = stage(&avals, |values| on_leaves(&f, &structure, &mut out, values))?;
            let paths = structure.paths();
            let argument = |i: usize| match paths[i].as_str() {
                "" => "the argument".to_string(),
                path => format!("`{path}` of the argument"),
            };
            let captured = checked(&staged.captured, &|_| "a captured tensor".into())?;
            let inputs: Vec<Tensor> = captured.into_iter().chain(checked(&leaves, &argument)?).collect();
            let program = with_checks(&staged.program)?;
            let results = if is_staging() || inputs.iter().any(Tensor::is_traced) {
                bind(&Control::Call { name: "check_nans".into(), program }.into(), &inputs)?.into_vec()
            } else {
                program::run(&program, inputs)?
            };
            tree::unflatten(&out.expect("the function has run"), results)
        };
        made.unwrap(run())
    }
}

fn bind_check(value: &Tensor, what: &str) -> Result<Tensor> {
    if !value.dtype().is_float() {
        return Ok(value.clone());
    }
    Ok(bind(&check(what), std::slice::from_ref(value))?.remove(0))
}

fn check(what: &str) -> Primitive {
    Control::Debug(DebugAction::CheckNan(what.into())).into()
}

/// The program with a check after each equation, in the programs that it holds too.
fn with_checks(program: &Program) -> Result<Program> {
    static MEMO: OnceLock<Memo<Program, Program>> = OnceLock::new();
    MEMO.get_or_init(|| Memo::new(256)).get_or_try_insert(program.clone(), |_| {
        let mut builder = ProgramBuilder::new();
        let mut values: Vec<Atom> = program.input_avals().iter().map(|aval| builder.input(aval.clone())).collect();
        let read = |values: &[Atom], atom: &Atom| atom.var().map_or(*atom, |var| values[var.index()]);
        for equation in program.equations() {
            let inputs: Vec<Atom> = equation.inputs.iter().map(|atom| read(&values, atom)).collect();
            let (primitive, inside) = match &equation.primitive {
                Primitive::Control(control) => (control.map_programs(with_checks)?.into(), true),
                primitive => (primitive.clone(), false),
            };
            for result in builder.equation(primitive, inputs)? {
                // What holds programs has been checked inside of them.
                let checked = !inside && builder.aval(&result).dtype.is_float();
                let operation = || check(&describe(program, equation));
                values.push(if checked { builder.equation(operation(), vec![result])?[0] } else { result });
            }
        }
        let outputs: Vec<Atom> = program.outputs().iter().map(|atom| read(&values, atom)).collect();
        Ok(builder.finish(&outputs))
    })
}

/// Such as `mul(f32[], f32[2])`.
fn describe(program: &Program, equation: &Equation) -> String {
    let operands: Vec<String> = equation.inputs.iter().map(|atom| program.atom_aval(atom).to_string()).collect();
    format!("{}({})", equation.primitive.name(), operands.join(", "))
}
