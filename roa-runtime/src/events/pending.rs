//! [`Pending`]: events that are not written yet, one series for all that say the same of the same.

use std::collections::BTreeMap;
use std::hash::Hasher;

use roa_core::{Event, Severity, Timestamp};
use siphasher::sip::SipHasher24;

/// What makes events the same: who says it, of what, how bad, and why. Messages may differ; the last is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeriesId {
    component: String,
    object: String,
    uid: String,
    warning: bool,
    reason: String,
}

/// Events that say the same.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// The last of them.
    pub(super) last: Event,
    pub(super) first_at: Timestamp,
    pub(super) count: u64,
}

/// Longer names leave no room for what tells series apart.
const MAX_NAME: usize = 230;

impl SeriesId {
    fn of(event: &Event) -> Self {
        Self {
            component: event.component.to_string(),
            object: event.object.encoded().to_owned(),
            uid: event.uid.clone(),
            warning: event.severity == Severity::Warning,
            reason: event.reason.clone(),
        }
    }

    /// The name of the series' object: the same in every process, so that one goes on where another ended.
    pub(super) fn name(&self, object: &str) -> String {
        let mut hasher = SipHasher24::new();
        for part in [&self.component, &self.object, &self.uid, &self.reason] {
            hasher.write(part.as_bytes());
            hasher.write(&[0, u8::from(self.warning)]);
        }
        let cut = object.char_indices().map(|(at, _)| at).chain([object.len()]).take_while(|at| *at <= MAX_NAME).last();
        let begin = object.get(..cut.unwrap_or(0)).unwrap_or_default().trim_end_matches(['.', '-']);
        format!("{begin}.{:016x}", hasher.finish())
    }
}

/// Series that are not written yet, at most so many.
#[derive(Debug)]
pub(super) struct Pending {
    series: BTreeMap<SeriesId, Series>,
    max: usize,
}

impl Pending {
    pub(super) const fn new(max: usize) -> Self {
        Self { series: BTreeMap::new(), max }
    }

    /// Takes an event; says whether there was room.
    pub(super) fn add(&mut self, event: Event) -> bool {
        let (id, at) = (SeriesId::of(&event), event.at);
        self.merge(id, Series { last: event, first_at: at, count: 1 })
    }

    /// Takes a series, as one that could not be written; says whether there was room.
    pub(super) fn merge(&mut self, id: SeriesId, series: Series) -> bool {
        let full = self.series.len() >= self.max;
        match self.series.get_mut(&id) {
            Some(known) => {
                known.count = known.count.saturating_add(series.count);
                known.first_at = known.first_at.min(series.first_at);
                if series.last.at >= known.last.at {
                    known.last = series.last;
                }
            }
            None if full => return false,
            None => {
                self.series.insert(id, series);
            }
        }
        true
    }

    /// Takes out at most so many.
    pub(super) fn take(&mut self, most: usize) -> Vec<(SeriesId, Series)> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(next) = self.series.pop_first()
        {
            taken.push(next);
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{Context, EventSink, Key, KindRegistry, ManualClock, Metadata, ResourceStore, SystemRandom};
    use roa_store_memory::{MemoryConfig, MemoryStore};
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<Event>>);

    impl EventSink for Kept {
        fn record(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    /// Only a context makes events.
    fn event(name: &str, reason: &str, message: &str) -> Event {
        let (clock, random) =
            (Arc::new(ManualClock::new(Timestamp::from_unix_seconds(9).unwrap())), Arc::new(SystemRandom));
        let store = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
        let resources = ResourceStore::new(store, Arc::new(KindRegistry::new()), clock, random, "test");
        let kept = Arc::new(Kept::default());
        let key = Key::new("g", "things", "n", name).unwrap();
        Context::new("doer", resources).with_events(kept.clone()).note(key, &Metadata::default(), reason, message);
        kept.0.lock().unwrap().remove(0)
    }

    #[test]
    fn what_says_the_same_of_the_same_is_one_series_and_the_last_message_is_kept() {
        let mut pending = Pending::new(10);
        for (name, reason, message) in [("a", "Up", "1"), ("a", "Up", "2"), ("a", "Down", "3"), ("b", "Up", "4")] {
            assert!(pending.add(event(name, reason, message)));
        }
        let taken = pending.take(10);
        let seen: Vec<_> = taken.iter().map(|(_, series)| (series.count, series.last.message.as_str())).collect();
        assert_eq!(seen, [(1, "3"), (2, "2"), (1, "4")]);
        assert!(pending.is_empty());
    }

    #[test]
    fn it_is_bounded_and_what_is_known_needs_no_room() {
        let mut pending = Pending::new(1);
        let added = [("a", "Up"), ("a", "Up"), ("b", "Up")].map(|(name, reason)| pending.add(event(name, reason, "")));
        assert_eq!(added, [true, true, false]);
        let (id, series) = pending.take(1).remove(0);
        pending.add(event("a", "Up", "later"));
        assert!(pending.merge(id, series), "what could not be written is put back");
        assert_eq!(pending.take(1)[0].1.count, 3);
    }

    #[test]
    fn the_name_of_a_series_is_the_same_everywhere_and_never_too_long() {
        let id = SeriesId::of(&event("a", "Up", "1"));
        assert_eq!(id.name("a"), "a.eb3894fe94706208");
        assert_ne!(id.name("a"), SeriesId::of(&event("a", "Down", "1")).name("a"));
        let long = id.name(&format!("{}-x", "a".repeat(MAX_NAME - 1)));
        assert!(roa_core::names::dns_subdomain(&long).is_ok(), "{long}");
        assert!(roa_core::names::dns_subdomain(&id.name(&"b".repeat(253))).is_ok());
    }
}
