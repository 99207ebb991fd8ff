//! [`Controller`] and [`Reconciler`]: what an author of a kind writes. [`Action`] and [`ReconcileError`]: what they say.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::{Context, Error, Resource, Timestamp};

/// What is to happen next with an object.
///
/// ```
/// # use std::time::Duration;
/// # use roa_core::Action;
/// fn next(ready: bool) -> Action {
///     if ready { Action::Done } else { Action::RequeueAfter(Duration::from_secs(2)) }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing, until it changes.
    Done,
    /// The same again, after the back-off for this object.
    Requeue,
    /// The same again, after this time.
    RequeueAfter(Duration),
}

/// Why a reconcile failed, and whether trying again can help.
///
/// ```
/// use roa_core::ReconcileError;
/// let down = ReconcileError::Transient { reason: "RegistryDown", message: "no answer".into() };
/// assert_eq!((down.reason(), down.is_retryable()), ("RegistryDown", true));
/// ```
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// An operation on resources failed. A conflict is tried again and is no failure. That the object itself is not there,
    /// or that a write was fenced, ends the matter; that *another* object is not there is a failure as others are. What the
    /// store could not do now ([`Error::Unavailable`], [`Error::Ambiguous`], [`Error::TooLarge`], [`Error::Expired`]) is
    /// tried again until it can, and takes none of the object's retries.
    #[error(transparent)]
    Resource(#[from] Error),
    /// Something outside failed, and may work later.
    #[error("{reason}: {message}")]
    Transient {
        /// A word for conditions and metrics, such as `ProvisionerUnavailable`.
        reason: &'static str,
        /// What happened.
        message: String,
    },
    /// It can't work until somebody changes the object.
    #[error("{reason}: {message}")]
    Permanent {
        /// A word for conditions and metrics, such as `TemplateInvalid`.
        reason: &'static str,
        /// What is wrong.
        message: String,
    },
    /// It can't be done now, through no fault of the object: something that it needs is down or busy. It is called again
    /// after this time; that counts as no failure, and is never given up.
    #[error("{reason}: {message}; again in {after:?}")]
    Deferred {
        /// A word for conditions and metrics, such as `DependencyDown`.
        reason: &'static str,
        /// What it waits for.
        message: String,
        /// When to come again.
        after: Duration,
    },
}

impl ReconcileError {
    /// A word for conditions and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Resource(error) => error.reason(),
            Self::Transient { reason, .. } | Self::Permanent { reason, .. } | Self::Deferred { reason, .. } => reason,
        }
    }

    /// Whether the same again can succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Resource(error) => {
                !matches!(error, Error::Fenced(_) | Error::Invalid { .. } | Error::ListInUnit { .. })
            }
            Self::Transient { .. } | Self::Deferred { .. } => true,
            Self::Permanent { .. } => false,
        }
    }
}

/// Answers to each change of a kind's objects: looks at the object as it is, and takes one step towards its spec.
///
/// It is level-triggered: it must not matter how many changes led here. Never runs twice at once for one object.
///
/// ```
/// # use std::sync::Arc;
/// # use async_trait::async_trait;
/// # use roa_core::{Action, Context, Controller, DynamicObject, ReconcileError};
/// struct Greeter;
///
/// #[async_trait]
/// impl Controller for Greeter {
///     type Resource = DynamicObject;
///
///     fn name(&self) -> &str {
///         "greeter"
///     }
///
///     async fn reconcile(&self, object: Arc<DynamicObject>, cx: &Context) -> Result<Action, ReconcileError> {
///         println!("hello {}, because of {:?}", object.metadata.name, cx.causes());
///         Ok(Action::Done)
///     }
/// }
/// ```
#[async_trait]
pub trait Controller: Send + Sync + 'static {
    /// What it handles.
    type Resource: Resource;

    /// Its name: the writer of its writes, and a label of its metrics.
    fn name(&self) -> &str;

    /// The finalizer that is put on each object before [`Controller::reconcile`] first sees it, and taken off when
    /// [`Controller::finalize`] is done. Without one, `finalize` is never called.
    fn finalizer(&self) -> Option<&str> {
        None
    }

    /// Takes a step.
    ///
    /// # Errors
    /// [`ReconcileError`]: counted, and tried again with back-off if that can help.
    ///
    /// # Cancel safety
    /// It may be dropped at any await: by its time-out, or at shutdown after the grace period. What it does outside
    /// must be idempotent by the object's uid.
    async fn reconcile(&self, object: Arc<Self::Resource>, cx: &Context) -> Result<Action, ReconcileError>;

    /// Cleans up for an object that was asked to go; [`Action::Done`] lets it go.
    ///
    /// # Errors
    /// As [`Controller::reconcile`]; the finalizer stays on.
    async fn finalize(&self, object: Arc<Self::Resource>, cx: &Context) -> Result<Action, ReconcileError> {
        let (_, _) = (object, cx);
        Ok(Action::Done)
    }
}

