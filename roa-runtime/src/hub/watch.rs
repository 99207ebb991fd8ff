//! [`HubWatch`]: one watcher's cursor.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use roa_core::{
    At, Batch, Continue, Error, ListRequest, Monotonic, Page, Position, Result, Revision, Start, StoreState, Tail,
    TailChecker, TailEnd,
};

use super::ring::{Found, Segment};
use super::{EventSlice, Selection, Shared};
use crate::Tasks;

/// What a hub's watch delivers.
///
/// ```
/// # use roa_runtime::HubItem;
/// fn count(item: &HubItem) -> usize {
///     match item {
///         HubItem::Events(slice) => slice.events().count(),
///         _ => 0,
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HubItem {
    /// Events.
    Events(EventSlice),
    /// The snapshot is whole: what follows happened after this position.
    Synced(Position),
    /// Everything up to here has been delivered, if anything of it matched.
    Progress(Position),
}

/// A watch: a stream of [`HubItem`]s that ends after its first error. Dropping it frees all that it holds.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Key, KeyPrefix, Start, Store, SystemRandom, Txn, TxnId, Value};
/// # use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// # let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// # let txn = Txn::new(TxnId::random(&*random), "docs").create(key, Value::opaque("hello"));
/// # store.commit(txn).await?;
/// let hub = WatchHub::start(store, clock, HubConfig::default()).await?;
/// let mut watch = hub.watch(Selection::prefix(KeyPrefix::everything()), Start::Snapshot).await?;
/// let mut there = Vec::new();
/// let since = loop {
///     match watch.next().await.unwrap()? {
///         HubItem::Events(slice) => there.extend(slice.events().map(|event| event.entry.key.name().to_owned())),
///         HubItem::Synced(position) => break position,
///         _ => {}
///     }
/// };
/// assert_eq!(there, ["one"]);
/// // Another watch, also one of another process, goes on from there.
/// let resumed = hub.watch(Selection::prefix(KeyPrefix::everything()), Start::Resume(since)).await?;
/// # drop(resumed);
/// # Ok(())
/// # }
/// ```
pub struct HubWatch {
    shared: Arc<Shared>,
    /// Keeps the pump running, also when all handles of the hub are gone: a watch never ends silently (W9).
    #[expect(dead_code, reason = "held, not used")]
    pump: Tasks,
    selection: Arc<Selection>,
    slot: usize,
    incarnation: u64,
    /// Everything up to here was delivered or did not match.
    cursor: Position,
    /// Where in the ring that is: what comes next is read there without a lock, until the segment ends. A watcher that
    /// stalls does not keep it alive.
    place: Weak<Segment>,
    /// Up to where the last item said that everything was delivered.
    told: Revision,
    /// When to say again how far it is, though it sees events.
    progress_due: Monotonic,
    phase: Phase,
}

