//! One call: waits until the cache is new enough, calls the controller, judges what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use roa_core::{
    Action, CacheReader, ClockExt, ConditionStatus, Context, Controller, Error, Key, Monotonic, ReconcileError,
    Resource, Result, Revision, UnitOfWork,
};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use super::desk::{Alarm, Call, Desk};
use super::gate::Doubt;
use super::outcome::{Ended, Failure, QUARANTINED, Record, Verdict, judge};
use super::tracking::Trouble;
use super::{ControllerConfig, Inner, finalizer};
use crate::lease::Permit;
use crate::{Outcome, Run};

/// When to try again to take back that an object was given up, if that could not be written.
const CLEAR_AGAIN: Duration = Duration::from_secs(5);

/// Handles one key, and says what is to happen with it next.
pub(super) async fn handle<C: Controller>(
    inner: &Inner<C>,
    run: &Run<Key>,
    permit: &Permit,
    desk: &mut Desk,
) -> Outcome {
    let span = span(inner, run);
    inner.metrics.queued(run.queued_for());
    tracing::debug!(parent: &span, key = %run.key(), since = permit.since().map(Revision::get), "call begins");
    let generation = || inner.cache.get(run.key()).map(|object| object.metadata().generation);
    let seen = if inner.unobserved.is_empty() { None } else { generation() };
    let started = inner.begun(run);
    let (given, alarm) = desk.prepare(&inner.context, run, permit);
    let ended = call(inner, run, permit, given, (alarm, started)).instrument(span.clone()).await;
    let (cx, mark) = (&given.cx, &given.mark);
    inner.gate.note(run.key(), mark.get());
    inner.metrics.ended(ended.label(), inner.clocks.io.monotonic().saturating_since(started));
    if matches!(ended, Ended::Returned(Err(ReconcileError::Resource(Error::Fenced(_))))) {
        inner.metrics.fenced();
    }
    let succeeded = ended.is_success();
    inner.metrics.unchanged(mark.unchanged());
    note(inner, run.key(), &ended, seen);
    log(&ended, run);
    let record = record(inner, run, &ended);
    let outcome = match judge(ended, run.key(), record) {
        Verdict::Continue(outcome) if succeeded => {
            if inner.parked.release(run.key()) {
                inner.metrics.parked(inner.parked.len());
            }
            match inner.unchecked.doubt_of(run.key()) {
                Some(doubt) if shows_all_well(inner, run.key(), doubt) => {
                    inner.unchecked.checked(run.key(), doubt);
                    outcome
                }
                Some(doubt) => Box::pin(clear(inner, cx, run.key(), doubt, outcome).instrument(span)).await,
                None => outcome,
            }
        }
        Verdict::Continue(outcome) => within_budget(inner, outcome),
        Verdict::GiveUp(failure) => Box::pin(give_up(inner, cx, run.key(), &failure).instrument(span)).await,
    };
    inner.gate.note(run.key(), mark.get());
    if mark.get().is_some() || !succeeded {
        forget_if_gone(inner, run.key(), mark.get());
    }
    outcome
}

fn span<C: Controller>(inner: &Inner<C>, run: &Run<Key>) -> Span {
    // Where the crate `log` listens to spans, one that nobody sees has a price.
    if LevelFilter::current() < LevelFilter::INFO {
        return Span::none();
    }
    let (controller, causes) = (inner.controller.name(), tracing::field::debug(run.causes()));
    tracing::info_span!("reconcile", controller, key = %run.key(), causes, failures = run.failures())
}

/// What went wrong is kept for those who ask why; that all is well, for how long it was not.
fn note<C: Controller>(inner: &Inner<C>, key: &Key, ended: &Ended, seen: Option<u64>) {
    if let Some((reason, message)) = ended.trouble(key) {
        let trouble = Trouble { reason, message, at: inner.clocks.domain.now() };
        return inner.troubles.note(key, trouble, ended.is_the_stores());
    }
    if ended.is_success() {
        inner.troubles.forget(key);
        let observed = seen.and_then(|seen| inner.unobserved.observed(key, seen, inner.clocks.io.monotonic()));
        if let Some(took) = observed {
            inner.metrics.converged(took);
        }
    }
}

/// What was noted of an object after the cache had told that it is gone would stay for ever.
fn forget_if_gone<C: Controller>(inner: &Inner<C>, key: &Key, written: Option<Revision>) {
    if inner.cache.get(key).is_some() {
        return;
    }
    if inner.parked.release(key) {
        inner.metrics.parked(inner.parked.len());
    }
    if inner.cache.revision() >= written {
        inner.gate.forget(key);
        inner.unchecked.forget(key);
        inner.quarantine.forget(key);
        inner.troubles.forget(key);
    }
}

