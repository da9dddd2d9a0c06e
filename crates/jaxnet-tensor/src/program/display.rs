//! Programs as text.

use std::fmt::{self, Write};

use super::{Atom, Equation, Program, Var};
use crate::primitive::Primitive;

impl fmt::Display for Var {
    /// `a` … `z`, `aa`, `ab`, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = Vec::new();
        let mut rest = self.index() + 1;
        while rest > 0 {
            letters.push(b'a' + ((rest - 1) % 26) as u8);
            rest = (rest - 1) / 26;
        }
        letters.iter().rev().try_for_each(|&letter| f.write_char(letter as char))
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Var(var) => var.fmt(f),
            Atom::Literal(literal) => literal.fmt(f),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, f, 0)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, f, 0)
    }
}

fn write(program: &Program, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    f.write_str("{")?;
    for var in program.inputs() {
        write!(f, " {var}:{}", program.aval(var))?;
    }
    f.write_str(" ->")?;
    for equation in program.equations() {
        write_equation(program, equation, f, depth + 1)?;
    }
    write!(f, "\n{:indent$}(", "", indent = 2 * (depth + 1))?;
    for (i, atom) in program.outputs().iter().enumerate() {
        write!(f, "{}{atom}", if i > 0 { ", " } else { "" })?;
    }
    f.write_str(") }")
}

fn write_equation(program: &Program, equation: &Equation, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    write!(f, "\n{:indent$}", "", indent = 2 * depth)?;
    for (i, &var) in equation.outputs.iter().enumerate() {
        write!(f, "{}{var}:{}", if i > 0 { " " } else { "" }, program.aval(var))?;
    }
    write!(f, " = {}", equation.primitive)?;
    for atom in &equation.inputs {
        write!(f, " {atom}")?;
    }
    if let Primitive::Control(control) = &equation.primitive {
        for nested in control.programs() {
            write!(f, "\n{:indent$}", "", indent = 2 * (depth + 1))?;
            write(nested, f, depth + 1)?;
        }
    }
    Ok(())
}