enum Phase {
    /// Reads the objects that are there, page by page.
    Snapshot(BoxFuture<'static, Result<Page>>),
    /// The snapshot is read, but that was not yet said.
    SnapshotRead,
    /// Reads from the store's log what the ring no longer has.
    CatchUp(Box<(Tail, TailChecker)>),
    /// Reads from the ring.
    Live,
    /// Fell out of the ring, and asks the store whether it still has what comes next.
    Fallen(BoxFuture<'static, Result<StoreState>>),
    Ended,
}

impl HubWatch {
    pub(super) async fn begin(shared: Arc<Shared>, pump: Tasks, selection: Selection, start: Start) -> Result<Self> {
        let Some(slot) = shared.wakers.take() else {
            let max = shared.config.max_watchers;
            return Err(Error::unavailable(format!("the watch hub has {max} watchers, and may have no more")));
        };
        let (incarnation, cursor, closed) = {
            let state = shared.read();
            (shared.incarnation(), state.position, state.closed)
        };
        let progress_due = shared.clock.monotonic() + shared.config.progress_interval;
        let (selection, told, phase) = (Arc::new(selection), cursor.revision, Phase::Live);
        let place = Weak::new();
        let mut watch = Self { shared, pump, selection, slot, incarnation, cursor, place, told, progress_due, phase };
        if closed {
            return Err(Error::unavailable("the watch hub is closed"));
        }
        match start {
            Start::Snapshot => watch.phase = Phase::Snapshot(watch.read_page(None)),
            Start::After(revision) => watch.begin_after(revision).await?,
            Start::Resume(position) => {
                check_history(&watch.shared, watch.cursor, position).await?;
                watch.begin_after(position.revision).await?;
            }
            _ => watch.set_cursor(watch.shared.store.state().await?.head),
        }
        Ok(watch)
    }

    async fn begin_after(&mut self, after: Revision) -> Result<()> {
        let StoreState { floor, head, .. } = self.shared.store.state().await?;
        if after < floor {
            return Err(Error::Expired { floor, head });
        }
        if after > head {
            return Err(Error::TooLarge { requested: after, head });
        }
        self.set_cursor(after);
        if matches!(self.shared.read().ring.read(after), Found::Behind) {
            let tail = self.shared.store.tail(after).await?;
            let checker = TailChecker::of(&tail);
            self.phase = Phase::CatchUp(Box::new((tail, checker)));
        }
        Ok(())
    }

    fn set_cursor(&mut self, revision: Revision) {
        self.cursor.revision = revision;
        self.told = revision;
    }

    /// The next item; `None` after the end.
    ///
    /// # Cancel safety
    /// Safe: an item that was not returned comes with the next call.
    pub async fn next(&mut self) -> Option<Result<HubItem, TailEnd>> {
        StreamExt::next(self).await
    }

    fn read_page(&self, next: Option<Continue>) -> BoxFuture<'static, Result<Page>> {
        let store = Arc::clone(&self.shared.store);
        let limit = NonZeroUsize::new(self.shared.config.page_size).unwrap_or(NonZeroUsize::MIN);
        let request = ListRequest::new(self.selection.list_prefix().clone()).at(At::Latest).limit(limit);
        let request = match next {
            Some(next) => request.resume(next),
            None => request,
        };
        Box::pin(async move { store.list(request).await })
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<HubItem, TailEnd>> {
        loop {
            let item = match &mut self.phase {
                Phase::Snapshot(page) => {
                    let page = ready!(page.as_mut().poll(cx)).map_err(end_of);
                    self.take_page(page?)
                }
                Phase::SnapshotRead => {
                    self.phase = Phase::Live;
                    Some(HubItem::Synced(self.cursor))
                }
                Phase::CatchUp(feed) => {
                    let batches = ready!(feed.0.poll_next_unpin(cx)).unwrap_or(Err(TailEnd::Lagged))?;
                    self.take_batches(batches)?
                }
                Phase::Live => match self.read_ring() {
                    Read::Item(item) => return Poll::Ready(Ok(item)),
                    Read::Skipped => None,
                    Read::Behind => {
                        self.phase = self.ask_for_floor();
                        None
                    }
                    Read::Ended(end) => return Poll::Ready(Err(end)),
                    Read::AtHead => ready!(self.wait(cx)),
                },
                Phase::Fallen(state) => {
                    let state = ready!(state.as_mut().poll(cx));
                    return Poll::Ready(Err(self.fallen(state)));
                }
                Phase::Ended => return Poll::Ready(Err(TailEnd::Closed)),
            };
            if let Some(item) = item {
                return Poll::Ready(Ok(item));
            }
        }
    }

    fn take_page(&mut self, page: Page) -> Option<HubItem> {
        self.set_cursor(page.revision);
        self.phase = match page.next {
            Some(next) => Phase::Snapshot(self.read_page(Some(next))),
            None => Phase::SnapshotRead,
        };
        let selected = page.entries.into_iter().filter(|entry| self.selection.matches(entry)).collect();
        EventSlice::of_page(selected, self.cursor).map(HubItem::Events)
    }

    fn take_batches(&mut self, batches: Vec<Arc<Batch>>) -> Result<Option<HubItem>, TailEnd> {
        let Phase::CatchUp(feed) = &mut self.phase else { return Ok(None) };
        for batch in &batches {
            if let Err(error) = feed.1.check(batch) {
                return Err(TailEnd::Failed(Arc::new(Error::corrupt(error.to_string()))));
            }
        }
        self.cursor.revision = feed.1.last();
        if !matches!(self.shared.read().ring.read(self.cursor.revision), Found::Behind) {
            self.phase = Phase::Live;
        }
        Ok(self.tell(EventSlice::of_batches(batches, &self.selection, self.cursor)))
    }

    fn read_ring(&mut self) -> Read {
        if let Some(end) = self.ended() {
            return Read::Ended(end);
        }
        let (segment, from) = match self.find() {
            Found::Segment(segment, from) => (segment, from),
            // The history may have ended since the first look.
            found => match self.ended() {
                Some(end) => return Read::Ended(end),
                None if matches!(found, Found::AtHead) => return self.progress(),
                None => return Read::Behind,
            },
        };
        let to = segment.len().min(from + self.shared.config.max_slice.max(1));
        let Some(last) = segment.range(to - 1..to).next() else { return Read::AtHead };
        self.cursor.revision = last.batch.revision;
        let slice = EventSlice::of_segment(segment, from..to, &self.selection, self.cursor);
        self.tell(slice).map_or(Read::Skipped, Read::Item)
    }

    /// Where the next batch is; looks for another segment when `place` has no more.
    fn find(&mut self) -> Found {
        let after = self.cursor.revision;
        if let Some(segment) = self.place.upgrade()
            && let Some(offset) = segment.offset_after(after)
            && offset < segment.len()
        {
            return Found::Segment(segment, offset);
        }
        if self.shared.head() <= after.get() {
            return Found::AtHead;
        }
        let state = self.shared.read();
        // The ring of another incarnation is not this watch's; the lock keeps it from changing.
        if self.shared.incarnation() != self.incarnation {
            return Found::Behind;
        }
        let found = state.ring.read(after);
        drop(state);
        if let Found::Segment(segment, _) = &found {
            self.place = Arc::downgrade(segment);
        }
        found
    }

    fn ended(&self) -> Option<TailEnd> {
        (self.shared.incarnation() != self.incarnation).then(|| self.shared.read().ended.clone())
    }

    fn tell(&mut self, slice: Option<EventSlice>) -> Option<HubItem> {
        let slice = slice?;
        self.told = self.cursor.revision;
        Some(HubItem::Events(slice))
    }

    /// At the head: says so if something was passed over since the last item, or if it is time to.
    fn progress(&mut self) -> Read {
        let passed_over = self.told < self.cursor.revision;
        let now = self.shared.clock.monotonic();
        if !passed_over && now < self.progress_due {
            return Read::AtHead;
        }
        self.told = self.cursor.revision;
        self.progress_due = now + self.shared.config.progress_interval;
        Read::Item(HubItem::Progress(self.cursor))
    }

    /// Waits for the next batch; looks once more after it has said so, since one may have come in between.
    fn wait<T>(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        self.shared.wakers.register(self.slot, cx.waker());
        let nothing_new =
            self.shared.head() <= self.cursor.revision.get() && self.shared.incarnation() == self.incarnation;
        if nothing_new { Poll::Pending } else { Poll::Ready(None) }
    }

    fn ask_for_floor(&self) -> Phase {
        let store = Arc::clone(&self.shared.store);
        Phase::Fallen(Box::pin(async move { store.state().await }))
    }

    fn fallen(&self, state: Result<StoreState>) -> TailEnd {
        match state {
            Ok(StoreState { floor, head, .. }) if self.cursor.revision < floor => TailEnd::Expired { floor, head },
            Ok(_) => TailEnd::Lagged,
            Err(error) => TailEnd::Failed(Arc::new(error)),
        }
    }
}

/// A position of another store, or of before a break, can't be resumed.
async fn check_history(shared: &Shared, current: Position, position: Position) -> Result<()> {
    if (position.store, position.epoch) == (current.store, current.epoch) {
        return Ok(());
    }
    let StoreState { floor, head, .. } = shared.store.state().await?;
    Err(Error::Expired { floor, head })
}

/// What a look at the ring came to.
enum Read {
    Item(HubItem),
    /// Nothing of it matched.
    Skipped,
    AtHead,
    /// The ring begins after the cursor.
    Behind,
    Ended(TailEnd),
}

fn end_of(error: Error) -> TailEnd {
    match error {
        Error::Expired { floor, head } => TailEnd::Expired { floor, head },
        error => TailEnd::Failed(Arc::new(error)),
    }
}

impl Stream for HubWatch {
    type Item = Result<HubItem, TailEnd>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if matches!(this.phase, Phase::Ended) {
            return Poll::Ready(None);
        }
        // A watcher that is always behind must still let other tasks of its thread run.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let item = ready!(this.poll_item(cx));
        budget.made_progress();
        if item.is_err() {
            this.phase = Phase::Ended;
        }
        Poll::Ready(Some(item))
    }
}

impl Drop for HubWatch {
    fn drop(&mut self) {
        self.shared.wakers.release(self.slot);
    }
}

impl std::fmt::Debug for HubWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HubWatch({:?} at {:?})", self.selection, self.cursor.revision)
    }
}
