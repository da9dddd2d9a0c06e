//! Operations that hold programs, and those that only direct the compiler.

use std::hash::{DefaultHasher, Hash, Hasher};

use jaxnet_tensor::primitive::{Control, DebugAction, Rule};
use jaxnet_tensor::program::Program;
use jaxnet_tensor::program::stage::stage_closed;
use jaxnet_tensor::{Aval, DType, Shape, Tensor};

use super::domain::Domain;
use super::{Case, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("call", |source, dtype| {
            let operands = two(source, dtype);
            let program = two_results(source, &operands);
            Some(Case::new(Control::Call { name: "a call".into(), program }, operands))
        }),
        row("checkpoint", |source, dtype| {
            let operands = two(source, dtype);
            let program = two_results(source, &operands);
            Some(Case::new(Control::Checkpoint { program }, operands))
        }),
        row("composite", |source, dtype| {
            let operands = two(source, dtype);
            let body = two_results(source, &operands);
            let op = Control::Composite { name: "a composite".into(), attributes: "of=two".into(), body };
            Some(Case::new(op, operands))
        }),
        row("cond", cond),
        row("scan", scan),
        row("while", while_loop),
        row("custom_jvp", custom_jvp),
        row("custom_vjp", custom_vjp),
        row("optimization_barrier", |source, dtype| {
            let operands: Vec<Operand> =
                (0..source.size(1, 3)).map(|_| Operand::any(dtype, source.shape(0..=3))).collect();
            let all: Vec<usize> = (0..operands.len()).collect();
            Some(Case::new(Control::OptimizationBarrier, operands).linear_in(&all))
        }),
        row("stop_gradient", |source, dtype| {
            // Its derivative is not that of the function which it computes.
            Some(Case::new(Control::StopGradient, [Operand::any(dtype, source.shape(0..=3)).constant()]))
        }),
        row("debug_print", |source, dtype| {
            let x = Operand::any(dtype, source.shape(0..=3));
            Some(Case::new(Control::Debug(DebugAction::Print("(from the catalogue)".into())), [x]))
        }),
        row("check_nan", |source, dtype| {
            let x = Operand::any(dtype, source.shape(0..=3)).fixed();
            Some(Case::new(Control::Debug(DebugAction::CheckNan("the catalogue".into())), [x]))
        }),
    ];
    for row in &mut rows {
        row.reverse = row.name != "while";
        row.forward = row.name != "custom_vjp";
        row.error = 16.0;
    }
    rows
}

fn row(name: &'static str, draw: fn(&mut Source<'_>, DType) -> Option<Case>) -> Row {
    Row::new(name, Family::Control, DType::ALL, draw)
}

/// Two operands of one shape.
fn two(source: &mut Source<'_>, dtype: DType) -> Vec<Operand> {
    let shape = source.shape(0..=2);
    vec![Operand::any(dtype, &*shape), Operand::any(dtype, &*shape)]
}

fn avals(operands: &[Operand]) -> Vec<Aval> {
    operands.iter().map(|operand| operand.aval.clone()).collect()
}

