//! [`Cache`]: one kind's objects in memory, kept true by a watcher and shared by all who read them.

mod feed;
mod freshness;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

pub(crate) use freshness::Freshness;

use roa_core::{CacheReader, Clock, DecodeError, Error, Key, Monotonic, Position, Resource, Result, Revision, Watcher};
use tokio::sync::watch as watch_channel;

use crate::locks;

/// Told of each change of a cache, in order, while the cache already shows it. Must not block.
pub trait CacheListener<R>: Send + Sync + 'static {
    /// An object came (`before` is `None`), changed, or went (`after` is `None`).
    fn changed(&self, key: &Key, before: Option<&Arc<R>>, after: Option<&Arc<R>>);
}

/// One kind's objects as of one revision. A clone shares them. [`Cache::run`] keeps it true.
pub struct Cache<R> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    objects: RwLock<Objects<R>>,
    /// `None` until the first whole list is in and the listeners know of it (C3).
    position: watch_channel::Sender<Option<Position>>,
    listeners: RwLock<Vec<Arc<dyn CacheListener<R>>>>,
    relists: AtomicU64,
}

struct Objects<R> {
    by_key: HashMap<Key, Arc<R>>,
    /// The same keys, in order.
    keys: BTreeSet<Key>,
    /// Objects that can't be read as an `R`: neither there nor gone.
    unreadable: HashMap<Key, DecodeError>,
}

impl<R> Objects<R> {
    fn set_aside(&mut self, key: &Key, error: DecodeError) {
        self.unreadable.insert(key.clone(), error);
        self.keys.remove(key);
        self.by_key.remove(key);
    }
}

impl<R: Resource> Cache<R> {
    /// An empty cache, not yet synced.
    #[must_use]
    pub fn new() -> Self {
        let objects = Objects { by_key: HashMap::new(), keys: BTreeSet::new(), unreadable: HashMap::new() };
        let shared = Shared {
            objects: RwLock::new(objects),
            position: watch_channel::channel(None).0,
            listeners: RwLock::default(),
            relists: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Tells `listener` of each change from now on. Add listeners before [`Cache::run`]: those see everything.
    pub fn listen(&self, listener: Arc<dyn CacheListener<R>>) {
        locks::write(&self.shared.listeners).push(listener);
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
        wait_until(self.shared.position.subscribe(), revision, clock, deadline).await
    }

    /// How many objects it has.
    #[must_use]
    pub fn len(&self) -> usize {
        locks::read(&self.shared.objects).by_key.len()
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
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let objects = locks::read(&self.shared.objects);
        objects.keys.range::<Key, _>((from, Bound::Unbounded)).take(limit).cloned().collect()
    }

    /// The objects that can't be read, and why.
    #[must_use]
    pub fn unreadable(&self) -> Vec<(Key, DecodeError)> {
        let objects = locks::read(&self.shared.objects);
        objects.unreadable.iter().map(|(key, error)| (key.clone(), error.clone())).collect()
    }

    fn put(&self, key: &Key, object: Result<Arc<R>, DecodeError>) {
        let mut objects = locks::write(&self.shared.objects);
        let object = match object {
            Ok(object) => object,
            Err(error) => return objects.set_aside(key, error),
        };
        objects.unreadable.remove(key);
        let before = objects.by_key.insert(key.clone(), Arc::clone(&object));
        if before.is_none() {
            objects.keys.insert(key.clone());
        }
        drop(objects);
        let version = |object: &Arc<R>| object.metadata().resource_version;
        if before.as_ref().map(version) != Some(version(&object)) {
            self.tell(key, before.as_ref(), Some(&object));
        }
    }

    fn remove(&self, key: &Key) {
        let mut objects = locks::write(&self.shared.objects);
        objects.unreadable.remove(key);
        objects.keys.remove(key);
        let before = objects.by_key.remove(key);
        drop(objects);
        if before.is_some() {
            self.tell(key, before.as_ref(), None);
        }
    }

    /// Removes what a whole list did not have.
    fn sweep(&self, seen: &BTreeSet<Key>) {
        let gone: Vec<Key> = {
            let objects = locks::read(&self.shared.objects);
            let known = objects.keys.iter().chain(objects.unreadable.keys());
            known.filter(|key| !seen.contains(*key)).cloned().collect()
        };
        for key in gone {
            self.remove(&key);
        }
    }

    fn tell(&self, key: &Key, before: Option<&Arc<R>>, after: Option<&Arc<R>>) {
        for listener in locks::read(&self.shared.listeners).iter() {
            listener.changed(key, before, after);
        }
    }

    fn reached(&self, position: Position) {
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
        locks::read(&self.shared.objects).by_key.get(key).cloned()
    }

    fn list(&self, namespace: Option<&str>) -> Vec<Arc<R>> {
        let objects = locks::read(&self.shared.objects);
        let selected = objects.keys.iter().filter(|key| namespace.is_none_or(|namespace| key.namespace() == namespace));
        selected.filter_map(|key| objects.by_key.get(key).cloned()).collect()
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
