//! Where events go: [`LogSink`] writes them to the log, [`FanOutSink`] hands them to several, [`ChannelSink`] to a
//! listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roa_core::{Event, EventSink, Severity};
use tokio::sync::mpsc;

/// Writes events to the log.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::Context;
/// use roa_runtime::LogSink;
/// fn logged(cx: Context) -> Context {
///     cx.with_events(Arc::new(LogSink))
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LogSink;

impl EventSink for LogSink {
    fn record(&self, event: Event) {
        let Event { component, object, reason, message, .. } = &event;
        match event.severity {
            Severity::Normal => tracing::info!(%component, %object, reason, message, "event"),
            Severity::Warning => tracing::warn!(%component, %object, reason, message, "event"),
        }
    }
}

/// Hands each event to several sinks.
///
/// ```
/// # use std::sync::Arc;
/// use roa_runtime::{ChannelSink, FanOutSink, LogSink};
/// let (shown, _listener) = ChannelSink::new(100);
/// let both = FanOutSink::new(vec![Arc::new(LogSink), Arc::new(shown)]);
/// # drop(both);
/// ```
#[derive(Debug, Clone, Default)]
pub struct FanOutSink(Vec<Arc<dyn EventSink>>);

impl FanOutSink {
    /// Hands each event to `sinks`, in this order.
    #[must_use]
    pub fn new(sinks: Vec<Arc<dyn EventSink>>) -> Self {
        Self(sinks)
    }
}

impl EventSink for FanOutSink {
    fn record(&self, event: Event) {
        for sink in &self.0 {
            sink.record(event.clone());
        }
    }
}

/// Hands events to a listener, through a channel of bounded length. Events that do not fit are dropped and counted.
///
/// ```
/// use roa_runtime::ChannelSink;
/// let (sink, mut listener) = ChannelSink::new(100);
/// assert!(listener.try_recv().is_err() && sink.dropped() == 0);
/// ```
#[derive(Debug)]
pub struct ChannelSink {
    sender: mpsc::Sender<Event>,
    dropped: AtomicU64,
}

impl ChannelSink {
    /// A sink and its listener's end; at most `capacity` events wait.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender, dropped: AtomicU64::new(0) }, receiver)
    }

    /// How many events did not fit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl EventSink for ChannelSink {
    fn record(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
