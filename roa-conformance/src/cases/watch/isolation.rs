//! Watchers that stall, that are many, that go.

use std::time::Duration;

use roa_core::{Revision, Start, TailEnd};
use roa_runtime::HubConfig;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::failure::{Outcome, ensure};
use crate::feed::ensure_dense;
use crate::harness::{Harness, all, later, within};
use crate::watching::{Told, Watching};

/// Updates one key so many times; gives the last revision.
async fn write(client: &Client, commits: usize) -> Outcome<Revision> {
    let mut last = client.put("a", "begin").await?;
    for number in 1..commits {
        last = client.update("a", number, last).await?;
    }
    Ok(last)
}

pub(super) async fn stalled_watcher_isolated(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub_with(&client, HubConfig { max_batches: 64, ..HubConfig::default() }).await?;
    let begin = client.head().await?;
    let commits = harness.times(2_000, 300);
    // Neither is ever read.
    let (stalled_feed, stalled_watch) = (client.feed(begin).await?, hub.watch_things(Start::After(begin)).await?);
    let mut feed = client.feed(begin).await?;
    let mut watch = hub.watch_things(Start::After(begin)).await?;
    let last = later(begin, commits)?;
    let mut healthy = JoinSet::new();
    healthy.spawn(async move { ensure_dense("the feed beside a stalled one", &feed.until(last).await?, begin, last) });
    let mut done = 0;
    while done < commits {
        let step = 32.min(commits - done);
        let written = write(&client, step).await?;
        done += step;
        // In step with the writer, so that it stays in the hub's small ring.
        let events = watch.events_until(written).await?;
        ensure::equal("the events beside a stalled watch", events.len(), step)?;
    }
    all(healthy).await?;
    drop((stalled_feed, stalled_watch));
    Ok(())
}

pub(super) async fn stalled_watcher_gets_expired(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub_with(&client, HubConfig { max_batches: 64, ..HubConfig::default() }).await?;
    let begin = client.head().await?;
    let mut stalled = client.feed(begin).await?;
    let mut expired = hub.watch_things(Start::After(begin)).await?;
    let head = write(&client, harness.times(4_000, 2_000)).await?;
    let mut lagged = hub.watch_things(Start::After(head)).await?;
    hub.reach(head).await?;
    ensure::equal("the floor", client.compact(head).await?, head)?;
    let next = write(&client, harness.times(4_000, 2_000)).await?;
    hub.reach(next).await?;
    let (batches, end) = stalled.until_end().await?;
    let last = batches.last().map_or(begin, |batch| batch.revision);
    ensure_dense("a feed until it expires", &batches, begin, last)?;
    ensure::that(
        "a feed that ends with Expired",
        matches!(end, TailEnd::Expired { floor, .. } if floor == head),
        &end,
    )?;
    ensure_ends(&mut expired, begin, |end| matches!(end, TailEnd::Expired { floor, .. } if *floor == head)).await?;
    // What comes next for this one is still kept: it may begin anew where it was.
    ensure_ends(&mut lagged, head, |end| matches!(end, TailEnd::Lagged)).await
}

/// A watch gives what follows without a gap, and then ends as it must.
async fn ensure_ends(watch: &mut Watching, after: Revision, expected: impl Fn(&TailEnd) -> bool) -> Outcome {
    let (told, end) = watch.until_end().await?;
    let mut last = after;
    for told in told {
        if let Told::Batch(revision, _) = told {
            ensure::equal("the next batch of a slow watch", revision, later(last, 1)?)?;
            last = revision;
        }
    }
    ensure::that("the end that a slow watch must have", expected(&end), &end)
}

pub(super) async fn ten_thousand_watchers_one_writer(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let (groups, commits) = (8, 20);
    let size = harness.times(10_000, 400) / groups;
    let last = later(begin, commits)?;
    let mut watchers = JoinSet::new();
    for _ in 0..groups {
        let mut group = Vec::with_capacity(size);
        for _ in 0..size {
            group.push(hub.watch_things(Start::After(begin)).await?);
        }
        watchers.spawn(read_all(group, begin, last));
    }
    ensure::equal("how many watches are open", hub.hub.watchers(), groups * size)?;
    ensure::equal("the last commit", write(&client, commits).await?, last)?;
    ensure::equal("how many watches saw everything", all(watchers).await?.iter().sum(), groups * size)?;
    ensure::equal("how many watches are open after all", hub.hub.watchers(), 0)
}

/// Reads each watch up to a revision; gives how many there were.
async fn read_all(watches: Vec<Watching>, begin: Revision, last: Revision) -> Outcome<usize> {
    let count = watches.len();
    for mut watch in watches {
        let seen: Vec<_> = watch.events_until(last).await?.iter().map(|event| event.revision.get()).collect();
        ensure::equal("what one of many watches saw", seen, (begin.get() + 1..=last.get()).collect::<Vec<_>>())?;
    }
    Ok(count)
}

pub(super) async fn drop_frees(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.create("a", "1").await?;
    let count = harness.times(2_000, 600);
    for _ in 0..count {
        client.feed(begin).await?;
    }
    let mut open = Vec::new();
    for number in 0..count {
        let start = if number % 2 == 0 { Start::After(begin) } else { Start::Snapshot };
        open.push(hub.watch_things(start).await?);
    }
    ensure::equal("how many watches are open", hub.hub.watchers(), count)?;
    drop(open);
    within(Duration::from_secs(1), "dropped watches to be freed", async {
        while hub.hub.watchers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    let mut feed = client.feed(begin).await?;
    let next = client.update("a", "2", begin).await?;
    ensure::equal("the next batch after all that", feed.next().await?.revision, next)
}
