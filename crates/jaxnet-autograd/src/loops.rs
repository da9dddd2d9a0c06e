//! Control flow that compiles: `scan`, `fori_loop`, `while_loop`, `map`, `cond`, `switch`, and
//! `checkpoint`.

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::program::stage::{Staged, stage};
use jaxnet_tensor::program::{Atom, ProgramBuilder};
use jaxnet_tensor::trace::bind;
use jaxnet_tensor::{Aval, DType, Error, Operand, OrRaise, Program, Result, Structure, Tensor, Tree, tree};

use crate::function::{Function, on_leaves};

/// Runs `f(carry, x) -> (carry, y)` for each index along the leading axis of the leaves of `xs`, and
/// stacks the `y`s. Compiled once, whatever the number of steps; differentiable in both modes.
///
/// # Panics
///
/// If the leading axes differ, there is none (see [`scan_n`]), or a step gives a carry of other shapes
/// or dtypes than it got.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::scan;
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let (sum, partial) = scan(|sum: Tensor, x: Tensor| (&sum + &x, sum + x), Tensor::from(0.0), tensor![1.0, 2.0]);
/// assert_eq!(sum.item::<f32>(), 3.0);
/// assert_eq!(partial.to_vec::<f32>(), [1.0, 3.0]);
/// ```
#[track_caller]
pub fn scan<C: Tree, X: Tree, Y: Tree>(f: impl Fn(C, X) -> (C, Y), init: C, xs: X) -> (C, Y) {
    try_scan("scan", f, init, xs, None, false).or_raise()
}

/// As [`scan`], from the last index to the first; the `y`s are stacked in the order of the `xs`.
///
/// ```
/// use jaxnet_autograd::scan_reverse;
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let rest = |sum: Tensor, x: Tensor| (&sum + &x, sum);
/// let (total, after) = scan_reverse(rest, Tensor::from(0), tensor![1, 2, 3]);
/// assert_eq!((total.item::<i32>(), after.to_vec::<i32>()), (6, vec![5, 3, 0]));
/// ```
#[track_caller]
pub fn scan_reverse<C: Tree, X: Tree, Y: Tree>(f: impl Fn(C, X) -> (C, Y), init: C, xs: X) -> (C, Y) {
    try_scan("scan_reverse", f, init, xs, None, true).or_raise()
}

/// As [`scan`], for a number of steps that get nothing but the carry.
///
/// ```
/// use jaxnet_autograd::scan_n;
/// use jaxnet_tensor::Tensor;
///
/// let (last, powers) = scan_n(|x: Tensor| (&x * 2.0, x), Tensor::from(1.0), 4);
/// assert_eq!(powers.to_vec::<f32>(), [1.0, 2.0, 4.0, 8.0]);
/// ```
#[track_caller]
pub fn scan_n<C: Tree, Y: Tree>(f: impl Fn(C) -> (C, Y), init: C, length: usize) -> (C, Y) {
    try_scan("scan_n", |carry, ()| f(carry), init, (), Some(length), false).or_raise()
}

/// Applies `f` to each index along the leading axis of the leaves of `xs`, one after the other, and
/// stacks the results. ([`vmap`](crate::vmap) does so all at once, which is faster and takes more
/// memory.)
///
/// ```
/// use jaxnet_autograd::map;
/// use jaxnet_tensor::{Tensor, tensor};
///
/// let sums = map(|row: Tensor| row.sum(), tensor![[1, 2], [3, 4]]);
/// assert_eq!(sums.to_vec::<i32>(), [3, 7]);
/// ```
#[track_caller]
pub fn map<X: Tree, Y: Tree>(f: impl Fn(X) -> Y, xs: X) -> Y {
    try_scan("map", |(), x| ((), f(x)), (), xs, None, false).or_raise().1
}