/// Which way an object has gone wrong.
///
/// ```
/// # use roa_core::DriftKind;
/// fn needs_a_person(kind: DriftKind) -> bool {
///     !matches!(kind, DriftKind::TimedOut)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DriftKind {
    /// In a state that it should have left by itself.
    Stuck,
    /// Past a time that its spec sets.
    TimedOut,
    /// The world outside is not as the status says.
    Drifted,
}

/// What a sweep found.
///
/// ```
/// # use roa_core::{Drift, DriftKind};
/// let gone = Drift { kind: DriftKind::Drifted, reason: "ProcessGone", message: "process 17 ended".into() };
/// # drop(gone);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Which way.
    pub kind: DriftKind,
    /// A word for events and metrics, such as `ProcessGone`.
    pub reason: &'static str,
    /// What was found, for people.
    pub message: String,
}

/// Looks at every object each interval, compares it with the world outside, and corrects what is wrong.
///
/// ```
/// # use std::sync::Arc;
/// # use async_trait::async_trait;
/// # use roa_core::{Action, Context, Drift, DriftKind, DynamicObject, ReconcileError, Reconciler, Timestamp};
/// /// Sees to it that there is a file for each object.
/// struct Files;
///
/// #[async_trait]
/// impl Reconciler for Files {
///     type Resource = DynamicObject;
///     type Observed = bool;
///
///     fn name(&self) -> &str {
///         "files"
///     }
///
///     async fn observe(&self, object: &DynamicObject, _cx: &Context) -> Result<bool, ReconcileError> {
///         Ok(std::path::Path::new(&object.metadata.name).exists())
///     }
///
///     fn drift(&self, _object: &DynamicObject, exists: &bool, _now: Timestamp) -> Option<Drift> {
///         let missing = Drift { kind: DriftKind::Drifted, reason: "FileMissing", message: "the file is gone".into() };
///         (!exists).then_some(missing)
///     }
///
///     async fn correct(&self, _: Arc<DynamicObject>, _: Drift, _cx: &Context) -> Result<Action, ReconcileError> {
///         // writes the file
///         Ok(Action::Done)
///     }
/// }
/// ```
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// What it looks at.
    type Resource: Resource;
    /// What it sees outside.
    type Observed: Send + Sync;

    /// Its name: the writer of its writes, and a label of its metrics.
    fn name(&self) -> &str;

    /// Looks at the world outside for one object. Changes nothing.
    ///
    /// # Errors
    /// [`ReconcileError`]: counted; the object is looked at again in the next sweep.
    async fn observe(&self, object: &Self::Resource, cx: &Context) -> Result<Self::Observed, ReconcileError>;

    /// What is wrong, if anything: a pure function of the object, what was seen, and the time.
    fn drift(&self, object: &Self::Resource, observed: &Self::Observed, now: Timestamp) -> Option<Drift>;

    /// Corrects it.
    ///
    /// # Errors
    /// As [`Reconciler::observe`].
    async fn correct(&self, object: Arc<Self::Resource>, drift: Drift, cx: &Context) -> Result<Action, ReconcileError>;

    /// Runs once after each sweep with all objects that it saw, as of one revision: the place to find what is outside
    /// and belongs to no object. Gives how many things it corrected.
    ///
    /// # Errors
    /// As [`Reconciler::observe`].
    async fn after_sweep(&self, objects: &[Arc<Self::Resource>], cx: &Context) -> Result<usize, ReconcileError> {
        let (_, _) = (objects, cx);
        Ok(0)
    }
}
