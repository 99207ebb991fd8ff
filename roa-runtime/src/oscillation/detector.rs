//! [`OscillationDetector`]: finds fields that go there and back by two writers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Key, Monotonic};
use serde_json::Value as Json;

use super::fields::{Changed, changed};

/// What counts as working against each other.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::OscillationConfig;
/// let patient = OscillationConfig { window: Duration::from_secs(600), ..OscillationConfig::default() };
/// # let _ = patient;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OscillationConfig {
    /// Within which time a change must be taken back; and how often at most the same is told.
    pub window: Duration,
    /// How often in a row a field of `status` must be changed back before it counts: what is observed follows the world,
    /// which goes there and back too, as when something fails and is repaired. Elsewhere once is enough.
    pub status_turns: u32,
    /// How many fields are remembered at most; of more, those are forgotten that changed longest ago.
    pub max_fields: usize,
}

impl Default for OscillationConfig {
    /// Within 1 min; 10 turns; 16,384 fields.
    fn default() -> Self {
        Self { window: Duration::from_secs(60), status_turns: 10, max_fields: 16_384 }
    }
}

/// A field that one writer changed and another changed back.
///
/// ```
/// # use roa_runtime::Oscillation;
/// fn says(found: &Oscillation) -> String {
///     let [one, other] = &found.writers;
///     format!("{one} and {other} change {} of {} back and forth", found.field, found.key)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oscillation {
    /// Whose field.
    pub key: Key,
    /// Which, such as `spec.replicas`.
    pub field: String,
    /// Who changed it, and who changed it back.
    pub writers: [Arc<str>; 2],
}

/// Remembers the last change of each field, and finds those that are taken back by somebody else: A, B, A again. Bounded.
///
/// ```
/// # use std::sync::Arc;
/// use roa_core::{Key, Monotonic};
/// use roa_runtime::{OscillationConfig, OscillationDetector};
/// let mut detector = OscillationDetector::new(OscillationConfig::default());
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// let [one, two] = [1, 2].map(|size| serde_json::json!({ "spec": { "size": size } }));
/// let [ann, bob] = ["ann", "bob"].map(Arc::from);
/// let mut change = |from, to, writer| detector.observe(&key, (from, to), writer, Monotonic::default());
/// assert!(change(&one, &two, &ann).is_empty());
/// assert_eq!(change(&two, &one, &bob)[0].field, "spec.size");
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Debug)]
pub struct OscillationDetector {
    config: OscillationConfig,
    last: HashMap<Field, Last>,
    /// The same fields, by when they changed last.
    order: BTreeMap<u64, Field>,
    next: u64,
}

type Field = (Key, Arc<str>);

#[derive(Debug)]
struct Last {
    from: u64,
    to: u64,
    writer: Arc<str>,
    at: Monotonic,
    /// How often in a row it was changed back.
    turns: u32,
    told: Option<Monotonic>,
    number: u64,
}

impl OscillationDetector {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(config: OscillationConfig) -> Self {
        Self { config, last: HashMap::new(), order: BTreeMap::new(), next: 0 }
    }

    /// Takes a change of an object by `writer`; gives the fields that it changed back.
    pub fn observe(
        &mut self,
        key: &Key,
        versions: (&Json, &Json),
        writer: &Arc<str>,
        now: Monotonic,
    ) -> Vec<Oscillation> {
        let fields = changed(versions.0, versions.1);
        fields.into_iter().filter_map(|field| self.observe_field(key, field, writer, now)).collect()
    }

