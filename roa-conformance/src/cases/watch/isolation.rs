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
    let hub = harness.hub_with(&client, HubConfig { max_batches: 4_096, ..HubConfig::default() }).await?;
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
        // In step with the writer, so that it stays in the hub's ring.
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
    let mut first = hub.watch_things(Start::After(begin)).await?;
    let head = write(&client, harness.times(4_000, 2_000)).await?;
    let mut second = hub.watch_things(Start::After(head)).await?;
    hub.reach(head).await?;
    ensure::equal("the floor", client.compact(head).await?, head)?;
    let next = write(&client, harness.times(4_000, 2_000)).await?;
    hub.reach(next).await?;
    let (mut last, mut end) = (begin, None);
    while last < next && end.is_none() {
        match stalled.next_or_end().await? {
            Ok(batch) => {
                ensure::equal("the next batch of a slow feed", batch.revision, later(last, 1)?)?;
                last = batch.revision;
            }
            Err(reason) => end = Some(reason),
        }
    }
    ensure_right_end("a slow feed", last, end.as_ref(), [head, next])?;
    ensure_told_or_ended(&mut first, begin, [head, next]).await?;
    ensure_told_or_ended(&mut second, head, [head, next]).await
}

/// Who reads slowly gets all there is, or is told why not: what comes next is gone, or can be read anew.
fn ensure_right_end(who: &str, last: Revision, end: Option<&TailEnd>, [floor, head]: [Revision; 2]) -> Outcome {
    let right = match end {
        None => last == head,
        Some(TailEnd::Expired { floor: named, .. }) => last < floor && *named == floor,
        Some(TailEnd::Lagged) => last >= floor,
        Some(_) => false,
    };
    ensure::that(&format!("{who} at {last} to end as it must, with the floor {floor} and the head {head}"), right, &end)
}

/// A watch gives what follows without a gap, up to the head or to its right end.
async fn ensure_told_or_ended(watch: &mut Watching, after: Revision, log: [Revision; 2]) -> Outcome {
    let (mut last, mut end) = (after, None);
    while last < log[1] && end.is_none() {
        match watch.next_or_end().await? {
            Ok(Told::Batch(revision, _)) => {
                ensure::equal("the next batch of a slow watch", revision, later(last, 1)?)?;
                last = revision;
            }
            Ok(_) => {}
            Err(reason) => end = Some(reason),
        }
    }
    ensure_right_end("a slow watch", last, end.as_ref(), log)
}

pub(super) async fn ten_thousand_watchers_one_writer(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let (groups, commits) = (8, 20);
    let size = harness.times(10_000, 400) / groups;
    let hub = harness.hub_with(&client, HubConfig { max_watchers: groups * size, ..HubConfig::default() }).await?;
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
