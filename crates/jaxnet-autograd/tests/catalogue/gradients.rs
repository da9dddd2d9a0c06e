//! Gradients in every floating-point dtype: compiled, batched, and both.

use jaxnet_autograd::{BatchAxes, grad, jit, vmap, vmap_axes};
use jaxnet_tensor::{DType, Tensor};

use crate::compare::{Outcome, close, same};
use crate::derivatives::with;
use crate::reference::{example, stack};
use crate::rows::{Case, Row, Source};
use crate::run::{Check, tests_of_families};

const CHECK: Check =
    Check { name: "gradients", cases: 4, applies: |row, dtype| dtype.is_float() && row.reverse, holds };

fn holds(row: &Row, case: &Case, seed: u64) -> Outcome {
    let by: Vec<usize> = (0..case.operands.len()).filter(|&i| case.operands[i].differentiable).collect();
    let float = case.infer().map_err(|error| error.to_string())?.iter().any(|aval| aval.dtype.is_float());
    if by.is_empty() || !float {
        return Ok(());
    }
    // Sums over a batch are added up in another order, and in few digits the rest depends on it.
    let units = 4.0 * row.error.max(16.0);
    let agree = |what: &str, got: &[Tensor], expected: &[Tensor]| close(what, got, expected, units, 1.0);

    let gradient =
        |(x, rest): (Vec<Tensor>, Vec<Tensor>)| grad(|x: Vec<Tensor>| loss(&case.run(&with(&rest, &by, &x))))(x);
    let arguments = |seed: u64| -> (Vec<Tensor>, Vec<Tensor>) {
        let values = case.values(seed);
        (by.iter().map(|&i| values[i].clone()).collect(), values)
    };
    let (x, rest) = arguments(seed);
    let expected = gradient((x.clone(), rest.clone()));
    for (gradient, x) in expected.iter().zip(&x) {
        if !gradient.aval().matches(x.aval()) {
            return Err(format!("the gradient of {} is {}", x.aval(), gradient.aval()));
        }
    }
    agree("jit of grad", &jit(gradient).call((x.clone(), rest.clone())), &expected)?;
    let compiled = jit(|inputs: Vec<Tensor>| case.run(&inputs));
    let of_compiled = grad(|x: Vec<Tensor>| loss(&compiled.call(with(&rest, &by, &x))))(x);
    agree("grad of jit", &of_compiled, &expected)?;

    let examples: Vec<_> = (0..3).map(|i| arguments(seed + i)).collect();
    let batch = |part: &dyn Fn(usize) -> Vec<Tensor>| -> Vec<Tensor> {
        let parts: Vec<Vec<Tensor>> = (0..3).map(part).collect();
        (0..parts[0].len())
            .map(|i| stack(&parts.iter().map(|part| part[i].clone()).collect::<Vec<_>>(), 0).expect("three"))
            .collect()
    };
    let inputs = (batch(&|i| examples[i].0.clone()), batch(&|i| examples[i].1.clone()));
    let looped = batch(&|i| gradient(examples[i].clone()));
    agree("vmap of grad", &vmap(gradient)(inputs.clone()), &looped)?;
    agree("jit of vmap of grad", &jit(vmap(gradient)).call(inputs.clone()), &looped)?;
    let of_batch = grad(|x: Vec<Tensor>| {
        let one = |(x, rest): (Vec<Tensor>, Vec<Tensor>)| loss(&case.run(&with(&rest, &by, &x)));
        vmap(one)((x, inputs.1.clone())).sum()
    });
    agree("grad of vmap", &of_batch(inputs.0.clone()), &looped)?;
    // One set of operands for all examples, but for the first.
    let shared: Vec<BatchAxes> =
        (0..by.len()).map(|i| if i == 0 { BatchAxes::Axis(0) } else { BatchAxes::Shared }).collect();
    let axes = BatchAxes::Children(vec![BatchAxes::Children(shared), BatchAxes::Shared]);
    let (x, rest) = (inputs.0.clone(), arguments(seed).1);
    let mut some = arguments(seed).0;
    let looped = batch(&|i| gradient((with(&some, &[0], &[example(&x[0], 0, i)]), rest.clone())));
    some[0] = x[0].clone();
    agree("vmap of grad, the rest shared", &vmap_axes(gradient, axes, 0)((some, rest.clone())), &looped)
}

/// A scalar of which every floating-point element has a derivative of its own.
pub fn loss(results: &[Tensor]) -> Tensor {
    let mut sum: Option<Tensor> = None;
    for result in results.iter().filter(|result| result.dtype().is_float()) {
        let finite = result.is_finite().select(result, result.zeros_like());
        // Results may be of several dtypes.
        let weights = Tensor::range(result.size()).astype(result.dtype()) * 0.37 + 0.6;
        let weighted = (finite * weights.cos().reshape(result.shape())).sum().astype(DType::F32);
        sum = Some(sum.map_or(weighted.clone(), |sum| sum + &weighted));
    }
    sum.expect("a result that is a float")
}

tests_of_families!(CHECK;);

mod precision {
    //! Less precise dtypes give what f64 gives, within their precision.

    use super::*;

    const CHECK: Check =
        Check { name: "precision", cases: 4, applies: |_, dtype| dtype.is_float() && dtype != DType::F64, holds };

    fn holds(row: &Row, case: &Case, seed: u64) -> Outcome {
        // The same decisions in f64.
        let Some(precise) = row.draw(&mut Source::new(&case.choices), DType::F64) else {
            return Err("it can only be drawn in this dtype".into());
        };
        let bits = row.name == "bitcast_convert";
        if bits {
            return Ok(());
        }
        for seed in [seed, seed + 1] {
            let values = case.values(seed);
            let exact: Vec<Tensor> =
                values.iter().zip(&precise.operands).map(|(x, operand)| x.astype(operand.aval.dtype)).collect();
            let (results, expected) = (case.run(&values), precise.run(&exact));
            let wide: Vec<Tensor> =
                results.iter().zip(&expected).map(|(x, expected)| x.astype(expected.dtype())).collect();
            // In units of the less precise one.
            let dtype = case.operands.first().map_or(DType::F64, |operand| operand.aval.dtype);
            for ((got, expected), result) in wide.iter().zip(&expected).zip(&results) {
                let least = if result.dtype().is_float() { result.dtype() } else { dtype };
                let units = row.error * crate::compare::epsilon(least) / f64::EPSILON;
                match expected.dtype().is_float() {
                    true => {
                        close("against f64", std::slice::from_ref(got), std::slice::from_ref(expected), units, 1.0)?
                    }
                    false => same("against f64", std::slice::from_ref(got), std::slice::from_ref(expected))?,
                }
            }
        }
        Ok(())
    }

    tests_of_families!(CHECK;);
}
