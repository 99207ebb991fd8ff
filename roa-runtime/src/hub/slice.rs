//! [`EventSlice`]: a stretch of the log as one watcher sees it, lent, not copied.

use std::sync::Arc;

use roa_core::{Batch, Change, ChangeKind, Entry, Position, Revision};

use super::Selection;
use super::ring::{Cover, Segment, Slot};
use super::selection::Coverage;

/// One object's change.
#[derive(Debug, Clone, Copy)]
pub struct HubEvent<'a> {
    /// When.
    pub revision: Revision,
    /// What happened.
    pub change: ChangeKind,
    /// The object after it; for [`ChangeKind::Deleted`], as it last was in the selection.
    pub entry: &'a Arc<Entry>,
    /// The object before it, whether or not it was in the selection; `None` in a snapshot.
    pub previous: Option<&'a Arc<Entry>>,
}

/// Events that came together: whole batches of the log, or a page of a snapshot. It has at least one event.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{ChangeKind, Key, KeyPrefix, Start, Store, SystemRandom, Txn, TxnId, Value};
/// # use roa_runtime::{HubConfig, HubItem, Selection, SystemClock, WatchHub};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// let hub = WatchHub::start(store.clone(), clock, HubConfig::default()).await?;
/// let mut watch = hub.watch(Selection::prefix(KeyPrefix::everything()), Start::Now).await?;
/// let lab = |name| Key::new("lab.example.com", "labs", "school", name);
/// let both = Txn::new(TxnId::random(&*random), "docs").create(lab("one")?, Value::opaque("1"));
/// store.commit(both.create(lab("two")?, Value::opaque("2"))).await?;
///
/// let HubItem::Events(slice) = watch.next().await.unwrap()? else { panic!("nothing else has happened") };
/// let (revision, events) = slice.batches().next().unwrap();
/// assert_eq!((events.len(), revision), (2, slice.position().revision)); // what was committed together stays together
/// assert!(slice.events().all(|event| event.change == ChangeKind::Added && event.previous.is_none()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventSlice {
    source: Source,
    /// Everything up to here is delivered with it.
    position: Position,
}

#[derive(Debug)]
enum Source {
    Log { segment: Arc<Segment>, from: usize, to: usize, cover: Cover, selection: Arc<Selection> },
    Batches { batches: Vec<Arc<Batch>>, selection: Arc<Selection> },
    Page { entries: Vec<Arc<Entry>> },
}

impl EventSlice {
    /// A slice of a segment, beginning with the first batch that has an event for `selection`; `None` if none has.
    pub(super) fn of_segment(
        segment: Arc<Segment>,
        range: std::ops::Range<usize>,
        selection: &Arc<Selection>,
        position: Position,
    ) -> Option<Self> {
        let cover = segment.cover(selection);
        let has_event = |slot: &Slot| has_event(&slot.batch, cover.of(slot), selection);
        let from = range.start + segment.range(range.clone()).position(has_event)?;
        let source = Source::Log { segment, from, to: range.end, cover, selection: Arc::clone(selection) };
        Some(Self { source, position })
    }

    pub(crate) fn of_batches(
        mut batches: Vec<Arc<Batch>>,
        selection: &Arc<Selection>,
        position: Position,
    ) -> Option<Self> {
        batches.retain(|batch| has_event(batch, Coverage::Part, selection));
        if batches.is_empty() {
            return None;
        }
        Some(Self { source: Source::Batches { batches, selection: Arc::clone(selection) }, position })
    }

    pub(super) fn of_page(entries: Vec<Arc<Entry>>, position: Position) -> Option<Self> {
        (!entries.is_empty()).then_some(Self { source: Source::Page { entries }, position })
    }

    /// Everything up to here has been delivered when the slice has been handled. Of a page of a snapshot, it is the
    /// revision at which the page is true; the snapshot is whole only with [`HubItem::Synced`](crate::HubItem::Synced).
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// All events, in order.
    pub fn events(&self) -> impl Iterator<Item = HubEvent<'_>> {
        let page = self.page().iter().map(|entry| self.present(entry));
        page.chain(self.log().flat_map(|(batch, coverage)| self.see(batch, coverage)))
    }

    /// The events, batch by batch: those of one revision belong together (W3). A page of a snapshot is one batch.
    pub fn batches(&self) -> impl Iterator<Item = (Revision, Vec<HubEvent<'_>>)> {
        let page: Vec<_> = self.page().iter().map(|entry| self.present(entry)).collect();
        let page = (!page.is_empty()).then_some((self.position.revision, page));
        let log = self.log().map(|(batch, coverage)| (batch.revision, self.see(batch, coverage).collect::<Vec<_>>()));
        page.into_iter().chain(log.filter(|(_, events)| !events.is_empty()))
    }

    /// Hands each batch with an event on, as it is shared: what a relay forwards.
    pub fn shared_batches(&self) -> impl Iterator<Item = &Arc<Batch>> {
        let selection = self.selection();
        let seen = move |batch: &Batch, coverage| selection.is_some_and(|chosen| has_event(batch, coverage, chosen));
        self.log().filter_map(move |(batch, coverage)| seen(batch, coverage).then_some(batch))
    }

    /// The batches of which the selection may cover something, and how much.
    fn log(&self) -> impl Iterator<Item = (&Arc<Batch>, Coverage)> {
        let (lent, cover, read): (_, _, &[Arc<Batch>]) = match &self.source {
            Source::Log { segment, from, to, cover, .. } => (Some(segment.range(*from..*to)), *cover, &[]),
            Source::Batches { batches, .. } => (None, Cover::UNKNOWN, batches),
            Source::Page { .. } => (None, Cover::UNKNOWN, &[]),
        };
        let lent = lent.into_iter().flatten().map(move |slot| (&slot.batch, cover.of(slot)));
        let lent = lent.filter(|(_, coverage)| *coverage != Coverage::Nothing);
        lent.chain(read.iter().map(|batch| (batch, Coverage::Part)))
    }

    fn page(&self) -> &[Arc<Entry>] {
        match &self.source {
            Source::Page { entries } => entries,
            Source::Log { .. } | Source::Batches { .. } => &[],
        }
    }

    fn selection(&self) -> Option<&Selection> {
        match &self.source {
            Source::Log { selection, .. } | Source::Batches { selection, .. } => Some(selection),
            Source::Page { .. } => None,
        }
    }

    fn see<'a>(&'a self, batch: &'a Batch, coverage: Coverage) -> impl Iterator<Item = HubEvent<'a>> {
        let selection = self.selection();
        batch.changes.iter().filter_map(move |change| {
            let (kind, entry) = see(change, coverage, selection?)?;
            Some(HubEvent { revision: batch.revision, change: kind, entry, previous: change.previous() })
        })
    }

    fn present<'a>(&self, entry: &'a Arc<Entry>) -> HubEvent<'a> {
        HubEvent { revision: self.position.revision, change: ChangeKind::Added, entry, previous: None }
    }
}

#[inline]
fn see<'a>(change: &'a Change, coverage: Coverage, selection: &Selection) -> Option<(ChangeKind, &'a Arc<Entry>)> {
    match coverage {
        Coverage::Nothing => None,
        Coverage::Part => selection.see(change),
        Coverage::Everything => selection.see_covered(change),
    }
}

fn has_event(batch: &Batch, coverage: Coverage, selection: &Selection) -> bool {
    match coverage {
        Coverage::Nothing => false,
        // A batch changes something, and whatever that is is seen.
        Coverage::Everything if selection.is_by_key() => true,
        coverage => batch.changes.iter().any(|change| see(change, coverage, selection).is_some()),
    }
}
