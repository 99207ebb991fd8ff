//! [`Event`]: something that happened to an object, for people. [`EventSink`]: where it goes.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{Key, Timestamp};

/// Whether somebody should look.
///
/// ```
/// # use roa_core::Severity;
/// fn sign(severity: Severity) -> char {
///     if severity == Severity::Warning { '!' } else { ' ' }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// All is as it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something that happened to an object, for people.
///
/// ```
/// # use roa_core::Event;
/// fn line(event: &Event) -> String {
///     format!("{} {}: {}", event.at, event.object, event.message)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Which controller or reconciler says so.
    pub component: Arc<str>,
    /// To which object.
    pub object: Key,
    /// The object's identity.
    pub uid: String,
    /// Whether somebody should look.
    pub severity: Severity,
    /// A word, such as `ProcessGone`.
    pub reason: String,
    /// What happened, in a sentence.
    pub message: String,
}

/// Where events go: to a log, to a store, to a listener.
///
/// ```
/// # use roa_core::{Event, EventSink};
/// #[derive(Debug)]
/// struct Printed;
///
/// impl EventSink for Printed {
///     fn record(&self, event: Event) {
///         println!("{}: {}", event.reason, event.message);
///     }
/// }
/// ```
pub trait EventSink: Debug + Send + Sync + 'static {
    /// Takes an event. Must not block; a sink that can't keep up drops and counts.
    fn record(&self, event: Event);
}

/// Drops all events.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{EventSink, NoEvents};
/// let sink: Arc<dyn EventSink> = Arc::new(NoEvents);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn record(&self, _event: Event) {}
}