    /// How many fields it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether it remembers none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    fn observe_field(&mut self, key: &Key, changed: Changed, writer: &Arc<str>, now: Monotonic) -> Option<Oscillation> {
        let field: Field = (key.clone(), changed.path.as_str().into());
        let before = self.forget(&field);
        let recent = |at: Monotonic| now.saturating_since(at) <= self.config.window;
        let other = before.as_ref().filter(|last| {
            (last.from, last.to) == (changed.to, changed.from) && last.writer != *writer && recent(last.at)
        });
        let told = before.as_ref().and_then(|last| last.told).filter(|at| recent(*at));
        let turns = other.map_or(0, |last| last.turns.saturating_add(1));
        let found = other.map(|last| [Arc::clone(&last.writer), Arc::clone(writer)]);
        let news = found.filter(|_| told.is_none() && turns >= self.turns_of(&changed.path));
        let told = if news.is_some() { Some(now) } else { told };
        let (from, to, writer) = (changed.from, changed.to, Arc::clone(writer));
        let last = Last { from, to, writer, at: now, turns, told, number: 0 };
        self.remember(field, last, now);
        news.map(|writers| Oscillation { key: key.clone(), field: changed.path, writers })
    }

    /// How many turns of a field count.
    fn turns_of(&self, path: &str) -> u32 {
        if path.starts_with("status.") { self.config.status_turns } else { 1 }
    }

    fn forget(&mut self, field: &Field) -> Option<Last> {
        let last = self.last.remove(field)?;
        self.order.remove(&last.number);
        Some(last)
    }

    fn remember(&mut self, field: Field, mut last: Last, now: Monotonic) {
        self.next += 1;
        last.number = self.next;
        self.order.insert(self.next, field.clone());
        self.last.insert(field, last);
        while let Some((_, oldest)) = self.order.first_key_value() {
            let old = self.last.get(oldest).is_none_or(|last| now.saturating_since(last.at) > self.config.window);
            if !old && self.last.len() <= self.config.max_fields {
                return;
            }
            let oldest = oldest.clone();
            if self.forget(&oldest).is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const WINDOW: u64 = 60;

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    /// What is found in changes of one field: (value, writer, seconds).
    fn found(changes: &[(u32, &str, u64)]) -> Vec<[String; 2]> {
        found_in("spec", changes)
    }

    fn found_in(part: &str, changes: &[(u32, &str, u64)]) -> Vec<[String; 2]> {
        let mut detector = OscillationDetector::new(OscillationConfig::default());
        let mut value = 0;
        let mut all = Vec::new();
        for (next, writer, seconds) in changes {
            let versions = (json!({part: {"size": value}}), json!({part: {"size": next}}));
            value = *next;
            all.extend(detector.observe(&key("a"), (&versions.0, &versions.1), &Arc::from(*writer), at(*seconds)));
        }
        assert!(all.iter().all(|found| found.field == format!("{part}.size") && found.key == key("a")));
        all.iter().map(|found| found.writers.each_ref().map(ToString::to_string)).collect()
    }

    /// Lesson 24: what counts is a value that goes there and back, not how many events there are.
    #[test]
    fn a_field_that_one_changes_and_another_changes_back_names_both() {
        assert_eq!(found(&[(1, "left", 0), (0, "right", 5)]), [["left", "right"]]);
    }

    #[test]
    fn progress_one_writer_alone_and_late_reversals_are_no_oscillation() {
        assert!(found(&[(1, "left", 0), (2, "right", 1), (3, "left", 2), (4, "right", 3)]).is_empty());
        assert!(found(&[(1, "left", 0), (0, "left", 1), (1, "left", 2)]).is_empty());
        assert!(found(&[(1, "left", 0), (0, "right", WINDOW + 1)]).is_empty());
    }

    /// So many changes, each of which takes the one before back, 2 s apart.
    fn fight(changes: u32) -> Vec<(u32, &'static str, u64)> {
        let change = |turn| ((turn + 1) % 2, if turn % 2 == 0 { "left" } else { "right" }, u64::from(turn) * 2);
        (0..changes).map(change).collect()
    }

    #[test]
    fn what_is_observed_may_go_there_and_back_a_few_times_but_not_for_ever() {
        assert!(found_in("status", &fight(10)).is_empty(), "it failed and was repaired");
        assert_eq!(found_in("status", &fight(11)).len(), 1);
        let mut calmed = fight(10);
        calmed.extend([(5, "left", 20), (0, "right", 22)]);
        assert!(found_in("status", &calmed).is_empty(), "another value begins anew");
    }

    #[test]
    fn the_same_is_told_once_in_a_window() {
        let told = found(&fight(100));
        assert!((3..=4).contains(&told.len()), "{} times in 200 s", told.len());
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_one_writer_alone_is_never_told(
            changes in prop::collection::vec((0_u8..20, 0_u32..3, 0_u64..20), 0..300),
        ) {
            let mut detector = OscillationDetector::new(OscillationConfig { max_fields: 8, ..OscillationConfig::default() });
            let (mut values, mut now) = (HashMap::new(), 0);
            for (name, next, wait) in changes {
                now += wait;
                let before = values.insert(name, next).unwrap_or(0);
                let versions = (json!({"spec": {"size": before}}), json!({"spec": {"size": next}}));
                let found = detector.observe(&key(&name.to_string()), (&versions.0, &versions.1), &"one".into(), at(now));
                prop_assert!(found.is_empty() && detector.len() <= 8 && detector.order.len() == detector.len());
            }
        }
    }
}
