//! The cases, in four groups.

/// The body of a case.
macro_rules! body {
    ($body:path) => {
        |harness| Box::pin($body(harness))
    };
}

mod commit;
mod history;
mod lifecycle;
mod list;
mod watch;

use crate::Case;

/// All cases, by number.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [commit::CASES, list::CASES, watch::CASES, lifecycle::CASES].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_numbered_from_1_to_84_and_each_has_a_name_of_its_own() {
        let numbers: Vec<_> = cases().map(Case::number).collect();
        assert_eq!(numbers, (1..=84).collect::<Vec<_>>());
        let mut names: Vec<_> = cases().map(|case| case.title().split_off(3)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 84);
    }

    #[test]
    fn d38_each_case_has_a_mutant() {
        for case in cases() {
            assert!(!case.mutations().is_empty(), "{case}");
        }
    }
}
