//! Random programs: operations of the catalogue one after the other, on several inputs, with calls,
//! checkpoints, branches and loops around some of them.
//!
//! A program is drawn as a list of [`Instruction`]s, numbers that decide what happens, so that proptest
//! makes failing programs shorter and simpler; `build` turns them into a program that fits together.

mod build;
mod checks;

use std::fmt;

use jaxnet_tensor::{Program, Tensor};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::rows::{Numbers, Operand};
use crate::run::guarded;

/// What a program is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every dtype, and results that do not depend on the order of arithmetic.
    Exact,
    /// Floats are f64; there are derivatives in forward and in reverse mode, which differences may not
    /// agree with where there are kinks.
    Differentiable,
    /// Floats are f64; there are derivatives in forward mode, and no kinks.
    Smooth,
}

/// A step of a program.
#[derive(Clone, Debug)]
pub enum Instruction {
    /// An operation: of which row, how it is drawn, where its operands come from.
    Operation { row: u32, case: Vec<u32>, wiring: Vec<u32> },
    /// A program within the program.
    Nested { kind: u32, wiring: Vec<u32>, body: Vec<Instruction> },
}

fn instructions() -> impl Strategy<Value = Vec<Instruction>> {
    let operation = (any::<u32>(), vec(any::<u32>(), 40), vec(any::<u32>(), 12))
        .prop_map(|(row, case, wiring)| Instruction::Operation { row, case, wiring });
    let instruction = operation.prop_recursive(2, 12, 4, |inner| {
        let plain = (any::<u32>(), vec(any::<u32>(), 40), vec(any::<u32>(), 12))
            .prop_map(|(row, case, wiring)| Instruction::Operation { row, case, wiring });
        let nested = (any::<u32>(), vec(any::<u32>(), 12), vec(inner, 1..=4))
            .prop_map(|(kind, wiring, body)| Instruction::Nested { kind, wiring, body });
        prop_oneof![4 => plain, 1 => nested]
    });
    vec(instruction, 1..=20)
}

/// What a program is made of, for proptest to make simpler.
#[derive(Clone)]
pub struct Recipe {
    mode: Mode,
    instructions: Vec<Instruction>,
}

impl Recipe {
    pub fn strategy(mode: Mode) -> impl Strategy<Value = Recipe> {
        instructions().prop_map(move |instructions| Recipe { mode, instructions })
    }

    /// The program, if there is anything in it.
    pub fn program(&self) -> Option<Drawn> {
        build::build(self.mode, &self.instructions)
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let printed = guarded(|| {
            text = self.program().map_or("nothing".into(), |drawn| format!("{drawn:?}"));
            Ok(())
        });
        match printed {
            Ok(()) => f.write_str(&text),
            Err(error) => write!(f, "a program that cannot be built, since {error}: {:?}", self.instructions),
        }
    }
}

/// A program and what its inputs are.
#[derive(Clone)]
pub struct Drawn {
    pub program: Program,
    pub inputs: Vec<Operand>,
    /// Inputs for which all operations get values of their domains.
    pub example: Vec<Tensor>,
}

impl Drawn {
    /// Other inputs.
    pub fn values(&self, seed: u64) -> Vec<Tensor> {
        let mut numbers = Numbers::new(seed);
        self.inputs.iter().map(|input| input.domain.draw(&input.aval, &mut numbers)).collect()
    }

    /// Inputs with special values among them.
    pub fn specials(&self, seed: u64) -> Vec<Tensor> {
        let mut numbers = Numbers::new(seed);
        self.inputs.iter().map(|input| input.domain.draw_special(&input.aval, &mut numbers)).collect()
    }
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program)?;
        for (i, (input, example)) in self.inputs.iter().zip(&self.example).enumerate() {
            write!(f, "\ninput {i} of {:?}, for example {example}", input.domain)?;
        }
        Ok(())
    }
}
