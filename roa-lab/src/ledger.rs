//! [`Ledger`]: who holds what of this machine, also where the cache does not show it yet.

mod holdings;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use roa_core::{Context, ListOptions, Result, Revision};
use roa_runtime::Cache;

use self::holdings::{Followed, Hold, Holdings, Total};
use crate::{Lab, LabInstance, LabSettings, Resources};

/// What all labs hold of the node, as of one revision at least.
#[derive(Debug)]
pub(crate) struct Census {
    seen: Seen,
    revision: Revision,
}

#[derive(Debug)]
enum Seen {
    /// Kept all the time.
    Followed(Arc<Followed>),
    /// Counted for this occasion.
    Counted(Holdings),
}

impl Census {
    /// From what follows the cache, else from the cache, or from the store if there is none.
    pub(crate) async fn take(ledger: &Ledger, cx: &Context, node: &str) -> Result<Self> {
        // The revision first: what the cache shows then is at least as new.
        let cache = cx.cache::<LabInstance>().and_then(|cache| Some((cache.revision()?, cache)));
        let (seen, revision) = match (cache, ledger.followed.get()) {
            (Some((revision, _)), Some(followed)) => (Seen::Followed(Arc::clone(followed)), revision),
            (Some((revision, cache)), None) => (Seen::count(cache.list(None).iter().map(|lab| &**lab), node), revision),
            (None, _) => {
                let (labs, revision) = cx.api::<LabInstance>()?.list(&ListOptions::everywhere()).await?;
                (Seen::count(labs.iter(), node), revision)
            }
        };
        Ok(Self { seen, revision })
    }

    /// What all labs but one hold: each as the ledger knows it, else as it is seen.
    fn others(&self, uid: &str, entries: &HashMap<String, Entry>) -> Total {
        match &self.seen {
            Seen::Followed(followed) => others(&followed.lock(), uid, entries),
            Seen::Counted(holdings) => others(holdings, uid, entries),
        }
    }
}

impl Seen {
    fn count<'a>(labs: impl Iterator<Item = &'a Lab>, node: &str) -> Self {
        Self::Counted(Holdings::count(labs, node))
    }
}

fn others(holdings: &Holdings, uid: &str, entries: &HashMap<String, Entry>) -> Total {
    let known = entries.keys().map(String::as_str).chain((!entries.contains_key(uid)).then_some(uid));
    let unknown = known.filter_map(|uid| holdings.of(uid)).fold(holdings.total(), Total::without);
    let promised = entries.iter().filter(|(other, _)| *other != uid).map(|(_, entry)| entry.hold);
    promised.fold(unknown, Total::and)
}

/// What a lab asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    /// A place here with these resources, and to be brought up.
    Place(Resources),
    /// To be brought up, in the place that it has here.
    Turn(Resources),
    /// To be brought up, in a place that is a worker's: that is accounted for there.
    Elsewhere,
}

/// Why a lab does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What there is too little of.
    Full(Vec<&'static str>),
    /// As many are being brought up as may be.
    Busy(usize),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hold: Hold,
    /// The revision that says so for everybody; `None` while that is being written.
    written: Option<Revision>,
}

/// What was promised to labs and may not be in a census yet. Several labs are handled at once, and what one of them was
/// promised, no other may get. It has an entry for each write under way and for each that the cache has not reached.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
    /// What a census is taken from, where something follows the cache.
    followed: OnceLock<Arc<Followed>>,
}

impl Ledger {
    /// From now on what labs hold of the node is kept as they change. A second call does nothing.
    pub(crate) fn follow(&self, labs: &Cache<Lab>, node: &str) {
        let followed = Arc::new(Followed::new(node.to_owned()));
        if self.followed.set(Arc::clone(&followed)).is_ok() {
            labs.listen(followed);
        }
    }

