//! The engine of ROA: it follows a store's change feed, keeps caches true, and drives controllers and reconcilers.
//!
//! # Layout
//! - The whole: [`Manager`]
//! - Changes: [`WatchHub`], [`StreamWatcher`], [`PollWatcher`], [`Bookmarks`], [`HandlerRunner`]
//! - Reading: [`Cache`]
//! - Working: [`WorkQueue`], [`ControllerDriver`], [`ControllerBuilder`], [`Filter`], [`ReconcilerDriver`]
//! - Among other processes: [`Coordinator`], [`Lease`], [`Territory`], [`Membership`], [`ShardBy`]
//! - Containing failures: [`Breaker`], [`Bulkhead`], [`Protected`], [`RetryBudget`], [`OscillationWatch`]
//! - Tidying up: [`GarbageCollector`], [`NamespaceController`], [`Runnable`]
//! - Explaining: [`Explainer`], [`Explanation`], [`WatchHealth`]
//! - Telling: [`EventRecorder`], [`CloudEventRelay`], [`OutboxRelay`]
//! - Trying controllers: `testing`, with the feature `test-util`
//! - Around: [`Tasks`], [`Clocks`], [`SystemClock`], [`DeadlineStore`], [`MeasuredStore`], [`RuntimeMetrics`], [`LogSink`]

mod cache;
mod clock;
mod cloudevents;
mod controller;
mod events;
mod gc;
mod handlers;
mod hub;
mod lease;
mod live_kinds;
mod locks;
mod manager;
mod metrics;
mod namespaces;
mod oscillation;
mod outbox;
mod queue;
mod reconciler;
mod safety;
mod shard;
mod stores;
mod tasks;
#[cfg(feature = "test-util")]
pub mod testing;
mod watcher;
mod why;

pub use cache::{Cache, CacheListener, Tombstone};
pub use clock::{BootClock, Clocks, ScaledClock, SystemClock};
pub use cloudevents::{
    CloudEvent, CloudEventRelay, CloudEventRelayConfig, CloudEventSink, HttpPost, HttpSink, LineSink,
};
pub use controller::{ControllerConfig, ControllerDriver, Filter, Update};
pub use events::{ChannelSink, EventRecorder, EventRecorderConfig, FanOutSink, LogSink, event_kind};
pub use gc::{GarbageCollector, GarbageCollectorConfig};
pub use handlers::{Bookmarks, EventHandler, HandlerRunner};
pub use hub::{EventSlice, HubConfig, HubEvent, HubItem, HubWatch, Selection, WatchHub};
pub use lease::{
    Coordinator, Layout, LayoutError, LayoutMismatch, LayoutRecord, Lease, LeaseConfig, LeaseConfigError, LeaseState,
    Membership, Permit, Territory,
};
pub use live_kinds::LiveKinds;
pub use manager::{ControllerBuilder, Manager, ManagerConfig, ManagerError, Mode, Runnable, WatchKind};
pub use metrics::{ControllerMetrics, Reading, Readings, RuntimeMetrics};
pub use namespaces::NamespaceController;
pub use oscillation::{Oscillation, OscillationConfig, OscillationDetector, OscillationWatch};
pub use outbox::{EffectHandler, OutboxConfig, OutboxRelay};
pub use queue::{
    AddError, BackoffPolicy, Depths, KeyPhase, KeyState, NextRun, Outcome, Priority, QueueConfig, QueueStats,
    RateLimit, Run, Streak, WorkQueue, next_run,
};
pub use reconciler::{ReconcilerConfig, ReconcilerDriver, Sweep};
pub use safety::{
    Breaker, BreakerConfig, BreakerState, Bulkhead, BulkheadConfig, DependencyMetrics, Full, Place, Protected,
    RELEASE_ANNOTATION, Refused, RetryBudget, RetryBudgetConfig, Trip,
};
pub use shard::{SHARDS, ShardBy};
pub use stores::{DeadlineStore, MeasuredStore};
pub use tasks::{SpawnError, Tasks};
pub use watcher::{PollWatcher, StreamWatcher, WatchHealth};
pub use why::{
    DependencyState, Explainer, Explanation, FinalizerState, Handling, Happening, LastError, LastWrite, ObjectState,
    OwnerState, Phase, QueueState, explain_from_store,
};
