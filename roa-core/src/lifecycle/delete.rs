//! What becomes of an object that is asked to go.

use std::time::Duration;

use super::metadata::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use super::{Step, namespace};
use crate::{DynamicObject, Error, Expected, Key, Metadata, Result, Revision, Timestamp};

/// What must hold for a deletion; compared in the same commit.
///
/// ```
/// use roa_core::lifecycle::Preconditions;
/// let only_this_one = Preconditions { uid: Some("4a7c".into()), ..Preconditions::default() };
/// # drop(only_this_one);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The object's identity.
    pub uid: Option<String>,
    /// The object's revision.
    pub resource_version: Option<Revision>,
}

/// What happens to the objects that it owns.
///
/// ```
/// use roa_core::lifecycle::{DeleteOptions, Propagation};
/// let parts_first = DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
/// # drop(parts_first);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// How to delete.
///
/// ```
/// use roa_core::lifecycle::DeleteOptions;
/// let only_this_one = DeleteOptions::uid("4a7c");
/// assert_eq!(only_this_one.preconditions.uid.as_deref(), Some("4a7c"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// What must hold.
    pub preconditions: Preconditions,
    /// How long it may take, in seconds; at once if not given.
    pub grace_period_seconds: Option<u64>,
    /// What happens to the objects that it owns.
    pub propagation: Propagation,
}

impl DeleteOptions {
    /// Deletes only the object with this identity.
    pub fn uid(uid: impl Into<String>) -> Self {
        let preconditions = Preconditions { uid: Some(uid.into()), resource_version: None };
        Self { preconditions, ..Self::default() }
    }
}

/// Without finalizers the object goes now; with them it is marked, and goes with the last of them. What was marked is
/// never unmarked; its time only moves earlier.
///
/// # Errors
/// [`Error::Conflict`] if a precondition does not hold.
pub fn delete(key: &Key, current: &DynamicObject, options: &DeleteOptions, now: Timestamp) -> Result<Step> {
    check_preconditions(key, &current.metadata, &options.preconditions)?;
    let mut next = current.clone();
    let metadata = &mut next.metadata;
    if !metadata.is_deleting() {
        match options.propagation {
            Propagation::Background => {}
            Propagation::Foreground => add_finalizer(metadata, FOREGROUND_FINALIZER),
            Propagation::Orphan => add_finalizer(metadata, ORPHAN_FINALIZER),
        }
    }
    if metadata.finalizers.is_empty() {
        return Ok(Step::Remove);
    }
    let seconds = options.grace_period_seconds.unwrap_or(0);
    let due = now.truncate_to_seconds().saturating_add(Duration::from_secs(seconds));
    match metadata.deletion_timestamp {
        Some(marked) if marked <= due => return Ok(Step::Unchanged),
        Some(_) => {}
        None => metadata.generation += 1,
    }
    metadata.deletion_timestamp = Some(due);
    metadata.deletion_grace_period_seconds = Some(seconds);
    metadata.last_modified = Some(now);
    namespace::mark(key, &mut next);
    Ok(Step::Write(Box::new(next)))
}

fn check_preconditions(key: &Key, current: &Metadata, expected: &Preconditions) -> Result<()> {
    let conflict = |expected| Err(Error::Conflict { key: key.clone(), expected, current: current.resource_version });
    match (&expected.uid, expected.resource_version) {
        (Some(uid), _) if *uid != current.uid => conflict(Expected::OtherUid),
        (_, Some(revision)) if current.resource_version != Some(revision) => conflict(Expected::Revision(revision)),
        _ => Ok(()),
    }
}

fn add_finalizer(metadata: &mut Metadata, name: &str) {
    if !metadata.has_finalizer(name) {
        metadata.finalizers.push(name.to_owned());
    }
}
