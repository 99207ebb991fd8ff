//! [`Pending`]: events that are not written yet, one series for all that say the same of the same.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::Bound;

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
        let id = SeriesId::of(&event);
        let full = self.series.len() >= self.max;
        match self.series.get_mut(&id) {
            Some(known) => {
                known.count = known.count.saturating_add(1);
                known.last = event;
            }
            None if full => return false,
            None => {
                self.series.insert(id, Series { first_at: event.at, last: event, count: 1 });
            }
        }
        true
    }

    /// The first series after one.
    pub(super) fn after(&self, last: Option<&SeriesId>) -> Option<(SeriesId, Series)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let (id, series) = self.series.range::<SeriesId, _>((from, Bound::Unbounded)).next()?;
        Some((id.clone(), series.clone()))
    }

    /// So many of a series are written, or given up. What came meanwhile stays.
    pub(super) fn settle(&mut self, id: &SeriesId, count: u64) {
        if let Some(known) = self.series.get_mut(id) {
            known.count = known.count.saturating_sub(count);
            known.first_at = known.last.at;
            if known.count == 0 {
                self.series.remove(id);
            }
        }
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
        let mut seen = Vec::new();
        let mut last = None;
        while let Some((id, series)) = pending.after(last.as_ref()) {
            seen.push((series.count, series.last.message));
            last = Some(id);
        }
        assert_eq!(seen, [(1, "3".to_owned()), (2, "2".to_owned()), (1, "4".to_owned())]);
    }

    #[test]
    fn it_is_bounded_and_what_is_known_needs_no_room() {
        let mut pending = Pending::new(1);
        let added = [("a", "Up"), ("a", "Up"), ("b", "Up")].map(|(name, reason)| pending.add(event(name, reason, "")));
        assert_eq!(added, [true, true, false]);
        let (id, series) = pending.after(None).unwrap();
        pending.add(event("a", "Up", "later"));
        pending.settle(&id, series.count);
        assert_eq!(pending.after(None).unwrap().1.count, 1, "what came while it was written is still to be written");
        pending.settle(&id, 1);
        assert!(pending.is_empty());
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
