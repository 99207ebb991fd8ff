//! [`Tally`]: how many tests ran, summed over the summaries that each test binary prints.

use std::fmt;

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds `line` if it is a summary: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn read(&mut self, line: &str) {
        let Some(summary) = line.trim_start().strip_prefix("test result: ") else { return };
        for part in summary.split(['.', ';']) {
            match part.trim().split_once(' ').map(|(count, what)| (count.parse::<u64>(), what)) {
                Some((Ok(count), "passed")) => self.passed += count,
                Some((Ok(count), "failed")) => self.failed += count,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_and_nothing_else_is() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.71s",
            "test a::b ... FAILED",
            "test result: FAILED. 52 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s",
            "assertion failed: 7 passed; 9 failed",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 55, failed: 1 });
        assert_eq!(tally.to_string(), "55 passed, 1 failed");
    }
}
