//! Running properties on drawn cases: seeds, shrinking, regressions.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use jaxnet_tensor::{DType, try_catch};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::compare::Outcome;
use crate::rows::{Case, Family, Row, rng, rows};

/// Seeds that once failed: `check row dtype seed`, or `check programs seed`.
const REGRESSIONS: &str = include_str!("regressions.txt");

/// A property of an operation.
pub struct Check {
    /// Its name in messages, seeds and regressions.
    pub name: &'static str,
    /// How many cases of each row and dtype are tried, unless `PROPTEST_CASES` says otherwise.
    pub cases: usize,
    /// To which rows and dtypes it applies.
    pub applies: fn(&Row, DType) -> bool,
    /// The property; the number is a seed for values.
    pub holds: fn(&Row, &Case, u64) -> Outcome,
}

impl Check {
    /// Tries cases of every row of a family, and those that once failed.
    pub fn run(&self, family: Family) {
        let mut failures = Vec::new();
        for row in rows().iter().filter(|row| row.family == family) {
            for &dtype in row.dtypes.iter().filter(|dtype| (self.applies)(row, **dtype)) {
                let place = format!("{} {} {dtype}", self.name, row.name);
                let failure = seeds(&place, self.cases).into_iter().find_map(|seed| {
                    let property = |case: &Case| (self.holds)(row, case, seed);
                    attempt(&place, seed, &row.strategy(dtype), property)
                });
                failures.extend(failure);
            }
        }
        report(failures);
    }
}

/// Fails a test with these messages, if there are any.
pub fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// The seeds to try at a place (a check, a row and a dtype): those that once failed, then new ones.
pub fn seeds(place: &str, default: usize) -> Vec<u64> {
    let seed_of = |line: &str| -> Option<u64> {
        let digits = line.strip_prefix(place)?.strip_prefix(' ')?.trim().strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    };
    if let Ok(only) = std::env::var("JAXNET_ONLY") {
        return seed_of(&only).into_iter().collect();
    }
    let count = std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(default);
    let base: u64 = std::env::var("JAXNET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    // FNV-1a, which is the same in every version of Rust.
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let here = place.bytes().chain(base.to_le_bytes()).fold(0xCBF2_9CE4_8422_2325, hash);
    let new = (0..count as u64).map(|i| i.to_le_bytes().into_iter().fold(here, hash));
    REGRESSIONS.lines().filter_map(seed_of).chain(new).collect()
}

/// Tries one value; if the property fails, makes the value simpler as long as it does, and tells how to
/// try it again.
pub fn attempt<S: Strategy>(
    place: &str,
    seed: u64,
    strategy: &S,
    property: impl Fn(&S::Value) -> Outcome,
) -> Option<String> {
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: 500,
        max_shrink_time: 10_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng(seed));
    let outcome = runner.run(strategy, |value| guarded(|| property(&value)).map_err(TestCaseError::fail));
    let problem = match outcome {
        Ok(()) => return None,
        Err(TestError::Fail(reason, value)) => format!("{reason}\nof {value:?}"),
        Err(TestError::Abort(reason)) => format!("nothing could be drawn: {reason}"),
    };
    Some(format!(
        "{place}: {problem}\n(again with JAXNET_ONLY=\"{place} {seed:#x}\"; once mended, that line belongs into \
         regressions.txt)"
    ))
}

/// Runs a property with panics and errors as outcomes, and without printing them: while a value is being
/// simplified there are many.
pub fn guarded(property: impl FnOnce() -> Outcome) -> Outcome {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(|| try_catch(property)));
    QUIET.set(false);
    match result {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(format!("an error: {error}")),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied());
            Err(format!("a panic: {}", text.unwrap_or("without a message")))
        }
    }
}

/// A test of a check for each family.
macro_rules! tests_of_families {
    ($check:expr; $($test:ident: $family:ident),+) => {$(
        #[test]
        fn $test() {
            $check.run($crate::rows::Family::$family);
        }
    )+};
    ($check:expr;) => {
        $crate::run::tests_of_families! {
            $check;
            elementwise: Elementwise,
            shape: Shape,
            reduce: Reduce,
            window: Window,
            dot: Dot,
            conv: Conv,
            index: Index,
            sort: Sort,
            linalg: Linalg,
            random: Random,
            control: Control
        }
    };
}
pub(crate) use tests_of_families;
