//! What a driver knows of an object, for people and for metrics.

use roa_core::{Controller, Key};

use super::{ControllerDriver, Inner};
use crate::metrics::Figure;
use crate::why::seconds;
use crate::{Handling, KeyPhase, LastError, Phase, QueueState};

impl<C: Controller> ControllerDriver<C> {
    /// Where an object stands with this controller, and why: `roa why` shows it.
    ///
    /// ```
    /// # use roa_core::{Controller, Key};
    /// # use roa_runtime::{ControllerDriver, Phase};
    /// # fn example<C: Controller>(driver: &ControllerDriver<C>, key: &Key) {
    /// if let Phase::Delayed { seconds } = driver.explain(key).phase {
    ///     println!("{key} is tried again in {seconds} s");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self, key: &Key) -> Handling {
        let inner = &*self.inner;
        let (known, stats) = (inner.queue.why(key), inner.queue.stats());
        let phase = match known.as_ref().map(|known| known.phase) {
            Some(KeyPhase::Waiting { waited }) => Phase::Waiting { seconds: seconds(waited) },
            Some(KeyPhase::Delayed { left }) => Phase::Delayed { seconds: seconds(left) },
            Some(KeyPhase::Processing { ran, again }) => Phase::Running { seconds: seconds(ran), again },
            None if inner.parked.contains(key) => Phase::GivenUp,
            None => Phase::Idle,
        };
        let error = inner.troubles.get(key);
        Handling {
            controller: self.name().to_owned(),
            phase,
            priority: known.as_ref().map(|known| known.priority.as_str().to_owned()),
            causes: known.iter().flat_map(|known| &known.causes).map(|cause| cause.as_str().to_owned()).collect(),
            failures: known.as_ref().map_or(0, |known| known.failures),
            last_error: error.map(|it| LastError { reason: it.reason.to_owned(), message: it.message, at: it.at }),
            queue: QueueState { ready: stats.ready.total(), running: stats.in_flight, workers: self.workers() },
        }
    }

    /// The finalizer that it takes off.
    pub(crate) fn finalizer(&self) -> Option<&str> {
        self.inner.controller.finalizer()
    }

    pub(super) fn measure(&self) {
        let inner = std::sync::Arc::downgrade(&self.inner);
        self.inner.metrics.figures().from(move || inner.upgrade().map(|inner| inner.figures()).unwrap_or_default());
    }
}

impl<C: Controller> Inner<C> {
    fn figures(&self) -> Vec<Figure> {
        let (name, stats) = (self.controller.name(), self.queue.stats());
        let depth = |priority, count| {
            Figure::count("queue_depth", "Keys that could run now, by priority", name, count).with("priority", priority)
        };
        let (longest, oldest) = (stats.longest_running, stats.oldest_waiting);
        let unobserved = self.unobserved.oldest(self.clocks.io.monotonic());
        vec![
            depth("user", stats.ready.user),
            depth("retry", stats.ready.retry),
            depth("resync", stats.ready.resync),
            Figure::count("queue_delayed", "Keys whose time has not come", name, stats.delayed),
            Figure::count("queue_running", "Keys that run", name, stats.in_flight),
            Figure::counter("queue_adds", "Adds, those that were merged with others included", name, stats.adds),
            Figure::counter("queue_refused", "Adds that found the queue full", name, stats.refused),
            Figure::counter("queue_retries", "Runs that failed and were to be repeated", name, stats.retries),
            Figure::age("queue_longest_running_seconds", "The key that runs longest", name, longest),
            Figure::age("queue_oldest_waiting_seconds", "The ready key that waits longest", name, oldest),
            Figure::age(
                "oldest_unreconciled_seconds",
                "The oldest change of a spec that no call saw well",
                name,
                unobserved,
            ),
            Figure::age(
                "finalizer_age_seconds",
                "The object that waits longest for this controller to let it go",
                name,
                self.leaving.oldest(self.clocks.domain.now()),
            ),
        ]
    }
}
