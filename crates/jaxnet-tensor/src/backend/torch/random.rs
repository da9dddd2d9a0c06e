//! Random bits.

use tch::{TchError, Tensor};

use super::convert::sizes;
use crate::aval::Aval;
use crate::primitive::Random;

const ROTATIONS: [[i64; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];

/// Twenty rounds, as in the paper, on the bits of u32 in 32-bit integers with a sign.
pub(super) fn run(op: &Random, inputs: &[&Tensor], output: &Aval) -> Result<Vec<Tensor>, TchError> {
    match op {
        Random::Threefry2x32 => {
            let third = inputs[0].f_bitwise_xor_tensor(inputs[1])?.f_bitwise_xor(0x1BD1_1BDA_i64)?;
            let key = [inputs[0], inputs[1], &third];
            let mut x0 = inputs[2].f_add(key[0])?;
            let mut x1 = inputs[3].f_add(key[1])?;
            for i in 0..5 {
                for rotation in ROTATIONS[i % 2] {
                    x0 = x0.f_add(&x1)?;
                    let high = x1.f_bitwise_left_shift_tensor_scalar(rotation)?;
                    // The shift fills with the sign.
                    let mask = (1_i64 << rotation) - 1;
                    let low = x1.f_bitwise_right_shift_tensor_scalar(32 - rotation)?.f_bitwise_and(mask)?;
                    x1 = high.f_bitwise_or_tensor(&low)?.f_bitwise_xor_tensor(&x0)?;
                }
                x0 = x0.f_add(key[(i + 1) % 3])?;
                x1 = x1.f_add(key[(i + 2) % 3])?.f_add_scalar(i as i64 + 1)?;
            }
            let fill = |x: Tensor| x.f_expand(sizes(&output.shape), false)?.f_contiguous();
            Ok(vec![fill(x0)?, fill(x1)?])
        }
    }
}
