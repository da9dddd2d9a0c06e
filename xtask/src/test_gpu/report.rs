//! The table of what was tested.

use std::fmt;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tests {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl Tests {
    /// The sum of the lines in which test programs report.
    pub fn parse(output: &str) -> Tests {
        let mut sum = Tests::default();
        for line in output.lines().filter(|line| line.starts_with("test result: ")) {
            for part in line.split(['.', ';']) {
                let mut words = part.split_whitespace();
                let (Some(number), Some(what)) = (words.next().and_then(|word| word.parse::<u32>().ok()), words.next())
                else {
                    continue;
                };
                match what {
                    "passed" => sum.passed += number,
                    "failed" => sum.failed += number,
                    "ignored" => sum.skipped += number,
                    _ => {}
                }
            }
        }
        sum
    }
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    device: String,
    what: String,
    tests: Option<Tests>,
    bad: bool,
    why: String,
}

impl Row {
    /// What was run, and whether its program said that all was well.
    pub fn of_tests(device: &str, what: &str, tests: Tests, success: bool) -> Row {
        let why = match (success, tests) {
            (true, Tests { passed: 0, .. }) => "no test was run",
            (true, Tests { skipped: 1.., .. }) => "marked as ignored",
            (true, _) => "",
            (false, Tests { failed: 0, .. }) => "it did not build, or crashed; see above",
            (false, _) => "see above",
        };
        let bad = !success || tests.passed == 0;
        Row { device: device.into(), what: what.into(), tests: Some(tests), bad, why: why.into() }
    }

    /// What could not be run at all.
    pub fn failed(device: &str, what: &str, why: &str) -> Row {
        let tests = Tests { failed: 1, ..Tests::default() };
        Row { device: device.into(), what: what.into(), tests: Some(tests), bad: true, why: why.into() }
    }

    /// What was left out.
    pub fn skipped(device: &str, what: &str, why: &str) -> Row {
        Row { device: device.into(), what: what.into(), tests: None, bad: false, why: why.into() }
    }
}

/// What was tested.
#[derive(Default)]
pub struct Report {
    pub rows: Vec<Row>,
}

impl Report {
    /// An error if something failed, or nothing was tested.
    pub fn outcome(&self) -> Result<(), String> {
        let bad = self.rows.iter().filter(|row| row.bad).count();
        match self.rows.iter().any(|row| row.tests.is_some()) {
            _ if bad > 0 => Err(format!("{bad} of {} failed", self.rows.len())),
            false => Err("nothing was tested".into()),
            true => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| device | tests | passed | failed | skipped | why |\n|---|---|--:|--:|--:|---|")?;
        for Row { device, what, tests, why, .. } in &self.rows {
            let [passed, failed, skipped] = match tests {
                Some(tests) => [tests.passed, tests.failed, tests.skipped].map(|count| count.to_string()),
                None => ["0", "0", "all"].map(String::from),
            };
            writeln!(f, "| {device} | {what} | {passed} | {failed} | {skipped} | {} |", why.replace('\n', " "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted() {
        let text = "running 3 tests\ntest a ... ok\n\ntest result: ok. 21 passed; 0 failed; 1 ignored; 0 measured; 80 \
                    filtered out; finished in 17.11s\n\ntest result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; \
                    0 filtered out; finished in 0.50s\n";
        assert_eq!(Tests::parse(text), Tests { passed: 23, failed: 3, skipped: 1 });
        assert_eq!(Tests::parse("error: could not compile"), Tests::default());
    }

    #[test]
    fn a_table_says_what_was_left_out_and_why() {
        let all = Tests { passed: 21, ..Tests::default() };
        let mut report = Report { rows: vec![Row::skipped("xla on 1 GPU(s)", "all", "pip could\nnot")] };
        assert_eq!(report.outcome(), Err("nothing was tested".into()));
        report.rows.push(Row::of_tests("torch on GPU 0", "parity suite", all, true));
        assert_eq!(report.outcome(), Ok(()));
        let text = report.to_string();
        assert!(text.contains("| torch on GPU 0 | parity suite | 21 | 0 | 0 |  |"), "{text}");
        assert!(text.contains("| xla on 1 GPU(s) | all | 0 | 0 | all | pip could not |"), "{text}");
    }

    #[test]
    fn failures_fail() {
        let some = Tests { passed: 20, failed: 1, skipped: 0 };
        for row in [
            Row::of_tests("gpu", "parity suite", some, false),
            Row::of_tests("gpu", "parity suite", Tests::default(), false),
            Row::of_tests("gpu", "parity suite", Tests::default(), true),
            Row::failed("gpu", "demo x", "cannot start"),
        ] {
            assert!(!row.why.is_empty());
            assert_eq!(Report { rows: vec![row] }.outcome(), Err("1 of 1 failed".into()));
        }
    }
}
