//! Single operations.

use std::cell::RefCell;

use jaxnet_tensor::program::{Atom, ProgramBuilder};
use jaxnet_tensor::{DType, Program, Tensor};

use super::engine::Engine;
use super::noise::{Counts, Expected};
use super::tolerance::{Tolerance, finite, flushed, tamed};
use super::{in_modules, run_together};
use crate::compare::{Outcome, same};
use crate::compiled::{literal, with_neutral_scalars};
use crate::rows::{Case, Family, Row, rows};
use crate::run::{attempt, report, seeds};

/// How many signatures of an operation are tried, and how often values are drawn for each.
const SIGNATURES: usize = 16;
const DRAWS: u64 = 16;

/// An engine against the CPU engine.
pub struct Parity(pub Engine);

/// A case and what it is drawn from.
pub struct Drawn {
    pub place: String,
    pub dtype: DType,
    pub seed: u64,
    pub case: Case,
}

/// A case and the seed of its values: those it is tried with are the same by itself as among others.
pub type Seeded<'a> = (&'a Case, u64);

impl Drawn {
    pub fn seeded(&self) -> Seeded<'_> {
        (&self.case, self.seed)
    }
}

impl Parity {
    pub fn run(&self, family: Family) {
        let mut failures = Vec::new();
        for row in rows().iter().filter(|row| row.family == family && self.0.tries(row)) {
            let drawn = draw("parity", row, &row.dtypes, SIGNATURES.div_ceil(row.dtypes.len()).max(2));
            let Some(first) = drawn.first() else { continue };
            let all = |part: &[Drawn]| {
                let cases: Vec<Seeded<'_>> = part.iter().map(Drawn::seeded).collect();
                agree(&self.0, row, &cases)
            };
            failures.extend(in_modules(&self.0, &drawn, all, |drawn| {
                let property = |case: &Case| agree(&self.0, row, &[(case, drawn.seed)]);
                attempt(&drawn.place, drawn.seed, &row.strategy(drawn.dtype), property)
            }));
            let eagerly = if self.0.compiles { std::slice::from_ref(first) } else { &drawn };
            failures.extend(eagerly.iter().find_map(|drawn| {
                let property = |case: &Case| eager(&self.0, case, drawn.seed);
                attempt(&drawn.place, drawn.seed, &row.strategy(drawn.dtype), property)
            }));
        }
        report(failures);
    }
}

/// So many cases of each of these dtypes, and those that once failed.
pub fn draw(check: &str, row: &'static Row, dtypes: &[DType], count: usize) -> Vec<Drawn> {
    let mut all = Vec::new();
    for &dtype in dtypes {
        let place = format!("{check} {} {dtype}", row.name);
        for seed in seeds(&place, count) {
            // As `attempt` will draw it, if it has to.
            let found = RefCell::new(None);
            let keep = |case: &Case| {
                *found.borrow_mut() = Some(case.clone());
                Ok(())
            };
            assert!(attempt(&place, seed, &row.strategy(dtype), keep).is_none(), "{place}: nothing could be drawn");
            let case = found.into_inner().expect("drawn");
            all.push(Drawn { place: place.clone(), dtype, seed, case });
        }
    }
    all
}

