//! What holds of every program.

use jaxnet_autograd::{BatchAxes, GradCheck, check_grads, grad, jit, jvp, vjp, vmap, vmap_axes};
use jaxnet_tensor::Tensor;

use super::{Drawn, Mode, Recipe};
use crate::compare::{Outcome, close, floats, same};
use crate::derivatives::with;
use crate::reference::{self, example, stack};
use crate::rows::Numbers;
use crate::run::{attempt, report, seeds};

/// Tries so many programs of a mode.
fn check(name: &str, cases: usize, mode: Mode, property: impl Fn(&Drawn, u64) -> Outcome) {
    let place = format!("programs {name}");
    let try_one = |seed: u64| {
        let property = |recipe: &Recipe| recipe.program().map_or(Ok(()), |drawn| property(&drawn, seed));
        attempt(&place, seed, &Recipe::strategy(mode), property)
    };
    report(seeds(&place, cases).into_iter().filter_map(try_one).take(3).collect());
}

fn run(drawn: &Drawn) -> impl Fn(Vec<Tensor>) -> Vec<Tensor> + '_ {
    |inputs| drawn.program.eval(&inputs).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn compiled_programs_give_the_same_bits() {
    check("compiled", 250, Mode::Exact, |drawn, seed| {
        let compiled = jit(run(drawn));
        for inputs in [drawn.example.clone(), drawn.values(seed), drawn.specials(seed)] {
            let expected = reference::eval(&drawn.program, &inputs);
            same("eager", &run(drawn)(inputs.clone()), &expected)?;
            same("jit", &compiled.call(inputs), &expected)?;
        }
        Ok(())
    });
}

#[test]
fn batched_programs_are_loops() {
    check("batched", 150, Mode::Exact, |drawn, seed| {
        let mut numbers = Numbers::new(seed);
        let mut axes: Vec<Option<usize>> =
            drawn.inputs.iter().map(|input| numbers.coin().then(|| numbers.below(input.aval.rank() + 1))).collect();
        if axes.iter().all(Option::is_none) {
            axes[0] = Some(0);
        }
        let examples = [drawn.example.clone(), drawn.values(seed), drawn.specials(seed)];
        let inputs: Vec<Tensor> = axes
            .iter()
            .enumerate()
            .map(|(i, axis)| match axis {
                None => examples[0][i].clone(),
                Some(axis) => stack(&examples.each_ref().map(|example| example[i].clone()), *axis).expect("three"),
            })
            .collect();
        let batch_axes =
            axes.iter().map(|axis| axis.map_or(BatchAxes::Shared, |axis| BatchAxes::Axis(axis as isize))).collect();
        let batched = vmap_axes(run(drawn), BatchAxes::Children(batch_axes), 0);
        let looped: Vec<Vec<Tensor>> = (0..3)
            .map(|i| {
                let one = |(x, axis): (&Tensor, &Option<usize>)| axis.map_or(x.clone(), |axis| example(x, axis, i));
                reference::eval(&drawn.program, &inputs.iter().zip(&axes).map(one).collect::<Vec<_>>())
            })
            .collect();
        let expected = joined(&looped);
        same("vmap", &batched(inputs.clone()), &expected)?;
        same("jit of vmap", &jit(batched).call(inputs), &expected)
    });
}

/// Results of examples as a batch.
fn joined(examples: &[Vec<Tensor>]) -> Vec<Tensor> {
    let result = |i: usize| {
        let parts: Vec<Tensor> = examples.iter().map(|example| example[i].clone()).collect();
        stack(&parts, 0).expect("at least one example")
    };
    (0..examples[0].len()).map(result).collect()
}

/// A function of those inputs that are floats, and these.
fn of_floats(drawn: &Drawn) -> (impl Fn(Vec<Tensor>) -> Vec<Tensor> + '_, Vec<Tensor>) {
    let places: Vec<usize> = (0..drawn.inputs.len()).filter(|&i| drawn.inputs[i].aval.dtype.is_float()).collect();
    let at = places.iter().map(|&i| drawn.example[i].clone()).collect();
    (move |x: Vec<Tensor>| run(drawn)(with(&drawn.example, &places, &x)), at)
}

#[test]
fn forward_mode_agrees_with_differences() {
    check("differences", 100, Mode::Smooth, |drawn, seed| {
        let (f, at) = of_floats(drawn);
        let check = GradCheck { reverse: false, seed, tolerance: 1e-4, ..GradCheck::default() };
        check_grads(f, at, check).map_err(|error| error.to_string())
    });
}

