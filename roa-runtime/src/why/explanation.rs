//! [`Explanation`]: why an object is as it is, as data.

use std::time::Duration;

use roa_core::{Condition, Timestamp};
use serde::{Deserialize, Serialize};

/// Why an object is as it is: its state, who acted last, what it waits for, when it is handled next. As JSON, times are
/// RFC 3339 and durations are seconds.
///
/// ```
/// # use roa_runtime::Explanation;
/// fn says(explanation: &Explanation) -> String {
///     format!("{} waits for {}", explanation.name, explanation.waits_for.join(", "))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The kind.
    pub kind: String,
    /// The namespace; empty for an object of cluster scope.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
    /// When this was so, by the domain's clock.
    pub at: Timestamp,
    /// The process that says so, by its name among the others; `None` if the store alone was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// How the object is; `None` if there is none.
    pub object: Option<ObjectState>,
    /// Who wrote it last.
    pub last_write: Option<LastWrite>,
    /// What was told of it last, the newest first.
    pub events: Vec<Happening>,
    /// Which process handles it, where several share the work.
    pub owner: Option<OwnerState>,
    /// What each controller of the process has to do with it.
    pub controllers: Vec<Handling>,
    /// What keeps it from going, or will.
    pub finalizers: Vec<FinalizerState>,
    /// What controllers call, and can't now.
    pub dependencies: Vec<DependencyState>,
    /// What it waits for, each in a sentence; the most telling first.
    pub waits_for: Vec<String>,
    /// When it is handled next; `None` if nothing is planned.
    pub next_run: Option<Timestamp>,
}

/// How an object is.
///
/// ```
/// # use roa_runtime::ObjectState;
/// fn is_seen(object: &ObjectState) -> bool {
///     object.observed_generation >= object.generation
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObjectState {
    /// `status.state`, or else `status.phase`.
    pub state: Option<String>,
    /// Which life of this name it is.
    pub uid: String,
    /// The generation of what is desired.
    pub generation: u64,
    /// Which of them a controller has seen.
    pub observed_generation: u64,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it was asked to go.
    pub deleted_at: Option<Timestamp>,
    /// What is known of it.
    pub conditions: Vec<Condition>,
}

/// The last write of an object.
///
/// ```
/// # use roa_runtime::LastWrite;
/// fn says(write: &LastWrite) -> String {
///     format!("last written by {} in revision {}", write.writer, write.revision)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LastWrite {
    /// Who.
    pub writer: String,
    /// When.
    pub at: Option<Timestamp>,
    /// Which revision it became.
    pub revision: u64,
}

/// One event.
///
/// ```
/// # use roa_runtime::Happening;
/// fn line(event: &Happening) -> String {
///     format!("{} ({} times): {}", event.reason, event.count, event.message)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Happening {
    /// When it was last told.
    pub at: Option<Timestamp>,
    /// Who told it.
    pub component: String,
    /// `Normal` or `Warning`.
    pub severity: String,
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// Which process handles an object.
///
/// ```
/// # use roa_runtime::OwnerState;
/// fn says(owner: &OwnerState) -> String {
///     format!("{} is with {}", owner.what, owner.process.as_deref().unwrap_or("nobody"))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OwnerState {
    /// The lease or shard that decides it.
    pub what: String,
    /// The process; `None` if none has it now.
    pub process: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whether it is the process that answers.
    pub is_self: bool,
    /// Where that process is asked, if it says so: its admin socket.
    pub address: Option<String>,
    /// Whether there is a sign of life of it in the store.
    pub has_heartbeat: bool,
}

/// What one controller has to do with an object.
///
/// ```
/// # use roa_runtime::Handling;
/// fn trouble(handling: &Handling) -> Option<&str> {
///     handling.last_error.as_ref().map(|error| error.message.as_str())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Handling {
    /// The controller.
    pub controller: String,
    /// Where the object stands with it.
    pub phase: Phase,
    /// `user`, `retry` or `resync`: how urgent its run is.
    pub priority: Option<String>,
    /// Why it runs, or is to run.
    pub causes: Vec<String>,
    /// How many runs failed in a row.
    pub failures: u32,
    /// What went wrong last, if the last run did not go well.
    pub last_error: Option<LastError>,
    /// How many keys could run now, this one perhaps among them, and how many workers there are.
    pub queue: QueueState,
}

/// Where an object stands with a controller.
///
/// ```
/// # use roa_runtime::Phase;
/// fn is_idle(phase: &Phase) -> bool {
///     matches!(phase, Phase::Idle)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Phase {
    /// It is handled when it changes.
    Idle,
    /// It could run, and waits for a worker.
    Waiting {
        /// For how long.
        seconds: f64,
    },
    /// It waits for its time.
    Delayed {
        /// For how much longer.
        seconds: f64,
    },
    /// It runs.
    Running {
        /// For how long.
        seconds: f64,
        /// Whether it runs again after that.
        again: bool,
    },
    /// It was given up until it changes.
    GivenUp,
    /// Another process handles it.
    Elsewhere,
}

/// What went wrong.
///
/// ```
/// # use roa_runtime::LastError;
/// fn line(error: &LastError) -> String {
///     format!("{} {}: {}", error.at, error.reason, error.message)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LastError {
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A controller's queue.
///
/// ```
/// # use roa_runtime::QueueState;
/// fn is_full(queue: &QueueState) -> bool {
///     queue.running == queue.workers
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct QueueState {
    /// Keys that could run now.
    pub ready: usize,
    /// Keys that run.
    pub running: usize,
    /// Runs at a time.
    pub workers: usize,
}

/// A finalizer.
///
/// ```
/// # use roa_runtime::FinalizerState;
/// fn has_nobody(finalizer: &FinalizerState) -> bool {
///     finalizer.owner.is_none()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FinalizerState {
    /// Its name.
    pub name: String,
    /// The controller of this process that takes it off; `None` if none does.
    pub owner: Option<String>,
    /// For how long the object has waited for it.
    pub waiting_seconds: Option<f64>,
}

/// What controllers call, and can't now.
///
/// ```
/// # use roa_runtime::DependencyState;
/// fn line(dependency: &DependencyState) -> String {
///     format!("{}: {}", dependency.name, dependency.trouble)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DependencyState {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub trouble: String,
}

/// With three digits: more are noise to people.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
