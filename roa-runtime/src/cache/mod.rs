//! [`Cache`]: one kind's objects in memory, kept true by a watcher and shared by all who read them.

mod feed;
mod freshness;
mod index;
mod listener;
mod objects;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

pub(crate) use freshness::Freshness;
pub(crate) use index::Values;
pub use listener::{CacheListener, Tombstone};

use objects::Objects;
use roa_core::{
    CacheReader, Clock, DecodeError, Error, Index, Key, Monotonic, Position, Resource, Result, Revision, Watcher,
};
use tokio::sync::watch as watch_channel;

use crate::locks;

/// How many keys are looked at under one lock when a list is compared with what was there.
const SWEEP: usize = 1_000;

/// One kind's objects as of one revision. A clone shares them. [`Cache::run`] keeps it true.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{CacheReader, DynamicObject, Index, Key, KeyPrefix, Store, StoredObject, SystemRandom, Txn, TxnId};
/// # use roa_runtime::{Cache, HubConfig, Selection, StreamWatcher, SystemClock, WatchHub};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock::new());
/// # let store: Arc<dyn Store> =
/// #     Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), Arc::new(SystemRandom)));
/// # let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// # let lab = DynamicObject::from_json(serde_json::json!({
/// #     "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "one", "labels": { "course": "python" } }
/// # }))?;
/// # let txn = Txn::new(TxnId::random(&SystemRandom), "docs");
/// # store.commit(txn.create(key.clone(), StoredObject::encode(&lab)?)).await?;
/// # let hub = WatchHub::start(store, clock.clone(), HubConfig::default()).await?;
/// const BY_COURSE: Index<DynamicObject> = Index::new("course", |lab, value| {
///     lab.metadata.labels.get("course").into_iter().for_each(|course| value(course));
/// });
/// let cache = Cache::<DynamicObject>::new();
/// cache.index(BY_COURSE);
/// let labs = Selection::prefix(KeyPrefix::resource("lab.example.com", "labs")?);
/// let watcher = StreamWatcher::new(hub, labs);
/// tokio::select! {
///     () = cache.run(&watcher, &*clock) => {}
///     () = cache.synced() => {
///         assert_eq!(cache.by_index(&BY_COURSE, "python")[0].metadata.name, "one");
///         assert!(cache.by_index(&BY_COURSE, "rust").is_empty());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Cache<R> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    objects: RwLock<Objects<R>>,
    /// `None` until the first whole list is in and the listeners know of it (C3).
    position: watch_channel::Sender<Option<Position>>,
    /// When it was last told how far it is, in nanoseconds of the clock of its feed.
    heard: AtomicU64,
    listeners: RwLock<Vec<Arc<dyn CacheListener<R>>>>,
    relists: AtomicU64,
}

impl<R: Resource> Cache<R> {
    /// An empty cache, not yet synced.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            objects: RwLock::new(Objects::new()),
            position: watch_channel::channel(None).0,
            heard: AtomicU64::new(0),
            listeners: RwLock::default(),
            relists: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Tells `listener` of each change from now on. Add listeners before [`Cache::run`]: those see everything.
    pub fn listen(&self, listener: Arc<dyn CacheListener<R>>) {
        locks::write(&self.shared.listeners).push(listener);
    }

    /// Keeps an index from now on, unless it keeps one of this name. Add indexes before [`Cache::run`]: over what is there
    /// already, it is made while nobody can read. An index is exact whenever the cache can be read, also while it is
    /// listed anew.
    pub fn index(&self, index: Index<R>) {
        self.index_by(
            index.name(),
            Arc::new(move |object: &R, value: &mut dyn FnMut(&str)| index.values(object, value)),
        );
    }

    pub(crate) fn index_by(&self, name: &str, values: Arc<Values<R>>) {
        let mut objects = locks::write(&self.shared.objects);
        objects.index_by(name, values);
    }

    /// At most `limit` keys of a value of an index after one, in order; none if the index is not kept.
    pub(crate) fn indexed_keys_after(&self, index: &str, value: &str, after: Option<&Key>, limit: usize) -> Vec<Key> {
        locks::read(&self.shared.objects).indexes.keys_after(index, value, after, limit)
    }

    /// Keeps the cache true, until dropped: reads a snapshot, then the changes; when the watch ends, a snapshot again,
    /// whose differences are told as if they had been watched. Never goes back in time.
    pub async fn run(&self, watcher: &dyn Watcher<R>, clock: &dyn Clock) {
        feed::run(self, watcher, clock).await;
    }

