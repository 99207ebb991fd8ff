//! [`Filter`]: which changes of an object lead to no call. [`Update`]: what a filter may look at.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use roa_core::Resource;

/// A change of an object that stays: both are there, its life is the same, and neither its deletion nor its finalizers
/// are concerned. Only such a change can be shown to a [`Filter`], since nobody else can make one of these: what a filter
/// does not see it can't leave out.
///
/// ```
/// # use roa_core::DynamicObject;
/// # use roa_runtime::{Filter, Update};
/// /// Whether a lab is for other people than before.
/// fn moved(update: &Update<'_, DynamicObject>) -> bool {
///     let course = |lab: &DynamicObject| lab.metadata.labels.get("course").cloned();
///     update.changes_labels() && course(update.before()) != course(update.after())
/// }
/// let filter = Filter::updates(moved);
/// # let _ = filter;
/// ```
pub struct Update<'a, R> {
    before: &'a R,
    after: &'a R,
}

impl<'a, R: Resource> Update<'a, R> {
    /// `None` if no filter may decide about it.
    pub(crate) fn between(before: Option<&'a R>, after: Option<&'a R>) -> Option<Self> {
        let (before, after) = (before?, after?);
        let (old, new) = (before.metadata(), after.metadata());
        let same =
            old.uid == new.uid && old.deletion_timestamp == new.deletion_timestamp && old.finalizers == new.finalizers;
        same.then_some(Self { before, after })
    }

    /// The object as it was.
    #[must_use]
    pub const fn before(&self) -> &'a R {
        self.before
    }

    /// The object as it is.
    #[must_use]
    pub const fn after(&self) -> &'a R {
        self.after
    }

    /// Whether anything outside of its metadata and its status changed.
    #[must_use]
    pub fn changes_spec(&self) -> bool {
        self.before.metadata().generation != self.after.metadata().generation
    }

    /// Whether its labels or annotations changed.
    #[must_use]
    pub fn changes_labels(&self) -> bool {
        let (before, after) = (self.before.metadata(), self.after.metadata());
        before.labels != after.labels || before.annotations != after.annotations
    }
}

impl<R: Resource> fmt::Debug for Update<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Update({} of {})", self.after.metadata().name, self.after.metadata().uid)
    }
}

/// Which changes of an object lead to a call. That it came, went, was asked to go, or that its finalizers changed always
/// does: no filter is asked.
///
/// ```
/// # use roa_core::DynamicObject;
/// # use roa_runtime::Filter;
/// let specs = Filter::<DynamicObject>::updates(|update| update.changes_spec() || update.changes_labels());
/// let all = Filter::<DynamicObject>::all();
/// # let _ = (specs, all);
/// ```
pub struct Filter<R>(Option<Arc<Wanted<R>>>);

type Wanted<R> = dyn Fn(&Update<'_, R>) -> bool + Send + Sync;

impl<R: Resource> Filter<R> {
    /// Every change leads to a call.
    #[must_use]
    pub const fn all() -> Self {
        Self(None)
    }

    /// Of the changes of an object that stays, those lead to a call for which `wanted` says so. If it panics, all do.
    #[must_use]
    pub fn updates(wanted: impl Fn(&Update<'_, R>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wanted)))
    }

    /// Of the changes of an object that stays, those lead to a call that change anything outside of its metadata and its
    /// status.
    #[must_use]
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one lifetime, the filter of any")]
    pub fn specs() -> Self {
        Self::updates(|update| update.changes_spec())
    }

    /// Whether a change leads to a call.
    pub(crate) fn lets_through(&self, before: Option<&R>, after: Option<&R>) -> bool {
        let (Some(wanted), Some(update)) = (&self.0, Update::between(before, after)) else { return true };
        catch_unwind(AssertUnwindSafe(|| wanted(&update))).unwrap_or_else(|_| {
            tracing::error!(?update, "a filter panicked: the change leads to a call");
            true
        })
    }
}

impl<R> Clone for Filter<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Resource> Default for Filter<R> {
    fn default() -> Self {
        Self::all()
    }
}

impl<R> fmt::Debug for Filter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Filter(some updates)" } else { "Filter(all)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{DynamicObject, Timestamp};

    fn nothing() -> Filter<DynamicObject> {
        Filter::updates(|_| false)
    }

    fn changed(change: impl FnOnce(&mut DynamicObject)) -> bool {
        let before = DynamicObject::default();
        let mut after = before.clone();
        change(&mut after);
        nothing().lets_through(Some(&before), Some(&after))
    }

    #[test]
    fn lesson_16_no_filter_can_leave_out_a_deletion_or_a_finalizer() {
        let object = DynamicObject::default();
        assert!(nothing().lets_through(Some(&object), None), "it went");
        assert!(nothing().lets_through(None, Some(&object)), "it came");
        assert!(changed(|object| object.metadata.deletion_timestamp = Timestamp::from_unix_seconds(1)));
        assert!(changed(|object| object.metadata.finalizers.push("example.com/a".into())));
        assert!(changed(|object| object.metadata.uid = "another".into()));
        assert!(!changed(|object| object.metadata.generation = 2), "all else is the filter's to decide");
    }

    #[test]
    fn c11_a_filter_that_panics_leaves_nothing_out() {
        let object = DynamicObject::default();
        let broken = Filter::<DynamicObject>::updates(|_| panic!("boom"));
        assert!(broken.lets_through(Some(&object), Some(&object)));
    }

    #[test]
    fn changes_of_the_spec_can_be_told_from_those_of_the_status() {
        let before = DynamicObject::default();
        let mut after = before.clone();
        after.body.insert("status".into(), serde_json::json!({}));
        assert!(!Filter::specs().lets_through(Some(&before), Some(&after)));
        after.metadata.generation += 1;
        assert!(Filter::specs().lets_through(Some(&before), Some(&after)));
    }
}
