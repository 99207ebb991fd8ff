//! The engine of ROA: it follows a store's change feed, keeps caches true, and drives controllers and reconcilers.
//!
//! # Layout
//! - The whole: [`Manager`]
//! - Changes: [`WatchHub`], [`StreamWatcher`], [`PollWatcher`], [`Bookmarks`], [`HandlerRunner`]
//! - Reading: [`Cache`]
//! - Working: [`WorkQueue`], [`ControllerDriver`], [`ReconcilerDriver`]
//! - Among other processes: [`Coordinator`], [`Lease`], [`Territory`], [`Membership`], [`ShardBy`]
//! - Around: [`Tasks`], [`Clocks`], [`SystemClock`], [`ScaledClock`], [`DeadlineStore`], [`RuntimeMetrics`], [`LogSink`]

mod bookmark;
mod cache;
mod clock;
mod clocks;
mod controller;
mod deadline;
mod handlers;
mod hub;
mod lease;
mod locks;
mod manager;
mod metrics;
mod queue;
mod reconciler;
mod shard;
mod sinks;
mod tasks;
mod watcher;

pub use bookmark::Bookmarks;
pub use cache::{Cache, CacheListener};
pub use clock::{BootClock, ScaledClock, SystemClock};
pub use clocks::Clocks;
pub use controller::{ControllerConfig, ControllerDriver};
pub use deadline::DeadlineStore;
pub use handlers::{EventHandler, HandlerRunner};
pub use hub::{EventSlice, HubConfig, HubEvent, HubItem, HubWatch, Selection, WatchHub};
pub use lease::{
    Coordinator, Layout, LayoutError, LayoutMismatch, LayoutRecord, Lease, LeaseConfig, LeaseConfigError, LeaseState,
    Membership, Permit, Territory,
};
pub use manager::{Manager, ManagerConfig, ManagerError, Mode, WatchKind};
pub use metrics::{ControllerMetrics, Reading, Readings, RuntimeMetrics};
pub use queue::{
    AddError, BackoffPolicy, Depths, KeyPhase, KeyState, NextRun, Outcome, Priority, QueueConfig, QueueStats,
    RateLimit, Run, Streak, WorkQueue, next_run,
};
pub use reconciler::{ReconcilerConfig, ReconcilerDriver, Sweep};
pub use shard::{SHARDS, ShardBy};
pub use sinks::{ChannelSink, FanOutSink, LogSink};
pub use tasks::{SpawnError, Tasks};
pub use watcher::{PollWatcher, StreamWatcher};
