//! The pump: reads the store's change feed into the ring, and notices when the history breaks.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use roa_core::{Batch, ClockExt, Error, Position, StoreState, Tail, TailChecker, TailEnd, TxnId};

use super::Shared;
use super::ring::{Ring, Weighed};

/// How many batches are taken from the feed before those who wait are woken. Fewer if no more are there.
const GATHERED: usize = 64;

/// Why following stopped.
enum Stopped {
    /// What comes next is of another history, or no longer kept.
    Broken,
    /// The store could not be followed for now.
    Failed,
    /// The store was closed.
    Closed,
}

/// Follows the store until it is closed. A failure is retried after a back-off: watches do not notice. A break of the
/// history ends all watches with `Expired`.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut last_txn = None;
    let mut failures: u32 = 0;
    loop {
        let before = shared.read().ring.head();
        let stopped = follow(&shared, &mut last_txn).await;
        if shared.read().ring.head() > before {
            failures = 0;
        }
        match stopped {
            Stopped::Closed => {
                shared.end(TailEnd::Closed, |state| state.closed = true);
                return;
            }
            Stopped::Broken if begin_anew(&shared).await.is_ok() => {
                last_txn = None;
                failures = 0;
            }
            Stopped::Broken | Stopped::Failed => {
                shared.clock.sleep(backoff(&shared, failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

async fn follow(shared: &Shared, last_txn: &mut Option<TxnId>) -> Stopped {
    let position = shared.read().position;
    let mut tail = match shared.store.tail(position.revision).await {
        Ok(tail) if tail.epoch == position.epoch && is_same_history(&tail, *last_txn) => tail,
        Ok(_) | Err(Error::Expired { .. } | Error::TooLarge { .. }) => return Stopped::Broken,
        Err(error) => {
            tracing::warn!(store = %shared.store, %error, "change feed can't be opened, retrying");
            return Stopped::Failed;
        }
    };
    let mut checker = TailChecker::new(position.revision, last_txn.or(tail.after_txn));
    let mut idle = pin!(wake_in_time(shared));
    loop {
        let gathered = tokio::select! {
            biased;
            gathered = gather(&mut tail) => gathered,
            never = &mut idle => match never {},
        };
        let Some((batches, end)) = gathered else { break };
        for batch in &batches {
            if let Err(error) = checker.check(batch) {
                tracing::error!(store = %shared.store, %error, "history is broken, all watches must list again");
                return Stopped::Broken;
            }
            *last_txn = Some(batch.txn);
        }
        append(shared, batches);
        if let Some(end) = end {
            return stopped(shared, &end);
        }
        // A feed that always has more must still let the watchers of its thread run.
        tokio::task::consume_budget().await;
    }
    tracing::warn!(store = %shared.store, "change feed ended without a reason, following it anew");
    Stopped::Failed
}

/// Wakes all who watch, each time that the interval has passed: they say how far they are, so that an idle store can be
/// told from one that can't be followed. One timer serves for as long as the feed is followed: to set one for each batch
/// would take longer than to hand the batch on.
async fn wake_in_time(shared: &Shared) -> Infallible {
    let interval = shared.config.progress_interval;
    if interval == Duration::MAX {
        return std::future::pending().await;
    }
    loop {
        shared.clock.sleep(interval).await;
        shared.wakers.wake_all();
    }
}

/// Waits for the next batches, and takes what else is there already: the watchers are woken once for all of it. `None`
/// at the end of the feed.
async fn gather(tail: &mut Tail) -> Option<(Vec<Arc<Batch>>, Option<TailEnd>)> {
    let mut item = Some(tail.next().await?);
    let mut batches = Vec::new();
    while let Some(next) = item {
        match next {
            Ok(more) if batches.is_empty() => batches = more,
            Ok(more) => batches.extend(more),
            Err(end) => return Some((batches, Some(end))),
        }
        // A feed that ends here ends again when it is asked next.
        item = if batches.len() < GATHERED { tail.next().now_or_never().flatten() } else { None };
    }
    Some((batches, None))
}

fn is_same_history(tail: &Tail, last_txn: Option<TxnId>) -> bool {
    match (tail.after_txn, last_txn) {
        (Some(found), Some(last)) => found == last,
        _ => true,
    }
}

fn stopped(shared: &Shared, end: &TailEnd) -> Stopped {
    match end {
        TailEnd::Closed => Stopped::Closed,
        TailEnd::Expired { .. } => Stopped::Broken,
        end => {
            tracing::warn!(store = %shared.store, %end, "change feed ended, following it anew");
            Stopped::Failed
        }
    }
}

fn append(shared: &Shared, batches: Vec<Arc<Batch>>) {
    let batches = Weighed::all(batches);
    let (head, evicted) = {
        let mut state = shared.write();
        let evicted = state.ring.append(batches);
        state.position.revision = state.ring.head();
        (state.position.revision, evicted)
    };
    shared.newest.store(head.get(), Ordering::Release);
    shared.head.send_replace(head);
    shared.wakers.wake_all();
    drop(evicted);
}

async fn begin_anew(shared: &Shared) -> Result<(), Error> {
    let StoreState { head, floor, epoch } = shared.store.state().await?;
    shared.end(TailEnd::Expired { floor, head }, |state| {
        state.ring = Ring::new(head, shared.config.max_batches, shared.config.max_bytes);
        // The same epoch once more is no break of the history: the store only forgot what was not read yet.
        state.discontinuities += u64::from(state.position.epoch != epoch);
        state.position = Position { store: shared.store.id(), epoch, revision: head };
    });
    shared.head.send_replace(head);
    Ok(())
}

fn backoff(shared: &Shared, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.min(16));
    shared.config.retry_base.saturating_mul(factor).min(shared.config.retry_max)
}
