//! Random bits.

use super::hlo::{Builder, Value};
use crate::aval::Aval;
use crate::dtype::DType;
use crate::primitive::Random;

const ROTATIONS: [[i64; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];

/// Twenty rounds, as in the paper; XLA's own generators give other bits.
pub(super) fn lower(b: &mut Builder<'_>, op: &Random, inputs: &[Value], output: &Aval) -> Vec<Value> {
    match op {
        Random::Threefry2x32 => {
            let of = &output.shape;
            let op2 = |b: &mut Builder<'_>, opcode: &str, x: &Value, y: &Value| {
                // Key words are mostly scalars; they stay so until they meet the counters.
                let shape = if x.rank() >= y.rank() { &x.shape } else { &y.shape };
                let (x, y) = (b.fill(x, shape), b.fill(y, shape));
                b.op(opcode, DType::U32, shape, &[&x, &y], "")
            };
            let parity = b.scalar(DType::U32, 0x1BD1_1BDA_i64);
            let both = op2(b, "xor", &inputs[0], &inputs[1]);
            let key = [inputs[0].clone(), inputs[1].clone(), op2(b, "xor", &both, &parity)];
            let mut x0 = op2(b, "add", &inputs[2], &key[0]);
            let mut x1 = op2(b, "add", &inputs[3], &key[1]);
            for i in 0..5 {
                for rotation in ROTATIONS[i % 2] {
                    x0 = op2(b, "add", &x0, &x1);
                    let (left, right) = (b.scalar(DType::U32, rotation), b.scalar(DType::U32, 32 - rotation));
                    let high = op2(b, "shift-left", &x1, &left);
                    let low = op2(b, "shift-right-logical", &x1, &right);
                    let rotated = op2(b, "or", &high, &low);
                    x1 = op2(b, "xor", &rotated, &x0);
                }
                let round = b.scalar(DType::U32, i as i64 + 1);
                x0 = op2(b, "add", &x0, &key[(i + 1) % 3]);
                let word = op2(b, "add", &key[(i + 2) % 3], &round);
                x1 = op2(b, "add", &x1, &word);
            }
            vec![b.fill(&x0, of), b.fill(&x1, of)]
        }
    }
}
