//! What a driver remembers of objects, for those who ask why nothing happens: [`Troubles`], [`Unobserved`], [`Leaving`].
//! Each has at most as many keys as there are objects.

use std::time::Duration;

use roa_core::{Key, Metadata, Monotonic, Timestamp};

use super::sparse::Sparse;

/// What went wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) at: Timestamp,
}

/// What went wrong last with each key, until it goes well, and how often since then through no fault of the object.
#[derive(Debug, Default)]
pub(super) struct Troubles(Sparse<(Trouble, u32)>);

impl Troubles {
    pub(super) fn note(&self, key: &Key, trouble: Trouble, excused: bool) {
        self.0.with(|troubles| {
            let before = troubles.get(key).map_or(0, |(_, excused)| *excused);
            troubles.insert(key.clone(), (trouble, before.saturating_add(u32::from(excused))));
        });
    }

    pub(super) fn get(&self, key: &Key) -> Option<Trouble> {
        self.0.with_any(|troubles| troubles.get(key).map(|(trouble, _)| trouble.clone())).flatten()
    }

    /// How often it went wrong through no fault of the object.
    pub(super) fn excused(&self, key: &Key) -> u32 {
        self.0.with_any(|troubles| troubles.get(key).map(|(_, excused)| *excused)).flatten().unwrap_or_default()
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.remove(key);
    }
}

/// How it came about that a generation is to be seen by a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// Somebody made it so.
    Changed,
    /// It was so when this process first saw the object: when it changed is not known.
    Listed,
}

/// The generations that no call has seen to its good end, each with how and since when.
#[derive(Debug, Default)]
pub(super) struct Unobserved(Sparse<(u64, Begin, Monotonic)>);

impl Unobserved {
    /// The object has another generation than before, or none was seen of it.
    pub(super) fn note(&self, key: &Key, generation: u64, begin: Begin, now: Monotonic) {
        self.0.with(|unobserved| unobserved.entry(key.clone()).or_insert((generation, begin, now)).0 = generation);
    }

    /// Whether no generation is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// A call that saw this generation ended well; gives for how long it was not so, if it is known since when.
    pub(super) fn observed(&self, key: &Key, generation: u64, now: Monotonic) -> Option<Duration> {
        let since = self.0.with_any(|unobserved| {
            let (wanted, begin, since) = *unobserved.get(key)?;
            let seen = (wanted <= generation).then(|| unobserved.remove(key)).is_some();
            (seen && begin == Begin::Changed).then_some(since)
        });
        since.flatten().map(|since| now.saturating_since(since))
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.remove(key);
    }

    /// Since when the oldest is not.
    pub(super) fn oldest(&self, now: Monotonic) -> Option<Duration> {
        let since = self.0.with_any(|unobserved| unobserved.values().map(|(.., since)| *since).min());
        since.flatten().map(|since| now.saturating_since(since))
    }
}

/// The objects that were asked to go and wait for the controller's finalizer.
#[derive(Debug, Default)]
pub(super) struct Leaving(Sparse<Timestamp>);

impl Leaving {
    pub(super) fn look(&self, key: &Key, metadata: &Metadata, finalizer: Option<&str>) {
        let waits = finalizer.is_some_and(|name| metadata.has_finalizer(name));
        match metadata.deletion_timestamp.filter(|_| waits) {
            Some(since) => _ = self.0.with(|leaving| leaving.insert(key.clone(), since)),
            None => self.forget(key),
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.remove(key);
    }

    /// For how long the oldest waits.
    pub(super) fn oldest(&self, now: Timestamp) -> Option<Duration> {
        let since = self.0.with_any(|leaving| leaving.values().min().copied()).flatten();
        since.map(|since| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_observed_by_a_call_that_saw_it_and_not_by_one_before() {
        let (unobserved, key) = (Unobserved::default(), Key::new("g", "things", "n", "a").unwrap());
        let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
        unobserved.note(&key, 1, Begin::Changed, at(1));
        unobserved.note(&key, 2, Begin::Changed, at(5));
        assert_eq!(unobserved.oldest(at(6)), Some(Duration::from_secs(5)));
        assert_eq!(unobserved.observed(&key, 1, at(7)), None);
        assert_eq!(unobserved.observed(&key, 2, at(9)), Some(Duration::from_secs(8)), "since it was behind at all");
        assert_eq!((unobserved.observed(&key, 2, at(9)), unobserved.oldest(at(9))), (None, None));
    }

    /// How long it took since somebody changed it is not known, but that nobody has looked at it yet is.
    #[test]
    fn what_was_listed_waits_to_be_observed_and_is_no_convergence() {
        let (unobserved, key) = (Unobserved::default(), Key::new("g", "things", "n", "a").unwrap());
        let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
        unobserved.note(&key, 3, Begin::Listed, at(1));
        assert_eq!(unobserved.oldest(at(6)), Some(Duration::from_secs(5)));
        assert_eq!((unobserved.observed(&key, 3, at(7)), unobserved.oldest(at(7))), (None, None));
    }

    #[test]
    fn an_object_leaves_while_it_has_the_finalizer_and_was_asked_to_go() {
        let (leaving, key) = (Leaving::default(), Key::new("g", "things", "n", "a").unwrap());
        let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
        let mut metadata = Metadata::default();
        metadata.finalizers.push("f".into());
        leaving.look(&key, &metadata, Some("f"));
        assert_eq!(leaving.oldest(at(10)), None);
        metadata.deletion_timestamp = Some(at(4));
        leaving.look(&key, &metadata, Some("f"));
        assert_eq!(leaving.oldest(at(10)), Some(Duration::from_secs(6)));
        metadata.finalizers.clear();
        leaving.look(&key, &metadata, Some("f"));
        assert_eq!(leaving.oldest(at(10)), None);
    }
}