    /// Promises a lab what it asks for, if the machine has it and no more are being brought up than may be.
    pub(crate) fn reserve(
        &self,
        uid: &str,
        ask: Ask,
        census: &Census,
        settings: &LabSettings,
    ) -> Result<Reservation<'_>, Refusal> {
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.written.is_none_or(|written| written > census.revision));
        let others = census.others(uid, &entries);
        if let Ask::Place(resources) = ask {
            let lacks = settings.capacity.lacks(others.resources + resources, others.labs + 1);
            if !lacks.is_empty() {
                return Err(Refusal::Full(lacks));
            }
        }
        let limit = settings.policy.max_provisionings;
        if others.provisioning >= limit {
            return Err(Refusal::Busy(limit));
        }
        let place = match ask {
            Ask::Place(resources) | Ask::Turn(resources) => Some(resources),
            Ask::Elsewhere => None,
        };
        entries.insert(uid.to_owned(), Entry { hold: Hold { place, provisioning: true }, written: None });
        Ok(Reservation { ledger: self, uid: uid.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A promise. It ends with its drop, unless it was kept.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    ledger: &'a Ledger,
    uid: String,
}

impl Reservation<'_> {
    /// What was promised is written as of `revision`; `None` if the promise came to nothing.
    pub(crate) fn keep(self, revision: Option<Revision>) {
        if let Some(entry) = self.ledger.lock().get_mut(&self.uid) {
            entry.written = revision;
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut entries = self.ledger.lock();
        if entries.get(&self.uid).is_some_and(|entry| entry.written.is_none()) {
            entries.remove(&self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::holdings::tests::{lab, needs};
    use super::*;
    use crate::{Capacity, LabState, Provisioners, Quantity};

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    /// A machine with so many processors, on which so many labs may be brought up at once.
    fn settings(cpu: u32, max_provisionings: usize) -> LabSettings {
        let mut settings = LabSettings::new("here", Provisioners::new());
        settings.capacity = Capacity { cpu: Quantity::whole(cpu), memory: Quantity::mebi(100), labs: 10 };
        settings.policy.max_provisionings = max_provisionings;
        settings
    }

    fn census(at: u64, labs: &[Lab]) -> Census {
        Census { seen: Seen::count(labs.iter(), "here"), revision: revision(at) }
    }

    #[test]
    fn lesson_57_what_one_was_promised_no_other_gets_before_the_cache_shows_it() {
        let (ledger, settings, empty) = (Ledger::default(), settings(2, 10), census(5, &[]));
        let first = ledger.reserve("a", Ask::Place(needs(2)), &empty, &settings).unwrap();
        let refused = ledger.reserve("b", Ask::Place(needs(1)), &empty, &settings).unwrap_err();
        assert_eq!(refused, Refusal::Full(vec!["insufficient cpu"]));
        first.keep(Some(revision(6)));
        assert!(
            ledger.reserve("b", Ask::Place(needs(1)), &empty, &settings).is_err(),
            "written, not yet in the census"
        );
        // As of 6 the census is true by itself, and says that the lab is gone.
        assert!(ledger.reserve("b", Ask::Place(needs(1)), &census(6, &[]), &settings).is_ok());
    }

    #[test]
    fn a_promise_that_is_not_kept_is_taken_back() {
        let (ledger, settings, empty) = (Ledger::default(), settings(1, 10), census(5, &[]));
        drop(ledger.reserve("a", Ask::Place(needs(1)), &empty, &settings).unwrap());
        ledger.reserve("b", Ask::Place(needs(1)), &empty, &settings).unwrap().keep(None);
        assert!(ledger.lock().is_empty());
        assert!(ledger.reserve("c", Ask::Place(needs(1)), &empty, &settings).is_ok());
    }

    #[test]
    fn only_what_is_on_this_node_counts_and_what_a_lab_has_itself_does_not() {
        let labs = [lab("a", "here", LabState::Ready), lab("b", "elsewhere", LabState::Ready)];
        let (ledger, census) = (Ledger::default(), census(5, &labs));
        assert!(ledger.reserve("c", Ask::Place(needs(1)), &census, &settings(1, 10)).is_err());
        assert!(ledger.reserve("c", Ask::Place(needs(1)), &census, &settings(2, 10)).is_ok());
        assert!(ledger.reserve("a", Ask::Place(needs(1)), &census, &settings(1, 10)).is_ok());
        assert!(
            ledger.reserve("a", Ask::Turn(needs(1)), &census, &settings(0, 10)).is_ok(),
            "it has its place already"
        );
    }

    #[test]
    fn no_more_are_brought_up_at_once_than_may_be_and_those_that_wait_do_not_count() {
        let mut waiting = lab("w", "here", LabState::Provisioning);
        waiting.status.next_attempt_at = Some("2027-01-01T00:00:00Z".parse().unwrap());
        let labs = [lab("a", "here", LabState::Provisioning), waiting, lab("r", "here", LabState::Ready)];
        let (ledger, settings, census) = (Ledger::default(), settings(10, 2), census(5, &labs));
        let second = ledger.reserve("b", Ask::Place(needs(1)), &census, &settings).unwrap();
        assert_eq!(ledger.reserve("w", Ask::Turn(needs(1)), &census, &settings).unwrap_err(), Refusal::Busy(2));
        drop(second);
        assert!(ledger.reserve("w", Ask::Turn(needs(1)), &census, &settings).is_ok());
    }
}
