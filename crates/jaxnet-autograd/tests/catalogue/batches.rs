//! `vmap` of an operation is a loop over examples.

use jaxnet_autograd::{BatchAxes, jit, vmap_axes};
use jaxnet_tensor::{Aval, Tensor};

use crate::compare::{Outcome, close, same};
use crate::reference::{example, stack};
use crate::rows::{Case, Numbers, Row};
use crate::run::{Check, tests_of_families};

const CHECK: Check = Check { name: "batches", cases: 4, applies: |_, _| true, holds };

/// How many examples.
const SIZE: usize = 3;

fn holds(row: &Row, case: &Case, seed: u64) -> Outcome {
    let mut numbers = Numbers::new(seed);
    let count = case.operands.len();
    let examples: Vec<Vec<Tensor>> = (0..SIZE as u64).map(|i| case.values(seed + i)).collect();
    let specials: Vec<Vec<Tensor>> = (0..SIZE as u64).map(|i| case.specials(seed + i)).collect();
    // Each choice of batched operands; of those of many operands, some.
    let subsets: Vec<usize> = if count <= 3 {
        (1..1 << count).collect()
    } else {
        let all = (1 << count) - 1;
        std::iter::once(all).chain((0..6).map(|_| 1 + numbers.below(all))).collect()
    };
    for (round, subset) in subsets.into_iter().enumerate() {
        let batching = Batching::draw(case, |i| subset >> i & 1 == 1, &mut numbers)?;
        batching.check(row, case, &examples)?;
        // The order in which floats are added matters to infinities.
        if !row.reassociates || !case.operands.iter().any(|operand| operand.aval.dtype.is_float()) {
            batching.check(row, case, &specials).map_err(|error| format!("special values: {error}"))?;
        }
        match round % 3 {
            0 => batching.check(row, case, &examples[..1])?,
            1 => batching.check_empty(case)?,
            _ => {}
        }
        if round == 0 {
            batching.check_nested(row, case, &mut numbers, seed)?;
            batching.check_compiled(row, case, &examples)?;
        }
    }
    Ok(())
}

/// Along which axes operands and results are batched.
#[derive(Debug)]
struct Batching {
    inputs: Vec<Option<usize>>,
    outputs: Vec<usize>,
    results: Vec<Aval>,
}

impl Batching {
    fn draw(case: &Case, batched: impl Fn(usize) -> bool, numbers: &mut Numbers) -> Result<Self, String> {
        let results = case.infer().map_err(|error| error.to_string())?;
        let mut axis = |aval: &Aval| numbers.below(aval.rank() + 1);
        let inputs = case.operands.iter().enumerate();
        Ok(Batching {
            inputs: inputs.map(|(i, operand)| batched(i).then(|| axis(&operand.aval))).collect(),
            outputs: results.iter().map(&mut axis).collect(),
            results,
        })
    }

