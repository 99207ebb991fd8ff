//! How often writers worked against each other.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Oscillation;
use crate::locks;

/// How many different fields and writers are told apart; what comes after these counts as `other`.
const MAX_SERIES: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fight {
    resource: String,
    field: String,
    writers: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct OscillationMetrics {
    fights: Family<Fight, Counter>,
    known: Arc<Mutex<HashSet<Fight>>>,
}

impl OscillationMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("oscillations", "Fields that writers changed back and forth", self.fights.clone());
    }

    pub(super) fn note(&self, found: &Oscillation) {
        self.fights.get_or_create(&self.label(found)).inc();
    }

    fn label(&self, found: &Oscillation) -> Fight {
        let mut writers = found.writers.each_ref().map(|writer| &**writer);
        writers.sort_unstable();
        let label = Fight {
            resource: found.key.resource().to_owned(),
            field: found.field.clone(),
            writers: writers.join(", "),
        };
        let mut known = locks::lock(&self.known);
        if known.contains(&label) || known.len() < MAX_SERIES {
            known.insert(label.clone());
            return label;
        }
        let other = || "other".to_owned();
        Fight { resource: other(), field: other(), writers: other() }
    }

    pub(crate) fn total(&self) -> u64 {
        locks::lock(&self.known).iter().map(|fight| self.fights.get_or_create(fight).get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::Key;

    #[test]
    fn the_number_of_series_is_bounded() {
        let metrics = OscillationMetrics::default();
        for number in 0..2 * MAX_SERIES {
            let key = Key::new("g", "things", "n", "a").unwrap();
            let writers = ["right".into(), "left".into()];
            metrics.note(&Oscillation { key, field: format!("spec.f{number}"), writers });
        }
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(text.matches("oscillations_total{").count(), MAX_SERIES + 1);
        assert!(text.contains("writers=\"left, right\"") && text.contains("field=\"other\""));
    }
}
