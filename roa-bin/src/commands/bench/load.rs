//! [`Load`]: writers that write as fast as they are answered, and watchers that see all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use roa_core::{Clock, ClockExt, Monotonic, Position, Random, Revision, Start, Store, TailEnd, Txn, TxnId, Value};
use roa_runtime::{EventSlice, HubConfig, HubItem, HubWatch, Selection, Tasks, WatchHub};
use tokio::sync::mpsc;

use super::histogram::Histogram;
use super::scratch::Scratch;

/// How long watchers may take to see the last of what was written.
const ARRIVE: Duration = Duration::from_secs(30);
/// How often progress is told, and arrival looked for.
const TICK: Duration = Duration::from_millis(100);
/// How long a writer waits after a failure.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the tasks may take to end.
const CLOSE: Duration = Duration::from_secs(5);
/// How many digits of a value say when it was written.
pub(super) const STAMP: usize = 20;

/// What is to be done.
pub(super) struct Load {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) scratch: Arc<Scratch>,
    pub(super) writers: usize,
    pub(super) watchers: usize,
    pub(super) duration: Duration,
    pub(super) value_size: usize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) elapsed: Duration,
    pub(super) commits: u64,
    pub(super) failed: u64,
    pub(super) delivered: u64,
    /// How often a watch fell so far behind that it had to go on from the store's log.
    pub(super) behind: u64,
    /// How many watches fell out of that too: in other uses they would list again.
    pub(super) lost: u64,
    /// How long until all watchers had all that was written before.
    pub(super) drained: Duration,
    pub(super) commit: Histogram,
    pub(super) arrival: Histogram,
}

/// What all tasks count into.
struct Tally {
    begun: Monotonic,
    commits: AtomicU64,
    failed: AtomicU64,
    delivered: AtomicU64,
    behind: AtomicU64,
    lost: AtomicU64,
    /// The newest revision that was written.
    newest: AtomicU64,
    /// How far each watcher is; [`u64::MAX`] of one that was lost.
    reached: Vec<AtomicU64>,
    /// One for each writer, then one for each watcher, so that none waits for another.
    times: Vec<Mutex<Histogram>>,
}

