//! One call: waits until the cache is new enough, calls the controller, judges what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use roa_core::{
    Action, CacheReader, ClockExt, ConditionStatus, Context, Controller, Error, Key, ReconcileError, Resource, Result,
    WriteMark,
};
use tracing::Instrument;

use super::outcome::{Ended, Verdict, judge};
use super::{Inner, finalizer};
use crate::lease::Permit;
use crate::{Outcome, Run};

/// Handles one key, and says what is to happen with it next.
pub(super) async fn handle<C: Controller>(inner: &Inner<C>, run: &Run<Key>, permit: &Permit) -> Outcome {
    let span = tracing::info_span!("reconcile", controller = inner.controller.name(), key = %run.key());
    let mark = Arc::new(WriteMark::default());
    let cx = context(inner, run, permit, &mark);
    let started = inner.clocks.io.monotonic();
    let ended = call(inner, run, permit, &cx).instrument(span.clone()).await;
    inner.gate.note(run.key(), mark.get());
    inner.metrics.ended(ended.label(), inner.clocks.io.monotonic().saturating_since(started));
    if matches!(ended, Ended::Returned(Err(ReconcileError::Resource(Error::Fenced(_))))) {
        inner.metrics.fenced();
    }
    let succeeded = matches!(ended, Ended::Returned(Ok(_)));
    log(&ended, run);
    match judge(ended, run.failures(), inner.config.max_retries) {
        Verdict::Continue(outcome) => {
            if succeeded && inner.parked.release(run.key()) {
                tell_recovered(&cx, run.key()).instrument(span).await;
                inner.gate.note(run.key(), mark.get());
            }
            outcome
        }
        Verdict::GiveUp(reason, message) => {
            give_up(inner, &cx, run.key(), reason, &message).instrument(span).await;
            inner.gate.note(run.key(), mark.get());
            Outcome::Drop
        }
    }
}

fn context<C: Controller>(inner: &Inner<C>, run: &Run<Key>, permit: &Permit, mark: &Arc<WriteMark>) -> Context {
    let resources = permit.fence(inner.context.resources().clone().marking(Arc::clone(mark)));
    let cx = inner.context.clone().with_resources(resources).with_cancellation(permit.cancellation());
    cx.for_run(run.causes().to_vec(), run.failures())
}

async fn call<C: Controller>(inner: &Inner<C>, run: &Run<Key>, permit: &Permit, cx: &Context) -> Ended {
    let object = match current(inner, run.key(), permit).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ended::Returned(Ok(Action::Done)),
        Err(error) => return Ended::Returned(Err(error.into())),
    };
    let work = AssertUnwindSafe(step(&inner.controller, object, run.key(), cx)).catch_unwind();
    tokio::select! {
        biased;
        returned = work => match returned {
            Ok(returned) => Ended::Returned(returned),
            Err(panic) => Ended::Panicked(crate::tasks::panic_message(&*panic).to_owned()),
        },
        () = inner.clocks.io.sleep(inner.config.timeout) => Ended::TimedOut(inner.config.timeout),
        () = cx.cancelled() => Ended::Cancelled,
    }
}

/// The object as it is at least as new as what this controller wrote to it, and as the begin of its ownership (which
/// fences all that the owner before wrote). From the cache; from the store, if the cache does not get there in time. All
/// other caches that the controller reads are as new.
async fn current<C: Controller>(inner: &Inner<C>, key: &Key, permit: &Permit) -> Result<Option<Arc<C::Resource>>> {
    let needed = inner.gate.needed(key).max(permit.since());
    let Some(needed) = needed else { return Ok(inner.cache.get(key)) };
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
                finalizer::remove(cx, key, name).await?;
            }
            Ok(action)
        }
        _ if metadata.is_deleting() => Ok(Action::Done),
        Some(name) if !metadata.has_finalizer(name) => {
            finalizer::add(cx, key, name).await?;
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
        Ended::Returned(Err(error)) => {
            tracing::warn!(key = %run.key(), failures = run.failures() + 1, %error, "reconcile failed");
        }
        Ended::TimedOut(limit) => tracing::warn!(key = %run.key(), ?limit, "reconcile took too long"),
        Ended::Panicked(message) => tracing::error!(key = %run.key(), message, "reconcile panicked; other keys go on"),
    }
}

async fn give_up<C: Controller>(inner: &Inner<C>, cx: &Context, key: &Key, reason: &'static str, message: &str) {
    inner.parked.park(key);
    if let Some(object) = inner.cache.get(key) {
        cx.warn(key.clone(), object.metadata(), reason, message);
    }
    if let Err(error) = finalizer::set_reconciled(cx, key, ConditionStatus::False, (reason, message)).await {
        tracing::warn!(%key, %error, "the object's condition could not be written");
    }
}

async fn tell_recovered(cx: &Context, key: &Key) {
    if let Err(error) = finalizer::set_reconciled(cx, key, ConditionStatus::True, ("Reconciled", "")).await {
        tracing::warn!(%key, %error, "the object's condition could not be written");
    }
}
