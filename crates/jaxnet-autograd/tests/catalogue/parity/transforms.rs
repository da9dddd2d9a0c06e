//! Gradients of operations, their batches, and batches of their gradients.

use jaxnet_autograd::{BatchAxes, grad, jvp, vmap, vmap_axes};
use jaxnet_tensor::program::stage::stage;
use jaxnet_tensor::{Program, Tensor};

use super::engine::Engine;
use super::noise::{Counts, Expected};
use super::primitives::{Drawn, Seeded, draw};
use super::{avals, in_modules, run_together};
use crate::compare::Outcome;
use crate::derivatives::with;
use crate::gradients::loss;
use crate::reference::stack;
use crate::rows::{Case, Family, Numbers, Row, rows};
use crate::run::{attempt, report};

/// How many cases of each row and dtype.
const CASES: usize = 2;
/// How often values are drawn for each.
const DRAWS: u64 = 4;
/// How many examples make a batch.
const SIZE: u64 = 3;

/// An engine against the CPU engine.
pub struct Parity(pub Engine);

impl Parity {
    pub fn run(&self, family: Family) {
        let (mut failures, counts) = (Vec::new(), Counts::default());
        for row in rows().iter().filter(|row| row.family == family && self.0.tries(row)) {
            let drawn = draw("parity-transforms", row, &row.dtypes, CASES);
            let all = |part: &[Drawn]| {
                let cases: Vec<Seeded<'_>> = part.iter().map(Drawn::seeded).collect();
                agree(&self.0, row, &cases, &counts)
            };
            failures.extend(in_modules(&self.0, &drawn, all, |drawn| {
                let property = |case: &Case| agree(&self.0, row, &[(case, drawn.seed)], &Counts::default());
                attempt(&drawn.place, drawn.seed, &row.strategy(drawn.dtype), property)
            }));
        }
        report(failures);
        counts.assert_most();
    }
}

fn agree(engine: &Engine, row: &Row, cases: &[Seeded<'_>], counts: &Counts) -> Outcome {
    let mut forms = Vec::new();
    for &(case, seed) in cases {
        forms.extend(derivative(row, case, seed)?);
        forms.extend(batch(case, seed)?);
        forms.extend(batch_of_derivatives(row, case, seed)?);
    }
    let programs: Vec<&Program> = forms.iter().map(|form| &form.program).collect();
    for draw in 0..DRAWS {
        let values: Vec<Vec<Tensor>> = forms.iter().map(|form| (form.values)(draw)).collect();
        let results = run_together(engine, &programs, &values)?;
        for ((form, values), results) in forms.iter().zip(&values).zip(&results) {
            Expected::of(&form.program, values, form.seed)
                .compare(form.what, results, counts)
                .map_err(|problem| format!("{problem}\nof {values:?}\nin {}", form.program))?;
        }
    }
    Ok(())
}

/// A program that is made of a case, and its inputs.
struct Form<'a> {
    what: &'static str,
    program: Program,
    seed: u64,
    values: Box<dyn Fn(u64) -> Vec<Tensor> + 'a>,
}

impl<'a> Form<'a> {
    fn new(
        what: &'static str,
        seed: u64,
        values: impl Fn(u64) -> Vec<Tensor> + 'a,
        f: impl Fn(&[Tensor]) -> Vec<Tensor>,
    ) -> Result<Option<Self>, String> {
        let staged = stage(&avals(&values(0)), |x| Ok(f(x))).map_err(|error| error.to_string())?;
        let Some(&[]) = Some(&staged.captured[..]) else {
            return Err(format!("{what} captures {:?}", staged.captured));
        };
        Ok(Some(Form { what, program: staged.program, seed, values: Box::new(values) }))
    }
}

/// The operands by which there are derivatives, if the row has derivatives at all.
fn by(row: &Row, case: &Case) -> Option<Vec<usize>> {
    let by = case.differentiable();
    let float = case.infer().ok()?.iter().any(|aval| aval.dtype.is_float());
    (!by.is_empty() && float && (row.reverse || row.forward)).then_some(by)
}

/// The gradient of a case, or the derivative along itself where there is no reverse mode.
fn differentiated(row: &Row, case: &Case, by: &[usize], x: &[Tensor]) -> Vec<Tensor> {
    let of: Vec<Tensor> = by.iter().map(|&i| x[i].clone()).collect();
    let f = |of: Vec<Tensor>| loss(&case.run(&with(x, by, &of)));
    if row.reverse { grad(f)(of) } else { vec![jvp(f, of.clone(), of).1] }
}

fn derivative<'a>(row: &Row, case: &'a Case, seed: u64) -> Result<Option<Form<'a>>, String> {
    let Some(by) = by(row, case) else { return Ok(None) };
    Form::new("a gradient", seed, move |draw| case.values(seed + draw), |x| differentiated(row, case, &by, x))
}

/// Batches of some of the operands.
fn batch<'a>(case: &'a Case, seed: u64) -> Result<Option<Form<'a>>, String> {
    if case.operands.is_empty() {
        return Ok(None);
    }
    let mut numbers = Numbers::new(seed);
    let mut axes: Vec<Option<usize>> =
        case.operands.iter().map(|operand| numbers.coin().then(|| numbers.below(operand.aval.rank() + 1))).collect();
    if axes.iter().all(Option::is_none) {
        axes[0] = Some(0);
    }
    let batch_axes: Vec<BatchAxes> =
        axes.iter().map(|axis| axis.map_or(BatchAxes::Shared, |axis| BatchAxes::Axis(axis as isize))).collect();
    let f =
        |x: &[Tensor]| vmap_axes(|x: Vec<Tensor>| case.run(&x), BatchAxes::Children(batch_axes.clone()), 0)(x.to_vec());
    Form::new("a batch", seed, move |draw| batched(case, seed + SIZE * draw, &axes), f)
}

fn batch_of_derivatives<'a>(row: &Row, case: &'a Case, seed: u64) -> Result<Option<Form<'a>>, String> {
    let Some(by) = by(row, case) else { return Ok(None) };
    let axes = vec![Some(0); case.operands.len()];
    let f = |x: &[Tensor]| vmap(|x: Vec<Tensor>| differentiated(row, case, &by, &x))(x.to_vec());
    Form::new("a batch of gradients", seed, move |draw| batched(case, seed + SIZE * draw, &axes), f)
}

/// Values of several examples, those of an operand along an axis or just those of the first.
fn batched(case: &Case, seed: u64, axes: &[Option<usize>]) -> Vec<Tensor> {
    let examples: Vec<Vec<Tensor>> = (0..SIZE).map(|i| case.values(seed + i)).collect();
    let operand = |(i, axis): (usize, &Option<usize>)| match axis {
        None => examples[0][i].clone(),
        Some(axis) => {
            let parts: Vec<Tensor> = examples.iter().map(|example| example[i].clone()).collect();
            stack(&parts, *axis).expect("some examples")
        }
    };
    axes.iter().enumerate().map(operand).collect()
}
