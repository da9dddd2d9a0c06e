//! Operations that act on each element by itself.

use jaxnet_tensor::primitive::{BinaryOp, CompareOp, Elementwise, UnaryOp};
use jaxnet_tensor::{DType, Shape};

use super::domain::{Domain, for_floats};
use super::{Case, FLOATS, Family, Operand, Row, Source};

pub fn rows() -> Vec<Row> {
    let mut rows = unary_rows();
    rows.extend(binary_rows());
    for op in CompareOp::ALL {
        rows.push(Row::new(op.name(), Family::Elementwise, DType::ALL, move |source, dtype| {
            // Few values, so that some are equal.
            let operands = beside(source, 2).map(|shape| Operand::new(dtype, shape, Domain::Integers(-2, 2)));
            Some(Case::new(Elementwise::Compare(op), operands))
        }));
    }
    rows.extend([integer_pow(), select(), clamp(), convert(), bitcast_convert()]);
    rows
}

/// The shapes of some operands of one operation: one shape, and scalars beside it.
fn beside(source: &mut Source<'_>, count: usize) -> impl Iterator<Item = Shape> + use<> {
    let shape = source.shape(0..=3);
    let shapes: Vec<Shape> =
        (0..count).map(|_| if source.once_in(4) { Shape::scalar() } else { shape.clone() }).collect();
    shapes.into_iter()
}

fn unary_rows() -> Vec<Row> {
    use UnaryOp::*;
    let any = Domain::Range(-2.0, 2.0);
    let positive = Domain::Range(0.3, 3.0);
    let nonzero = Domain::Nonzero(0.3, 3.0);
    let inside = Domain::Range(-0.8, 0.8);
    [
        (Abs, &nonzero, 1.0),
        (Neg, &any, 1.0),
        (Sign, &nonzero, 1.0),
        (Floor, &Domain::Fraction, 1.0),
        (Ceil, &Domain::Fraction, 1.0),
        (RoundHalfEven, &Domain::Fraction, 1.0),
        (RoundHalfAway, &Domain::Fraction, 1.0),
        (Exp, &any, 2.0),
        (Expm1, &any, 2.0),
        (Log, &positive, 2.0),
        (Log1p, &Domain::Range(-0.6, 3.0), 2.0),
        (Sqrt, &positive, 1.0),
        (Rsqrt, &positive, 2.0),
        (Cbrt, &nonzero, 2.0),
        (Sin, &any, 2.0),
        (Cos, &any, 2.0),
        (Tan, &Domain::Range(-1.2, 1.2), 3.0),
        (Asin, &inside, 3.0),
        (Acos, &inside, 3.0),
        (Atan, &any, 2.0),
        (Sinh, &any, 3.0),
        (Cosh, &any, 3.0),
        (Tanh, &any, 2.0),
        (Asinh, &any, 3.0),
        (Acosh, &Domain::Range(1.2, 3.0), 3.0),
        (Atanh, &inside, 3.0),
        (Logistic, &any, 3.0),
        (Erf, &any, 2.0),
        (Erfc, &any, 3.0),
        (ErfInv, &inside, 4.0),
        (Lgamma, &positive, 4.0),
        (Digamma, &positive, 4.0),
        (Not, &Domain::Bits, 1.0),
        (IsFinite, &any, 1.0),
    ]
    .into_iter()
    .map(|(op, domain, error)| {
        let domain = domain.clone();
        let dtypes = DType::ALL.into_iter().filter(move |dtype| op.accepts(*dtype));
        Row::new(op.name(), Family::Elementwise, dtypes, move |source, dtype| {
            let domain = match op {
                Not => Domain::Bits,
                // The gamma function's other branches lie between the integers below zero.
                Lgamma | Digamma if source.once_in(3) => Domain::Fraction,
                _ => for_floats(dtype, domain.clone()),
            };
            let case = Case::new(Elementwise::Unary(op), [Operand::new(dtype, source.shape(0..=3), domain)]);
            Some(if op == Neg { case.linear_in(&[0]) } else { case })
        })
        .error(error)
    })
    .collect()
}

