//! What is there, and then what changes: nothing between, nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::{Batch, Change, Entry, Key, Revision, Start};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cases::history::History;
use crate::checker::State;
use crate::client::{Client, key, text, things};
use crate::failure::{Outcome, ensure};
use crate::feed::ensure_dense;
use crate::harness::{Harness, later};
use crate::watching::{Hub, Told};

/// What somebody holds who listed and then follows. Each change must fit what is held: what was left out, or seen
/// twice, would show.
#[derive(Debug, Default)]
struct Held(BTreeMap<Key, Arc<Entry>>);

impl Held {
    fn new(entries: impl IntoIterator<Item = Arc<Entry>>) -> Self {
        Self(entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect())
    }

    fn apply(&mut self, batch: &Batch) -> Outcome {
        for change in batch.changes.iter() {
            let held = self.0.get(change.key());
            let at = format!("what was held before {} changed at {}", change.key(), batch.revision);
            ensure::equal(&at, held, change.previous())?;
            match change {
                Change::Put { entry, .. } => self.0.insert(entry.key.clone(), Arc::clone(entry)),
                Change::Delete { previous } => self.0.remove(&previous.key),
            };
        }
        Ok(())
    }
}

/// A writer that goes on as long as it is given leave to.
fn write_with_leave(client: &Client) -> (JoinSet<Outcome>, Arc<Semaphore>) {
    let (leave, mut writer) = (Arc::new(Semaphore::new(0)), JoinSet::new());
    let (client, given) = (client.clone(), Arc::clone(&leave));
    writer.spawn(async move {
        let mut history = History::new(&client, 65).await?;
        while let Ok(permit) = given.acquire().await {
            permit.forget();
            history.step().await?;
            history.past.drain(..history.past.len() - 1);
        }
        Ok(())
    });
    (writer, leave)
}

pub(super) async fn list_then_watch_no_gap_race(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    client.create("before", "1").await?;
    let (mut writer, leave) = write_with_leave(&client);
    for round in 0..harness.times(10_000, 300) {
        // Three commits happen while this lists and begins to follow, and two more before it has read two.
        leave.add_permits(3);
        let page = client.list_things().await?;
        let mut held = Held::new(page.entries);
        let mut feed = client.feed(page.revision).await?;
        leave.add_permits(2);
        let batches = feed.until(later(page.revision, 2)?).await?;
        ensure_dense("the changes after the list", &batches, page.revision, later(page.revision, 2)?)?;
        batches.iter().try_for_each(|batch| held.apply(batch))?;
        if round % 10 == 0 {
            ensure_watched(&hub, page.revision, &batches).await?;
        }
    }
    leave.close();
    while let Some(ended) = writer.join_next().await {
        ended.map_err(|panic| ensure::broken("a writer that does not panic", &panic))??;
    }
    Ok(())
}

/// A watch after a list sees what the feed gave.
async fn ensure_watched(hub: &Hub, after: Revision, batches: &[Arc<Batch>]) -> Outcome {
    let mut watch = hub.watch_things(Start::After(after)).await?;
    for batch in batches {
        let (revision, events) = watch.next_batch().await?;
        let keys = |batch: &Batch| batch.changes.iter().map(|change| change.key().clone()).collect::<Vec<_>>();
        let seen = events.iter().map(|event| event.key().clone()).collect();
        ensure::equal("a watch's next batch after a list", (revision, seen), (batch.revision, keys(batch)))?;
    }
    Ok(())
}

pub(super) async fn initial_events_end_bookmark(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let hub = harness.hub(&client).await?;
    // Enough keys for several pages, some of them after all others.
    for number in 0..30 {
        client.commit(client.txn().create(key(&format!("z{number:02}")), text(number))).await?;
    }
    let (mut writer, leave) = write_with_leave(&client);
    let mut log = client.feed(begin).await?;
    let mut state = State::empty(begin);
    for round in 0..harness.times(60, 10) {
        if round % 3 == 0 {
            client.put(&format!("z{:02}", round % 30), format!("again{round}")).await?;
        }
        let mut watch = hub.watch_things(Start::Snapshot).await?;
        let (mut entries, mut synced) = (Vec::new(), None);
        while synced.is_none() {
            // So that something changes between the pages.
            leave.add_permits(2);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            match watch.next().await? {
                Told::Page(page) => entries.extend(page.into_iter().map(|seen| seen.entry)),
                Told::Synced(position) => synced = Some(position.revision),
                other => return Err(ensure::broken("a snapshot", &other)),
            }
        }
        let synced = synced.unwrap_or(begin);
        if synced > state.revision {
            log.until(synced).await?.iter().for_each(|batch| state.apply(batch));
        }
        let prefix = things();
        let expected: Vec<_> = state.below(&prefix, None).cloned().collect();
        ensure::equal(&format!("the snapshot at {synced}"), Held::new(entries).0, Held::new(expected).0)?;
        leave.add_permits(1);
        ensure::equal("the first change after the snapshot", watch.next_batch().await?.0, later(synced, 1)?)?;
    }
    leave.close();
    writer.abort_all();
    Ok(())
}