fn try_scan<C: Tree, X: Tree, Y: Tree>(
    op: &str,
    f: impl Fn(C, X) -> (C, Y),
    init: C,
    xs: X,
    length: Option<usize>,
    reverse: bool,
) -> Result<(C, Y)> {
    let (mut carry, carry_structure) = tree::flatten(&init);
    let (steps, step_structure) = tree::flatten(&xs);
    let length = steps_of(op, &steps, &step_structure, length)?;
    let step_avals: Vec<Aval> = steps.iter().map(|x| x.aval().with_shape(x.shape().without_axis(0))).collect();
    let mut y_structure = None;
    let staged = settle(op, &mut carry, &carry_structure, |carry_avals| {
        let avals: Vec<Aval> = carry_avals.iter().chain(&step_avals).cloned().collect();
        stage(&avals, |values| {
            let (carry, x) = values.split_at(carry_avals.len());
            let carry = tree::unflatten(&carry_structure, carry.to_vec())?;
            let (carry, y) = f(carry, tree::unflatten(&step_structure, x.to_vec())?);
            let (mut results, next_structure) = tree::flatten(&carry);
            check_structure(op, &carry_structure, &next_structure)?;
            let (ys, structure) = tree::flatten(&y);
            y_structure = Some(structure);
            results.extend(ys);
            Ok(results)
        })
    })?;
    let op = Control::Scan { body: staged.program, length, reverse, consts: staged.captured.len(), carry: carry.len() };
    let count = carry.len();
    let inputs: Vec<Tensor> = staged.captured.into_iter().chain(carry).chain(steps).collect();
    let mut results = bind(&op.into(), &inputs)?.into_vec();
    let ys = results.split_off(count);
    let ys = tree::unflatten(&y_structure.expect("the step has been traced"), ys)?;
    Ok((tree::unflatten(&carry_structure, results)?, ys))
}

fn steps_of(op: &str, steps: &[Tensor], structure: &Structure, length: Option<usize>) -> Result<usize> {
    let mut found = length;
    for (i, x) in steps.iter().enumerate() {
        let name = || structure.name(i, "the input");
        let here = x.shape().first().copied();
        match (here, found) {
            (None, _) => {
                return Err(Error::invalid(
                    op,
                    format!("{} is a scalar, which has no leading axis to step along", name()),
                ));
            }
            (Some(here), Some(other)) if here != other => {
                return Err(Error::invalid(
                    op,
                    format!("leading axes differ: {other} elsewhere, {here} of {} ({})", name(), x.aval()),
                ));
            }
            _ => found = here,
        }
    }
    found.ok_or_else(|| Error::invalid(op, "there is nothing to step along; give the number of steps to `scan_n`"))
}

fn check_structure(op: &str, expected: &Structure, found: &Structure) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::invalid(op, format!("the carry has the structure {expected:?}, but the step gave {found:?}")))
}

/// Traces a loop's body until its carry comes out as it went in: weakly typed starts take the dtype that
/// the body gives them.
fn settle(
    op: &str,
    carry: &mut [Tensor],
    structure: &Structure,
    trace: impl FnMut(&[Aval]) -> Result<Staged>,
) -> Result<Staged> {
    let mut trace = trace;
    loop {
        let avals: Vec<Aval> = carry.iter().map(|x| x.aval().clone()).collect();
        let staged = trace(&avals)?;
        let mut changed = false;
        for (i, (x, next)) in carry.iter_mut().zip(staged.program.output_avals()).enumerate() {
            let promotes = x.is_weak() && x.shape() == &next.shape && (!next.weak || next.dtype != x.dtype());
            if promotes {
                *x = x.astype(next.dtype);
                changed = true;
            } else if !x.aval().matches(&next) {
                return Err(Error::invalid(
                    op,
                    format!(
                        "{} started as {}, but a step gives {next}; they must have one shape and dtype",
                        structure.name(i, "the carry"),
                        x.aval()
                    ),
                ));
            }
        }
        if !changed {
            return Ok(staged);
        }
    }
}

/// Runs `body(carry)` as long as `condition(carry)` holds.
///
/// Differentiable in forward mode only, since the number of steps is not known ahead; see [`scan`] and
/// [`fori_loop`].
///
/// # Panics
///
/// If the condition is no boolean scalar, or a step gives a carry of other shapes or dtypes than it got.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::while_loop;
/// use jaxnet_tensor::Tensor;
///
/// let x = while_loop(|x: Tensor| x.lt(100), |x: Tensor| x * 2, Tensor::from(1));
/// assert_eq!(x.item::<i32>(), 128);
/// ```
#[track_caller]
pub fn while_loop<C: Tree>(condition: impl Fn(C) -> Tensor, body: impl Fn(C) -> C, init: C) -> C {
    try_while(condition, body, init).or_raise()
}

