//! What several steps of a program do that libtorch has one kernel for.
//!
//! Steps are changed before anything is known of when values die. All of it gives the same bits as the steps
//! as they were.

use smallvec::smallvec;

use super::executable::{Kind, Source, Step};
use crate::aval::Literal;
use crate::dtype::DType;
use crate::primitive::{BinaryOp, CompareOp, Elementwise, Primitive, SelectKind, UnaryOp, Window, WindowKind};

/// Changes the steps of a program, with its constants, the slots of its results, and how many slots there are.
pub(super) fn fuse(steps: &mut Vec<Step>, constants: &mut Vec<Literal>, results: &[Source], slots: &mut usize) {
    rectify(steps, constants);
    pool(steps, slots);
    negate(steps, constants, results, *slots);
    remove_unread(steps, results, *slots);
}

fn elementwise(step: &Step) -> Option<&Elementwise> {
    match &step.kind {
        Kind::Primitive(Primitive::Elementwise(op)) => Some(op),
        _ => None,
    }
}

/// The step that gives each slot its value.
fn makers(steps: &[Step], slots: usize) -> Vec<Option<usize>> {
    let mut makers = vec![None; slots];
    for (i, step) in steps.iter().enumerate() {
        for &slot in &step.outputs {
            makers[slot] = Some(i);
        }
    }
    makers
}

/// `select(x <= 0, 0, y)`: rectified linear units and their gradients. The selection by truth values is slow,
/// and looking at `x` again is not; or at what was rectified of it, which is positive where `x` is, and which
/// others mostly need later than `x`.
fn rectify(steps: &mut [Step], constants: &[Literal]) {
    let zero = |source: Source| match source {
        Source::Constant(place) => {
            let value = constants[place].as_f64();
            value == 0.0 && value.is_sign_positive()
        }
        Source::Slot(_) => false,
    };
    // The slots of truth values, and what was compared, or was rectified of it since.
    let mut compared: Vec<(Source, Source, DType)> = Vec::new();
    for step in steps {
        match elementwise(step) {
            Some(Elementwise::Compare(CompareOp::Le)) if zero(step.inputs[1]) && step.output_avals[0].rank() > 0 => {
                compared.push((Source::Slot(step.outputs[0]), step.inputs[0], step.input_avals[0].dtype));
            }
            Some(Elementwise::Select) if zero(step.inputs[1]) => {
                let (verdict, y, aval) = (step.inputs[0], step.inputs[2], step.output_avals[0].clone());
                let same = |(of, _, dtype): &&mut (Source, Source, DType)| *of == verdict && *dtype == aval.dtype;
                let Some((_, x, _)) = compared.iter_mut().find(same).filter(|_| aval.dtype.is_float()) else {
                    continue;
                };
                step.kind = Kind::Rectify;
                step.inputs = if *x == y { smallvec![y] } else { smallvec![y, *x] };
                step.input_avals = vec![aval; step.inputs.len()];
                if *x == y {
                    *x = Source::Slot(step.outputs[0]);
                }
            }
            _ => {}
        }
    }
}

/// Maxima of windows, and later the gradient by the same operand: the places of the maxima are kept.
fn pool(steps: &mut [Step], slots: &mut usize) {
    for gradient in 0..steps.len() {
        let Kind::Primitive(Primitive::Window(Window::SelectAndScatterAdd { select: SelectKind::Max, window })) =
            &steps[gradient].kind
        else {
            continue;
        };
        let (window, x) = (window.clone(), steps[gradient].inputs[1]);
        let same = |step: &Step| match &step.kind {
            Kind::Primitive(Primitive::Window(Window::ReduceWindow { kind: WindowKind::Max, window: of })) => {
                *of == window && step.inputs[0] == x
            }
            _ => false,
        };
        let Some(maxima) = steps[..gradient].iter().position(same) else { continue };
        let (aval, empty) = (&steps[maxima].input_avals[0], steps[maxima].output_avals[0].size() == 0);
        if empty || !super::window::has_pooling(&window, aval.dtype) {
            continue;
        }
        let (places, greatest) = (*slots, *slots + 1);
        *slots += 2;
        steps[maxima].kind = Kind::Pool(window.clone());
        steps[maxima].outputs.extend([places, greatest]);
        steps[gradient].kind = Kind::Unpool(window);
        steps[gradient].inputs.extend([Source::Slot(places), Source::Slot(greatest)]);
    }
}

/// `-(x * 2)` as `x * -2`.
fn negate(steps: &mut [Step], constants: &mut Vec<Literal>, results: &[Source], slots: usize) {
    let makers = makers(steps, slots);
    let mut reads = vec![0; slots];
    for source in steps.iter().flat_map(|step| &step.inputs).chain(results) {
        if let Source::Slot(slot) = *source {
            reads[slot] += 1;
        }
    }
    for i in 0..steps.len() {
        if !matches!(elementwise(&steps[i]), Some(Elementwise::Unary(UnaryOp::Neg))) {
            continue;
        }
        let Source::Slot(slot) = steps[i].inputs[0] else { continue };
        let Some(maker) = makers[slot].filter(|_| reads[slot] == 1) else { continue };
        let product = &steps[maker];
        let factor = match product.inputs[..] {
            [_, Source::Constant(factor)] => factor,
            _ => continue,
        };
        if !matches!(elementwise(product), Some(Elementwise::Binary(BinaryOp::Mul)))
            || !product.output_avals[0].dtype.is_float()
        {
            continue;
        }
        let literal = constants[factor];
        constants.push(Literal::new(-literal.as_f64(), literal.dtype));
        let place = constants.len() - 1;
        let output = steps[i].outputs[0];
        // The product itself is nowhere any more; its negation is where it was.
        steps[maker].inputs[1] = Source::Constant(place);
        steps[maker].outputs[0] = output;
        steps[i].outputs[0] = slot;
        steps[i].inputs[0] = Source::Slot(output);
    }
}

/// Drops comparisons and negations that nobody reads any more.
fn remove_unread(steps: &mut Vec<Step>, results: &[Source], slots: usize) {
    let mut read = vec![false; slots];
    let mut mark = |source: &Source| {
        if let Source::Slot(slot) = *source {
            read[slot] = true;
        }
    };
    steps.iter().flat_map(|step| &step.inputs).chain(results).for_each(&mut mark);
    steps.retain(|step| elementwise(step).is_none() || step.outputs.iter().any(|&slot| read[slot]));
}