    /// Whether the first whole list is in.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.shared.position.borrow().is_some()
    }

    /// Up to where it is true; `None` before it is synced.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        *self.shared.position.borrow()
    }

    /// How long ago it was last told how far it is: by the time `now` of the clock that [`Cache::run`] was given. `None`
    /// before it is synced. A watch tells it from time to time, also when nothing changes; so what is much longer ago than
    /// that means that the store can't be watched, and that readers see what was.
    #[must_use]
    pub fn staleness(&self, now: Monotonic) -> Option<Duration> {
        let heard = Duration::from_nanos(self.shared.heard.load(Ordering::Acquire));
        self.is_synced().then(|| now.saturating_since(Monotonic::from_start(heard)))
    }

    /// Waits until it is synced.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn synced(&self) {
        let mut position = self.shared.position.subscribe();
        // The sender lives in the cache, so the channel can't close while this waits.
        let _ = position.wait_for(Option::is_some).await;
    }

    /// Waits until it is true at `revision` (C10: a writer sees its own writes).
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it has not reached it by `deadline`.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for(&self, revision: Revision, clock: &dyn Clock, deadline: Monotonic) -> Result<()> {
        if self.position().is_some_and(|at| at.revision >= revision) {
            return Ok(());
        }
        wait_until(self.shared.position.subscribe(), revision, clock, deadline).await
    }

    /// How many objects it has.
    #[must_use]
    pub fn len(&self) -> usize {
        locks::read(&self.shared.objects).len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often it had to list again.
    #[must_use]
    pub fn relists(&self) -> u64 {
        self.shared.relists.load(Ordering::Relaxed)
    }

    /// At most `limit` keys after one, in order; from the first if there is none.
    #[must_use]
    pub fn keys_after(&self, after: Option<&Key>, limit: usize) -> Vec<Key> {
        locks::read(&self.shared.objects).keys_after(after).take(limit).cloned().collect()
    }

    /// The objects that can't be read, and why.
    #[must_use]
    pub fn unreadable(&self) -> Vec<(Key, DecodeError)> {
        let objects = locks::read(&self.shared.objects);
        objects.unreadable().map(|(key, error)| (key.clone(), error.clone())).collect()
    }

    /// While it is listed anew, what came in place of another object may never have been seen to come.
    fn put(&self, key: &Key, object: Result<Arc<R>, DecodeError>, listing: bool) {
        let object = match object {
            Ok(object) => object,
            Err(error) => return locks::write(&self.shared.objects).set_aside(key, error),
        };
        let mut objects = locks::write(&self.shared.objects);
        let ended = if listing { objects.end_other_life(key, &object) } else { None };
        if let Some(last) = ended {
            // Who is told that it is gone finds nothing in its place.
            drop(objects);
            self.tell_gone(key, &Tombstone { last, revision: None });
            objects = locks::write(&self.shared.objects);
        }
        let before = objects.put(key, &object);
        drop(objects);
        if before.as_ref().is_none_or(|before| before.revision() != object.revision()) {
            self.tell(key, before.as_ref(), Some(&object));
        }
    }

    fn remove(&self, key: &Key, revision: Option<Revision>) {
        let removed = locks::write(&self.shared.objects).remove(key);
        if let Some(last) = removed {
            self.tell_gone(key, &Tombstone { last, revision });
        }
    }

    fn begin_list(&self) {
        locks::write(&self.shared.objects).begin_list();
        self.shared.relists.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes what a whole list did not have.
    fn sweep(&self) {
        let unreadable = locks::read(&self.shared.objects).unseen_unreadable();
        unreadable.iter().for_each(|key| self.remove(key, None));
        let mut after = None;
        loop {
            let mut keys = self.keys_after(after.as_ref(), SWEEP);
            let Some(last) = keys.last().cloned() else { return };
            locks::read(&self.shared.objects).unseen(&mut keys);
            keys.iter().for_each(|key| self.remove(key, None));
            after = Some(last);
        }
    }

    fn tell(&self, key: &Key, before: Option<&Arc<R>>, after: Option<&Arc<R>>) {
        for listener in locks::read(&self.shared.listeners).iter() {
            listener.changed(key, before, after);
        }
    }

    fn tell_gone(&self, key: &Key, tombstone: &Tombstone<R>) {
        for listener in locks::read(&self.shared.listeners).iter() {
            listener.gone(key, tombstone);
        }
    }

    fn reached(&self, position: Position, now: Monotonic) {
        let now = u64::try_from(now.since_start().as_nanos()).unwrap_or(u64::MAX);
        self.shared.heard.store(now, Ordering::Release);
        self.shared.position.send_replace(Some(position));
    }
}

async fn wait_until(
    mut position: watch_channel::Receiver<Option<Position>>,
    revision: Revision,
    clock: &dyn Clock,
    deadline: Monotonic,
) -> Result<()> {
    let reached = |position: &Option<Position>| position.is_some_and(|at| at.revision >= revision);
    if reached(&position.borrow()) {
        return Ok(());
    }
    let behind = |at: Option<Position>| match at {
        Some(at) => Error::TooLarge { requested: revision, head: at.revision },
        None => Error::unavailable("the cache is not synced"),
    };
    let outcome = tokio::select! {
        biased;
        found = position.wait_for(reached) => found.map(|_| ()).map_err(|_| Error::unavailable("the cache is gone")),
        () = clock.sleep_until(deadline) => Err(Error::unavailable("")),
    };
    outcome.map_err(|_| behind(*position.borrow()))
}

impl<R: Resource> CacheReader<R> for Cache<R> {
    fn get(&self, key: &Key) -> Option<Arc<R>> {
        locks::read(&self.shared.objects).get(key).cloned()
    }

    fn list(&self, namespace: Option<&str>) -> Vec<Arc<R>> {
        let objects = locks::read(&self.shared.objects);
        let selected =
            objects.in_order().filter(|(key, _)| namespace.is_none_or(|namespace| key.namespace() == namespace));
        selected.map(|(_, object)| Arc::clone(object)).collect()
    }

    fn by_index(&self, index: &Index<R>, value: &str) -> Vec<Arc<R>> {
        let objects = locks::read(&self.shared.objects);
        match objects.indexes.keys(index.name(), value) {
            Some(keys) => keys.filter_map(|key| objects.get(key).cloned()).collect(),
            None => {
                let found = objects.in_order().filter(|(_, object)| index.has(object, value));
                found.map(|(_, object)| Arc::clone(object)).collect()
            }
        }
    }

    fn revision(&self) -> Option<Revision> {
        Some(self.position()?.revision)
    }
}

impl<R> Clone for Cache<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R: Resource> Default for Cache<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Resource> fmt::Debug for Cache<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} objects at {:?})", self.len(), self.revision())
    }
}