fn binary_rows() -> Vec<Row> {
    use BinaryOp::*;
    BinaryOp::ALL
        .into_iter()
        .map(|op| {
            let dtypes = DType::ALL.into_iter().filter(move |dtype| op.accepts(*dtype));
            Row::new(op.name(), Family::Elementwise, dtypes, move |source, dtype| {
                let shapes: Vec<Shape> = beside(source, 2).collect();
                let cells = shapes[0].size().max(shapes[1].size());
                let apart = |part| for_floats(dtype, Domain::Distinct { part, of: 2, cells });
                let float = |domain: Domain| for_floats(dtype, domain);
                let anything = || float(Domain::Range(-2.0, 2.0));
                let (x, y) = match op {
                    Add | Sub | Mul => (anything(), anything()),
                    Div => (anything(), float(Domain::Nonzero(0.4, 2.5))),
                    // Quotients between 2 and 3, of either sign.
                    Rem => (float(Domain::Nonzero(4.5, 4.9)), float(Domain::Nonzero(2.0, 2.2))),
                    Pow => (Domain::Range(0.4, 2.0), anything()),
                    Max | Min => (apart(0), apart(1)),
                    Atan2 => (Domain::Nonzero(0.4, 2.0), Domain::Nonzero(0.4, 2.0)),
                    And | Or | Xor => (Domain::Bits, Domain::Bits),
                    ShiftLeft | ShiftRightLogical | ShiftRightArithmetic => {
                        (Domain::Bits, Domain::Integers(0, dtype.size() as i64 * 8 + 2))
                    }
                    Polygamma => (Domain::Integers(0, 3), Domain::Range(0.6, 3.0)),
                };
                let mut x = Operand::new(dtype, &*shapes[0], x);
                if op == Polygamma {
                    x = x.constant().fixed();
                }
                let case = Case::new(Elementwise::Binary(op), [x, Operand::new(dtype, &*shapes[1], y)]);
                Some(match op {
                    Add | Sub => case.linear_in(&[0, 1]),
                    Mul => case.linear_in(&[0]).linear_in(&[1]),
                    Div => case.linear_in(&[0]),
                    _ => case,
                })
            })
            .error(if matches!(op, Pow | Atan2 | Polygamma) { 8.0 } else { 1.0 })
        })
        .collect()
}

fn integer_pow() -> Row {
    let dtypes = DType::ALL.into_iter().filter(|dtype| *dtype != DType::Bool);
    Row::new("integer_pow", Family::Elementwise, dtypes, |source, dtype| {
        let exponent = if dtype.is_float() { source.between(-4, 6) } else { source.between(0, 6) } as i32;
        let domain = for_floats(dtype, Domain::Nonzero(0.5, 1.5));
        let case = Case::new(Elementwise::IntegerPow(exponent), [Operand::new(dtype, source.shape(0..=3), domain)]);
        Some(if exponent == 1 { case.linear_in(&[0]) } else { case })
    })
    // Each multiplication rounds.
    .error(6.0)
}

fn select() -> Row {
    Row::new("select", Family::Elementwise, DType::ALL, |source, dtype| {
        let shapes: Vec<Shape> = beside(source, 3).collect();
        let operands = [
            Operand::any(DType::Bool, &*shapes[0]),
            Operand::any(dtype, &*shapes[1]),
            Operand::any(dtype, &*shapes[2]),
        ];
        Some(Case::new(Elementwise::Select, operands).linear_in(&[1, 2]))
    })
}

fn clamp() -> Row {
    Row::new("clamp", Family::Elementwise, DType::ALL, |source, dtype| {
        let shapes: Vec<Shape> = beside(source, 3).collect();
        let cells = shapes.iter().map(|shape| shape.size()).max().unwrap_or(1);
        // The least allowed value may well be above the greatest.
        let operand = |part: usize| {
            let domain = for_floats(dtype, Domain::Distinct { part, of: 3, cells });
            Operand::new(dtype, &*shapes[part], domain)
        };
        Some(Case::new(Elementwise::Clamp, [operand(0), operand(1), operand(2)]))
    })
}

fn convert() -> Row {
    Row::new("convert", Family::Elementwise, DType::ALL, |source, dtype| {
        let to = source.pick(&DType::ALL);
        let mut x = Operand::new(dtype, source.shape(0..=3), for_floats(dtype, Domain::Fraction));
        // Differences vanish in the rounding of less precise dtypes.
        x.differentiable = dtype == DType::F64 && matches!(to, DType::F64);
        let case = Case::new(Elementwise::Convert(to), [x]);
        Some(if to.is_float() { case.linear_in(&[0]) } else { case })
    })
}

fn bitcast_convert() -> Row {
    Row::new("bitcast_convert", Family::Elementwise, DType::ALL, |source, dtype| {
        let same = |to: &DType| to.size() == dtype.size() && (*to == DType::Bool) == (dtype == DType::Bool);
        let to: Vec<DType> = DType::ALL.into_iter().filter(same).collect();
        let to = source.pick(&to);
        // The bits of one dtype are no number of the same size in another.
        let domain = if FLOATS.contains(&dtype) { Domain::Range(-2.0, 2.0) } else { Domain::Bits };
        let x = Operand::new(dtype, source.shape(0..=3), domain).constant();
        Some(Case::new(Elementwise::BitcastConvert(to), [x]))
    })
}
