//! Where the log begins, and what compaction does to those who follow it.

use std::sync::Arc;

use roa_core::{Batch, Change, ChangeKind, Error, Revision, Start};
use roa_runtime::HubConfig;
use tokio::task::JoinSet;

use crate::client::{Client, key};
use crate::failure::{Outcome, ensure};
use crate::feed::{Feed, ensure_dense};
use crate::harness::{Harness, all, earlier, later};
use crate::watching::{Hub, Watching, short};

/// The refusal of a begin that is no longer kept.
#[track_caller]
fn ensure_expired(error: &Error, floor: Revision, head: Revision) -> Outcome {
    match error {
        Error::Expired { floor: f, head: h } => ensure::equal("floor and head of the refusal", (*f, *h), (floor, head)),
        other => Err(ensure::broken("Expired", other)),
    }
}

/// Neither a feed nor a watch begins there, since it is no longer kept.
async fn ensure_both_expired(client: &Client, hub: &Hub, after: Revision) -> Outcome {
    let state = client.state().await?;
    let error = client.feed_refused("a feed of what is no longer kept", after).await?;
    ensure_expired(&error, state.floor, state.head)?;
    let error = hub.refused("a watch of what is no longer kept", Start::After(after)).await?;
    ensure_expired(&error, state.floor, state.head)
}

pub(super) async fn below_floor_expired_first_item(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    for number in 0..20 {
        client.create(&format!("k{number}"), number).await?;
    }
    let hub = harness.hub(&client).await?;
    let floor = later(begin, 12)?;
    ensure::equal("the floor", client.compact(floor).await?, floor)?;
    for after in 0..12 {
        ensure_both_expired(&client, &hub, later(begin, after)?).await?;
    }
    let head = client.head().await?;
    ensure_dense("what is kept", &client.feed(floor).await?.until(head).await?, floor, head)
}

pub(super) async fn at_floor_ok_at_floor_minus_1_expired(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    for number in 0..10 {
        client.create(&format!("k{number}"), number).await?;
    }
    let hub = harness.hub(&client).await?;
    // Also where nothing at all is kept: the log is empty, and what is gone is gone nevertheless.
    for kept in [6, 1, 0] {
        let (floor, head) = (later(begin, 10 - kept)?, client.head().await?);
        ensure::equal("the floor", client.compact(floor).await?, floor)?;
        ensure_both_expired(&client, &hub, earlier(floor, 1)?).await?;
        let (mut feed, mut watch) = (client.feed(floor).await?, hub.watch_things(Start::After(floor)).await?);
        if kept > 0 {
            ensure_dense("the feed after the floor", &feed.until(head).await?, floor, head)?;
            ensure::equal("the events after the floor", watch.events_until(head).await?.len(), kept)?;
        }
    }
    let (mut feed, mut watch) = (client.feed_from_now().await?, hub.watch_things(Start::Now).await?);
    let next = client.create("next", "1").await?;
    ensure::equal("the next batch after an empty log", feed.next().await?.revision, next)?;
    ensure::equal("the next events after an empty log", watch.next_batch().await?.0, next)
}

pub(super) async fn future_toolarge(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    for _ in 0..2 {
        let head = client.head().await?;
        for after in [1, 2, 1_000_000] {
            let requested = later(head, after)?;
            let feed = client.feed_refused("a feed of what has not been reached", requested).await?;
            let watch = hub.refused("a watch of what has not been reached", Start::After(requested)).await?;
            for error in [feed, watch] {
                match error {
                    Error::TooLarge { requested: r, head: h } => {
                        ensure::equal("what the refusal names", (r, h), (requested, head))?;
                    }
                    other => return Err(ensure::broken("TooLarge", &other)),
                }
            }
        }
        client.put("a", "1").await?;
    }
    Ok(())
}

