//! The engine of ROA: it follows a store's change feed, keeps caches true, and drives controllers and reconcilers.
//!
//! # Layout
//! - Changes: [`WatchHub`], [`StreamWatcher`], [`PollWatcher`], [`Bookmarks`], [`HandlerRunner`]
//! - Reading: [`Cache`]
//! - Tasks and time: [`Tasks`], [`Clocks`], [`SystemClock`], [`ScaledClock`]

mod bookmark;
mod cache;
mod clock;
mod clocks;
mod controller;
mod deadline;
mod handlers;
mod hub;
mod locks;
mod metrics;
mod queue;
mod reconciler;
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
pub use metrics::{ControllerMetrics, Reading, Readings, RuntimeMetrics};
pub use queue::{
    AddError, BackoffPolicy, Depths, KeyPhase, KeyState, NextRun, Outcome, Priority, QueueConfig, QueueStats, RateLimit, Run,
    Streak, WorkQueue, next_run,
};
pub use reconciler::{ReconcilerConfig, ReconcilerDriver, Sweep};
pub use sinks::{ChannelSink, FanOutSink, LogSink};
pub use tasks::Tasks;
pub use watcher::{PollWatcher, StreamWatcher};