fn try_while<C: Tree>(condition: impl Fn(C) -> Tensor, body: impl Fn(C) -> C, init: C) -> Result<C> {
    let op = "while_loop";
    let (mut carry, structure) = tree::flatten(&init);
    let body = settle(op, &mut carry, &structure, |avals| {
        stage(avals, |values| {
            let next = body(tree::unflatten(&structure, values.to_vec())?);
            let (results, next_structure) = tree::flatten(&next);
            check_structure(op, &structure, &next_structure)?;
            Ok(results)
        })
    })?;
    let avals: Vec<Aval> = carry.iter().map(|x| x.aval().clone()).collect();
    let cond = stage(&avals, |values| Ok(vec![condition(tree::unflatten(&structure, values.to_vec())?)]))?;
    let op = Control::While {
        cond: cond.program,
        body: body.program,
        cond_consts: cond.captured.len(),
        body_consts: body.captured.len(),
    };
    let inputs: Vec<Tensor> = cond.captured.into_iter().chain(body.captured).chain(carry).collect();
    tree::unflatten(&structure, bind(&op.into(), &inputs)?.into_vec())
}

/// Runs `body(i, carry)` for the integers `i` from `lower` until before `upper`.
///
/// With constant bounds it is differentiable in both modes; with computed ones in forward mode only.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::fori_loop;
/// use jaxnet_tensor::Tensor;
///
/// let factorial = fori_loop(1, 6, |i: Tensor, product: Tensor| product * i, Tensor::from(1));
/// assert_eq!(factorial.item::<i32>(), 120);
/// ```
#[track_caller]
pub fn fori_loop<C: Tree>(lower: impl Operand, upper: impl Operand, body: impl Fn(Tensor, C) -> C, init: C) -> C {
    let (lower, upper) = (lower.into_tensor(), upper.into_tensor());
    if let (Some(start), Some(end)) = (lower.literal(), upper.literal()) {
        let (start, end) = (start.to::<i64>(), end.to::<i64>());
        let steps = (end - start).max(0);
        let indices = Tensor::range(steps as usize) + start;
        return try_scan("fori_loop", |carry, i: Tensor| (body(i, carry), ()), init, indices, None, false).or_raise().0;
    }
    let (lower, upper) = (lower.astype(DType::I32), upper.astype(DType::I32));
    let condition = |(i, _): (Tensor, C)| i.lt(&upper);
    let step = |(i, carry): (Tensor, C)| (&i + 1, body(i, carry));
    try_while(condition, step, (lower, init)).or_raise().1
}

/// `on_true(operand)` where `pred` holds, `on_false(operand)` elsewhere; only one of them runs. (Under
/// `vmap` with a `pred` that differs between examples both run.)
///
/// # Panics
///
/// If `pred` is no boolean scalar, or the branches give results of different structures, shapes or
/// dtypes.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::cond;
/// use jaxnet_tensor::Tensor;
///
/// let x = Tensor::from(-3.0);
/// let y = cond(x.lt(0.0), |x: Tensor| -x, |x: Tensor| x, x);
/// assert_eq!(y.item::<f32>(), 3.0);
/// ```
#[track_caller]
pub fn cond<A: Tree, B: Tree>(
    pred: impl Operand,
    on_true: impl Fn(A) -> B,
    on_false: impl Fn(A) -> B,
    operand: A,
) -> B {
    let pred = pred.into_tensor();
    let check = || {
        if pred.rank() != 0 || pred.dtype() != DType::Bool {
            let message = format!("the predicate must be a bool scalar, got {}; reduce it with `.all()`", pred.aval());
            return Err(Error::invalid("cond", message));
        }
        Ok(pred.astype(DType::I32))
    };
    check().and_then(|index| try_switch("cond", index, &[&on_false, &on_true], operand)).or_raise()
}

/// The branch with this index (an integer scalar, moved into the range where it is out of it), applied to
/// the operand.
///
/// # Panics
///
/// If there is no branch, the index is no integer scalar, or the branches give results of different
/// structures, shapes or dtypes.
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::switch;
/// use jaxnet_tensor::Tensor;
///
/// let y = switch(1, &[&|x: Tensor| x.sin(), &|x: Tensor| x * 2.0], Tensor::from(3.0));
/// assert_eq!(y.item::<f32>(), 6.0);
/// ```
#[track_caller]
pub fn switch<A: Tree, B: Tree>(index: impl Operand, branches: &[&dyn Fn(A) -> B], operand: A) -> B {
    let index = index.into_tensor();
    let check = || {
        if index.rank() != 0 || !index.dtype().is_integer() {
            return Err(Error::invalid("switch", format!("the index must be an integer scalar, got {}", index.aval())));
        }
        let last = branches.len().saturating_sub(1) as i32;
        Ok(index.clip(0, last).astype(DType::I32))
    };
    check().and_then(|index| try_switch("switch", index, branches, operand)).or_raise()
}

