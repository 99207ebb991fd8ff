//! [`Hub`] and [`Watching`]: a hub's watches, read item by item, each bounded in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_core::{ChangeKind, Clock, Entry, Error, Key, Position, Revision, Start, TailEnd};
use roa_runtime::{EventSlice, HubEvent, HubItem, HubWatch, Selection, WatchHub};

use crate::client::things;
use crate::failure::{CaseFailure, Outcome, ensure};
use crate::harness::{failed, within};

/// A hub as cases use it. Its tasks end when it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    pub(crate) hub: WatchHub,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl Hub {
    pub(crate) const fn new(hub: WatchHub, clock: Arc<dyn Clock>, patience: Duration) -> Self {
        Self { hub, clock, patience }
    }

    /// Waits until it has read up to a revision. What a hub has not read yet, a compaction may take from it.
    pub(crate) async fn reach(&self, revision: Revision) -> Outcome {
        let reached = self.hub.wait_for(revision, self.clock.monotonic() + self.patience).await;
        reached.map_err(|error| failed("wait for the hub", error))
    }

    pub(crate) async fn watch(&self, selection: Selection, start: Start) -> Outcome<Watching> {
        let begun = within(self.patience, "begin a watch", self.hub.watch(selection, start)).await?;
        let watch = begun.map_err(|error| failed("begin a watch", error))?;
        let (snapshot, ready) = (start == Start::Snapshot, VecDeque::new());
        Ok(Watching { watch, snapshot, ready, reached: None, moved: Instant::now(), patience: self.patience })
    }

    /// A watch of all things.
    pub(crate) async fn watch_things(&self, start: Start) -> Outcome<Watching> {
        self.watch(Selection::prefix(things()), start).await
    }

    /// What the hub answers to a watch that must be refused.
    pub(crate) async fn refused(&self, what: &str, start: Start) -> Outcome<Error> {
        let selection = Selection::prefix(things());
        match within(self.patience, "begin a watch", self.hub.watch(selection, start)).await? {
            Ok(watch) => Err(ensure::broken(&format!("{what} to be refused"), &watch)),
            Err(error) => Ok(error),
        }
    }
}

/// One event of a watch.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) revision: Revision,
    pub(crate) change: ChangeKind,
    pub(crate) entry: Arc<Entry>,
    pub(crate) previous: Option<Arc<Entry>>,
}

impl Seen {
    fn new(event: &HubEvent<'_>) -> Self {
        let HubEvent { revision, change, entry, previous } = *event;
        Self { revision, change, entry: Arc::clone(entry), previous: previous.cloned() }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.entry.key
    }

    /// Kind, name and revision: what most cases compare.
    pub(crate) fn short(&self) -> (ChangeKind, String, u64) {
        (self.change, self.key().name().to_owned(), self.revision.get())
    }
}

/// What a watch told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Objects that are there.
    Page(Vec<Seen>),
    /// The events of one revision.
    Batch(Revision, Vec<Seen>),
    /// Everything up to here was in the batches before.
    Reached(Revision),
    /// The snapshot is whole.
    Synced(Position),
    /// Everything up to here was delivered.
    Progress(Position),
}

impl Told {
    /// Up to where everything was told with it.
    const fn reached(&self) -> Option<Revision> {
        match self {
            Self::Reached(revision) => Some(*revision),
            Self::Progress(position) | Self::Synced(position) => Some(position.revision),
            Self::Page(_) | Self::Batch(..) => None,
        }
    }
}

/// A watch as cases read it.
#[derive(Debug)]
pub(crate) struct Watching {
    watch: HubWatch,
    /// Whether the snapshot is not yet whole.
    snapshot: bool,
    ready: VecDeque<Told>,
    /// Up to where it told everything, and when it last got on.
    reached: Option<Revision>,
    moved: Instant,
    patience: Duration,
}

impl Watching {
    /// What it tells next; a failure if it ends.
    pub(crate) async fn next(&mut self) -> Outcome<Told> {
        self.next_or_end().await?.map_err(|end| CaseFailure::Ended { what: "a watch".to_owned(), end })
    }

