//! Tracing a function to a program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use super::{Atom, Program, ProgramBuilder, Var};
use crate::aval::Aval;
use crate::error::{Error, Result};
use crate::primitive::Primitive;
use crate::tensor::Tensor;
use crate::trace::{StagedGuard, Tensors, Trace, TraceRef};

/// A traced function, and the tensors that it captured.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Takes the captured tensors first, then the function's own inputs.
    pub program: Program,
    /// Tensors from outside that the function used, in order of first use.
    pub captured: Vec<Tensor>,
}

/// Runs `f` on traced values of the given kinds and writes down what it does.
///
/// All that runs on this thread meanwhile becomes part of the program, with or without traced
/// operands, so that constants and random bits do not escape from branches and loops.
///
/// # Errors
///
/// What `f` returns, or a mistake in an operation.
pub fn stage(inputs: &[Aval], f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>) -> Result<Staged> {
    let state = Arc::new(Mutex::new(State::default()));
    let guard = TraceRef::start(Staging(state.clone()));
    let trace = guard.trace();
    let (vars, values): (Vec<Var>, Vec<Tensor>) = {
        let mut state = lock(&state);
        inputs
            .iter()
            .map(|aval| {
                let atom = state.builder.input(aval.clone());
                (atom.var().expect("inputs are variables"), trace.value(aval.clone(), atom))
            })
            .unzip()
    };
    let results = {
        let _staged = StagedGuard::enter(trace);
        f(&values)?
    };
    let mut state = std::mem::take(&mut *lock(&state));
    let outputs: Vec<Atom> = results.iter().map(|result| state.atom(trace, result)).collect();
    drop(guard);
    let order: Vec<Var> = state.captured.iter().map(|(var, _)| *var).chain(vars).collect();
    let captured = state.captured.into_iter().map(|(_, tensor)| tensor).collect();
    Ok(Staged { program: state.builder.finish_with(&order, &outputs), captured })
}

/// The same for a function that must not use tensors from outside.
///
/// # Errors
///
/// Also when it does, with `what` as the one to blame.
pub fn stage_closed(what: &str, inputs: &[Aval], f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>) -> Result<Program> {
    let staged = stage(inputs, f)?;
    match staged.captured.first() {
        None => Ok(staged.program),
        Some(tensor) => Err(Error::Trace(format!(
            "{what} must not capture tensors, but it uses a {} from outside; pass it as an argument",
            tensor.aval()
        ))),
    }
}

#[derive(Default)]
struct State {
    builder: ProgramBuilder,
    captured: Vec<(Var, Tensor)>,
    /// Where each captured tensor is, by the address of what it points to, which `captured` keeps alive.
    by_address: HashMap<usize, Atom>,
}

impl State {
    fn atom(&mut self, trace: &TraceRef, value: &Tensor) -> Atom {
        if let Some(&atom) = trace.payload::<Atom>(value) {
            return atom;
        }
        if let Some(literal) = value.literal() {
            return Atom::Literal(*literal);
        }
        if let Some(&atom) = self.by_address.get(&value.address()) {
            return atom;
        }
        let atom = self.builder.input(value.aval().clone());
        self.captured.push((atom.var().expect("inputs are variables"), value.clone()));
        self.by_address.insert(value.address(), atom);
        atom
    }
}

struct Staging(Arc<Mutex<State>>);

impl Trace for Staging {
    fn bind(&self, this: &TraceRef, primitive: &Primitive, inputs: &[Tensor]) -> Result<Tensors> {
        let mut state = lock(&self.0);
        let atoms: SmallVec<[Atom; 3]> = inputs.iter().map(|input| state.atom(this, input)).collect();
        let outputs = state.builder.equation(primitive.clone(), atoms)?;
        Ok(outputs.into_iter().map(|atom| this.value(state.builder.aval(&atom).clone(), atom)).collect())
    }

    fn name(&self) -> &'static str {
        "jit"
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    // A panic in between leaves equations that nobody uses, which is fine.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