    fn vmap<'a>(&self, f: impl Fn(Vec<Tensor>) -> Vec<Tensor> + 'a) -> impl Fn(Vec<Tensor>) -> Vec<Tensor> + 'a {
        let each = |axis: Option<usize>| axis.map_or(BatchAxes::Shared, |axis| BatchAxes::Axis(axis as isize));
        let inputs = self.inputs.iter().map(|axis| each(*axis)).collect();
        let outputs = self.outputs.iter().map(|axis| each(Some(*axis))).collect();
        vmap_axes(f, BatchAxes::Children(inputs), BatchAxes::Children(outputs))
    }

    /// The operands for all examples; those that are shared are those of the first.
    fn inputs(&self, examples: &[Vec<Tensor>]) -> Vec<Tensor> {
        let each = |(i, axis): (usize, &Option<usize>)| match axis {
            None => examples[0][i].clone(),
            Some(axis) => {
                let parts: Vec<Tensor> = examples.iter().map(|example| example[i].clone()).collect();
                stack(&parts, *axis).expect("at least one example")
            }
        };
        self.inputs.iter().enumerate().map(each).collect()
    }

    /// The results of a loop over the batch.
    fn looped(&self, case: &Case, inputs: &[Tensor], size: usize) -> Vec<Tensor> {
        let one = |i: usize| {
            let operand = |(x, axis): (&Tensor, &Option<usize>)| axis.map_or(x.clone(), |axis| example(x, axis, i));
            case.run(&inputs.iter().zip(&self.inputs).map(operand).collect::<Vec<_>>())
        };
        let results: Vec<Vec<Tensor>> = (0..size).map(one).collect();
        let joined = |(i, axis): (usize, &usize)| {
            let parts: Vec<Tensor> = results.iter().map(|results| results[i].clone()).collect();
            stack(&parts, *axis).expect("at least one example")
        };
        self.outputs.iter().enumerate().map(joined).collect()
    }

    fn compare(&self, row: &Row, what: &str, got: &[Tensor], expected: &[Tensor]) -> Outcome {
        let what = format!("{what}, batched along {:?} giving {:?}", self.inputs, self.outputs);
        if row.reassociates { close(&what, got, expected, row.error, 1.0) } else { same(&what, got, expected) }
    }

    fn check(&self, row: &Row, case: &Case, examples: &[Vec<Tensor>]) -> Outcome {
        let inputs = self.inputs(examples);
        let batch = self.vmap(|x| case.run(&x))(inputs.clone());
        self.compare(row, &format!("{} examples", examples.len()), &batch, &self.looped(case, &inputs, examples.len()))
    }

    fn check_compiled(&self, row: &Row, case: &Case, examples: &[Vec<Tensor>]) -> Outcome {
        let inputs = self.inputs(examples);
        let expected = self.vmap(|x| case.run(&x))(inputs.clone());
        self.compare(row, "jit of vmap", &jit(self.vmap(|x| case.run(&x))).call(inputs), &expected)
    }

    /// Of no examples there are results without elements.
    fn check_empty(&self, case: &Case) -> Outcome {
        let first = case.values(0);
        let none = |(x, axis): (&Tensor, &Option<usize>)| match axis {
            None => x.clone(),
            Some(axis) => Tensor::full(x.shape().with_axis(*axis, 0), 0, x.dtype()),
        };
        let batch = self.vmap(|x| case.run(&x))(first.iter().zip(&self.inputs).map(none).collect());
        let empty = |(aval, axis): (&Aval, &usize)| Tensor::full(aval.shape.with_axis(*axis, 0), 0, aval.dtype);
        let expected: Vec<Tensor> = self.results.iter().zip(&self.outputs).map(empty).collect();
        same(&format!("no examples, batched along {:?}", self.inputs), &batch, &expected)
    }

    /// `vmap` of `vmap`, the outer one over some of the same operands.
    fn check_nested(&self, row: &Row, case: &Case, numbers: &mut Numbers, seed: u64) -> Outcome {
        let batches: Vec<Vec<Tensor>> = (0..2)
            .map(|outer| {
                let examples: Vec<Vec<Tensor>> = (0..2).map(|i| case.values(seed + 2 * outer + i)).collect();
                self.inputs(&examples)
            })
            .collect();
        let inputs = batches[0].iter().map(|x| numbers.coin().then(|| numbers.below(x.rank() + 1))).collect();
        let outputs = self.results.iter().map(|aval| numbers.below(aval.rank() + 2)).collect();
        let mut outer = Batching { inputs, outputs, results: Vec::new() };
        if outer.inputs.iter().all(Option::is_none) {
            outer.inputs[0] = Some(0);
        }
        let inputs = outer.inputs(&batches);
        let nested = outer.vmap(self.vmap(|x| case.run(&x)))(inputs.clone());
        let results: Vec<Vec<Tensor>> = (0..2)
            .map(|i| {
                let operand = |(x, axis): (&Tensor, &Option<usize>)| axis.map_or(x.clone(), |axis| example(x, axis, i));
                let inputs: Vec<Tensor> = inputs.iter().zip(&outer.inputs).map(operand).collect();
                self.looped(case, &inputs, 2)
            })
            .collect();
        let joined = |(i, axis): (usize, &usize)| {
            stack(&[results[0][i].clone(), results[1][i].clone()], *axis).expect("two examples")
        };
        let expected: Vec<Tensor> = outer.outputs.iter().enumerate().map(joined).collect();
        self.compare(row, &format!("vmap of vmap, outer {:?}", outer.inputs), &nested, &expected)
    }
}

tests_of_families!(CHECK;);