fn record<C: Controller>(inner: &Inner<C>, run: &Run<Key>, ended: &Ended) -> Record {
    let panics = if matches!(ended, Ended::Panicked(_)) {
        inner.quarantine.panicked(run.key())
    } else {
        inner.quarantine.forget(run.key());
        0
    };
    if let Some(budget) = inner.budget.as_ref().filter(|_| run.failures() == 0) {
        budget.earn(run.begun());
    }
    let ControllerConfig { max_retries, max_panics, .. } = inner.config;
    let failures =
        run.failures().saturating_sub(if ended.is_success() { 0 } else { inner.troubles.excused(run.key()) });
    Record { failures, max_retries, panics, max_panics }
}

/// A retry waits until there is budget for it.
fn within_budget<C: Controller>(inner: &Inner<C>, outcome: Outcome) -> Outcome {
    let Some(budget) = inner.budget.as_ref().filter(|_| outcome == Outcome::Failed) else { return outcome };
    let wait = budget.spend(inner.clocks.domain.monotonic());
    if wait.is_zero() {
        return outcome;
    }
    inner.metrics.waits_for_budget();
    Outcome::FailedAfter(wait)
}

async fn call<C: Controller>(
    inner: &Inner<C>,
    run: &Run<Key>,
    permit: &Permit,
    given: &mut Call,
    (alarm, started): (&mut Alarm, Monotonic),
) -> Ended {
    let Call { cx, over, .. } = given;
    let work = async {
        match current(inner, run.key(), permit).await? {
            Some(object) if inner.config.transactional => {
                Box::pin(in_unit(&inner.controller, object, run.key(), cx)).await
            }
            Some(object) => step(&inner.controller, object, run.key(), cx).await,
            None => Ok(Action::Done),
        }
    };
    tokio::select! {
        biased;
        returned = AssertUnwindSafe(work).catch_unwind() => match returned {
            Ok(returned) => Ended::Returned(returned),
            Err(panic) => Ended::Panicked(crate::tasks::panic_message(&*panic).to_owned()),
        },
        () = alarm.at(started + inner.config.timeout) => Ended::TimedOut(inner.config.timeout),
        () = over.comes() => Ended::Cancelled,
    }
}

/// The object as it is at least as new as what this controller wrote to it, and as the begin of its ownership (which
/// fences all that the owner before wrote). From the cache; from the store, if the cache does not get there in time. All
/// other caches that the controller reads are as new.
async fn current<C: Controller>(inner: &Inner<C>, key: &Key, permit: &Permit) -> Result<Option<Arc<C::Resource>>> {
    let needed = inner.gate.needed(key).max(permit.since());
    if let Some(needed) = needed.filter(|needed| !is_at(inner, *needed)) {
        return Box::pin(current_at(inner, key, needed)).await;
    }
    inner.gate.forget(key);
    Ok(inner.cache.get(key))
}

/// Whether all caches are as new as that.
fn is_at<C: Controller>(inner: &Inner<C>, needed: Revision) -> bool {
    let others = || inner.freshness.get().is_none_or(|others| others.is_at(needed));
    inner.cache.revision() >= Some(needed) && others()
}

async fn current_at<C: Controller>(inner: &Inner<C>, key: &Key, needed: Revision) -> Result<Option<Arc<C::Resource>>> {
    let deadline = inner.clocks.io.monotonic() + inner.config.cache_timeout;
    if let Some(others) = inner.freshness.get() {
        others.wait_for(needed, &*inner.clocks.io, deadline).await?;
    }
    match inner.cache.wait_for(needed, &*inner.clocks.io, deadline).await {
        Ok(()) => {
            inner.gate.forget(key);
            Ok(inner.cache.get(key))
        }
        Err(error) => {
            tracing::warn!(controller = inner.controller.name(), %key, %error, "cache is behind, reading from the store");
            let (entry, _) = inner.context.resources().entry(key).await?;
            Ok(entry.map(|entry| C::Resource::decode(&entry)).transpose()?.map(Arc::new))
        }
    }
}

/// All that the call writes is done together, if all that it read is still so: the object itself to begin with.
async fn in_unit<C: Controller>(
    controller: &C,
    object: Arc<C::Resource>,
    key: &Key,
    cx: &Context,
) -> Result<Action, ReconcileError> {
    let unit = Arc::new(UnitOfWork::new());
    unit.note(key, object.metadata().resource_version);
    let resources = cx.resources().clone().in_unit(Arc::clone(&unit));
    let action = step(controller, object, key, &cx.clone().with_resources(resources)).await?;
    unit.commit(cx.resources()).await?;
    Ok(action)
}