#[test]
fn reverse_mode_is_the_transpose_of_forward_mode() {
    check("transposed", 200, Mode::Differentiable, |drawn, seed| {
        let (f, at) = of_floats(drawn);
        let mut numbers = Numbers::new(seed);
        let mut like = |of: &[Tensor]| -> Vec<Tensor> {
            let one = |x: &Tensor| {
                let elements: Vec<f64> = (0..x.size()).map(|_| 2.0 * numbers.unit() - 1.0).collect();
                Tensor::from_slice(&elements, x.shape()).expect("as many").astype(x.dtype())
            };
            of.iter().map(one).collect()
        };
        let direction = like(&at);
        let (results, tangents) = jvp(&f, at.clone(), direction.clone());
        let (again, pullback) = vjp(&f, at.clone());
        same("values of jvp", &results, &reference::eval(&drawn.program, &drawn.example))?;
        same("values of vjp", &again, &results)?;
        let cotangents = like(&results);
        let (forward, scale) = dot(&cotangents, &tangents);
        let gradients = pullback(cotangents.clone());
        let (reverse, other) = dot(&gradients, &direction);
        // A loop may leave the domains, and then it matters which zeros are known to be: 0 times NaN is NaN.
        if results.iter().any(|y| floats(y).iter().any(|y| !y.is_finite())) {
            return Ok(());
        }
        if (forward - reverse).abs().is_nan() || (forward - reverse).abs() > 1e-9 * (1.0 + scale.max(other)) {
            return Err(format!("{forward} forward, {reverse} in reverse"));
        }
        let compiled = jit(|(x, ct): (Vec<Tensor>, Vec<Tensor>)| vjp(&f, x).1(ct));
        close("jit of vjp", &compiled.call((at, cotangents)), &gradients, 1e6, 1.0)
    });
}

/// The scalar product, and the sum of its terms' sizes.
fn dot(xs: &[Tensor], ys: &[Tensor]) -> (f64, f64) {
    let (mut sum, mut scale) = (0.0, 0.0);
    for (x, y) in xs.iter().zip(ys).filter(|(x, _)| x.dtype().is_float()) {
        for (x, y) in floats(x).iter().zip(floats(y)) {
            sum += x * y;
            scale += (x * y).abs();
        }
    }
    (sum, scale)
}

#[test]
fn gradients_of_examples() {
    check("gradients", 60, Mode::Differentiable, |drawn, seed| {
        let (f, at) = of_floats(drawn);
        if at.is_empty() {
            return Ok(());
        }
        let loss = |x: Vec<Tensor>| {
            let floats = f(x).into_iter().filter(|y| y.dtype().is_float());
            floats.map(|y| y.is_finite().select(y.sin(), 0.0).sum()).fold(Tensor::scalar(0.0_f64), |sum, y| sum + y)
        };
        let mut numbers = Numbers::new(seed);
        // Near each other, so that all are where the operations are meant to be used.
        let mut moved = |x: &Tensor| x * (1.0 + 1e-3 * numbers.unit());
        let examples: Vec<Vec<Tensor>> = (0..3).map(|_| at.iter().map(&mut moved).collect()).collect();
        let inputs = joined(&examples);
        let looped: Vec<Vec<Tensor>> = examples.into_iter().map(grad(loss)).collect();
        let expected = joined(&looped);
        close("vmap of grad", &vmap(grad(loss))(inputs.clone()), &expected, 1e7, 1.0)?;
        close("jit of vmap of grad", &jit(vmap(grad(loss))).call(inputs.clone()), &expected, 1e7, 1.0)?;
        close("vmap of grad of jit", &vmap(grad(jit(loss)))(inputs), &expected, 1e7, 1.0)
    });
}

#[test]
fn programs_are_long_enough_and_of_every_kind() {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};
    for (mode, loops) in
        [(Mode::Exact, &["scan", "cond", "while", "checkpoint", "call"][..]), (Mode::Smooth, &["scan"])]
    {
        let mut runner = TestRunner::new_with_rng(Config::default(), crate::rows::rng(3));
        let draw = |_| Recipe::strategy(mode).new_tree(&mut runner).expect("a program").current();
        let programs: Vec<Drawn> = (0..100).map(draw).filter_map(|recipe| recipe.program()).collect();
        let lengths: Vec<usize> = programs.iter().map(|drawn| drawn.program.equations().len()).collect();
        assert!(lengths.iter().filter(|&&length| length >= 10).count() >= 30, "{lengths:?}");
        let mut seen = std::collections::BTreeSet::new();
        for equation in programs.iter().flat_map(|drawn| drawn.program.equations()) {
            seen.insert(equation.primitive.name());
        }
        assert!(seen.len() > 50 && loops.iter().all(|name| seen.contains(name)), "{seen:?}");
        // The example is of use: its results are mostly numbers, and not all the same.
        let lively = programs.iter().filter(|drawn| {
            let results = reference::eval(&drawn.program, &drawn.example);
            let all: Vec<f64> = results.iter().flat_map(floats).collect();
            all.iter().all(|x| x.is_finite()) && all.iter().any(|x| *x != all[0])
        });
        assert!(lively.count() >= 50);
    }
}
