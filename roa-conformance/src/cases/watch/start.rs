//! Where a feed and a watch begin.

use roa_core::{ChangeKind, Error, Revision, Start, TailChecker};

use crate::cases::history::History;
use crate::client::text;
use crate::failure::{Outcome, ensure};
use crate::feed::{ensure_dense, revisions};
use crate::harness::{Harness, earlier, later};
use crate::watching::{Told, short};

pub(super) async fn start_after_exclusive(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    for number in 0..10 {
        client.create(&format!("k{number}"), number).await?;
    }
    let (after, head) = (later(begin, 4)?, later(begin, 10)?);
    let batches = client.feed(after).await?.until(head).await?;
    ensure_dense("the revisions of a feed", &batches, after, head)?;
    let hub = harness.hub(&client).await?;
    let events = hub.watch_things(Start::After(after)).await?.events_until(head).await?;
    let expected = (4..10).map(|number| (ChangeKind::Added, format!("k{number}"), begin.get() + number + 1));
    ensure::equal("the events of a watch", short(&events), expected.collect())
}

pub(super) async fn start_at_head_then_next(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    client.create("old", "1").await?;
    for number in 0..harness.times(100, 10) {
        let head = client.head().await?;
        let mut feed = client.feed(head).await?;
        let mut after = hub.watch_things(Start::After(head)).await?;
        let mut now = hub.watch_things(Start::Now).await?;
        let name = format!("k{number}");
        let next = client.create(&name, number).await?;
        client.create(&format!("{name}-later"), number).await?;
        ensure::equal("the first batch of a feed from the head", feed.next().await?.revision, next)?;
        for watch in [&mut after, &mut now] {
            let (_, events) = watch.next_batch().await?;
            let expected = vec![(ChangeKind::Added, name.clone(), next.get())];
            ensure::equal("the first events of a watch from the head", short(&events), expected)?;
        }
    }
    Ok(())
}

pub(super) async fn start_zero_from_empty_store(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let state = client.state().await?;
    ensure::equal("the floor of a new store", state.floor, state.head)?;
    ensure::that("no revision of zero", Revision::new(0).is_err(), &0)?;
    // What etcd calls 0 is not "from now on": a revision before the floor has been missed.
    for before in [earlier(state.floor, 1)?, Revision::new(1).map_err(|error| ensure::broken("1", &error))?] {
        if before < state.floor {
            let error = client.feed_refused("a feed from before the begin", before).await?;
            ensure::that("Expired", matches!(error, Error::Expired { .. }), &error)?;
        }
    }
    let hub = harness.hub(&client).await?;
    let mut feed = client.feed(state.floor).await?;
    let mut after = hub.watch_things(Start::After(state.floor)).await?;
    let mut snapshot = hub.watch_things(Start::Snapshot).await?;
    match snapshot.next().await? {
        Told::Synced(position) => ensure::equal("where an empty snapshot ends", position.revision, state.head)?,
        other => return Err(ensure::broken("an empty snapshot", &other)),
    }
    let first = client.create("a", "1").await?;
    client.create("b", "1").await?;
    ensure::equal("the first batch of all", feed.next().await?.revision, first)?;
    for watch in [&mut after, &mut snapshot] {
        let expected = vec![(ChangeKind::Added, "a".to_owned(), first.get())];
        ensure::equal("the first events of all", short(&watch.next_batch().await?.1), expected)?;
    }
    Ok(())
}

pub(super) async fn resume_every_revision(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let mut history = History::new(&client, 46).await?;
    history.run(harness.times(100, 40)).await?;
    let head = client.head().await?;
    let log = client.feed(begin).await?.until(head).await?;
    ensure_dense("the whole log", &log, begin, head)?;
    let hub = harness.hub(&client).await?;
    for (skipped, after) in (begin.get()..head.get()).enumerate() {
        let after = later(begin, skipped).and_then(|at| ensure::equal("a revision", at.get(), after).map(|()| at))?;
        let mut feed = client.feed(after).await?;
        let mut checker = TailChecker::of(feed.tail());
        let rest = feed.until(head).await?;
        ensure::equal(&format!("the feed after {after}"), revisions(&rest), revisions(&log[skipped..]))?;
        ensure::that("the same batches", rest == log[skipped..], &rest)?;
        for batch in &rest {
            checker.check(batch).map_err(|error| ensure::broken("batches that follow each other", &error))?;
        }
        let events = hub.watch_things(Start::After(after)).await?.events_until(head).await?;
        let mut seen: Vec<_> = events.iter().map(|event| event.revision.get()).collect();
        seen.dedup();
        ensure::equal(&format!("the watch after {after}"), seen, revisions(&log[skipped..]))?;
    }
    // A reader that takes one batch at a time and begins anew after each misses none either.
    let mut at = begin;
    for batch in &log {
        let next = client.feed(at).await?.next().await?;
        ensure::equal("the next batch of a feed that was opened anew", next.revision, batch.revision)?;
        at = next.revision;
    }
    let last = client.commit(client.txn().create(crate::client::key("last"), text("1"))).await?;
    ensure::equal("the feed after the head", client.feed(at).await?.next().await?.revision, last)
}