/// The finalizer goes on before the controller first sees the object, and off when it has cleaned up.
async fn step<C: Controller>(
    controller: &C,
    object: Arc<C::Resource>,
    key: &Key,
    cx: &Context,
) -> Result<Action, ReconcileError> {
    let metadata = object.metadata();
    match controller.finalizer() {
        Some(name) if metadata.is_deleting() && metadata.has_finalizer(name) => {
            let action = controller.finalize(object, cx).await?;
            if action == Action::Done {
                Box::pin(finalizer::remove(cx, key, name)).await?;
            }
            Ok(action)
        }
        _ if metadata.is_deleting() => Ok(Action::Done),
        Some(name) if !metadata.has_finalizer(name) => {
            Box::pin(finalizer::add(cx, key, name)).await?;
            Ok(Action::Done) // the change that this makes is the next call
        }
        _ => controller.reconcile(object, cx).await,
    }
}

fn log(ended: &Ended, run: &Run<Key>) {
    match ended {
        Ended::Returned(Ok(_)) | Ended::Cancelled => {}
        Ended::Returned(Err(ReconcileError::Resource(Error::Conflict { .. }))) => {
            tracing::debug!(key = %run.key(), "written by somebody else meanwhile, looking again");
        }
        Ended::Returned(Err(ReconcileError::Resource(Error::Fenced(fence)))) => {
            tracing::warn!(key = %run.key(), %fence, "not written: it is another process's now");
        }
        Ended::Returned(Err(error @ ReconcileError::Deferred { .. })) => {
            tracing::debug!(key = %run.key(), %error, "reconcile deferred");
        }
        Ended::Returned(Err(error)) => {
            tracing::warn!(key = %run.key(), failures = run.failures() + 1, %error, "reconcile failed");
        }
        Ended::TimedOut(limit) => tracing::warn!(key = %run.key(), ?limit, "reconcile took too long"),
        Ended::Panicked(message) => tracing::error!(key = %run.key(), message, "reconcile panicked; other keys go on"),
    }
}

/// Tells people, and leaves the object alone until it changes. If it is to go, nobody will change it: then it is tried
/// again with the longest back-off, as long as that may help.
async fn give_up<C: Controller>(inner: &Inner<C>, cx: &Context, key: &Key, failure: &Failure) -> Outcome {
    let Failure { reason, ref message, passing } = *failure;
    inner.parked.park(key);
    inner.unchecked.note_own(key);
    inner.metrics.parked(inner.parked.len());
    if reason == QUARANTINED {
        inner.metrics.quarantined();
    }
    let object = inner.cache.get(key);
    if let Some(object) = &object {
        cx.warn(key.clone(), object.metadata(), reason, message);
    }
    let written = finalizer::set_reconciled(cx, key, ConditionStatus::False, (reason, message));
    within_time(inner, key, written).await;
    if passing && object.is_some_and(|object| object.metadata().is_deleting()) {
        return within_budget(inner, Outcome::Failed);
    }
    inner.quarantine.forget(key);
    Outcome::Drop
}

/// Whether the cache shows that nobody gave the object up: all that others wrote before is there, of kinds that show their
/// conditions. After a take-over thousands of objects are handled in a row, and the store has more to do then.
fn shows_all_well<C: Controller>(inner: &Inner<C>, key: &Key, doubt: Doubt) -> bool {
    let well = |object: Arc<C::Resource>| object.conditions().map(|conditions| !finalizer::say_given_up(&conditions));
    !doubt.own && inner.cache.get(key).and_then(well).unwrap_or(false)
}

/// After a success an object must not say that it was given up, be it by a process before this one: that is looked up
/// once for each object that came.
async fn clear<C: Controller>(inner: &Inner<C>, cx: &Context, key: &Key, doubt: Doubt, outcome: Outcome) -> Outcome {
    if within_time(inner, key, finalizer::clear_given_up(cx, key)).await {
        inner.unchecked.checked(key, doubt);
        return outcome;
    }
    if outcome == Outcome::Done { Outcome::Defer(CLEAR_AGAIN) } else { outcome }
}

/// Whether an object's condition was written, in time.
async fn within_time<C: Controller>(inner: &Inner<C>, key: &Key, written: impl Future<Output = Result<()>>) -> bool {
    let limit = inner.config.timeout;
    let outcome = tokio::select! {
        biased;
        outcome = written => outcome,
        () = inner.clocks.io.sleep(limit) => Err(Error::unavailable(format!("no answer for {limit:?}"))),
    };
    if let Err(error) = &outcome {
        tracing::warn!(%key, %error, "the object's condition could not be written");
    }
    outcome.is_ok()
}