    /// What it tells next, or the reason of its end.
    pub(crate) async fn next_or_end(&mut self) -> Outcome<Result<Told, TailEnd>> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                self.ensure_moving(&told)?;
                return Ok(Ok(told));
            }
            match within(self.patience, "the next item of a watch", self.watch.next()).await? {
                Some(Ok(item)) => self.take(&item)?,
                Some(Err(end)) => return Ok(Err(end)),
                None => return Err(CaseFailure::EndedSilently { what: "a watch".to_owned() }),
            }
        }
    }

    /// Progress that makes none must not look like some: then a watch that has stopped would be waited for forever.
    fn ensure_moving(&mut self, told: &Told) -> Outcome {
        if !matches!(told, Told::Progress(_)) || told.reached() > self.reached {
            (self.reached, self.moved) = (self.reached.max(told.reached()), Instant::now());
        }
        if self.moved.elapsed() > self.patience {
            let what = format!("a watch to get past {:?}", self.reached);
            return Err(CaseFailure::TimedOut { what, limit: self.patience });
        }
        Ok(())
    }

    fn take(&mut self, item: &HubItem) -> Outcome {
        match item {
            HubItem::Events(slice) if self.snapshot => {
                self.ready.push_back(Told::Page(slice.events().map(|event| Seen::new(&event)).collect()));
            }
            HubItem::Events(slice) => self.take_batches(slice),
            HubItem::Synced(position) => {
                self.snapshot = false;
                self.ready.push_back(Told::Synced(*position));
            }
            HubItem::Progress(position) => self.ready.push_back(Told::Progress(*position)),
            other => return Err(ensure::broken("an item that the suite knows", other)),
        }
        Ok(())
    }

    fn take_batches(&mut self, slice: &EventSlice) {
        for (revision, events) in slice.batches() {
            self.ready.push_back(Told::Batch(revision, events.iter().map(Seen::new).collect()));
        }
        self.ready.push_back(Told::Reached(slice.position().revision));
    }

    /// All that it tells until it has told everything up to a revision.
    pub(crate) async fn until(&mut self, revision: Revision) -> Outcome<Vec<Told>> {
        let (mut told, mut reached) = (Vec::new(), None);
        while reached < Some(revision) {
            let next = self.next().await?;
            reached = reached.max(next.reached());
            told.push(next);
        }
        Ok(told)
    }

    /// All events until it has told everything up to a revision.
    pub(crate) async fn events_until(&mut self, revision: Revision) -> Outcome<Vec<Seen>> {
        Ok(events(self.until(revision).await?))
    }

    /// The next batch that has an event.
    pub(crate) async fn next_batch(&mut self) -> Outcome<(Revision, Vec<Seen>)> {
        loop {
            if let Told::Batch(revision, events) = self.next().await? {
                return Ok((revision, events));
            }
        }
    }

    /// All that it tells until it ends, and why it does; a failure if anything comes after that.
    pub(crate) async fn until_end(&mut self) -> Outcome<(Vec<Told>, TailEnd)> {
        let mut told = Vec::new();
        loop {
            match self.next_or_end().await? {
                Ok(next) => told.push(next),
                Err(end) => {
                    let after = within(self.patience, "the end of a watch", self.watch.next()).await?;
                    ensure::that("nothing after the end of a watch", after.is_none(), &after)?;
                    return Ok((told, end));
                }
            }
        }
    }
}

/// The events among what was told, those of snapshots too.
pub(crate) fn events(told: Vec<Told>) -> Vec<Seen> {
    let events = told.into_iter().flat_map(|told| match told {
        Told::Page(events) | Told::Batch(_, events) => events,
        Told::Reached(_) | Told::Synced(_) | Told::Progress(_) => Vec::new(),
    });
    events.collect()
}

/// Events in short.
pub(crate) fn short(events: &[Seen]) -> Vec<(ChangeKind, String, u64)> {
    events.iter().map(Seen::short).collect()
}