/// Whether cases that are compiled together give what each gives by itself on the CPU engine.
fn agree(engine: &Engine, row: &Row, cases: &[Seeded<'_>]) -> Outcome {
    let programs: Vec<Program> = cases.iter().map(|(case, _)| case.program()).collect();
    let programs: Vec<&Program> = programs.iter().collect();
    for draw in 0..DRAWS {
        let special = draw % 2 == 1;
        let values: Vec<Vec<Tensor>> =
            cases.iter().map(|(case, seed)| values(row, case, seed + draw, special)).collect();
        let results = run_together(engine, &programs, &values)?;
        for ((&case, values), results) in cases.iter().zip(&values).zip(&results) {
            right(row, case, if special { "special values" } else { "values" }, values, results)?;
        }
    }
    agree_with_literals(engine, row, cases)
}

const CONSTANTS: &str = "constants";

/// The same with constants in place of scalar operands.
fn agree_with_literals(engine: &Engine, row: &Row, cases: &[Seeded<'_>]) -> Outcome {
    let mut tried: Vec<(Seeded<'_>, Program, Vec<Tensor>)> = Vec::new();
    for &(case, seed) in cases.iter().filter(|(case, _)| case.operands.iter().any(|x| x.aval.rank() == 0)) {
        let specials = values(row, case, seed + 1, true);
        let mut all = with_neutral_scalars(row, case, &specials);
        all.extend([values(row, case, seed, false), specials]);
        tried.extend(all.into_iter().map(|values| ((case, seed), with_literals(case, &values), values)));
    }
    if tried.is_empty() {
        return Ok(());
    }
    let programs: Vec<&Program> = tried.iter().map(|(_, program, _)| program).collect();
    let arrays = |values: &[Tensor]| values.iter().filter(|x| x.rank() > 0).cloned().collect();
    let inputs: Vec<Vec<Tensor>> = tried.iter().map(|(_, _, values)| arrays(values)).collect();
    let results = run_together(engine, &programs, &inputs)?;
    for ((case, _, values), results) in tried.iter().zip(&results) {
        right(row, *case, CONSTANTS, values, results)?;
    }
    Ok(())
}

/// The program of a case in which scalar operands are constants.
fn with_literals(case: &Case, values: &[Tensor]) -> Program {
    let mut builder = ProgramBuilder::new();
    let operands: Vec<Atom> = values
        .iter()
        .map(|x| if x.rank() == 0 { Atom::Literal(literal(x)) } else { builder.input(x.aval().strong()) })
        .collect();
    let results = builder.equation(case.primitive.clone(), operands).expect("a case that fits");
    builder.finish(&results)
}

/// Whether these are the results of a case.
fn right(row: &Row, (case, seed): Seeded<'_>, what: &str, values: &[Tensor], results: &[Tensor]) -> Outcome {
    let outcome = if matches!(row.family, Family::Control | Family::Linalg) {
        // What the first holds are programs; of the others, how near to singular a matrix is decides.
        Expected::of(&case.program(), values, seed).compare(what, results, &Counts::default())
    } else {
        let expected = [case.run(values), case.run(&flushed(values))];
        let mut tolerance = Tolerance::of(row, values);
        // XLA leaves out the addition of a constant 0, which would make a positive zero of a negative one.
        tolerance.signs &= what != CONSTANTS || !["add", "sub"].contains(&row.name);
        // And it divides by a constant by multiplying with what one divided by it is.
        if what == CONSTANTS && row.name == "div" {
            tolerance.units = tolerance.units.max(2.0);
        }
        tolerance.compare(what, results, &expected)
    };
    outcome.map_err(|problem| format!("{problem}\nof {values:?}\nin {case:?}"))
}

fn values(row: &Row, case: &Case, seed: u64, special: bool) -> Vec<Tensor> {
    match special {
        false => case.values(seed),
        // Where an engine's convolution multiplies the zeros of padding, infinity times 0 is NaN.
        true if row.family == Family::Conv => case.specials(seed).iter().map(|x| finite(&tamed(x))).collect(),
        // How a sum of huge numbers overflows depends on its order.
        true if row.reassociates => case.specials(seed).iter().map(tamed).collect(),
        // Engines may take subnormal numbers for zeros, or compute with them in few digits.
        true if row.error > 1.0 => flushed(&case.specials(seed)),
        true => case.specials(seed),
    }
}

/// Whether a case runs eagerly as it does in a program, on operands and on constants.
fn eager(engine: &Engine, case: &Case, seed: u64) -> Outcome {
    let values = case.values(seed);
    if values.is_empty() {
        return Ok(());
    }
    let put: Vec<Tensor> = values.iter().map(|x| engine.put(x)).collect();
    let eager: Vec<Tensor> = case.run(&put).iter().map(|x| engine.get(x)).collect();
    let compiled = run_together(engine, &[&case.program()], std::slice::from_ref(&values))?;
    same("eagerly", &eager, &compiled[0])
}
