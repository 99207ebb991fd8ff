//! [`PollWatcher`]: looks for changes at an interval, on any store, without a hub.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{
    ChangeKind, Clock, ClockExt, Entry, Error, Key, ListRequest, Position, Resource, Result, Revision, Start, Store,
    StoreState, TailChecker, TailEnd, WatchEvent, WatchItem, WatchStream, Watcher,
};

use super::{decode, decode_entry};
use crate::{EventSlice, Selection};

/// How many entries one page of a list has.
const PAGE: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// Watches a selection of one kind's objects by reading the log of the store at an interval: it sees every change that
/// a stream would, later, and costs nothing in between.
///
/// When the log no longer has what comes next, a watch that began with a snapshot lists and compares: then objects that
/// came and went in between were never seen, and several changes of one object are one. For that it keeps what it last
/// saw of each object. One that began elsewhere does not know what there was: it ends with [`TailEnd::Expired`], as any
/// other watch. A store that can't be read delays it and nothing else: no object is taken for deleted because a store did
/// not answer.
///
/// ```
/// # use std::sync::Arc;
/// # use futures_util::StreamExt;
/// # use roa_core::{
/// #     DynamicObject, Key, KeyPrefix, Start, Store, StoredObject, SystemRandom, Txn, TxnId, WatchItem, Watcher,
/// # };
/// # use std::time::Duration;
/// # use roa_runtime::{PollWatcher, Selection, SystemClock};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// # let lab = DynamicObject::from_json(serde_json::json!({
/// #     "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "one" }
/// # }))?;
/// # let txn = Txn::new(TxnId::random(&*random), "docs");
/// # let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// # store.commit(txn.create(key, StoredObject::encode(&lab)?)).await?;
/// let labs = Selection::prefix(KeyPrefix::resource("lab.example.com", "labs")?);
/// let watcher = PollWatcher::<DynamicObject>::new(store, clock, labs, Duration::from_secs(5));
/// let mut watch = watcher.watch(Start::Snapshot).await?;
/// let Some(Ok(WatchItem::Events { events, .. })) = watch.next().await else { panic!("there is a lab") };
/// assert_eq!(events[0].object.as_ref().unwrap().metadata.name, "one");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PollWatcher<R> {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    selection: Selection,
    interval: Duration,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> PollWatcher<R> {
    /// A watcher of what `selection` selects that looks once each `interval`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, selection: Selection, interval: Duration) -> Self {
        Self { store, clock, selection, interval, resource: PhantomData }
    }

    async fn begin(&self, start: Start) -> Result<Poller<R>> {
        let StoreState { head, floor, epoch } = self.store.state().await?;
        let position = Position { store: self.store.id(), epoch, revision: head };
        let mut poller = Poller {
            watcher: self.clone(),
            selection: Arc::new(self.selection.clone()),
            position,
            known: None,
            ready: VecDeque::new(),
            end: None,
            ended: false,
        };
        match start {
            Start::Snapshot => poller.snapshot().await?,
            Start::After(revision) => poller.position.revision = check(revision, floor, head)?,
            Start::Resume(resume) if resume.store == position.store && resume.epoch == epoch => {
                poller.position.revision = check(resume.revision, floor, head)?;
            }
            Start::Resume(_) => return Err(Error::Expired { floor, head }),
            _ => {}
        }
        Ok(poller)
    }
}

fn check(after: Revision, floor: Revision, head: Revision) -> Result<Revision> {
    if after < floor {
        return Err(Error::Expired { floor, head });
    }
    if after > head { Err(Error::TooLarge { requested: after, head }) } else { Ok(after) }
}

#[async_trait]
impl<R: Resource> Watcher<R> for PollWatcher<R> {
    async fn watch(&self, start: Start) -> Result<WatchStream<R>> {
        let poller = self.begin(start).await?;
        Ok(stream::unfold(poller, |mut poller| async move { poller.next().await.map(|item| (item, poller)) }).boxed())
    }
}

struct Poller<R> {
    watcher: PollWatcher<R>,
    selection: Arc<Selection>,
    /// Everything up to here was delivered.
    position: Position,
    /// What was last seen of each selected object; `None` if the watch did not begin with all of them.
    known: Option<Entries>,
    ready: VecDeque<WatchItem<R>>,
    /// Why it ends, when what is ready was given.
    end: Option<TailEnd>,
    ended: bool,
}

type Entries = BTreeMap<Key, Arc<Entry>>;

