//! A compiled operation gives what it gives when it runs by itself, to the last bit.

use jaxnet_autograd::{eval_shape, jit};
use jaxnet_tensor::{Aval, DType, Literal, Scalar, Tensor};

use crate::compare::{Elements, Outcome, elements, same};
use crate::reference;
use crate::rows::{Case, Family, Operand, Row};
use crate::run::{Check, tests_of_families};

const CHECK: Check = Check { name: "compiled", cases: 6, applies: |_, _| true, holds };

fn holds(row: &Row, case: &Case, seed: u64) -> Outcome {
    let compiled = jit(|inputs: Vec<Tensor>| case.run(&inputs));
    for (values, what) in [
        (case.values(seed), "jit"),
        (case.values(seed + 1), "jit again"),
        (case.specials(seed), "jit of special values"),
    ] {
        let eager = reference::primitive(&case.primitive, &values);
        same("bind", &case.run(&values), &eager)?;
        same(what, &compiled.call(values.clone()), &eager)?;
        // Inputs that nobody else holds may be overwritten.
        drop(values);
        let again = if what == "jit" { compiled.call(case.values(seed)) } else { eager.clone() };
        same("jit with its inputs donated", &again, &eager)?;
    }
    if compiled.trace_count() != 1 {
        return Err(format!("traced {} times for one signature", compiled.trace_count()));
    }
    literals(row, case, seed)
}

/// The same with constants in place of scalar operands, which are folded into the program; above all
/// those constants for which operations are simplified.
fn literals(row: &Row, case: &Case, seed: u64) -> Outcome {
    let scalars: Vec<usize> = (0..case.operands.len()).filter(|&i| case.operands[i].aval.rank() == 0).collect();
    if scalars.is_empty() {
        return Ok(());
    }
    let mut all = vec![case.values(seed), case.specials(seed)];
    all.extend(with_neutral_scalars(row, case, &case.specials(seed + 1)));
    for values in all {
        let constants: Vec<Tensor> =
            values.iter().map(|x| if x.rank() == 0 { literal(x).into() } else { x.clone() }).collect();
        let eager = reference::primitive(&case.primitive, &values);
        same("bind with literals", &case.run(&constants), &eager)?;
        let compiled = jit(|inputs: Vec<Tensor>| {
            let mut inputs = inputs.into_iter();
            let operand = |x: &Tensor| if x.rank() == 0 { x.clone() } else { inputs.next().expect("as many") };
            case.run(&constants.iter().map(operand).collect::<Vec<_>>())
        });
        let arrays: Vec<Tensor> = values.iter().filter(|x| x.rank() > 0).cloned().collect();
        same(&format!("jit with literals {constants:?}"), &compiled.call(arrays), &eager)?;
    }
    Ok(())
}

/// These values with, for scalar operands, numbers for which operations are simplified.
pub fn with_neutral_scalars(row: &Row, case: &Case, values: &[Tensor]) -> Vec<Vec<Tensor>> {
    let neutral = |number: f64| {
        let of = |(operand, x): (&Operand, &Tensor)| match operand.aval.rank() == 0 && !operand.fixed {
            true => Tensor::scalar(number).astype(x.dtype()),
            false => x.clone(),
        };
        case.operands.iter().zip(values).map(of).collect()
    };
    let numbers: &[f64] = if row.family == Family::Elementwise { &[0.0, -0.0, 1.0, -1.0] } else { &[] };
    numbers.iter().map(|&number| neutral(number)).collect()
}

/// The constant that a scalar is.
pub fn literal(x: &Tensor) -> Literal {
    let value = match (x.dtype(), elements(x)) {
        (DType::Bool, Elements::Integers(x)) => Scalar::Bool(x[0] != 0),
        (_, Elements::Integers(x)) => Scalar::Int(x[0]),
        (_, Elements::Floats(x)) => Scalar::Float(x[0]),
    };
    Literal { value, dtype: x.dtype(), weak: false }
}

mod inference {
    //! What comes out is what inference says, however the operation is run.

    use super::*;
    use crate::compare::floats;

    const CHECK: Check = Check { name: "inference", cases: 3, applies: |_, _| true, holds };

    fn holds(_: &Row, case: &Case, seed: u64) -> Outcome {
        let expected = case.infer().map_err(|error| error.to_string())?;
        let agree = |what: &str, results: &[Tensor], expected: &[Aval]| {
            let avals: Vec<Aval> = results.iter().map(|result| result.aval().clone()).collect();
            match avals == expected {
                true => Ok(()),
                false => Err(format!("{what} gives {avals:?}, inference {expected:?}")),
            }
        };
        let values = case.values(seed);
        let eager = case.run(&values);
        agree("running it", &eager, &expected)?;
        for result in &eager {
            let count = floats(result).len();
            if count != result.size() {
                return Err(format!("{count} elements of {}", result.aval()));
            }
        }
        let run = |inputs: Vec<Tensor>| case.run(&inputs);
        agree("jit", &jit(run).call(values.clone()), &expected)?;
        agree("eval_shape", &eval_shape(run, &values), &expected)
    }

    tests_of_families!(CHECK;);
}

tests_of_families!(CHECK;);
