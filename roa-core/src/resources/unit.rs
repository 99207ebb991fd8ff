//! [`UnitOfWork`]: reads and writes that belong together: all writes happen, and only if nothing that was read has changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ResourceStore;
use super::transaction::is_life_of;
use crate::{
    CacheReader, CommitError, DynamicObject, Entry, Error, Expect, Expected, Fence, Index, Key, Read, Resource, Result,
    Revision, StoredObject, Txn, TxnId, Value, Violations,
};

/// Reads and writes that belong together. Through a [`ResourceStore::in_unit`] each object is read once, however often it
/// is asked for; writes are held back, though later reads show them; [`UnitOfWork::commit`] does them in one revision, if
/// each object that was read is still as it was.
///
/// Only single objects can be read, present or absent: a list is refused with [`Error::ListInUnit`], since an object that
/// comes into it later could not be noticed. As in any transaction, at most one object of each kind is written. Until the
/// commit, what is written has the `resourceVersion` of what was read.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Object, ResourceStore, Result, Spec, UnitOfWork};
/// # async fn example<S: Spec>(resources: ResourceStore, mut lab: Object<S>, done: S::Status) -> Result<()> {
/// let unit = Arc::new(UnitOfWork::new());
/// let within = resources.clone().in_unit(Arc::clone(&unit));
/// let quota = within.api::<S>()?.get("school", "quota").await?; // must be as it is until the end
/// # let _ = quota;
/// lab.status = done;
/// within.api::<S>()?.update_status(&lab).await?; // held back
/// unit.commit(&resources).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct UnitOfWork {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: BTreeMap<Key, Seen>,
    written: BTreeMap<Key, Written>,
    /// A list was read where it could not be refused.
    listed: Option<String>,
}

/// What was read.
#[derive(Clone)]
enum Seen {
    /// From the store, and as of when.
    Entry(Option<Arc<Entry>>, Revision),
    /// From a cache: its revision.
    Cached(Option<Revision>),
}

impl Seen {
    fn revision(&self) -> Option<Revision> {
        match self {
            Self::Entry(entry, _) => entry.as_ref().map(|entry| entry.revision),
            Self::Cached(revision) => *revision,
        }
    }

    fn expect(&self) -> Expect {
        self.revision().map_or(Expect::Absent, Expect::At)
    }
}

/// What is to be written.
#[derive(Clone)]
pub(super) enum Written {
    Object(Box<DynamicObject>),
    /// A record of ROA's own.
    Value(Value),
    Gone,
}

impl Written {
    /// `None` if it goes.
    fn value(&self) -> Result<Option<Value>> {
        Ok(match self {
            Self::Object(object) => Some(StoredObject::encode(object)?),
            Self::Value(value) => Some(value.clone()),
            Self::Gone => None,
        })
    }
}

impl UnitOfWork {
    /// Nothing read, nothing written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one insertion: it is whole whatever panicked beside it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an object was read at a revision, or found absent, elsewhere than through the store.
    pub fn note(&self, key: &Key, revision: Option<Revision>) {
        self.lock().read.entry(key.clone()).or_insert(Seen::Cached(revision));
    }

    fn note_list(&self, what: String) {
        self.lock().listed.get_or_insert(what);
    }

    /// The entry as the unit sees it; `None` if it was not read from the store yet.
    pub(super) fn seen(&self, key: &Key, writer: &Arc<str>) -> Result<Option<(Option<Arc<Entry>>, Revision)>> {
        let state = self.lock();
        let Some(Seen::Entry(read, as_of)) = state.read.get(key) else { return Ok(None) };
        let Some(written) = state.written.get(key) else { return Ok(Some((read.clone(), *as_of))) };
        let entry = written.value()?.map(|value| {
            let (key, writer) = (key.clone(), Arc::clone(writer));
            Arc::new(match read {
                Some(read) => {
                    let revisions = [read.create_revision, read.revision];
                    Entry::stored(key, value, revisions, read.version, TxnId::none(), writer)
                }
                None => Entry::created(key, value, *as_of, TxnId::none(), writer),
            })
        });
        Ok(Some((entry, *as_of)))
    }

    /// Takes what the store answered; it must not contradict what a cache showed before.
    pub(super) fn take(&self, key: &Key, entry: Option<Arc<Entry>>, as_of: Revision) -> Result<()> {
        let mut state = self.lock();
        let found = entry.as_ref().map(|entry| entry.revision);
        if let Some(seen) = state.read.get(key)
            && seen.revision() != found
        {
            return Err(changed(key, seen.expect(), found));
        }
        state.read.insert(key.clone(), Seen::Entry(entry, as_of));
        Ok(())
    }

    /// Holds a write of a key back that was read before.
    pub(super) fn hold_back(&self, key: &Key, next: Written) -> Result<()> {
        let mut state = self.lock();
        let same_kind = |other: &&Key| {
            (other.group(), other.resource()) == (key.group(), key.resource()) && *other != key && !key.is_system()
        };
        if let Some(other) = state.written.keys().find(same_kind) {
            return Err(refuse(format!("{key} is written beside {other}, expected at most one object of each kind")));
        }
        let was_there = state.read.get(key).is_some_and(|seen| seen.revision().is_some());
        match (state.written.get(key), &next) {
            (Some(Written::Gone), Written::Object(_) | Written::Value(_)) => {
                return Err(refuse(format!("{key} is deleted and created again, expected one of the two")));
            }
            (_, Written::Gone) if !was_there => _ = state.written.remove(key),
            _ => _ = state.written.insert(key.clone(), next),
        }
        Ok(())
    }