pub(super) async fn compact_while_watching_no_loss(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let (mut feed, mut watch) = (client.feed(begin).await?, hub.watch_things(Start::After(begin)).await?);
    let mut expected = Vec::new();
    for round in 0..harness.times(150, 12) {
        let name = format!("k{}", round % 5);
        let created = client.create(&name, round).await?;
        let updated = client.update(&name, "2", created).await?;
        let deleted = client.delete(&name).await?;
        for (kind, at) in
            [(ChangeKind::Added, created), (ChangeKind::Modified, updated), (ChangeKind::Deleted, deleted)]
        {
            expected.push((kind, name.clone(), at.get()));
        }
        // Who has read so far loses nothing, wherever the floor is below.
        read_on(&mut feed, &mut watch, [created, deleted], &mut expected).await?;
        client.compact(if round % 2 == 0 { deleted } else { updated }).await?;
    }
    Ok(())
}

async fn read_on(
    feed: &mut Feed,
    watch: &mut Watching,
    [first, last]: [Revision; 2],
    expected: &mut Vec<(ChangeKind, String, u64)>,
) -> Outcome {
    let batches = feed.until(last).await?;
    ensure_dense("the feed since the compaction", &batches, earlier(first, 1)?, last)?;
    let mut fed = Vec::new();
    for batch in &batches {
        fed.extend(batch.changes.iter().map(kind).map(|(kind, name)| (kind, name, batch.revision.get())));
    }
    ensure::equal("the changes since the compaction", fed, expected.clone())?;
    let events = watch.events_until(last).await?;
    ensure::equal("the events since the compaction", short(&events), std::mem::take(expected))
}

fn kind(change: &Change) -> (ChangeKind, String) {
    let kind = match (change.previous(), change.current()) {
        (None, _) => ChangeKind::Added,
        (Some(_), Some(_)) => ChangeKind::Modified,
        (Some(_), None) => ChangeKind::Deleted,
    };
    (kind, change.key().name().to_owned())
}

pub(super) async fn open_at_compacting_revision(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    // A hub that keeps one batch: what is older comes from the store's log.
    let hub = harness.hub_with(&client, HubConfig { max_batches: 1, ..HubConfig::default() }).await?;
    for round in 0..harness.times(100, 10) {
        let created = client.create("a", round).await?;
        let deleted = client.delete("a").await?;
        hub.reach(deleted).await?;
        ensure::equal("the floor", client.compact(created).await?, created)?;
        let first = client.feed(created).await?.next().await?;
        ensure_deletion(&first, deleted)?;
        let events = hub.watch_things(Start::After(created)).await?.events_until(deleted).await?;
        let expected = vec![(ChangeKind::Deleted, "a".to_owned(), deleted.get())];
        ensure::equal("the events after the compacted revision", short(&events), expected)?;
        race(&client, created, deleted).await?;
    }
    Ok(())
}

/// A feed is opened after a revision while that is compacted away: it is refused, or has all that follows.
async fn race(client: &Client, after: Revision, to: Revision) -> Outcome {
    let mut tasks = JoinSet::new();
    let compactor = client.clone();
    tasks.spawn(async move { compactor.compact(to).await.map(|_| ()) });
    let opener = client.clone();
    tasks.spawn(async move {
        match opener.store.tail(after).await {
            Ok(tail) => match Feed::new(tail, opener.patience).next_or_end().await? {
                Ok(first) => ensure_deletion(&first, to),
                Err(end) => ensure::that("Expired", matches!(end, roa_core::TailEnd::Expired { .. }), &end),
            },
            Err(error) => ensure::that("Expired", matches!(error, Error::Expired { .. }), &error),
        }
    });
    all(tasks).await.map(|_| ())
}

fn ensure_deletion(batch: &Arc<Batch>, at: Revision) -> Outcome {
    let deletes =
        batch.changes.iter().any(|change| matches!(change, Change::Delete { previous } if previous.key == key("a")));
    ensure::that(&format!("the deletion of a at {at}"), deletes && batch.revision == at, batch)
}