impl<R: Resource> Poller<R> {
    async fn next(&mut self) -> Option<Result<WatchItem<R>, TailEnd>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            if let Some(end) = self.end.take() {
                self.ended = true;
                return Some(Err(end));
            }
            if self.ended {
                return None;
            }
            self.watcher.clock.sleep(self.watcher.interval).await;
            let polled = match self.poll().await {
                Err(Error::Expired { floor, head }) => self.catch_up(floor, head).await,
                polled => polled,
            };
            if let Err(error) = polled {
                self.postpone(&error);
            }
        }
    }

    fn postpone(&self, error: &Error) {
        tracing::warn!(store = %self.watcher.store, %error, "store can't be read, looking again at the next interval");
    }

    /// Reads the log up to the head.
    async fn poll(&mut self) -> Result<()> {
        let StoreState { head, floor, epoch } = self.watcher.store.state().await?;
        if epoch != self.position.epoch {
            return Err(Error::Expired { floor, head });
        }
        if head == self.position.revision {
            return Ok(());
        }
        let mut tail = self.watcher.store.tail(self.position.revision).await?;
        let mut checker = TailChecker::of(&tail);
        while self.position.revision < head {
            let batches = match tail.next().await {
                Some(Ok(batches)) => batches,
                Some(Err(TailEnd::Closed)) => {
                    self.end = Some(TailEnd::Closed);
                    return Ok(());
                }
                Some(Err(TailEnd::Expired { floor, head })) => return Err(Error::Expired { floor, head }),
                Some(Err(end)) => return Err(Error::unavailable(end.to_string())),
                None => return Err(Error::unavailable("the change feed ended without a reason")),
            };
            if batches.iter().any(|batch| checker.check(batch).is_err()) {
                return Err(Error::Expired { floor, head });
            }
            self.position.revision = checker.last();
            self.take(EventSlice::of_batches(batches, &self.selection, self.position));
        }
        self.ready.push_back(WatchItem::Progress(self.position));
        Ok(())
    }

    fn take(&mut self, slice: Option<EventSlice>) {
        let Some(slice) = slice else { return };
        if let Some(known) = &mut self.known {
            for event in slice.events() {
                match event.change {
                    ChangeKind::Deleted => known.remove(&event.entry.key),
                    ChangeKind::Added | ChangeKind::Modified => {
                        known.insert(event.entry.key.clone(), Arc::clone(event.entry))
                    }
                };
            }
        }
        self.ready.extend(decode(&slice));
    }

    /// Delivers all that there is.
    async fn snapshot(&mut self) -> Result<()> {
        self.list(&Entries::new()).await?;
        self.ready.push_back(WatchItem::Synced(self.position));
        Ok(())
    }

    /// Delivers what differs from what was last seen, since the log no longer tells. Who does not know what there was
    /// could not tell a deletion, and would take what was there for new: that is for who watches to list.
    async fn catch_up(&mut self, floor: Revision, head: Revision) -> Result<()> {
        let Some(before) = self.known.take() else {
            self.end = Some(TailEnd::Expired { floor, head });
            return Ok(());
        };
        if let Err(error) = self.list(&before).await {
            self.known = Some(before);
            return Err(error);
        }
        self.ready.push_back(WatchItem::Progress(self.position));
        Ok(())
    }

    /// Lists, and delivers what differs.
    async fn list(&mut self, before: &Entries) -> Result<()> {
        let StoreState { epoch, .. } = self.watcher.store.state().await?;
        let (found, revision) = self.read_all().await?;
        self.position = Position { store: self.watcher.store.id(), epoch, revision };
        let events = differences(before, &found, revision);
        if !events.is_empty() {
            self.ready.push_back(WatchItem::Events { position: self.position, events });
        }
        self.known = Some(found);
        Ok(())
    }

    async fn read_all(&self) -> Result<(Entries, Revision)> {
        let mut request = ListRequest::new(self.selection.list_prefix().clone()).limit(PAGE);
        let mut found = BTreeMap::new();
        loop {
            let page = self.watcher.store.list(request.clone()).await?;
            let selected = page.entries.into_iter().filter(|entry| self.selection.matches(entry));
            found.extend(selected.map(|entry| (entry.key.clone(), entry)));
            match page.next {
                Some(next) => request = request.resume(next),
                None => return Ok((found, page.revision)),
            }
        }
    }
}

/// What changed between two lists. An object of the same name that is another one was deleted first, then added.
fn differences<R: Resource>(before: &Entries, after: &Entries, revision: Revision) -> Vec<WatchEvent<R>> {
    let mut events = Vec::new();
    for (key, old) in before {
        if after.get(key).is_none_or(|new| new.create_revision != old.create_revision) {
            events.push(decode_entry(ChangeKind::Deleted, old, revision));
        }
    }
    for (key, new) in after {
        match before.get(key) {
            Some(old) if old.revision == new.revision => {}
            Some(old) if old.create_revision == new.create_revision => {
                events.push(decode_entry(ChangeKind::Modified, new, revision));
            }
            _ => events.push(decode_entry(ChangeKind::Added, new, revision)),
        }
    }
    events
}
