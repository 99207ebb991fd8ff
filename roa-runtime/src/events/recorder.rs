//! [`EventRecorder`]: keeps events as objects, for a time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, ClockExt, Context, Error, Event, EventSink, KindDescriptor};
use tokio::sync::Notify;

use super::pending::{Pending, SeriesId};
use super::{EventMetrics, event_kind, write};
use crate::{Runnable, RuntimeMetrics, locks};

/// How events are recorded.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::EventRecorderConfig;
/// let a_day = EventRecorderConfig { ttl: Duration::from_secs(86_400), ..EventRecorderConfig::default() };
/// # drop(a_day);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRecorderConfig {
    /// How long an event is kept after it was last said, in domain time; 1 h by default.
    pub ttl: Duration,
    /// How often what is too old is looked for, in domain time; 1 min by default.
    pub sweep_interval: Duration,
    /// How long events are collected before they are written, in real time; 1 s by default.
    pub flush_interval: Duration,
    /// How many different events are written at a time; 100 by default.
    pub max_writes: usize,
    /// How many different events may wait to be written; 4,096 by default. More are dropped and counted.
    pub max_pending: usize,
}

impl Default for EventRecorderConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3_600),
            sweep_interval: Duration::from_secs(60),
            flush_interval: Duration::from_secs(1),
            max_writes: 100,
            max_pending: 4_096,
        }
    }
}

/// Keeps events as objects of the kind [`event_kind`], for a time.
///
/// Events that say the same of the same object are one, with a count, the first and the last time, and the last message:
/// also across restarts. It is a sink for events, and a [`Runnable`] that writes them: each process its own, also one
/// that leads nothing and has no shard. What is too old is deleted by ordinary commits of one process (L8).
///
/// ```no_run
/// # use std::sync::Arc;
/// # use roa_runtime::{EventRecorder, EventRecorderConfig, Manager, RuntimeMetrics, SystemClock};
/// # fn record(manager: Manager, metrics: &RuntimeMetrics) -> Manager {
/// let clock = Arc::new(SystemClock::new());
/// let recorder = Arc::new(EventRecorder::new(EventRecorderConfig::default(), clock, metrics));
/// let mut manager = manager.with_events(recorder.clone());
/// manager.add_runnable(recorder);
/// # manager
/// # }
/// ```
#[derive(Debug)]
pub struct EventRecorder {
    config: EventRecorderConfig,
    io: Arc<dyn Clock>,
    kind: KindDescriptor,
    pending: Mutex<Pending>,
    news: Notify,
    metrics: EventMetrics,
}

impl EventRecorder {
    /// A recorder that has recorded nothing; `io` is real time.
    #[must_use]
    pub fn new(config: EventRecorderConfig, io: Arc<dyn Clock>, metrics: &RuntimeMetrics) -> Self {
        let pending = Mutex::new(Pending::new(config.max_pending));
        let metrics = metrics.events().clone();
        Self { config, io, kind: event_kind(), pending, news: Notify::new(), metrics }
    }

    /// Writes what waits after `last`, at most as much as is written at a time. What is not written stays, also if this is
    /// dropped.
    async fn flush(&self, cx: &Context, last: &mut Option<SeriesId>) {
        for _ in 0..self.config.max_writes {
            let next = locks::lock(&self.pending).after(last.as_ref());
            let Some((id, series)) = next else {
                *last = None;
                return;
            };
            let fate = match write::write(cx, &self.kind, &id, &series).await {
                Ok(()) => "written",
                // What may have been written is rather counted twice than not at all.
                Err(error @ (Error::Unavailable { .. } | Error::Ambiguous { .. } | Error::Fenced(_))) => {
                    tracing::warn!(%error, "events can't be recorded now, trying again");
                    return;
                }
                Err(error) if write::is_without_namespace(&error) => {
                    tracing::debug!(object = %series.last.object, reason = series.last.reason, %error, "event dropped");
                    "dropped"
                }
                Err(error) => {
                    tracing::warn!(object = %series.last.object, reason = series.last.reason, %error, "event not recorded");
                    "failed"
                }
            };
            locks::lock(&self.pending).settle(&id, series.count);
            self.metrics.note(fate, series.count);
            *last = Some(id);
        }
    }

    async fn write(&self, cx: &Context) {
        // Each flush goes on where the one before ended, so that every series has its turn.
        let mut last = None;
        loop {
            self.news.notified().await;
            self.io.sleep(self.config.flush_interval).await;
            while !locks::lock(&self.pending).is_empty() {
                self.flush(cx, &mut last).await;
                self.io.sleep(self.config.flush_interval).await;
            }
        }
    }

    async fn sweep(&self, cx: &Context) {
        loop {
            match write::sweep(cx, &self.kind, self.config.ttl).await {
                Ok(gone) => self.metrics.note("expired", gone),
                Err(error) => tracing::warn!(%error, "old events could not be deleted, trying again"),
            }
            cx.clock().sleep(self.config.sweep_interval).await;
        }
    }
}

impl EventSink for EventRecorder {
    fn record(&self, event: Event) {
        let taken = locks::lock(&self.pending).add(event);
        self.metrics.note(if taken { "recorded" } else { "dropped" }, 1);
        self.news.notify_one();
    }
}

#[async_trait]
impl Runnable for EventRecorder {
    fn name(&self) -> &'static str {
        "event-recorder"
    }

    /// Deletes what is too old.
    async fn run(&self, cx: &Context) {
        tokio::select! {
            biased;
            () = cx.cancelled() => {}
            () = self.sweep(cx) => {}
        }
    }

    /// Writes what this process has to say.
    async fn run_in_each(&self, cx: &Context) {
        self.news.notify_one();
        tokio::select! {
            biased;
            () = cx.cancelled() => {}
            () = self.write(cx) => {}
        }
        // What was said last is written too, as long as the manager's grace lasts.
        self.flush(cx, &mut None).await;
    }
}
