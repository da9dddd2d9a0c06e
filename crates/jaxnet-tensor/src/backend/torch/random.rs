//! Random bits: on the host by the embedded engine's kernel, elsewhere of some hundred operations of libtorch's.

use tch::{Kind, Tensor};

use super::convert::{Torch, sizes};
use crate::aval::Aval;
use crate::backend::cpu::random_bits;
use crate::dtype::{as_bytes, as_bytes_mut};
use crate::primitive::Random;

pub(super) fn run(op: &Random, inputs: &[&Tensor], output: &Aval, device: tch::Device) -> Torch<Vec<Tensor>> {
    match op {
        Random::Threefry2x32 if device == tch::Device::Cpu => on_the_host(inputs, output),
        Random::Threefry2x32 => composed(inputs, output),
    }
}

fn on_the_host(inputs: &[&Tensor], output: &Aval) -> Torch<Vec<Tensor>> {
    let words = |x: &&Tensor| {
        let mut words = vec![0_u32; x.numel()];
        if !words.is_empty() {
            let count = words.len();
            x.f_contiguous()?.f_copy_data_u8(as_bytes_mut(&mut words), count)?;
        }
        Ok((words, x.dim() == 0))
    };
    let operands = inputs.iter().map(words).collect::<Torch<Vec<_>>>()?;
    let [mut first, mut second] = [vec![0; output.size()], vec![0; output.size()]];
    random_bits([0, 1, 2, 3].map(|i| (&*operands[i].0, operands[i].1)), &mut first, &mut second);
    let shape = sizes(&output.shape);
    let tensor = |words: Vec<u32>| Tensor::f_from_data_size(as_bytes(&words), &shape, Kind::Int);
    Ok(vec![tensor(first)?, tensor(second)?])
}

/// Twenty rounds, as in the paper, on the bits of u32 in 32-bit integers with a sign.
fn composed(inputs: &[&Tensor], output: &Aval) -> Torch<Vec<Tensor>> {
    const ROTATIONS: [[i64; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    /// What GPUs run gives what the host's kernel gives.
    #[test]
    fn the_two_ways_agree() {
        for (shape, scalars) in [(&[][..], 4), (&[0], 2), (&[1], 0), (&[3, 50], 2), (&[200, 100], 3), (&[7], 4)] {
            let output = Aval::new(DType::U32, shape);
            let whole = sizes(shape);
            let word = |i: usize| {
                let shape = if i < scalars { &[][..] } else { &whole };
                Tensor::f_randint_low(i64::from(i32::MIN), i64::from(i32::MAX), shape, (Kind::Int, tch::Device::Cpu))
            };
            let words = [0, 1, 2, 3].map(|i| word(i).unwrap());
            let inputs = words.each_ref();
            let host = on_the_host(&inputs, &output).unwrap();
            let composed = composed(&inputs, &output).unwrap();
            assert!(
                host.iter().zip(&composed).all(|(x, y)| x.size() == whole && x == y),
                "{shape:?}, {scalars} scalars"
            );
        }
    }
}