    /// Does what was held back, in one revision, if all that was read is still as it was. Gives that revision; `None` if
    /// there is nothing to do.
    ///
    /// # Errors
    /// [`Error::Conflict`] names what has changed, [`Error::ListInUnit`] if a list was read, [`Error::Fenced`],
    /// [`Error::Invalid`] if it reads or writes too much, [`Error::Ambiguous`], [`Error::Unavailable`].
    ///
    /// # Cancel safety
    /// Dropping it leaves all of it done, or nothing.
    pub async fn commit(&self, resources: &ResourceStore) -> Result<Option<Revision>> {
        let Some(txn) = self.encode(resources)? else { return Ok(None) };
        let id = txn.id;
        resources.check_tenure()?;
        let written = match resources.store.commit(txn).await {
            Ok(revision) => Ok(revision),
            Err(CommitError::Ambiguous { reason, .. }) => self.resolve(resources, id, &reason).await,
            Err(error) => Err(self.explain(resources, error)),
        };
        let revision = written?;
        if let Some(mark) = &resources.mark {
            mark.note(revision);
        }
        Ok(Some(revision))
    }

    fn encode(&self, resources: &ResourceStore) -> Result<Option<Txn>> {
        let state = self.lock();
        if let Some(resource) = &state.listed {
            return Err(Error::ListInUnit { resource: resource.as_str().into() });
        }
        if state.written.is_empty() {
            return Ok(None);
        }
        let mut txn = Txn::new(TxnId::random(&*resources.random), Arc::clone(&resources.writer));
        for (key, seen) in &state.read {
            let next = state.written.get(key).map(Written::value).transpose()?;
            txn = match (next, seen.revision()) {
                (None | Some(None), None) => txn.guard(key.clone(), Expect::Absent),
                (None, Some(at)) => txn.guard(key.clone(), Expect::At(at)),
                (Some(None), Some(at)) => txn.delete(key.clone(), at),
                (Some(Some(value)), None) => txn.create(key.clone(), value),
                (Some(Some(value)), Some(at)) => txn.update(key.clone(), value, at),
            };
        }
        Ok(Some(resources.fence(txn)))
    }

    /// As for any transaction: looks whether one of its writes is there.
    async fn resolve(&self, resources: &ResourceStore, id: TxnId, reason: &str) -> Result<Revision> {
        let ambiguous = Err(Error::Ambiguous { txn: id, reason: reason.into() });
        let written = {
            let state = self.lock();
            let puts = || state.written.iter().filter(|(_, written)| !matches!(written, Written::Gone));
            let is_absent = |key: &Key| state.read.get(key).is_some_and(|seen| seen.expect() == Expect::Absent);
            let created = puts().find(|(key, written)| matches!(written, Written::Object(_)) && is_absent(key));
            let put = created.or_else(|| puts().next());
            put.and_then(|(key, written)| Some((key.clone(), state.read.get(key)?.expect(), written.clone())))
        };
        let Some((key, expect, written)) = written else { return ambiguous };
        let is_created = |entry: &Entry| match &written {
            Written::Object(object) => expect == Expect::Absent && is_life_of(entry, object),
            Written::Value(_) | Written::Gone => false,
        };
        let Ok(Read { entry, .. }) = resources.store.get(&key).await else { return ambiguous };
        match entry {
            Some(entry) if entry.txn == id => Ok(entry.revision),
            Some(entry) if is_created(&entry) => Ok(entry.create_revision),
            entry if expect.holds(entry.as_ref().map(|entry| entry.revision)) => ambiguous,
            entry => Err(changed(&key, expect, entry.map(|entry| entry.revision))),
        }
    }

    fn explain(&self, resources: &ResourceStore, error: CommitError) -> Error {
        match error {
            CommitError::Conflict { key, current } | CommitError::GuardFailed { key, current } => {
                resources.forget_namespace(&key);
                match self.lock().read.get(&key) {
                    Some(seen) => changed(&key, seen.expect(), current),
                    None => Error::Fenced(Fence::Ownership { key }),
                }
            }
            error => resources.transaction().explain(error),
        }
    }
}

pub(super) fn changed(key: &Key, expect: Expect, current: Option<Revision>) -> Error {
    let expected = match expect {
        Expect::Absent => Expected::Absent,
        Expect::At(revision) => Expected::Revision(revision),
    };
    Error::Conflict { key: key.clone(), expected, current }
}

fn refuse(message: String) -> Error {
    Error::invalid("unit of work", Violations::one("", message))
}

impl fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "UnitOfWork({} read, {} to be written)", state.read.len(), state.written.len())
    }
}

/// A cache whose reads belong to a unit of work.
pub(crate) struct NotedCache<R> {
    pub(crate) cache: Arc<dyn CacheReader<R>>,
    pub(crate) unit: Arc<UnitOfWork>,
    pub(crate) kind: &'static str,
}

impl<R: Resource> CacheReader<R> for NotedCache<R> {
    fn get(&self, key: &Key) -> Option<Arc<R>> {
        let found = self.cache.get(key);
        self.unit.note(key, found.as_ref().and_then(|found| found.metadata().resource_version));
        found
    }

    /// Makes the unit fail: there is no way to say so here.
    fn list(&self, namespace: Option<&str>) -> Vec<Arc<R>> {
        self.unit.note_list(self.kind.to_owned());
        self.cache.list(namespace)
    }

    fn revision(&self) -> Option<Revision> {
        self.cache.revision()
    }

    /// As a list.
    fn by_index(&self, index: &Index<R>, value: &str) -> Vec<Arc<R>> {
        self.unit.note_list(self.kind.to_owned());
        self.cache.by_index(index, value)
    }
}
