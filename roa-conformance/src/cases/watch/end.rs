//! How feeds and watches end, and how late they may be.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Start, Store, TailChecker, TailEnd};

use crate::cases::history::History;
use crate::client::Client;
use crate::failure::{Outcome, ensure};
use crate::feed::{ensure_dense, revisions};
use crate::harness::{Harness, later, within};
use crate::watching::{Told, events};
use crate::{FaultPlan, FaultStore, FeedFault};

pub(super) async fn store_close_terminal_item(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let (mut idle, mut unread) = (client.feed(begin).await?, client.feed(begin).await?);
    let mut watch = hub.watch_things(Start::After(begin)).await?;
    let last = client.create("a", "1").await?;
    idle.until(last).await?;
    watch.events_until(last).await?;
    harness.within("close the store", harness.factory.close(&client.store)).await??;
    for (feed, left) in [(&mut idle, 0), (&mut unread, 1)] {
        let (batches, end) = feed.until_end().await?;
        ensure::equal("what was still to be read of a closed store", batches.len(), left)?;
        ensure::that("Closed", matches!(end, TailEnd::Closed), &end)?;
    }
    let (told, end) = watch.until_end().await?;
    ensure::equal("what was still to be told of a closed store", events(told).len(), 0)?;
    ensure::that("a watch that ends with Closed", matches!(end, TailEnd::Closed), &end)?;
    let after = harness.within("commit to a closed store", client.store.commit(client.txn())).await?;
    ensure::that("a commit to a closed store to be refused", after.is_err(), &after)
}

pub(super) async fn latency_bound(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let (mut feed, mut watch) = (client.feed_from_now().await?, hub.watch_things(Start::Now).await?);
    let mut elsewhere =
        hub.watch(roa_runtime::Selection::prefix(crate::client::things_in("elsewhere")), Start::Now).await?;
    let bound = harness.settings.latency;
    for number in 0..harness.times(50, 5) {
        let committed = client.put("a", number).await?;
        within(bound, "a commit to reach a feed", feed.until(committed)).await??;
        within(bound, "a commit to reach a watch", watch.until(committed)).await??;
        within(bound, "progress to reach a watch that sees nothing", elsewhere.until(committed)).await??;
    }
    Ok(())
}

pub(super) async fn dense_violation_injected_stops(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    ensure_chained(&client).await?;
    for fault in [FeedFault::Drop, FeedFault::Repeat, FeedFault::Swap, FeedFault::Rechain] {
        ensure_stops(&harness, fault).await?;
    }
    for fault in [FeedFault::Vanish, FeedFault::End(TailEnd::Lagged), FeedFault::Delay(Duration::from_millis(20))] {
        ensure_goes_on(&harness, fault).await?;
    }
    ensure_swap_is_noticed(&harness).await
}

/// The store's own log is a chain, from wherever it is read, so that another history can be noticed.
async fn ensure_chained(client: &Client) -> Outcome {
    let begin = client.head().await?;
    let mut history = History::new(client, 69).await?;
    history.run(20).await?;
    let head = client.head().await?;
    let whole = client.feed(begin).await?.until(head).await?;
    for (skipped, after) in (0..20).map(|skipped| (skipped, later(begin, skipped))) {
        let mut feed = client.feed(after?).await?;
        let known = feed.tail().after_txn;
        let expected = skipped.checked_sub(1).and_then(|at| whole.get(at)).map(|batch| batch.txn);
        ensure::that("the transaction before a feed", known.is_none() || skipped == 0 || known == expected, &known)?;
        let mut checker = TailChecker::of(feed.tail());
        for batch in feed.until(head).await? {
            checker.check(&batch).map_err(|error| ensure::broken("batches that name their predecessors", &error))?;
        }
    }
    Ok(())
}

/// A client of a new store whose feeds fail once, at the sixth batch.
async fn faulty(harness: &Harness, fault: FeedFault) -> Outcome<Client> {
    let good = harness.store().await?;
    let store = FaultStore::new(good.store, harness.clock());
    store.plan(FaultPlan::new().batch(6, fault));
    Ok(harness.client(Arc::new(store)))
}

/// What breaks the dense rule ends each watch before it passes anything on.
async fn ensure_stops(harness: &Harness, fault: FeedFault) -> Outcome {
    let client = faulty(harness, fault.clone()).await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let mut watch = hub.watch_things(Start::After(begin)).await?;
    for number in 0..12 {
        client.create(&format!("k{number:02}"), number).await?;
    }
    let (told, end) = watch.until_end().await?;
    let seen: Vec<_> = events(told).iter().map(|event| event.revision.get() - begin.get()).collect();
    let right: Vec<_> = (1..=seen.len() as u64).collect();
    ensure::equal(&format!("what a watch saw of a feed with {fault:?}"), &seen, &right)?;
    let passed = if matches!(fault, FeedFault::Repeat) { 6 } else { 5 };
    ensure::that(&format!("at most {passed} batches before {fault:?}"), seen.len() <= passed, &seen)?;
    ensure::that(&format!("Expired after {fault:?}"), matches!(end, TailEnd::Expired { .. }), &end)?;
    // Who lists again goes on as if nothing had happened.
    let head = client.head().await?;
    let mut again = hub.watch_things(Start::Snapshot).await?;
    ensure::equal("the snapshot after the break", again.events_until(head).await?.len(), 12)?;
    let next = client.create("next", "1").await?;
    ensure::equal("the next events after the break", again.next_batch().await?.0, next)
}

/// What interrupts a feed without breaking its history is not noticed by watches.
async fn ensure_goes_on(harness: &Harness, fault: FeedFault) -> Outcome {
    let client = faulty(harness, fault.clone()).await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let mut watch = hub.watch_things(Start::After(begin)).await?;
    for number in 0..12 {
        client.create(&format!("k{number:02}"), number).await?;
    }
    let head = client.head().await?;
    let seen: Vec<_> = watch.events_until(head).await?.iter().map(|event| event.revision.get()).collect();
    let log = client.feed(begin).await?.until(head).await?;
    ensure_dense("the log", &log, begin, head)?;
    ensure::equal(&format!("what a watch saw in spite of {fault:?}"), seen, revisions(&log))
}

/// Another store behind the same address ends each watch.
async fn ensure_swap_is_noticed(harness: &Harness) -> Outcome {
    let (first, second) = (harness.store().await?, harness.store().await?);
    let store = Arc::new(FaultStore::new(first.store, harness.clock()));
    let client = harness.client(Arc::clone(&store) as Arc<dyn Store>);
    let hub = harness.hub(&client).await?;
    let mut watch = hub.watch_things(Start::Now).await?;
    let seen = client.create("a", "1").await?;
    watch.events_until(seen).await?;
    // The other store gets past the revision that was reached, so that the revision alone tells nothing.
    for number in 0..5 {
        second.put("b", number).await?;
    }
    store.replace(second.store);
    let (told, end) = watch.until_end().await?;
    let foreign = told.iter().any(|told| matches!(told, Told::Batch(..)));
    ensure::that("nothing of another store", !foreign, &told)?;
    ensure::that("Expired when the store is another one", matches!(end, TailEnd::Expired { .. }), &end)
}
