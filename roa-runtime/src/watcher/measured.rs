//! [`MeasuredWatcher`]: a watcher that says how its watches go.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use roa_core::{Clock, Monotonic, Resource, Result, Revision, Start, TailEnd, WatchItem, WatchStream, Watcher};

use crate::locks;
use crate::metrics::Figure;

/// How the watch of one kind goes, for readiness and metrics. A clone is the same.
///
/// ```
/// # use std::time::Duration;
/// # use roa_runtime::{Manager, WatchHealth};
/// /// Whether what the process knows is true by and large.
/// fn is_current(manager: &Manager, patience: Duration) -> bool {
///     let current = |watch: &WatchHealth| watch.silence().is_some_and(|silence| silence < patience);
///     manager.watches().iter().all(current)
/// }
/// ```
#[derive(Clone)]
pub struct WatchHealth(Arc<Health>);

struct Health {
    name: &'static str,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    relists: [AtomicU64; REASONS.len()],
}

/// Why everything was listed: at the start, because the history is not kept any more, because the watch was refused.
const REASONS: [&str; 3] = ["start", "expired", "refused"];

#[derive(Default)]
struct State {
    /// When it last said how far it is.
    heard: Option<Monotonic>,
    /// How far that was.
    revision: Option<Revision>,
    /// Why it listed last, or will list next; the place in [`REASONS`].
    reason: usize,
    /// Why it does not go on, since when.
    broken: Option<(String, Monotonic)>,
}

impl WatchHealth {
    pub(crate) fn new(name: &'static str, clock: Arc<dyn Clock>) -> Self {
        let relists = [const { AtomicU64::new(0) }; REASONS.len()];
        Self(Arc::new(Health { name, clock, state: Mutex::default(), relists }))
    }

