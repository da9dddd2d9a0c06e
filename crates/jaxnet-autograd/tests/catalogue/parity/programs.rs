//! Random programs.

use std::cell::RefCell;

use jaxnet_tensor::{Program, Tensor};

use super::engine::Engine;
use super::noise::{Counts, Expected};
use super::{in_modules, run_together};
use crate::compare::Outcome;
use crate::programs::{Drawn, Mode, Recipe};
use crate::run::{attempt, report, seeds};

/// How many programs of each mode.
const PROGRAMS: usize = 64;

/// Tries programs on an engine.
pub fn check(engine: &Engine) {
    let (mut failures, counts) = (Vec::new(), Counts::default());
    for (place, mode) in [("parity programs", Mode::Exact), ("parity differentiable", Mode::Differentiable)] {
        let drawn: Vec<(u64, Drawn)> = seeds(place, PROGRAMS)
            .into_iter()
            .filter_map(|seed| {
                let found = RefCell::new(None);
                let keep = |recipe: &Recipe| {
                    *found.borrow_mut() = recipe.program();
                    Ok(())
                };
                attempt(place, seed, &Recipe::strategy(mode), keep);
                Some((seed, found.into_inner()?))
            })
            .collect();
        let all = |part: &[(u64, Drawn)]| {
            let programs: Vec<(&Drawn, u64)> = part.iter().map(|(seed, drawn)| (drawn, *seed)).collect();
            agree(engine, &programs, &counts)
        };
        failures.extend(in_modules(engine, &drawn, all, |(seed, _)| {
            let property = |recipe: &Recipe| match recipe.program() {
                Some(drawn) => agree(engine, &[(&drawn, *seed)], &Counts::default()),
                None => Ok(()),
            };
            attempt(place, *seed, &Recipe::strategy(mode), property)
        }));
    }
    report(failures.into_iter().take(3).collect());
    counts.assert_most();
}

fn agree(engine: &Engine, drawn: &[(&Drawn, u64)], counts: &Counts) -> Outcome {
    let programs: Vec<&Program> = drawn.iter().map(|(drawn, _)| &drawn.program).collect();
    type Inputs = fn(&Drawn, u64) -> Vec<Tensor>;
    let inputs: [(&str, Inputs); 3] = [
        ("example", |drawn, _| drawn.example.clone()),
        ("values", |drawn, seed| drawn.values(seed)),
        ("special values", |drawn, seed| drawn.specials(seed)),
    ];
    for (what, inputs) in inputs {
        let values: Vec<Vec<Tensor>> = drawn.iter().map(|(drawn, seed)| inputs(drawn, *seed)).collect();
        let results = run_together(engine, &programs, &values)?;
        for (((drawn, seed), values), results) in drawn.iter().zip(&values).zip(&results) {
            Expected::of(&drawn.program, values, *seed)
                .compare(what, results, counts)
                .map_err(|problem| format!("{problem}\nof {values:?}\nin {}", drawn.program))?;
        }
    }
    Ok(())
}
