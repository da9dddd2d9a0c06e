//! Programs run one equation after the other, loops and branches too: what compiled ones are compared
//! with.

use jaxnet_tensor::primitive::Control;
use jaxnet_tensor::program::{Atom, Program};
use jaxnet_tensor::{OrRaise, Primitive, Tensor, lax, trace};

/// What is done with the operands of each primitive, and with its results.
pub type Hook<'a> = dyn FnMut(&Primitive, Side, Vec<Tensor>) -> Vec<Tensor> + 'a;

/// What a hook gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Operands,
    Results,
}

/// The results of a program.
pub fn eval(program: &Program, inputs: &[Tensor]) -> Vec<Tensor> {
    eval_by(program, inputs, &mut |_, _, values| values)
}

/// The results of a primitive, whose programs are run in the same way.
pub fn primitive(primitive: &Primitive, inputs: &[Tensor]) -> Vec<Tensor> {
    primitive_by(primitive, inputs, &mut |_, _, values| values)
}

/// The results of a program in which `hook` has the last word on each primitive's operands and results.
pub fn eval_by(program: &Program, inputs: &[Tensor], hook: &mut Hook<'_>) -> Vec<Tensor> {
    assert_eq!(inputs.len(), program.input_avals().len());
    let mut values = inputs.to_vec();
    let read = |values: &[Tensor], atom: &Atom| match atom {
        Atom::Var(var) => values[var.index()].clone(),
        Atom::Literal(literal) => Tensor::from(*literal),
    };
    for equation in program.equations() {
        let operands: Vec<Tensor> = equation.inputs.iter().map(|atom| read(&values, atom)).collect();
        let operands = hook(&equation.primitive, Side::Operands, operands);
        let results = primitive_by(&equation.primitive, &operands, hook);
        values.extend(hook(&equation.primitive, Side::Results, results));
    }
    program.outputs().iter().map(|atom| read(&values, atom)).collect()
}

fn primitive_by(primitive: &Primitive, inputs: &[Tensor], hook: &mut Hook<'_>) -> Vec<Tensor> {
    let Primitive::Control(control) = primitive else {
        return trace::bind(primitive, inputs).or_raise().into_vec();
    };
    match control {
        Control::Call { program: body, .. }
        | Control::Checkpoint { program: body }
        | Control::CustomJvp { body, .. }
        | Control::CustomVjp { body, .. }
        | Control::Composite { body, .. } => eval_by(body, inputs, hook),
        Control::Cond { branches } => {
            let index = inputs[0].item::<i32>().clamp(0, branches.len() as i32 - 1);
            eval_by(&branches[index as usize], &inputs[1..], hook)
        }
        Control::While { cond, body, cond_consts, body_consts } => {
            let (for_cond, rest) = inputs.split_at(*cond_consts);
            let (for_body, carry) = rest.split_at(*body_consts);
            let mut carry = carry.to_vec();
            while eval_by(cond, &[for_cond, &carry].concat(), hook)[0].item::<bool>() {
                carry = eval_by(body, &[for_body, &carry].concat(), hook);
            }
            carry
        }
        Control::Scan { body, length, reverse, consts, carry } => {
            let mut state = inputs[*consts..consts + carry].to_vec();
            let mut ys: Vec<Vec<Tensor>> = Vec::new();
            for step in 0..*length {
                let i = if *reverse { length - 1 - step } else { step };
                let xs: Vec<Tensor> = inputs[consts + carry..].iter().map(|xs| example(xs, 0, i)).collect();
                let mut results = eval_by(body, &[&inputs[..*consts], &state, &xs].concat(), hook);
                ys.push(results.split_off(*carry));
                state = results;
            }
            if *reverse {
                ys.reverse();
            }
            let stacked = body.output_avals().skip(*carry).enumerate().map(|(y, aval)| {
                let parts: Vec<Tensor> = ys.iter().map(|step| step[y].clone()).collect();
                stack(&parts, 0).unwrap_or_else(|| Tensor::full(aval.shape.with_axis(0, 0), 0, aval.dtype))
            });
            state.into_iter().chain(stacked).collect()
        }
        Control::OptimizationBarrier | Control::StopGradient | Control::Debug(_) => inputs.to_vec(),
        Control::CustomLinear { .. } => panic!("{primitive} cannot be run"),
    }
}

/// The part of a batch at one place along the batch's axis.
pub fn example(batch: &Tensor, axis: usize, i: usize) -> Tensor {
    let slice = lax::slice_axis(batch, axis, i, i + 1, 1).or_raise();
    lax::reshape(&slice, batch.shape().without_axis(axis)).or_raise()
}

/// Tensors of one kind along a new axis; `None` if there are none.
pub fn stack(parts: &[Tensor], axis: usize) -> Option<Tensor> {
    let shape = parts.first()?.shape().with_axis(axis, 1);
    let parts: Vec<Tensor> = parts.iter().map(|part| lax::reshape(part, &*shape).or_raise()).collect();
    Some(lax::concatenate(&parts, axis).or_raise())
}
