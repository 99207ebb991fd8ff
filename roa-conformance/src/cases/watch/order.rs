//! In order, each once, whole.

use std::collections::BTreeSet;

use roa_core::{ChangeKind, Revision, Start};
use tokio::task::JoinSet;

use crate::client::{Client, key, text};
use crate::failure::{Outcome, ensure};
use crate::feed::{Feed, writes};
use crate::harness::{Harness, all, later};
use crate::watching::{Hub, Told, Watching, short};

/// A store that several writers write at once, and who follows it.
struct Followed {
    feed: Feed,
    watch: Watching,
    /// Kept, since watches get nothing more when their hub is gone.
    _hub: Hub,
    last: Revision,
    writers: JoinSet<Outcome>,
}

impl Followed {
    async fn start(harness: &Harness, writers: usize, commits: usize) -> Outcome<Self> {
        let client = harness.store().await?;
        let hub = harness.hub(&client).await?;
        let begin = client.head().await?;
        let (feed, watch) = (client.feed(begin).await?, hub.watch_things(Start::After(begin)).await?);
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            tasks.spawn(write(client.clone(), format!("k{writer}"), commits));
        }
        Ok(Self { feed, watch, _hub: hub, last: later(begin, writers * commits)?, writers: tasks })
    }
}

async fn write(client: Client, name: String, commits: usize) -> Outcome {
    let mut last = client.create(&name, 0).await?;
    for number in 1..commits {
        last = client.update(&name, number, last).await?;
    }
    Ok(())
}

pub(super) async fn ordered(harness: Harness) -> Outcome {
    let mut followed = Followed::start(&harness, 4, harness.times(250, 10)).await?;
    let mut before = None;
    while before < Some(followed.last) {
        let revision = followed.feed.next().await?.revision;
        ensure::that(&format!("a batch after {before:?}"), before < Some(revision), &revision)?;
        before = Some(revision);
    }
    let mut before = None;
    for told in followed.watch.until(followed.last).await? {
        let (Told::Batch(at, _) | Told::Reached(at)) = told else { continue };
        ensure::that(&format!("an item at {before:?} or later"), before <= Some(at), &at)?;
        before = Some(at);
    }
    all(followed.writers).await.map(|_| ())
}

pub(super) async fn unique(harness: Harness) -> Outcome {
    let mut followed = Followed::start(&harness, 4, harness.times(250, 10)).await?;
    let mut seen = BTreeSet::new();
    while seen.last() < Some(&followed.last) {
        let revision = followed.feed.next().await?.revision;
        ensure::that("a batch that has not come before", seen.insert(revision), &revision)?;
    }
    let mut events = BTreeSet::new();
    for event in followed.watch.events_until(followed.last).await? {
        let new = events.insert((event.revision, event.key().clone()));
        ensure::that("an event that has not come before", new, &event)?;
    }
    all(followed.writers).await?;
    ensure::equal("how many events there were", events.len(), seen.len())
}

pub(super) async fn atomic_multi_op(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let (mut feed, mut watch) = (client.feed(begin).await?, hub.watch_things(Start::After(begin)).await?);
    let names: Vec<_> = (0..5).map(|number| format!("k{number}")).collect();
    let created = client.commit(names.iter().fold(client.txn(), |txn, name| txn.create(key(name), text(1)))).await?;
    let updated = client.txn().delete(key("k0"), created);
    let updated = names[1..].iter().fold(updated, |txn, name| txn.update(key(name), text(2), created));
    let updated = client.commit(updated).await?;
    for revision in [created, updated] {
        let batch = feed.next().await?;
        ensure::equal(
            "revision and number of changes of a batch",
            (batch.revision, batch.changes.len()),
            (revision, 5),
        )?;
        let keys: Vec<_> = writes(&batch).into_iter().map(|(key, _)| key).collect();
        ensure::equal("the keys of a batch", keys, names.iter().map(|name| key(name)).collect())?;
        let (at, events) = watch.next_batch().await?;
        ensure::equal("revision and number of events of a watch's batch", (at, events.len()), (revision, 5))?;
        let kind = |number| match (revision == created, number) {
            (true, _) => ChangeKind::Added,
            (false, 0) => ChangeKind::Deleted,
            (false, _) => ChangeKind::Modified,
        };
        let expected = names.iter().enumerate().map(|(number, name)| (kind(number), name.clone(), revision.get()));
        ensure::equal("the events of one revision", short(&events), expected.collect())?;
    }
    Ok(())
}
