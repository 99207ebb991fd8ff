//! [`Figures`]: what was measured, kept beside the pages that are made of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::Machine;

const FILE: &str = "figures.json";

/// All that was measured, by criterion's ids.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Where.
    pub(super) machine: Machine,
    /// What.
    pub(super) measured: BTreeMap<String, Measured>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub(super) skipped: BTreeMap<String, String>,
}

/// One benchmark: a time for each round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// How many things one iteration does.
    pub(super) elements: Option<u64>,
    /// Nanoseconds of one iteration, the median of each round.
    pub(super) nanos: Vec<f64>,
}

impl Measured {
    /// The median of the rounds.
    pub(super) fn nanos(&self) -> f64 {
        median(self.nanos.clone())
    }

    /// Things per second.
    pub(super) fn rate(&self) -> f64 {
        self.elements.map_or(1, |count| count.max(1)) as f64 * 1e9 / self.nanos()
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
        let per = |of: &Measured| of.elements.map_or(1, |count| count.max(1)) as f64;
        let (per_this, per_other) = (per(this), per(other));
        let ratios: Vec<_> =
            this.nanos.iter().zip(&other.nanos).map(|(this, other)| (this / per_this) / (other / per_other)).collect();
        (!ratios.is_empty()).then(|| median(ratios))
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

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() {
        let measured = [
            ("roa".to_owned(), Measured { elements: None, nanos: vec![20.0, 200.0, 30.0] }),
            ("raw".to_owned(), Measured { elements: None, nanos: vec![10.0, 100.0, 10.0] }),
        ];
        let figures = Figures { measured: measured.into(), ..Figures::default() };
        assert_eq!(figures.times("roa", "raw"), Some(2.0));
        assert_eq!(figures.times("roa", "gone"), None);
    }

    #[test]
    fn a_ratio_is_one_of_things_also_when_an_iteration_does_different_numbers_of_them() {
        let measured = [
            ("roa".to_owned(), Measured { elements: Some(10), nanos: vec![100.0] }),
            ("raw".to_owned(), Measured { elements: Some(100), nanos: vec![500.0] }),
        ];
        let figures = Figures { measured: measured.into(), ..Figures::default() };
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
