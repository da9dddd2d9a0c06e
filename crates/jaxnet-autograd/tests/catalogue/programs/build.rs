//! Programs from instructions.

use std::sync::OnceLock;

use jaxnet_tensor::primitive::{BinaryOp, CompareOp, Control, Elementwise, ShapeOp, UnaryOp};
use jaxnet_tensor::program::{Atom, ProgramBuilder};
use jaxnet_tensor::{Aval, DType, Literal, OrRaise, Primitive, Program, Scalar, Shape, Tensor, trace};

use super::{Drawn, Instruction, Mode};
use crate::compare::{Elements, elements, floats};
use crate::rows::{Case, Domain, Family, Numbers, Operand, Row, Source, rows};

/// At most so many inputs.
const INPUTS: usize = 5;
/// At most so many elements.
const SIZE: usize = 200;

/// The program that these instructions make, if they make one.
pub fn build(mode: Mode, instructions: &[Instruction]) -> Option<Drawn> {
    let mut scope = Scope::new(mode, false, &[]);
    scope.inputs = Some(Vec::new());
    scope.run(instructions);
    let results: Vec<Value> = scope.values.iter().rev().take(3).cloned().collect();
    let inputs = scope.inputs.take()?;
    if results.is_empty() || inputs.is_empty() {
        return None;
    }
    let outputs: Vec<Atom> = results.iter().map(|value| value.atom).collect();
    let (inputs, example) = inputs.into_iter().unzip();
    Some(Drawn { program: scope.builder.finish(&outputs), inputs, example })
}

/// A variable or a constant, and what it is for the example.
#[derive(Clone)]
struct Value {
    atom: Atom,
    example: Tensor,
}

impl Value {
    fn aval(&self) -> &Aval {
        self.example.aval()
    }
}

/// A program that is being built.
struct Scope {
    mode: Mode,
    builder: ProgramBuilder,
    values: Vec<Value>,
    /// Whether it is in a loop, whose example is that of the first step only.
    in_loop: bool,
    /// The inputs of the whole program; `None` within nested ones, which cannot have new ones.
    inputs: Option<Vec<(Operand, Tensor)>>,
}