    /// The plural of the kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How long ago the watch last said how far it is, if only that there is nothing new; `None` before it was synced.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        let heard = locks::lock(&self.0.state).heard;
        heard.map(|heard| self.0.clock.monotonic().saturating_since(heard))
    }

    /// How far it is.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        locks::lock(&self.0.state).revision
    }

    /// Why it does not go on, and for how long; `None` while it does.
    #[must_use]
    pub fn broken(&self) -> Option<(String, Duration)> {
        let broken = locks::lock(&self.0.state).broken.clone();
        broken.map(|(reason, since)| (reason, self.0.clock.monotonic().saturating_since(since)))
    }

    /// How often everything was listed, by reason: `start`, `expired`, `refused`.
    pub fn relists(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.0.relists.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(crate) fn figures(&self, head: Revision) -> Vec<Figure> {
        let behind = self.revision().map_or(0, |at| head.get().saturating_sub(at.get()));
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let mut figures = vec![
            Figure::count(
                "cache_lag_revisions",
                "Revisions that a cache is behind the change feed",
                self.name(),
                behind,
            ),
            Figure::age(
                "cache_staleness_seconds",
                "Since a cache last heard how far it is",
                self.name(),
                self.silence(),
            ),
        ];
        let relist = |(reason, count)| {
            Figure::counter("cache_relists", "How often a cache listed everything", self.name(), count)
                .with("reason", reason)
        };
        figures.extend(self.relists().map(relist));
        figures
    }

    fn begins(&self, start: &Start) {
        if matches!(start, Start::Snapshot) {
            let reason = locks::lock(&self.0.state).reason;
            self.0.relists[reason].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn heard<R>(&self, item: &WatchItem<R>) {
        let (WatchItem::Events { position, .. } | WatchItem::Synced(position) | WatchItem::Progress(position)) = item
        else {
            return;
        };
        let mut state = locks::lock(&self.0.state);
        (state.heard, state.revision, state.broken) = (Some(self.0.clock.monotonic()), Some(position.revision), None);
    }

    fn ended(&self, reason: usize, why: String) {
        let mut state = locks::lock(&self.0.state);
        state.reason = reason;
        let now = self.0.clock.monotonic();
        let since = state.broken.as_ref().map_or(now, |(_, since)| *since);
        state.broken = Some((why, since));
    }
}

/// A watcher that says how its watches go.
pub(crate) struct MeasuredWatcher<R> {
    pub(crate) inner: Arc<dyn Watcher<R>>,
    pub(crate) health: WatchHealth,
}

#[async_trait]
impl<R: Resource> Watcher<R> for MeasuredWatcher<R> {
    async fn watch(&self, start: Start) -> Result<WatchStream<R>> {
        self.health.begins(&start);
        let stream = match self.inner.watch(start).await {
            Ok(stream) => stream,
            Err(error) => {
                self.health.ended(2, error.to_string());
                return Err(error);
            }
        };
        let health = self.health.clone();
        Ok(Box::pin(stream.inspect(move |item| match item {
            Ok(item) => health.heard(item),
            Err(end @ TailEnd::Expired { .. }) => health.ended(1, end.to_string()),
            Err(end) => health.ended(2, end.to_string()),
        })))
    }
}

impl fmt::Debug for WatchHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchHealth({} at {:?}, silent for {:?})", self.name(), self.revision(), self.silence())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};
    use roa_core::{DynamicObject, Epoch, Error, ManualClock, Position, RandomExt, SeededRandom, StoreId, Timestamp};

    use super::*;
    use crate::Cache;
    use crate::metrics::Value;

    /// What a watch comes to.
    type Watched = Result<Vec<Result<WatchItem<DynamicObject>, TailEnd>>>;

    /// What each watch comes to, one after the other; the last stays.
    struct Scripted(Mutex<Vec<Watched>>);

    #[async_trait]
    impl Watcher<DynamicObject> for Scripted {
        async fn watch(&self, _start: Start) -> Result<WatchStream<DynamicObject>> {
            let items = locks::lock(&self.0).remove(0)?;
            let end = if locks::lock(&self.0).is_empty() { stream::pending().boxed() } else { stream::empty().boxed() };
            Ok(stream::iter(items).chain(end).boxed())
        }
    }

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn figure(figures: &[Figure], name: &str, reason: Option<&'static str>) -> Value {
        let found = figures.iter().find(|it| it.name == name && it.second.map(|(_, value)| value) == reason);
        found.unwrap().value
    }

    #[test]
    fn why_everything_is_listed_is_counted_and_how_far_behind_a_cache_is() {
        let (clock, random) = (ManualClock::new(Timestamp::from_unix_seconds(0).unwrap()), SeededRandom::new(1));
        let (store, epoch) = (StoreId(random.uuid()), Epoch::first(&random));
        let at = |number| Position { store, epoch, revision: revision(number) };
        let expired = TailEnd::Expired { floor: revision(6), head: revision(7) };
        let script = vec![
            Err(Error::TooLarge { requested: revision(9), head: revision(4) }),
            Ok(vec![Ok(WatchItem::Synced(at(5))), Err(expired)]),
            Ok(vec![Ok(WatchItem::Synced(at(7)))]),
        ];
        let health = WatchHealth::new("things", Arc::new(clock.clone()));
        let watcher = MeasuredWatcher { inner: Arc::new(Scripted(Mutex::new(script))), health: health.clone() };
        let cache = Cache::new();
        let mut run = Box::pin(cache.run(&watcher, &clock));
        assert!((&mut run).now_or_never().is_none());
        assert!(health.broken().unwrap().0.contains('9'), "{health:?}");
        while health.revision() != Some(revision(7)) {
            assert!(clock.advance_to_next_timer().is_some() && (&mut run).now_or_never().is_none());
        }
        assert!(health.relists().eq([("start", 1), ("expired", 1), ("refused", 1)]), "{health:?}");
        let figures = health.figures(revision(12));
        assert_eq!(figure(&figures, "cache_lag_revisions", None), Value::Gauge(5.0));
        assert_eq!(figure(&figures, "cache_relists", Some("refused")), Value::Counter(1));
    }
}
