//! Random bits.

use rayon::prelude::*;

use super::{Input, Output};
use crate::backend::cpu::math::{Level, vectorize};
use crate::primitive::Random;

/// Elements per task.
const TASK: usize = 16 << 10;
const BLOCK: usize = 128;

pub(super) fn run(op: &Random, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) {
    match op {
        Random::Threefry2x32 => {
            let [first, second] = outputs else { unreachable!("threefry has two results") };
            let operands = [0, 1, 2, 3].map(|i| (inputs[i].slice::<u32>(), inputs[i].aval.rank() == 0));
            random_bits(operands, first.slice(), second.slice());
        }
    }
}

/// Random words, in parallel where there are many. An operand is one word for all, where so said, or one for each.
pub(crate) fn random_bits(operands: [(&[u32], bool); 4], first: &mut [u32], second: &mut [u32]) {
    let task = |(i, (first, second)): (usize, (&mut [u32], &mut [u32]))| {
        let len = first.len();
        let parts = operands.map(|(words, scalar)| if scalar { words } else { &words[i * TASK..][..len] });
        threefry(parts, operands.map(|(_, scalar)| scalar), first, second);
    };
    if first.len() <= TASK {
        // Other threads take longer to hear of it.
        task((0, (first, second)));
    } else {
        first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK)).enumerate().for_each(task);
    }
}

/// Blocks of counters, so that the rounds vectorize across lanes.
pub(crate) fn threefry(operands: [&[u32]; 4], scalar: [bool; 4], first: &mut [u32], second: &mut [u32]) {
    let mut lanes = [[0_u32; BLOCK]; 4];
    for (lane, (words, scalar)) in lanes.iter_mut().zip(operands.iter().zip(scalar)) {
        if scalar {
            lane.fill(words[0]);
        }
    }
    for (i, (first, second)) in first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK)).enumerate() {
        let len = first.len();
        for (lane, (words, scalar)) in lanes.iter_mut().zip(operands.iter().zip(scalar)) {
            if !scalar {
                lane[..len].copy_from_slice(&words[i * BLOCK..][..len]);
            }
        }
        let [k0, k1, mut x0, mut x1] = lanes;
        vectorize(Level::best(), || {
            for lane in 0..BLOCK {
                (x0[lane], x1[lane]) = threefry2x32([k0[lane], k1[lane]], x0[lane], x1[lane]);
            }
        });
        first.copy_from_slice(&x0[..len]);
        second.copy_from_slice(&x1[..len]);
    }
}

/// One block of Threefry-2x32 with 20 rounds: Salmon et al. 2011, figure 2 and table 2.
#[inline(always)]
fn threefry2x32(key: [u32; 2], mut x0: u32, mut x1: u32) -> (u32, u32) {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    x0 = x0.wrapping_add(keys[0]);
    x1 = x1.wrapping_add(keys[1]);
    for i in 0..5 {
        for rotation in ROTATIONS[i % 2] {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(rotation) ^ x0;
        }
        x0 = x0.wrapping_add(keys[(i + 1) % 3]);
        x1 = x1.wrapping_add(keys[(i + 2) % 3]).wrapping_add(i as u32 + 1);
    }
    (x0, x1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the reference implementation, Random123.
    #[test]
    fn known_answers() {
        assert_eq!(threefry2x32([0, 0], 0, 0), (0x6b20_0159, 0x99ba_4efe));
        assert_eq!(threefry2x32([u32::MAX; 2], u32::MAX, u32::MAX), (0x1cb9_96fc, 0xbb00_2be7));
        assert_eq!(threefry2x32([0x1319_8a2e, 0x0370_7344], 0x243f_6a88, 0x85a3_08d3), (0xc492_3a9c, 0x483d_f7a0));
    }
}
