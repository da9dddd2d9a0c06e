//! Single operations.

use std::cell::RefCell;

use jaxnet_tensor::{DType, Program, Tensor};

use super::engine::Engine;
use super::tolerance::{Tolerance, flushed, tamed};
use super::{in_modules, run_together};
use crate::compare::{Outcome, same};
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

impl Parity {
    pub fn run(&self, family: Family) {
        let mut failures = Vec::new();
        for row in rows().iter().filter(|row| row.family == family) {
            let drawn = draw("parity", row, &row.dtypes, SIGNATURES.div_ceil(row.dtypes.len()).max(2));
            let Some(first) = drawn.first() else { continue };
            let all = |part: &[Drawn]| {
                let cases: Vec<&Case> = part.iter().map(|drawn| &drawn.case).collect();
                agree(&self.0, row, &cases, part[0].seed)
            };
            failures.extend(in_modules(&drawn, all, |drawn| {
                let property = |case: &Case| agree(&self.0, row, &[case], drawn.seed);
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
fn agree(engine: &Engine, row: &Row, cases: &[&Case], seed: u64) -> Outcome {
    let programs: Vec<Program> = cases.iter().map(|case| case.program()).collect();
    let programs: Vec<&Program> = programs.iter().collect();
    for draw in 0..DRAWS {
        let special = draw % 2 == 1;
        let values: Vec<Vec<Tensor>> = cases.iter().map(|case| values(row, case, seed + draw, special)).collect();
        let results = run_together(engine, &programs, &values)?;
        for ((case, values), results) in cases.iter().zip(&values).zip(&results) {
            let what = if special { "special values" } else { "values" };
            let expected = [case.run(values), case.run(&flushed(values))];
            Tolerance::of(row, case, values)
                .compare(what, results, &expected)
                .map_err(|problem| format!("{problem}\nof {values:?}\nin {case:?}"))?;
        }
    }
    Ok(())
}

fn values(row: &Row, case: &Case, seed: u64, special: bool) -> Vec<Tensor> {
    match special {
        false => case.values(seed),
        // How a sum of huge numbers overflows depends on its order.
        true if row.reassociates => case.specials(seed).iter().map(tamed).collect(),
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