/// The rows whose operations may be in a program.
fn candidates(mode: Mode) -> &'static [&'static Row] {
    static ROWS: OnceLock<[Vec<&'static Row>; 3]> = OnceLock::new();
    let all = ROWS.get_or_init(|| {
        // These print, or fail for NaN; and of what a program computes few matrices are far from singular.
        let quiet = |row: &&Row| !["debug_print", "check_nan"].contains(&row.name) && row.family != Family::Linalg;
        let takes_f64 = |row: &&Row| row.dtypes.contains(&DType::F64);
        [
            rows().iter().filter(quiet).collect(),
            rows().iter().filter(quiet).filter(takes_f64).filter(|row| row.forward && row.reverse).collect(),
            rows().iter().filter(quiet).filter(takes_f64).filter(|row| row.forward).collect(),
        ]
    });
    &all[mode as usize]
}

impl Scope {
    /// A scope whose program has these inputs.
    fn new(mode: Mode, in_loop: bool, inputs: &[Value]) -> Self {
        let mut builder = ProgramBuilder::new();
        let values = inputs
            .iter()
            .map(|value| Value { atom: builder.input(value.aval().strong()), example: value.example.clone() })
            .collect();
        Scope { mode, builder, values, in_loop, inputs: None }
    }

    fn run(&mut self, instructions: &[Instruction]) {
        for instruction in instructions {
            match instruction {
                Instruction::Operation { row, case, wiring } => {
                    self.operation(*row, case, &mut Source::new(wiring));
                }
                Instruction::Nested { kind, wiring, body } => {
                    self.nested(*kind, &mut Source::new(wiring), body);
                }
            }
        }
    }

    fn operation(&mut self, row: u32, choices: &[u32], wiring: &mut Source<'_>) -> Option<()> {
        let case = self.draw(row, choices)?;
        let operands: Vec<Value> = case.operands.iter().map(|operand| self.operand(operand, wiring)).collect();
        let results = self.equation(case.primitive, &operands);
        self.values.extend(results);
        Some(())
    }

    fn draw(&self, row: u32, choices: &[u32]) -> Option<Case> {
        let rows = candidates(self.mode);
        let row = rows[((u64::from(row) * rows.len() as u64) >> 32) as usize];
        let shapes: Vec<Shape> = self.values.iter().map(|value| value.aval().shape.clone()).collect();
        let mut source = Source::with_shapes(choices, &shapes);
        let exact: Vec<DType> =
            row.dtypes.iter().copied().filter(|dtype| !(row.reassociates && dtype.is_float())).collect();
        let dtype = match self.mode {
            Mode::Exact if exact.is_empty() => return None,
            Mode::Exact => source.pick(&exact),
            Mode::Differentiable | Mode::Smooth => DType::F64,
        };
        let case = row.draw(&mut source, dtype)?;
        let kinked = |operand: &Operand| matches!(operand.domain, Domain::Distinct { .. } | Domain::Fraction);
        let by = |operand: &Operand| operand.differentiable || operand.fixed || !operand.aval.dtype.is_float();
        if self.mode == Mode::Smooth && !case.operands.iter().all(|operand| by(operand) && !kinked(operand)) {
            return None;
        }
        // Derivatives in low precision would agree with little.
        let precise = |aval: &Aval| self.mode == Mode::Exact || !aval.dtype.is_float() || aval.dtype == DType::F64;
        case.infer().ok()?.iter().all(|aval| aval.size() <= SIZE && precise(aval)).then_some(case)
    }

    /// An operation on values.
    fn equation(&mut self, primitive: impl Into<Primitive>, operands: &[Value]) -> Vec<Value> {
        let primitive = primitive.into();
        let examples: Vec<Tensor> = operands.iter().map(|operand| operand.example.clone()).collect();
        let results = trace::bind(&primitive, &examples).or_raise();
        let atoms: Vec<Atom> = operands.iter().map(|operand| operand.atom).collect();
        let atoms = self.builder.equation(primitive, atoms).or_raise();
        atoms.into_iter().zip(results).map(|(atom, example)| Value { atom, example }).collect()
    }

    fn equation1(&mut self, primitive: impl Into<Primitive>, operands: &[Value]) -> Value {
        self.equation(primitive, operands).remove(0)
    }

    fn unary(&mut self, op: UnaryOp, x: &Value) -> Value {
        self.equation1(Elementwise::Unary(op), std::slice::from_ref(x))
    }

    fn binary(&mut self, op: BinaryOp, x: &Value, y: &Value) -> Value {
        self.equation1(Elementwise::Binary(op), &[x.clone(), y.clone()])
    }

    /// A number.
    fn number(&self, dtype: DType, x: f64) -> Value {
        let value = match dtype {
            DType::Bool => Scalar::Bool(x != 0.0),
            dtype if dtype.is_float() => Scalar::Float(x),
            _ => Scalar::Int(x as i64),
        };
        let literal = Literal { value, dtype, weak: false };
        Value { atom: Atom::Literal(literal), example: Tensor::from(literal) }
    }

    /// A value for an operand: a new input, or one that is there, made to fit.
    fn operand(&mut self, operand: &Operand, wiring: &mut Source<'_>) -> Value {
        let seed = wiring.below(1 << 16) as u64;
        let mut operand = operand.clone();
        let integers =
            operand.aval.dtype.is_float() && !operand.fixed && matches!(operand.domain, Domain::Integers(..));
        if self.mode == Mode::Smooth && integers {
            // Conversions and comparisons have no differences at integers.
            operand.domain = Domain::Range(-2.0, 2.0);
        }
        let operand = &operand;
        if operand.fixed || (self.values.is_empty() && self.inputs.is_none()) {
            return self.constant(operand, seed);
        }
        let fresh = wiring.once_in(4) || self.values.is_empty();
        if let Some(inputs) = &mut self.inputs
            && fresh
            && (inputs.len() < INPUTS || self.values.is_empty())
        {
            let example = operand.domain.draw(&operand.aval, &mut Numbers::new(seed));
            let value = Value { atom: self.builder.input(operand.aval.clone()), example: example.clone() };
            inputs.push((operand.clone(), example));
            self.values.push(value.clone());
            return value;
        }
        let fitting: Vec<&Value> = self.values.iter().filter(|value| value.aval().matches(&operand.aval)).collect();
        let value = match fitting.is_empty() {
            true => self.values[wiring.below(self.values.len())].clone(),
            false => fitting[wiring.below(fitting.len())].clone(),
        };
        let value = self.adapt(&value, &operand.aval);
        self.fit(value, &operand.domain)
    }

    /// The same number everywhere.
    fn constant(&mut self, operand: &Operand, seed: u64) -> Value {
        let Aval { dtype, shape, .. } = &operand.aval;
        let number = match operand.domain {
            Domain::Distinct { .. } => 0.5,
            _ => match elements(&operand.domain.draw(&Aval::scalar(*dtype), &mut Numbers::new(seed))) {
                Elements::Floats(x) => x[0],
                Elements::Integers(x) => x[0] as f64,
            },
        };
        let number = self.number(*dtype, number);
        self.repeat(&number, shape)
    }

    fn repeat(&mut self, scalar: &Value, shape: &Shape) -> Value {
        let op = ShapeOp::BroadcastInDim { shape: shape.clone(), dims: Default::default() };
        self.equation1(op, std::slice::from_ref(scalar))
    }

    /// Something of a value in another dtype and shape.
    fn adapt(&mut self, value: &Value, aval: &Aval) -> Value {
        let mut value = value.clone();
        if value.aval().dtype != aval.dtype {
            value = self.equation1(Elementwise::Convert(aval.dtype), &[value]);
        }
        if value.aval().shape == aval.shape {
            return value;
        }
        let (from, to) = (value.aval().size(), aval.size());
        if from == 0 && to > 0 {
            let number = self.number(aval.dtype, 1.0);
            return self.repeat(&number, &aval.shape);
        }
        if from < to {
            // Often enough, one after the other.
            let shape = value.aval().shape.with_axis(0, to.div_ceil(from));
            let dims = (1..shape.rank()).collect();
            value = self.equation1(ShapeOp::BroadcastInDim { shape, dims }, &[value]);
        }
        let size = value.aval().size();
        value = self.equation1(ShapeOp::Reshape { shape: [size].into() }, &[value]);
        if size > to {
            let whole = |x: usize| [x].into_iter().collect();
            value = self.equation1(ShapeOp::Slice { starts: whole(0), limits: whole(to), strides: whole(1) }, &[value]);
        }
        self.equation1(ShapeOp::Reshape { shape: aval.shape.clone() }, &[value])
    }

    /// A value in a domain of floats: the value itself, if the example is in it, or squeezed into it.
    fn fit(&mut self, value: Value, domain: &Domain) -> Value {
        let dtype = value.aval().dtype;
        if !dtype.is_float() {
            return value;
        }
        let (low, high, wide) = match *domain {
            Domain::Range(low, high) => (low, high, low <= -2.0 && high >= 2.0),
            Domain::Nonzero(low, high) => (low, high, false),
            Domain::Fraction => (0.1, 0.4, false),
            Domain::Distinct { .. } | Domain::Integers(..) | Domain::Bits | Domain::Matrices { .. } => {
                (-2.0, 2.0, true)
            }
        };
        let (least, greatest) = if wide { (-4.0, 4.0) } else { (low, high) };
        let known = wide || !self.in_loop;
        if known && floats(&value.example).iter().all(|x| (least..=greatest).contains(x)) {
            return value;
        }
        let unit = self.unary(UnaryOp::Logistic, &value);
        let (width, low) = (self.number(dtype, high - low), self.number(dtype, low));
        let scaled = self.binary(BinaryOp::Mul, &unit, &width);
        self.binary(BinaryOp::Add, &scaled, &low)
    }

    /// A carry for the next step: bounded, whatever it was.
    fn carry(&mut self, value: &Value, aval: &Aval) -> Value {
        let value = self.adapt(value, aval);
        if aval.dtype.is_float() { self.unary(UnaryOp::Tanh, &value) } else { value }
    }

    fn nested(&mut self, kind: u32, wiring: &mut Source<'_>, body: &[Instruction]) -> Option<()> {
        if self.values.is_empty() {
            return None;
        }
        let count = wiring.size(1, 3);
        let operands: Vec<Value> = (0..count).map(|_| self.values[wiring.below(self.values.len())].clone()).collect();
        let kinds = if self.mode == Mode::Differentiable { 4 } else { 5 };
        let results = match (u64::from(kind) * kinds) >> 32 {
            0 => {
                let (program, _) = self.body(&operands, body);
                self.equation(Control::Call { name: "nested".into(), program }, &operands)
            }
            1 => {
                let (program, _) = self.body(&operands, body);
                self.equation(Control::Checkpoint { program }, &operands)
            }
            2 => self.cond(wiring, operands, body),
            3 => self.scan(wiring, operands, body),
            _ => self.while_loop(wiring, operands, body),
        };
        self.values.extend(results);
        Some(())
    }

    /// A program of these operands that gives the last values of a body.
    fn body(&self, operands: &[Value], body: &[Instruction]) -> (Program, Vec<Aval>) {
        let mut scope = Scope::new(self.mode, self.in_loop, operands);
        scope.run(body);
        let results: Vec<Value> = scope.values.iter().rev().take(2).cloned().collect();
        let outputs: Vec<Atom> = results.iter().map(|value| value.atom).collect();
        (scope.builder.finish(&outputs), results.iter().map(|value| value.aval().strong()).collect())
    }

    fn cond(&mut self, wiring: &mut Source<'_>, operands: Vec<Value>, body: &[Instruction]) -> Vec<Value> {
        let index = Operand {
            aval: Aval::scalar(DType::I32),
            domain: Domain::Integers(-1, 2),
            differentiable: false,
            fixed: false,
        };
        let index = self.operand(&index, wiring);
        let (first, second) = body.split_at(body.len().div_ceil(2));
        let (program, results) = self.body(&operands, first);
        let other = {
            let mut scope = Scope::new(self.mode, self.in_loop, &operands);
            scope.run(second);
            let last = scope.values.last().cloned().expect("at least the operands");
            let outputs: Vec<Atom> = results.iter().map(|aval| scope.adapt(&last, aval).atom).collect();
            scope.builder.finish(&outputs)
        };
        let branches = if wiring.coin() { vec![program, other] } else { vec![other, program] };
        self.equation(Control::Cond { branches }, &[vec![index], operands].concat())
    }

    fn scan(&mut self, wiring: &mut Source<'_>, mut operands: Vec<Value>, body: &[Instruction]) -> Vec<Value> {
        // The last operand is taken apart, the one before is carried, the rest are constants.
        let xs = operands.pop().expect("at least one operand");
        let length = wiring.pick(&[2, 3, 1, 0]);
        let xs = match xs.aval().shape.first() {
            Some(1..=4) => xs,
            _ => {
                let shape = Shape::from([length, xs.aval().size().min(3)]);
                let aval = xs.aval().with_shape(shape);
                self.adapt(&xs, &aval)
            }
        };
        let length = xs.aval().shape[0];
        let carry = operands.pop();
        let carry_aval = carry.as_ref().map(|carry| carry.aval().strong());
        let consts = operands.len();
        operands.extend(carry);
        // An example of a step.
        let step = xs.aval().with_shape(xs.aval().shape.without_axis(0));
        let step = Value { atom: xs.atom, example: self.first(&xs, &step) };
        let mut scope = Scope::new(self.mode, true, &[operands.clone(), vec![step]].concat());
        scope.run(body);
        let last = scope.values.last().cloned().expect("at least the operands");
        let mut outputs: Vec<Atom> = carry_aval.iter().map(|aval| scope.carry(&last, aval).atom).collect();
        outputs.push(last.atom);
        let body = scope.builder.finish(&outputs);
        let op = Control::Scan { body, length, reverse: wiring.coin(), consts, carry: outputs.len() - 1 };
        operands.push(xs);
        self.equation(op, &operands)
    }

    /// What the example of a step is.
    fn first(&self, xs: &Value, step: &Aval) -> Tensor {
        match xs.aval().size() {
            0 => Tensor::full(&*step.shape, 1, step.dtype),
            _ => crate::reference::example(&xs.example, 0, 0),
        }
    }

    fn while_loop(&mut self, wiring: &mut Source<'_>, mut operands: Vec<Value>, body: &[Instruction]) -> Vec<Value> {
        let start = Operand {
            aval: Aval::scalar(DType::I32),
            domain: Domain::Integers(-1, 2),
            differentiable: false,
            fixed: false,
        };
        // The number of steps is data, within bounds.
        let start = self.operand(&start, wiring);
        let zero = self.number(DType::I32, 0.0);
        let start = self.binary(BinaryOp::Max, &start, &zero);
        let carry = operands.pop().expect("at least one operand");
        let aval = carry.aval().strong();
        let cond = {
            let mut scope = Scope::new(self.mode, true, &[start.clone(), carry.clone()]);
            let end = scope.number(DType::I32, 2.0);
            let counter = scope.values[0].clone();
            let verdict = scope.equation1(Elementwise::Compare(CompareOp::Lt), &[counter, end]);
            scope.builder.finish(&[verdict.atom])
        };
        let body_consts = operands.len();
        let all = [operands, vec![start, carry]].concat();
        let mut scope = Scope::new(self.mode, true, &all);
        scope.run(body);
        let last = scope.values.last().cloned().expect("at least the operands");
        let next = scope.carry(&last, &aval);
        let one = scope.number(DType::I32, 1.0);
        let counter = scope.values[body_consts].clone();
        let counter = scope.binary(BinaryOp::Add, &counter, &one);
        let body = scope.builder.finish(&[counter.atom, next.atom]);
        self.equation(Control::While { cond, body, cond_consts: 0, body_consts }, &all)
    }
}