fn program(inputs: &[Aval], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Program {
    stage_closed("a program of the catalogue", inputs, |values| Ok(f(values))).expect("it uses only its inputs")
}

/// Something of two tensors of one dtype that is linear in neither, bounded for floats.
fn mix(x: &Tensor, y: &Tensor) -> Tensor {
    match x.dtype() {
        DType::Bool => x ^ y,
        dtype if dtype.is_integer() => x * y + x,
        _ => x.sin() * y * 0.5 + x * 0.25,
    }
}

/// A program of two operands that gives something of both, and one of an input, a constant and more.
fn two_results(source: &mut Source<'_>, operands: &[Operand]) -> Program {
    let second = source.below(3);
    program(&avals(operands), |x| {
        let other = match second {
            0 => x[1].clone(),
            1 => Tensor::full(Shape::scalar(), 1, x[0].dtype()),
            _ => mix(&x[1], &x[1]),
        };
        vec![mix(&x[0], &x[1]), other]
    })
}

fn cond(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let operands = two(source, dtype);
    let avals = avals(&operands);
    let branches = (0..source.size(1, 3))
        .map(|_| match source.below(4) {
            0 => program(&avals, |x| vec![mix(&x[0], &x[1]), x[0].clone()]),
            1 => program(&avals, |x| vec![mix(&x[1], &x[0]), x[1].clone()]),
            2 => program(&avals, |x| vec![x[1].clone(), mix(&x[0], &x[0])]),
            // Of none of the operands.
            _ => program(&avals, |x| vec![x[0].zeros_like(), x[1].ones_like()]),
        })
        .collect();
    let index = Operand::new(DType::I32, Shape::scalar(), Domain::Integers(-1, 3));
    Some(Case::new(Control::Cond { branches }, [vec![index], operands].concat()))
}

fn scan(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let shape = source.shape(0..=2);
    let length = source.pick(&[1, 2, 3, 0]);
    let (consts, carry, xs) = (source.size(0, 1), source.size(0, 2), source.size(0, 2));
    let step: Vec<Aval> = (0..consts + carry + xs).map(|_| Aval::new(dtype, &*shape)).collect();
    // Carries may have results that do not depend on them, and the other way round.
    let keep = source.coin();
    let body = program(&step, |x| {
        let all = x.iter().cloned().reduce(|x, y| mix(&x, &y)).unwrap_or_else(|| Tensor::full(&*shape, 1, dtype));
        let mut results: Vec<Tensor> =
            (0..carry).map(|i| if i == 0 && keep { x[consts].clone() } else { mix(&all, &x[consts + i]) }).collect();
        results.push(all);
        results.extend(x.last().cloned());
        results
    });
    let op = Control::Scan { body, length, reverse: source.coin(), consts, carry };
    let operands = (0..consts + carry + xs).map(|i| match i < consts + carry {
        true => Operand::any(dtype, &*shape),
        false => Operand::any(dtype, shape.with_axis(0, length)),
    });
    Some(Case::new(op, operands))
}

fn while_loop(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let shape = source.shape(0..=2);
    let value = || Aval::new(dtype, &*shape);
    let counter = || Aval::scalar(DType::I32);
    // The number of steps is a constant of the condition, or a carry that stays.
    let carried = source.coin();
    let carry = if carried { vec![counter(), counter(), value()] } else { vec![counter(), value()] };
    let with = |first: Aval| -> Vec<Aval> { std::iter::once(first).chain(carry.iter().cloned()).collect() };
    let (cond, body) = if carried {
        let cond = program(&carry, |x| vec![x[0].lt(&x[1])]);
        (cond, program(&with(value()), |x| vec![&x[1] + 1, x[2].clone(), mix(&x[3], &x[0])]))
    } else {
        let cond = program(&with(counter()), |x| vec![x[1].lt(&x[0])]);
        (cond, program(&with(value()), |x| vec![&x[1] + 1, mix(&x[2], &x[0])]))
    };
    let op = Control::While { cond, body, cond_consts: !carried as usize, body_consts: 1 };
    // Few steps, whatever the values.
    let limit = Operand::new(DType::I32, Shape::scalar(), Domain::Integers(0, 3)).fixed();
    let start = Operand::new(DType::I32, Shape::scalar(), Domain::Integers(0, 1)).fixed();
    let (constant, x) = (Operand::any(dtype, &*shape), Operand::any(dtype, &*shape));
    Some(Case::new(op, if carried { [constant, start, limit, x] } else { [limit, constant, start, x] }))
}

/// A rule that is known by what it computes, and by which of the catalogue's rules it is.
fn rule(which: u64, program: Program) -> Rule {
    let mut hasher = DefaultHasher::new();
    program.to_string().hash(&mut hasher);
    Rule::new(vec![0xCA7A_1069, which, hasher.finish()], move || Ok(program.clone()))
}

fn custom_jvp(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let operands = two(source, dtype);
    let avals = avals(&operands);
    let body = program(&avals, |x| vec![mix(&x[0], &x[1])]);
    let tangents = if dtype.is_float() { avals.clone() } else { vec![] };
    let rule_of = program(&[avals.clone(), tangents].concat(), |x| {
        let mut results = vec![mix(&x[0], &x[1])];
        if let [x, y, dx, dy] = x {
            results.push((x.cos() * y * 0.5 + 0.25) * dx + x.sin() * dy * 0.5);
        }
        results
    });
    Some(Case::new(Control::CustomJvp { body, rule: rule(0, rule_of) }, operands))
}

fn custom_vjp(source: &mut Source<'_>, dtype: DType) -> Option<Case> {
    let operands = two(source, dtype);
    let avals = avals(&operands);
    let body = program(&avals, |x| vec![mix(&x[0], &x[1])]);
    let forward = program(&avals, |x| vec![mix(&x[0], &x[1]), x[0].clone(), x[1].clone()]);
    let cotangents = if dtype.is_float() { vec![avals[0].clone()] } else { vec![] };
    let backward = program(&[avals, cotangents].concat(), |x| match x {
        [x, y, ct] => vec![(x.cos() * y * 0.5 + 0.25) * ct, x.sin() * ct * 0.5],
        _ => vec![],
    });
    let op = Control::CustomVjp { body, forward: rule(1, forward), backward: rule(2, backward) };
    Some(Case::new(op, operands))
}
