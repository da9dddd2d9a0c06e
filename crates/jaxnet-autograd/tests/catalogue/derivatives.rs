//! Derivatives, to second order and in both modes, against central differences; and transposes.

use jaxnet_autograd::{GradCheck, check_grads, linearize, vjp};
use jaxnet_tensor::{DType, Tensor};

use crate::compare::{Outcome, close};
use crate::rows::{Case, Numbers, Row};
use crate::run::{Check, tests_of_families};

const CHECK: Check = Check { name: "derivatives", cases: 10, applies: |_, dtype| dtype == DType::F64, holds };

fn holds(row: &Row, case: &Case, seed: u64) -> Outcome {
    let operands = case.differentiable();
    if operands.is_empty() {
        return Ok(());
    }
    let values = case.values(seed);
    // Padding of a window is infinite, say, and so has no differences.
    let finite: Vec<Tensor> = case.run(&values).iter().map(Tensor::is_finite).collect();
    // By all operands together, and by some.
    let some: Vec<usize> = {
        let subset = 1 + Numbers::new(seed).below((1 << operands.len()) - 1);
        operands.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, &i)| i).collect()
    };
    for by in [&operands, &some] {
        let f = |x: Vec<Tensor>| -> Vec<Tensor> {
            let results = case.run(&with(&values, by, &x));
            results.iter().zip(&finite).map(|(y, finite)| finite.select(y, y.zeros_like())).collect()
        };
        let at: Vec<Tensor> = by.iter().map(|&i| values[i].clone()).collect();
        let check = GradCheck { forward: row.forward, reverse: row.reverse, seed, ..GradCheck::default() };
        check_grads(f, at, check).map_err(|error| format!("by operands {by:?}: {error}"))?;
        if operands == some {
            break;
        }
    }
    Ok(())
}

/// The values with others in some places.
pub fn with(values: &[Tensor], places: &[usize], others: &[Tensor]) -> Vec<Tensor> {
    let mut values = values.to_vec();
    for (&place, other) in places.iter().zip(others) {
        values[place] = other.clone();
    }
    values
}

tests_of_families!(CHECK;);

mod transposes {
    //! Linear operations are their own derivative, and the transpose of their transpose.

    use super::*;

    const CHECK: Check =
        Check { name: "transposes", cases: 6, applies: |row, dtype| dtype.is_float() && row.reverse, holds };

    fn holds(row: &Row, case: &Case, seed: u64) -> Outcome {
        for by in &case.linear {
            let values = case.values(seed);
            let f = |x: Vec<Tensor>| case.run(&with(&values, by, &x));
            let (x, t) = (at(&values, by), at(&case.values(seed + 1), by));
            // Results that do not depend on these operands, such as the sorted keys, have derivative 0.
            let zeros: Vec<Tensor> = x.iter().map(Tensor::zeros_like).collect();
            let expected: Vec<Tensor> = f(t.clone()).iter().zip(f(zeros)).map(|(y, at_0)| y - at_0).collect();
            let (y, derivative) = linearize(f, x.clone());
            let only_floats =
                |of: Vec<Tensor>| -> Vec<Tensor> { of.into_iter().filter(|x| x.dtype().is_float()).collect() };
            let expected = only_floats(expected);
            let agree = |what: &str, got: Vec<Tensor>| {
                close(&format!("{what} in operands {by:?}"), &only_floats(got), &expected, row.error, 1.0)
            };
            agree("derivative", derivative(t.clone()))?;
            let (_, transpose) = vjp(f, x.clone());
            let zeros: Vec<Tensor> = y.iter().map(Tensor::zeros_like).collect();
            let (at_zero, transposed) = vjp(&transpose, zeros);
            agree("transposed transpose", transposed(t))?;
            // And linear functions are 0 at 0.
            let nothing: Vec<Tensor> = x.iter().map(Tensor::zeros_like).collect();
            close("transpose of 0", &at_zero, &nothing, 0.0, 0.0)?;
        }
        Ok(())
    }

    fn at(values: &[Tensor], places: &[usize]) -> Vec<Tensor> {
        places.iter().map(|&i| values[i].clone()).collect()
    }

    tests_of_families!(CHECK;);
}
