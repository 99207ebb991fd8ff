//! [`Figures`]: what was measured, kept beside the pages that are made of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::Machine;

const FILE: &str = "figures.json";

/// All that was measured, by criterion's ids.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Where.
    pub(super) machine: Machine,
    /// What.
    pub(super) measured: BTreeMap<String, Measured>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub(super) skipped: BTreeMap<String, String>,
    /// Which benches failed, and how.
    #[serde(default)]
    pub(super) failed: BTreeMap<String, String>,
}

/// One benchmark: a figure for each round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// How many things one iteration does.
    pub(super) elements: Option<u64>,
    /// By round: nanoseconds of one iteration, the median of the round; or bytes, or a share. A round that failed has none.
    pub(super) rounds: BTreeMap<usize, f64>,
}

impl Measured {
    /// The median of the rounds.
    pub(super) fn median(&self) -> f64 {
        median(self.rounds.values().copied().collect())
    }

    /// Things per second, where the figures are times.
    pub(super) fn rate(&self) -> f64 {
        self.count() * 1e9 / self.median()
    }

    /// How many things one figure is of.
    fn count(&self) -> f64 {
        self.elements.map_or(1, |count| count.max(1)) as f64
    }
}

impl Figures {
    /// What was kept; nothing if nothing was.
    ///
    /// # Errors
    /// The file is there, but can't be read or understood.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("failed to understand {}: {error}", path.display()))
    }

    /// Keeps them.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), String> {
        let path = folder.join(FILE);
        let failed = |error: &dyn std::fmt::Display| format!("failed to write {}: {error}", path.display());
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        std::fs::write(&path, text + "\n").map_err(|error| failed(&error))
    }

    /// How long `this` takes in times of what `other` takes: the median of the rounds' ratios.
    pub(super) fn times(&self, this: &str, other: &str) -> Option<f64> {
        let (this, other) = (self.measured.get(this)?, self.measured.get(other)?);
        let both = this.rounds.iter().filter_map(|(round, figure)| Some((figure, other.rounds.get(round)?)));
        let ratios: Vec<_> = both.map(|(one, beside)| (one / this.count()) / (beside / other.count())).collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    /// Adds what one round found.
    pub(super) fn add(&mut self, id: String, elements: Option<u64>, round: usize, figure: f64) {
        let measured = self.measured.entry(id).or_default();
        measured.elements = elements;
        measured.rounds.insert(round, figure);
    }

    /// Puts what was measured now in the place of what was measured before.
    pub(super) fn renew(&mut self, fresh: Self) {
        for id in fresh.measured.keys() {
            self.skipped.remove(id);
        }
        self.machine = fresh.machine;
        self.measured.extend(fresh.measured);
        self.skipped.extend(fresh.skipped);
        self.failed.extend(fresh.failed);
    }
}

/// The middle one; of an even number, the mean of the middle two.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures<const N: usize>(all: [(&str, Option<u64>, &[f64]); N]) -> Figures {
        let measured = all.map(|(id, elements, rounds)| {
            (id.to_owned(), Measured { elements, rounds: rounds.iter().copied().enumerate().collect() })
        });
        Figures { measured: measured.into(), ..Figures::default() }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() {
        let figures = figures([("roa", None, &[20.0, 200.0, 30.0]), ("raw", None, &[10.0, 100.0, 10.0])]);
        assert_eq!(figures.times("roa", "raw"), Some(2.0));
        assert_eq!(figures.times("roa", "gone"), None);
    }

    #[test]
    fn a_round_that_one_of_both_lacks_is_not_compared() {
        let mut figures = figures([("roa", None, &[20.0, 200.0, 30.0]), ("raw", None, &[10.0, 1.0, 10.0])]);
        figures.measured.get_mut("raw").unwrap().rounds.remove(&1);
        figures.measured.get_mut("roa").unwrap().rounds.remove(&2);
        assert_eq!(figures.times("roa", "raw"), Some(2.0));
    }

    #[test]
    fn what_is_measured_anew_is_no_longer_skipped_and_what_is_not_stays() {
        let mut before = figures([("a", None, &[1.0]), ("b", None, &[1.0])]);
        before.skipped.insert("c".to_owned(), "not installed".to_owned());
        before.renew(figures([("b", None, &[2.0]), ("c", None, &[3.0])]));
        assert_eq!(["a", "b", "c"].map(|id| before.measured[id].median()), [1.0, 2.0, 3.0]);
        assert!(before.skipped.is_empty());
    }

    #[test]
    fn a_ratio_is_one_of_things_also_when_an_iteration_does_different_numbers_of_them() {
        let figures = figures([("roa", Some(10), &[100.0]), ("raw", Some(100), &[500.0])]);
        assert_eq!(figures.times("roa", "raw"), Some(2.0));
        assert_eq!(figures.measured["roa"].rate(), 1e8);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