fn try_switch<A: Tree, B: Tree>(op: &str, index: Tensor, branches: &[&dyn Fn(A) -> B], operand: A) -> Result<B> {
    let (leaves, structure) = tree::flatten(&operand);
    drop(operand);
    let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
    let mut out: Option<Structure> = None;
    let mut staged = Vec::new();
    for branch in branches {
        let mut structure_here = None;
        staged.push(stage(&avals, |values| on_leaves(branch, &structure, &mut structure_here, values))?);
        let here = structure_here.expect("the branch has been traced");
        if let Some(first) = &out
            && *first != here
        {
            return Err(Error::invalid(op, format!("branches give different structures: {first:?} and {here:?}")));
        }
        out = Some(here);
    }
    let Some(out) = out else {
        return Err(Error::invalid(op, "needs at least one branch"));
    };
    let staged = same_results(staged)?;
    // Every branch takes what any of them captured.
    let all: Vec<Tensor> = staged.iter().flat_map(|branch| branch.captured.clone()).collect();
    let mut first = 0;
    let branches = staged
        .iter()
        .map(|branch| {
            let range = first..first + branch.captured.len();
            first = range.end;
            widen(&branch.program, &all, range, &avals)
        })
        .collect::<Result<Vec<_>>>()?;
    let inputs: Vec<Tensor> = std::iter::once(index).chain(all).chain(leaves).collect();
    tree::unflatten(&out, bind(&Control::Cond { branches }.into(), &inputs)?.into_vec())
}

/// Branches in which weakly typed results have the dtype that another branch gives them.
fn same_results(mut staged: Vec<Staged>) -> Result<Vec<Staged>> {
    let results = staged[0].program.outputs().len();
    for i in 0..results {
        let strong = staged.iter().map(|branch| branch.program.output_aval(i)).find(|aval| !aval.weak).cloned();
        let Some(strong) = strong else { continue };
        for branch in &mut staged {
            let here = branch.program.output_aval(i);
            if here.weak && here.dtype != strong.dtype && here.shape == strong.shape {
                let program = &branch.program;
                let converted =
                    jaxnet_tensor::program::stage::stage_closed("a branch", program.input_avals(), |values| {
                        let mut results = program.eval(values)?;
                        results[i] = results[i].astype(strong.dtype);
                        Ok(results)
                    })?;
                branch.program = converted;
            }
        }
    }
    Ok(staged)
}

/// The program taking all captured tensors, of which it uses a range.
fn widen(program: &Program, all: &[Tensor], used: std::ops::Range<usize>, avals: &[Aval]) -> Result<Program> {
    let mut builder = ProgramBuilder::new();
    let captured: Vec<Atom> = all.iter().map(|tensor| builder.input(tensor.aval().clone())).collect();
    let operands: Vec<Atom> = avals.iter().map(|aval| builder.input(aval.clone())).collect();
    let inputs: Vec<Atom> = captured[used].iter().chain(&operands).copied().collect();
    let call = Control::Call { name: "branch".into(), program: program.clone() };
    let results = builder.equation(call.into(), inputs)?;
    Ok(builder.finish(&results))
}

/// The same function, whose derivative keeps only its argument and computes the values in between again:
/// less memory for more time (Chen et al. 2016, "Training deep nets with sublinear memory cost").
///
/// # Examples
///
/// ```
/// use jaxnet_autograd::{checkpoint, grad};
/// use jaxnet_tensor::{tensor, Tensor};
///
/// let f = checkpoint(|x: Tensor| x.sin().exp());
/// let gradient = grad(|x: Tensor| f(x).sum())(tensor![0.0]);
/// assert_eq!(gradient.item::<f32>(), 1.0);
/// ```
pub fn checkpoint<A: Tree, F: Function<A>>(f: F) -> impl Fn(A) -> F::Output
where
    F::Output: Tree,
{
    move |argument: A| {
        let (leaves, structure) = tree::flatten(&argument);
        let avals: Vec<Aval> = leaves.iter().map(|leaf| leaf.aval().clone()).collect();
        let mut out = None;
        let staged = stage(&avals, |values| on_leaves(&f, &structure, &mut out, values)).or_raise();
        let inputs: Vec<Tensor> = staged.captured.into_iter().chain(leaves).collect();
        let results = bind(&Control::Checkpoint { program: staged.program }.into(), &inputs).or_raise();
        tree::unflatten(&out.expect("the function has run"), results.into_vec()).or_raise()
    }
}
