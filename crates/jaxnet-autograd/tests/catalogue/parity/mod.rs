//! Every engine gives what the CPU engine gives.
//!
//! * `primitives`: each row of the catalogue and each of its dtypes, in 16 signatures or more, each on 16
//!   draws of values, half of them special ones; compiled, and eagerly;
//! * `transforms`: gradients of the rows, their batches, and batches of their gradients;
//! * `programs`: random programs.
//!
//! Integers, booleans and random bits are equal. Floats differ by no more than their operation may
//! (`tolerance`); of compositions, by no more than the CPU engine's own results do when each operation
//! within is off by a few units of its precision (`noise`).
//!
//! Compiling is what costs, so that many cases are one program, and a case is compiled by itself only when
//! its program has failed: then it is made simpler and printed with its seed, as in all checks here. Seeds
//! and regressions are those of `parity row dtype`, for all engines.

mod engine;
mod noise;
mod primitives;
mod programs;
mod tolerance;
mod toy;
mod transforms;

use std::sync::atomic::{AtomicUsize, Ordering};

use jaxnet_tensor::program::{Program, ProgramBuilder};
use jaxnet_tensor::{Aval, Device, Primitive, Tensor, primitive::Control, program};

use crate::run::guarded;
use engine::Engine;

/// How many programs are compiled as one.
const TOGETHER: usize = 32;

/// After how many of these the engines forget them.
const KEPT: usize = 200;

/// Programs side by side as one: its inputs are those of the first, then of the second, …, and so are its
/// results.
fn together<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Program {
    let mut builder = ProgramBuilder::new();
    let mut results = Vec::new();
    for program in programs {
        let inputs: Vec<_> = program.input_avals().iter().map(|aval| builder.input(aval.clone())).collect();
        let call: Primitive = Control::Call { name: "part".into(), program: program.clone() }.into();
        results.extend(builder.equation(call, inputs).expect("its own signature"));
    }
    builder.finish(&results)
}

/// The results of programs on values of each, all compiled as one, and back on the host.
fn run_together(engine: &Engine, programs: &[&Program], values: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, String> {
    let inputs: Vec<Tensor> = values.iter().flatten().map(|x| engine.put(x)).collect();
    let all = together(programs.iter().copied());
    // Without inputs it would run where tensors are by default.
    if inputs.is_empty() {
        return Ok(programs.iter().map(|program| program.eval(&[]).unwrap_or_default()).collect());
    }
    let results = program::run(&all, inputs).map_err(|error| error.to_string())?;
    let mut results = results.iter().map(|x| engine.get(x));
    Ok(programs.iter().map(|program| results.by_ref().take(program.outputs().len()).collect()).collect())
}

/// As many programs at a time as are compiled together; where these do not hold, each by itself.
fn in_modules<T>(
    engine: &Engine,
    items: &[T],
    all: impl Fn(&[T]) -> Result<(), String>,
    alone: impl Fn(&T) -> Option<String>,
) -> Vec<String> {
    let mut failures = Vec::new();
    for part in items.chunks(TOGETHER) {
        // In long runs there are more programs than a process can have.
        static MODULES: AtomicUsize = AtomicUsize::new(1);
        if MODULES.fetch_add(1, Ordering::Relaxed).is_multiple_of(KEPT) {
            engine.device.clear_caches();
            Device::cpu().clear_caches();
        }
        if let Err(problem) = guarded(|| all(part)) {
            let each: Vec<String> = part.iter().filter_map(&alone).take(3).collect();
            match each.is_empty() {
                true => failures.push(format!("only when compiled with others: {problem}")),
                false => failures.extend(each),
            }
        }
    }
    failures
}

/// The abstract values of some tensors, as inputs of programs.
fn avals(values: &[Tensor]) -> Vec<Aval> {
    values.iter().map(|x| x.aval().strong()).collect()
}

/// The tests of an engine, a module each, for some families or all.
macro_rules! tests_of_engine {
    ($module:ident: $engine:ident; $($families:tt)*) => {
        mod $module {
            mod primitives {
                crate::run::tests_of_families!(
                    super::super::primitives::Parity(super::super::engine::$engine()); $($families)*
                );
            }
            mod transforms {
                crate::run::tests_of_families!(
                    super::super::transforms::Parity(super::super::engine::$engine()); $($families)*
                );
            }
            #[test]
            fn programs() {
                super::programs::check(&super::engine::$engine());
            }
        }
    };
}

tests_of_engine!(on_toy: toy; elementwise: Elementwise, shape: Shape, reduce: Reduce, dot: Dot);
#[cfg(feature = "xla")]
tests_of_engine!(xla: xla;);
#[cfg(feature = "torch")]
tests_of_engine!(torch: torch;);