impl Tally {
    fn with<T>(&self, task: usize, change: impl FnOnce(&mut Histogram) -> T) -> T {
        change(&mut self.times[task].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether each watcher has all that was written, or never will.
    fn all_arrived(&self) -> bool {
        let newest = self.newest.load(Ordering::Acquire);
        self.reached.iter().all(|reached| reached.load(Ordering::Acquire) >= newest)
    }

    fn together(&self, tasks: std::ops::Range<usize>) -> Histogram {
        let mut all = Histogram::new();
        tasks.for_each(|task| self.with(task, |times| all.add(times)));
        all
    }
}

impl Load {
    /// Does it. `tell` is called again and again with how much is done: seconds, commits, events.
    ///
    /// # Errors
    /// The store can't be followed, or there are too many watchers for it.
    pub(super) async fn run(&self, tell: impl Fn(Duration, u64, u64)) -> anyhow::Result<Measured> {
        let config = HubConfig { max_watchers: self.watchers, ..HubConfig::default() };
        let hub = WatchHub::start(Arc::clone(&self.store), Arc::clone(&self.clock), config).await?;
        let tasks = Tasks::new("bench", self.writers + self.watchers);
        let done = self.measure(&hub, &tasks, tell).await;
        tasks.shutdown(&*self.clock, CLOSE).await;
        hub.close().await;
        done
    }

    async fn measure(
        &self,
        hub: &WatchHub,
        tasks: &Tasks,
        tell: impl Fn(Duration, u64, u64),
    ) -> anyhow::Result<Measured> {
        let times = (0..self.writers + self.watchers).map(|_| Mutex::new(Histogram::new())).collect();
        let (commits, failed, delivered, behind, lost, newest) = Default::default();
        let reached = (0..self.watchers).map(|_| AtomicU64::new(0)).collect();
        let mut watches = Vec::new();
        for _ in 0..self.watchers {
            let selection = Selection::prefix(self.scratch.prefix.clone());
            watches.push(hub.watch(selection, Start::Now).await.context("failed to begin a watch")?);
        }
        let begun = self.clock.monotonic();
        let tally = Arc::new(Tally { begun, commits, failed, delivered, behind, lost, newest, reached, times });
        for (number, watch) in watches.into_iter().enumerate() {
            let watcher = Watcher {
                number,
                task: self.writers + number,
                hub: hub.clone(),
                selection: Selection::prefix(self.scratch.prefix.clone()),
                position: hub.position(),
                tally: Arc::clone(&tally),
                clock: Arc::clone(&self.clock),
            };
            tasks.spawn("watcher", watcher.watch(watch))?;
        }
        let (ended, mut ends) = mpsc::channel(self.writers.max(1));
        for number in 0..self.writers {
            let (writer, ended) = (self.writer(number, &tally), ended.clone());
            tasks.spawn("writer", async move {
                let end = writer.write().await;
                // Whoever waits for it may have given up.
                let _ = ended.send(end).await;
            })?;
        }
        drop(ended);
        self.follow(&tally, &mut ends, tell).await
    }

    fn writer(&self, number: usize, tally: &Arc<Tally>) -> Writer {
        Writer {
            number,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            scratch: Arc::clone(&self.scratch),
            until: tally.begun + self.duration,
            padding: "x".repeat(self.value_size.saturating_sub(STAMP)),
            tally: Arc::clone(tally),
        }
    }

    /// Waits until the writers have ended and the watchers have all.
    async fn follow(
        &self,
        tally: &Tally,
        ends: &mut mpsc::Receiver<anyhow::Result<()>>,
        tell: impl Fn(Duration, u64, u64),
    ) -> anyhow::Result<Measured> {
        let clock = &*self.clock;
        let count = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let show =
            || tell(clock.monotonic().saturating_since(tally.begun), count(&tally.commits), count(&tally.delivered));
        loop {
            tokio::select! {
                end = ends.recv() => match end {
                    Some(end) => end?,
                    None => break,
                },
                () = clock.sleep(TICK) => show(),
            }
        }
        let written = clock.monotonic();
        while !tally.all_arrived() && clock.monotonic() < written + ARRIVE {
            clock.sleep(TICK.min(Duration::from_millis(5))).await;
            show();
        }
        Ok(Measured {
            elapsed: written.saturating_since(tally.begun),
            commits: count(&tally.commits),
            failed: count(&tally.failed),
            delivered: count(&tally.delivered),
            behind: count(&tally.behind),
            lost: count(&tally.lost),
            drained: clock.monotonic().saturating_since(written),
            commit: tally.together(0..self.writers),
            arrival: tally.together(self.writers..self.writers + self.watchers),
        })
    }
}

/// One that writes an object of its own again and again.
struct Writer {
    number: usize,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    scratch: Arc<Scratch>,
    until: Monotonic,
    padding: String,
    tally: Arc<Tally>,
}

impl Writer {
    async fn write(self) -> anyhow::Result<()> {
        let (mut object, mut at): (u64, Option<Revision>) = (0, None);
        let writer: Arc<str> = "roa-bench".into();
        let mut key = self.scratch.key(self.number, object)?;
        loop {
            let started = self.clock.monotonic();
            if started >= self.until {
                return Ok(());
            }
            let value =
                Value::opaque(format!("{:0STAMP$}{}", nanos(started.saturating_since(self.tally.begun)), self.padding));
            let txn = Txn::new(TxnId::random(&*self.random), Arc::clone(&writer));
            let txn = match at {
                None => txn.create(key.clone(), value),
                Some(at) => txn.update(key.clone(), value, at),
            };
            match self.store.commit(txn).await {
                Ok(revision) => {
                    at = Some(revision);
                    self.tally.newest.fetch_max(revision.get(), Ordering::AcqRel);
                    self.tally.commits.fetch_add(1, Ordering::AcqRel);
                    let took = self.clock.monotonic().saturating_since(started);
                    self.tally.with(self.number, |times| times.record(took));
                }
                Err(error) => {
                    tracing::warn!(%error, "a write of the bench failed");
                    self.tally.failed.fetch_add(1, Ordering::AcqRel);
                    // Where the key stands is not known now: another one.
                    object += 1;
                    (key, at) = (self.scratch.key(self.number, object)?, None);
                    self.clock.sleep(PAUSE).await;
                }
            }
            // A store that answers at once must still let others of this thread run.
            tokio::task::consume_budget().await;
        }
    }
}

/// One that sees all of it.
struct Watcher {
    number: usize,
    /// Where it counts.
    task: usize,
    hub: WatchHub,
    selection: Selection,
    /// Up to where it has everything.
    position: Position,
    tally: Arc<Tally>,
    clock: Arc<dyn Clock>,
}

impl Watcher {
    /// Counts what comes, and how long that took since it was begun to be written; until it is dropped. Who falls behind
    /// goes on where it was, as others would.
    async fn watch(mut self, mut watch: HubWatch) {
        loop {
            match watch.next().await {
                Some(Ok(HubItem::Events(slice))) => {
                    self.count(&slice);
                    self.reached(slice.position());
                }
                Some(Ok(HubItem::Progress(position) | HubItem::Synced(position))) => self.reached(position),
                Some(Ok(_)) => {}
                Some(Err(TailEnd::Lagged)) => {
                    self.tally.behind.fetch_add(1, Ordering::AcqRel);
                    match self.hub.watch(self.selection.clone(), Start::Resume(self.position)).await {
                        Ok(again) => watch = again,
                        Err(_) => return self.lose(),
                    }
                }
                Some(Err(_)) | None => return self.lose(),
            }
        }
    }

    fn count(&self, slice: &EventSlice) {
        let now = nanos(self.clock.monotonic().saturating_since(self.tally.begun));
        let seen = self.tally.with(self.task, |times| {
            let stamps = slice.events().map(|event| stamp(&event.entry.value));
            stamps.map(|at| times.record(Duration::from_nanos(now.saturating_sub(at.unwrap_or(now))))).count()
        });
        self.tally.delivered.fetch_add(seen as u64, Ordering::AcqRel);
    }

    fn reached(&mut self, position: Position) {
        self.position = position;
        self.tally.reached[self.number].store(position.revision.get(), Ordering::Release);
    }

    fn lose(&self) {
        self.tally.lost.fetch_add(1, Ordering::AcqRel);
        self.tally.reached[self.number].store(u64::MAX, Ordering::Release);
    }
}

fn stamp(value: &Value) -> Option<u64> {
    std::str::from_utf8(value.bytes.get(..STAMP)?).ok()?.parse().ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
